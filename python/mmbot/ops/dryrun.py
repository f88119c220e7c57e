"""A dry run: recorded markets replayed as in a backtest, written down as a shadow run is.

Nothing here can be reached by, or reaches, a venue: it reads tapes. On the recording of a shadow run it gives the same
iterations, number by number.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.config import BacktestConfig, ConfigError
from mmbot.data.catalog import market_of, open_tape
from mmbot.ops.iterations import Iterations
from mmbot.ops.runs import Cut, RunSummary, RunWriter, names_of
from mmbot.ops.strictness import Doubts
from mmbot.research.backtest import Stage, open_tapes
from mmbot.research.desks import configured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmbot.config import InstrumentConfig
    from mmbot.strategy import Strategy

__all__ = ["dry_run", "on_recording"]


def on_recording(config: BacktestConfig, folder: Path) -> BacktestConfig:
    """The same configuration on the tapes that a shadow run recorded in `folder`, instrument by instrument.

    Raises ConfigError for an instrument that was not recorded there.
    """
    tapes = sorted([*folder.glob("*.tape"), *folder.glob("*.tapez")])
    recorded: dict[tuple[str, str], Path] = {
        (one.kind, one.symbol): path for path in tapes for one in [open_tape(path).instrument]
    }

    def named(one: InstrumentConfig) -> str:
        kind, symbol = market_of(one)
        if (kind, symbol) not in recorded:
            found = ", ".join(" ".join(market) for market in recorded) or "no tape"
            raise ConfigError(f"{folder}: no recording of {kind} {symbol}; found {found}")
        return str(recorded[kind, symbol])

    instruments = [one.model_copy(update={"tape": named(one)}) for one in config.instruments]
    return config.model_copy(update={"instruments": instruments})


def dry_run(
    config: BacktestConfig,
    out: Path,
    *,
    strategy: Strategy | None = None,
    cut: Cut | None = None,
    profile: str = "",
    doubts: Doubts | None = None,
    progress: Callable[[float], object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> RunSummary:
    """Replay the configured tapes and write iterations, run summary and report to the folder `out`.

    Raises as `research.backtest`, IterationError for tapes shorter than one iteration, StrictError for fewer iterations
    than asked for under `--strict`, OSError.
    """
    cut, doubts = cut or Cut(), doubts or Doubts()
    decider = strategy or configured(config)
    traded = open_tapes(config)
    stage = Stage.set(config, [decider], traded)
    stage.run(progress)
    [result] = stage.results()
    names = names_of(config, decider, traded, mode="dryrun", profile=profile)
    iterations = Iterations(traded, names, duration_s=cut.duration_s)
    writer = RunWriter(out, iterations, cut, doubts, environ=environ)
    writer.take(result.frames, result.run.start_ns + result.run.span_ns, last=True)
    return writer.finish(result, traded)
