"""Order entry against a scripted Bybit on loopback: one answer to each request, whatever goes wrong."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
from pydantic import SecretStr
from scripted_bybit import Heardall, ScriptedBybit

from mmbot.venues.bybit.session import BybitOrders, OrdersTiming
from mmbot.venues.port import Acked, CancelOrder, Credentials, OrderSeen, PlaceOrder

KEY = Credentials(key="testkey", secret=SecretStr("sentinel-secret"))
FAST = OrdersTiming(ready_s=5, ack_s=0.2, shown_s=0.3, ask_s=0.02, cancel_all_look_s=0.02)


def place(client_id: str, **changed: object) -> PlaceOrder:
    """A post-only bid."""
    order = PlaceOrder(
        client_id=client_id, category="linear", symbol="BTCUSDT", side="buy", price="100.0", qty="0.01", post_only=True
    )
    return msgspec.structs.replace(order, **changed)


def cancel(client_id: str) -> CancelOrder:
    """The end of an order."""
    return CancelOrder(client_id=client_id, category="linear", symbol="BTCUSDT")


@asynccontextmanager
async def trading(
    timing: OrdersTiming = FAST, venue: ScriptedBybit | None = None
) -> AsyncIterator[tuple[ScriptedBybit, BybitOrders, Heardall]]:
    """A scripted venue and a session that is up."""
    async with venue or ScriptedBybit(KEY) as server:
        heard = Heardall()
        session = BybitOrders(
            server.endpoint,
            KEY,
            heard,
            time.time_ns,
            instruments=[("linear", "BTCUSDT")],
            timing=timing,
            random=Random(1),
        )
        await session.start()
        try:
            yield server, session, heard
        finally:
            await session.stop()


def test_requests_are_acknowledged_and_shown() -> None:
    """A place, a batch of two and a cancel are each answered once, and the stream shows each order."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            session.send([place("mm-2"), place("mm-3"), cancel("mm-1")])
            await heard.until(lambda: len(heard.of(Acked)) == 4 and heard.of(OrderSeen, "mm-3"))
            await heard.until(lambda: [seen.status for seen in heard.of(OrderSeen, "mm-1")] == ["live", "canceled"])
            assert len(venue.sent("order.create-batch")) == 1
            assert heard.states("trade") == ["up"]
            assert heard.states("private") == ["up"]

    asyncio.run(scenario())
