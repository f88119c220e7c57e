"""What the gateway costs, from a request to the bytes on the socket: `python -m benches.gateway_hop [REQUESTS]`.

One order and the cancel of it, again and again, over the adapter to an exchange in another process, three ways in the
same run and in turn:

    direct    the session alone
    inside    GatewayCore before it, in this process
    process   the same rules and session in a process of their own, behind the socket

Measured is from `send` to the trade socket's `send` in microseconds by one clock of the machine; for `process` the
other end writes its times down. Prints one JSON line per case. Nothing is asserted.
"""

import asyncio
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr

from mmbot.config import ExchangeConfig
from mmbot.gateway.client import GatewayOrders
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.gateway.limits import GatewayLimits
from mmbot.gateway.server import EngineLease, GatewayServer
from mmbot.ops.gateway_process import reference_feed, steady_ns
from mmbot.runtime.embedded import EmbeddedExchange
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import CancelOrder, Credentials, PlaceOrder

MARKET = {"category": "linear", "symbol": "BTCUSDT"}
LIMITS = GatewayLimits.model_validate(
    {
        "environment": "simulator",
        "exposure": "1000000000",
        "requests_per_second": 10_000,
        "requests_per_minute": 600_000,
        "symbol": [
            {**MARKET, "order_qty": "1", "order_notional": "1000000", "position": "10000", "collar_bps": 1_000},
        ],
    }
)
PACE_S = 0.01
NAMED = re.compile(rb'"op":"order.create".*"orderLinkId":"([^"]+)"')


class Ear:
    """A sink that counts what was acknowledged, and what was not."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}

    def on_facts(self, facts: Any, ts_recv: int) -> None:
        """Count them."""
        for fact in facts:
            self.kinds[type(fact).__name__] = self.kinds.get(type(fact).__name__, 0) + 1

    def on_link(self, event: Any) -> None:
        """Nothing."""


def tapped(session: BybitOrders, left: dict[str, int]) -> BybitOrders:
    """The session, noting when bytes are handed to the trade socket."""
    assert session._trade is not None
    link = session._trade.link
    send = link.send

    def noted(message: bytes) -> bool:
        done = send(message)
        now = steady_ns()
        if found := NAMED.search(message):
            left[found[1].decode()] = now
        return done

    link.send = noted  # type: ignore[method-assign]
    return session


async def drive(orders: Any, requests: int, price: str, prefix: str) -> dict[str, int]:
    """Place and cancel at a pace; when each place was handed over."""
    handed = {}
    for number in range(requests):
        name = f"{prefix}-{number}"
        place = PlaceOrder(client_id=name, side="buy", price=price, qty="0.001", post_only=True, **MARKET)
        handed[name] = steady_ns()
        orders.send([place])
        await asyncio.sleep(PACE_S)
        orders.send([CancelOrder(client_id=name, **MARKET)])
        await asyncio.sleep(PACE_S)
    return handed


def session_of(endpoint: Endpoint, credentials: Credentials, sink: Any, **more: Any) -> BybitOrders:
    """The adapter."""
    return BybitOrders(endpoint, credentials, sink, time.time_ns, instruments=[("linear", "BTCUSDT")], **more)


def gateway(url: str, key: str, secret: str, path: str, end: Connection) -> None:
    """The gateway's process: serve until told to end, then say when bytes left."""

    async def serve() -> None:
        left: dict[str, int] = {}
        endpoint = Endpoint.of("simulator", url)
        server = GatewayServer(lease=EngineLease(), uids=frozenset({os.geteuid()}))
        guard = server.guard = GuardedOrders(GatewayCore(LIMITS), server, steady=steady_ns, wall=time.time_ns)
        session = session_of(endpoint, Credentials(key=key, secret=SecretStr(secret)), guard, fence=server.lease)
        guard.attach(tapped(session, left), reference_feed(endpoint, guard))
        await guard.start()
        await server.start(Path(path))
        end.send("serving")
        await asyncio.to_thread(end.recv)
        end.send(left)
        await server.stop()
        await guard.stop()

    uvloop.run(serve())

    return {os.geteuid()}


async def measured(requests: int) -> None:
    """All three, on one exchange."""
    folder = Path(tempfile.mkdtemp())
    exchange = await EmbeddedExchange.start(ExchangeConfig(market="calm", seed=3), [], folder / "exchange.log")
    endpoint, credentials = Endpoint.of("simulator", exchange.url), exchange.credentials
    rounds: dict[str, list[float]] = {"direct": [], "inside": [], "process": []}
    heard = {name: Ear() for name in rounds}
    try:
        for turn in range(3):
            left: dict[str, int] = {}
            direct = tapped(session_of(endpoint, credentials, heard["direct"]), left)
            await direct.start()
            price = await touch_of(direct)
            rounds["direct"] += spans(await drive(direct, requests // 3, price, f"d{turn}"), left)
            await direct.stop()

            left = {}
            core = GatewayCore(LIMITS)
            core.engage(1)
            inside = GuardedOrders(core, heard["inside"], steady=steady_ns, wall=time.time_ns)
            inside.attach(tapped(session_of(endpoint, credentials, inside), left), reference_feed(endpoint, inside))
            await inside.start()
            rounds["inside"] += spans(await drive(inside, requests // 3, price, f"i{turn}"), left)
            await inside.stop()
            rounds["process"] += await hop(exchange, heard["process"], requests // 3, price, folder, turn)
    finally:
        await exchange.stop()
    for name, values in rounds.items():
        values.sort()
        shown = {"p50": values[len(values) // 2], "p99": values[len(values) * 99 // 100], "most": values[-1]}
        print(json.dumps({"case": name, "places": len(values), "us": shown, "facts": heard[name].kinds}))


async def hop(exchange: EmbeddedExchange, ear: Ear, requests: int, price: str, folder: Path, turn: int) -> list[float]:
    """One turn through a gateway in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    path = str(folder / f"gateway-{turn}.sock")
    key, secret = exchange.credentials.key, exchange.credentials.secret.get_secret_value()
    process = multiprocessing.get_context("spawn").Process(
        target=gateway, args=(exchange.url, key, secret, path, theirs)
    )
    process.start()
    assert await asyncio.to_thread(ours.recv) == "serving"
    orders = GatewayOrders(Path(path), ear, clock=time.time_ns, steady=steady_ns, epoch=lambda: 1)
    await orders.start()
    handed = await drive(orders, requests, price, f"p{turn}")
    await orders.stop()
    ours.send("end")
    left = await asyncio.to_thread(ours.recv)
    await asyncio.to_thread(process.join)
    return spans(handed, left)


async def touch_of(session: BybitOrders) -> str:
    """A price that rests: two per cent below the market's."""
    answer = await session._http.get(
        "/v5/market/orderbook", [("category", "linear"), ("symbol", "BTCUSDT"), ("limit", "1")], signed=False
    )
    return f"{float(json.loads(answer.result)['b'][0][0]) * 0.98:.1f}"


def spans(handed: dict[str, int], left: dict[str, int]) -> list[float]:
    """Microseconds from one to the other, of those that left."""
    return [(left[name] - before) / 1e3 for name, before in handed.items() if name in left]


if __name__ == "__main__":
    uvloop.run(measured(int(sys.argv[1]) if len(sys.argv) > 1 else 1_500))
