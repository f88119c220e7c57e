"""How long from a freeze to zero open orders, proven, on the exchange server over real sockets.

    python -m benches.freeze_to_zero [RUNS]

healthy: the bulk cancel and two empty looks. rest blackholed: every REST request is swallowed, the orders leave over
the trade socket. `gone` is when the venue's own books had none; `proven` when the cancel-all said so.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

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
from mmbot.venues.port import Credentials, OrderSeen, PlaceOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.venues.port import Fact, LinkEvent

UID, KEY, SECRET = 1001, "mmsimtestkey0001", "a-secret-of-the-bench"
BTC = ("linear", "BTCUSDT")
COUNT = 8


class Sink:
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


async def _once(exchange: Exchange, orders: BybitOrders, sink: Sink, run: int, price: str) -> tuple[float, float]:
    names = [f"b{run}-{n}" for n in range(COUNT)]
    orders.send(
        [
            PlaceOrder(client_id=n, category="linear", symbol="BTCUSDT", side="buy", price=price, qty="0.001")
            for n in names
        ]
    )
    while not sink.live.issuperset(names):
        await asyncio.sleep(0.01)
    assert sink.cancelling is not None
    began, gone = time.perf_counter(), 0.0
    task = asyncio.create_task(sink.cancelling.run("bench", believed=[Target(*BTC, n) for n in names]))
    while not task.done():
        if not gone and not truth(exchange.gateway, UID)["accounts"][str(UID)]["open"]:
            gone = time.perf_counter() - began
        await asyncio.wait({task}, timeout=0.005)
    if task.result().failed or truth(exchange.gateway, UID)["accounts"][str(UID)]["open"]:
        raise SystemExit(f"orders are left: {task.result()}")
    return gone, time.perf_counter() - began


async def _measured(runs: int, *, blackholed: bool) -> list[tuple[float, float]]:
    clock = VenueClock()
    hall = open_hall(clock=clock, tapes=[], kind=MarketKind.CALM, speed=1.0)
    exchange = Exchange.open(hall, clock, [AccountTerms(uid=UID, key=KEY, secret=SECRET)], admin_token="bench")
    await exchange.start()
    sink, events = Sink(), list[dict[str, Any]]()
    endpoint, secret = Endpoint.of("simulator", exchange.http), SecretStr(SECRET)
    orders = BybitOrders(endpoint, Credentials(key=KEY, secret=secret), sink, time.time_ns, instruments=[BTC])
    sink.cancelling = Cancelling(orders, [BTC], time.time_ns, told=events.append)
    try:
        await orders.start()
        took = []
        for run in range(runs):
            if blackholed:
                exchange.gateway.faults.arm(Fault(where="rest:*", what="silence", count=None))
            took.append(await _once(exchange, orders, sink, run, "60000.0"))
            exchange.gateway.faults.clear()
        return took
    finally:
        await orders.stop()
        await exchange.stop()


def main() -> None:
    """Print p50 and the largest of each."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for name, blackholed in (("healthy", False), ("rest blackholed", True)):
        took = asyncio.run(_measured(runs, blackholed=blackholed))
        for what, column in (("gone", 0), ("proven", 1)):
            seconds = sorted(one[column] for one in took)
            print(f"{name:16} {what:7} p50 {seconds[len(seconds) // 2]:.3f} s  max {seconds[-1]:.3f} s  ({runs} runs)")


if __name__ == "__main__":
    main()
