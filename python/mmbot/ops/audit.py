"""The shadow audit: has a shadow run shown enough to go on?

    audit = audit_shadow("artifacts/shadow/latest")
    print(audit)                                    # OK, or HOLD and why

The medians of the last eight iterations are held against `thresholds.SHADOW_AUDIT`. A median that is not known, because
no iteration knows the number, holds: missing is no evidence. Fewer than eight iterations are a doubt.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from mmbot.ops.artifacts import write_text
from mmbot.ops.iterations import Runtime, as_json, read_iterations
from mmbot.ops.strictness import Doubts
from mmbot.ops.tables import shown
from mmbot.ops.thresholds import SHADOW_AUDIT, AuditLimits
from mmbot.research.columns import aligned
from mmbot.research.report import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.ops.iterations import Iteration

__all__ = ["Audit", "Check", "Snapshot", "audit_shadow"]

SCHEMA: Final = "mmbot/shadow-audit/1"
REPORTS: Final = Path("reports/analysis")
"""Where the audit writes, below the run's folder."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI's median against its limit."""

    kpi: str
    median: float | None
    known: int
    """Iterations that know the number."""
    rule: Literal["at least", "at most"]
    limit: float
    ok: bool


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`POST_SHADOW_SNAPSHOT.json`: the last iterations as they were, and their medians."""

    iterations: tuple[int, ...]
    medians: dict[str, float | None]
    values: dict[str, tuple[float | None, ...]]
    schema: str = "mmbot/shadow-snapshot/1"
    runtime: Runtime | None = None


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """`POST_SHADOW_AUDIT_SUMMARY.json`: the verdict and each check."""

    verdict: Literal["OK", "HOLD"]
    checks: tuple[Check, ...]
    iterations: int
    """How many the run has."""
    limits: AuditLimits
    notes: tuple[str, ...]
    schema: str = SCHEMA
    runtime: Runtime | None = None

    def __str__(self) -> str:
        rows = [
            [one.kpi, shown(one.median), f"{one.rule} {one.limit:g}", str(one.known), "ok" if one.ok else "HOLD"]
            for one in self.checks
        ]
        table = aligned(["KPI", "median", "limit", "known in", "verdict"], rows)
        return "\n".join([table, "", *self.notes, f"{self.verdict}: last {self.limits.last} of {self.iterations}"])


def audit_shadow(
    base: str | Path,
    *,
    limits: AuditLimits = SHADOW_AUDIT,
    doubts: Doubts | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Audit:
    """Audit a run's folder, and write snapshot and summary to `reports/analysis` below it.

    Raises IterationError for a folder without iterations or with one that cannot be read, StrictError for too few of
    them under `--strict`; OSError.
    """
    folder, doubts = Path(base), doubts or Doubts()
    iterations = list(read_iterations(folder))
    last = iterations[-limits.last :]
    if len(last) < limits.last:
        doubts.warn(f"{len(last)} iterations, and medians of {limits.last} are wanted", "taking those there are")
    checks = tuple(_checks(last, limits))
    audit = Audit(
        verdict="OK" if all(one.ok for one in checks) else "HOLD",
        checks=checks,
        iterations=len(iterations),
        limits=limits,
        notes=tuple(doubts.notes),
    )
    utc = utc_now(environ)
    write_text(folder / REPORTS / "POST_SHADOW_SNAPSHOT.json", as_json(_snapshot(last), utc=utc))
    write_text(folder / REPORTS / "POST_SHADOW_AUDIT_SUMMARY.json", as_json(audit, utc=utc))
    return audit


def _checks(last: Sequence[Iteration], limits: AuditLimits) -> list[Check]:
    at_least = {"maker_taker_ratio": limits.maker_taker_ratio_min, "net_bps": limits.net_bps_min}
    at_most = {"p95_latency_ms": limits.p95_latency_ms_max, "risk_ratio": limits.risk_ratio_max}
    found = []
    for kpi, limit in {**at_least, **at_most}.items():
        values = _known(last, kpi)
        median = statistics.median(values) if values else None
        ok = median is not None and (median >= limit if kpi in at_least else median <= limit)
        rule: Literal["at least", "at most"] = "at least" if kpi in at_least else "at most"
        found.append(Check(kpi=kpi, median=median, known=len(values), rule=rule, limit=limit, ok=ok))
    return found


def _known(iterations: Sequence[Iteration], kpi: str) -> list[float]:
    return [value for one in iterations if (value := getattr(one.summary, kpi)) is not None]


def _snapshot(last: Sequence[Iteration]) -> Snapshot:
    names = [name for name in type(last[0].summary).__struct_fields__ if name != "per_symbol"]
    known = {name: _known(last, name) for name in names}
    return Snapshot(
        iterations=tuple(one.iteration for one in last),
        medians={name: float(statistics.median(values)) if values else None for name, values in known.items()},
        values={name: tuple(getattr(one.summary, name) for one in last) for name in names},
    )
