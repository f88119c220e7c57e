"""A live run beside the simulated venue: each of its fills, and a backtest of its own tapes.

    found = compare_to_backtest("runs/…/journal.mmj", "runs/…/parity")
    print(found)

Two questions, of which the second one hangs on the first:

    orders      do the laws fill the orders that the run had, as the venue did?     `mmbot.research.prediction`
    backtest    does the strategy decide the same on the same market?               decisions and fills, side by side

The backtest hears the tapes that the run recorded and trades the same without the run's own orders. It has the
latencies that the journal shows: from a command's time to the venue's time of what came of it (entry), from there to
when the strategy was asked, or the engine told (response). A fill that only one of the two has changes the position,
and with it what is wanted from there on.

Not told apart: a strategy that is asked while the run paused (a lost book, a silent link) decides in the backtest only;
such rows say so. After decisions have parted the backtest still hears the run's own orders, as somebody else's.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mmbot.config import LatencyConfig
from mmbot.research.backtest import Stage
from mmbot.research.heard import Changes, Decision, HeardRun, Latencies
from mmbot.research.journal import RecordedRun
from mmbot.research.own_orders import without_us
from mmbot.research.prediction import WITHIN_NS, Prediction, predicted
from mmbot.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot import _core
    from mmbot.config import BacktestConfig
    from mmbot.research.own_orders import OwnOrder
    from mmbot.research.traded import Traded
    from mmbot.strategy import Intent, View

__all__ = ["Decision", "Filled", "Latencies", "Parity", "Row", "compare_to_backtest"]

SHOWN = 100
"""Fills on a screen."""


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


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Decisions and fills of a run and of the backtest of its tapes, side by side in the order of time."""

    symbols: tuple[str, ...]
    orders: Prediction
    """The run's orders, filled by the simulated venue's laws."""
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
        counts = {**self.counts(), "orders": self.orders.counts()}
        return json.dumps({**asdict(self), "counts": counts}, sort_keys=True, indent=1) + "\n"

    def equal_until(self) -> dict[str, int | None]:
        """When decisions and fills first part: time of the first that only one of the two has; None where none does."""
        return {"decisions": _parted(self.decisions), "fills": _parted(self.fills)}

    def __str__(self) -> str:
        lines = ["the run's orders, filled by the simulated venue's laws", *self.orders.lines(self.symbols, SHOWN)]
        lines += [f"refused   {count:>7,} orders of the run: {words}" for words, count in self.refused.items()]
        lines += ["", "a backtest of the run's tapes"]
        lines += [
            f"{name:<9} {found['count']:>7,} measured, p50 {found['p50'] / 1e6:.3f} ms, p99 {found['p99'] / 1e6:.3f} ms"
            for name, found in self.latencies.items()
        ]
        for name, found in self.counts().items():
            until = self.equal_until()[name]
            told = "" if until is None else f"; equal until {until} ns"
            lines.append(
                f"{name:<9} {found['both']:>7,} in both {found['run']:>6,} only in the run "
                f"{found['backtest']:>6,} only in the backtest{told}"
            )
        lines += [self._line(row) for row in self.fills[:SHOWN]]
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

    Writes entry.csv, response.csv (the latency tables) and without_us_N.tape (the market of instrument N without our
    orders), for a backtest of your own, and parity.json to the folder `out`.
    strategy: makes an untouched one, where the configuration names none. Raises OSError, JournalFault, TapeFault,
    ConfigError, and StrategyError as `RecordedRun.open` and a backtest do.
    """
    run = RecordedRun.open(journal, strategy=strategy() if strategy else None)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    every_ns = (strategy() if strategy else run.strategy()).wake.every_ns
    heard = HeardRun(Path(journal), [each.tape for each in run.traded], every_ns)
    live, _ = run.again()
    config = _measured(run.start.config, heard.latencies, folder)
    listening = _Listening(strategy() if strategy else run.strategy())
    traded = [
        replace(each, config=measured, without_us=_without_us(each, index, heard.orders, folder))
        for index, (each, measured) in enumerate(zip(run.traded, config.instruments, strict=True))
    ]
    stage = Stage.set(config, [listening], traded)
    stage.run()
    stage.views.clear()
    theirs = [row for row in _fills(stage.replay) if row.ts <= heard.until]
    found = Parity(
        symbols=tuple(each.symbol for each in run.traded),
        orders=predicted(stage.listings, heard.orders, heard.end),
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
        self._changes = Changes(self.decisions)

    def decide(self, view: View) -> Intent | list[Intent] | None:
        """Ask, and note what changed."""
        said = self._decide(view)
        for intent in said if isinstance(said, list) else [said] if said is not None else []:
            self._changes.note(view.now, intent.instrument, intent.quotes)
        return said


def _without_us(traded: Traded, index: int, orders: Sequence[OwnOrder], folder: Path) -> _core.Tape:
    ours = [order for order in orders if order.instrument == index]
    path = folder / f"without_us_{index}.tape"
    path.unlink(missing_ok=True)
    return without_us(traded.tape, ours, path)


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


def _parted(rows: Sequence[Row]) -> int | None:
    first = next((row for row in rows if row.later_ns is None), None)
    return None if first is None else int((first.run or first.backtest or (0,))[0])


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
