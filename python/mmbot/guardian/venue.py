"""The guardian's own link to Bybit: HTTP alone, with its own key and its own budget. It asks and cancels, never orders.

Of the venue's private streams it opens none: a subscription to `dcp.*` would keep the venue's own dead-man switch from
firing when the engine is gone, for that waits until every connection that subscribed is dead.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mmbot.execution.backoff import Backoff
from mmbot.execution.cancel_all import CancelAllPlanTiming
from mmbot.guardian.claims import Resting
from mmbot.venues.bybit.account import BybitAccount
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.clock import steady_clock
from mmbot.venues.bybit.http import BybitHttp, HttpTiming
from mmbot.venues.bybit.orders_wire import answer_facts, body
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import Acked, CancelOrder, Refused, Unanswered, VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.execution.cancel_all import Target
    from mmbot.venues.bybit.endpoints import Endpoint
    from mmbot.venues.port import CancelAnswer, CancelPath, Clock, Credentials, OpenEverywhere, OrderSeen

__all__ = ["GuardedVenue", "Outcome", "Seen"]

DCP_S = 10
"""Window of the venue's own dead-man switch, where the account may have it."""
TIMING = HttpTiming(read_s=2.0, order_s=2.0, reads=Backoff(delays_s=(0.1,)))
"""Short: what does not answer is asked again by who is in a hurry."""
CANCELLING = CancelAllPlanTiming(
    again=Backoff(delays_s=(0.25, 0.5, 1.0, 2.0)), ill_s=0.5, told_s=60.0, alarms_s=(), give_up_s=8.0
)
"""One cancelling: the core raises the alarms, and begins the next one at once. It hears no stream, so none may tell."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the venue has: open orders, and positions by "category symbol" as decimal text."""

    resting: tuple[Resting, ...]
    positions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cancelling ended. `zero`: two answers, a second apart, had nothing open; `seen`: orders that were."""

    zero: bool
    seen: int
    why: str = ""


class GuardedVenue:
    """One account at Bybit, as far as a guardian needs it. `markets`: (category, symbol) of what is traded."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        markets: Sequence[tuple[str, str]],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._markets, self._monotonic = list(dict.fromkeys(markets)), time.monotonic_ns
        self._http = BybitHttp(endpoint, credentials, clock or steady_clock(), RateBudget(0.5), timing=TIMING)
        self._account = BybitAccount(self._http)
        self.remarks: list[str] = []
        """What an operator wants to know, each once."""

    async def start(self) -> str:
        """As `whose`, and have the venue cancel too when the engine is gone. Raises VenueError."""
        account = await self.whose()
        await self._set_disconnect_cancel()
        return account

    async def whose(self) -> str:
        """Learn the venue's clock and what the key may do, and return the account; nothing is changed there.

        Raises VenueError for a key that may not cancel.
        """
        await self._http.start()
        seen = await self._account.attest(self._markets)
        if seen.read_only:
            raise VenueError("this key is read-only, and has to cancel; make one that may trade")
        self.remarks += [f"the guardian's key: {fault}" for fault in seen.faults]
        return seen.account

    async def stop(self) -> None:
        """Close the link. Safe to call twice."""
        await self._http.stop()

    async def _set_disconnect_cancel(self) -> None:
        """Have the venue cancel too when the engine's connections are gone. Nothing here relies on it."""
        for product in sorted({"SPOT" if category == "spot" else "DERIVATIVES" for category, _ in self._markets}):
            body = msgspec.json.encode({"product": product, "timeWindow": DCP_S})
            try:
                answer = await self._http.change("/v5/order/disconnected-cancel-all", body)
            except VenueError as error:
                said = str(error)
            else:
                said = "" if answer.code == 0 else f"{answer.code} {answer.message}"
            if said:
                self.remarks.append(f"the venue's own dead-man switch ({product}) is not to be had: {said}")

    # ---- asking

    async def look(self) -> Seen:
        """Ask for open orders and positions. Raises VenueError."""
        opened = await asyncio.gather(*(self.open_orders(*market) for market in self._markets))
        positions: dict[str, str] = {}
        for category, symbol in self._markets:
            if category != "spot":
                positions[f"{category} {symbol}"] = (await self._account.position(category, symbol)).qty
        return Seen(tuple(_resting(order) for orders in opened for order in orders), positions)

    # ---- cancelling

    async def cancel(self, *, foreign: bool) -> Outcome:
        """Cancel until nothing is open, or as long as one cancelling may take; others' orders too if `foreign`."""
        said: dict[str, None] = {}

        def told(event: dict[str, object]) -> None:
            if "why" in event:
                said[f"{event['event']}: {event['why']}"] = None

        result = await Cancelling(self, self._markets, self._monotonic, told=told).run(
            "guardian", ours=None if foreign else _is_ours, timing=CANCELLING
        )
        seen = result.canceled_count + len(result.failed)
        return Outcome(result.proof == "asked", seen, "; ".join([result.method, *said]))

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order there. Raises VenueError."""
        return await self._account.open_orders(category, symbol)

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order of the account, in whatever instrument; a part that cannot be looked at is named."""
        return await self._account.open_everywhere()

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One bulk request, sent once; the venue takes 500 at most. Raises VenueError."""
        answer = await self._http.cancel_all(msgspec.json.encode({"category": category, "symbol": symbol}))
        if answer.code != 0:
            raise VenueError(f"cancel-all {symbol}: {answer.code} {answer.message}")

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Cancel by one batch; the second way is one by one, since this link has no trade socket. Raises VenueError."""
        if path == "rest":
            return await self._cancelled(orders)
        answers = await asyncio.gather(*(self._cancelled([order]) for order in orders))
        return [one for answer in answers for one in answer]

    async def _cancelled(self, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        requests = [
            CancelOrder(client_id="", category=one.category, symbol=one.symbol, venue_id=one.venue_id) for one in orders
        ]
        group = "cancel:spot" if orders[0].category == "spot" else "cancel"
        answer = await self._http.cancel(body(requests), group, len(requests))
        return [fact for fact in answer_facts(requests, answer) if isinstance(fact, Acked | Refused | Unanswered)]


def _resting(order: OrderSeen) -> Resting:
    return Resting(f"{order.category} {order.symbol}", order.venue_id, order.client_id)


def _is_ours(target: Target) -> bool:
    return Resting(" ".join(target.market), target.venue_id, target.client_id).ours
