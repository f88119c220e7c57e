"""A recorded run, done again: from its journal and its tapes, without a network.

    run = RecordedRun.open("runs/20261127T221500Z-paper/journal.mmj")
    run.verify()      every wake, intent, command, denial and state hash again, compared with what was recorded
    run.result()      the report of the run

Market data is not in the journal: it lies on the tapes, whose paths are relative to the journal's folder. A tape that a
killed run left unsealed is recovered and sealed first.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmbot import _core
from mmbot.config import BacktestConfig
from mmbot.config.risk import LAUNCH_SHARE
from mmbot.research.backtest import strategy_error
from mmbot.research.desks import bounds, configured, controls, desk, seat
from mmbot.research.facts import Setting, code_hash
from mmbot.research.traded import Traded
from mmbot.strategies import StrategyNotFoundError
from mmbot.strategy import Strategy, View

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot.config import InstrumentConfig
    from mmbot.research.result import Result

    Progress = Callable[[int], object]

__all__ = ["CodeChangedError", "RecordedRun", "RunStart", "Terms", "Verified", "live_engine"]

LIVE_TAPE = ".live"
"""Ending of the directory of a tape that is being written; `.tape` once it is sealed."""


class _Read(BaseModel):
    """What a journal says; a newer writer may say more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Terms(_Read):
    """One instrument as the venue listed it when the run began; rates in 10^-8."""

    venue: str
    symbol: str
    kind: str
    tick: str
    lot: str
    contract: str = "1"
    maker: int
    taker: int
    tape: str
    """Path of its tape, relative to the journal's folder."""

    def instrument(self) -> _core.Instrument:
        """The instrument. Raises ValueError for terms that make no sense."""
        return _core.Instrument(**self.model_dump(exclude={"tape"}))


class _Started(_Read):
    folder: Path | None = None
    """Where the run was started: what its configuration names lies relative to it. None: an older journal."""


class RunStart(_Started):
    """The first entry of a run's journal: all that is needed to do the run again."""

    mode: str
    version: str
    epoch_s: int
    config: BacktestConfig
    config_hash: str
    code_hash: str
    share: str = "1"
    """Share of the configured limits that the run could use, as a fraction."""
    instruments: tuple[Terms, ...] = Field(min_length=1)


class CodeChangedError(ValueError):
    """The code that would decide now is not the code that decided then: a difference would prove nothing."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What a verification compared, without finding a difference."""

    compared: tuple[tuple[str, int], ...]
    """Kinds of entries, and how many of each."""
    head: str
    """Hash of the journal's whole chain."""
    torn: tuple[int, int] | None
    """(offset, bytes) of a last entry that was cut off when the process was killed; nothing was sent because of it."""
    ended: bool
    """The run ended in order; otherwise it was killed, or is still going on."""
    quarantined: int
    """Facts that the books did not take."""

    def __str__(self) -> str:
        lines = [f"{count:>9,} {kind.replace('_', ' ')}" for kind, count in self.compared]
        if self.quarantined:
            lines.append(f"{self.quarantined:>9,} of the events could not be booked, then as now")
        if self.torn is not None:
            lines.append(f"the last entry (byte {self.torn[0]}, {self.torn[1]} bytes) is torn: the writer was killed")
        elif not self.ended:
            lines.append("the journal has no end: the run was killed, or is still going on")
        return "\n".join(["compared, all equal:", *lines, f"head {self.head}"])


def live_engine(
    config: BacktestConfig,
    strategy: Strategy,
    instruments: Sequence[_core.Instrument],
    tapes: Sequence[_core.Tape],
    *,
    share: Fraction = Fraction(1),
    journal: _core.Journal | None = None,
) -> tuple[_core.Live, list[View]]:
    """The engine of a live run and the windows that it shows: the same for the run and for its replay.

    Raises ConfigError for limits or a wake rule that cannot be used, ValueError for a queue model that needs orders.
    """
    risk = config.risk
    if risk.launch:
        share = min(share, Fraction(LAUNCH_SHARE))
    held_against = controls(risk)
    desks = [
        desk(each, instrument, instrument.symbol, share, held_against)
        for each, instrument in zip(config.instruments, instruments, strict=True)
    ]
    together = bounds(
        risk,
        None if config.session is None else config.session.calls_per_second,
        derivatives=any(each.kind != "spot" for each in instruments),
    )
    live = _core.Live(
        tapes,
        seat(strategy, desks, together),
        instruments=instruments,
        signals=list(strategy.signals),
        queues=[(each.venue.queue, each.venue.queue_n) for each in config.instruments],
        journal=journal,
        sample_ns=round(config.sample_ms * 1e6),
    )
    windows: list[View] = []
    windows.extend(View(live, index, instrument, windows) for index, instrument in enumerate(instruments))
    return live, windows


@dataclass(frozen=True)
class RecordedRun:
    """A journal, what it says the run was, and the tapes of that run."""

    journal: Path
    start: RunStart
    traded: tuple[Traded, ...]
    given: Strategy | None = None
    """A strategy object, for a run whose configuration names none."""

    @classmethod
    def open(cls, journal: str | Path, *, strategy: Strategy | None = None) -> RecordedRun:
        """Read a journal's first entry and open its tapes.

        strategy: an untouched object, instead of the one that the configuration names. Raises OSError for a missing
        journal or tape, JournalFault for a damaged journal, TapeFault for a damaged tape, and ValueError for a journal
        that does not say what the run was.
        """
        path = Path(journal)
        start = _start_of(path)
        configs = start.config.instruments
        if len(configs) != len(start.instruments):
            raise ValueError(f"{path}: {len(configs)} instruments are configured, {len(start.instruments)} were traded")
        traded = tuple(
            _traded(path.parent / terms.tape, each, terms)
            for each, terms in zip(configs, start.instruments, strict=True)
        )
        return cls(path, start, traded, strategy)

    def strategy(self) -> Strategy:
        """A fresh strategy, as the run began with.

        Raises ConfigError if none is configured, StrategyNotFoundError if its file is gone.
        """
        try:
            return self.given or configured(self.start.config, self.start.folder)
        except StrategyNotFoundError as error:
            raise StrategyNotFoundError(f"{self.journal}: the strategy of this run is not there now: {error}") from None

    def check_code(self, strategy: Strategy) -> None:
        """Raise CodeChangedError unless the code that decides now is the recorded one."""
        now = code_hash(type(strategy))
        if now != self.start.code_hash:
            raise CodeChangedError(
                f"{self.journal}: recorded by code {self.start.code_hash} (mmbot {self.start.version}), this is {now}; "
                "check out the version that made it, or allow other code (--other-code) to see where they part"
            )

    def verify(self, *, other_code: bool = False, progress: Progress | None = None) -> Verified:
        """Do the run again and compare every entry that the engine wrote; return what was compared.

        other_code: also with code that is not the recorded one. Raises JournalDiffers at the first difference,
        CodeChangedError, JournalFault, TapeFault, and StrategyError for what the strategy raised.
        """
        strategy = self.strategy()
        if not other_code:
            self.check_code(strategy)
        check = _core.Journal.check(self.journal)
        live = self._again(strategy, check, progress)
        reader = _core.JournalReader(self.journal)
        ended = any(kind == "run_end" for _, _, kind, _ in reader)
        return Verified(
            compared=tuple(check.compared()),
            head=reader.head,
            torn=reader.torn,
            ended=ended,
            quarantined=live.quarantined,
        )

    def again(self, progress: Progress | None = None) -> tuple[_core.Live, Strategy]:
        """Do the run again without comparing; return its engine as it stood at the end, and the strategy.

        Raises as `verify`, but for differences, which nobody looks for.
        """
        strategy = self.strategy()
        return self._again(strategy, None, progress), strategy

    def _again(self, strategy: Strategy, journal: _core.Journal | None, progress: Progress | None) -> _core.Live:
        live, windows = live_engine(
            self.start.config,
            strategy,
            [each.instrument for each in self.traded],
            [each.tape for each in self.traded],
            share=Fraction(self.start.share),
            journal=journal,
        )
        try:
            live.replay(self.journal, strategy.decide, windows, progress)
        except Exception as error:
            failed = strategy_error(error, [strategy], windows[0].now)
            if failed is None:
                raise
            raise failed from error
        finally:
            windows.clear()  # windows know each other through this list; it must not wait for the cycle collector
        return live

    def result(self, progress: Progress | None = None) -> Result:
        """The report of the run, from its journal. Raises as `again`, and as `outcome`."""
        from mmbot.research.outcome import outcome  # noqa: PLC0415  Polars is loaded when there is something to frame

        live, strategy = self.again(progress)
        laws = {"fills": "as the venue executed them", "fees": "as the venue charged them"}
        setting = Setting(mode=self.start.mode, laws=laws, limitations=LIMITATIONS)
        return outcome(self.start.config, live, 0, strategy, self.traded, setting=setting)


LIMITATIONS = (
    "Queue position is estimated from level sizes; what the venue really had before us it does not say.",
    "One run of one market: nothing here says how the next day differs.",
)
"""Of what a live run's report can know."""


def _start_of(path: Path) -> RunStart:
    first = next(_core.JournalReader(path), None)
    if first is None or first[2] != "run_start":
        raise ValueError(f"{path}: the journal does not begin with the start of a run; expected entry 0 to say it")
    text = first[3]["text"]
    try:
        folder = _Started.model_validate_json(text).folder
        return RunStart.model_validate_json(text, context={"folder": folder})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError(f"{path}: the start of the run cannot be read by this version of mmbot: {found}") from None


def _traded(path: Path, config: InstrumentConfig, terms: Terms) -> Traded:
    instrument = terms.instrument()
    tape = _sealed(path)
    if tape.instrument != instrument and (tape.instrument.tick, tape.instrument.lot) != (terms.tick, terms.lot):
        raise ValueError(
            f"{path}: recorded with tick {tape.instrument.tick} and lot {tape.instrument.lot}, but the run traded "
            f"{terms.symbol} with {terms.tick} and {terms.lot}; it is not the tape of this run"
        )
    return Traded(config, tape, instrument, terms.symbol)


def _sealed(path: Path) -> _core.Tape:
    left = path.with_suffix(LIVE_TAPE)
    if not path.exists() and left.is_dir():
        _core.LiveTape.recover(left).seal(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such tape; the journal refers to it, so keep both in one folder")
    return _core.Tape.open(path)
