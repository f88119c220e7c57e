"""Two real processes, one lease in a real PostgreSQL, and the leader stopped between its check and its send.

    a leads, creates ─ SIGSTOP between check and send ··············· SIGCONT ─ its create leaves ─ refused: too old
    b stands by ─────────────── ttl ─ takes over ─ R + 2ε + M ─ creates
    c comes with another configuration: no lease

The venue is a model that knows no lease and no epoch; it refuses what is older than its receive window.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.execution.lease import FenceTerms
from mmbot.ops.chaos.failover import TAKEOVER_SLACK_MS, Failover
from mmbot.ops.chaos.findings import Chaos
from mmbot.ops.chaos.rigs import postgres
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ModelVenue", "fail_over_on_postgres"]

STEP_S = 20.0
"""How long any step of the exercise may take beyond the times that were asked for."""


@dataclass
class ModelVenue:
    """Takes creates over a socket, and looks at their age alone."""

    window_ms: int = FenceTerms().recv_window_ns // 1_000_000
    taken: list[tuple[int, int]] = field(default_factory=list)
    """(when, epoch) of every create that was accepted, ms since epoch."""
    refused: list[tuple[int, int]] = field(default_factory=list)
    """The same of what came too late."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client, line by line."""
        try:
            while line := await reader.readline():
                epoch, ts_ms = map(int, line.split())
                now = time.time_ns() // 1_000_000
                young = ts_ms - 1_000 <= now <= ts_ms + self.window_ms
                (self.taken if young else self.refused).append((now, epoch))
                self.moved.set()
                writer.write(b"ok\n" if young else b"10002 too old\n")
        except ConnectionError:
            return  # a client that was killed
        finally:
            writer.close()

    def in_turns(self) -> int:
        """How many creates of an older epoch were accepted after the first of a newer one."""
        first: dict[int, int] = {}
        for now, epoch in self.taken:
            first.setdefault(epoch, now)
        return sum(any(newer > epoch and first[newer] <= now for newer in first) for now, epoch in self.taken)

    async def until(self, holds: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait until something holds of what was taken. Raises VenueError."""
        try:
            async with asyncio.timeout(within_s):
                while not holds():
                    self.moved.clear()
                    await self.moved.wait()
        except TimeoutError:
            raise VenueError(f"{what}: not within {within_s:g} s") from None


class _Rival:
    """One contender, and what it tells."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self.reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, asked: dict[str, Any]) -> _Rival:
        """Start it with its orders."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mmbot.ops.chaos.contender", stdin=pipe, stdout=pipe
        )
        if process.stdin is None:
            raise VenueError("a contender has no stdin; start the exercise again")
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        return cls(process)

    async def _read(self) -> None:
        while self.process.stdout is not None and (line := await self.process.stdout.readline()):
            self.told.append({**json.loads(line), "at_ms": time.time_ns() // 1_000_000})
            self._news.set()

    async def until(self, event: str, within_s: float = STEP_S) -> dict[str, Any]:
        """Wait for an event, and return it. Raises VenueError."""
        try:
            async with asyncio.timeout(within_s):
                while not (found := [one for one in self.told if one["event"] == event]):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise VenueError(f"no {event!r} within {within_s:g} s; told so far: {self.told[-3:]}") from None
        return found[0]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """End it, also one that is stopped."""
        for number in (signal.SIGCONT, signal.SIGTERM):
            self.signal(number)
        try:
            async with asyncio.timeout(5):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self.reading


async def fail_over_on_postgres(asked: Failover, tell: Callable[[str], None]) -> Chaos:
    """Do it; the numbers and what is found in them. Raises VenueError where it cannot be done."""
    chaos, venue = Chaos("postgres", tell, asked.settings), ModelVenue()
    began = time.time_ns() // 1_000_000

    def since(ms: int | None = None) -> int:
        return (time.time_ns() // 1_000_000 if ms is None else ms) - began

    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmbot-chaos-")))
        server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        orders = {
            "dsn": rig.dsn,
            "ttl_ms": asked.ttl_ms,
            "renew_ms": asked.renew_ms,
            "venue": server.sockets[0].getsockname()[1],
        }
        first = await _Rival.start({**orders, "epoch_file": str(folder / "a")})
        stack.push_async_callback(first.end)
        old = (await first.until("leading"))["epoch"]
        chaos.say(since(), "leads", node="a", epoch=old)
        second = await _Rival.start({**orders, "epoch_file": str(folder / "b")})
        stack.push_async_callback(second.end)
        await second.until("standby")
        stranger = await _Rival.start({**orders, "epoch_file": str(folder / "c"), "config": "another"})
        stack.push_async_callback(stranger.end)
        no_lease = (await stranger.until("refused"))["why"]
        chaos.say(since(), "refused", node="c", why="configuration")
        await venue.until(lambda: len(venue.taken) >= asked.kill_at_ms // 40, STEP_S, "creates of the first leader")
        first.signal(signal.SIGUSR1)
        stopped = (await first.until("pausing"))["at_ms"]
        chaos.say(since(stopped), "stopped", node="a", where="between check and send")
        leading = await second.until("leading", asked.ttl_ms / 1_000 + STEP_S)
        new = leading["epoch"]
        chaos.say(since(leading["at_ms"]), "leads", node="b", epoch=new)
        await venue.until(lambda: venue.taken[-1][1] == new, STEP_S, "a create of the new leader")
        created = next(now for now, epoch in venue.taken if epoch == new)
        chaos.say(since(created), "created", node="b", epoch=new)
        first.signal(signal.SIGCONT)
        answered = await first.until("answered")
        chaos.say(since(answered["at_ms"]), "woken", node="a", answer=answered["answer"], age_ms=answered["age_ms"])
        why = (await first.until("fenced"))["why"]
        chaos.say(since(), "fenced", node="a", why=why.replace(" ", "_"))
        held = len(venue.taken)
        await venue.until(lambda: len(venue.taken) > held + 5, STEP_S, "creates go on")
        chaos.numbers = {
            "takeover_ms": leading["at_ms"] - stopped,
            "first_create_ms": created - stopped,
            "dual_leader": venue.in_turns(),
            "creates": len(venue.taken),
            "refused_by_the_venue": len(venue.refused),
        }
        _judge(chaos, asked, old=old, new=new, answer=answered["answer"], fenced=why, no_lease=no_lease)
    return chaos


def _judge(chaos: Chaos, asked: Failover, *, old: int, new: int, answer: str, fenced: str, no_lease: str) -> None:
    numbers, limit = chaos.numbers, asked.ttl_ms + TAKEOVER_SLACK_MS
    took = numbers["takeover_ms"]
    handover = FenceTerms().handover_ns // 1_000_000
    chaos.expect("takeover", f"{took:g} ms, at most {limit}", "the standby's polling", holds=took <= limit)
    chaos.expect("epoch", f"{old} then {new}", "fleet.sql", holds=new > old)
    chaos.expect(
        "the new leader waits",
        f"first create {numbers['first_create_ms']:g} ms after the stop, hand-over {handover} ms",
        "LeaseFence.taken",
        holds=numbers["first_create_ms"] >= handover,
    )
    chaos.expect("a parked create is refused", answer, "the venue's window", holds=answer.startswith("10002"))
    chaos.expect("a woken leader is fenced", fenced, "Leadership.check", holds=bool(fenced))
    chaos.expect("one leader", f"{numbers['dual_leader']:g} creates", "the fence", holds=not numbers["dual_leader"])
    chaos.expect("another configuration gets no lease", no_lease, "FleetLease", holds="no lease for it" in no_lease)
