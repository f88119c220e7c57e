"""The fence at the signature: asked with the very time that leaves, for places and amends, never for a cancel."""

import asyncio
import time
from random import Random

import pytest
from pydantic import SecretStr
from scripted_bybit import Heardall, ScriptedBybit

from mmbot.execution import FencedError
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import AmendOrder, CancelOrder, Credentials, OrderSeen, PlaceOrder, Refused

KEY = Credentials(key="testkey", secret=SecretStr("sentinel-77aa-secret"))
BTC = {"category": "linear", "symbol": "BTCUSDT"}


class Lease:
    """A fence that opens and closes as a test says, and keeps the times it was asked about."""

    def __init__(self) -> None:
        self.open = True
        self.asked: list[int] = []

    def check(self, ts_ms: int) -> None:
        """Hold back while closed."""
        self.asked.append(ts_ms)
        if not self.open:
            raise FencedError(f"the lease does not cover {ts_ms}")


@pytest.mark.parametrize("over_socket", [True, False], ids=["trade socket", "HTTP"])
def test_nothing_but_a_cancel_passes_a_closed_fence(over_socket: bool) -> None:
    """Held back, a place and an amend are refused as fenced and no byte leaves; the cancel of the same order does."""

    async def scenario() -> None:
        lease, heard = Lease(), Heardall()
        async with ScriptedBybit(KEY) as venue:
            endpoint = venue.endpoint
            if not over_socket:
                endpoint = type(endpoint)(
                    word="demo",
                    http=endpoint.http,
                    public_base=endpoint.public_base,
                    private=endpoint.private,
                    trade=None,
                )
            session = BybitOrders(
                endpoint, KEY, heard, time.time_ns, instruments=[("linear", "BTCUSDT")], random=Random(1), fence=lease
            )
            await session.start()
            try:
                session.send([PlaceOrder(client_id="mm-1", side="buy", price="100.0", qty="0.01", **BTC)])
                await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
                assert len(lease.asked) == 1
                if over_socket:
                    [asked] = venue.sent("order.create")
                    assert asked["header"]["X-BAPI-TIMESTAMP"] == str(lease.asked[0])
                before = len([name for name, _ in venue.requests if "create" in name or "amend" in name])
                lease.open = False
                session.send([PlaceOrder(client_id="mm-2", side="buy", price="100.0", qty="0.01", **BTC)])
                session.send([AmendOrder(client_id="mm-1", price="101.0", **BTC)])
                session.send([CancelOrder(client_id="mm-1", **BTC)])
                await heard.until(lambda: [seen.status for seen in heard.of(OrderSeen, "mm-1")][-1] == "canceled")
                await heard.until(lambda: len(heard.of(Refused)) == 2)
                assert {(fact.client_id, fact.request, fact.reason, fact.code) for fact in heard.of(Refused)} == {
                    ("mm-2", "place", "fenced", 0),
                    ("mm-1", "amend", "fenced", 0),
                }
                assert len([name for name, _ in venue.requests if "create" in name or "amend" in name]) == before
                assert len(lease.asked) == 3
            finally:
                await session.stop()

    asyncio.run(scenario())
