"""Walk-forward: cuts that do not touch, windows that know no future, a choice made on the train window alone."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_market import START, config_of, painted
from synthetic_run import NS, equity_row, fill_row, result_of
from synthetic_run import START as THEN

import mmbot
from mmbot.config import ConfigError
from mmbot.ledger import Attribution
from mmbot.research.backtest import backtest, backtest_many
from mmbot.research.outcome import BooksError
from mmbot.research.sweep import Candidate
from mmbot.research.walkforward import Plan, Score, Window, Windowed, best, cut, together, within
from mmbot.strategies import find_strategy
from mmbot.strategy import Strategy, Wake, quotes

FROZEN = {"MM_FREEZE_UTC": "1"}
GRID = {"cap_lots": [1, 3, 8], "order_lots": [1]}


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds."""
    return painted(tmp_path_factory.mktemp("walk") / "xyz.tape")


@pytest.fixture(scope="module")
def walk(tape: Path):
    """Three folds of three candidates."""
    return mmbot.walk_forward(config_of(tape), GRID, folds=3, warmup_s=2.0)


# --- cuts ------------------------------------------------------------------------------------------------------------


@given(
    st.integers(200, 10_000),
    st.integers(1, 9),
    st.floats(0, 20),
    st.integers(0, 5 * NS),
    st.integers(NS // 1000, 2 * NS),
    st.booleans(),
)
def test_cuts_never_let_the_train_window_see_the_test(
    seconds: int, folds: int, warmup_s: float, purge_ns: int, step_ns: int, anchored: bool
) -> None:
    """Train ends at least the gap before its test begins; tests follow each other without overlap inside the span."""
    span = Window(THEN, THEN + seconds * NS)
    cuts = cut(span, Plan(folds=folds, warmup_s=warmup_s, anchored=anchored), step_ns=step_ns, purge_ns=purge_ns)
    assert len(cuts) == folds
    assert cuts[0].train.start - span.start >= round(warmup_s * NS)  # as whole numbers: a float holds no epoch in ns
    assert cuts[-1].test.stop <= span.stop
    for fold in cuts:
        assert fold.train.start < fold.train.stop <= fold.test.start - purge_ns
        assert fold.test.start < fold.test.stop
        assert (fold.test.start - span.start) % step_ns == (fold.train.stop - span.start) % step_ns == 0
    for earlier, later in pairwise(cuts):
        assert earlier.test.stop == later.test.start
        assert (later.train.start == earlier.train.start) == anchored


def test_a_tape_too_short_to_cut_is_refused_with_numbers() -> None:
    """The answer says how long the blocks would be and how long they must be."""
    with pytest.raises(ConfigError, match=r"4 of them leave blocks of 2 s on a span of 20 s; expected at least 7 s"):
        cut(Window(0, 20 * NS), Plan(folds=4), step_ns=NS, purge_ns=5 * NS)


# --- windows ---------------------------------------------------------------------------------------------------------


class Clock:
    """As much of a window on the market as a strategy needs that looks at the time only."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __len__(self) -> int:
        return 1


class Says(Strategy):
    """Says what it was told to say at a time, and remembers when it was asked."""

    wake = Wake(every_ms=1)

    def __init__(self, answers: dict[int, object]) -> None:
        self.answers, self.asked = answers, []

    def decide(self, view):
        """Look the answer up."""
        self.asked.append(view.now)
        return self.answers.get(view.now)


def test_a_strategy_is_asked_from_the_warm_up_on_and_heard_within_the_window_only() -> None:
    """Before the warm-up it is not asked, in it its answer is dropped, within it passes, after it quotes go, once."""
    inner = Says({15: quotes(1, 9, 1), 20: quotes(2, 9, 1), 25: [quotes(3, 9, 1)]})
    windowed = Windowed(inner, Window(20, 30), warmup_ns=10)
    answers = {now: windowed.decide(Clock(now)) for now in (9, 10, 15, 20, 25, 27, 30, 31)}
    assert inner.asked == [10, 15, 20, 25, 27]
    assert answers == {
        **{9: None, 10: None, 15: None, 27: None, 31: None},
        20: [quotes(2, 9, 1)],
        25: [quotes(3, 9, 1)],
        30: [quotes(None, None, 1)],
    }


def test_what_was_last_said_in_the_warm_up_stands_when_the_window_opens() -> None:
    """A strategy that has nothing to add means its last quotes; orders it wanted sent once then are not sent now."""
    inner = Says({15: quotes(1, 9, 2).and_order("buy", 1, 9)})
    windowed = Windowed(inner, Window(20, 30), warmup_ns=10)
    assert windowed.decide(Clock(15)) is None
    assert windowed.decide(Clock(21)) == [quotes(1, 9, 2)]


def test_a_window_around_everything_changes_nothing(tape: Path) -> None:
    """The same commands, and the same score as the whole run's attribution."""
    config = config_of(tape)
    always = Window(START - NS, START + 100 * NS)
    strategy = find_strategy("join_touch").build({"cap_lots": 3})
    [windowed] = backtest_many(config, [Windowed(strategy, always, 0)])
    plain = backtest(config)
    assert windowed.run.commands_hash == plain.run.commands_hash
    score = within(windowed, always)
    assert score.fills == plain.fills.height > 50
    assert score.attribution.realised_pnl == pytest.approx(plain.attribution["total"].realised_pnl)


def test_a_strategy_in_a_window_holds_nothing_before_it_and_quotes_nothing_after(tape: Path) -> None:
    """Every fill lies behind the window's start, and the samples after its end show no quotes."""
    window = Window(START + 10 * NS, START + 20 * NS)
    strategy = find_strategy("join_touch").build({"cap_lots": 3})
    [result] = backtest_many(config_of(tape), [Windowed(strategy, window, 2 * NS)])
    assert result.fills["ts_recv"].min() > window.start
    late = result.equity.filter(pl.col("ts") > window.stop + NS // 2)
    assert late.height > 100
    assert late["quote_bid"].null_count() == late["quote_ask"].null_count() == late.height
    quoting = result.equity.filter(pl.col("ts").is_between(window.start + NS, window.stop))
    assert quoting["quote_bid"].null_count() < quoting.height / 2


# --- what a window came to -------------------------------------------------------------------------------------------


def steady(*rows: tuple[float, float, float]):
    """Samples a second apart from (mid, position, cash)."""
    return [
        equity_row(second, mid=mid, position=position, cash=cash, equity=cash + position * mid)
        for second, (mid, position, cash) in enumerate(rows)
    ]


def heard(second: float, **changes):
    """A maker buy heard of at a second, with all later mids alike."""
    later = changes.pop("later", None)
    mids = {} if later is None else dict.fromkeys(("mid_100ms", "mid_1s", "mid_5s", "mid_30s", "mid_300s"), later)
    ts = THEN + round(second * NS)
    return fill_row(ts_venue=ts, ts_recv=ts, **mids, **changes)


EARLIER = heard(0.5, price=99.0, mid=100.0)
INSIDE = heard(1.5, price=99.5, mid=100.0, later=100.5, fee=-0.1)
LATER = heard(5.5, price=90.0, mid=100.0)
SAMPLES = steady((100, 0, 0), (100, 1, -99), (101, 2, -198.4), (102, 2, -198.4), (103, 2, -198.4), (90, 2, -198.4))


def test_a_window_is_worked_out_by_hand() -> None:
    """One position carried in, one fill inside: what is before and behind the window has no part in it."""
    result = result_of(fills=[EARLIER, INSIDE, LATER], equity=SAMPLES)
    run = replace(result.run, markout_horizon="mid_1s")
    score = within(replace(result, run=run), Window(THEN + NS, THEN + 4 * NS))
    found = score.attribution
    assert (score.fills, found.turnover) == (1, 100.0)
    assert found.spread_capture == pytest.approx(0.5)
    assert found.rebates == pytest.approx(0.1)
    assert found.adverse_selection == pytest.approx(0.5)
    assert found.inventory == pytest.approx(103 - 100.5)
    assert found.initial_inventory == pytest.approx(103 - 100)
    assert found.realised_pnl == pytest.approx((-198.4 + 2 * 103) - (-99 + 100))
    assert score.net_bps.value == pytest.approx(110.0)
    assert score.net_with_inventory_bps.value == pytest.approx(660.0)
    assert score.gains.tolist() == pytest.approx([2.6, 2.0, 2.0])


def test_a_later_mid_beyond_the_end_is_not_looked_at() -> None:
    """The same fill judged after five seconds knows only the window's last mid, whatever the frame says."""
    result = result_of(fills=[EARLIER, INSIDE, LATER], equity=SAMPLES)
    assert result.run.markout_horizon == "mid_5s"
    score = within(result, Window(THEN + NS, THEN + 4 * NS))
    assert score.attribution.adverse_selection == pytest.approx(103 - 100)


def test_fills_that_do_not_explain_the_equity_are_a_broken_promise() -> None:
    """A lost fill is found by the equity of the window."""
    result = result_of(fills=[EARLIER], equity=SAMPLES)
    with pytest.raises(BooksError, match="the fills say"):
        within(result, Window(THEN + NS, THEN + 4 * NS))


@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_windows_in_a_row_add_up_to_the_run(tmp_path: Path, kind: str) -> None:
    """P&L, fills and turnover of consecutive windows sum to those of the whole, for both kinds of contract."""
    result = backtest(config_of(painted(tmp_path / "a.tape", seconds=20, kind=kind)))
    edges = [START, *(START + second * NS for second in (3, 7, 8, 15)), START + 30 * NS]
    parts = [within(result, Window(*pair)) for pair in pairwise(edges)]
    whole, summed = within(result, Window(edges[0], edges[-1])), together(parts)
    assert summed.fills == whole.fills == result.fills.height > 20
    assert summed.attribution.realised_pnl == pytest.approx(whole.attribution.realised_pnl)
    assert summed.attribution.turnover == pytest.approx(whole.attribution.turnover)
    assert summed.gains.tolist() == pytest.approx(whole.gains.tolist())


# --- the choice ------------------------------------------------------------------------------------------------------


def scored(net: float, *, inventory: float = 0.0, fills: int = 5) -> Score:
    """A score with this edge on a turnover of ten thousand."""
    split = Attribution(
        spread_capture=net, inventory=inventory, realised_pnl=net + inventory, turnover=1e4 if fills else 0
    )
    return Score(attribution=split, fills=fills, gains=np.zeros(2))


def test_the_best_has_most_of_what_is_asked_for() -> None:
    """By edge the second, by P&L the first; of equals the first; none where nobody traded enough."""
    trials = [scored(1.0, inventory=5.0), scored(2.0), scored(2.0), scored(9.0, fills=1)]
    assert best(trials, Plan(fills_min=2)) == 1
    assert best(trials, Plan(fills_min=2, select="pnl")) == 0
    assert best(trials, Plan(select="net")) == 3
    assert best(trials, Plan(select="sharpe")) is None
    assert best([scored(0.0, fills=0)], Plan()) is None


def test_the_future_has_no_part_in_the_choice(tmp_path: Path) -> None:
    """Two tapes that differ only after the first train window give the same trials and the same choice there."""
    plan = {"folds": 2, "warmup_s": 1.0, "purge_s": 1.0}
    walks = [
        mmbot.walk_forward(config_of(painted(tmp_path / f"{after}.tape", seconds=31, other_after=after)), GRID, **plan)
        for after in (10, None)
    ]
    documents = [json.loads(one.as_json(utc="never")) for one in walks]
    assert walks[0].outcomes[0].fold.train.stop == START + 99 * NS // 10
    first, second = (document["folds"][0] for document in documents)
    assert first["trials"] == second["trials"]
    assert first["chosen"] == second["chosen"]
    assert first["out_of_sample"] != second["out_of_sample"]


def test_each_fold_reports_the_chosen_one_in_and_out_of_sample(walk) -> None:
    """The chosen one is the best of its trials, was judged on its own test window, and money adds up over folds."""
    assert len(walk.outcomes) == 3
    for one in walk.outcomes:
        values = [trial.net_bps.value for trial in one.trials]
        assert len(values) == 3
        assert one.in_sample.net_bps.value == max(values)
        assert one.out_of_sample.net_bps.value is not None
    total = walk.out_of_sample
    assert total.attribution.net == pytest.approx(sum(one.out_of_sample.attribution.net for one in walk.outcomes))
    assert total.net_bps.value == pytest.approx(total.attribution.net / total.attribution.turnover * 1e4)
    assert walk.kept.value is None or walk.kept.value == pytest.approx(
        total.net_bps.value / walk.in_sample.net_bps.value
    )


def test_the_test_window_is_a_run_of_its_own(walk, tape: Path) -> None:
    """What the report says out of sample is what a single replay of the chosen candidate over that window gives."""
    one = walk.outcomes[1]
    windowed = Windowed(walk.candidates[one.chosen].build(), one.fold.test, 2 * NS)
    [alone] = backtest_many(config_of(tape), [windowed])
    assert within(alone, one.fold.test).as_dict() == one.out_of_sample.as_dict()


def test_two_walks_are_the_same_bytes(walk, tape: Path, tmp_path: Path) -> None:
    """With frozen time: sorted keys, LF, final newline, no NaN; the progress ends at one and never falls."""
    shares: list[float] = []
    again = mmbot.walk_forward(config_of(tape), GRID, folds=3, warmup_s=2.0, progress=shares.append)
    again.write(tmp_path / "new/b.json", environ=FROZEN)
    walk.write(tmp_path / "a.json", environ=FROZEN)
    text = (tmp_path / "a.json").read_bytes()
    assert text == (tmp_path / "new/b.json").read_bytes()
    assert text.decode() == json.dumps(json.loads(text), sort_keys=True, indent=2) + "\n"
    assert json.loads(text)["runtime"]["utc"] == "1970-01-01T00:00:00Z"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_table_has_a_line_per_fold_and_one_for_all(walk) -> None:
    """Fold, choice, both bps; the reading aids stand below."""
    lines = str(walk).splitlines()
    rows = [line for line in lines if line.startswith(("1", "2", "3", "together"))]
    assert len(rows) == 4
    for row, one in zip(rows, walk.outcomes, strict=False):
        assert walk.candidates[one.chosen].name in row
        assert f"{one.out_of_sample.net_bps.value:+.3f}" in row


class Silent(Strategy):
    """Wants nothing."""

    def decide(self, view):
        """Stay out."""
        return quotes(None, None, 1)


def test_nobody_is_chosen_where_nobody_traded(tape: Path) -> None:
    """Folds without fills say so, in the table and in valid JSON."""
    quiet = mmbot.walk_forward(config_of(tape), [Candidate(name="silent", build=Silent)], folds=2, warmup_s=0.0)
    assert [one.chosen for one in quiet.outcomes] == [None, None]
    assert "none traded" in str(quiet)
    document = json.loads(quiet.as_json(utc="never"))
    assert document["folds"][0]["deflated_sharpe"] == {"value": None, "note": "no candidate was chosen"}
    assert document["kept"]["note"] == "nothing was traded"


def test_two_instruments_are_walked_together(tmp_path: Path) -> None:
    """Windows lie where both tapes have something to say, and a lone maker of the first earns what it earns alone."""
    first = painted(tmp_path / "a.tape", seconds=25)
    second = painted(tmp_path / "b.tape", seconds=20, seed=2, symbol="ABCUSDT")
    both = mmbot.walk_forward(config_of(first, second), GRID, folds=1, warmup_s=0.0)
    assert both.outcomes[0].fold.test.stop <= START + 20 * NS
    assert both.run["instruments"] == ["XYZUSDT", "ABCUSDT"]
    fold = both.outcomes[0].fold
    strategy = Windowed(both.candidates[0].build(), fold.train, 0)
    [alone] = backtest_many(config_of(first), [strategy])
    assert within(alone, fold.train).as_dict() == both.outcomes[0].trials[0].as_dict()


@pytest.mark.parametrize(
    ("candidates", "plan", "said"),
    [
        ([], {}, "expected at least one"),
        ([Candidate(name="a", build=Silent)] * 2, {}, "no name twice"),
        (GRID, {"folds": 0}, "walk_forward: folds"),
        (GRID, {"select": "luck"}, "walk_forward: select"),
        (GRID, {"folds": 50}, r"50 of them leave blocks of 0.7 s on a span of 39.95 s"),
    ],
)
def test_a_walk_that_makes_no_sense_is_refused(tape: Path, candidates, plan: dict[str, object], said: str) -> None:
    """No candidates, two of one name, and plans that cannot be kept are answered before any replay."""
    with pytest.raises(ConfigError, match=said):
        mmbot.walk_forward(config_of(tape), candidates, **{"warmup_s": 2.0, **plan})
