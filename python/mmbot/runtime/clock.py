"""The one clock of a run: every input gets a later time than the one before, so that time alone orders them.

What has a receive time up to `now` is exactly what has been heard by `now`: the journal refers to the tape by time, and
a backtest of the tape hears the same messages before the same decisions.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunClock", "follow_venue"]

APART_NS = 100_000_000
"""So far may a run's clock be from the venue's before it is set: more than a measurement errs by."""


class RunClock:
    """Nanoseconds since epoch: the wall clock once, the monotonic clock from then on, so a set clock moves nothing.

    `offset_ns` is what the venue's clock is ahead of ours: receive times must not lie before the venue's own.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
        offset_ns: int = 0,
    ) -> None:
        self._monotonic = monotonic
        self._ahead = wall() - monotonic() + offset_ns
        self._last = 0

    def __call__(self) -> int:
        """Return the time of a new input: later than any time given before, by a nanosecond if need be."""
        now = self._monotonic() + self._ahead
        self._last = now if now > self._last else self._last + 1
        return self._last

    def peek(self) -> int:
        """Return the time without making an input of it."""
        now = self._monotonic() + self._ahead
        return now if now > self._last else self._last

    def at_least(self, ts: int) -> int:
        """Return the time of the input at hand, moved to `ts` if a message of it lies later.

        A venue whose clock is ahead takes this one along: it goes on from there, or all that waits for a time would
        wait for as long as the lead is.
        """
        self._ahead += max(0, ts - self.peek())
        self._last = max(self._last, ts)
        return self._last

    def correct(self, offset_ns: int) -> None:
        """Go by a venue clock that is `offset_ns` ahead of the wall clock as read at the start; never backwards."""
        self._ahead += offset_ns

    def follow(self, venue_ns: int) -> int:
        """Go by the venue's clock, which says `venue_ns` now, where it has left ours by more than `APART_NS`.

        A venue's clock that was set back stops this one until it has caught up: until then no book is new enough to
        trade on. Returns by how much the clock was set, in ns; zero if it was not.
        """
        apart = venue_ns - self._monotonic() - self._ahead
        if abs(apart) <= APART_NS:
            return 0
        self._ahead += apart
        return apart


async def follow_venue(
    clock: RunClock, venue_ns: Callable[[], int], told: Callable[[dict[str, object]], object], every_s: float = 1.0
) -> None:
    """Keep a run's clock by the venue's as its session measures it, until cancelled; tells each time it was set."""
    while True:
        await asyncio.sleep(every_s)
        moved = clock.follow(venue_ns())
        if moved:
            told({"event": "clock set", "by_s": moved / 1e9, "why": "the venue's clock left ours"})
