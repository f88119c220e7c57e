"""The order gate over the adapter at our exchange: trouble on the wire becomes a breaker, and cancels still pass."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from exchange_server import Account, Exchange
from pydantic import SecretStr

from mmbot.execution import ClientIds
from mmbot.runtime.gate import OrderGate
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import CancelOrder, Credentials, Fact, LinkEvent, OrderSeen, PlaceOrder, Refused

MARKET = ("linear", "BTCUSDT")
IDS = ClientIds("s", 1_796_000_000, "gte")
WAIT_S = 10


class Run:
    """The run's end of the gate."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.links: list[str] = []
        self._news = asyncio.Event()

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep them."""
        self.facts.extend(facts)
        self._news.set()

    def on_link(self, event: LinkEvent) -> None:
        """Keep its name and state."""
        self.links.append(f"{event.link} {event.conn} {event.state}".replace("  ", " "))
        self._news.set()

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._news.clear()
                await self._news.wait()

    def seen(self, client_id: str, status: str) -> bool:
        """Whether the venue showed an order in that state."""
        return any(
            isinstance(fact, OrderSeen) and (fact.client_id, fact.status) == (client_id, status) for fact in self.facts
        )


@asynccontextmanager
async def trading(
    exchange: Exchange, account: Account
) -> AsyncIterator[tuple[OrderGate, Run, Callable[[int], PlaceOrder]]]:
    """A gate that leads to the exchange, and how to word a bid that rests there."""
    run = Run()
    gate = OrderGate(run, time.time_ns)
    credentials = Credentials(key=account.key, secret=SecretStr(account.secret))
    gate.attach(
        BybitOrders(Endpoint.of("simulator", exchange.http), credentials, gate, time.time_ns, instruments=[MARKET])
    )
    best = exchange.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit=1)["result"]["b"][0][0]
    price = str(Decimal(best) * Decimal("0.98") // Decimal("0.1") * Decimal("0.1"))

    def bid(number: int) -> PlaceOrder:
        return PlaceOrder(
            client_id=IDS.name(number),
            category="linear",
            symbol="BTCUSDT",
            side="buy",
            price=price,
            qty="0.01",
            post_only=True,
        )

    await gate.start()
    try:
        yield gate, run, bid
    finally:
        await gate.stop()


def cancel(number: int) -> CancelOrder:
    """The end of an order."""
    return CancelOrder(client_id=IDS.name(number), category="linear", symbol="BTCUSDT")


@pytest.mark.parametrize(("code", "times"), [(10429, 1), (10006, 3)])
def test_trouble_at_the_venue_opens_the_breaker_and_every_order_can_still_be_cancelled(
    code: int, times: int, exchange: Exchange, account: Account
) -> None:
    """One "system protection" or three refusals for rate: no place leaves any more, cancels and cancel-all do."""
    for _ in range(times):
        fault = {"where": "trade:order.create", "what": "answer", "code": code, "skip": 3, "uid": account.uid}
        exchange.admin("POST", "faults", **fault)

    async def act() -> None:
        async with trading(exchange, account) as (gate, run, bid):
            gate.send([bid(1)])
            gate.send([bid(2)])
            gate.send([bid(3)])
            await run.until(lambda: run.seen(IDS.name(3), "live"))
            for number in range(4, 4 + times):
                gate.send([bid(number)])
            await run.until(lambda: "trade breaker down" in run.links)
            assert gate.circuit_breaker_state == 1
            gate.send([bid(9)])
            await run.until(lambda: any(isinstance(f, Refused) and f.client_id == IDS.name(9) for f in run.facts))
            gate.send([cancel(1)])
            await run.until(lambda: run.seen(IDS.name(1), "canceled"))
            assert await gate.cancel_all(*MARKET) >= 2
            assert await gate.open_orders(*MARKET) == []

    asyncio.run(act())
    assert exchange.truth(account)["open"] == []
