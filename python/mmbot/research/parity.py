"""A live run beside a backtest of its own tapes: the same decisions and the same fills, up to what was measured.

    found = compare_to_backtest("runs/…/journal.mmj", "runs/…/parity")
    print(found)

The backtest trades the tapes that were recorded in the run, with the latencies that its journal shows: from a command's
time to the venue's time of what came of it (entry), from there to when we heard (response). What then still differs is
what the simulated venue's laws get wrong, and that is what this is for.

Not told apart: the recorded market contains our own orders and fills, as others saw them, so where the run improved a
price the backtest meets that price as somebody else's. A strategy that is asked while the run paused (a lost book, a
silent link) decides in the backtest only; such rows say so.
"""

from __future__ import annotations

import csv
import json
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmbot import _core
from mmbot.config import LatencyConfig
from mmbot.research.backtest import Stage
from mmbot.research.journal import RecordedRun
from mmbot.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mmbot.config import BacktestConfig
    from mmbot.strategy import Intent, View

__all__ = ["Decision", "Filled", "Latencies", "Parity", "Row", "compare_to_backtest"]

WITHIN_NS = 500_000_000
"""Two decisions or fills further apart in time are not the same one."""
SHOWN = 100
"""Fills on a screen."""
PAUSE_NS = 1_000_000_000
"""A backtest's decision this far from every wake of the run was made while the run asked nobody."""


class Decision(NamedTuple):
    """What a strategy wants from a time on: the quotes, where they differ from those wanted before."""

    ts: int
    instrument: int
    quotes: tuple[tuple[str, int, int], ...]
    """(side, ticks, lots)."""


class Filled(NamedTuple):
    """What one order executed at one price, its parts within half a second together: venues cut fills differently."""

    ts: int
    """Venue time."""
    instrument: int
    side: str
    tick: int
    lots: int
    maker: bool
    order: int


class Row(NamedTuple):
    """One decision or fill of the run (left), of the backtest (right), or of both."""

    run: tuple[Any, ...] | None
    backtest: tuple[Any, ...] | None
    later_ns: int | None
    """How much later it came in the run, where both have it."""
    why: str
    """Why only one has it, as far as that can be told."""


@dataclass(frozen=True)
class Latencies:
    """(time of sending, latency) in ns, to the venue and back, as the journal shows them."""

    entry: tuple[tuple[int, int], ...]
    response: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Decisions and fills of a run and of the backtest of its tapes, side by side in the order of time."""

    symbols: tuple[str, ...]
    latencies: Mapping[str, Mapping[str, int]]
    """Count, median and 99 % quantile in ns, to the venue (entry) and back (response)."""
    decisions: tuple[Row, ...]
    fills: tuple[Row, ...]
    refused: Mapping[str, int]
    """New orders of the run that were refused, by the words of who refused them (a venue, or our own gate)."""

    def counts(self) -> dict[str, dict[str, int]]:
        """How many of each are in both, only in the run, only in the backtest."""
        return {"decisions": _counted(self.decisions), "fills": _counted(self.fills)}

    def as_json(self) -> str:
        """Everything, as JSON with sorted keys."""
        return json.dumps({**asdict(self), "counts": self.counts()}, sort_keys=True, indent=1) + "\n"

    def __str__(self) -> str:
        lines = [
            f"{name:<9} {found['both']:>7,} in both {found['run']:>6,} only in the run "
            f"{found['backtest']:>6,} only in the backtest"
            for name, found in self.counts().items()
        ]
        lines += [
            f"{name:<9} {found['count']:>7,} measured, p50 {found['p50'] / 1e6:.3f} ms, p99 {found['p99'] / 1e6:.3f} ms"
            for name, found in self.latencies.items()
        ]
        lines += [f"refused   {count:>7,} orders of the run: {words}" for words, count in self.refused.items()]
        parted = next((row for row in self.decisions if row.later_ns is None), None)
        if parted is not None:
            first = Decision(*(parted.run or parted.backtest or ()))
            where = "the run" if parted.run else "the backtest"
            told = f": {parted.why}" if parted.why else ""
            lines.append(f"decisions first part at {first.ts} ns, with one that only {where} made{told}")
        lines += ["", "fills", *(self._line(row) for row in self.fills[:SHOWN])]
        if len(self.fills) > SHOWN:
            lines.append(f"… and {len(self.fills) - SHOWN:,} more in parity.json")
        return "\n".join(lines)

    def _line(self, row: Row) -> str:
        fill = Filled(*(row.run or row.backtest or ()))
        where = "both    " if row.later_ns is not None else "run     " if row.run else "backtest"
        told = f"{row.later_ns / 1e6:+.3f} ms in the run" if row.later_ns is not None else ""
        what = f"{self.symbols[fill.instrument]} {fill.side:<4} {fill.lots:>6} lots at {fill.tick}"
        return f"{where} {fill.ts} {what}  {'; '.join(filter(None, (told, row.why)))}"


def compare_to_backtest(
    journal: str | Path, out: str | Path, *, strategy: Callable[[], Strategy] | None = None
) -> Parity:
    """Backtest the tapes of a recorded run with its measured latencies, and hold the two side by side.

    Writes entry.csv, response.csv (the latency tables, for a backtest of your own) and parity.json to the folder `out`.
    strategy: makes an untouched one, where the configuration names none. Raises OSError, JournalFault, TapeFault,
    ConfigError, and StrategyError as `RecordedRun.open` and a backtest do.
    """
    run = RecordedRun.open(journal, strategy=strategy() if strategy else None)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    heard = _Journal(Path(journal))
    live, _ = run.again()
    config = _measured(run.start.config, heard.latencies, folder)
    listening = _Listening(strategy() if strategy else run.strategy())
    stage = Stage.set(config, [listening], list(run.traded))
    stage.run()
    stage.views.clear()
    theirs = [row for row in _fills(stage.replay) if row.ts <= heard.until]
    found = Parity(
        symbols=tuple(each.symbol for each in run.traded),
        latencies={"entry": _spread(heard.latencies.entry), "response": _spread(heard.latencies.response)},
        decisions=_paired(
            heard.decisions,
            [row for row in listening.decisions if row.ts <= heard.until],
            key=lambda row: (row.instrument, row.quotes),
            why_run=lambda row: "",
            why_backtest=lambda row: "" if heard.asked_near(row.ts) else "the run asked nobody then: it was paused",
        ),
        fills=_paired(
            _fills(live),
            theirs,
            key=lambda row: (row.instrument, row.side, row.tick, row.lots),
            why_run=_Standing(stage.replay, "the backtest", {}).why,
            why_backtest=_Standing(live, "the run", heard.refused).why,
        ),
        refused=dict(Counter(heard.refused.values())),
    )
    (folder / "parity.json").write_text(found.as_json(), encoding="utf-8")
    return found


class _Listening(Strategy):
    """A strategy whose changes of mind are written down."""

    def __init__(self, strategy: Strategy) -> None:
        self._decide, self.decisions = strategy.decide, list[Decision]()
        self.wake, self.signals = strategy.wake, strategy.signals
        self._changes = _Changes(self.decisions)

    def decide(self, view: View) -> Intent | list[Intent] | None:
        """Ask, and note what changed."""
        said = self._decide(view)
        for intent in said if isinstance(said, list) else [said] if said is not None else []:
            self._changes.note(view.now, intent.instrument, intent.quotes)
        return said


class _Changes:
    """Keeps the intents that differ from the one before, of the same instrument."""

    def __init__(self, decisions: list[Decision]) -> None:
        self._decisions, self._last = decisions, dict[int, tuple[tuple[str, int, int], ...]]()

    def note(self, ts: int, instrument: int, quotes: Iterable[tuple[str, int, int]]) -> None:
        """Keep an intent, if it is a new one; wanting nothing is nothing new at the start."""
        wanted = tuple(quotes)
        if self._last.get(instrument, ()) != wanted:
            self._decisions.append(Decision(ts, instrument, wanted))
        self._last[instrument] = wanted


class _Journal:
    """What a journal says of decisions, of latencies and of when the strategy was asked."""

    def __init__(self, path: Path) -> None:
        self.decisions: list[Decision] = []
        self.until = 0
        """When the run stopped asking the strategy."""
        self.refused: dict[int, str] = {}
        """New orders that were refused, and why, in the words of who refused."""
        self._wakes: list[int] = []
        self._entry: dict[int, int] = {}
        self._response: dict[int, int] = {}
        self._asked: dict[tuple[int | None, str], int] = {}
        changes = _Changes(self.decisions)
        for _, time, kind, said in _core.JournalReader(path):
            match kind:
                case "wake":
                    self._wakes.append(time)
                    self.until = time
                case "intent":
                    changes.note(time, said["instrument"], said["quotes"])
                case "command":
                    self._asked[said.get("order_id"), said["command"]] = time
                case "event":
                    self._measure(time, said)

    def _measure(self, time: int, said: Mapping[str, Any]) -> None:
        """An answer tells how long the question was under way, and how long the answer."""
        ts, event = said["ts_venue"], said["event"]
        if event == "rejected":
            self.refused.setdefault(said["order_id"], said["words"])
        if event not in ("accepted", "canceled", "amended", "filled"):
            return  # said by a gateway, by our own gate, or by nobody: no matching engine
        self._response[ts] = min(max(time - ts, 0), self._response.get(ts, time))  # told twice counts once
        request = ANSWERS.get(event, "place")
        asked = self._asked.pop((said["order_id"], request), None)
        if asked is not None:
            self._entry[asked] = max(ts - asked, 0)

    @property
    def latencies(self) -> Latencies:
        """Sorted by the time of sending, one row for each."""
        return Latencies(tuple(sorted(self._entry.items())), tuple(sorted(self._response.items())))

    def asked_near(self, ts: int) -> bool:
        """Whether the strategy was asked within a second of then."""
        at = bisect_left(self._wakes, ts)
        return any(abs(wake - ts) <= PAUSE_NS for wake in self._wakes[max(at - 1, 0) : at + 1])


ANSWERS = {"canceled": "cancel", "amended": "amend"}
"""Which request an event answers, if not a new order."""


def _measured(config: BacktestConfig, latencies: Latencies, folder: Path) -> BacktestConfig:
    """The configuration with the measured latencies, written to tables; a law without a measurement stays."""
    laws: dict[str, object] = {"feed": None, "feed_extra_ms": 0.0}
    for name, rows in (("entry", latencies.entry), ("response", latencies.response)):
        if rows:
            path = folder / f"{name}.csv"
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("ts_ns", "latency_ns"), *rows])
            laws[name] = LatencyConfig(recorded=str(path))
    instruments = [each.model_copy(update={"venue": each.venue.model_copy(update=laws)}) for each in config.instruments]
    return config.model_copy(update={"instruments": instruments})


def _spread(rows: Sequence[tuple[int, int]]) -> dict[str, int]:
    spans = sorted(span for _, span in rows) or [0]
    return {"count": len(rows), **{f"p{share}": spans[(len(spans) - 1) * share // 100] for share in (50, 99)}}


def _counted(rows: Sequence[Row]) -> dict[str, int]:
    sides = [(row.run is not None, row.backtest is not None) for row in rows]
    return {
        "both": sides.count((True, True)),
        "run": sides.count((True, False)),
        "backtest": sides.count((False, True)),
    }


def _fills(run: _core.Run) -> list[Filled]:
    raw = run.fills(0)
    names = ("ts_venue", "instrument", "side", "price_ticks", "qty_lots", "maker", "order_id")
    rows = zip(*(raw[name].tolist() for name in names), strict=True)
    fills: list[Filled] = []
    last: dict[tuple[int, int], int] = {}
    for ts, instrument, side, tick, lots, maker, order in rows:
        at = last.get((order, tick))
        if at is not None and ts - fills[at].ts <= WITHIN_NS:
            fills[at] = fills[at]._replace(lots=fills[at].lots + lots)
            continue
        last[order, tick] = len(fills)
        fills.append(Filled(ts, instrument, "buy" if side > 0 else "sell", tick, lots, maker, order))
    return fills


def _paired(
    left: Sequence[Any],
    right: Sequence[Any],
    *,
    key: Callable[[Any], object],
    why_run: Callable[[Any], str],
    why_backtest: Callable[[Any], str],
) -> tuple[Row, ...]:
    """Pair what is equal by `key` and near in time, each once, in the order of time; the rest stands alone."""
    waiting: dict[object, list[int]] = {}
    for index, row in enumerate(right):
        waiting.setdefault(key(row), []).append(index)
    rows: list[tuple[int, Row]] = []
    taken: set[int] = set()
    for row in left:
        near = [at for at in waiting.get(key(row), []) if at not in taken and abs(right[at].ts - row.ts) <= WITHIN_NS]
        if near:
            at = min(near, key=lambda at: abs(right[at].ts - row.ts))
            taken.add(at)
            rows.append((row.ts, Row(tuple(row), tuple(right[at]), row.ts - right[at].ts, "")))
        else:
            rows.append((row.ts, Row(tuple(row), None, None, why_run(row))))
    rows += [
        (row.ts, Row(None, tuple(row), None, why_backtest(row))) for at, row in enumerate(right) if at not in taken
    ]
    return tuple(row for _, row in sorted(rows, key=lambda pair: pair[0]))


class _Stood(NamedTuple):
    """An order as its log has it: ns and lots, -1 where there is none."""

    instrument: int
    side: int
    price_ticks: int
    ts_accepted: int
    ts_done: int
    ahead_at_join: int
    cum_lots: int
    order_id: int

    def at(self, ts: int) -> bool:
        """Whether it rested then."""
        return 0 <= self.ts_accepted <= ts and (self.ts_done < 0 or ts <= self.ts_done)

    def near(self, ts: int) -> bool:
        """Whether it came or went about then."""
        return min(abs(self.ts_accepted - ts), abs(self.ts_done - ts)) <= WITHIN_NS

    def words(self) -> str:
        """Why it was not filled as the other one was, as far as can be told."""
        ahead = self.ahead_at_join
        place = f"behind {ahead} lots when it joined" if ahead >= 0 else "at an unknown place in line"
        return place + ("; it was filled at another time or in other parts" if self.cum_lots else "")


class _Standing:
    """Which orders stood where and when in one of the two, to say why it has no such fill."""

    def __init__(self, run: _core.Run, name: str, refused: Mapping[int, str]) -> None:
        self._name, self._refused = name, refused
        raw = run.order_log(0)
        rows = zip(*(raw[field].tolist() for field in _Stood._fields), strict=True)
        self._orders = [_Stood(*row) for row in rows]

    def why(self, fill: Filled) -> str:
        """Say what stood at the fill's price and time."""
        place = (fill.instrument, 1 if fill.side == "buy" else -1, fill.tick)
        there = [order for order in self._orders if order[:3] == place]
        standing = [order for order in there if order.at(fill.ts)]
        if standing:
            return f"{self._name} had an order there, {standing[-1].words()}"
        near = [order for order in there if order.near(fill.ts)]
        if near:
            last = near[-1]
            if last.order_id in self._refused:
                return f"{self._name}'s order there was refused: {self._refused[last.order_id]}"
            return f"{self._name}'s order there {'came later' if last.ts_accepted > fill.ts else 'was gone already'}"
        return f"{self._name} had no order there: their decisions had parted"
