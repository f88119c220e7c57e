"""A backtest: configured tapes and laws, a strategy, and the result of bringing them together.

result = mmbot.backtest("configs/backtest.toml")
result = mmbot.backtest(config, strategy=MyStrategy())
results = mmbot.backtest_many(config, [MyStrategy(gamma=g) for g in gammas])     # one pass over the tape
"""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import ValidationError

import mmbot
from mmbot import _core
from mmbot.config import BacktestConfig, ConfigError, InstrumentConfig, LatencyConfig, load
from mmbot.config.load import explain
from mmbot.data import open_tape
from mmbot.ledger import Attribution, attribution, combine
from mmbot.research.result import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA, TOTAL, Result
from mmbot.research.summary import InstrumentFacts, RunFacts
from mmbot.strategies import find_strategy
from mmbot.strategy import Strategy, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polars._typing import PolarsDataType

    Progress = Callable[[float], object]
    Columns = dict[str, np.ndarray[Any, Any]]

NO_BID, NO_ASK = -(2**31), 2**31 - 1
HORIZONS_NS = {
    "mid_100ms": 100_000_000,
    "mid_1s": 1_000_000_000,
    "mid_5s": 5_000_000_000,
    "mid_30s": 30_000_000_000,
    "mid_300s": 300_000_000_000,
}
QUOTE_CURRENCIES = ("USDT", "USDC", "FDUSD", "USD", "EUR", "BTC", "ETH")
LIMITATIONS = (
    "The recorded market does not react to us: no impact beyond the displayed liquidity that we take.",
    "Hidden and iceberg size is invisible, so fills on venues that have it come too early.",
    "Queue position is estimated from level sizes; only order-by-order data would make it exact.",
    "At equal venue times the order of receipt decides; matching inside one timestamp is not visible.",
    "The tape is one sample of one market: nothing here says how the next day differs.",
)


@dataclass(frozen=True)
class _Traded:
    """One instrument of a run: what was configured, and what came of it."""

    config: InstrumentConfig
    tape: _core.Tape
    instrument: _core.Instrument
    symbol: str

    @property
    def price(self) -> tuple[int, int]:
        """A price in ticks times the first, divided by the second, is the correctly rounded price."""
        return _fraction(self.instrument.tick)

    @property
    def unit(self) -> float:
        """Units of value per lot: lot size times contract value."""
        return self.instrument.lot_size * float(self.instrument.contract)

    def prices(self, ticks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Ticks as prices; NaN where a side of the touch was empty."""
        times, over = self.price
        missing = (ticks == NO_BID) | (ticks == NO_ASK)
        return np.where(missing, np.nan, ticks.astype(np.int64) * times / over)

    def mids(self, ts_venue: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Mid at venue times; NaN beyond the tape and where there was no two-sided market."""
        bid, ask = self.tape.touch_at(ts_venue)
        mid = (self.prices(bid) + self.prices(ask)) / 2
        span = self.tape.span
        return np.where(ts_venue < span[1], mid, np.nan) if span else np.full(len(ts_venue), np.nan)


def _fraction(step: str) -> tuple[int, int]:
    whole, _, decimals = step.partition(".")
    return int(whole + decimals), 10 ** len(decimals)


def _rate(bps: float) -> int:
    rate = round(bps * 10_000)
    if abs(rate - bps * 10_000) > 1e-6:
        raise ConfigError(f"a fee of {bps} bps is finer than 0.0001 bps, the smallest step of a rate")
    return rate


def _instrument(config: InstrumentConfig, recorded: _core.Instrument) -> _core.Instrument:
    fees = config.fees
    tiers = None
    if fees.tiers is not None:
        tiers = [(volume, _rate(maker), _rate(taker)) for volume, maker, taker in fees.tiers]
    return _core.Instrument(
        venue=recorded.venue,
        symbol=recorded.symbol,
        kind=recorded.kind,
        tick=recorded.tick,
        lot=recorded.lot,
        contract=recorded.contract,
        maker=_rate(fees.maker_bps),
        taker=_rate(fees.taker_bps),
        tiers=tiers,
    )


def _ns(ms: float) -> int:
    return round(ms * 1_000_000)


def _latency(config: LatencyConfig, seed: int) -> _core.Latency:
    if config.constant_ms is not None:
        return _core.Latency.constant(_ns(config.constant_ms))
    if config.quantiles_ms is not None:
        return _core.Latency.sampled([_ns(ms) for ms in config.quantiles_ms], seed)
    try:
        rows = pl.read_csv(str(config.recorded), schema_overrides={"ts_ns": pl.Int64, "latency_ns": pl.Int64})
        return _core.Latency.recorded(list(rows.select("ts_ns", "latency_ns").iter_rows()))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"latency table {config.recorded}: {error}") from error


def _listing(traded: _Traded, signals: Sequence[_core.SignalSpec], seed: int) -> _core.Listing:
    venue = traded.config.venue
    return _core.Listing(
        traded.tape,
        instrument=traded.instrument,
        queue=venue.queue,
        queue_n=venue.queue_n,
        entry=_latency(venue.entry, 3 * seed),
        response=_latency(venue.response, 3 * seed + 1),
        feed=None if venue.feed is None else _latency(venue.feed, 3 * seed + 2),
        feed_extra_ns=_ns(venue.feed_extra_ms),
        whole_fills=venue.whole_fills,
        consume_liquidity=venue.consume_liquidity,
        full_book=venue.full_book,
        volume_before=traded.config.fees.volume_before,
        signals=signals,
    )


def _desk(traded: _Traded) -> _core.Desk:
    limits, orders, instrument = traded.config.limits, traded.config.orders, traded.instrument
    try:
        position, order = instrument.lots(limits.position), instrument.lots(limits.order)
    except ValueError as error:
        raise ConfigError(f"limits of {traded.symbol}: {error} (lot {instrument.lot})") from None
    return _core.Desk(
        position_max=position,
        order_max=order,
        open_orders_max=limits.open_orders,
        collar_bps=limits.collar_bps,
        requests_per_second_max=limits.requests_per_second,
        keep_within=orders.keep_within_ticks,
        refill_below_percent=orders.refill_below_percent,
        amend=orders.amend,
    )


def _open(config: InstrumentConfig) -> _Traded:
    tape = open_tape(config.tape)
    instrument = _instrument(config, tape.instrument)
    return _Traded(config, tape, instrument, instrument.symbol)


def backtest(
    config: BacktestConfig | str | Path,
    *,
    strategy: Strategy | None = None,
    progress: Progress | None = None,
) -> Result:
    """Replay the configured tapes against the strategy and return what came of it.

    config: a TOML file or a `BacktestConfig`. strategy: instead of the configured one. progress: hears the share done.
    Raises ConfigError for a configuration that cannot be used, TapeFault for a damaged tape, OSError for a missing one,
    and whatever the strategy raises.
    """
    read = config if isinstance(config, BacktestConfig) else load(config, BacktestConfig)
    return backtest_many(read, [strategy or _configured(read)], progress=progress)[0]


def _configured(config: BacktestConfig) -> Strategy:
    if config.strategy is None:
        raise ConfigError("strategy: missing; name one in the configuration or give backtest() an object")
    recipe = find_strategy(config.strategy.name)
    try:
        return recipe.build(config.strategy.params)
    except ValidationError as error:
        raise explain(error, "strategy.params") from None


def backtest_many(
    config: BacktestConfig | str | Path, strategies: Sequence[Strategy], *, progress: Progress | None = None
) -> list[Result]:
    """Replay once for many strategies: the market is read once, each has its own orders, limits and books.

    They do not see each other; each result equals the one of a run of its own. All share the first one's signals.
    Raises as `backtest`.
    """
    read = config if isinstance(config, BacktestConfig) else load(config, BacktestConfig)
    if not strategies:
        raise ValueError("backtest_many() needs at least one strategy")
    signals = list(strategies[0].signals)
    if any(list(strategy.signals) != signals for strategy in strategies):
        raise ValueError("strategies of one pass must ask for the same signals")
    traded = [_open(instrument) for instrument in read.instruments]
    listings = [_listing(each, signals, read.seed + 1_000 * index) for index, each in enumerate(traded)]
    seats = [_seat(strategy, traded) for strategy in strategies]
    replay = _core.Replay(listings, seats, sample_ns=_ns(read.sample_ms))
    views: list[View] = []
    views.extend(View(replay, index, each.instrument, views) for index, each in enumerate(traded))
    replay.run([strategy.decide for strategy in strategies], views, progress)
    return [_result(read, replay, seat, strategy, traded) for seat, strategy in enumerate(strategies)]


def _seat(strategy: Strategy, traded: Sequence[_Traded]) -> _core.Seat:
    wake = strategy.wake
    return _core.Seat(
        [_desk(each) for each in traded],
        every_ns=wake.every_ns,
        touch=wake.touch,
        fill=wake.fill,
        trade=wake.trade,
        message=wake.message,
    )


def _result(
    config: BacktestConfig, replay: _core.Replay, seat: int, strategy: Strategy, traded: Sequence[_Traded]
) -> Result:
    parts = {each.symbol: _Part(replay, seat, index, each) for index, each in enumerate(traded)}
    split = {symbol: part.attribution(f"mid_{config.markout}") for symbol, part in parts.items()}
    return Result(
        run=_facts(config, replay, seat, strategy, traded),
        fills=_stack([part.fills for part in parts.values()], FILLS_SCHEMA, "execution"),
        orders=_stack([part.orders for part in parts.values()], ORDERS_SCHEMA, "order_id"),
        equity=_stack([part.equity for part in parts.values()], EQUITY_SCHEMA, "ts"),
        attribution={**split, TOTAL: combine(split.values())},
    )


def _stack(frames: list[pl.DataFrame], schema: Mapping[str, PolarsDataType], order: str) -> pl.DataFrame:
    stacked = pl.concat(frames).select(pl.col(name).cast(kind) for name, kind in schema.items())
    return stacked if len(frames) == 1 else stacked.sort(order, maintain_order=True)


class _Part:
    """One instrument of one strategy's run, as frames."""

    def __init__(self, replay: _core.Replay, seat: int, index: int, traded: _Traded) -> None:
        self.traded = traded
        self.books = replay.books(seat, index)
        self.fills = self._fills(_of(replay.fills(seat), index))
        self.orders = self._orders(_of(replay.order_log(seat), index))
        self.equity = self._equity(_of(replay.samples(seat), index))

    def _fills(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        price = traded.prices(raw["price_ticks"])
        mid = (traded.prices(raw["touch_bid"]) + traded.prices(raw["touch_ask"])) / 2
        later = {name: traded.mids(raw["ts_venue"] + span) for name, span in HORIZONS_NS.items()}
        frame = pl.DataFrame(
            {
                **{name: raw[name] for name in ("ts_venue", "ts_recv", "order_id", "execution", "side")},
                "instrument": [traded.symbol] * len(price),
                "price": price,
                "qty": raw["qty_lots"] * traded.unit,
                **{name: raw[name] for name in ("price_ticks", "qty_lots", "maker", "fee", "order_age_ns")},
                # A one-sided market has no mid; the fill's own price then counts as one, so nothing is captured.
                "mid": np.where(np.isnan(mid), price, mid),
                "ahead_at_join": raw["ahead_at_join"] * traded.unit,
                **later,
            }
        )
        absent = pl.when(pl.col("ahead_at_join") >= 0).then(pl.col("ahead_at_join"))
        return frame.with_columns(absent, *(pl.col(name).fill_nan(None) for name in HORIZONS_NS))

    def _orders(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        state = ["working" if text in _OPEN else text for text in raw["state"]]
        frame = pl.DataFrame(
            {
                **{name: raw[name] for name in ("order_id", "side", "ts_decided", "ts_accepted", "ts_done", "amends")},
                "instrument": [traded.symbol] * len(state),
                "price": traded.prices(raw["price_ticks"]),
                "qty": raw["qty_lots"] * traded.unit,
                "state": state,
                "reason": pl.Series(list(raw["reason"]), dtype=pl.String),
                "cum_qty": raw["cum_lots"] * traded.unit,
                "ahead_at_join": raw["ahead_at_join"] * traded.unit,
                "cancels_sent": np.asarray([text == "canceled" for text in state], dtype=np.int32),
            }
        )
        known = (pl.when(pl.col(name) >= 0).then(pl.col(name)) for name in ("ts_accepted", "ts_done", "ahead_at_join"))
        return frame.with_columns(*known)

    def _equity(self, raw: Columns) -> pl.DataFrame:
        traded = self.traded
        bid, ask = traded.prices(raw["bid"]), traded.prices(raw["ask"])
        position = raw["position_lots"] * traded.unit
        mid = pl.Series((bid + ask) / 2).fill_nan(None).forward_fill().backward_fill().to_numpy()
        value = -position / mid if traded.instrument.kind == "inverse" else position * mid
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
                "cash": raw["cash"],
                "equity": raw["cash"] + value,
                "fees": raw["fees"],
                **quotes,
            }
        )
        return frame.with_columns(pl.col("bid", "ask", "quote_bid", "quote_ask").fill_nan(None))

    def attribution(self, horizon: str) -> Attribution:
        """Where the money came from; the ledger's own identity, on the fills."""
        mids = self.equity["mid"].drop_nulls()
        first, last = (float(mids[0]), float(mids[-1])) if len(mids) else (1.0, 1.0)
        rows = self.fills.with_columns(mid_after=pl.col(horizon))
        return attribution(
            rows,
            mid_start=first,
            mid_end=last,
            funding=[self.books["funding_units"] / 10**12],
            contract="inverse" if self.traded.instrument.kind == "inverse" else "linear",
        )


_OPEN = frozenset({"intent", "sent", "acked", "unknown", "live", "partial"})


def _of(columns: Mapping[str, Any], index: int) -> Columns:
    keep = columns["instrument"] == index
    return {name: np.asarray(values)[keep] for name, values in columns.items()}


def _facts(
    config: BacktestConfig, replay: _core.Replay, seat: int, strategy: Strategy, traded: Sequence[_Traded]
) -> RunFacts:
    spans = [each.tape.span for each in traded if each.tape.span]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    tapes = tuple(f"{each.tape.tape_hash:016x}" for each in traded)
    code, words = code_hash(type(strategy)), config.hash()
    state = f"{replay.state_hash(seat):016x}"
    name = hashlib.sha256("|".join([code, words, *tapes, str(config.seed), state]).encode()).hexdigest()[:12]
    return RunFacts(
        run_id=name,
        mode="backtest",
        version=mmbot.__version__,
        config_hash=words,
        code_hash=code,
        tape_hashes=tapes,
        seed=config.seed,
        commands_hash=f"{replay.commands_hash(seat):016x}",
        state_hash=state,
        venue=", ".join(sorted({each.instrument.venue for each in traded})),
        instruments=tuple(_named(each) for each in traded),
        start_ns=start,
        span_ns=end - start,
        events=sum(each.tape.events for each in traded),
        wakes=replay.wakes,
        laws=_laws(traded),
        limitations=LIMITATIONS,
        markout_horizon=f"mid_{config.markout}",
    )


def _named(traded: _Traded) -> InstrumentFacts:
    instrument, config = traded.instrument, traded.config
    suffix = next((quote for quote in QUOTE_CURRENCIES if traded.symbol.endswith(quote)), "")
    base = traded.symbol.removesuffix(suffix) if suffix else traded.symbol
    return InstrumentFacts(
        symbol=traded.symbol,
        venue=instrument.venue,
        kind=instrument.kind,
        tick=instrument.tick,
        lot=instrument.lot,
        base=config.base or base,
        quote=config.quote or suffix or "quote",
    )


def _laws(traded: Sequence[_Traded]) -> dict[str, str]:
    laws = {}
    for each in traded:
        venue, fees = each.config.venue, each.config.fees
        mark = "" if len(traded) == 1 else f"{each.symbol} "
        exponent = "" if venue.queue_n is None else f" n={venue.queue_n:g}"
        laws[f"{mark}queue"] = f"{venue.queue}{exponent}"
        laws[f"{mark}fills"] = "whole orders" if venue.whole_fills else "partial, by what is there"
        laws[f"{mark}liquidity"] = "stays taken" if venue.consume_liquidity else "comes back at once"
        laws[f"{mark}entry latency"] = _latency_words(venue.entry)
        laws[f"{mark}response latency"] = _latency_words(venue.response)
        extra = f" + {venue.feed_extra_ms:g} ms" if venue.feed_extra_ms else ""
        laws[f"{mark}feed latency"] = "as recorded" + extra if venue.feed is None else _latency_words(venue.feed)
        flat = f"maker {fees.maker_bps:+g} bps, taker {fees.taker_bps:+g} bps"
        laws[f"{mark}fees"] = f"{len(fees.tiers)} tiers" if fees.tiers else flat
    return laws


def _latency_words(latency: LatencyConfig) -> str:
    if latency.constant_ms is not None:
        return f"{latency.constant_ms:g} ms"
    if latency.quantiles_ms is not None:
        return f"drawn from {latency.quantiles_ms[0]:g} to {latency.quantiles_ms[-1]:g} ms"
    return f"recorded in {latency.recorded}"


@cache
def _package_hash() -> bytes:
    digest = hashlib.sha256(_core.SOURCE_HASH.encode())
    package = Path(mmbot.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.digest()


def code_hash(strategy: type[Strategy]) -> str:
    """One name for the code that decided: SHA-256 over the core's sources, the package's and the strategy's file."""
    digest = hashlib.sha256(_package_hash())
    try:
        digest.update(inspect.getsource(inspect.getmodule(strategy) or strategy).encode())
    except (OSError, TypeError):
        digest.update(strategy.__qualname__.encode())  # typed into a shell: its name is all there is
    return digest.hexdigest()[:16]
