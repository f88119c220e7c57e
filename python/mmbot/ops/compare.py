"""The accuracy gate: do two runs measure the same?

    comparison = compare("artifacts/shadow/latest", "artifacts/dryrun/latest")     # A was seen, B is held against it
    print(comparison)

Windows are iterations, paired by number. For each symbol and KPI:

    error of a window = 100 · |b − a| / |a| per cent       MAPE = mean error ≤ 15 %
    difference        = b − a                              |median| ≤ 1.5 bps, for KPIs in bps

A window in which only one run knows the number, or in which a is zero and b is not, has an error of 100 %: a run that
traded and one that did not do not measure the same. Where both are zero the error is zero; where neither knows the
number there is nothing to compare.

FAIL: a limit is broken. WARN: nothing is broken, and there is too little to say that nothing would be: fewer than 24
windows, windows of different times, files older than 90 minutes, a KPI that no window knows. PASS: neither. The limits
are `thresholds.ACCURACY`.
"""

from __future__ import annotations

import math
import os
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from mmbot.ops.artifacts import write_text
from mmbot.ops.iterations import IterationError, Runtime, as_json, read_iterations
from mmbot.ops.kpis import KPI_UNITS
from mmbot.ops.thresholds import ACCURACY, AccuracyLimits
from mmbot.research.columns import aligned
from mmbot.research.report import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mmbot.ops.iterations import Iteration

__all__ = ["KPIS", "Comparison", "Verdict", "Windows", "compare", "percent_error"]

SCHEMA: Final = "mmbot/accuracy-summary/1"
KPIS: Final = ("edge_bps", "maker_taker_ratio", "p95_latency_ms", "risk_ratio")
"""The KPIs that are compared."""
ALL_WRONG: Final = 100.0
"""Error, in per cent, of a window that only one run knows, or that is zero in one run alone."""

Verdict: TypeAlias = Literal["PASS", "WARN", "FAIL"]


def percent_error(a: float | None, b: float | None) -> float | None:
    """How far b is from a in per cent of a; 100 where only one is known or a alone is zero, None where neither is."""
    if a is None or b is None:
        return None if a is b else ALL_WRONG
    if a == 0:
        return 0.0 if b == 0 else ALL_WRONG
    return 100 * abs(b - a) / abs(a)


class Windows(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI of one symbol over all windows."""

    symbol: str
    kpi: str
    unit: str
    windows: int
    """Pairs of windows that at least one run knows the number of."""
    one_sided: int
    """Of these, those that only one run knows it of."""
    mape_pct: float | None
    median_difference: float | None
    """Median of b − a over windows that both know it of, in the KPI's unit."""
    verdict: Verdict
    reason: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`ACCURACY_SUMMARY.json`: the verdict, why, and every KPI of every symbol."""

    verdict: Verdict
    reasons: tuple[str, ...]
    a: str
    b: str
    windows: int
    """Pairs of windows of the same number and time."""
    limits: AccuracyLimits
    kpis: tuple[Windows, ...]
    schema: str = SCHEMA
    runtime: Runtime | None = None

    def write(self, folder: Path, *, environ: Mapping[str, str] = os.environ) -> tuple[Path, Path]:
        """Write `ACCURACY_REPORT.md` and `ACCURACY_SUMMARY.json`; return their paths. Raises OSError."""
        utc = utc_now(environ)
        report, summary = folder / "ACCURACY_REPORT.md", folder / "ACCURACY_SUMMARY.json"
        write_text(report, self.as_markdown(utc=utc))
        write_text(summary, as_json(self, utc=utc))
        return report, summary

    def as_markdown(self, *, utc: str) -> str:
        """The report: the verdict first, then why, then the table."""
        limits = self.limits
        rows = [f"| {' | '.join(row)} |" for row in (_HEADER, ["---"] * len(_HEADER), *map(_row, self.kpis))]
        reasons = [f"- {reason}" for reason in self.reasons] or ["- every KPI is within its limits"]
        return "\n".join(
            [
                f"# Accuracy: {self.verdict}",
                "",
                f"A `{self.a}` against B `{self.b}`, {self.windows} windows, written {utc}.",
                "",
                *reasons,
                "",
                *rows,
                "",
                f"Limits: mean absolute error {limits.mape_pct_max:g} %, median difference {limits.median_bps_max:g} "
                f"bps, at least {limits.windows_min} windows, at most {limits.age_minutes_max:g} minutes old.",
                "",
            ]
        )

    def __str__(self) -> str:
        table = aligned(_HEADER, [_row(one) for one in self.kpis])
        return "\n".join([table, "", *self.reasons, f"{self.verdict}: {self.windows} windows of {self.a} and {self.b}"])


_HEADER: Final = ("symbol", "KPI", "windows", "one-sided", "MAPE %", "median difference", "verdict")


def _row(one: Windows) -> list[str]:
    mape = "-" if one.mape_pct is None else f"{one.mape_pct:.2f}"
    median = "-" if one.median_difference is None else f"{one.median_difference:+.4g} {one.unit}"
    return [one.symbol, one.kpi, str(one.windows), str(one.one_sided), mape, median, one.verdict]


def compare(
    a: str | Path, b: str | Path, *, limits: AccuracyLimits = ACCURACY, environ: Mapping[str, str] = os.environ
) -> Comparison:
    """Compare the iterations of two folders. `environ` may freeze the time that their age is counted from.

    Raises IterationError for a folder without iterations or with one that cannot be read; OSError.
    """
    runs = [list(read_iterations(Path(name))) for name in (a, b)]
    pairs, apart = _paired(*runs)
    kpis = [
        _windows(symbol, kpi, [(_value(x, symbol, kpi), _value(y, symbol, kpi)) for x, y in pairs], limits)
        for symbol in _symbols([*runs[0], *runs[1]])
        for kpi in KPIS
    ]
    now = utc_now(environ)
    doubts = [*_too_few(len(pairs), limits), *_apart(apart)]
    for name, run in zip((a, b), runs, strict=True):
        doubts += _too_old(str(name), run, limits, now)
    return Comparison(
        verdict=_worst([*(one.verdict for one in kpis), *("WARN" for _ in doubts)]),
        reasons=(*(f"{one.symbol} {one.kpi}: {one.reason}" for one in kpis if one.reason), *doubts),
        a=str(a),
        b=str(b),
        windows=len(pairs),
        limits=limits,
        kpis=tuple(kpis),
    )


def _paired(a: Iterable[Iteration], b: Iterable[Iteration]) -> tuple[list[tuple[Iteration, Iteration]], int]:
    """Windows of one number and time; and how many share a number only."""
    second = {one.iteration: one for one in b}
    shared = [(one, second[one.iteration]) for one in a if one.iteration in second]
    pairs = [pair for pair in shared if not _times_differ(*pair)]
    return pairs, len(shared) - len(pairs)


def _worst(verdicts: Sequence[str]) -> Verdict:
    if "FAIL" in verdicts:
        return "FAIL"
    return "WARN" if "WARN" in verdicts or not verdicts else "PASS"


def _times_differ(x: Iteration, y: Iteration) -> bool:
    """Whether two windows of one number tell of different times; half a window apart is."""
    if x.start_ns is None or y.start_ns is None or x.end_ns is None:
        return False
    return 2 * abs(x.start_ns - y.start_ns) >= x.end_ns - x.start_ns


def _symbols(iterations: Iterable[Iteration]) -> list[str]:
    """Every symbol of either run; "total" where the files tell of no symbols."""
    return sorted({symbol for one in iterations for symbol in one.summary.per_symbol}) or ["total"]


def _value(iteration: Iteration, symbol: str, kpi: str) -> float | None:
    found = iteration.summary if symbol == "total" else iteration.summary.per_symbol.get(symbol)
    value = None if found is None else getattr(found, kpi)
    return None if value is None else float(value)


def _windows(
    symbol: str, kpi: str, pairs: Sequence[tuple[float | None, float | None]], limits: AccuracyLimits
) -> Windows:
    errors = [error for a, b in pairs if (error := percent_error(a, b)) is not None]
    differences = [b - a for a, b in pairs if a is not None and b is not None]
    mape = math.fsum(errors) / len(errors) if errors else None
    median = statistics.median(differences) if differences else None
    unit = KPI_UNITS[kpi]
    verdict, reason = _judged(mape, median if unit == "bps" else None, limits)
    return Windows(
        symbol=symbol,
        kpi=kpi,
        unit=unit,
        windows=len(errors),
        one_sided=len(errors) - len(differences),
        mape_pct=mape,
        median_difference=median,
        verdict=verdict,
        reason=reason,
    )


def _judged(mape: float | None, median_bps: float | None, limits: AccuracyLimits) -> tuple[Verdict, str]:
    if mape is None:
        return "WARN", "known in no window of either run"
    broken = []
    if mape > limits.mape_pct_max:
        broken.append(f"mean absolute error {mape:.2f} % is more than {limits.mape_pct_max:g} %")
    if median_bps is not None and abs(median_bps) > limits.median_bps_max:
        broken.append(f"median difference {median_bps:+.2f} bps is more than {limits.median_bps_max:g} bps")
    return ("FAIL", "; ".join(broken)) if broken else ("PASS", "")


def _too_few(pairs: int, limits: AccuracyLimits) -> list[str]:
    if pairs >= limits.windows_min:
        return []
    return [f"{pairs} windows are too few, at least {limits.windows_min} are needed; run more or shorter iterations"]


def _apart(count: int) -> list[str]:
    return [f"{count} windows of the same number tell of different times and were left out"] if count else []


def _too_old(name: str, iterations: Iterable[Iteration], limits: AccuracyLimits, now: str) -> list[str]:
    written = [one.runtime.utc for one in iterations if one.runtime is not None]
    if not written:
        return [f"{name}: the files do not say when they were written (`runtime.utc`), so they may be old"]
    age = _moment(now) - max(_moment(utc) for utc in written)
    minutes = age / timedelta(minutes=1)
    if minutes > limits.age_minutes_max:
        return [f"{name}: written {minutes:.0f} minutes ago, more than {limits.age_minutes_max:g}; run it again"]
    if minutes < -1:
        return [f"{name}: written {-minutes:.0f} minutes in the future; one of the clocks is wrong"]
    return []


def _moment(utc: str) -> datetime:
    try:
        moment = datetime.fromisoformat(utc)
    except ValueError as error:
        raise IterationError(f"runtime.utc {utc!r} is no ISO 8601 time") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
