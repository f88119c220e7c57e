"""How far the venue's clock is from ours, and how well we know it.

    ours      t0 ────────────────────── t1        the venue's answer lies somewhere in between, so
    venue            ▲ said                       offset = said − (t0 + t1) / 2,  error ≤ (t1 − t0) / 2

The narrowest of several samples is kept. The venue refuses a request that is older than its receive window or more than
one second ahead, so requests carry our time plus the offset, and nothing is traded while the error bound is too wide.

"Ours" is a clock that nobody sets: a wall clock that jumps between two measurements would carry every request, cancels
too, outside of what the venue accepts.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from mmbot.venues.port import Clock, VenueError

__all__ = ["ERROR_MAX", "NO_OFFSET", "ClockOffset", "estimate", "steady_clock"]

ERROR_MAX = 250_000_000
"""Error bound beyond which no order leaves, ns: a quarter of what the venue tolerates ahead of its own clock."""


def steady_clock(wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = time.monotonic_ns) -> Clock:
    """Return a clock, ns since epoch: the wall clock read once, now, and the monotonic one from then on."""
    ahead = wall() - monotonic()
    return lambda: monotonic() + ahead


class ClockOffset(msgspec.Struct, frozen=True):
    """Venue minus ours, ns, true to within `error`."""

    offset: int
    error: int

    def check(self) -> None:
        """Raise VenueError while the venue's time is not known well enough to trade."""
        if self.error > ERROR_MAX:
            raise VenueError(
                f"the venue's clock is known to ±{self.error / 1e6:.0f} ms only; expected ±{ERROR_MAX / 1e6:.0f} ms or "
                "better, so mend the network's delay before trading"
            )


NO_OFFSET = ClockOffset(offset=0, error=1 << 62)
"""Before the first sample: nothing is known."""


def estimate(samples: Sequence[tuple[int, int, int]]) -> ClockOffset:
    """The offset of samples (asked at, the venue's time, answered at), ns. Raises ValueError without any."""
    if not samples:
        raise ValueError("no clock samples; ask the venue's time at least once")
    asked, said, answered = min(samples, key=lambda sample: sample[2] - sample[0])
    return ClockOffset(offset=said - (asked + answered) // 2, error=max(0, answered - asked) // 2)
