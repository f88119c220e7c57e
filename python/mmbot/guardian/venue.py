"""The guardian's own link to Bybit: HTTP alone, with its own key and its own budget. It asks and cancels, never orders.

Of the venue's private streams it opens none: a subscription to `dcp.*` would keep the venue's own dead-man switch from
firing when the engine is gone, for that waits until every connection that subscribed is dead.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from mmbot.execution.backoff import Backoff
from mmbot.guardian.claims import Resting
from mmbot.venues.bybit.account import BybitAccount
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.clock import steady_clock
from mmbot.venues.bybit.http import BybitHttp, HttpTiming
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from mmbot.venues.bybit.endpoints import Endpoint
    from mmbot.venues.port import Clock, Credentials, OrderSeen

__all__ = ["CancelTiming", "GuardedVenue", "Outcome", "Seen"]

DCP_S = 10
"""Window of the venue's own dead-man switch, where the account may have it."""
TIMING = HttpTiming(read_s=2.0, order_s=2.0, reads=Backoff(delays_s=(0.1,)))
"""Short: what does not answer is asked again by who is in a hurry."""


@dataclass(frozen=True, slots=True)
class CancelTiming:
    """How long one cancelling goes on, how often it looks, and how far apart two empty answers are; seconds."""

    most_s: float = 8.0
    look_s: float = 0.1
    again_s: float = 1.0


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
        timing: CancelTiming | None = None,
    ) -> None:
        self._markets = list(dict.fromkeys(markets))
        self._timing = timing or CancelTiming()
        self._http = BybitHttp(endpoint, credentials, clock or steady_clock(), RateBudget(0.5), timing=TIMING)
        self._account = BybitAccount(self._http)
        self.remarks: list[str] = []
        """What an operator wants to know, each once."""

    async def start(self) -> str:
        """Learn the venue's clock and what the key may do, and return the account. Raises VenueError if it may not."""
        await self._http.start()
        seen = await self._account.attest(self._markets)
        if seen.read_only:
            raise VenueError("the guardian's key is read-only, and has to cancel; make one that may trade")
        self.remarks += [f"the guardian's key: {fault}" for fault in seen.faults]
        await self._set_disconnect_cancel()
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
        opened = await asyncio.gather(*(self._open(market) for market in self._markets))
        positions: dict[str, str] = {}
        for category, symbol in self._markets:
            if category != "spot":
                positions[f"{category} {symbol}"] = (await self._account.position(category, symbol)).qty
        return Seen(tuple(_resting(order) for orders in opened for order in orders), positions)

    async def _open(self, market: tuple[str, str]) -> list[OrderSeen]:
        return await self._account.open_orders(*market)

    # ---- cancelling

    async def cancel(self, *, foreign: bool) -> Outcome:
        """Cancel until nothing is open, or as long as one cancelling may take; others' orders too if `foreign`.

        In bulk first, then one by one: the venue takes 500 at a time and picks them itself, and one order that it
        will not let go must not keep the others.
        """
        now = asyncio.get_running_loop().time
        until, seen, empty = now() + self._timing.most_s, dict[str, None](), math.inf
        why = await self._all(self._in_bulk(market) for market in self._markets) if foreign else ""
        while now() < until:
            asked = now()
            try:
                left = await self._left(foreign=foreign)
            except VenueError as error:
                why, empty = str(error), math.inf
            else:
                seen |= dict.fromkeys(order.venue_id for order in left)
                empty = math.inf if left else min(empty, asked)
                if asked - empty >= self._timing.again_s:
                    return Outcome(True, len(seen))
                why = await self._round(left, bulk=foreign) or why
            await asyncio.sleep(self._timing.look_s)
        return Outcome(False, len(seen), why or "some were open when last asked")

    async def _left(self, *, foreign: bool) -> list[OrderSeen]:
        opened = await asyncio.gather(*(self._open(market) for market in self._markets))
        return [order for orders in opened for order in orders if foreign or _resting(order).ours]

    async def _round(self, left: Sequence[OrderSeen], *, bulk: bool) -> str:
        if bulk and len(left) > len(self._markets):
            await self._all(self._in_bulk(market) for market in self._markets)
        return await self._all(self._one(order) for order in left[:50])

    async def _all(self, work: Iterable[Coroutine[None, None, str]]) -> str:
        """Do all of it at once; returns what the venue said against it, if anything."""

        return "; ".join(dict.fromkeys(said for said in await asyncio.gather(*work) if said))

    async def _in_bulk(self, market: tuple[str, str]) -> str:
        category, symbol = market
        try:
            answer = await self._http.cancel_all(msgspec.json.encode({"category": category, "symbol": symbol}))
        except VenueError as error:
            return str(error)
        return "" if answer.code == 0 else f"cancel-all {symbol}: {answer.code} {answer.message}"

    async def _one(self, order: OrderSeen) -> str:
        wanted = {"category": order.category, "symbol": order.symbol, "orderId": order.venue_id}
        group = "cancel:spot" if order.category == "spot" else "cancel"
        try:
            answer = await self._http.cancel(msgspec.json.encode(wanted), group)
        except VenueError as error:
            return str(error)
        return "" if answer.code == 0 else f"cancel {order.venue_id}: {answer.code} {answer.message}"


def _resting(order: OrderSeen) -> Resting:
    return Resting(f"{order.category} {order.symbol}", order.venue_id, order.client_id)
