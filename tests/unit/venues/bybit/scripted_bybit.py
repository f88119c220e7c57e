"""A Bybit that does what a test says: real sockets on loopback, a few orders in a dictionary, and a script of faults.

It takes orders in and tells them as live, no more: there is no market. What a test wants to go wrong it puts into
`script`, by the name of an operation ("order.create") or a path ("/v5/order/cancel"): each entry is used once.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.orders_wire import sign
from mmbot.venues.port import Credentials, Fact, Heard, LinkEvent

Json = dict[str, Any]
Fault = Callable[[Json], Json | str | None]
"""Given a request, the answer in its place; "silence" answers nothing, "cut" ends the connection, None does nothing."""

KEY_READ = {
    "readOnly": 0,
    "permissions": {"ContractTrade": ["Order", "Position"], "Spot": ["SpotTrade"], "Wallet": []},
    "ips": ["127.0.0.1"],
    "uta": 1,
    "userID": 42,
    "expiredAt": "",
}


class ScriptedBybit:
    """The server. `async with ScriptedBybit(credentials) as venue: … venue.endpoint`."""

    def __init__(self, credentials: Credentials, *, skew_ms: int = 0) -> None:
        self.credentials = credentials
        self.skew_ms = skew_ms
        self.orders: dict[str, Json] = {}
        self.executions: list[Json] = []
        self.script: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, Json]] = []
        self.sockets: dict[str, list[web.WebSocketResponse]] = defaultdict(list)
        self.subscribed: list[list[str]] = []
        self.deaf: set[str] = set()  # kinds of socket that no longer answer anything
        self.mute_orders = False  # the private stream tells no orders
        self.unknown_topics: set[str] = set()
        self.key = dict(KEY_READ)
        self.behaviour = {"lpaSpot": True, "lpaPerp": False}
        self.position = {"symbol": "BTCUSDT", "side": "", "size": "0", "avgPrice": "0", "positionIdx": 0}
        self.terms = {
            "symbol": "BTCUSDT",
            "status": "Trading",
            "baseCoin": "BTC",
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "fundingInterval": 480,
            "priceFilter": {"tickSize": "0.1"},
            "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "100"},
        }
        self.on_public: Callable[[web.WebSocketResponse, Json], Any] = self._no_market
        self.answers = self._answers()
        self._runner: web.AppRunner | None = None
        self._saying: set[asyncio.Future[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "ScriptedBybit":
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, context: ssl.SSLContext | None = None) -> None:
        """Listen, on the same port as before if there was one."""
        app = web.Application()
        app.router.add_get("/v5/public/{category}", self._socket("public"))
        app.router.add_get("/v5/private", self._socket("private"))
        app.router.add_get("/v5/trade", self._socket("trade"))
        app.router.add_route("*", "/{path:.*}", self._http)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Drop every connection and stop listening."""
        await self.drop("public", "private", "trade")
        if self._runner is not None:
            await self._runner.cleanup()

    async def drop(self, *kinds: str) -> None:
        """End the connections of these kinds without a word."""
        for kind in kinds:
            for socket in self.sockets.pop(kind, []):
                if socket._req is not None and socket._req.transport is not None:
                    socket._req.transport.abort()
        await asyncio.sleep(0)

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return Endpoint.of("simulator", f"http://127.0.0.1:{self.port or 1}")

    def now_ms(self) -> int:
        """Its own clock."""
        return time.time_ns() // 1_000_000 + self.skew_ms

    def sent(self, name: str) -> list[Json]:
        """The requests of that name so far."""
        return [asked for one, asked in self.requests if one == name]

    # ------------------------------------------------------------------------------------------------ HTTP

    async def _http(self, request: web.Request) -> web.StreamResponse:
        path, raw = f"/{request.match_info['path']}", await request.read()
        asked = json.loads(raw) if raw else dict(request.query)
        self.requests.append((path, asked))
        if fault := self._fault(path, asked):
            if fault in ("silence", "cut"):
                if fault == "silence":
                    await asyncio.sleep(30)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            assert isinstance(fault, dict)
            return self._answered(**fault)
        if path != "/v5/market/time" and not path.startswith("/v5/market/"):
            refusal = self._unsigned(request, raw)
            if refusal:
                return self._answered(**refusal)
        return self._answered(result=self._result(path, asked))

    def _unsigned(self, request: web.Request, raw: bytes) -> Json | None:
        headers = request.headers
        stamp, window = headers["X-BAPI-TIMESTAMP"], headers["X-BAPI-RECV-WINDOW"]
        text = raw.decode() if request.method == "POST" else request.rel_url.raw_query_string
        if not self.now_ms() - int(window) <= int(stamp) < self.now_ms() + 1_000:
            return {"retCode": 10002, "retMsg": "invalid request, please check your server timestamp"}
        payload = f"{stamp}{self.credentials.key}{window}{text}".encode()
        if headers["X-BAPI-SIGN"] != sign(self.credentials, payload):
            return {"retCode": 10004, "retMsg": "error sign!"}
        return None

    def _answered(
        self, result: Any = None, status: int = 200, headers: Json | None = None, **said: Any
    ) -> web.Response:
        body = {"retCode": 0, "retMsg": "OK", "result": result or {}, "retExtInfo": {}, "time": self.now_ms(), **said}
        raw = said.get("raw")
        return web.Response(status=status, text=json.dumps(body) if raw is None else raw, headers=headers)

    def _result(self, path: str, asked: Json) -> Any:
        if path in self.answers:
            return self.answers[path](asked)
        if path.startswith("/v5/order/"):
            kind, _, batch = path.rpartition("/")[2].partition("-")
            return self._take_batch(f"order.{kind}", asked)[0] if batch else self._take(f"order.{kind}", asked)
        return {}

    def _answers(self) -> dict[str, Callable[[Json], Any]]:
        rates = {"takerFeeRate": "0.00055", "makerFeeRate": "-0.00005"}
        coins = [{"coin": "USDT", "walletBalance": "1000", "equity": "1000"}]
        return {
            "/v5/market/time": lambda _: {"timeNano": str(self.now_ms() * 1_000_000)},
            "/v5/market/instruments-info": lambda asked: {
                "category": asked["category"],
                "list": [{**self.terms, "symbol": asked["symbol"]}],
            },
            "/v5/user/query-api": lambda _: self.key,
            "/v5/account/info": lambda _: {"unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN"},
            "/v5/account/set-limit-px-action": self._set_behaviour,
            "/v5/account/user-setting-config": lambda _: self.behaviour,
            "/v5/account/query-dcp-info": lambda _: {"dcpInfos": []},
            "/v5/account/fee-rate": lambda asked: {"list": [{"symbol": asked["symbol"], **rates}]},
            "/v5/account/wallet-balance": lambda _: {"list": [{"coin": coins}]},
            "/v5/position/list": lambda _: {"list": [self.position]},
            "/v5/order/realtime": lambda asked: {"list": self._listed(asked, "New", "PartiallyFilled")},
            "/v5/order/history": lambda asked: {"list": self._listed(asked, "Filled", "Cancelled", "Rejected")},
            "/v5/execution/list": lambda _: {"list": self.executions},
            "/v5/order/cancel-all": self._cancel_all,
        }

    def _set_behaviour(self, asked: Json) -> Json:
        name = "lpaSpot" if asked["category"] == "spot" else "lpaPerp"
        self.behaviour[name] = asked["modifyEnable"] is (name == "lpaSpot")
        return {}

    def _cancel_all(self, asked: Json) -> Json:
        for order in list(self.orders.values()):
            if order["orderStatus"] == "New":
                self.tell_order(order["orderLinkId"], orderStatus="Cancelled", cancelType="CancelByUser")
        return {"list": [], "success": "1"}

    def _listed(self, asked: Json, *statuses: str) -> list[Json]:
        if name := asked.get("orderLinkId"):
            return [self.orders[name]] if name in self.orders else []
        return [order for order in self.orders.values() if order["orderStatus"] in statuses]

    # ----------------------------------------------------------------------------------------------- orders

    def _take(self, op: str, asked: Json) -> Json:
        name = asked.get("orderLinkId") or next(
            (one for one, order in self.orders.items() if order["orderId"] == asked.get("orderId")), ""
        )
        if op == "order.create":
            self.orders[name] = {
                "orderId": f"v-{name}",
                "orderLinkId": name,
                "category": asked["category"],
                "symbol": asked["symbol"],
                "side": asked["side"],
                "price": asked["price"],
                "qty": asked["qty"],
                "cumExecQty": "0",
                "orderStatus": "New",
                "rejectReason": "EC_NoError",
                "cancelType": "UNKNOWN",
                "updatedTime": str(self.now_ms()),
            }
            self.tell_order(name)
        elif op == "order.cancel":
            self.tell_order(name, orderStatus="Cancelled", cancelType="CancelByUser")
        else:
            self.tell_order(name, **{field: asked[field] for field in ("price", "qty") if field in asked})
        return {"orderId": self.orders[name]["orderId"], "orderLinkId": name}

    def _take_batch(self, op: str, asked: Json) -> tuple[Json, Json]:
        legs = [self._take(op, {**leg, "category": asked["category"]}) for leg in asked["request"]]
        return {"list": legs}, {"list": [{"code": 0, "msg": "OK"} for _ in legs]}

    def tell_order(self, name: str, **changed: str) -> None:
        """Change an order and tell it on the private stream."""
        self.orders[name] |= {"updatedTime": str(self.now_ms()), **changed}
        if not self.mute_orders:
            self.tell("order", [self.orders[name]])

    def execute(self, name: str, execution_id: str, qty: str = "0.01") -> Json:
        """An execution of an order, not told yet."""
        order = self.orders[name]
        said = {
            "category": order["category"],
            "symbol": order["symbol"],
            "orderId": order["orderId"],
            "orderLinkId": name,
            "execId": execution_id,
            "execPrice": order["price"],
            "execQty": qty,
            "execFee": "-0.0001",
            "execType": "Trade",
            "isMaker": True,
            "side": order["side"],
            "execTime": str(self.now_ms()),
        }
        self.executions.append(said)
        return said

    def tell(self, topic: str, rows: list[Json]) -> None:
        """Say something on every private socket."""
        self.say("private", json.dumps({"id": "x", "topic": topic, "creationTime": self.now_ms(), "data": rows}))

    def say(self, kind: str, text: str) -> None:
        """Send text on every open socket of a kind."""
        for socket in self.sockets[kind]:
            if not socket.closed and kind not in self.deaf:
                saying = asyncio.ensure_future(self._said(socket, text))
                self._saying.add(saying)
                saying.add_done_callback(self._saying.discard)

    async def _said(self, socket: web.WebSocketResponse, text: str) -> None:
        with contextlib.suppress(ConnectionError):  # the client may hang up on what it hears
            await socket.send_str(text)

    # ---------------------------------------------------------------------------------------------- sockets

    def _socket(self, kind: str) -> Callable[[web.Request], Any]:
        async def talk(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            self.sockets[kind].append(socket)
            async for message in socket:
                if message.type == WSMsgType.TEXT and kind not in self.deaf:
                    await self._spoken(kind, socket, json.loads(message.data))
            return socket

        return talk

    async def _spoken(self, kind: str, socket: web.WebSocketResponse, asked: Json) -> None:
        op = asked["op"]
        self.requests.append((f"{kind} {op}" if not op.startswith("order.") else op, asked))
        if fault := self._fault(op if op.startswith("order.") else f"{kind} {op}", asked):
            if fault == "cut":
                await self.drop(kind)
            elif fault != "silence":
                assert isinstance(fault, dict)
                await socket.send_str(fault.get("raw") or json.dumps({"op": op, "reqId": asked.get("reqId"), **fault}))
            return
        match op:
            case "ping" if kind == "trade":
                await socket.send_json({"retCode": 0, "retMsg": "OK", "op": "pong", "data": ["1"], "connId": "c"})
            case "ping":
                await socket.send_json({"success": True, "ret_msg": "pong", "op": "ping", "req_id": asked["req_id"]})
            case "auth" if kind == "trade":
                await socket.send_json({"retCode": 0, "retMsg": "OK", "op": "auth", "connId": "c"})
            case "auth":
                await socket.send_json({"success": True, "ret_msg": "", "op": "auth", "conn_id": "c"})
            case "subscribe" | "unsubscribe":
                await self._subscribe(op, socket, asked)
            case _:
                await self._order(op, socket, asked)

    async def _subscribe(self, op: str, socket: web.WebSocketResponse, asked: Json) -> None:
        refused = sorted(self.unknown_topics & set(asked["args"]))
        said = f"error:handler not found,topic:{refused[0]}" if refused else ""
        head = {"success": not refused, "ret_msg": said, "conn_id": "c"}
        await socket.send_json({**head, "req_id": asked["req_id"], "op": op})
        if op == "subscribe" and not refused:
            self.subscribed.append(asked["args"])
            await self.on_public(socket, asked)

    async def _no_market(self, socket: web.WebSocketResponse, asked: Json) -> None:
        """Nothing is told of any market."""

    async def _order(self, op: str, socket: web.WebSocketResponse, asked: Json) -> None:
        [argument] = asked["args"]
        kind, _, batch = op.partition("-")
        result, extra = self._take_batch(kind, argument) if batch else (self._take(kind, argument), {})
        limits = {"X-Bapi-Limit": "1000", "X-Bapi-Limit-Status": "999", "Timenow": str(self.now_ms())}
        said = {"retCode": 0, "retMsg": "OK", "op": op, "data": result, "retExtInfo": extra, "header": limits}
        await socket.send_json({"reqId": asked["reqId"], **said, "connId": "c"})

    def _fault(self, name: str, asked: Json) -> Json | str | None:
        return self.script[name].pop(0)(asked) if self.script.get(name) else None


class Heardall:
    """A sink that keeps what it is told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.records: list[Heard] = []
        self.links: list[LinkEvent] = []
        self.frames: list[bytes] = []
        self._news = asyncio.Event()

    def on_facts(self, facts: Any, ts_recv: int) -> None:
        """Keep facts."""
        self.facts.extend(facts)
        self._news.set()

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Keep frames."""
        self.frames.append(raw)

    def on_records(self, category: str, records: Any, ts_recv: int) -> None:
        """Keep records."""
        self.records.extend(records)
        self._news.set()

    def on_link(self, event: LinkEvent) -> None:
        """Keep link events."""
        self.links.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], Any], seconds: float = 5.0) -> Any:
        """Wait until something holds, of what was told here or of what the venue has seen; its value."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await self._news.wait()
        return found

    def of(self, kind: type, client_id: str = "") -> list[Any]:
        """Facts of a kind about an order, or about all."""
        return [
            fact
            for fact in self.facts
            if isinstance(fact, kind) and (not client_id or getattr(fact, "client_id", None) == client_id)
        ]

    def states(self, link: str) -> list[str]:
        """What became of a link, in order."""
        return [event.state for event in self.links if event.link == link]
