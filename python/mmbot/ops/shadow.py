"""A shadow run: a live market, the real strategy, and a simulated venue that is fed by the live book.

    source ─▶ market ─▶ tapes that grow ─▶ replay, a little behind ─▶ iterations as they are over, report at the end
                                                                └──▶ the recording: a dry run of it says the same

There is no way from here to an order: the run is given a source of market data and nothing else, what it wires up is
the backtest's own venue, and an import contract keeps every order session of `mmbot.venues`, and whatever knows one,
out of these modules and of all that they import.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmbot._core import Tape
from mmbot.config import BacktestConfig, ConfigError
from mmbot.data.catalog import market_of, open_tape
from mmbot.data.instruments import FeeProfile, bybit
from mmbot.ops.counters import Counters
from mmbot.ops.iterations import IterationError, Iterations
from mmbot.ops.runs import Cut, RunSummary, RunWriter, names_of
from mmbot.ops.shadow_market import ShadowMarket
from mmbot.ops.strictness import Doubts
from mmbot.research.backtest import Stage, on_tape, told_apart
from mmbot.research.desks import configured
from mmbot.research.outcome import NoMarketError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from mmbot import _core
    from mmbot.config import InstrumentConfig
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.shadow_sources import Source
    from mmbot.strategy import Strategy
    from mmbot.venues.port import InstrumentTerms, Market

__all__ = ["Shadow", "as_listed", "shadow", "tapes_of"]


def tapes_of(config: BacktestConfig) -> dict[Market, Tape]:
    """The recorded market of each configured instrument, to be played. Raises ConfigError, OSError, TapeFault."""
    return {market_of(one): open_tape(one.recording) for one in config.instruments}


def as_listed(config: InstrumentConfig, terms: InstrumentTerms) -> _core.Instrument:
    """An instrument on the grid that Bybit lists, with the fees of its tape where the configuration says none.

    Raises ConfigError where neither says them: a market maker's edge is no guess.
    """
    fees = config.fees
    if config.tape is not None:
        recorded = open_tape(config.tape).instrument
        profile = FeeProfile(maker=recorded.maker, taker=recorded.taker)
    elif fees.tiers is None and (fees.maker_bps is None or fees.taker_bps is None):
        raise ConfigError(f"{terms.symbol}: no fees; give fees.maker_bps and fees.taker_bps, or a tape that says them")
    else:
        profile = FeeProfile(maker=0, taker=0)  # the configured ones take its place
    return bybit(terms, profile)


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """What a shadow run is told. `instruments`: terms by market, in the order of the configuration."""

    config: BacktestConfig
    instruments: Mapping[Market, _core.Instrument]
    source: Source
    out: Path
    cut: Cut = field(default_factory=lambda: Cut(iterations=6))
    profile: str = ""


async def shadow(
    run: Shadow,
    *,
    strategy: Strategy | None = None,
    doubts: Doubts | None = None,
    counters: Counters | None = None,
    environ: Mapping[str, str] = os.environ,
    told: Callable[[Iteration], Awaitable[None]] | None = None,
    stop: asyncio.Event | None = None,
) -> RunSummary:
    """Shadow a market until the iterations are done, the source ends, or `stop` is set; write what came of it.

    `told` hears of each iteration when it is written. Files go to `run.out`, the recording to `tapes` there; it is
    finished also when the run fails. Raises ConfigError, StrategyError, VenueError, RedisError, IterationError for a
    market that was heard for less than an iteration, StrictError under `--strict`; OSError.
    """
    doubts, counters = doubts or Doubts(), counters or Counters()
    market = ShadowMarket(run.out / "tapes", run.instruments, counters)
    decider = strategy or configured(run.config)
    traded = told_apart(
        [on_tape(one, tape.tape) for one, tape in zip(run.config.instruments, market.tapes.values(), strict=True)]
    )
    names = names_of(run.config, decider, traded, mode="shadow", profile=run.profile)
    iterations = Iterations(traded, names, duration_s=run.cut.duration_s)
    follower = _Follower(
        market=market,
        stage=Stage.set(run.config, [decider], traded),
        writer=RunWriter(run.out, iterations, run.cut, doubts, environ=environ),
        told=told,
    )
    try:
        await run.source.start(market)
        try:
            await follower.follow(run.source, stop)
        finally:
            await run.source.stop()
    finally:
        sealed = market.seal()
    return await follower.finish(list(sealed.values()))


@dataclass(frozen=True, kw_only=True)
class _Follower:
    """What follows the market, and writes down what comes of it."""

    market: ShadowMarket
    stage: Stage
    writer: RunWriter
    told: Callable[[Iteration], Awaitable[None]] | None

    async def follow(self, source: Source, stop: asyncio.Event | None) -> None:
        """Go on with the market until there is enough of it, it is over, or somebody stops it."""
        until = 0
        while not self.writer.full and not (stop is not None and stop.is_set()):
            heard = await source.advance()
            if heard is None:
                return
            if self.market.started_ns is None:
                continue
            until = max(until, heard - self.market.slowest_ns - source.lag_ns)
            self.market.settle(until)
            self.stage.run_until(until)
            if self.writer.due(self.stage.replay.now):
                await self._tell(self._measured(self.stage.replay.now))

    def _measured(self, now: int) -> list[Iteration]:
        """Write what is due by now; it waits where a market has had no two sides yet."""
        try:
            frames = self.stage.frames()
        except NoMarketError:
            return []
        return self.writer.take(frames, now)

    async def finish(self, sealed: Sequence[Path]) -> RunSummary:
        """Play what is left of the tapes, and write the rest of the iterations and the run."""
        if self.market.started_ns is None:
            raise IterationError("nothing was heard of the market: there is nothing to measure")
        self.stage.run_until(self.stage.replay.now, last=True)
        # The names and hashes of a run are those of finished tapes; the growing ones have none.
        traded = [replace(each, tape=Tape.open(path)) for each, path in zip(self.stage.traded, sealed, strict=True)]
        [result] = replace(self.stage, traded=traded).results()
        await self._tell(self.writer.take(result.frames, result.run.start_ns + result.run.span_ns, last=True))
        return self.writer.finish(result, traded, counters=self.market.counters.all())

    async def _tell(self, written: Sequence[Iteration]) -> None:
        if self.told is not None:
            for iteration in written:
                await self.told(iteration)
