"""The guardian as a process: a socket for engines, a link to the venue, a file of anchors, and `GuardianCore` between.

One asyncio loop, nothing shared with an engine but the folder of the account. What the core wants done is done here,
and what it decides on is told to it here; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TypeAlias

from mmbot.guardian.core import (
    Alarm,
    Blind,
    CancelEverything,
    Cancelled,
    Command,
    Cut,
    End,
    Event,
    GuardianCore,
    Heard,
    KeepAnchor,
    Latched,
    Look,
    Looked,
    Said,
    Say,
    StopCancelling,
    Tick,
)
from mmbot.guardian.doors import peer_of, reachable
from mmbot.guardian.words import LINE_BYTES_MAX, Beat, Goodbye, Hello, Unreadable, decode, encode
from mmbot.risk.levels import FreezeLevel
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from mmbot.guardian.anchors import AnchorKeeper
    from mmbot.guardian.venue import Outcome, Seen

__all__ = ["Guarded", "GuardianSession", "Latch", "alone"]

TICK_S = 0.1
LATCH_S = 0.5
"""How often the latch on disk is read."""
LOOK_S = 8.0
"""A look that takes longer is given up."""
UNSENT_BYTES_MAX = 1 << 20
"""What may wait for an engine that does not read; beyond that it is told nothing."""


class Guarded(Protocol):
    """A venue, as far as a guardian needs it: see `GuardedVenue`."""

    async def look(self) -> Seen:
        """Ask for open orders and positions. Raises VenueError."""

    async def cancel(self, *, foreign: bool) -> Outcome:
        """Cancel until nothing is open, as long as one cancelling may take."""


Latch: TypeAlias = "Callable[[], tuple[FreezeLevel, str]]"
"""Says how far the account is frozen on disk, and why. Raises OSError, ValueError."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the account's guardian lock in the file at `path`, with our process id in it, until the end.

    Raises VenueError where another guardian holds it.
    """
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise VenueError(
                f"another guardian watches this account, process {file.read().strip() or '?'} ({path}): "
                "a run finds it by itself; end it first to start one by hand"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class GuardianSession:
    """Runs a core until it says that the watch is over. `told`: hears what it does, one event at a time."""

    def __init__(
        self,
        core: GuardianCore,
        venue: Guarded,
        anchors: AnchorKeeper,
        *,
        socket: Path,
        latch: Latch | None = None,
        told: Callable[[dict[str, object]], None],
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self._core, self._venue, self._anchors = core, venue, anchors
        self._socket, self._latch, self._told = socket, latch, told
        self._clock, self._wall = clock, wall
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._pids: dict[int, int] = {}
        self._conns = 0
        self._cancelling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._heads: asyncio.Queue[KeepAnchor] = asyncio.Queue()
        self._end: asyncio.Future[End] | None = None

    async def run(self) -> End:
        """Listen, watch, and act until the end. Raises OSError where socket or anchors cannot be had."""
        self._end = asyncio.get_running_loop().create_future()
        self._socket.unlink(missing_ok=True)  # of a guardian that was killed: `alone` says that none is there now
        before = os.umask(0o177)
        try:
            with reachable(self._socket) as path:
                server = await asyncio.start_unix_server(self._serve, path, limit=LINE_BYTES_MAX)
        finally:
            os.umask(before)
        for work in (self._tick(), self._keep_anchors()):
            self._spawn(work)
        if self._latch is not None:
            self._spawn(self._watch_latch(self._latch))
        try:
            return await self._end
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._drain_heads()
            for pidfd in self._pids.values():
                asyncio.get_running_loop().remove_reader(pidfd)
                os.close(pidfd)
            for writer in self._writers.values():
                writer.close()
            self._socket.unlink(missing_ok=True)

    def ask_to_end(self, why: str) -> None:
        """End the watch because a person said so."""
        self._over(End(True, why))

    # ---- events in, commands out

    def _step(self, event: Event) -> None:
        for command in self._core.step(event, self._clock()):
            self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Say(conn, message):
                self._say(conn, encode(message))
            case Look():
                self._spawn(self._look())
            case CancelEverything(foreign):
                self._cancelling = self._spawn(self._cancel(foreign))
            case StopCancelling():
                if self._cancelling is not None:
                    self._cancelling.cancel()
            case KeepAnchor():
                self._heads.put_nowait(command)
            case Alarm(cause, words, times):
                self._told({"event": "alarm", "cause": cause, "why": words, "times": times})
            case Said(what, words):
                self._told({"event": what, "why": words})
            case End():
                self._over(command)

    def _over(self, end: End) -> None:
        if self._end is not None and not self._end.done():
            self._end.set_result(end)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        """Our own mistake ends the process loudly: the engine freezes when it hears nothing more."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._told({"event": "broken", "why": repr(error)})
            if self._end is not None and not self._end.done():
                self._end.set_exception(error)

    async def _tick(self) -> None:
        while True:
            self._step(Tick())
            await asyncio.sleep(TICK_S)

    # ---- engines

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = peer_of(writer.get_extra_info("socket"))
        if peer.uid != os.getuid():
            self._told({"event": "turned away", "why": f"user {peer.uid} is not the guardian's"})
            writer.close()
            return
        self._conns += 1
        conn = self._conns
        self._writers[conn] = writer
        self._watch_process(conn, peer.pid)
        why = "it closed the connection"
        try:
            while line := await reader.readline():
                message = decode(line)
                if isinstance(message, Hello | Beat | Goodbye):
                    self._step(Heard(conn, message, self._wall() // 10**9))
        except (OSError, Unreadable, ValueError) as error:  # ValueError: a line beyond the limit
            why = str(error)
        finally:
            self._writers.pop(conn, None)
            writer.close()
            self._step(Cut(conn, not self._lives(conn), f"{why}, process {peer.pid}"))

    def _watch_process(self, conn: int, pid: int) -> None:
        """Hear at once when the process is gone; a stopped one is not."""
        try:
            self._pids[conn] = os.pidfd_open(pid)
        except OSError as error:  # gone already, which the connection tells, or a system without it
            self._told({"event": "unwatched", "why": f"process {pid}: {error}"})
            return
        asyncio.get_running_loop().add_reader(self._pids[conn], self._died, conn, pid)

    def _lives(self, conn: int) -> bool:
        return conn in self._pids

    def _died(self, conn: int, pid: int) -> None:
        pidfd = self._pids.pop(conn)
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        if conn not in self._writers:
            self._step(Cut(conn, True, f"process {pid} is gone"))
        # Otherwise what it said last, a goodbye perhaps, may lie unread; then the connection ends, and its end says so.

    def _say(self, conn: int, line: bytes) -> None:
        writer = self._writers.get(conn)
        if writer is None or writer.transport.is_closing():
            return
        if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            return
        writer.write(line)

    # ---- the venue

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                seen = await self._venue.look()
        except (VenueError, TimeoutError) as error:
            self._step(Blind(str(error) or f"no answer within {LOOK_S:g} s"))
        else:
            self._step(Looked(seen.resting, seen.positions))

    async def _cancel(self, foreign: bool) -> None:
        outcome = await self._venue.cancel(foreign=foreign)
        self._step(Cancelled(outcome.zero, outcome.seen, outcome.why))

    # ---- the disk

    async def _watch_latch(self, latch: Latch) -> None:
        failed = ""
        while True:
            try:
                level, why = latch()
            except (OSError, ValueError) as error:
                if str(error) != failed:
                    failed = str(error)
                    self._told({"event": "latch", "why": f"cannot be read: {error}"})
            else:
                failed = ""
                self._step(Latched(level, why))
            await asyncio.sleep(LATCH_S)

    async def _keep_anchors(self) -> None:
        """One after the other, in a thread: a slow disk must not keep the guardian from watching."""
        while True:
            head = (await self._heads.get()).head
            try:
                await asyncio.to_thread(self._anchors.keep, head, self._wall())
            except OSError as error:
                self._told({"event": "alarm", "cause": "anchors", "why": str(error), "times": 1})

    def _drain_heads(self) -> None:
        while not self._heads.empty():
            with suppress(OSError):
                self._anchors.keep(self._heads.get_nowait().head, self._wall())
