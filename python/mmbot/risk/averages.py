"""What our trading is worth: markout after fills, edge before them, and how much of the limits is used.

An edge below its threshold freezes, and so does one that is no number: 1.49 bps does, 1.50 does not, NaN does.
"""

from __future__ import annotations

import logging
import math
from collections import deque

from mmbot.risk.controls import asked
from mmbot.risk.exposure import number
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["EdgeWatch", "MarkoutWatch", "RiskRatio", "nearest_rank"]

_LOG = logging.getLogger(__name__)


class EdgeWatch:
    """Freezes an instrument whose edge has collapsed."""

    def __init__(self, threshold_bps: float) -> None:
        self.threshold_bps = threshold_bps

    def seen(self, symbol: str, net_bps: float | None, now: int) -> list[FreezeAsked]:
        """Take the net edge of an instrument, bps after fees; what is no finite number is not known."""
        edge = number(net_bps)
        if edge >= self.threshold_bps:
            return []
        _LOG.critical("AUTO-FREEZE: Edge collapsed: %s has %s bps; limit %s", symbol, edge, self.threshold_bps)
        said = "edge is not known" if math.isnan(edge) else f"edge is {edge:g} bps"
        return [asked("edge", Scope("symbol", symbol), f"{said}; limit {self.threshold_bps:g} bps", now)]


class MarkoutWatch:
    """Averages the markouts of the last fills of an instrument."""

    def __init__(self, limit_bps: float, fills: int) -> None:
        self.limit_bps, self.fills = limit_bps, fills
        self._last: dict[str, deque[float]] = {}

    def seen(self, symbol: str, markout_bps: float, now: int) -> list[FreezeAsked]:
        """Take what a fill was worth some seconds later, bps; negative: against us. What is no number counts as the
        limit.
        """
        last = self._last.setdefault(symbol, deque(maxlen=self.fills))
        known = number(markout_bps)
        last.append(self.limit_bps if math.isnan(known) else known)
        if len(last) < self.fills:
            return []
        mean = math.fsum(last) / self.fills
        if mean > self.limit_bps:
            return []
        reason = f"markout {mean:.2f} bps over {self.fills} fills; limit {self.limit_bps:g} bps"
        return [asked("markout", Scope("symbol", symbol), reason, now)]

    def forget(self, symbol: str) -> None:
        """A person has looked: the average begins anew."""
        self._last.pop(symbol, None)


def nearest_rank(samples: list[float], percent: float) -> float:
    """The smallest sample that at least so many percent do not exceed. Raises ValueError for none."""
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    return sorted(samples)[max(0, math.ceil(percent / 100 * len(samples)) - 1)]


class RiskRatio:
    """Used to allowed notional, and whether its 95th percentile is worth a warning."""

    def __init__(self, warn: float, kept: int = 1_000) -> None:
        self.warn = warn
        self._samples: deque[float] = deque(maxlen=kept)
        self.p95: float | None = None
        """95th percentile of the last measurements by nearest rank; None before the first."""

    def seen(self, total: float, most: float) -> float:
        """Take one measurement and return the ratio; what is no number counts as 1, all of it."""
        ratio = total / most if most > 0 else math.nan
        ratio = ratio if math.isfinite(ratio) and ratio >= 0 else 1.0
        self._samples.append(ratio)
        self.p95 = nearest_rank(list(self._samples), 95.0)
        return ratio

    @property
    def warns(self) -> bool:
        """Whether the 95th percentile is above the line."""
        return self.p95 is not None and self.p95 > self.warn
