"""What a shadow run and a dry run have in common: what they are told, what they write, and in which order.

out/
    ITER_SUMMARY_1.json …          the KPIs, iteration by iteration (`mmbot.ops.iterations`)
    SHADOW_RUN_SUMMARY.json        the whole run: KPIs over all iterations, hashes, counters, doubts
    report/                        the same report as a backtest's
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from mmbot.config import BacktestConfig, ConfigError, MissingProfileError, load, load_profile
from mmbot.data.catalog import market_of
from mmbot.ops.artifacts import write_text
from mmbot.ops.iterations import (
    IterationError,
    Iterations,
    RunNames,
    Runtime,
    Summary,
    as_json,
    remove_iterations,
    write_iteration,
)
from mmbot.research.facts import code_hash, strategy_words
from mmbot.research.report import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.ops.iterations import Iteration
    from mmbot.ops.strictness import Doubts
    from mmbot.research.frames import Frames
    from mmbot.research.result import Result
    from mmbot.research.traded import Traded
    from mmbot.strategy import Strategy

__all__ = [
    "RUN_SUMMARY",
    "Cut",
    "RunSummary",
    "RunWriter",
    "load_run",
    "names_of",
    "read_run",
    "with_symbols",
]

SCHEMA: Final = "mmbot/run-summary/1"
RUN_SUMMARY: Final = "SHADOW_RUN_SUMMARY.json"
"""Written by dry runs too: the two are read by the same tools, and `mode` tells them apart."""


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`SHADOW_RUN_SUMMARY.json`: a run as a whole."""

    run: RunNames
    iterations: int
    duration_seconds: float
    """Length of one iteration."""
    start_ns: int
    end_ns: int
    """End of the last iteration."""
    left_over_seconds: float
    """What was heard after it, in no iteration."""
    summary: Summary
    """KPIs over all iterations together; the drift of the clock as of the end."""
    run_id: str
    seed: int
    commands_hash: str
    state_hash: str
    tape_hashes: tuple[str, ...]
    laws: dict[str, str]
    counters: dict[str, float] = msgspec.field(default_factory=dict)
    """What the market's source counted, by metric name."""
    notes: tuple[str, ...] = ()
    """What the run went on in spite of."""
    schema: str = SCHEMA
    runtime: Runtime | None = None


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a run is cut: the length of an iteration in seconds of the feed, and how many at most."""

    duration_s: float = 60.0
    iterations: int | None = None


def names_of(
    config: BacktestConfig, strategy: Strategy, traded: Sequence[Traded], *, mode: str, profile: str = ""
) -> RunNames:
    """What the iterations of a run are named by."""
    return RunNames(
        mode=mode,
        exchange=", ".join(sorted({each.instrument.venue for each in traded})),
        symbols=tuple(each.symbol for each in traded),
        strategy=strategy_words(strategy),
        config_hash=config.hash(),
        code_hash=code_hash(type(strategy)),
        markout=f"mid_{config.markout}",
        profile=profile,
    )


def load_run(config: Path, profile: str, doubts: Doubts) -> BacktestConfig:
    """Read a configuration, with a profile over it if one is named. A profile that is not there is a doubt.

    Raises ConfigError, and StrictError for a missing profile under `--strict`.
    """
    if profile:
        try:
            return load_profile(config, BacktestConfig, profile)
        except MissingProfileError as error:
            doubts.warn(str(error), "going on without it")
    return load(config, BacktestConfig)


def with_symbols(config: BacktestConfig, symbols: Sequence[str]) -> BacktestConfig:
    """Keep the configured instruments with these symbols, all for none. Raises ConfigError for a symbol it has not."""
    if not symbols:
        return config
    by_symbol = {market_of(one)[1]: one for one in config.instruments}
    if unknown := [symbol for symbol in symbols if symbol not in by_symbol]:
        raise ConfigError(f"{','.join(unknown)}: not configured; the configuration has {', '.join(by_symbol)}")
    return config.model_copy(update={"instruments": [by_symbol[symbol] for symbol in symbols]})


class RunWriter:
    """Measures and writes the iterations of one run as they come to be over, then the run."""

    def __init__(
        self,
        out: Path,
        iterations: Iterations,
        cut: Cut,
        doubts: Doubts,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Take an earlier run's files out of the folder `out`. Raises OSError."""
        self.out, self.iterations, self.cut, self.doubts, self.environ = out, iterations, cut, doubts, environ
        self.written: list[Iteration] = []
        out.mkdir(parents=True, exist_ok=True)
        remove_iterations(out)
        (out / RUN_SUMMARY).unlink(missing_ok=True)

    @property
    def full(self) -> bool:
        """Whether all the iterations that were asked for are written."""
        return self.cut.iterations is not None and len(self.written) >= self.cut.iterations

    def due(self, heard_until: int) -> bool:
        """Whether there is an iteration to measure now, while the run goes on."""
        return not self.full and self.iterations.due(heard_until)

    def take(self, frames: Frames, heard_until: int, *, last: bool = False) -> list[Iteration]:
        """Write what is due; `last` says that the run is over. Returns what was written now. Raises OSError."""
        new: list[Iteration] = []
        for iteration in self.iterations.complete(frames, heard_until, last=last):
            if self.full:
                break
            noted = msgspec.structs.replace(iteration, notes=tuple(self.doubts.notes))
            write_iteration(self.out, noted, utc=utc_now(self.environ))
            new.append(noted)
            self.written.append(noted)
        return new

    def finish(
        self, result: Result, traded: Sequence[Traded], *, counters: Mapping[str, float] | None = None
    ) -> RunSummary:
        """Write the summary of the run, and its report.

        Raises IterationError for a run without an iteration, and StrictError, under `--strict`, for one with fewer than
        were asked for; OSError.
        """
        run, cutter = result.run, self.iterations
        start, end = run.start_ns, run.start_ns + run.span_ns
        if not self.written:
            raise IterationError(
                f"the market was heard for {run.span_ns / 1e9:.1f} s, which is less than one iteration of "
                f"{self.cut.duration_s:g} s; give a shorter --duration, or a longer recording"
            )
        if self.cut.iterations is not None and not self.full:
            self.doubts.warn(f"{self.cut.iterations} iterations were asked for; the market gave {len(self.written)}")
        last = start + len(self.written) * cutter.duration_ns
        whole = Iterations(traded, cutter.names, duration_s=self.cut.duration_s)
        summary = RunSummary(
            run=cutter.names,
            iterations=len(self.written),
            duration_seconds=self.cut.duration_s,
            start_ns=start,
            end_ns=last,
            left_over_seconds=(end - last) / 1e9,
            summary=whole.measure(result.frames, start, last),
            run_id=run.run_id,
            seed=run.seed,
            commands_hash=run.commands_hash,
            state_hash=run.state_hash,
            tape_hashes=run.tape_hashes,
            laws=dict(run.laws),
            counters=dict(counters or {}),
            notes=tuple(self.doubts.notes),
        )
        write_text(self.out / RUN_SUMMARY, as_json(summary, utc=utc_now(self.environ)))
        named = replace(result, run=replace(run, mode=cutter.names.mode))
        named.write(self.out / "report", environ=self.environ)
        return summary


_DECODER: Final = msgspec.json.Decoder(RunSummary)


def read_run(folder: Path) -> RunSummary:
    """Read a run's summary. Raises IterationError for a folder without one, or one that is none; OSError."""
    path = folder / RUN_SUMMARY
    if not path.is_file():
        raise IterationError(f"{path}: no such file; expected the folder of a shadow run or a dry run")
    try:
        return _DECODER.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IterationError(f"{path}: {error}; expected what `mmbot shadow` or `mmbot dryrun` writes") from error
