"""Iterations as tables: what a person sees on a terminal, and CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from mmbot.ops.iterations import read_iterations
from mmbot.ops.kpis import KPI_UNITS
from mmbot.research.columns import aligned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mmbot.ops.iterations import Iteration

__all__ = ["UNKNOWN", "iteration_csv", "iteration_table", "shown"]

UNKNOWN: Final = "-"
"""Shown for what is not known: never a zero."""
_COLUMNS: Final = {
    "maker_count": "maker",
    "taker_count": "taker",
    "maker_taker_ratio": "maker share",
    "edge_bps": "edge bps",
    "net_bps": "net bps",
    "adverse_bps_p95": "adverse p95",
    "slippage_bps_p95": "slippage p95",
    "p95_latency_ms": "latency p95 ms",
    "risk_ratio": "risk",
    "clock_drift_ms": "clock ms",
}


def shown(value: float | None) -> str:
    """A KPI as a person reads it."""
    if value is None:
        return UNKNOWN
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def iteration_table(folder: Path) -> str:
    """A folder's iterations, all symbols together. Raises IterationError, OSError."""
    rows = [
        [str(one.iteration), *(shown(getattr(one.summary, name)) for name in _COLUMNS)]
        for one in read_iterations(folder)
    ]
    return aligned(["iteration", *_COLUMNS.values()], rows)


def iteration_csv(iterations: Iterable[Iteration]) -> str:
    """Every KPI of every symbol and of all together (`total`), one row each; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["iteration", "timestamp", "symbol", *KPI_UNITS])
    for one in iterations:
        for symbol, kpis in {**dict(sorted(one.summary.per_symbol.items())), "total": one.summary}.items():
            values = ("" if (value := getattr(kpis, name)) is None else repr(value) for name in KPI_UNITS)
            writer.writerow([one.iteration, one.timestamp or "", symbol, *values])
    return text.getvalue()
