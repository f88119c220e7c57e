"""How far the recorder's clock is off, seen from the messages alone.

No message arrives before it was sent, so the lower envelope of `ts_recv - ts_venue` is the least latency plus the clock
error. An envelope below the base latency proves a clock behind the venue's: receive times are then shifted so that the
least latency is the base. One above it may be honest distance and is left alone, unless the policy says otherwise. A
drift is reported, not removed: over the minutes of one file it can not be told from a change of the network.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

WINDOW_NS = 10_000_000_000
OUTLIER_MADS = 5.0
OUTLIER_FLOOR_NS = 1_000_000.0


@dataclass(frozen=True, kw_only=True)
class ClockPolicy:
    """When receive times are shifted: `auto` (only if impossible), `align` (always to the base), `keep` (never)."""

    mode: Literal["auto", "align", "keep"] = "auto"
    base_latency_ns: int = 0

    def __post_init__(self) -> None:
        """Refuses a negative base."""
        if self.base_latency_ns < 0:
            raise ValueError(f"base_latency_ns must not be negative, got {self.base_latency_ns}")


class ClockShift(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to every receive time, and why. Times in ns; `drift_ppb` is recorder against venue, per 10^9."""

    shift_ns: int
    least_latency_ns: int | None
    drift_ppb: int
    windows: int
    outlier_windows: int
    base_latency_ns: int


@dataclass
class ClockEnvelope:
    """Least `ts_recv - ts_venue` per window of ten seconds: memory grows with the span, 70 kB a day."""

    least: dict[int, int] = field(default_factory=dict)

    def add(self, ts_recv: int, ts_venue: int) -> None:
        """Takes one message into account."""
        window, latency = ts_recv // WINDOW_NS, ts_recv - ts_venue
        if latency < self.least.get(window, latency + 1):
            self.least[window] = latency

    def shift(self, policy: ClockPolicy) -> ClockShift:
        """The shift under `policy`.

        A window further than five median deviations (at least 1 ms) below the robust line through all windows is an
        outlier, such as a frame with a mistaken time, and does not move the clock.
        """
        base = policy.base_latency_ns
        if not self.least:
            return ClockShift(
                shift_ns=0, least_latency_ns=None, drift_ppb=0, windows=0, outlier_windows=0, base_latency_ns=base
            )
        windows = np.array(sorted(self.least), dtype=np.int64)
        minima = [self.least[int(window)] for window in windows]
        seconds = (windows - windows[0]).astype(float) * (WINDOW_NS / 1e9)
        relative = np.array([latency - minima[0] for latency in minima], dtype=float)  # small numbers stay exact
        slope = _slope(seconds, relative)
        residual = relative - slope * seconds
        deviation = np.abs(residual - np.median(residual))
        allowed = max(OUTLIER_MADS * float(np.median(deviation)), OUTLIER_FLOOR_NS)
        kept = residual >= np.median(residual) - allowed
        floor = min(latency for latency, keep in zip(minima, kept, strict=True) if keep)
        shifted = policy.mode == "align" or (policy.mode == "auto" and floor < base)
        return ClockShift(
            shift_ns=base - floor if shifted else 0,
            least_latency_ns=floor,
            drift_ppb=round(slope),
            windows=len(minima),
            outlier_windows=int(len(minima) - kept.sum()),
            base_latency_ns=base,
        )


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Median slope between each point and the one half the data later (Theil 1950, incomplete method)."""
    half = (len(x) + 1) // 2
    if half == len(x):
        return 0.0
    return float(np.median((y[half:] - y[:-half]) / (x[half:] - x[:-half])))
