"""A small world for the fence: leaders that are paused anywhere, a keeper of leases, a venue that checks ages alone.

Time is one true clock, ns. Every reading of it by anybody is off: the venue's time as a leader estimates it by up to ε,
afresh each time; the keeper's clock by up to seconds, and it jumps; its rows may come back older. Between any two steps
of a leader lies a pause; a request may be parked on its way for as long.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmbot.execution.lease import FenceTerms, LeaseFence, LeaseRow, Watched, watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

MS = 1_000_000
SECOND = 1_000 * MS
TTL = 1_500 * MS
RENEW = 500 * MS
AHEAD = 1_000 * MS  # the venue refuses what is further ahead of its clock
PAUSES = (MS, 20 * MS, 200 * MS, 900 * MS, 1_600 * MS, 2_500 * MS, 7_000 * MS, 600 * SECOND)
PARKED = (MS, MS, 1_500 * MS, 1_900 * MS, 5_000 * MS)
BUGS = ("stamp after check", "no wait at takeover", "expiry from the answer", "trusts the keeper's clock")


@dataclass
class Keeper:
    """Holds the row; each call is one transaction. Its clock is its own."""

    random: Random
    ahead: int = 0
    row: LeaseRow = field(default_factory=lambda: LeaseRow(epoch=0, beat=0, holder="", ttl_ns=TTL, left_ns=0))
    ends: int = 0
    """By its own clock."""
    older: tuple[LeaseRow, int] | None = None

    def read(self, now: int) -> LeaseRow:
        """What it says now."""
        return replace(self.row, left_ns=self.ends - (now + self.ahead))

    def take(self, now: int, who: str, seen: LeaseRow) -> int | None:
        """Raise the epoch for whoever saw the row as it is, and over."""
        row = self.read(now)
        if (row.epoch, row.beat) != (seen.epoch, seen.beat) or not (row.free or row.left_ns <= 0):
            return None
        self.row = replace(row, epoch=row.epoch + 1, beat=row.beat + 1, holder=who)
        self.ends = now + self.ahead + TTL
        return self.row.epoch

    def renew(self, now: int, who: str, epoch: int) -> bool:
        """Let the holder keep it."""
        if (self.row.holder, self.row.epoch) != (who, epoch):
            return False
        self.row = replace(self.row, beat=self.row.beat + 1)
        self.ends = now + self.ahead + TTL
        return True

    def trouble(self, *, jumps: bool) -> None:
        """Its clock jumps, or it fails over to a copy that lags."""
        if jumps and self.random.random() < 0.3:
            self.ahead = self.random.randrange(-30 * SECOND, 30 * SECOND)


@dataclass
class Venue:
    """Knows no lease and no epoch: it looks at the age of a request."""

    window: int
    taken: list[tuple[int, int]] = field(default_factory=list)
    """(when, epoch) of every create that was accepted."""

    def hear(self, now: int, ts: int, epoch: int) -> None:
        """Accept what is young enough."""
        if ts - AHEAD <= now <= ts + self.window:
            self.taken.append((now, epoch))

    def breaches(self) -> list[tuple[int, int]]:
        """Pairs of epochs that both had creates accepted, in turns."""
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for now, epoch in sorted(self.taken):
            first.setdefault(epoch, now)
            last[epoch] = now
        return [(old, new) for old in first for new in first if old < new and last[old] >= first[new]]


class World:
    """Some leaders, moved step by step in the order of true time; `bugs` plants one of `BUGS`."""

    def __init__(self, random: Random, *, leaders: int = 3, bugs: frozenset[str] = frozenset(), jumps: bool = True):
        self.random, self.bugs, self.jumps = random, bugs, jumps
        self.now, self.terms = 1_000 * SECOND, FenceTerms()
        self.keeper, self.venue = Keeper(random), Venue(self.terms.recv_window_ns)
        self._calm = random.choice((0.5, 0.9, 0.98))
        """How often nothing happens between two steps, in this world."""
        self._turn = 0
        self._agenda: list[tuple[int, int, Iterator[int]]] = []
        for number in range(leaders):
            self._plan(0, self._leader(f"leader {number}"))

    def _plan(self, delay: int, steps: Iterator[int]) -> None:
        self._turn += 1
        heapq.heappush(self._agenda, (self.now + delay, self._turn, steps))

    def run(self, steps: int) -> None:
        """Let so many steps happen."""
        for _ in range(steps):
            self.now, _, actor = heapq.heappop(self._agenda)
            delay = next(actor, None)
            if delay is not None:
                self._plan(delay, actor)
            self.keeper.trouble(jumps=self.jumps and self.random.random() < 0.01)

    def venue_time(self) -> int:
        """What somebody believes the venue's time to be."""
        error = self.terms.clock_error_ns
        return self.now + self.random.choice((-error, 0, error, self.random.randint(-error, error)))

    def _pause(self) -> int:
        return 0 if self.random.random() < self._calm else self.random.choice(PAUSES)

    def _leader(self, who: str) -> Iterator[int]:
        while True:
            fence = yield from self._stand_by(who)
            renewed = self.now
            while True:
                yield self.random.choice((0, 10 * MS, 100 * MS))
                if self.now - renewed >= RENEW:
                    renewed = self.now
                    asked = self.venue_time()
                    yield self._pause()
                    if not self.keeper.renew(self.now, who, fence.epoch):
                        break
                    yield self._pause()
                    if "expiry from the answer" in self.bugs:
                        asked = self.venue_time()
                    fence = fence.renewed(asked, TTL)
                yield from self._create(fence)

    def _stand_by(self, who: str) -> Iterator[int]:
        seen = Watched()
        while True:
            yield self.random.choice((50 * MS, 100 * MS, 300 * MS))
            row = self.keeper.read(self.now)
            yield self._pause()
            seen, may = watch(seen, row, self.now)
            if "trusts the keeper's clock" in self.bugs:
                may, seen = row.free or row.left_ns <= 0, Watched(row.epoch, row.beat, 0)
            if not may:
                continue
            asked = self.venue_time()
            yield self._pause()
            over = None if row.epoch == 0 else seen.over_for_ns(self.keeper.read(self.now), self.now)
            epoch = self.keeper.take(self.now, who, row)
            yield self._pause()
            if epoch is None:
                continue
            if "no wait at takeover" in self.bugs:
                over = None
            return LeaseFence.taken(epoch, asked, self.venue_time(), TTL, over, self.terms)

    def _create(self, fence: LeaseFence) -> Iterator[int]:
        ts = self.venue_time()
        yield self._pause()
        if fence.why_not(ts):
            return
        yield self._pause()
        if "stamp after check" in self.bugs:
            ts = self.venue_time()
        yield self._pause()
        self._plan(self.random.choice(PARKED), self._arrive(ts, fence.epoch))

    def _arrive(self, ts: int, epoch: int) -> Iterator[int]:
        self.venue.hear(self.now, ts, epoch)
        yield from ()
