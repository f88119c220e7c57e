"""Time as it was lived through: a jump of the clock, or a pause of this process, counts for a second at most.

Who was stopped for a minute has not waited a minute for anybody: what the other side sent meanwhile lies unread. And a
clock that is set must neither raise an alarm nor put one off.
"""

from __future__ import annotations

__all__ = ["LivedTime"]

STEP_MAX_NS = 1_000_000_000


class LivedTime:
    """Nanoseconds lived through since the first reading."""

    def __init__(self) -> None:
        self.ns = 0
        self._last: int | None = None

    def at(self, now: int) -> int:
        """Move on to the clock's `now` and return the time lived through so far."""
        if self._last is not None:
            self.ns += min(max(now - self._last, 0), STEP_MAX_NS)
        self._last = now
        return self.ns
