"""`mmbot replay`: exit codes, and what is printed."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app

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
