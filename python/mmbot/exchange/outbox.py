"""What waits to be sent to one client, bounded.

    send ─▶ [ frames, at most `bytes_max` ] ─▶ pump ─▶ socket

The slow-consumer rule: frames are never dropped and never merged, because a book stream that misses one is broken; a
client that is `bytes_max` behind is cut instead, and finds out as it would at the venue: by a lost connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

from aiohttp import WSMsgType, web

__all__ = ["Outbox", "Tamper"]

Tamper: TypeAlias = Callable[["Outbox", str, bytes], Iterable[tuple[float, bytes]]]
"""What is sent instead of a frame: (delay in seconds, frame) for each, and nothing drops it. An ack has no topic."""

_CLOSE_WAIT_S = 1.0


class Outbox:
    """The sending side of a WebSocket. `tamper` makes faults of it; None sends everything as it is."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        bytes_max: int,
        tamper: Tamper | None = None,
    ) -> None:
        self.tamper = tamper
        self.muted = False
        """Half-open: nothing more is sent, and the connection stays."""
        self._socket = socket
        self._transport = transport
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._closing: asyncio.Task[None] | None = None

    def send(self, frame: bytes, topic: str = "") -> None:
        """Puts a text frame in line. Never waits; after a cut or a close it does nothing."""
        if self.tamper is None:
            self._enqueue(frame)
            return
        for delay_s, changed in self.tamper(self, topic, frame):
            if delay_s > 0:
                asyncio.get_running_loop().call_later(delay_s, self._enqueue, changed)
            else:
                self._enqueue(changed)

    def _enqueue(self, frame: bytes) -> None:
        if self._over or self.muted:
            return
        self._bytes += len(frame)
        if self._bytes > self._bytes_max:
            self.abort()
            return
        self._waiting.append(frame)
        self._wake.set()

    async def pump(self) -> None:
        """Sends until the connection is over; run it as a task beside the reader."""
        try:
            while not self._over and not self._socket.closed:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    frame = self._waiting.popleft()
                    await self._socket.send_frame(frame, WSMsgType.TEXT)
                    self._bytes -= len(frame)
        except ConnectionError:
            self._end()  # the reader ends at the same loss

    def abort(self) -> None:
        """Drops the connection as a broken network would, without a handshake that nobody would answer."""
        self._end()
        if self._transport is not None:  # no check of its class: uvloop's transports share none with asyncio's
            self._transport.abort()

    def cut_off(self, how: Literal["close", "going_away", "abort"]) -> None:
        """Ends the connection from the venue's side: close code 1000 or 1001, or no goodbye. Never waits."""
        if how == "abort":
            self.abort()
        elif not self._over:
            self._over = True
            self._closing = asyncio.create_task(self.close(1000 if how == "close" else 1001))

    async def close(self, code: int = 1000, reason: bytes = b"") -> None:
        """Closes in form, waiting a second at most for the peer."""
        self._end()
        try:
            await asyncio.wait_for(self._socket.close(code=code, message=reason), _CLOSE_WAIT_S)
        except TimeoutError:
            self.abort()

    def _end(self) -> None:
        self._over = True
        self._waiting.clear()
        self._bytes = 0
        self._wake.set()
