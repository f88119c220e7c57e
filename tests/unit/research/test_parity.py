"""A live run beside a backtest of its tapes: what is equal is paired, and what is not says why."""

import json
from pathlib import Path

import paper_run
import pytest

from mmbot.research.heard import Latencies
from mmbot.research.parity import Filled, Parity, Row, compare_to_backtest
from mmbot.research.prediction import Prediction


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> paper_run.Recorded:
    """A minute of paper trading."""
    return paper_run.record(tmp_path_factory.mktemp("run") / "paper", seconds=60)


def test_most_of_a_run_is_found_again_in_the_backtest(recorded: paper_run.Recorded, tmp_path: Path):
    """Against a venue that fills by the recorded trades, three in four decisions and most fills are the backtest's.

    The script is no exchange: it never refuses a post-only order, moves nobody up when others cancel, and shows nobody
    our orders. So its fills and those of the laws differ, and the report says in which orders.
    """
    found = compare_to_backtest(recorded.journal, tmp_path)
    decisions, fills = found.counts()["decisions"], found.counts()["fills"]
    assert decisions["both"] > 3 * decisions["run"]
    assert found.orders.matched is not None
    assert found.orders.matched > 0.6
    assert all(bool(row.why) == (not row.both == row.real == row.predicted) for row in found.orders.orders)
    assert fills["both"] > 2 * max(fills["run"], fills["backtest"])
    assert all(row.why for row in found.fills if row.later_ns is None)
    assert found.refused == {"rate_limited": recorded.live.orders_named(0) // 40}
    counts = json.loads((tmp_path / "parity.json").read_text())["counts"]
    assert counts == {**found.counts(), "orders": found.orders.counts()}


def test_latencies_are_those_of_the_venue(recorded: paper_run.Recorded, tmp_path: Path):
    """The script answers after 3 and 2 ms: that is what the journal shows and the backtest is given."""
    found = compare_to_backtest(recorded.journal, tmp_path)
    assert found.latencies["entry"]["p50"] == pytest.approx(paper_run.ENTRY_NS, abs=1_000)
    assert found.latencies["response"]["p50"] == pytest.approx(paper_run.RESPONSE_NS, abs=1_000)
    rows = (tmp_path / "entry.csv").read_text().splitlines()
    assert rows[0] == "ts_ns,latency_ns"
    assert len(rows) == found.latencies["entry"]["count"] + 1


def test_the_first_decisions_are_the_very_same(recorded: paper_run.Recorded, tmp_path: Path):
    """Before the first fill that only one of the two had, nothing has parted, and nobody was later than a clock tick.

    The script lets the clock tick every 5 ms, so a decision of the run comes at most so much after the backtest's.
    """
    found = compare_to_backtest(recorded.journal, tmp_path)
    parted = min(Filled(*(row.run or row.backtest)).ts for row in found.fills if row.later_ns is None)
    before = [row for row in found.decisions if (row.run or row.backtest)[0] < parted]
    assert before
    assert all(row.later_ns is not None and 0 <= row.later_ns <= paper_run.TICK_NS for row in before)


def test_a_page_says_the_counts_and_each_fill():
    """The screen has one line for each fill, with where it was found and why not in both."""
    fill = Filled(5, 0, "buy", 100, 3, True, 1)
    found = Parity(
        symbols=("BTCUSDT",),
        orders=Prediction(orders=(), judged=3, refused=(0, 0, 0)),
        latencies={"entry": {"count": 1, "p50": 3_000_000, "p99": 3_000_000}},
        decisions=(),
        refused={"rate_limited": 31},
        fills=(
            Row(tuple(fill), tuple(fill), 2_000_000, ""),
            Row(None, tuple(fill), None, "the run had no order there"),
        ),
    )
    text = str(found)
    assert "judged          3 orders" in text
    assert "matched      none of 0 lots" in text
    assert "fills           1 in both      0 only in the run      1 only in the backtest; equal until 5 ns" in text
    assert "both     5 BTCUSDT buy       3 lots at 100  +2.000 ms in the run" in text
    assert "backtest 5 BTCUSDT buy       3 lots at 100  the run had no order there" in text
    assert "refused        31 orders of the run: rate_limited" in text
    assert Latencies((), ()).entry == ()
