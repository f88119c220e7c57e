"""The way out of one connection: messages leave when they are due, and faults strike them on the way.

Messages of one delay keep their order; those of different delays overtake each other, as the switches want it.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Coroutine
from typing import Literal, TypeAlias

from mmbot.exchange.faults import Fault, Faults, corrupted, oversized

__all__ = ["BACKLOG_MAX", "How", "Line"]

How: TypeAlias = Literal["close", "going_away", "abort"]
BACKLOG_MAX = 50_000
BACKLOG_BYTES_MAX = 1 << 26
"""A client that lets this many messages, or bytes of them, pile up is cut."""


class Line:
    """Outgoing messages of one connection. `write` sends a text frame, `end` ends the connection."""

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        end: Callable[[How], Coroutine[None, None, None]],
        faults: Faults,
    ) -> None:
        self.muted = False
        self.sent = 0
        self.uid: int | None = None
        self._write = write
        self._end = end
        self._faults = faults
        self._due: list[tuple[float, int, bytes | How]] = []
        self._count = 0
        self._bytes = 0
        self._kept: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = 0.0
        self._cut_off: asyncio.Future[None] | None = None

    def send(self, payload: bytes, delay_ms: float = 0.0, where: str = "") -> None:
        """Send a text frame after a delay. `where` is what a fault may name it by; "" is out of their reach."""
        fault = self._faults.strike(where, self.uid) if where else None
        if fault is not None:
            self._strike(payload, delay_ms, fault)
            return
        self._put(payload, delay_ms)
        while self._kept:
            self._put(self._kept.pop(), delay_ms)

    def strike(self, where: str) -> None:
        """Let a fault of the connection itself strike: cut it, or make it half-open."""
        fault = self._faults.strike(where, self.uid)
        if fault is not None:
            self._strike(b"", 0.0, fault)

    def cut(self, how: How, delay_ms: float = 0.0) -> None:
        """End the connection, after what is due before."""
        self._put(how, delay_ms)

    async def run(self) -> None:
        """Send what falls due, until the connection ends."""
        due, loop, wake = self._due, self._loop, self._wake
        while self._cut_off is None:
            if not due:
                wake.clear()
                await wake.wait()
            elif due[0][0] > loop.time():
                self._set_alarm(due[0][0])
                wake.clear()
                await wake.wait()
            else:
                what = heapq.heappop(due)[2]
                self._bytes -= len(what)
                if isinstance(what, str):
                    await self._end(what)
                    return
                if not self.muted:
                    self.sent += 1
                    await self._write(what)

    def close(self) -> None:
        """Forget everything that is not sent."""
        self._due.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _strike(self, payload: bytes, delay_ms: float, fault: Fault) -> None:
        match fault.what:
            case "duplicate":
                self._put(payload, delay_ms)
                self._put(payload, delay_ms)
            case "reorder":
                self._kept.append(payload)
                self._loop.call_later(fault.delay_ms / 1000, self._release, payload)
            case "delay":
                self._put(payload, delay_ms + fault.delay_ms)
            case "corrupt":
                self._put(corrupted(payload), delay_ms)
            case "oversize":
                self._put(oversized(payload), delay_ms)
            case "disconnect":
                self._put(fault.how, delay_ms)
            case "mute":
                self.muted = True
            case _:  # drop: it was never sent
                return

    def _release(self, payload: bytes) -> None:
        if payload in self._kept:
            self._kept.remove(payload)
            self._put(payload, 0.0)

    def _put(self, what: bytes | How, delay_ms: float) -> None:
        if not what:
            return
        if self._cut_off is not None:
            return
        if len(self._due) >= BACKLOG_MAX or self._bytes + len(what) > BACKLOG_BYTES_MAX:
            # Not through the queue: the sender may be waiting for this very client to read.
            self._due.clear()
            self._cut_off = asyncio.ensure_future(self._end("abort"))
            self._wake.set()
            return
        self._count += 1
        self._bytes += len(what)
        due = self._loop.time() + delay_ms / 1000
        heapq.heappush(self._due, (due, self._count, what))
        if due <= self._alarm_at or self._alarm is None:
            self._wake.set()

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wake.set()
