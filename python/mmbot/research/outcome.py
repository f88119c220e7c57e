"""From what a replay left behind to its `Result`: fills, orders and samples as frames, and the attribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmbot.ledger import Attribution, attribution, combine
from mmbot.research.facts import Setting, facts
from mmbot.research.frames import Frames
from mmbot.research.result import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA, TOTAL, Result
from mmbot.research.statistics import HORIZONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polars._typing import PolarsDataType

    from mmbot import _core
    from mmbot.config import BacktestConfig
    from mmbot.research.traded import Traded
    from mmbot.strategy import Strategy

    Columns = dict[str, np.ndarray[Any, Any]]

BOOKS_TOLERANCE, CASH_UNIT, CASH_UNITS = 1e-8, 1e-12, 10**12


def outcome(
    config: BacktestConfig,
    replay: _core.Run,
    seat: int,
    strategy: Strategy,
    traded: Sequence[Traded],
    *,
    setting: Setting | None = None,
) -> Result:
    """Read what one strategy (`seat`) did in a finished run.

    Raises NoMarketError for a tape without a single mid, by which nothing can be valued, and BooksError when the
    ledger's equity and the attribution of the fills disagree, which is a mistake of ours.
    """
    parts = {each.symbol: _Part(replay, seat, index, each) for index, each in enumerate(traded)}
    split = {symbol: part.attribution(f"mid_{config.markout}") for symbol, part in parts.items()}
    stacked = _stacked(list(parts.values()))
    return Result(
        run=facts(config, replay, seat, strategy, traded, setting=setting),
        fills=stacked.fills,
        orders=stacked.orders,
        equity=stacked.equity,
        attribution={**split, TOTAL: combine(split.values())},
    )


def frames(replay: _core.Replay, seat: int, traded: Sequence[Traded]) -> Frames:
    """What one strategy did so far in a replay that may go on: no attribution, for its last fills are not sampled yet.

    Later mids that the tapes do not reach yet are null. Raises NoMarketError while there is no mid at all.
    """
    return _stacked([_Part(replay, seat, index, each) for index, each in enumerate(traded)])


def _stacked(parts: list[_Part]) -> Frames:
    return Frames(
        fills=_stack([part.fills for part in parts], FILLS_SCHEMA, "execution"),
        orders=_stack([part.orders for part in parts], ORDERS_SCHEMA, "order_id"),
        equity=_stack([part.equity for part in parts], EQUITY_SCHEMA, "ts"),
    )


def _stack(frames: list[pl.DataFrame], schema: Mapping[str, PolarsDataType], order: str) -> pl.DataFrame:
    stacked = pl.concat(frames).select(pl.col(name).cast(kind) for name, kind in schema.items())
    return stacked if len(frames) == 1 else stacked.sort(order, maintain_order=True)


class NoMarketError(ValueError):
    """A market that never had two sides, or, while a run goes on, has had none so far."""


class BooksError(RuntimeError):
    """Two accounts of the same money disagree. No input can be the reason: the code is wrong."""


class _Part:
    """One instrument of one strategy's run, as frames."""

    def __init__(self, replay: _core.Run, seat: int, index: int, traded: Traded) -> None:
        self.traded = traded
        self.books = replay.books(seat, index)
        self.opening = replay.opening(seat, index) or dict.fromkeys(self.books, 0)
        self.fills = self._fills(_of(replay.fills(seat), index))
        self.orders = self._orders(_of(replay.order_log(seat), index))
        self.equity = self._equity(_of(replay.samples(seat), index))

    def _fills(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        price = traded.prices(raw["price_ticks"])
        mid = (traded.prices(raw["touch_bid"]) + traded.prices(raw["touch_ask"])) / 2
        later = {name: traded.mids(raw["ts_venue"] + span) for name, span in HORIZONS.items()}
        frame = pl.DataFrame(
            {
                **{name: raw[name] for name in ("ts_venue", "ts_recv", "order_id", "execution", "side")},
                "instrument": [traded.symbol] * len(price),
                "price": price,
                "qty": traded.quantities(raw["qty_lots"]),
                **{name: raw[name] for name in ("price_ticks", "qty_lots", "maker", "fee", "order_age_ns")},
                # A one-sided market has no mid; the fill's own price then counts as one, so nothing is captured.
                "mid": np.where(np.isnan(mid), price, mid),
                "ahead_at_join": traded.quantities(raw["ahead_at_join"]),
                **later,
            }
        )
        absent = pl.when(pl.col("ahead_at_join") >= 0).then(pl.col("ahead_at_join"))
        return frame.with_columns(absent, *(pl.col(name).fill_nan(None) for name in HORIZONS))

    def _orders(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        state = ["working" if text in _OPEN else _ENDED.get(text, text) for text in raw["state"]]
        frame = pl.DataFrame(
            {
                **{name: raw[name] for name in ("order_id", "side", "ts_decided", "ts_accepted", "ts_done", "amends")},
                "instrument": [traded.symbol] * len(state),
                "price": traded.prices(raw["price_ticks"]),
                "qty": traded.quantities(raw["qty_lots"]),
                "state": state,
                "reason": pl.Series(list(raw["reason"]), dtype=pl.String),
                "cum_qty": traded.quantities(raw["cum_lots"]),
                "ahead_at_join": traded.quantities(raw["ahead_at_join"]),
                "cancels_sent": raw["cancels"],
            }
        )
        known = (pl.when(pl.col(name) >= 0).then(pl.col(name)) for name in ("ts_accepted", "ts_done", "ahead_at_join"))
        return frame.with_columns(*known)

    def _equity(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        bid, ask = traded.prices(raw["bid"]), traded.prices(raw["ask"])
        position = traded.quantities(raw["position_lots"])
        mid = pl.Series((bid + ask) / 2).fill_nan(None).forward_fill().backward_fill().to_numpy()
        if np.isnan(mid).any():
            where = traded.config.tape or traded.symbol
            raise NoMarketError(f"{where}: no sample has both a bid and an ask, so nothing can be valued")
        # A run that took a position over earns from the first mark on: what it was worth then is where equity begins.
        value = self._worth(position, mid) - self._worth(self.held, mid[:1])
        cash = raw["cash"] - self.opening["cash_units"] / CASH_UNITS
        sides = ("quote_bid", "quote_ask")
        quotes = {side: np.where(raw[side] > 0, traded.prices(raw[side]), np.nan) for side in sides}
        frame = pl.DataFrame(
            {
                "ts": raw["ts"],
                "instrument": [traded.symbol] * len(mid),
                "bid": bid,
                "ask": ask,
                "mid": mid,
                "position": position,
                "cash": cash,
                "equity": cash + value,
                "fees": raw["fees"] - self.opening["fee_units"] / CASH_UNITS,
                **quotes,
            }
        )
        return frame.with_columns(pl.col("bid", "ask", "quote_bid", "quote_ask").fill_nan(None))

    @property
    def held(self) -> np.ndarray[Any, Any]:
        """The position that the run took over from an earlier one, in units."""
        return self.traded.quantities(np.array([self.opening["position_lots"]]))

    def _worth(self, position: np.ndarray[Any, Any], mid: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        worth: np.ndarray[Any, Any] = position * mid
        return -position / mid if self.traded.instrument.kind == "inverse" else worth

    def attribution(self, horizon: str) -> Attribution:
        """Where the money came from, by the fills alone; the total must be what the ledger says."""
        split = attribution(
            self.fills.with_columns(mid_after=pl.col(horizon)),
            mid_start=self.equity["mid"].item(0),
            mid_end=self.equity["mid"].item(-1),
            initial_position=float(self.held[0]),
            funding=[(self.books["funding_units"] - self.opening["funding_units"]) / CASH_UNITS],
            contract="inverse" if self.traded.instrument.kind == "inverse" else "linear",
        )
        carried = float(self._worth(self.held, self.equity["mid"].head(1).to_numpy())[0])
        check_agreement(self.traded.symbol, split, self.equity["equity"].item(-1), carried)
        return split


def check_agreement(symbol: str, split: Attribution, equity: float, carried: float = 0.0) -> None:
    """Hold the realised P&L of the fills against the ledger's equity since the run's first mark.

    carried: what a position taken over was worth at that mark. Raises BooksError when the two differ by more than 1e-8
    of turnover and of what was carried in (and the smallest unit of cash).
    """
    allowed = BOOKS_TOLERANCE * (split.turnover + abs(carried)) + CASH_UNIT
    if not abs(split.realised_pnl - equity) <= allowed:
        raise BooksError(
            f"{symbol}: the fills say a P&L of {split.realised_pnl!r}, the ledger an equity of {equity!r}; they may "
            f"differ by {allowed:.3g}. This is a mistake of mmbot: please report it with the tape and the configuration"
        )


_OPEN = frozenset({"intent", "sent", "acked", "unknown", "live", "partial"})
_ENDED = {"never_placed": "denied", "expired": "canceled", "expired_unproven": "canceled"}
"""How a run's report calls an order that the venue provably never had, and one that ended there by itself."""


def _of(columns: Mapping[str, Any], index: int) -> Columns:
    keep = columns["instrument"] == index
    return {name: np.asarray(values)[keep] for name, values in columns.items()}
