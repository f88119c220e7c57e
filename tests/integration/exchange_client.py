"""A small client of the exchange for these tests: signed REST, private and trade sockets, the admin API."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec

from mmbot.exchange import rules
from mmbot.exchange.auth import sign
from mmbot.exchange.clock import VenueClock
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Market
from mmbot.exchange.opening import AccountTerms
from mmbot.exchange.switches import Switches
from mmbot.exchange.venue import Exchange

TOKEN = "admin-token"
SECRET = "SENTINEL-secret-5f1c"
SCOPE = {"category": "linear", "symbol": "BTCUSDT"}


class Still:
    """A market that nobody moves: 60,000 against 60,010, one BTC a side."""

    rounds = 0

    def open(self, market: Market, now_ns: int) -> None:
        """Set the book."""
        market.public_depth("snapshot", [(600_000, 1000)], [(600_100, 1000)], now_ns)

    def advance(self, market: Market, now_ns: int) -> None:
        """Nothing happens."""


class Client:
    """One account's way in."""

    def __init__(self, exchange: Exchange, clock: VenueClock, session: aiohttp.ClientSession, key: str) -> None:
        self.exchange, self.clock, self.session, self.key = exchange, clock, session, key

    def stamp(self) -> str:
        """Now, as the venue's clock has it."""
        return str(self.clock() // 1_000_000)

    async def send(self, method: str, path: str, query: str, body: bytes) -> aiohttp.ClientResponse:
        """A signed request; the caller reads the response."""
        stamp = self.stamp()
        payload = query.encode() if method == "GET" else body
        headers = {
            "X-BAPI-API-KEY": self.key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(SECRET, f"{stamp}{self.key}5000".encode() + payload),
        }
        url = f"{self.exchange.http}{path}" + (f"?{query}" if query else "")
        return await self.session.request(method, url, data=body or None, headers=headers)

    async def get(self, path: str, query: str = "") -> dict[str, Any]:
        """A GET and its answer."""
        async with await self.send("GET", path, query, b"") as response:
            return await response.json()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A POST and its answer."""
        async with await self.send("POST", path, "", msgspec.json.encode(body)) as response:
            return await response.json(content_type=None)

    async def create(self, **fields: Any) -> dict[str, Any]:
        """Place a limit order of 0.010 BTC over REST, buying at 59,000 unless told otherwise."""
        order = {**SCOPE, "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "59000", **fields}
        return await self.post("/v5/order/create", order)

    async def socket(self, link: str, *topics: str) -> "Link":
        """An authenticated socket with its topics subscribed, everything sent at once."""
        peer = await self.session.ws_connect(f"{self.exchange.ws}/v5/{link}", max_msg_size=0, autoping=False)
        expires = int(self.stamp()) + 1000
        await peer.send_json(
            {"op": "auth", "args": [self.key, expires, sign(SECRET, f"GET/realtime{expires}".encode())]}
        )
        opened = Link(peer, self)
        if topics:
            await peer.send_json({"op": "subscribe", "args": list(topics)})
        for _ in range(1 + bool(topics)):
            ack = await opened.hear()
            assert ack.get("success", ack.get("retCode") == 0), ack
        return opened

    async def admin(self, method: str, name: str, **ask: Any) -> Any:
        """An admin action."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self.exchange.http}/admin/{name}"
        async with self.session.request(method, url, json=ask, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def arm(self, where: str, what: str, **more: Any) -> None:
        """Arm a fault."""
        await self.admin("POST", "faults", where=where, what=what, **more)


class Link:
    """One socket."""

    def __init__(self, peer: aiohttp.ClientWebSocketResponse, client: Client) -> None:
        self.peer, self.client = peer, client

    async def hear(self, wait_s: float = 5.0) -> dict[str, Any]:
        """The next message."""
        message = await self.peer.receive(timeout=wait_s)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        return msgspec.json.decode(message.data)

    async def ends(self) -> int | None:
        """Read to the end; returns the close code."""
        async for _ in self.peer:
            continue
        return self.peer.close_code

    async def ask(self, op: str, **fields: Any) -> None:
        """Send an order request; a create is of 0.010 BTC at 59,000."""
        body = {**SCOPE, **fields}
        if op == "create":
            body = {"side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "59000", **body}
        stamp = {"X-BAPI-TIMESTAMP": self.client.stamp()}
        await self.peer.send_json({"op": f"order.{op}", "args": [body], "header": stamp})

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Messages up to the first that is wanted."""
        heard = []
        while not heard or not wanted(heard[-1]):
            heard.append(await self.hear())
        return heard


Body = Callable[[Client, Client], Awaitable[None]]


def trading(body: Body, **switches: Any) -> Exchange:
    """Run an exchange with a still market and two accounts around a test; returns it as it ended."""
    clock = VenueClock()
    market = Market(rules.linear("BTC", "0.10", "0.001", fees=("-0.00005", "0.0004")), clock)
    accounts = [
        AccountTerms(uid=uid, key=key, secret=SECRET, tier="unlimited", institutional=True)
        for uid, key in ((1001, "ann"), (1002, "bob"))
    ]
    exchange = Exchange.open(
        Hall([(market, Still())], clock), clock, accounts, switches=Switches(**switches), admin_token=TOKEN
    )

    async def run() -> None:
        async with AsyncExitStack() as stack:
            await exchange.start()
            stack.push_async_callback(exchange.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            async with asyncio.timeout(25):
                await body(*(Client(exchange, clock, session, key) for key in ("ann", "bob")))

    asyncio.run(run())
    return exchange
