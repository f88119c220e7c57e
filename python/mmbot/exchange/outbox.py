"""What waits to be sent to one client, bounded.

    send ─▶ [ frames, at most `bytes_max` ] ─▶ pump ─▶ socket

The slow-consumer rule: frames are never dropped and never merged, because a book stream that misses one is broken; a
client that is `bytes_max` behind is cut instead, and finds out as it would at the venue: by a lost connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from aiohttp import WSMsgType, web

__all__ = ["Outbox", "Tamper"]

Tamper: TypeAlias = Callable[["Outbox", bytes], Iterable[tuple[float, bytes]]]
"""What is sent instead of a frame: (delay in seconds, frame) for each; nothing drops it. Faults are made with this."""

_CLOSE_WAIT_S = 1.0


class Outbox:
    """The sending side of a WebSocket. `label` says what kind of connection it is, for whoever makes faults."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.BaseTransport | None,
        *,
        bytes_max: int,
        label: str,
        tamper: Tamper | None = None,
    ) -> None:
        self.label = label
        self.tamper = tamper
        self.cut = False
        """Whether the client was cut for not reading."""
        self.sent = 0
        """Frames handed to the socket."""
        self._socket = socket
        self._transport = transport
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._over = False

    def send(self, frame: bytes) -> None:
        """Puts a text frame in line. Never waits; after a cut or a close it does nothing."""
        if self.tamper is None:
            self._enqueue(frame)
            return
        for delay, changed in self.tamper(self, frame):
            if delay > 0:
                asyncio.get_running_loop().call_later(delay, self._enqueue, changed)
            else:
                self._enqueue(changed)

    def send_later(self, delay_s: float, frame: bytes) -> None:
        """Puts a frame in line after a while; equal delays keep their order."""
        if delay_s > 0:
            asyncio.get_running_loop().call_later(delay_s, self.send, frame)
        else:
            self.send(frame)

    def _enqueue(self, frame: bytes) -> None:
        if self._over:
            return
        self._bytes += len(frame)
        if self._bytes > self._bytes_max:
            self.cut = True
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
                    self.sent += 1
        except ConnectionError:
            self._end()  # the reader ends at the same loss

    def abort(self) -> None:
        """Drops the connection as a broken network would, without a handshake that nobody would answer."""
        self._end()
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()

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
