"""Asks the venue about orders in doubt, until it says or the proof is complete, by `mmbot.execution.resolve`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from mmbot.execution.resolve import Finding, Resolver
from mmbot.venues.port import CancelOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot.execution.resolve import Aged
    from mmbot.runtime.bridge import Bridge
    from mmbot.venues.port import Fact, OrderEntry

__all__ = ["Chaser"]

CHASE_S = 0.25
"""How often to look whether it is time to ask, while anything is in doubt."""
CONFIRM_NS = 2_000_000_000
"""An order that was taken in and not shown for so long is in doubt."""


class ChaseListener(Protocol):
    """Hears what asking came to."""

    def on_pulled(self, facts: Sequence[Fact]) -> None:
        """What the venue said, to be heard as any fact."""

    def on_looked(self) -> None:
        """The venue answered, whatever it said."""

    def on_never_placed(self, number: int) -> None:
        """It is proven that the order is nowhere and can no longer arrive."""

    def on_unanswered(self, number: int, why: str) -> None:
        """The venue gave no answer; it is asked again."""

    def on_aged(self, aged: Aged) -> None:
        """A doubt has lasted too long."""

    def linked(self) -> bool:
        """Every private link is up."""


class Chaser:
    """Keeps the resolver and the bridge's doubts in step, and asks."""

    def __init__(self, bridge: Bridge, resolver: Resolver, clock: Callable[[], int], listener: ChaseListener) -> None:
        self._bridge, self._resolver, self._clock, self._listener = bridge, resolver, clock, listener

    async def run(self, orders: OrderEntry) -> None:
        """Ask until cancelled."""
        while True:
            if self._bridge.doubts or len(self._resolver) or await self._news():
                await asyncio.sleep(CHASE_S)
            await self.turn(orders)

    async def _news(self) -> bool:
        """Wait for a doubt; False for none, and an order that was taken in and not shown for too long."""
        self._bridge.doubted.clear()
        while True:
            now, since = self._clock(), self._bridge.oldest_unconfirmed()
            late = (now if since is None else since) + CONFIRM_NS  # one that is taken in meanwhile is late after that
            if late <= now:
                return False
            if await self._bridge.doubted.wait((late - now) / 1e9):
                return True

    async def turn(self, orders: OrderEntry) -> None:
        """Ask about what is due."""
        bridge, resolver = self._bridge, self._resolver
        for number in bridge.unconfirmed(self._clock() - CONFIRM_NS):
            bridge.doubts.setdefault(number, "place")
        bridge.settle_doubts()
        resolver.keep(frozenset(bridge.doubts))
        for number in bridge.doubts:
            category, symbol, _ = bridge.place_of(number)
            # A cancel that had no answer either does not make it sure that there is anything to cancel.
            resolver.doubt(
                number,
                f"{category} {symbol}",
                self._clock(),
                create=not bridge.exists(number),
                sent=bridge.decided(number),
            )
        for number in resolver.due(self._clock()):
            await self._ask(orders, number)
        for aged in resolver.aged(self._clock()):
            self._listener.on_aged(aged)

    async def _ask(self, orders: OrderEntry, number: int) -> None:
        bridge, resolver = self._bridge, self._resolver
        category, symbol, client_id = bridge.place_of(number)
        try:
            looked = await orders.find(category, symbol, client_id)
            executed = [] if looked.order is not None else await orders.executions_of(category, symbol, client_id)
        except VenueError as error:
            resolver.failed(number, self._clock())
            self._listener.on_unanswered(number, str(error))
            return
        self._listener.on_looked()
        found, wants_out = looked.order, bridge.doubts.get(number) == "cancel"
        finding = resolver.looked(
            number,
            self._clock(),
            looked.ts_venue,
            found=found is not None,
            executed=bool(executed),
            linked=self._listener.linked(),
        )
        if found is not None:
            self._listener.on_pulled([found])
            if wants_out and found.status in ("live", "partial"):
                orders.send([CancelOrder(client_id=client_id, category=category, symbol=symbol)])
        elif executed:
            self._listener.on_pulled(executed)
        elif finding is Finding.NEVER_PLACED:
            bridge.doubts.pop(number, None)
            self._listener.on_never_placed(number)
