"""`mmbot replay`: exit codes, and what is printed."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.research.facts import code_hash
from mmbot.strategies import find_strategy

sys.path.insert(0, str(Path(__file__).parents[1] / "research"))
import paper_run


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of paper trading."""
    return paper_run.record(tmp_path_factory.mktemp("run") / "paper", seconds=10).journal


def call(*words: object):
    """Call the program."""
    return CliRunner().invoke(app, ["replay", *map(str, words)])


def test_verify_prints_what_was_compared(journal: Path):
    """A sound run exits 0 and counts every kind of entry."""
    done = call(journal, "--verify")
    assert done.exit_code == 0, done.output
    assert "compared, all equal" in done.output
    assert "command" in done.output
    assert json.loads(call(journal, "--verify", "--json").output)["ended"] is True


def test_a_difference_exits_1_with_the_entry(tmp_path: Path):
    """A run that did not trade what its journal claims does not pass, and the first entry that shows it is named."""
    config = paper_run.CONFIG
    other = {**config, "strategy": {"name": "join_touch", "params": {"order_lots": 1, "cap_lots": 20, "every_ms": 100}}}
    done = call(paper_run.record(tmp_path / "run", seconds=2, claims=other).journal, "--verify")
    assert done.exit_code == 1
    assert "recorded the intent for instrument 0 Buy 2 at" in done.output
    assert "the replay made the intent for instrument 0 Buy 1 at" in done.output


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The journal of a run by a user's own strategy, `at_touch.py` in the folder `started`, latencies beside it."""
    started = tmp_path / "started"
    started.mkdir()
    (started / "at_touch.py").write_text("from mmbot.strategies import JoinTouch\n\n\nclass Own(JoinTouch): ...\n")
    (started / "entry.csv").write_text("ts_ns,latency_ns\n0,1000000\n")
    config = json.loads(json.dumps(paper_run.CONFIG))
    config["strategy"]["name"] = "at_touch.py:Own"
    config["instruments"][0]["venue"]["entry"] = {"recorded": "entry.csv"}
    words = code_hash(find_strategy("at_touch.py:Own", started).strategy)
    told = {"folder": str(started), "code_hash": words}
    return paper_run.record(tmp_path / "run", seconds=2, claims=config, more=told).journal


def test_a_run_is_done_again_from_any_folder(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What a configuration names lies where the run was started; where that is gone, the working folder is asked."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert call(own, "--verify").exit_code == 0
    done = call(own)
    assert done.exit_code == 0, done.output
    (tmp_path / "started" / "at_touch.py").rename(elsewhere / "at_touch.py")
    assert call(own, "--verify").exit_code == 0


def test_a_strategy_that_is_gone_or_changed_is_one_clear_line(own: Path, tmp_path: Path):
    """Nothing decides in the place of a file that is gone; another one is refused by its hash."""
    file = tmp_path / "started" / "at_touch.py"
    file.write_text(file.read_text() + "# another day\n")
    changed = call(own, "--verify")
    assert changed.exit_code == 1
    assert "recorded by code" in changed.output
    file.unlink()
    gone = call(own, "--verify")
    assert gone.exit_code == 1
    assert "the strategy of this run is not there now: no file at_touch.py (looked in" in gone.output
    assert str(tmp_path / "started") in gone.output


def test_the_report_and_the_parity_are_written(journal: Path, tmp_path: Path):
    """Without --verify the report is written; with --parity the comparison."""
    assert call(journal, "--out", tmp_path / "report").exit_code == 0
    assert (tmp_path / "report" / "summary.json").exists()
    done = call(journal, "--parity", "--out", tmp_path / "parity")
    assert done.exit_code == 0, done.output
    assert "in both" in done.output
    assert (tmp_path / "parity" / "parity.json").exists()


def test_a_wrong_question_is_answered(tmp_path: Path):
    """A missing journal exits 1 with a reason, two questions at once exit 2."""
    missing = call(tmp_path / "none.mmj", "--verify")
    assert missing.exit_code == 1
    assert "none.mmj" in missing.output
    assert call(tmp_path / "none.mmj", "--verify", "--parity").exit_code == 2
