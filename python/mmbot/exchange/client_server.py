"""The client side on aiohttp: HTTP requests and sockets handed to the gateway, and its answers handed back.

All logic is in the gateway and the sockets' own modules; here are only bytes, waits and the ends of connections.
"""

import asyncio
import re
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias
from uuid import uuid4

from aiohttp import WSMessage, WSMsgType, web

from mmbot.exchange.answers import raw_query
from mmbot.exchange.gateway import PATHS, Call, Gateway, Reply
from mmbot.exchange.line import How, Line
from mmbot.exchange.private_socket import PrivateSocket
from mmbot.exchange.refusals import RefusedError
from mmbot.exchange.trade_socket import TradeSocket

__all__ = ["ClientSide"]

TICK_S = 0.05
SILENCE_S = 60.0
"""How long an HTTP request that is never answered stays open."""
FRAME_BYTES_MAX = 1 << 20
_CLOSE_CODES = {"close": 1000, "going_away": 1001}
_CLOSE_WAIT_S = 1.0
_ACTIVE_TIME = re.compile(r"(\d{1,4})([sm])")
Socket: TypeAlias = PrivateSocket | TradeSocket


class ClientSide:
    """A part of the server: the private REST paths, /v5/private, /v5/trade, and the gateway's heartbeat."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._beat: asyncio.Task[None] | None = None

    def routes(self) -> Iterable[web.RouteDef]:
        """Its route table."""
        yield from (web.route(method, path, self.rest) for path, method in PATHS.items())
        yield web.get("/v5/private", self.private)
        yield web.get("/v5/trade", self.trade)

    async def start(self) -> None:
        """Let the gateway notice that time passes."""
        self._beat = asyncio.create_task(self._tick(), name="exchange accounts")

    async def stop(self) -> None:
        """End every connection."""
        self.gateway.cut("", None, "going_away")
        if self._beat is not None:
            self._beat.cancel()
            with suppress(asyncio.CancelledError):
                await self._beat

    async def _tick(self) -> None:
        while True:
            self.gateway.tick()
            await asyncio.sleep(TICK_S)

    async def rest(self, request: web.Request) -> web.StreamResponse:
        """One HTTP request."""
        if request.method == "POST" and self.gateway.house.switches.entry_ms:
            await asyncio.sleep(self.gateway.house.switches.entry_ms / 1000)
        call = Call(
            method=request.method,
            path=request.path,
            query=raw_query(request),
            body=await request.read(),
            headers=request.headers,
            address=request.remote or "",
        )
        return await _deliver(request, self.gateway.rest(call))

    async def private(self, request: web.Request) -> web.StreamResponse:
        """One connection to `/v5/private`."""
        return await self._serve(request, PrivateSocket)

    async def trade(self, request: web.Request) -> web.StreamResponse:
        """One connection to `/v5/trade`."""
        return await self._serve(request, TradeSocket)

    async def _serve(self, request: web.Request, kind: type[PrivateSocket] | type[TradeSocket]) -> web.StreamResponse:
        gateway, address = self.gateway, request.remote or ""
        try:
            gateway.addresses.socket(address, gateway.now_ms())
        except RefusedError as error:
            raise web.HTTPForbidden(text=error.message) from error
        if gateway.state == "maintenance":
            raise web.HTTPServiceUnavailable(text="maintenance")
        peer = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=FRAME_BYTES_MAX)
        await peer.prepare(request)

        async def write(payload: bytes) -> None:
            await peer.send_frame(payload, WSMsgType.TEXT)

        async def end(how: How) -> None:
            await _end(request, peer, how)

        line = Line(write, end, gateway.faults)
        idle_ms = read_active_time(request.query.get("max_active_time", ""), gateway.house.switches.idle_ms)
        socket = kind(gateway, line, uuid4().hex[:20] + f"-{kind.link[0]}", address, idle_ms)
        line.strike(f"socket:{kind.link}")
        sender = asyncio.create_task(line.run())
        try:
            await self._read(peer, socket, line)
        finally:
            socket.gone()
            line.close()
            sender.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sender
        return peer

    async def _read(self, peer: web.WebSocketResponse, socket: Socket, line: Line) -> None:
        waiting: deque[str | bytes] = deque()
        loop = asyncio.get_running_loop()
        async for message in peer:
            if message.type is WSMsgType.PING:
                await _pong(peer, socket, line, message)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                entry_ms = self.gateway.house.switches.entry_ms
                if (entry_ms or waiting) and socket.link == "trade":
                    # Each alarm takes the oldest, so requests keep their order whatever the alarms do.
                    waiting.append(message.data)
                    loop.call_later(entry_ms / 1000, lambda: socket.heard(waiting.popleft()))
                else:
                    socket.heard(message.data)


async def _pong(peer: web.WebSocketResponse, socket: Socket, line: Line, message: WSMessage) -> None:
    socket.pinged()
    if not line.muted:
        await peer.pong(message.data)


async def _end(request: web.Request, peer: web.WebSocketResponse, how: How) -> None:
    if how != "abort":
        try:
            await asyncio.wait_for(peer.close(code=_CLOSE_CODES[how]), _CLOSE_WAIT_S)
        except TimeoutError:
            how = "abort"
    if how == "abort" and request.transport is not None:
        request.transport.abort()


async def _deliver(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send a reply when it is due, or fail to, as it says."""
    await asyncio.sleep(SILENCE_S if reply.body is None and not reply.abort else reply.delay_ms / 1000)
    if reply.body is None:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {"Server": "Openresty", **reply.headers}
    return web.Response(body=reply.body, status=reply.status, content_type="application/json", headers=headers)


def read_active_time(said: str, default_ms: int) -> int:
    """Read `max_active_time` ("30s" to "600s", or "1m" to "10m") as ms; the venue's own time for anything else."""
    found = _ACTIVE_TIME.fullmatch(said)
    if not found:
        return default_ms
    seconds = int(found[1]) * (60 if found[2] == "m" else 1)
    return seconds * 1000 if 30 <= seconds <= 600 else default_ms
