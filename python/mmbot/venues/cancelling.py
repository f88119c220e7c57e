"""Drives a cancel-all, on the order session of a run or on the guardian's own link: does what the plan says, and tells
it what came of it.

Every request has a time of its own, so a way to the venue that swallows everything holds nothing up. Where a look or a
cancel stays silent, the plan goes on over the other way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from mmbot.execution.cancel_all import Bulk, CancelAllPlan, CancelSome, Look, Target
from mmbot.venues.port import Acked, OrderSeen, Refused, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mmbot.execution.cancel_all import CancelAllPlanTiming, CancelAllResult, CancelWord, Step
    from mmbot.venues.port import CancelAnswer, CancelPath, Fact

__all__ = ["BULK_S", "LOOK_S", "Cancelling", "Cancels"]

BULK_S = 1.0
"""How long a bulk cancel may stay unanswered, and a cancel."""
LOOK_S = 2.0
"""How long a look may: many orders are many pages."""
_SOFT = ("rate_limited", "busy")


class Cancels(Protocol):
    """What a cancel-all needs of a venue: see `OrderEntry`, which has more."""

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, foreign ones too. Raises VenueError."""

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One bulk request, sent once. Raises VenueError."""

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Cancel orders of one category by one request over this way; one answer for each."""


class Cancelling:
    """Cancel-alls on one session. `clock` only reads the time.

    told: hears events (`bulk_cancel_failed`, `cancel_failed`, `cancel_all_alarm`, `cancel_all_done`). Of these
    `cancel_all_alarm` calls people, louder with each `step` (`mmbot.ops.alarm_log`).
    """

    def __init__(
        self,
        orders: Cancels,
        markets: Sequence[tuple[str, str]],
        clock: Callable[[], int],
        *,
        told: Callable[[dict[str, object]], None],
    ) -> None:
        self._orders, self._markets, self._clock, self._told = orders, markets, clock, told
        self._plan: CancelAllPlan | None = None
        self._seen: dict[str, OrderSeen] = {}
        self._news = asyncio.Event()

    async def run(
        self,
        trigger: str,
        *,
        markets: Sequence[tuple[str, str]] | None = None,
        believed: Iterable[Target] = (),
        late_until: Callable[[], int] = lambda: 0,
        ours: Callable[[Target], bool] | None = None,
        force: bool = False,
        timing: CancelAllPlanTiming | None = None,
    ) -> CancelAllResult:
        """Cancel everything of the markets, or of these; see `CancelAllPlan`. Ends with a result, whatever happens."""
        plan = CancelAllPlan(
            self._markets if markets is None else markets,
            trigger=trigger,
            now=self._clock(),
            believed=believed,
            late_until=late_until,
            ours=ours,
            force=force,
            timing=timing,
        )
        self._plan = plan
        done: deque[Callable[[int], None]] = deque()
        tasks: set[asyncio.Task[None]] = set()
        try:
            while plan.result is None:
                now = self._clock()
                while done:
                    done.popleft()(now)
                for step in plan.steps(now):
                    task = asyncio.create_task(self._ask(plan, step, done))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                self._tell(plan)
                if plan.result is None and not done:
                    await self._wait((plan.due(now) - now) / 1e9)
            return plan.result
        finally:
            self._plan = None
            for task in list(tasks):
                task.cancel()

    async def _wait(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return

    def _tell(self, plan: CancelAllPlan) -> None:
        for event in plan.events:
            self._told(event)
        plan.events.clear()

    def heard(self, facts: Iterable[Fact]) -> None:
        """Hear what the stream says of orders."""
        for fact in facts:
            if isinstance(fact, OrderSeen) and self._plan is not None and fact.status not in ("live", "partial"):
                self._plan.heard_gone(fact.client_id or fact.venue_id, self._clock(), filled=fact.status == "filled")
                self._news.set()

    # ---- asking

    async def _ask(self, plan: CancelAllPlan, step: Step, done: deque[Callable[[int], None]]) -> None:
        match step:
            case Bulk():
                why, silent = await self._bulk(step)
                done.append(lambda now: plan.bulk_answered(step.market, why, now, silent=silent))
            case Look():
                found, trouble = await self._look(step)
                done.append(lambda now: plan.looked(step, found, trouble, now))
            case CancelSome():
                words = await self._cancel(step)
                done.append(lambda now: plan.cancels_answered(step, words, now))
        self._news.set()

    async def _bulk(self, step: Bulk) -> tuple[str, bool]:
        try:
            async with asyncio.timeout(BULK_S):
                await self._orders.cancel_bulk(*step.market)
        except TimeoutError:
            return f"no answer within {BULK_S:g} s", True
        except VenueError as error:
            return str(error), False
        except Exception as error:  # noqa: BLE001  whatever broke, the next way is tried
            return f"{type(error).__name__}: {error}", False
        return "", False

    async def _look(self, step: Look) -> tuple[list[Target] | None, str]:
        try:
            async with asyncio.timeout(LOOK_S):
                found = await self._orders.open_orders(*step.market)
        except TimeoutError:
            return None, f"no answer within {LOOK_S:g} s"
        except Exception as error:  # noqa: BLE001  as above
            return None, f"{type(error).__name__}: {error}"
        targets = [Target(one.category, one.symbol, one.client_id, one.venue_id) for one in found]
        self._seen |= {target.key: one for target, one in zip(targets, found, strict=True)}
        return targets, ""

    async def _cancel(self, step: CancelSome) -> list[tuple[CancelWord, str]]:
        orders = [self._seen.get(target.key) or _believed(target) for target in step.targets]
        try:
            async with asyncio.timeout(BULK_S):
                answers = await self._orders.cancel_over(step.path, orders)
        except Exception as error:  # noqa: BLE001  as above
            return [("silent", f"{step.path}: {type(error).__name__} {error}".rstrip())] * len(orders)
        return [_word(answer) for answer in answers]


def _word(answer: CancelAnswer) -> tuple[CancelWord, str]:
    match answer:
        case Acked():
            return "taken", ""
        case Refused():
            said = f"{answer.code} {answer.message}"
            if answer.reason == "unknown_order":
                return "unknown", said
            return ("soft" if answer.reason in _SOFT else "refused"), said
        case _:
            return "silent", answer.why


def _believed(target: Target) -> OrderSeen:
    """An order that the venue has not listed yet, by what is known of it."""
    return OrderSeen(
        client_id=target.client_id,
        venue_id=target.venue_id,
        category=target.category,
        symbol=target.symbol,
        side="buy",
        status="live",
        cum="0",
        price="0",
        qty="0",
        reason="",
        ts_venue=0,
    )
