"""`/v5/public/{spot,linear,inverse}`: subscriptions over a WebSocket.

    {"req_id","op":"subscribe","args":[topic…]}  ─▶ ack, then snapshots; both `ack_ms` later, never before
    {"op":"ping"}                                ─▶ {"ret_msg":"pong",…}

`req_id` is given back as it came, whatever it is. Source: Bybit v5, "Connect" and the public streams; reject texts as
observed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from aiohttp import WSMessage, WSMsgType, web

from mmbot.exchange.client_text import read_json
from mmbot.exchange.hall import Hall
from mmbot.exchange.outbox import Outbox, Tamper
from mmbot.exchange.wire_text import dump

__all__ = ["PublicSockets"]

CATEGORIES = ("spot", "linear", "inverse")
_CONNECT_WINDOW_MS = 300_000


class _Client:
    """One connection and what it hears."""

    def __init__(self, category: str, outbox: Outbox) -> None:
        self.category = category
        self.outbox = outbox
        self.conn_id = str(uuid4())
        self.topics: dict[str, None] = {}

    def send(self, topic: str, frame: bytes) -> None:
        self.outbox.send(frame, topic)


class PublicSockets:
    """The public sockets of an exchange."""

    def __init__(self, hall: Hall) -> None:
        self.tamper: Tamper | None = None
        """Faults: what the frames of connections from now on become on the way."""
        self._hall = hall
        self._switches = hall.switches
        self._clients: set[_Client] = set()
        self._connects: dict[str, list[int]] = {}
        self._open: dict[tuple[str, str], int] = {}

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The route table."""
        return [web.get("/v5/public/{category}", self._connect)]

    @property
    def clients(self) -> int:
        """Open connections."""
        return len(self._clients)

    async def stop(self) -> None:
        """Closes every connection in form."""
        await asyncio.gather(*(client.outbox.close(1001, b"going away") for client in list(self._clients)))

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        category, address = request.match_info["category"], request.remote or ""
        if category not in CATEGORIES:
            raise web.HTTPNotFound
        if not self._admit(category, address):
            raise web.HTTPForbidden(text="access too frequent")
        self._open[category, address] = self._open.get((category, address), 0) + 1
        try:
            socket = web.WebSocketResponse(max_msg_size=self._switches.frame_bytes_max, compress=False)
            await socket.prepare(request)
            await self._serve(request, socket, category)
        finally:
            self._open[category, address] -= 1
            if not self._open[category, address]:
                del self._open[category, address]
        return socket

    def _admit(self, category: str, address: str) -> bool:
        now = self._hall.now_ms()
        recent = [at for at in self._connects.get(address, ()) if at > now - _CONNECT_WINDOW_MS]
        full = len(recent) >= self._switches.connects_max
        if not full:
            recent.append(now)
        self._connects[address] = recent
        return not full and self._open.get((category, address), 0) < self._switches.connections_max

    async def _serve(self, request: web.Request, socket: web.WebSocketResponse, category: str) -> None:
        outbox = Outbox(
            socket,
            request.transport,
            bytes_max=self._switches.backlog_bytes_max,
            tamper=self.tamper,
        )
        client = _Client(category, outbox)
        self._clients.add(client)
        pump = asyncio.ensure_future(outbox.pump())
        try:
            await self._read(client, socket)
        finally:
            pump.cancel()
            self._clients.discard(client)
            for topic in client.topics:
                self._hall.publisher.leave(category, topic, client)

    async def _read(self, client: _Client, socket: web.WebSocketResponse) -> None:
        while True:
            try:
                async with asyncio.timeout(self._switches.idle_ms / 1000):
                    message: WSMessage = await socket.receive()
            except TimeoutError:
                await client.outbox.close(1001, b"idle")
                return
            if message.type is not WSMsgType.TEXT:
                return  # closed, failed, or a binary frame, which this protocol does not know
            reply = self._reply(client, message.data)
            if reply is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(self._switches.ack_ms / 1000, client.outbox.send, dump(reply))

    def _reply(self, client: _Client, text: str) -> dict[str, Any] | None:
        """The answer to a frame; None where it answers by itself."""
        try:
            request = read_json(text)
        except ValueError:
            return self._ack(client, {}, "", "error:request is not valid JSON")
        if not isinstance(request, dict):
            return self._ack(client, {}, "", "error:request is not an object")
        op = request.get("op")
        if op == "ping":
            return self._ack(client, request, "ping", None) | {"ret_msg": "pong"}
        if op not in ("subscribe", "unsubscribe"):
            return self._ack(client, request, str(op), f"error:unknown op {op}")
        topics = request.get("args")
        if not isinstance(topics, list) or not topics or not all(isinstance(topic, str) for topic in topics):
            return self._ack(client, request, op, "error:args must be a list of topics")
        return (self._subscribe if op == "subscribe" else self._unsubscribe)(client, request, topics)

    def _ack(self, client: _Client, request: dict[str, Any], op: str, error: str | None) -> dict[str, Any]:
        said = "subscribe" if client.category == "spot" and op == "subscribe" else ""
        return {
            "success": error is None,
            "ret_msg": said if error is None else error,
            "conn_id": client.conn_id,
            "req_id": request.get("req_id", ""),
            "op": op,
        }

    def _subscribe(self, client: _Client, request: dict[str, Any], topics: list[str]) -> None:
        error, joined = self._judge(client, topics)
        ack = dump(self._ack(client, request, "subscribe", error))
        for topic in joined:
            client.topics[topic] = None

        def begin() -> None:
            client.outbox.send(ack)
            for topic in joined:
                if topic in client.topics and client in self._clients:
                    self._hall.publisher.join(client.category, topic, client)

        asyncio.get_running_loop().call_later(self._switches.ack_ms / 1000, begin)

    def _judge(self, client: _Client, topics: list[str]) -> tuple[str | None, list[str]]:
        """What is wrong with a subscription, and which of its topics begin nevertheless."""
        too_many = self._too_many(client, topics)
        if too_many is not None:
            return too_many, []
        knows, switches = self._hall.publisher.knows, self._switches
        bad = next((topic for topic in topics if not knows(client.category, topic)), None)
        fresh = [topic for topic in topics if topic not in client.topics and knows(client.category, topic)]
        if bad is not None:
            return f"error:handler not found,topic:{bad}", [] if switches.one_bad_topic_silences else fresh
        repeated = next((topic for topic in topics if topic in client.topics), None)
        if repeated is not None and switches.refuse_repeated_topic:
            return f"error:already subscribed,topic:{repeated}", fresh
        return None, list(dict.fromkeys(topics))

    def _too_many(self, client: _Client, topics: list[str]) -> str | None:
        switches = self._switches
        if client.category == "spot" and len(topics) > switches.spot_args_max:
            return f"error:args size exceeds {switches.spot_args_max}"
        if sum(map(len, [*client.topics, *topics])) > switches.args_chars_max:
            return f"error:args exceed {switches.args_chars_max} characters"
        return None

    def _unsubscribe(self, client: _Client, request: dict[str, Any], topics: list[str]) -> dict[str, Any] | None:
        for topic in topics:
            if topic in client.topics:
                del client.topics[topic]
                self._hall.publisher.leave(client.category, topic, client)
        return self._ack(client, request, "unsubscribe", None)
