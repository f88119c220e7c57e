"""The engine's end of the socket: beats from the engine's own loop, and what the guardian answers, for `GuardianLink`.

A lost connection is opened again, every quarter of a second, as long as the run goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from mmbot.guardian.doors import reachable
from mmbot.guardian.link import Answered, Closed, GuardianLink, Lifted, LinkEvent, Opened, Pulse, Send
from mmbot.guardian.words import LINE_BYTES_MAX, Goodbye, GuardianBeat, TurnedAway, Unreadable, Welcome, decode, encode
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from mmbot.guardian.link import Reading
    from mmbot.guardian.words import Head
    from mmbot.risk.levels import FreezeAsked

__all__ = ["GuardianClient"]

BEAT_S = 0.25
CONNECT_S = 1.0
"""A guardian that hangs may still have its connections taken by the system, for a while."""
UNSENT_BYTES_MAX = 1 << 20


class GuardianClient:
    """Keeps one run in touch with its guardian.

    `freeze` takes what the link asks for; `broken` hears of a mistake here, after which nobody beats any more. Both are
    called from the loop.
    """

    def __init__(
        self,
        link: GuardianLink,
        socket: Path,
        *,
        clock: Callable[[], int],
        freeze: Callable[[FreezeAsked], None],
        broken: Callable[[BaseException], None],
    ) -> None:
        self._link, self._socket, self._clock, self._freeze, self._broken = link, socket, clock, freeze, broken
        self._writer: asyncio.StreamWriter | None = None
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def meet(self, within_s: float) -> Head | None:
        """Say hello, and return the last anchor that the guardian kept. Raises VenueError if nobody will watch us."""
        self._spawn(self._connected())
        try:
            async with asyncio.timeout(within_s):
                await self._answered.wait()
        except TimeoutError:
            raise VenueError(
                f"no guardian answers at {self._socket} within {within_s:g} s, and nobody would cancel if this run "
                "died: see guardian.log there"
            ) from None
        if self._link.welcome is None:
            raise VenueError(f"the guardian does not watch this run: {self._link.refused}")
        return self._link.welcome.anchor

    def begin(self, reading: Callable[[int], Reading]) -> None:
        """Beat from now on. `reading`: says what the engine believes; it is given how late the loop was, in ns."""
        self._spawn(self._beat(reading))

    def lifted(self) -> None:
        """People lowered a freeze of the run."""
        self._step(Lifted())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)

    async def leave(self, *, left: bool, why: str) -> None:
        """Say goodbye and close. `left`: the venue said that no order of ours is there."""
        for task in self._tasks[1:]:
            task.cancel()
        if self._writer is not None:
            self._send(encode(Goodbye(left=left, why=why)))
            with suppress(OSError):
                await asyncio.wait_for(self._writer.drain(), 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _step(self, event: LinkEvent) -> None:
        for command in self._link.step(event, self._clock()):
            if isinstance(command, Send):
                self._send(encode(command.message))
            else:
                self._freeze(command)

    def _send(self, line: bytes) -> None:
        transport = None if self._writer is None else self._writer.transport
        if transport is None or transport.is_closing():  # by the other end; whoever reads has not come to it yet
            return
        if transport.get_write_buffer_size() < UNSENT_BYTES_MAX:
            transport.write(line)

    async def _connected(self) -> None:
        while True:
            with suppress(OSError):  # nobody listens yet, or any more: what that means the link says
                await self._talk()
            await asyncio.sleep(BEAT_S)

    async def _talk(self) -> None:
        with reachable(self._socket) as path:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES_MAX)
        self._writer, why = writer, "the guardian closed the connection"
        try:
            self._step(Opened())
            while line := await reader.readline():
                message = decode(line)
                if isinstance(message, Welcome | TurnedAway | GuardianBeat):
                    self._step(Answered(message))
                    self._answered.set()
        except (Unreadable, ValueError) as error:
            why = str(error)
        finally:
            writer.close()
            self._writer = None
            self._step(Closed(why))

    async def _beat(self, reading: Callable[[int], Reading]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            late = max(0.0, loop.time() - due)
            self._step(Pulse(reading(round(late * 1e9))))
            due = loop.time() + BEAT_S
            await asyncio.sleep(BEAT_S)
