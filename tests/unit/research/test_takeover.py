"""A run that takes a position over from an earlier one: its report counts from its own first mark."""

from pathlib import Path

import paper_run
import pytest

from mmbot import _core, samples
from mmbot.config import BacktestConfig
from mmbot.research.desks import configured
from mmbot.research.journal import RecordedRun, live_engine


def left() -> bytes:
    """What an earlier run left: seven lots, bought for cash, and an orphan that still stands."""
    config = BacktestConfig.model_validate(paper_run.CONFIG)
    tape = samples.sample("btcusdt")
    assert tape.span is not None
    start, touch = tape.span[0] - 1_000, 950_000
    live, _ = live_engine(config, configured(config), [tape.instrument], [tape])
    assert live.moved(start, 0, "adl-1", "AdlTrade", "buy", touch, 5, 700_000_000, start)
    number = live.adopt(start + 1, "ours-7", "venue-7", 0, "buy", touch, 3, 2, False, "orphan")
    assert live.filled(start + 2, number, "exec-of-orphan", touch, 2, True, -10_000_000, start)
    return live.snapshot()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> paper_run.Recorded:
    """Twenty seconds of paper trading on top of that."""
    return paper_run.record(tmp_path_factory.mktemp("run") / "paper", seconds=20, opening=left())


def test_the_journal_alone_has_what_was_taken_over(recorded: paper_run.Recorded):
    """Verified from its own journal, and recovered to the state of the live engine, names of orders included."""
    verified = RecordedRun.open(recorded.journal).verify()
    assert dict(verified.compared)["opening"] == 1
    again = _core.recover(recorded.journal)
    assert again.snapshot == recorded.live.snapshot()
    assert again.state_hash == recorded.live.state_hash(0)
    assert again.positions == [recorded.live.books(0, 0)["position_lots"]]
    assert (again.ended, again.halted, again.torn) == (True, True, None)
    assert [row[1] for row in again.orders if row[11] == "orphan"] == ["ours-7"]


def test_attribution_and_equity_agree_with_a_position_carried_in(recorded: paper_run.Recorded):
    """Equity counts from the first mark, what was held before has its own line, and all adds up."""
    result = RecordedRun.open(recorded.journal).result()
    equity, split = result.equity, result.attribution["BTCUSDT"]
    opening = recorded.live.opening(0, 0)
    assert opening is not None
    assert opening["position_lots"] == 7
    assert equity["equity"].abs().max() < 1, "what was bought before is in no line of the report"
    assert equity["fees"].item(-1) == pytest.approx(result.fills["fee"].sum())
    move = equity["mid"].item(-1) - equity["mid"].item(0)
    assert split.initial_inventory == pytest.approx(0.007 * move)
    assert split.realised_pnl == pytest.approx(equity["equity"].item(-1), abs=1e-6)
    assert abs(split.residual) < 1e-9
    assert result.fills.height == recorded.venue.fills


def test_a_run_that_began_with_nothing_has_no_opening(tmp_path: Path):
    """Its books are its own."""
    assert paper_run.record(tmp_path / "paper", seconds=1).live.opening(0, 0) is None
