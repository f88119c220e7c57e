"""Cancel-all, done on our own exchange server over real sockets, and timed by the venue's books.

healthy: the bulk cancel and two empty looks. blackholed: every REST request is swallowed, so that the orders leave over
the trade socket. `gone` is when the venue's own books had none of them, `proven` when the cancel-all said so.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from mmbot.exchange.admin import truth
from mmbot.exchange.clock import VenueClock
from mmbot.exchange.faults import Fault
from mmbot.exchange.generator import MarketKind
from mmbot.exchange.listed import open_hall
from mmbot.exchange.opening import AccountTerms
from mmbot.exchange.venue import Exchange
from mmbot.execution.cancel_all import Target
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import Credentials, OrderSeen, PlaceOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.venues.port import Fact, LinkEvent

__all__ = ["ORDERS", "Took", "cancelled"]

ORDERS = 8
"""How many rest before each."""
_UID, _KEY, _SECRET = 1001, "mmsimtestkey0001", "a-secret-of-a-proof"
_BTC = ("linear", "BTCUSDT")
_PRICE = "60000.0"
_REST_S = 20.0
_LOOK_S = 0.005


class Took(NamedTuple):
    """Seconds of one cancel-all."""

    gone: float
    proven: float


class _Sink:
    """Hands the session's facts to the cancel-all."""

    def __init__(self) -> None:
        self.live: set[str] = set()
        self.cancelling: Cancelling | None = None

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Remember what rests."""
        self.live |= {one.client_id for one in facts if isinstance(one, OrderSeen) and one.status == "live"}
        if self.cancelling is not None:
            self.cancelling.heard(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Not looked at."""


async def cancelled(times: int, *, blackholed: bool) -> list[Took]:
    """Let orders rest and cancel them all, so often. Raises VenueError where orders are left, or never rested."""
    clock = VenueClock()
    hall = open_hall(clock=clock, tapes=[], kind=MarketKind.CALM, speed=1.0)
    exchange = Exchange.open(hall, clock, [AccountTerms(uid=_UID, key=_KEY, secret=_SECRET)], admin_token=_SECRET)
    await exchange.start()
    sink, events = _Sink(), list[dict[str, Any]]()
    endpoint, credentials = Endpoint.of("simulator", exchange.http), Credentials(key=_KEY, secret=SecretStr(_SECRET))
    orders = BybitOrders(endpoint, credentials, sink, time.time_ns, instruments=[_BTC])
    sink.cancelling = Cancelling(orders, [_BTC], time.time_ns, told=events.append)
    try:
        await orders.start()
        took = []
        for number in range(times):
            if blackholed:
                exchange.gateway.faults.arm(Fault(where="rest:*", what="silence", count=None))
            took.append(await _once(exchange, orders, sink, sink.cancelling, number))
            exchange.gateway.faults.clear()
        return took
    finally:
        await orders.stop()
        await exchange.stop()


async def _once(exchange: Exchange, orders: BybitOrders, sink: _Sink, cancelling: Cancelling, number: int) -> Took:
    names = [f"p{number}-{n}" for n in range(ORDERS)]
    category, symbol = _BTC
    orders.send(
        [
            PlaceOrder(client_id=name, category=category, symbol=symbol, side="buy", price=_PRICE, qty="0.001")
            for name in names
        ]
    )
    try:
        async with asyncio.timeout(_REST_S):
            while not sink.live.issuperset(names):
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise VenueError(f"of {ORDERS} orders not all came to rest within {_REST_S:g} s") from None
    began, gone = time.perf_counter(), 0.0
    task = asyncio.create_task(cancelling.run("proof", believed=[Target(*_BTC, name) for name in names]))
    while not task.done():
        if not gone and not _open(exchange):
            gone = time.perf_counter() - began
        await asyncio.wait({task}, timeout=_LOOK_S)
    left = _open(exchange)
    if task.result().failed or left or not task.result().proof:
        raise VenueError(f"cancel-all left {left} orders open and said {task.result()}")
    return Took(gone, time.perf_counter() - began)


def _open(exchange: Exchange) -> int:
    """Orders that rest by the venue's own books."""
    return len(truth(exchange.gateway, _UID)["accounts"][str(_UID)]["open"])
