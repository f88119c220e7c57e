"""A backtest: configured tapes and laws, a strategy, and the result of bringing them together.

result = mmbot.backtest("configs/backtest.toml")
result = mmbot.backtest(config, strategy=MyStrategy())
results = mmbot.backtest_many(config, [MyStrategy(gamma=g) for g in gammas])     # one pass over the tape
"""

from __future__ import annotations

import csv
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot import _core
from mmbot.config import BacktestConfig, ConfigError, InstrumentConfig, LatencyConfig, load
from mmbot.data.catalog import open_tape
from mmbot.research.desks import configured, desk, seat
from mmbot.research.facts import named
from mmbot.research.traded import Traded
from mmbot.strategy import Strategy, View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mmbot.research.frames import Frames
    from mmbot.research.result import Result

    Progress = Callable[[float], object]


def _rate(bps: float) -> int:
    rate = round(bps * 10_000)
    if abs(rate - bps * 10_000) > 1e-6:
        raise ConfigError(f"a fee of {bps} bps is finer than 0.0001 bps, the smallest step of a rate")
    return rate


def _instrument(config: InstrumentConfig, recorded: _core.Instrument) -> _core.Instrument:
    fees = config.fees
    if fees.from_tape:
        return recorded
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
        maker=recorded.maker if fees.maker_bps is None else _rate(fees.maker_bps),
        taker=recorded.taker if fees.taker_bps is None else _rate(fees.taker_bps),
        tiers=tiers,
    )


def _ns(ms: float) -> int:
    return round(ms * 1_000_000)


def _latency(config: LatencyConfig, seed: int) -> _core.Latency:
    if config.constant_ms is not None:
        return _core.Latency.constant(_ns(config.constant_ms))
    if config.quantiles_ms is not None:
        return _core.Latency.sampled([_ns(ms) for ms in config.quantiles_ms], seed)
    return _recorded_latency(Path(str(config.recorded)))


def _recorded_latency(path: Path) -> _core.Latency:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            missing = {"ts_ns", "latency_ns"}.difference(rows.fieldnames or ())
            if missing:
                raise ValueError(f"no column {' and '.join(sorted(missing))}; expected ts_ns,latency_ns")
            return _core.Latency.recorded([(int(row["ts_ns"]), int(row["latency_ns"])) for row in rows])
    except (OSError, ValueError, TypeError, OverflowError, csv.Error) as error:
        raise ConfigError(f"latency table {path}: {error}") from error


def _listing(traded: Traded, signals: Sequence[_core.SignalSpec], seed: int) -> _core.Listing:
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
        without_us=traded.without_us,
    )


def on_tape(config: InstrumentConfig, tape: _core.Tape) -> Traded:
    """Put an instrument on its tape, with the fees of the configuration. Raises ConfigError for a fee too fine."""
    instrument = _instrument(config, tape.instrument)
    return Traded(config, tape, instrument, instrument.symbol)


def _open(config: InstrumentConfig) -> Traded:
    tape = open_tape(config.recording)
    if tape.span is None:
        raise ConfigError(f"{config.recording}: the tape holds neither depth nor trades; there is nothing to replay")
    return on_tape(config, tape)


def open_tapes(config: BacktestConfig) -> list[Traded]:
    """Open the recorded market of every configured instrument.

    Raises ConfigError for instruments that cannot be traded in one run, OSError and TapeFault for their tapes.
    """
    with _faults_named([instrument.recording for instrument in config.instruments]):
        traded = told_apart([_open(instrument) for instrument in config.instruments])
        _check_overlap(traded)
        return traded


class StrategyError(Exception):
    """A strategy raised, or said something that is no intent. The cause is its own exception.

    The message says which strategy, at what time of the feed and, where it raised itself, in which file and line.
    """


def _decided(error: Exception) -> bool:
    """Tell a strategy's mistake, or nonsense it returned, from one of the engine, which has no Python below us."""
    if isinstance(error, _core.TapeFault | _core.JournalFault):
        return False
    below = error.__traceback__ and error.__traceback__.tb_next
    return below is not None or isinstance(error, TypeError | ValueError)


def _place(error: Exception) -> str:
    """File and line of the strategy's own frame, the first below the engine; nothing for nonsense it returned."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return f" ({frames[0].filename}:{frames[0].lineno})" if frames else ""


def strategy_error(error: Exception, strategies: Sequence[Strategy], now: int) -> StrategyError | None:
    """What a strategy did wrong at `now`, of an error that came out of a run; None if it was not the strategy."""
    if not _decided(error):
        return None
    names = sorted({type(strategy).__name__ for strategy in strategies})
    return StrategyError(f"{' or '.join(names)}.decide failed at {now} ns{_place(error)}: {error!r}")


def backtest(
    config: BacktestConfig | str | Path,
    *,
    strategy: Strategy | None = None,
    progress: Progress | None = None,
) -> Result:
    """Replay the configured tapes against the strategy and return what came of it.

    config: a TOML file or a `BacktestConfig`. strategy: instead of the configured one. progress: hears the share done.
    Raises ConfigError for a configuration that cannot be used, TapeFault for a damaged tape, OSError for a missing one,
    and StrategyError, from the strategy's own exception, when the strategy raises or returns nonsense.
    """
    read = config if isinstance(config, BacktestConfig) else load(config, BacktestConfig)
    return backtest_many(read, [strategy or configured(read)], progress=progress)[0]


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
    traded = open_tapes(read)
    with _faults_named([instrument.recording for instrument in read.instruments]):
        stage = Stage.set(read, strategies, traded)
        stage.run(progress)
        return stage.results()


@contextmanager
def _faults_named(tapes: Sequence[str]) -> Iterator[None]:
    """Say which file a fault is in: the core knows records, not names."""
    try:
        yield
    except _core.TapeFault as error:
        if any(tape in str(error) for tape in tapes):
            raise
        raise _core.TapeFault(f"{' or '.join(tapes)}: {error}") from None


@dataclass(frozen=True)
class Stage:
    """A market, its laws and who trades, put together and ready to be run: by `backtest_many` over whole tapes, by a
    shadow run over tapes that still grow."""

    config: BacktestConfig
    strategies: Sequence[Strategy]
    traded: Sequence[Traded]
    listings: Sequence[_core.Listing]
    replay: _core.Replay
    views: list[View]

    @classmethod
    def set(cls, config: BacktestConfig, strategies: Sequence[Strategy], traded: Sequence[Traded]) -> Stage:
        """Build the replay. Raises ConfigError for limits or a wake rule that cannot be used."""
        signals = strategies[0].signals
        listings = [_listing(each, signals, config.seed + 1_000 * index) for index, each in enumerate(traded)]
        desks = [desk(each.config, each.instrument, each.symbol) for each in traded]
        seats = [seat(strategy, desks) for strategy in strategies]
        replay = _core.Replay(listings, seats, sample_ns=_ns(config.sample_ms))
        views: list[View] = []
        views.extend(View(replay, index, each.instrument, views) for index, each in enumerate(traded))
        return cls(config, strategies, traded, listings, replay, views)

    def run(self, progress: Progress | None = None) -> None:
        """Play the tapes to their end. Raises StrategyError for what a strategy raised, TapeFault for a bad tape."""
        try:
            self.replay.run(self._deciders, self.views, progress)
        except Exception as error:
            failed = strategy_error(error, self.strategies, self.views[0].now)
            if failed is None:
                raise
            raise failed from error

    def run_until(self, until_ns: int, *, last: bool = False) -> None:
        """Play tapes that still grow up to a time, or, with `last`, to the end they have come to. Raises as `run`."""
        try:
            self.replay.run_until(until_ns, self._deciders, self.views, last)
        except Exception as error:
            failed = strategy_error(error, self.strategies, self.views[0].now)
            if failed is None:
                raise
            raise failed from error

    @property
    def _deciders(self) -> list[Callable[[View], object]]:
        return [strategy.decide for strategy in self.strategies]

    def frames(self) -> Frames:
        """What the first strategy did so far."""
        from mmbot.research.outcome import frames  # noqa: PLC0415  as below

        return frames(self.replay, 0, self.traded)

    def results(self) -> list[Result]:
        """What came of a finished run, strategy by strategy; the windows are taken from them."""
        # Frames are made when there is something to frame: polars costs more time to load than a short replay takes.
        from mmbot.research.outcome import outcome  # noqa: PLC0415

        self.views.clear()  # windows know each other through this list; it must not wait for the cycle collector
        return [
            outcome(self.config, self.replay, index, strategy, self.traded)
            for index, strategy in enumerate(self.strategies)
        ]


def told_apart(traded: list[Traded]) -> list[Traded]:
    """Give one symbol of two venues two names, and refuse what one result cannot hold."""
    symbols = [each.symbol for each in traded]
    if len(set(symbols)) < len(symbols):
        traded = [replace(each, symbol=f"{each.symbol}@{each.instrument.venue}") for each in traded]
    twice = sorted({each.symbol for each in traded if [other.symbol for other in traded].count(each.symbol) > 1})
    if twice:
        raise ConfigError(f"instruments: {', '.join(twice)} is given by two tapes; trade each instrument once")
    currencies = {each.symbol: named(each).currency for each in traded}
    if len(set(currencies.values())) > 1:
        found = ", ".join(f"{symbol} in {currency}" for symbol, currency in currencies.items())
        raise ConfigError(
            f"instruments: settled in different currencies ({found}), which do not add up; run them one by one, "
            "or name the currencies alike by `quote` (of an inverse contract `base`) if they are worth the same"
        )
    return traded


def _check_overlap(traded: list[Traded]) -> None:
    """Refuse recordings of different times: years of silence between them would be replayed, wake by wake."""
    spans = {each.symbol: each.tape.span for each in traded}
    known = {symbol: span for symbol, span in spans.items() if span is not None}
    last = max(known, key=lambda symbol: known[symbol][0])
    first = min(known, key=lambda symbol: known[symbol][1])
    if known[last][0] >= known[first][1]:
        raise ConfigError(
            f"instruments: the tape of {last} begins at {known[last][0]} ns, after that of {first} ended at "
            f"{known[first][1]} ns; instruments of one run need recordings of the same time"
        )
