"""What a run did, row by row: fills, orders and sampled state, with the schemas that everybody can rely on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from mmbot.research.statistics import HORIZONS, ORDER_STATES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray
    from polars._typing import PolarsDataType

    from mmbot.research.statistics import Floats, Integers

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
    {"ahead_at_join", *HORIZONS, "ts_accepted", "ts_done", "reason", "bid", "ask", "quote_bid", "quote_ask"}
)


class ResultError(ValueError):
    """The parts of a result do not fit together. The engine side filled it wrongly; nothing is repaired here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """The three frames of a run, checked against their schemas; further columns are allowed and ignored."""

    fills: pl.DataFrame
    orders: pl.DataFrame
    equity: pl.DataFrame

    def __post_init__(self) -> None:
        """Refuse what would be shown wrong."""
        _check_frame("fills", self.fills, FILLS_SCHEMA)
        _check_frame("orders", self.orders, ORDERS_SCHEMA)
        _check_frame("equity", self.equity, EQUITY_SCHEMA)
        _check_values("fills.side", self.fills["side"], (-1, 1))
        _check_values("orders.side", self.orders["side"], (-1, 1))
        _check_values("orders.state", self.orders["state"], ORDER_STATES)
        if self.equity.select((pl.col("ts").diff().over("instrument") < 0).any()).item():
            raise ResultError("equity: ts falls within an instrument; samples must be in time order")

    def symbols(self) -> list[str]:
        """Every instrument that occurs in any frame, sorted."""
        return sorted(set().union(*(frame["instrument"] for frame in (self.fills, self.orders, self.equity))))

    def of(self, symbol: str) -> Frames:
        """The rows of one instrument."""
        mine = pl.col("instrument") == symbol
        return Frames(fills=self.fills.filter(mine), orders=self.orders.filter(mine), equity=self.equity.filter(mine))

    def in_worth(self, inverse: Collection[str]) -> Frames:
        """The same rows with each price as what one unit of quantity is worth in the settlement currency.

        That is the price itself, or −1/price for the contracts named in `inverse`, which bring coins in when bought
        and rise with the price all the same. Quantity × worth is then money in every row, whatever the contract. The
        touch and our quotes stay prices.
        """
        if not inverse:
            return self
        turned = pl.col("instrument").is_in(list(inverse))

        def worth(*names: str) -> list[pl.Expr]:
            return [pl.when(turned).then(-1 / pl.col(name)).otherwise(pl.col(name)).alias(name) for name in names]

        return Frames(
            fills=self.fills.with_columns(worth("price", "mid", *HORIZONS)),
            orders=self.orders.with_columns(worth("price")),
            equity=self.equity.with_columns(worth("mid")),
        )

    def equity_curve(self) -> tuple[Integers, Floats, Floats]:
        """The whole run at every sample time: ts [ns], equity and net value of all positions [currency].

        Instruments need not be sampled together: each keeps its last value until its next sample, and its first one
        before that. Inverse contracts must be given `in_worth`.
        """
        grid = np.unique(self.equity["ts"].to_numpy())
        equity, exposure = np.zeros(grid.size), np.zeros(grid.size)
        for rows in self.equity.partition_by("instrument", maintain_order=True):
            last = standing(rows["ts"].to_numpy(), grid)
            equity += rows["equity"].to_numpy()[last]
            exposure += (rows["position"].to_numpy() * np.abs(rows["mid"].to_numpy()))[last]
        return grid, equity, exposure


def standing(ts: Integers, at: Integers) -> NDArray[np.intp]:
    """Index of the sample of `ts` that stands at each time of `at`: the last one so far, the first one before any."""
    return np.maximum(np.searchsorted(ts, at, side="right") - 1, 0)


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
