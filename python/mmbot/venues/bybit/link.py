"""One WebSocket that wants to be open: it connects, logs in, pings, notices silence, and starts again.

    connect ─ check the link ─ log in ─ up ─ … ─ down ─ pause, longer each time, never the same ─┐
       ▲                                                                                         │
       └──────────────────────────── at most so many in five minutes ───────────────────────────┘

What is said on it is its talker's business. A link that answers no ping is half open: it is told stale and dropped, for
what was sent on it may never have arrived.
Source: Bybit v5 documents, "Connect" (ping every 20 s; at most 500 connections in 5 minutes).
"""

import asyncio
import logging
from collections import deque
from random import Random
from typing import Protocol

import msgspec
import picows

from mmbot.venues.bybit.endpoints import Endpoint, InsecureLink
from mmbot.venues.port import VenueError

__all__ = ["Link", "LinkTiming", "Talker"]

log = logging.getLogger(__name__)

FRAME_BYTES_MAX = 16 << 20
"""Larger than any frame of this venue; what exceeds it ends the connection."""


class LinkTiming(msgspec.Struct, frozen=True, kw_only=True):
    """When to ping, when to give up and how fast to come back, in seconds."""

    connect_s: float = 5.0
    login_s: float = 5.0
    ping_s: float = 15.0
    pong_s: float = 5.0
    backoff_first_s: float = 0.25
    backoff_max_s: float = 30.0
    settled_s: float = 30.0
    connections_max: int = 60
    connections_window_s: float = 300.0


class Talker(Protocol):
    """Who speaks on a link. Called from its loop, one call at a time."""

    def ping(self) -> bytes:
        """The venue's own heartbeat request; its answer is passed to `Link.ponged`."""

    async def login(self) -> None:
        """Say what has to be said first. Raises VenueError where the link is of no use."""

    def on_frame(self, raw: bytes) -> None:
        """One message."""

    def on_up(self) -> None:
        """Logged in."""

    def on_stale(self, why: str) -> None:
        """Open, but nobody answers; `on_down` follows."""

    def on_down(self, why: str) -> None:
        """Closed, or could not be opened. Everything that was under way on it is lost."""


class _Listener(picows.WSListener):
    """Hands whole messages to the link; fragments are joined up to a bound."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self._pieces = bytearray()
        self.closed = ""

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        kind = frame.msg_type
        if kind == picows.WSMsgType.TEXT and frame.fin:
            self._link.heard(frame.get_payload_as_bytes())
        elif kind == picows.WSMsgType.CLOSE:
            self.closed = f"closed by the venue: {frame.get_close_code()} {frame.get_close_reason() or ''}".rstrip()
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif kind in (picows.WSMsgType.TEXT, picows.WSMsgType.BINARY, picows.WSMsgType.CONTINUATION):
            self._pieces += frame.get_payload_as_bytes()
            if len(self._pieces) > FRAME_BYTES_MAX:
                self.closed = f"a message beyond {FRAME_BYTES_MAX} bytes"
                transport.disconnect(graceful=False)
            elif frame.fin:
                whole = bytes(self._pieces)
                self._pieces.clear()
                self._link.heard(whole)


class Link:
    """A connection of one talker, kept open between `start` and `stop`."""

    def __init__(
        self, name: str, endpoint: Endpoint, url: str, talker: Talker, *, timing: LinkTiming, random: Random
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._url = url
        self._talker = talker
        self._timing = timing
        self._random = random
        self._transport: picows.WSTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self._why = ""
        self._up = asyncio.Event()
        self._failures = 0
        self._connected: deque[float] = deque()
        self._ponged_at = 0.0
        self._probe = asyncio.Event()

    # ----------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.create_task(self._run(), name=f"link {self.name}")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Close, and wait until it is closed. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def until_up(self) -> None:
        """Wait until the talker is logged in."""
        await self._up.wait()

    @property
    def is_up(self) -> bool:
        """Logged in and not known to be down."""
        return self._up.is_set()

    @property
    def last_why(self) -> str:
        """Why it last went down, "" if it never did."""
        return self._why

    # --------------------------------------------------------------------------------------------- traffic

    def send(self, message: bytes) -> bool:
        """Hand a message to the socket; False, and nothing sent, when there is none."""
        transport = self._transport
        if transport is None or transport.is_disconnected:
            return False
        transport.send(picows.WSMsgType.TEXT, message)
        return True

    def heard(self, raw: bytes) -> None:
        """Pass a message on."""
        self._talker.on_frame(raw)

    def ponged(self) -> None:
        """The venue answered a ping."""
        self._ponged_at = asyncio.get_running_loop().time()

    def probe(self) -> None:
        """Ping now: something that was sent has not been answered."""
        self._probe.set()

    def restart(self, why: str) -> None:
        """Drop the connection and make a new one."""
        self._why = why
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # ------------------------------------------------------------------------------------------------ loop

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._connection_allowed(loop.time())
            self._why = ""
            opened = loop.time()
            try:
                await self._connection()
            except (OSError, TimeoutError, picows.WSError, VenueError) as error:
                self._why = self._why or f"{type(error).__name__}: {error}"
            finally:
                self._close()
            self._failures = 0 if loop.time() - opened >= self._timing.settled_s else self._failures + 1
            await asyncio.sleep(self._pause())

    async def _connection(self) -> None:
        """One connection, from opening it to its end."""
        self._endpoint.verify()
        listener = _Listener(self)
        async with asyncio.timeout(self._timing.connect_s):
            transport, _ = await picows.ws_connect(
                lambda: listener,
                self._url,
                ssl_context=self._endpoint.context(self._url),
                websocket_handshake_timeout=self._timing.connect_s,
                max_frame_size=FRAME_BYTES_MAX,
                max_redirects=0,
            )
        self._transport = transport
        socket = transport.underlying_transport
        try:
            self._endpoint.check_link(self._url, socket.get_extra_info("ssl_object"), socket.get_extra_info("peername"))
        except InsecureLink:
            transport.disconnect(graceful=False)
            raise
        ended = asyncio.ensure_future(transport.wait_disconnected())
        speaking = asyncio.ensure_future(self._speak(transport))
        try:
            await asyncio.wait([ended, speaking], return_when=asyncio.FIRST_COMPLETED)
            if speaking.done():
                speaking.result()
            await ended
            self._why = self._why or listener.closed or "the connection ended"
        finally:
            speaking.cancel()
            ended.cancel()
            transport.disconnect(graceful=False)
            await asyncio.gather(speaking, ended, return_exceptions=True)

    async def _speak(self, transport: picows.WSTransport) -> None:
        """Log in, then ping until nobody answers."""
        async with asyncio.timeout(self._timing.login_s):
            await self._talker.login()
        self._up.set()
        self._talker.on_up()
        loop = asyncio.get_running_loop()
        while True:
            timer = loop.call_later(self._timing.ping_s, self._probe.set)
            try:
                await self._probe.wait()
            finally:
                timer.cancel()
            self._probe.clear()
            asked = loop.time()
            transport.send(picows.WSMsgType.TEXT, self._talker.ping())
            await asyncio.sleep(self._timing.pong_s)
            if self._ponged_at < asked:
                await asyncio.sleep(self._timing.pong_s / 4)  # the loop itself may have been held up; read what came
                if self._ponged_at < asked:
                    self._talker.on_stale(f"no answer to a ping in {self._timing.pong_s * 1.25:.1f} s: half open")
                    self.restart("half open")
                    return

    def _close(self) -> None:
        self._up.clear()
        self._transport = None
        self._talker.on_down(self._why or "stopped")

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A listener of ours that raised is our own mistake: loud, and not tried again."""
        if not task.cancelled() and (error := task.exception()) is not None:
            task.get_loop().call_exception_handler(
                {"message": f"link {self.name}: our own listener failed; it stays down", "exception": error}
            )

    # ---------------------------------------------------------------------------------------------- pauses

    async def _connection_allowed(self, now: float) -> None:
        while self._connected and self._connected[0] <= now - self._timing.connections_window_s:
            self._connected.popleft()
        if len(self._connected) >= self._timing.connections_max:
            wait = self._connected.popleft() + self._timing.connections_window_s - now
            log.warning("link %s: %d connections; pausing %.0f s", self.name, self._timing.connections_max, wait)
            await asyncio.sleep(wait)
        self._connected.append(asyncio.get_running_loop().time())

    def _pause(self) -> float:
        longest = min(self._timing.backoff_max_s, self._timing.backoff_first_s * 2.0 ** min(self._failures - 1, 16))
        return longest * self._random.uniform(0.5, 1.0)
