"""The one clock of a run: every input gets a later time than the one before, so that time alone orders them.

What has a receive time up to `now` is exactly what has been heard by `now`: the journal refers to the tape by time, and
a backtest of the tape hears the same messages before the same decisions.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunClock"]


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
        return max(self._monotonic() + self._ahead, self._last)

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
