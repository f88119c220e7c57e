"""Row 42: somebody changes key or account while the gateway trades; the exchange says so when asked."""

import asyncio
import time

import pytest
from paper_exchange import PaperExchange
from pydantic import SecretStr

from mmbot.exchange.auth import ApiKey
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.gateway.limits import GatewayLimits
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import Credentials, Fact, LinkEvent

pytestmark = pytest.mark.timeout(60)

TRADING = {"ContractTrade": ("Order", "Position"), "Spot": ("SpotTrade",)}
LIMITS = {
    "environment": "simulator",
    "exposure": "100000",
    "requests_per_second": 10,
    "requests_per_minute": 100,
    "symbol": [
        {
            "category": "linear",
            "symbol": "BTCUSDT",
            "order_qty": "0.1",
            "order_notional": "10000",
            "position": "1",
            "collar_bps": 50,
        }
    ],
}


class Links:
    """Keeps what is told of the attestation."""

    def __init__(self) -> None:
        self.states: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def on_facts(self, facts: list[Fact], ts_recv: int) -> None:
        """Nothing."""

    def on_link(self, event: LinkEvent) -> None:
        """Keep it."""
        if event.conn == "attestation":
            self.states.put_nowait((event.state, event.why))


def test_a_key_that_is_changed_while_trading_stops_what_is_new() -> None:
    """Somebody lets the key withdraw: everything new stops until that is taken back; then it goes on."""

    async def scenario() -> list[tuple[str, str]]:
        async with PaperExchange(tapes=[], kind="calm") as paper:

            def may(**more: tuple[str, ...]) -> None:
                paper.exchange.gateway.keyring.remove("thekey")
                key = ApiKey(key="thekey", secret="thesecret", uid=1001, scopes={**TRADING, **more})
                paper.exchange.gateway.keyring.add(key)

            may()
            links = Links()
            core = GatewayCore(GatewayLimits.model_validate(LIMITS))
            guard = GuardedOrders(core, links, steady=time.monotonic_ns, wall=time.time_ns, attest_s=0.2)
            session = BybitOrders(
                Endpoint.of("simulator", paper.exchange.http),
                Credentials(key="thekey", secret=SecretStr("thesecret")),
                guard,
                time.time_ns,
                instruments=[("linear", "BTCUSDT")],
            )
            guard.attach(session, None)
            await guard.start()
            try:
                async with asyncio.timeout(20):
                    assert core.faults == ()
                    may(Wallet=("Withdraw",))
                    stopped = await links.states.get()
                    assert core.faults
                    may()
                    return [stopped, await links.states.get()]
            finally:
                await guard.stop()

    (stale, why), (up, _) = asyncio.run(scenario())
    assert (stale, up) == ("stale", "up")
    assert "may withdraw" in why
