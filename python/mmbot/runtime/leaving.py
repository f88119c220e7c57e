"""The end of a run, whatever ended it: no new orders, cancels, asking until the venue has no order of ours.

Zero open orders mean something only once no create without an answer can arrive any more (`Resolver.deadline`), so the
venue is asked again then.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from mmbot.execution.backoff import ORDER_CALLS
from mmbot.venues.port import CancelOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.runner import Runner
    from mmbot.venues.port import Fact, OrderEntry, OrderSeen

__all__ = ["Leaving"]

Answer = TypeVar("Answer")


class Leaving:
    """Takes one run out of its venue."""

    def __init__(self, run: Runner, orders: OrderEntry) -> None:
        self._run, self._orders = run, orders

    async def run(self) -> None:
        """Leave in order, unless the venue is gone or goes meanwhile."""
        self._run.stopping = True
        self._run.pauses.clear()
        gone = asyncio.create_task(self._run.gone.wait())
        leaving = None if self._run.gone.is_set() else asyncio.create_task(self.leave())
        try:
            await asyncio.wait({gone} if leaving is None else {gone, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self._run.gone.is_set():
                self._run.told({"event": "stopping", "why": "the venue is gone, and every order with it"})
            elif leaving is not None:
                leaving.result()
        finally:
            await _cancelled(gone, leaving)

    async def leave(self) -> None:
        """No new orders; cancel; ask until the venue knows none of ours; hear the last fills."""
        self._run.told({"event": "stopping"})
        self._run.disarm()
        try:
            self._run.flat.clear()
            self._run.send(self._run.core.halt(self._run.clock()))
            if self._run.bridge.open():
                await asyncio.wait_for(self._run.flat.wait(), self._run.settle_s / 2)
        except TimeoutError:
            self._run.told({"event": "stopping", "why": "some cancels are unanswered; cancelling all at the venue"})
        except Exception as error:  # noqa: BLE001  the venue's own cancel-all needs neither engine nor journal
            self._run.fail(error)
        await self._cancel_everywhere()
        if await self._outlive_unanswered():
            await self._cancel_everywhere()
        troubles = [trouble for each in self._run.listed if (trouble := await self._last_word(each))]
        if troubles:
            raise VenueError("; ".join(troubles))
        self._run.left = True

    async def _cancel_everywhere(self) -> None:
        """Cancel all of every instrument; trouble with one keeps none of the others from being cancelled."""
        for each in self._run.listed:
            try:
                await self._in_time(self.cancel_all(each))
            except VenueError as error:  # what is left is asked for below, and ends the run with an error
                self._run.told({"event": "stopping", "why": f"{each.symbol}: {error}"})

    async def _outlive_unanswered(self) -> bool:
        """Wait until no create without an answer can reach the venue any more; False if there is none.

        A request is refused by the venue once it is older than its window, so zero open orders mean something only
        after that.
        """
        last = self._run.bridge.last_unanswered_place()
        if last is None:
            return False
        now = self._run.clock.peek()
        wait_s = max(0, self._run.resolver.deadline(last, now) - now) / 1e9
        self._run.told({"event": "stopping", "why": f"a create had no answer; asking again in {wait_s:.1f} s"})
        await asyncio.sleep(wait_s)
        return True

    async def _last_word(self, each: Listed) -> str:
        """Hear the last facts of one instrument. Returns "" or, where orders of ours may be left, what to do."""
        try:
            left, facts = await self._in_time(self._facts_at_the_end(each))
        except VenueError as error:
            return f"{each.symbol}: the venue did not say whether orders of ours are left ({error}); look there"
        try:
            self._run.hear(facts)
        except Exception as error:  # noqa: BLE001  a dead journal takes no fact; the question comes all the same
            self._run.fail(error)
        ours = [one.client_id for one in left if self._run.bridge.is_ours(one.client_id)]
        self._run.told({"event": "left", "symbol": each.symbol, "open_orders": len(ours)})
        if not ours:
            return ""
        return f"{each.symbol}: the venue still has {len(ours)} orders of ours: {ours[:5]}; cancel them there"

    async def _in_time(self, step: Coroutine[None, None, Answer]) -> Answer:
        """Await a step of the end no longer than `settle_s`. Raises VenueError where the venue was silent."""
        try:
            async with asyncio.timeout(self._run.settle_s):
                return await step
        except TimeoutError:
            raise VenueError(f"no answer within {self._run.settle_s:g} s") from None

    async def _facts_at_the_end(self, each: Listed) -> tuple[list[OrderSeen], list[Fact]]:
        left = await self._orders.open_orders(each.category, each.symbol)
        facts: list[Fact] = [*await self._orders.executions(each.category, each.symbol, self._run.reconciler.since)]
        for number in self._run.bridge.open():
            if self._run.bridge.place_of(number)[:2] == (each.category, each.symbol):
                found = (await self._orders.find(*self._run.bridge.place_of(number))).order
                facts += [found] if found is not None else []
        facts.append(await self._orders.position(each.category, each.symbol))
        return left, facts

    async def _cancel_ours(self, each: Listed) -> None:
        """Cancel all at once or, where somebody else has orders too, ours alone. Raises VenueError."""
        opened = await self._orders.open_orders(each.category, each.symbol)
        if all(self._run.bridge.is_ours(one.client_id) for one in opened):
            await self._orders.cancel_all(each.category, each.symbol)
            return
        ours = [one.client_id for one in opened if self._run.bridge.is_ours(one.client_id)]
        self._orders.send([CancelOrder(client_id=name, category=each.category, symbol=each.symbol) for name in ours])

    async def cancel_all(self, each: Listed) -> None:
        """Cancel at the venue, again after 4, 8 and 16 s where it fails, as long as the end may take."""
        failures, until = 0, self._run.clock.peek() + round(self._run.settle_s * 1e9)
        while True:
            try:
                await self._cancel_ours(each)
                return
            except VenueError as error:
                failures += 1
                now = self._run.clock.peek()
                again = ORDER_CALLS.next_ns("cancel_all", failures, now)
                if again is None or again > until:
                    raise
                self._run.told(
                    {"event": "stopping", "why": f"cancel-all failed, again in {(again - now) / 1e9:g} s: {error}"}
                )
                await asyncio.sleep((again - now) / 1e9)


async def _cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks whose results nobody needs any more."""
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
