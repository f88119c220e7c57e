"""The result of a run: what happened, as plain frames, and the few ways to look at it.

    result.summary()        the numbers, typed
    print(result)           the same for a terminal
    result                  the same in a notebook
    result.write("out/")    report.html, summary.json and the frames as Parquet

The engine side fills the frames, this side never changes them. Limits: one quote currency per result, and value is
price × quantity, so inverse contracts are refused rather than shown wrong.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mmbot.research import report, statistics, terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polars._typing import PolarsDataType

    from mmbot.research.statistics import Attribution, Floats, Integers

FILLS_SCHEMA: dict[str, PolarsDataType] = {
    "ts_venue": pl.Int64(),
    "ts_recv": pl.Int64(),
    "instrument": pl.String(),
    "order_id": pl.UInt64(),
    "execution": pl.UInt64(),
    "side": pl.Int8(),
    "price": pl.Float64(),
    "qty": pl.Float64(),
    "price_ticks": pl.Int64(),
    "qty_lots": pl.Int64(),
    "maker": pl.Boolean(),
    "fee": pl.Float64(),
    "mid": pl.Float64(),
    "order_age_ns": pl.Int64(),
    "ahead_at_join": pl.Float64(),
    "mid_100ms": pl.Float64(),
    "mid_1s": pl.Float64(),
    "mid_5s": pl.Float64(),
    "mid_30s": pl.Float64(),
    "mid_300s": pl.Float64(),
}
"""Our executions. `side` is +1 buy, -1 sell; `fee` is what we paid (a rebate is negative); `mid` at the fill."""

ORDERS_SCHEMA: dict[str, PolarsDataType] = {
    "order_id": pl.UInt64(),
    "instrument": pl.String(),
    "side": pl.Int8(),
    "price": pl.Float64(),
    "qty": pl.Float64(),
    "ts_decided": pl.Int64(),
    "ts_accepted": pl.Int64(),
    "ts_done": pl.Int64(),
    "state": pl.String(),
    "reason": pl.String(),
    "cum_qty": pl.Float64(),
    "ahead_at_join": pl.Float64(),
    "cancels_sent": pl.Int32(),
    "amends": pl.Int32(),
}
"""Our orders and how they ended; `ahead_at_join` is the quantity displayed before ours when it joined the queue."""

EQUITY_SCHEMA: dict[str, PolarsDataType] = {
    "ts": pl.Int64(),
    "instrument": pl.String(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "mid": pl.Float64(),
    "position": pl.Float64(),
    "cash": pl.Float64(),
    "equity": pl.Float64(),
    "fees": pl.Float64(),
    "quote_bid": pl.Float64(),
    "quote_ask": pl.Float64(),
}
"""State per instrument and sample. `cash`, `equity` and `fees` are the instrument's own part: the total is the sum."""

NULLABLE = frozenset(
    {"ahead_at_join", *statistics.HORIZONS, "ts_accepted", "ts_done", "reason", "bid", "ask", "quote_bid", "quote_ask"}
)
TOTAL = "total"
SIGNIFICANT_DIGITS = 9


class ResultError(ValueError):
    """The parts of a result do not fit together. The engine side filled it wrongly; nothing is repaired here."""


@dataclass(frozen=True, kw_only=True)
class InstrumentFacts:
    """One traded instrument. `symbol` is its name in every frame; tick and lot as the venue writes them."""

    symbol: str
    venue: str
    kind: str
    tick: str
    lot: str
    base: str
    quote: str


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What names a run and lets somebody repeat it.

    `laws` says by which rules the simulated venue worked (queue model, latencies, fees, ...), `limitations` what
    those rules leave out. `markout_horizon` is the column of later mids by which the ledger splits adverse selection
    from inventory.
    """

    run_id: str
    mode: str
    version: str
    config_hash: str
    code_hash: str
    tape_hashes: tuple[str, ...]
    seed: int
    commands_hash: str
    state_hash: str
    venue: str
    instruments: tuple[InstrumentFacts, ...]
    start_ns: int
    span_ns: int
    events: int
    wakes: int
    laws: Mapping[str, str]
    limitations: tuple[str, ...] = ()
    days_per_year: int = 365
    markout_horizon: str = "mid_5s"


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Every measure, for one instrument or for the whole run."""

    pnl: statistics.PnlSplit
    fills: statistics.FillCounts
    orders: statistics.OrderCounts
    markouts_maker: tuple[statistics.Markout, ...]
    markouts_taker: tuple[statistics.Markout, ...]
    queue: tuple[statistics.QueueBin, ...]
    inventory: statistics.Inventory
    quoting: statistics.Quoting
    performance: statistics.Performance


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of a run. The total's inventory is a net value in `currency`, an instrument's is in its base."""

    run: RunFacts
    currency: str
    total: Breakdown
    instruments: Mapping[str, Breakdown]

    def as_json(self, *, utc: str) -> str:
        """This summary as JSON: sorted keys, ASCII, LF, final newline, floats of 9 significant digits.

        `utc` is the time of writing (`report.utc_now`), kept apart under `runtime` from what the run itself says.
        """
        document = {**asdict(self), "runtime": {"utc": utc, "version": self.run.version}}
        return json.dumps(_rounded(document), sort_keys=True, indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What a run did. Frames as in the schemas of this module; further columns are allowed and ignored.

    `attribution` holds one entry per instrument and one under "total". Raises ResultError when the parts do not fit.
    """

    run: RunFacts
    fills: pl.DataFrame
    orders: pl.DataFrame
    equity: pl.DataFrame
    attribution: Mapping[str, Attribution]

    def __post_init__(self) -> None:
        """Refuse what would be shown wrong."""
        _check_run(self.run)
        symbols = {instrument.symbol for instrument in self.run.instruments}
        frames = (
            ("fills", self.fills, FILLS_SCHEMA),
            ("orders", self.orders, ORDERS_SCHEMA),
            ("equity", self.equity, EQUITY_SCHEMA),
        )
        for name, frame, schema in frames:
            _check_frame(name, frame, schema)
            strangers = sorted(set(frame["instrument"].unique()) - symbols)
            if strangers:
                raise ResultError(f"{name}: instruments {strangers} are not in run.instruments {sorted(symbols)}")
        _check_values("fills.side", self.fills["side"], (-1, 1))
        _check_values("orders.side", self.orders["side"], (-1, 1))
        _check_values("orders.state", self.orders["state"], statistics.ORDER_STATES)
        if self.equity.select((pl.col("ts").diff().over("instrument") < 0).any()).item():
            raise ResultError("equity: ts falls within an instrument; samples must be in time order")
        expected = {*symbols, TOTAL}
        if set(self.attribution) != expected:
            raise ResultError(f"attribution: expected exactly {sorted(expected)}, got {sorted(self.attribution)}")

    @property
    def currency(self) -> str:
        """The one quote currency of all money in this result."""
        return self.run.instruments[0].quote

    def summary(self) -> Summary:
        """All numbers of the run; computed once."""
        return self._summary

    @cached_property
    def _summary(self) -> Summary:
        return Summary(
            run=self.run,
            currency=self.currency,
            total=self._total(),
            instruments={instrument.symbol: self._of(instrument) for instrument in self.run.instruments},
        )

    def of(self, frame: pl.DataFrame, symbol: str) -> pl.DataFrame:
        """The rows of one instrument."""
        return frame.filter(pl.col("instrument") == symbol)

    def equity_curve(self) -> tuple[Integers, Floats, Floats]:
        """The whole run at every sample time: ts [ns], equity and net value of all positions [currency].

        Instruments need not be sampled together: each keeps its last value until its next sample, and its first one
        before that.
        """
        grid = np.unique(self.equity["ts"].to_numpy())
        equity, exposure = np.zeros(grid.size), np.zeros(grid.size)
        for instrument in self.run.instruments:
            rows = self.of(self.equity, instrument.symbol)
            if rows.is_empty():
                continue
            last = np.maximum(np.searchsorted(rows["ts"].to_numpy(), grid, side="right") - 1, 0)
            equity += rows["equity"].to_numpy()[last]
            exposure += (rows["position"].to_numpy() * rows["mid"].to_numpy())[last]
        return grid, equity, exposure

    def _of(self, instrument: InstrumentFacts) -> Breakdown:
        fills, orders, equity = (self.of(frame, instrument.symbol) for frame in (self.fills, self.orders, self.equity))
        ts = equity["ts"].to_numpy()
        return self._breakdown(
            instrument.symbol,
            (fills, orders, equity),
            statistics.inventory(
                ts,
                equity["position"].to_numpy(),
                unit=instrument.base,
                max_abs=statistics.position_extremes(equity, fills),
                traded=float(fills["qty"].to_numpy().sum()),
            ),
            (ts, equity["equity"].to_numpy()),
        )

    def _total(self) -> Breakdown:
        ts, equity, exposure = self.equity_curve()
        value = self.fills["price"].to_numpy() * self.fills["qty"].to_numpy()
        return self._breakdown(
            TOTAL,
            (self.fills, self.orders, self.equity),
            statistics.inventory(
                ts,
                exposure,
                unit=self.currency,
                max_abs=float(np.abs(exposure).max(initial=0.0)),
                traded=float(value.sum()),
            ),
            (ts, equity),
        )

    def _breakdown(
        self,
        name: str,
        frames: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
        inventory: statistics.Inventory,
        curve: tuple[Integers, Floats],
    ) -> Breakdown:
        fills, orders, equity = frames
        return Breakdown(
            pnl=statistics.pnl_split(self.attribution[name]),
            fills=statistics.fill_counts(fills),
            orders=statistics.order_counts(orders, fills.height),
            markouts_maker=statistics.markouts(fills, maker=True),
            markouts_taker=statistics.markouts(fills, maker=False),
            queue=statistics.fill_probability(orders),
            inventory=inventory,
            quoting=statistics.quoting(equity),
            performance=statistics.performance(*curve, days_per_year=self.run.days_per_year),
        )

    def write(self, directory: str | Path, *, environ: Mapping[str, str] = os.environ) -> dict[str, Path]:
        """Write report.html, summary.json and fills, orders and equity as Parquet; return the paths by name.

        The directory is made if need be and files of the same name are replaced. With `MM_FREEZE_UTC` or
        `MM_FREEZE_UTC_ISO` in `environ` the same result gives the same bytes.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        utc = report.utc_now(environ)
        texts = {"report.html": report.render(self, utc=utc), "summary.json": self.summary().as_json(utc=utc)}
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        frames = {"fills.parquet": self.fills, "orders.parquet": self.orders, "equity.parquet": self.equity}
        for name, frame in frames.items():
            frame.write_parquet(folder / name)
        return {name: folder / name for name in (*texts, *frames)}

    def __str__(self) -> str:
        return terminal.text(self.summary())

    def _repr_html_(self) -> str:
        return report.notebook(self.summary())


def _rounded(value: object) -> object:
    """The same tree with floats of fixed precision, so that the last bit of a sum cannot change a file."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value


def _check_run(run: RunFacts) -> None:
    if not run.instruments:
        raise ResultError("run.instruments: empty; a run trades at least one instrument")
    symbols = [instrument.symbol for instrument in run.instruments]
    if len(set(symbols)) < len(symbols) or TOTAL in symbols:
        raise ResultError(f"run.instruments: symbols must be unique and not {TOTAL!r}, got {symbols}")
    quotes = sorted({instrument.quote for instrument in run.instruments})
    if len(quotes) > 1:
        raise ResultError(f"run.instruments: quote currencies {quotes} cannot be added; make one result for each")
    inverse = [instrument.symbol for instrument in run.instruments if instrument.kind.lower() == "inverse"]
    if inverse:
        raise ResultError(f"run.instruments: {inverse} are inverse contracts; only linear and spot value is supported")
    if run.markout_horizon not in statistics.HORIZONS:
        raise ResultError(f"run.markout_horizon: {run.markout_horizon!r} is none of {list(statistics.HORIZONS)}")


def _check_frame(name: str, frame: pl.DataFrame, schema: Mapping[str, PolarsDataType]) -> None:
    for column, dtype in schema.items():
        if column not in frame.columns:
            raise ResultError(f"{name}: column {column!r} is missing; expected {list(schema)}")
        series = frame[column]
        if series.dtype != dtype:
            raise ResultError(f"{name}.{column}: expected {dtype}, got {series.dtype}; cast it where the frame is made")
        if column not in NULLABLE and series.null_count():
            raise ResultError(f"{name}.{column}: row {series.is_null().arg_max()} is null; a value is required")
        if dtype == pl.Float64 and not series.drop_nulls().is_finite().all():
            row = (~series.is_finite()).fill_null(False).arg_max() or 0
            raise ResultError(f"{name}.{column}: row {row} is {series[row]}; only finite numbers or null are allowed")


def _check_values(name: str, series: pl.Series, allowed: tuple[object, ...]) -> None:
    wrong = series.filter(~series.is_in(allowed))
    if not wrong.is_empty():
        raise ResultError(f"{name}: {wrong[0]!r} is none of {list(allowed)}")
