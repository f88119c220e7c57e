"""Every threshold of every gate, in one place, because the same quantity has different limits at different gates.

| gate | asks | limits |
|---|---|---|
| accuracy (`mmbot compare`) | do two runs measure the same? | `ACCURACY` |
| shadow audit (`mmbot shadow audit`) | has a shadow run shown enough to go on? | `SHADOW_AUDIT` |

Percentages are per cent, never fractions: 15.0 is fifteen per cent.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["ACCURACY", "SHADOW_AUDIT", "AccuracyLimits", "AuditLimits"]


class AccuracyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When two runs count as measuring the same, and how much has to be seen before that can be said."""

    mape_pct_max: float = 15.0
    """Largest mean absolute error of a KPI over the windows, in per cent."""
    median_bps_max: float = 1.5
    """Largest median difference of a KPI that is in bps, either way."""
    windows_min: int = 24
    """Fewest windows that both runs have."""
    age_minutes_max: float = 90.0
    """Oldest that the newest window of either run may be, by when it was written."""


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the median of a shadow run's last iterations must show, per KPI of `ITER_SUMMARY_<N>.json`."""

    last: int = 8
    """How many iterations, from the last one back."""
    maker_taker_ratio_min: float = 0.83
    """Least share of maker fills."""
    net_bps_min: float = 2.5
    """Least net edge in bps."""
    p95_latency_ms_max: float = 350.0
    """Largest p95 delay of the feed in ms."""
    risk_ratio_max: float = 0.40
    """Largest share of the position limit in use."""


ACCURACY: Final = AccuracyLimits()
SHADOW_AUDIT: Final = AuditLimits()
