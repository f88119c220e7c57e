"""Walk-forward: choose on one stretch of the tape, judge on the next one, and go on.

    warm-up | train 1      gap | test 1     |
            |              | train 2    gap | test 2     |
            |              |                | train 3 gap | test 3     |

    walk = mmbot.walk_forward("configs/backtest.toml", {"gamma": [0.05, 0.1, 0.2]}, folds=3)
    print(walk)                                   # in sample beside out of sample, fold by fold and together

All candidates of all train windows are replayed in one pass over the tape, then the chosen ones of all test windows in
a second one. The tape always runs from its beginning, so that book and signals are warm. Outside its window a strategy
is not heard: before it, for the time of the warm-up, it is asked and its answers are dropped; at the end its quotes
are taken out. It therefore enters every window flat, and what it did is counted from the window's first sample of
equity to its last one, with the position marked at the mid there: a fill counts when we heard of it, and later mids
beyond the end are not looked at. Why not a window in the core: a replay of the whole tape is the same code that trades,
and silence costs nothing.

Not handled: a position carried from one window to the next (each starts flat, so the cost of changing settings with a
position is not seen), and hard limits that fills after a window's end still move (they cannot reach back).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

import mmbot
from mmbot.config import BacktestConfig, ConfigError, Strict, load
from mmbot.config.load import check
from mmbot.data.catalog import open_tape
from mmbot.ledger import Attribution, attribution, combine
from mmbot.research import report, wording
from mmbot.research.backtest import backtest_many
from mmbot.research.columns import aligned
from mmbot.research.facts import code_hash
from mmbot.research.frames import standing
from mmbot.research.outcome import check_agreement
from mmbot.research.statistics import HORIZONS, NS_PER_SECOND, Measure
from mmbot.research.summary import rounded
from mmbot.research.sweep import Candidate, deflated_sharpe, grid, sharpe_ratio
from mmbot.strategy import Intent, Strategy, View, ladder, quotes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mmbot.research.result import InstrumentFacts, Result
    from mmbot.research.statistics import Floats

    Progress = Callable[[float], object]

__all__ = [
    "Fold",
    "FoldOutcome",
    "Plan",
    "Score",
    "WalkForward",
    "Window",
    "Windowed",
    "best",
    "cut",
    "together",
    "walk_forward",
    "within",
]

Key = Literal["net_bps", "net_with_inventory_bps", "net", "pnl", "sharpe"]


class Plan(Strict):
    """How the tape is cut, and by what the best candidate is chosen."""

    folds: Annotated[int, Field(ge=1)] = 4
    """How many times it is trained and tested; the tape is cut into one block more."""
    warmup_s: Annotated[float, Field(ge=0)] = 10.0
    """Time before each window in which strategies are asked but not heard, in s; the first window begins after it."""
    purge_s: Annotated[float, Field(ge=0)] | None = None
    """Gap between train and test, in s; the markout horizon of the run if it is not given."""
    anchored: bool = False
    """Train from the first block on, instead of on the one block before the test."""
    select: Key = "net_bps"
    """What the best candidate has most of, in the train window."""
    fills_min: Annotated[int, Field(ge=1)] = 1
    """Fewest fills in the train window with which a candidate may be chosen."""


@dataclass(frozen=True)
class Window:
    """A stretch of feed time [ns since epoch], from `start` to before `stop`."""

    start: int
    stop: int


@dataclass(frozen=True)
class Fold:
    """Where to choose, and where to judge."""

    train: Window
    test: Window


def cut(span: Window, plan: Plan, *, step_ns: int, purge_ns: int) -> tuple[Fold, ...]:
    """Cut a span: the warm-up, then equal blocks, each a test window but the first; what does not divide is left over.

    All edges but the purged ones lie whole steps of `step_ns` (the sampling interval) after the span's start.
    Raises ConfigError when a block does not hold the gap and two steps.
    """
    begin = span.start + -(-round(plan.warmup_s * NS_PER_SECOND) // step_ns) * step_ns
    block = (span.stop - begin) // (plan.folds + 1) // step_ns * step_ns
    gap = -(-purge_ns // step_ns) * step_ns
    if block < gap + 2 * step_ns:
        raise ConfigError(
            f"folds: {plan.folds} of them leave blocks of {max(block, 0) / 1e9:g} s on a span of "
            f"{(span.stop - span.start) / 1e9:g} s; expected at least {(gap + 2 * step_ns) / 1e9:g} s (the "
            "purge gap and two samples): use fewer folds, a shorter warm-up or gap, or a longer tape"
        )
    edges = [begin + index * block for index in range(plan.folds + 2)]
    return tuple(
        Fold(Window(edges[0] if plan.anchored else first, middle - gap), Window(middle, last))
        for first, middle, last in zip(edges, edges[1:], edges[2:], strict=False)
    )


class Windowed(Strategy):
    """A strategy that is heard within its window only."""

    def __init__(self, strategy: Strategy, window: Window, warmup_ns: int) -> None:
        self.strategy, self.window = strategy, window
        self.wake, self.signals = strategy.wake, strategy.signals
        self._asked_from = window.start - warmup_ns
        self._wanted: dict[int, Intent] = {}
        self._entered = self._left = False

    def decide(self, view: View) -> Intent | list[Intent] | None:
        """Pass the answer on within the window; nothing before it; after it, once, no quotes."""
        if view.now < self._asked_from or self._left:
            return None
        if view.now >= self.window.stop:
            self._left = True
            return [quotes(None, None, 1, index) for index in range(len(view))]
        answer = self.strategy.decide(view)
        if self._entered:
            return answer
        # Who says nothing means what it said last, also when that was said to nobody.
        said = [] if answer is None else [answer] if isinstance(answer, Intent) else answer
        if view.now < self.window.start:
            self._wanted.update({intent.instrument: _resting(intent) for intent in said})
            return None
        self._entered = True
        return list({**self._wanted, **{intent.instrument: intent for intent in said}}.values())


def _resting(intent: Intent) -> Intent:
    """The quotes of an intent without the orders that were to be sent once, at a time that has passed."""
    bids, asks = ([(tick, lots) for side, tick, lots in intent.quotes if side == wanted] for wanted in ("buy", "sell"))
    return ladder(bids, asks, intent.instrument)


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """What a strategy came to within a window, or within several.

    Two nets, both in bps of turnover: `net_bps` is gross − adverse − slippage − fees, `net_with_inventory_bps` holds
    inventory and funding too, which is the whole P&L.
    """

    attribution: Attribution
    fills: int
    gains: Floats
    """Change of equity from sample to sample, in the settlement currency."""

    @property
    def net_bps(self) -> Measure:
        """The edge after costs."""
        return self._in_bps(self.attribution.net)

    @property
    def net_with_inventory_bps(self) -> Measure:
        """The whole P&L."""
        return self._in_bps(self.attribution.realised_pnl)

    @property
    def sharpe(self) -> Measure:
        """Sharpe ratio per sample."""
        return sharpe_ratio(self.gains)

    def by(self, key: Key) -> float | None:
        """The number that candidates are compared by; None if there is none."""
        match key:
            case "net_bps":
                return self.net_bps.value
            case "net_with_inventory_bps":
                return self.net_with_inventory_bps.value
            case "net":
                return self.attribution.net
            case "pnl":
                return self.attribution.realised_pnl
            case "sharpe":
                return self.sharpe.value

    def as_dict(self) -> dict[str, object]:
        """All numbers by name; None where there is none."""
        traded = self.attribution.turnover > 0
        return {
            **{name: value if traded else None for name, value in self.attribution.edge_bps().items()},
            "net": self.attribution.net,
            "pnl": self.attribution.realised_pnl,
            "turnover": self.attribution.turnover,
            "fills": self.fills,
            "samples": int(self.gains.size),
            "sharpe": self.sharpe.value,
            "sharpe_note": self.sharpe.note,
        }

    def _in_bps(self, value: float) -> Measure:
        turnover = self.attribution.turnover
        return Measure(value / turnover * 1e4) if turnover > 0 else Measure(None, "nothing was traded")


def together(scores: Sequence[Score]) -> Score:
    """Several windows as one: money and turnover are added first, bps follow from the sums."""
    return Score(
        attribution=combine(score.attribution for score in scores),
        fills=sum(score.fills for score in scores),
        gains=np.concatenate([np.empty(0), *(score.gains for score in scores)]),
    )


def within(result: Result, window: Window) -> Score:
    """What a result came to within a window, knowing nothing of the time after it.

    Counted from the sample of equity that stands at the window's start to the one that stands at its end: fills that
    were heard of in between, the position before them carried in at the mid, the position after them marked at the mid.
    Raises BooksError when the fills and the equity of the window disagree.
    """
    parts = [_part(result, one, window) for one in result.run.instruments]
    ts, equity, _ = result.frames.in_worth(result.run.inverse).equity_curve()
    first, last = standing(ts, np.array([window.start, window.stop]))
    return Score(
        attribution=combine(split for split, _ in parts),
        fills=sum(fills for _, fills in parts),
        gains=np.diff(equity[first : last + 1]),
    )


def _part(result: Result, instrument: InstrumentFacts, window: Window) -> tuple[Attribution, int]:
    """Attribution of one instrument within the window, and its number of fills."""
    frames, horizon = result.frames.of(instrument.symbol), result.run.markout_horizon
    ts = frames.equity["ts"].to_numpy()
    first, last = standing(ts, np.array([window.start, window.stop]))
    heard = (pl.col("ts_recv") > int(ts[first])) & (pl.col("ts_recv") <= int(ts[last]))
    seen = pl.when(pl.col("ts_venue") + HORIZONS[horizon] <= int(ts[last])).then(pl.col(horizon))
    fills = frames.fills.filter(heard).with_columns(mid_after=seen)
    mid, position, cash, equity = (frames.equity[name].to_numpy() for name in ("mid", "position", "cash", "equity"))
    funding = 0.0
    if result.attribution[instrument.symbol].funding:
        # Payments have no rows of their own: they are what of the cash no fill explains.
        side, qty, price, fee = (fills[name].to_numpy() for name in ("side", "qty", "price", "fee"))
        worth = -1 / price if instrument.inverse else price
        funding = float(cash[last] - cash[first] + (side * qty * worth + fee).sum())
    split = attribution(
        fills,
        mid_start=float(mid[first]),
        mid_end=float(mid[last]),
        initial_position=float(position[first]),
        funding=[funding],
        contract="inverse" if instrument.inverse else "linear",
    )
    check_agreement(instrument.symbol, split, float(equity[last] - equity[first]))
    return split, fills.height


@dataclass(frozen=True, kw_only=True, eq=False)
class FoldOutcome:
    """One fold: what every candidate showed in the train window, and what the best of them did in the test window."""

    fold: Fold
    trials: tuple[Score, ...]
    """In the train window, one per candidate and in their order."""
    chosen: int | None
    """Which candidate; None when none of them traded enough to be compared."""
    out_of_sample: Score | None
    """The chosen one in the test window."""

    @property
    def in_sample(self) -> Score | None:
        """The chosen one in the train window: the best of many, so too good to be true."""
        return None if self.chosen is None else self.trials[self.chosen]

    @property
    def deflated_sharpe(self) -> Measure:
        """Probability that the chosen one's Sharpe ratio is above zero, given that it is the best of all trials."""
        if self.in_sample is None:
            return Measure(None, "no candidate was chosen")
        return deflated_sharpe(self.in_sample.gains, [trial.sharpe for trial in self.trials])


@dataclass(frozen=True, kw_only=True, eq=False)
class WalkForward:
    """A finished walk. `print` it, or `write` it as JSON."""

    plan: Plan
    candidates: tuple[Candidate, ...]
    outcomes: tuple[FoldOutcome, ...]
    currency: str
    run: Mapping[str, object]
    """What names it and lets somebody repeat it: hashes of configuration, code and tapes, the seed."""

    @cached_property
    def in_sample(self) -> Score:
        """The chosen ones in their train windows together."""
        return together([one.in_sample for one in self.outcomes if one.in_sample is not None])

    @cached_property
    def out_of_sample(self) -> Score:
        """The chosen ones in their test windows together: what choosing this way would have brought."""
        return together([one.out_of_sample for one in self.outcomes if one.out_of_sample is not None])

    @property
    def kept(self) -> Measure:
        """Out-of-sample over in-sample `net_bps`: how much of what was promised was kept (Pardo 2008)."""
        promised, held = self.in_sample.net_bps, self.out_of_sample.net_bps
        if promised.value is None or held.value is None:
            return Measure(None, promised.note or held.note)
        if promised.value <= 0:
            return Measure(None, "nothing was promised: the chosen ones lost in sample")
        return Measure(held.value / promised.value)

    def as_json(self, *, utc: str) -> str:
        """Everything as JSON: sorted keys, ASCII, LF, final newline, floats of 9 significant digits.

        `utc` is the time of writing (`report.utc_now`), kept apart under `runtime`.
        """
        document = {
            "run": self.run,
            "plan": self.plan.model_dump(mode="json"),
            "currency": self.currency,
            "candidates": {one.name: dict(one.settings) for one in self.candidates},
            "folds": [self._fold(one) for one in self.outcomes],
            "in_sample": self.in_sample.as_dict(),
            "out_of_sample": self.out_of_sample.as_dict(),
            "kept": _said(self.kept),
            "runtime": {"utc": utc, "version": mmbot.__version__},
        }
        return json.dumps(rounded(document), sort_keys=True, indent=2, allow_nan=False) + "\n"

    def _fold(self, one: FoldOutcome) -> dict[str, object]:
        names = [candidate.name for candidate in self.candidates]
        return {
            "train": {"start_ns": one.fold.train.start, "stop_ns": one.fold.train.stop},
            "test": {"start_ns": one.fold.test.start, "stop_ns": one.fold.test.stop},
            "trials": {name: trial.as_dict() for name, trial in zip(names, one.trials, strict=True)},
            "chosen": None if one.chosen is None else names[one.chosen],
            "in_sample": None if one.in_sample is None else one.in_sample.as_dict(),
            "out_of_sample": None if one.out_of_sample is None else one.out_of_sample.as_dict(),
            "deflated_sharpe": _said(one.deflated_sharpe),
        }

    def write(self, path: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        """Write the JSON; a frozen time in `environ` (`MM_FREEZE_UTC`) gives the same bytes for the same walk."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.as_json(utc=report.utc_now(environ)), encoding="utf-8", newline="\n")

    def __str__(self) -> str:
        header = ["fold", "chosen", "train bp", "test bp", "with inventory", f"P&L {self.currency}", "fills", "DSR"]
        rows = [
            [
                str(number),
                *self._row(one.chosen, one.in_sample, one.out_of_sample),
                wording.measured(one.deflated_sharpe),
            ]
            for number, one in enumerate(self.outcomes, 1)
        ]
        rows.append(["together", *self._row(None, self.in_sample, self.out_of_sample), ""])
        notes = sorted({one.deflated_sharpe.note for one in self.outcomes if one.deflated_sharpe.value is None})
        kept = wording.measured(self.kept, "{:.0f} %", factor=100.0) + (f" ({self.kept.note})" * bool(self.kept.note))
        return "\n".join(
            [
                f"walk-forward: {len(self.outcomes)} folds, {len(self.candidates)} candidates, best {self.plan.select}",
                "",
                aligned(header, rows),
                "",
                f"kept out of sample: {kept}",
                "bp: net of spread, rebates, adverse selection, slippage and fees over turnover; inventory apart",
                "DSR: probability that the chosen one's Sharpe ratio is real, given how many were tried",
                *(f"DSR n/a: {note}" for note in notes),
            ]
        )

    def _row(self, chosen: int | None, trained: Score | None, tested: Score | None) -> list[str]:
        name = "" if chosen is None else self.candidates[chosen].name
        if trained is None or tested is None:
            return ["none traded", *[wording.NOTHING] * 5]
        return [
            name,
            wording.measured(trained.net_bps, "{:+.3f}"),
            wording.measured(tested.net_bps, "{:+.3f}"),
            wording.measured(tested.net_with_inventory_bps, "{:+.3f}"),
            wording.amount(tested.attribution.realised_pnl, signed=True),
            f"{tested.fills:,}",
        ]


def _said(measure: Measure) -> dict[str, object]:
    return {"value": measure.value, "note": measure.note}


def walk_forward(
    config: BacktestConfig | str | Path,
    candidates: Mapping[str, Sequence[object]] | Sequence[Candidate],
    *,
    folds: int = 4,
    warmup_s: float = 10.0,
    purge_s: float | None = None,
    anchored: bool = False,
    select: str = "net_bps",
    fills_min: int = 1,
    progress: Progress | None = None,
) -> WalkForward:
    """Choose among candidates on each train window and judge the chosen one on the test window that follows it.

    config: a TOML file or a `BacktestConfig`. candidates: a grid, `{"gamma": [0.05, 0.1]}`, over the configured
    strategy's parameters, or `Candidate`s of your own. The other arguments are those of `Plan`. progress: hears the
    share done. Of equals the first candidate is chosen.

    Raises ConfigError for a configuration or plan that cannot be used, ValueError for candidates that ask for different
    signals (they share one pass), and otherwise as `backtest`.
    """
    settings = {"folds": folds, "warmup_s": warmup_s, "purge_s": purge_s, "anchored": anchored}
    plan = check(Plan, {**settings, "select": select, "fills_min": fills_min}, "walk_forward")
    read = config if isinstance(config, BacktestConfig) else load(config, BacktestConfig)
    tried = grid(read, candidates) if isinstance(candidates, Mapping) else tuple(candidates)
    names = [one.name for one in tried]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"candidates: {names}; expected at least one, and no name twice")
    heard = progress or _nobody
    cuts = _cuts(read, plan)
    trained = [(one, fold.train) for fold in cuts for one in tried]
    results = _pass(read, plan, trained, lambda done: heard(done / 2))
    scores = _scores(results, trained)
    per_fold = [tuple(scores[start : start + len(tried)]) for start in range(0, len(scores), len(tried))]
    outcomes = _judged(read, plan, tried, cuts, per_fold, progress=lambda done: heard(0.5 + done / 2))
    heard(1.0)
    return WalkForward(
        plan=plan,
        candidates=tried,
        outcomes=outcomes,
        currency=results[0].currency,
        run=_identity(read, tried, results[0]),
    )


def _judged(
    config: BacktestConfig,
    plan: Plan,
    candidates: Sequence[Candidate],
    cuts: Sequence[Fold],
    per_fold: Sequence[tuple[Score, ...]],
    *,
    progress: Progress,
) -> tuple[FoldOutcome, ...]:
    """Choose by the trials of each fold, and replay the chosen ones over the test windows.

    Only they see those windows: nothing that happens there can have any part in the choice.
    """
    chosen = [best(trials, plan) for trials in per_fold]
    tested = [(candidates[pick], fold.test) for fold, pick in zip(cuts, chosen, strict=True) if pick is not None]
    verdicts = iter(_scores(_pass(config, plan, tested, progress), tested) if tested else [])
    return tuple(
        FoldOutcome(fold=fold, trials=trials, chosen=pick, out_of_sample=None if pick is None else next(verdicts))
        for fold, trials, pick in zip(cuts, per_fold, chosen, strict=True)
    )


def _scores(results: Sequence[Result], tried: Sequence[tuple[Candidate, Window]]) -> list[Score]:
    return [within(result, window) for result, (_, window) in zip(results, tried, strict=True)]


def best(trials: Sequence[Score], plan: Plan) -> int | None:
    """Which of the trials has most of what the plan asks for; the first of equals, None if none traded enough."""
    values = [trial.by(plan.select) if trial.fills >= plan.fills_min else None for trial in trials]
    known = [(value, -index) for index, value in enumerate(values) if value is not None]
    return -max(known)[1] if known else None


def _nobody(_: float) -> None:
    """Nobody listens to the progress."""


def _cuts(config: BacktestConfig, plan: Plan) -> tuple[Fold, ...]:
    """Cut the time in which every tape has something to say."""
    spans = {one.recording: open_tape(one.recording).span for one in config.instruments}
    silent = [name for name, span in spans.items() if span is None]
    if silent:
        raise ConfigError(f"{', '.join(silent)}: the tape holds neither depth nor trades; there is nothing to replay")
    known = [span for span in spans.values() if span is not None]
    shared = Window(max(start for start, _ in known), min(stop for _, stop in known))
    purge_ns = HORIZONS[f"mid_{config.markout}"] if plan.purge_s is None else round(plan.purge_s * NS_PER_SECOND)
    return cut(shared, plan, step_ns=round(config.sample_ms * 1e6), purge_ns=purge_ns)


def _pass(
    config: BacktestConfig, plan: Plan, tried: Sequence[tuple[Candidate, Window]], progress: Progress
) -> list[Result]:
    """One replay in which each candidate is heard within its own window."""
    warmup_ns = round(plan.warmup_s * NS_PER_SECOND)
    strategies = [Windowed(candidate.build(), window, warmup_ns) for candidate, window in tried]
    return backtest_many(config, strategies, progress=progress)


def _identity(config: BacktestConfig, candidates: Sequence[Candidate], result: Result) -> dict[str, object]:
    """What the numbers depend on. The code hash is that of the strategies, not of the windows around them."""
    return {
        "config_hash": config.hash(),
        "code_hashes": sorted({code_hash(type(one.build())) for one in candidates}),
        "tape_hashes": list(result.run.tape_hashes),
        "instruments": [one.symbol for one in result.run.instruments],
        "seed": config.seed,
        "markout": config.markout,
    }
