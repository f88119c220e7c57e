"""Virtual time: one heap of what happens next, and for each process of the world an event loop of its own on it.

    world = World(start_ns)
    node = NodeLoop(world, "engine")
    node.create_task(run())            the real asyncio code of a run, untouched
    world.run_until(t)                 everything up to then, in one order for ever

Nothing here reads a clock or rolls dice, and nothing runs at the same time as anything else: what happens is a function
of what was scheduled. A process can be paused (SIGSTOP: its callbacks wait, its timers are late) and killed (SIGKILL:
nothing of it runs again, no `finally` can reach the outside). Ties are broken by the order of scheduling.

Not handled: threads, sockets, subprocesses, signals: a process that wants one gets NotImplementedError. Nor context
variables: callbacks run in the context of whoever runs the world.
"""

from __future__ import annotations

import asyncio
from collections import deque
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

__all__ = ["KilledError", "NodeLoop", "StuckError", "World"]

NS_PER_S = 1_000_000_000
UNWIND_MAX = 20
TURNS_MAX = 20_000
"""What may happen in one instant: more is a loop without end."""
LIFE_TURNS_MAX = 1_000_000
"""Turns of a whole world, a hundred times the usual: more is a loop in which time creeps on."""


class StuckError(Exception):
    """Time stands still: some process schedules itself without end."""


class KilledError(BaseException):
    """The process was killed while it stood in a call: unwinds what it was doing, and nobody hears of it."""


class _Callback(asyncio.TimerHandle):
    """A callback that is due, without asyncio's context and debugging: most of what a world does is to run these."""

    __slots__ = ()

    def __init__(self, loop: NodeLoop, callback: Callable[..., object], args: tuple[object, ...], when: float) -> None:
        self._loop, self._args, self._when = loop, args, when
        self._callback: Callable[..., object] | None = callback
        self._cancelled = False
        self._repr = self._source_traceback = None  # what `repr` asks for

    def cancel(self) -> None:
        """As asyncio."""
        self._cancelled = True
        self._callback, self._args = None, ()

    def run(self) -> None:
        """Call it, once; it must not be cancelled."""
        callback = self._callback
        assert callback is not None
        try:
            callback(*self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001  as asyncio's own
            said = f"Exception in callback {callback!r}"
            self._loop.call_exception_handler({"message": said, "exception": error, "handle": self})


class World:
    """The clock of everything, in ns, and what is due."""

    def __init__(self, start_ns: int) -> None:
        self.now = start_ns
        self.start = start_ns
        self.turns = 0
        """What happened so far: callbacks of processes, and acts of the world."""
        self.stopped = False
        """Somebody has seen enough: nothing more happens."""
        self.trace = 0
        """Folds every callback's time and process: two runs with one trace did the same things in the same order."""
        self._due: list[tuple[int, int, NodeLoop | None, Any]] = []
        self._ready: deque[tuple[NodeLoop, _Callback]] = deque()
        self._running: NodeLoop | None = None
        self._sequence = 0

    def at(self, when: int, act: Callable[[], object]) -> None:
        """Let something of the world happen then: a message arrives, a disk fails, somebody kills a process."""
        self.deliver(when, None, act)

    def deliver(self, when: int, loop: NodeLoop | None, act: Callable[[], object]) -> None:
        """Let it happen then, in a process where one is named."""
        self._sequence += 1
        what = act if loop is None else _Callback(loop, act, (), 0.0)
        heappush(self._due, (when if when > self.now else self.now, self._sequence, loop, what))

    def after(self, delay: int, act: Callable[[], object]) -> None:
        """Let it happen `delay` ns from now."""
        self._sequence += 1
        heappush(self._due, (self.now + delay, self._sequence, None, act))

    def _soon(self, loop: NodeLoop, handle: _Callback) -> None:
        self._ready.append((loop, handle))

    def run_until(self, until: int) -> None:
        """Let everything happen that is due up to then. Raises StuckError, and whatever the world's own acts raise."""
        before = self._running
        try:
            self._turn_until(until)
        finally:
            self.enter(before)

    def enter(self, loop: NodeLoop | None) -> NodeLoop | None:
        """Make it the running loop, as asyncio knows it; returns the one that was."""
        before = self._running
        if before is not loop:
            asyncio._set_running_loop(loop)
            self._running = loop
        return before

    def _turn_until(self, until: int) -> None:
        due, ready = self._due, self._ready
        most = self.turns + TURNS_MAX
        while not self.stopped:
            if not most >= self.turns <= LIFE_TURNS_MAX:
                raise StuckError(f"{self.turns} turns by {self.now}; next is {(ready or due)[0][-1]!r}")
            if ready:
                loop, handle = ready.popleft()
            else:
                if not due or due[0][0] > until:
                    self.now = max(self.now, until)
                    return
                when, _, node, handle = heappop(due)
                if when != self.now:
                    self.now, most = when, self.turns + TURNS_MAX
                if node is None:
                    self.turns += 1
                    self.trace = hash((self.trace, when))
                    self.enter(None)
                    handle()
                    continue
                loop = node
            if handle._cancelled or loop.dead:
                continue
            if loop.paused or loop.blocked:
                loop.backlog.append(handle)
                continue
            self.turns += 1
            self.trace = hash((self.trace, self.now, loop.number))
            if self._running is not loop:
                self.enter(loop)
            handle.run()

    def stand_still(self, loop: NodeLoop, until: int) -> None:
        """Let the world go on while a process stands in a call: until then, and as long as the process is stopped.

        Called from a callback of that process, one process at a time. Raises KilledError where it was killed in it.
        """
        loop.blocked = True
        try:
            self.run_until(until)
            while loop.paused and self._due and not (loop.dead or self.stopped):
                self.run_until(self._due[0][0])
        finally:
            loop.blocked = False
        if loop.dead:
            raise KilledError
        loop.release()


class NodeLoop(asyncio.AbstractEventLoop):
    """The event loop of one life of one process. `number` tells lives apart in the trace.

    complain: hears of exceptions that nobody caught, as asyncio's own handler would.
    """

    def __init__(self, world: World, number: int, complain: Callable[[dict[str, Any]], object]) -> None:
        self.world, self.number = world, number
        self.dead = False
        self.paused = False
        self.blocked = False
        """It stands in a call (`World.stand_still`)."""
        self.backlog: list[_Callback] = []
        self._complain = complain
        self._tasks: list[asyncio.Task[Any]] = []

    # ---- what happens to a process

    def pause(self) -> None:
        """SIGSTOP: nothing of it runs until `resume`; what becomes due waits."""
        self.paused = True

    def resume(self) -> None:
        """SIGCONT: what waited runs now, late."""
        self.paused = False
        self.release()

    def release(self) -> None:
        """What waited runs now, unless it still has to wait."""
        if self.paused or self.blocked:
            return
        backlog, self.backlog = self.backlog, []
        for handle in backlog:
            self.world._soon(self, handle)

    def kill(self) -> None:
        """SIGKILL. Its coroutines are closed here, not by the garbage collector at a time of its own; whatever they
        still do in `finally` must meet ports that are closed.
        """
        self.dead = True
        self.backlog.clear()
        before = self.world.enter(self)  # who kills may be a process itself
        try:
            for task in self._tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    _close(task.get_coro())
        finally:
            self.world.enter(before)
        self._tasks.clear()

    def unwind(self, task: asyncio.Task[Any]) -> None:
        """SIGKILL of a process whose coroutines have to await to their end, as context managers do: what the task still
        does runs here, at once, and must meet ports that are closed already.
        """
        self.paused = False
        task.cancel()
        for _ in range(UNWIND_MAX):
            mine = [*self.backlog, *(handle for loop, handle in self.world._ready if loop is self)]
            self.backlog.clear()
            others = [pair for pair in self.world._ready if pair[0] is not self]
            self.world._ready.clear()
            self.world._ready.extend(others)
            before = self.world.enter(self)
            try:
                for handle in mine:
                    if not handle.cancelled():
                        handle.run()
            finally:
                self.world.enter(before)
            if task.done():
                break
        self.kill()

    # ---- what asyncio asks of a loop

    def time(self) -> float:
        """Seconds since the world began."""
        return (self.world.now - self.world.start) / NS_PER_S

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio."""
        handle = _Callback(self, callback, args, 0.0)
        self.world._ready.append((self, handle))
        return handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio; to the nanosecond."""
        return self._timer(self.world.start + round(when * NS_PER_S), callback, args)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio."""
        return self._timer(self.world.now + round(delay * NS_PER_S), callback, args)

    def _timer(self, due: int, callback: Callable[..., object], args: tuple[object, ...]) -> _Callback:
        """Call back at a time of the world; what asks for its `when` hears seconds, as of `time`."""
        world = self.world
        handle = _Callback(self, callback, args, (due - world.start) / NS_PER_S)
        world._sequence += 1
        heappush(world._due, (due if due > world.now else world.now, world._sequence, self, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """As asyncio."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """As asyncio."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        if len(self._tasks) > 64:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell whoever watches the process, while there is one."""
        if not self.dead:
            self._complain(context)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """As long as it lives."""
        return not self.dead

    def is_closed(self) -> bool:
        """Once it is dead."""
        return self.dead


def _close(coro: Generator[Any, Any, Any] | Coroutine[Any, Any, Any] | None) -> None:
    try:
        if coro is not None:
            coro.close()
    except (Exception, asyncio.CancelledError):  # noqa: BLE001  of a process that is dead, nobody is left to tell
        return
