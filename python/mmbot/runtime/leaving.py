"""The end of a run, whatever ended it: no new orders, cancels, asking until the venue has no order of ours.

    halt ─▶ each order's own cancel ─▶ cancel-all of what is ours, proven (`Cancelling`) ─▶ the last facts

Orders of others stay, and where there are any nothing is cancelled in bulk. Zero open orders mean something only once
no create without an answer can arrive any more (`Resolver.deadline`), so the proof waits for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from mmbot.execution.cancel_all import CancelAllPlanTiming
from mmbot.runtime.obedience import Obedience
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mmbot.execution.cancel_all import CancelAllResult
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.runner import Runner
    from mmbot.venues.port import Fact, OrderEntry, OrderSeen

__all__ = ["Leaving"]

Answer = TypeVar("Answer")

PROOF_S = 2.0
"""What two looks a second apart take, above the time that the end may take."""


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
        result = await self._cancel_ours()
        troubles = [trouble for each in self._run.listed if (trouble := await self._last_word(each))]
        if not troubles and not result.proof:
            troubles = [f"it is not proven that no order of ours is left ({', '.join(result.failed)}); look there"]
        if troubles:
            raise VenueError("; ".join(troubles))
        self._run.left = True

    async def _cancel_ours(self) -> CancelAllResult:
        """Cancel what is ours, over both ways, until the venue said twice that nothing of it is open."""
        run, obedience = self._run, Obedience(self._run)
        now = run.clock.peek()
        late_s = max(0, self._late_until() - now) / 1e9
        if late_s:
            why = f"an order may come to be, or be listed, late; the proof takes {late_s:.1f} s longer"
            run.told({"event": "stopping", "why": why})
        return await run.cancelling_on(self._orders).run(
            "end",
            believed=[target for each in run.listed for target in obedience.believed(each.category, each.symbol)],
            late_until=self._late_until,
            ours=lambda target: run.bridge.is_ours(target.client_id),
            timing=CancelAllPlanTiming(give_up_s=run.settle_s + late_s + PROOF_S),
        )

    def _late_until(self) -> int:
        """Until then a create without an answer may still come to be: a request is refused once it is older than the
        venue's window. Or an order that is open as far as we know may be missing in the venue's lists.
        """
        bridge, now = self._run.bridge, self._run.clock.peek()
        markets = [(each.category, each.symbol) for each in self._run.listed]
        last = bridge.last_unanswered_place(markets)
        known = 0 if last is None else self._run.resolver.deadline(last, now)
        return max(self._run.strangers_until, known, bridge.listed_by(markets, now))

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


async def _cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks whose results nobody needs any more."""
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
