"""What is normal: the baseline of a run's iterations, and the report that holds a run against it.

    baseline = baseline_of("artifacts/shadow/latest")        # → artifacts/baseline/stage_budgets.json
    write_report("artifacts/shadow/latest", baseline)        # → SHADOW_REPORT.md, POST_SHADOW_ITER_TABLE.csv

A budget is what a KPI may be before somebody should look: the worst of the baseline's iterations but for one in twenty
(its p95, or p5 where more is better), widened by a tenth of its size. The same iterations give the same bytes.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from mmbot.ops.artifacts import write_text
from mmbot.ops.iterations import IterationError, Runtime, as_json, read_iterations
from mmbot.ops.tables import iteration_csv, shown
from mmbot.research.report import utc_now
from mmbot.research.statistics import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.ops.iterations import Iteration

__all__ = ["BASELINE", "Baseline", "Normal", "baseline_of", "read_baseline", "sparkline", "write_report"]

BASELINE: Final = Path("artifacts/baseline/stage_budgets.json")
"""Where a baseline lies unless said otherwise."""
SCHEMA: Final = "mmbot/stage-budgets/1"
MARGIN: Final = 0.10
BUDGETED: Final[dict[str, Literal["at least", "at most"]]] = {
    "maker_taker_ratio": "at least",
    "net_bps": "at least",
    "adverse_bps_p95": "at most",
    "slippage_bps_p95": "at most",
    "p95_latency_ms": "at most",
    "risk_ratio": "at most",
}
"""KPIs that have a budget, and on which side of it they should be."""
BARS: Final = "▁▂▃▄▅▆▇█"
GAP: Final = "·"


class Normal(msgspec.Struct, frozen=True, kw_only=True):
    """One KPI over the iterations that know it."""

    known: int
    least: float
    median: float
    most: float
    rule: Literal["at least", "at most"]
    budget: float


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """`stage_budgets.json`: what is normal, all symbols together and each; a KPI that nobody knew is not in it."""

    iterations: int
    total: dict[str, Normal]
    per_symbol: dict[str, dict[str, Normal]]
    exchange: str = ""
    config_hash: str = ""
    code_hash: str = ""
    schema: str = SCHEMA
    runtime: Runtime | None = None

    def write(self, path: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        """Write it as JSON. Raises OSError."""
        write_text(path, as_json(self, utc=utc_now(environ)))


def baseline_of(folder: str | Path) -> Baseline:
    """Make the iterations of a run the baseline. Raises IterationError, OSError."""
    iterations = list(read_iterations(Path(folder)))
    symbols = sorted({symbol for one in iterations for symbol in one.summary.per_symbol})
    first = iterations[0]
    return Baseline(
        iterations=len(iterations),
        total=_normals(iterations, None),
        per_symbol={symbol: _normals(iterations, symbol) for symbol in symbols},
        exchange=first.exchange,
        config_hash=first.config_hash,
        code_hash=first.code_hash,
    )


def _values(iterations: Sequence[Iteration], symbol: str | None, kpi: str) -> list[float | None]:
    sources = (one.summary if symbol is None else one.summary.per_symbol.get(symbol) for one in iterations)
    return [None if source is None else getattr(source, kpi) for source in sources]


def _normals(iterations: Sequence[Iteration], symbol: str | None) -> dict[str, Normal]:
    normals = {}
    for kpi, rule in BUDGETED.items():
        known = [value for value in _values(iterations, symbol, kpi) if value is not None]
        worst = nearest_rank(known, 0.95 if rule == "at most" else 0.05)
        if worst is not None:
            away = MARGIN * abs(worst)
            normals[kpi] = Normal(
                known=len(known),
                least=min(known),
                median=statistics.median(known),
                most=max(known),
                rule=rule,
                budget=worst + away if rule == "at most" else worst - away,
            )
    return normals


_DECODER: Final = msgspec.json.Decoder(Baseline)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline. Raises IterationError for a file that is missing or none."""
    try:
        return _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        raise IterationError(f"{path}: no such file; make one with `mmbot shadow baseline FOLDER`") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IterationError(f"{path}: {error}; make it again with `mmbot shadow baseline FOLDER`") from error


def sparkline(values: Sequence[float | None]) -> str:
    """Values as bars from the least to the most, and a dot where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return GAP * len(values)
    low, span = min(known), max(known) - min(known)
    top = len(BARS) - 1
    return "".join(
        GAP if value is None else BARS[round((value - low) / span * top) if span else top // 2] for value in values
    )


def write_report(
    folder: str | Path, baseline: Baseline | None = None, *, environ: Mapping[str, str] = os.environ
) -> tuple[Path, Path]:
    """Write `SHADOW_REPORT.md` and `POST_SHADOW_ITER_TABLE.csv` to `reports/analysis` below a run's folder.

    With a baseline, each KPI's median is held against its budget. Returns the paths. Raises IterationError, OSError.
    """
    where = Path(folder) / "reports" / "analysis"
    iterations = list(read_iterations(Path(folder)))
    report, table = where / "SHADOW_REPORT.md", where / "POST_SHADOW_ITER_TABLE.csv"
    write_text(report, _markdown(iterations, baseline, utc_now(environ)))
    write_text(table, iteration_csv(iterations))
    return report, table


def _markdown(iterations: Sequence[Iteration], baseline: Baseline | None, utc: str) -> str:
    first, last = iterations[0], iterations[-1]
    symbols = [None, *sorted({symbol for one in iterations for symbol in one.summary.per_symbol})]
    lines = [
        f"# {first.mode or 'shadow'} run, {len(iterations)} iterations",
        "",
        f"{first.exchange} {', '.join(first.symbols)}, until {last.timestamp or 'an unknown time'}, written {utc}.",
        "",
        "| symbol | KPI | median | least | most | known | budget | over the iterations |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for symbol in symbols:
        lines += [f"| {' | '.join(_row(iterations, symbol, kpi, baseline))} |" for kpi in BUDGETED]
    return "\n".join([*lines, ""])


def _row(iterations: Sequence[Iteration], symbol: str | None, kpi: str, baseline: Baseline | None) -> list[str]:
    values = _values(iterations, symbol, kpi)
    known = [value for value in values if value is not None]
    numbers = [statistics.median(known), min(known), max(known)] if known else [None] * 3
    median = numbers[0]
    return [
        symbol or "all",
        kpi,
        *map(shown, numbers),
        f"{len(known)} of {len(values)}",
        _held(median, symbol, kpi, baseline),
        sparkline(values),
    ]


def _held(median: float | None, symbol: str | None, kpi: str, baseline: Baseline | None) -> str:
    if baseline is None:
        return "-"
    normals = baseline.total if symbol is None else baseline.per_symbol.get(symbol, {})
    normal = normals.get(kpi)
    if normal is None or median is None:
        return "not known"
    inside = median <= normal.budget if normal.rule == "at most" else median >= normal.budget
    return f"{normal.rule} {shown(normal.budget)}: {'ok' if inside else 'LOOK'}"
