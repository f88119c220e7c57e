"""A run, cut into iterations of equal length, and the files that tell of them.

    run   |── ITER_SUMMARY_1 ──|── ITER_SUMMARY_2 ──|── … ──|── what is left over ──|
          start of the tapes                         markouts may look as far as here

Iterations are cut by the time of the feed (when the bot heard), so a shadow run and a replay of its recording have the
same iterations and the same numbers in them. An iteration counts when all of it was heard; what is left over at the end
is no iteration. While a run goes on, an iteration is measured when the market has moved past the markout horizon of its
last fill, so that nothing that is written changes later.

`ITER_SUMMARY_<N>.json` (N from 1) holds `iteration`, `summary` (the KPIs, and under `per_symbol` the same for each),
`tuning`, and when and of what it is. Consumers read the KPIs below `summary`, and read null as "not known".
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

import mmbot
from mmbot.data.tape_records import records
from mmbot.ops.artifacts import write_text
from mmbot.ops.kpis import Delays, Fills, Kpis, kpis, risk_ratio
from mmbot.research.frames import Frames
from mmbot.research.statistics import HORIZONS
from mmbot.research.summary import rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mmbot.data.tape_records import Section
    from mmbot.research.statistics import Integers
    from mmbot.research.traded import Traded

__all__ = [
    "Iteration",
    "IterationError",
    "Iterations",
    "RunNames",
    "Runtime",
    "Summary",
    "Tuning",
    "iteration_files",
    "iteration_number",
    "read_iterations",
    "remove_iterations",
    "write_iteration",
]

SCHEMA: Final = "mmbot/iter-summary/1"
NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
_MARKET: Final[tuple[Section, ...]] = ("depth", "trades")
_FILE: Final = re.compile(r"ITER_SUMMARY_([1-9][0-9]*)\.json")


class IterationError(ValueError):
    """Files or a run that no iteration can be had from. The message says where, and what was expected."""


class Summary(Kpis, frozen=True, kw_only=True):
    """The KPIs of an iteration, of all symbols together and of each."""

    per_symbol: dict[str, Kpis] = msgspec.field(default_factory=dict)
    """The same of each symbol alone."""


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What a tuner proposed after the iteration. Shadow and dry runs tune nothing, and say so."""

    deltas: dict[str, float] = msgspec.field(default_factory=dict)
    rationale: str = "not tuned"
    applied: bool = False
    conditions: dict[str, Any] = msgspec.field(default_factory=dict)


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """When a file was written (ISO 8601, UTC; frozen by `MM_FREEZE_UTC`), and by which version."""

    utc: str
    version: str = mmbot.__version__


class RunNames(msgspec.Struct, frozen=True, kw_only=True):
    """What the iterations of one run have in common."""

    mode: str
    exchange: str
    symbols: tuple[str, ...]
    strategy: str
    config_hash: str
    code_hash: str
    markout: str
    """Column of the later mid that splits adverse selection from inventory, mid_5s."""
    profile: str = ""


class Iteration(msgspec.Struct, frozen=True, kw_only=True):
    """One `ITER_SUMMARY_<N>.json`. Only `iteration` and `summary` are needed to read one that another tool wrote."""

    iteration: int
    summary: Summary
    tuning: Tuning = Tuning()
    schema: str = SCHEMA
    mode: str = ""
    exchange: str = ""
    symbols: tuple[str, ...] = ()
    profile: str = ""
    notes: tuple[str, ...] = ()
    """What the run went on in spite of, up to here."""
    timestamp: str | None = None
    """End of the iteration by the feed's time, ISO 8601."""
    start_ns: int | None = None
    end_ns: int | None = None
    duration_seconds: float | None = None
    config_hash: str = ""
    code_hash: str = ""
    markout: str = ""
    runtime: Runtime | None = None


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """One instrument: its tape, its limit in units of quantity, and by which law its market was heard."""

    traded: Traded
    position_max: float

    @classmethod
    def of(cls, traded: Traded) -> _Watched:
        lots = traded.instrument.lots(traded.config.limits.position)
        return cls(traded=traded, position_max=float(traded.quantities(np.array([lots]))[0]))

    @property
    def inverse(self) -> bool:
        return self.traded.instrument.kind == "inverse"

    def heard(self, start_ns: int, end_ns: int) -> tuple[Integers, Integers, bool]:
        """When book messages and trades heard in the span were heard, their delays, and whether these are known."""
        venue = self.traded.config.venue
        extra = round(venue.feed_extra_ms * NS_PER_MS)
        heard, delays = [], []
        for section in _MARKET:
            rows = records(self.traded.tape, section)
            column = rows["ts_recv"]
            span = slice(bisect_left(column, start_ns - extra), bisect_left(column, end_ns - extra))
            heard.append(column[span].astype(np.int64) + extra)
            delays.append(heard[-1] - rows["ts_venue"][span].astype(np.int64))
        at, late = np.concatenate(heard), np.concatenate(delays)
        if venue.feed is None:
            return at, late, True
        if venue.feed.constant_ms is not None:
            return at, np.full_like(late, round(venue.feed.constant_ms * NS_PER_MS) + extra), True
        return at, late, False

    def venue_reached(self) -> int:
        """Venue time of the last book message on the tape so far."""
        last = records(self.traded.tape, "depth")[-1:]
        return int(last["ts_venue"][0]) if len(last) else 0


class Iterations:
    """Cuts a run, once or while it goes on: `complete` gives every iteration once, in order."""

    def __init__(self, traded: Sequence[Traded], names: RunNames, *, duration_s: float) -> None:
        """Raises IterationError for a duration that is none."""
        if not duration_s > 0:
            raise IterationError(f"an iteration of {duration_s} s has no length; give --duration in seconds")
        self.names = names
        self.duration_ns = round(duration_s * NS_PER_SECOND)
        self.horizon_ns = HORIZONS[names.markout]
        self.done = 0
        """Iterations given so far."""
        self._watched = [_Watched.of(each) for each in traded]
        self._delays = {each.symbol: Delays() for each in traded}
        self._together = Delays()

    @property
    def start_ns(self) -> int | None:
        """First receive time on any tape, from which iterations are counted; None before it."""
        return min((each.traded.tape.span[0] for each in self._watched if each.traded.tape.span), default=None)

    def due(self, heard_until: int) -> bool:
        """Whether the next iteration is over and all its markouts are on the tapes, so that it can be measured."""
        start = self.start_ns
        if start is None:
            return False
        end = start + (self.done + 1) * self.duration_ns
        return end <= heard_until and all(one.venue_reached() > end + self.horizon_ns for one in self._watched)

    def complete(self, frames: Frames, heard_until: int, *, last: bool = False) -> Iterator[Iteration]:
        """Measure every iteration that is due, or, at the end of a run, over. `frames`: the run's, from its start.

        Nothing is measured before the first message.
        """
        origin = self.start_ns
        while origin is not None:
            start, end = (origin + number * self.duration_ns for number in (self.done, self.done + 1))
            if not (end <= heard_until and (last or self.due(heard_until))):
                return
            self.done += 1
            yield self._iteration(self.done, start, end, self.measure(frames, start, end))

    def measure(self, frames: Frames, start: int, end: int) -> Summary:
        """The KPIs of what was heard from `start` to before `end`. Delays: call it span after span, without overlap."""
        inverse = {one.traded.symbol for one in self._watched if one.inverse}
        samples = frames.in_worth(inverse).equity.filter(pl.col("ts").is_between(start, end, closed="left"))
        seen = [
            _Seen(
                one, _fills(frames.of(one.traded.symbol), start, end, self.names.markout, one), *one.heard(start, end)
            )
            for one in self._watched
        ]
        each = {part.of.traded.symbol: part for part in seen}
        return Summary(
            **msgspec.structs.asdict(_measured(seen, self._together, samples)),
            per_symbol={symbol: _measured([part], self._delays[symbol], samples) for symbol, part in each.items()},
        )

    def _iteration(self, number: int, start: int, end: int, summary: Summary) -> Iteration:
        names = self.names
        return Iteration(
            iteration=number,
            summary=summary,
            mode=names.mode,
            exchange=names.exchange,
            symbols=names.symbols,
            profile=names.profile,
            timestamp=_iso(end),
            start_ns=start,
            end_ns=end,
            duration_seconds=(end - start) / NS_PER_SECOND,
            config_hash=names.config_hash,
            code_hash=names.code_hash,
            markout=names.markout,
        )


class _Seen(NamedTuple):
    """What one instrument of a run did and heard in a span."""

    of: _Watched
    fills: Fills
    at: Integers
    delay_ns: Integers
    delays_known: bool


def _fills(mine: Frames, start: int, end: int, markout: str, one: _Watched) -> Fills:
    """One symbol's fills that were heard in the span, valued by the last sample before each of its ends."""
    heard = mine.fills["ts_recv"]
    before = mine.fills.filter(heard < start)
    return Fills(
        mine.fills.filter((heard >= start) & (heard < end)),
        markout=markout,
        mid_start=_mid(mine.equity, start),
        mid_end=_mid(mine.equity, end),
        initial_position=float((before["side"] * before["qty"]).sum()),
        inverse=one.inverse,
    )


def _mid(samples: pl.DataFrame, at: int) -> float:
    """The mid of the last sample up to a time; of the first one before any."""
    return float(samples["mid"][max(bisect_left(samples["ts"].to_numpy(), at + 1) - 1, 0)])


def _measured(seen: Sequence[_Seen], delays: Delays, samples: pl.DataFrame) -> Kpis:
    at, late = np.concatenate([part.at for part in seen]), np.concatenate([part.delay_ns for part in seen])
    known = all(part.delays_known for part in seen)
    latency, drift = delays.window(at, late) if known else (None, None)
    return kpis(
        [part.fills for part in seen],
        latency_ms=latency,
        risk=_risk(samples, [part.of for part in seen]),
        drift_ms=drift,
        messages=len(at),
    )


def _risk(samples: pl.DataFrame, watched: Sequence[_Watched]) -> float | None:
    """p95 over sample times of the notional held to the largest that the limits of these instruments allow."""
    limits = {one.traded.symbol: one.position_max for one in watched}
    mine = samples.filter(pl.col("instrument").is_in(list(limits)))
    value, limit = pl.col("mid").abs(), pl.col("instrument").replace_strict(limits, return_dtype=pl.Float64)
    sums = mine.group_by("ts", maintain_order=True).agg(
        held=(pl.col("position").abs() * value).sum(), allowed=(limit * value).sum()
    )
    return risk_ratio((sums["held"] / sums["allowed"]).to_numpy())


def _iso(ns: int) -> str:
    """A feed's time to the millisecond."""
    at = datetime.fromtimestamp(ns // NS_PER_SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{ns % NS_PER_SECOND // NS_PER_MS:03d}Z"


# --- files -----------------------------------------------------------------------------------------------------------


def as_json(document: msgspec.Struct, *, utc: str) -> str:
    """A document and when it was written as JSON: sorted keys, ASCII, LF, floats of 9 significant digits."""
    values = {**msgspec.to_builtins(document), "runtime": msgspec.to_builtins(Runtime(utc=utc))}
    return json.dumps(rounded(values), sort_keys=True, indent=2, allow_nan=False) + "\n"


def write_iteration(folder: Path, iteration: Iteration, *, utc: str) -> Path:
    """Write `ITER_SUMMARY_<N>.json`, whole or not at all. The same iteration and time give the same bytes."""
    path = folder / f"ITER_SUMMARY_{iteration.iteration}.json"
    write_text(path, as_json(iteration, utc=utc))
    return path


def iteration_number(path: Path) -> int | None:
    """The N of `ITER_SUMMARY_<N>.json`; None for another file."""
    found = _FILE.fullmatch(path.name)
    return int(found[1]) if found else None


def iteration_files(folder: Path) -> list[Path]:
    """The folder's iteration files by number: 1, 2, 10. Raises IterationError where there is none."""
    numbered = {number: path for path in folder.glob("ITER_SUMMARY_*.json") if (number := iteration_number(path))}
    if not numbered:
        raise IterationError(
            f"{folder}: no ITER_SUMMARY_<N>.json; expected the folder of a shadow run or a dry run, "
            "such as artifacts/shadow/latest"
        )
    return [numbered[number] for number in sorted(numbered)]


def remove_iterations(folder: Path) -> None:
    """Take an earlier run's iteration files away, which would be read as this one's."""
    for path in folder.glob("ITER_SUMMARY_*.json"):
        if iteration_number(path) is not None:
            path.unlink()


_DECODER: Final = msgspec.json.Decoder(Iteration)


def read_iterations(folder: Path) -> Iterator[Iteration]:
    """Read a folder's iterations by number, one file at a time.

    A KPI that a file does not have is None. Raises IterationError for a folder without any, and for a file that is no
    iteration, that has no `summary`, or whose number is not that of its name; OSError.
    """
    for path in iteration_files(folder):
        try:
            iteration = _DECODER.decode(path.read_bytes())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise IterationError(
                f"{path}: {error}; expected the number `iteration` and the KPIs below `summary`"
            ) from error
        if iteration.iteration != iteration_number(path):
            raise IterationError(f"{path}: says it is iteration {iteration.iteration}; was it renamed?")
        yield iteration
