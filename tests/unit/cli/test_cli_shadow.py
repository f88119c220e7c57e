"""`mmbot dryrun` and `mmbot compare`: exit codes, files and words."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mmbot.cli import app

CONFIG = """
[[instruments]]
tape = "sample:bybit-btcusdt"
limits = { position = "0.2", order = "0.05" }
[strategy]
name = "join_touch"
params = {}
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call mmbot in a folder of its own, at a frozen time, with a configuration run.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MM_FREEZE_UTC", "1")
    (tmp_path / "run.toml").write_text(CONFIG)

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), env={"COLUMNS": "200"})

    return call


def test_a_dry_run_writes_what_a_comparison_reads(called, tmp_path: Path):
    """Twice the same replay: iterations in the usual place, and a comparison that passes, or warns of too few."""
    for out in ("artifacts/dryrun/latest", "again"):
        done = called("dryrun", "run.toml", "--duration", "1", "--out", out)
        assert done.exit_code == 0, done.output
    assert "iterations in again" in done.output
    assert (tmp_path / "artifacts/dryrun/latest/report/report.html").exists()
    compared = called("compare", "artifacts/dryrun/latest", "again")
    assert compared.exit_code == 0, compared.output
    assert "PASS" in compared.output
    assert (tmp_path / "reports/analysis/ACCURACY_REPORT.md").exists()
    few = called("compare", "artifacts/dryrun/latest", "again", "--windows", "1000", "--json")
    assert few.exit_code == 2
    assert json.loads(few.stdout)["verdict"] == "WARN"
    assert called("compare", "artifacts/dryrun/latest", "again", "--windows", "1000", "--strict").exit_code == 1


def test_a_comparison_of_unlike_runs_fails(called):
    """Another latency of the feed is another run: exit 1."""
    called("dryrun", "run.toml", "--duration", "1", "--out", "a")
    Path("run.toml").write_text(CONFIG.replace('order = "0.05" }', 'order = "0.05" }\nvenue = { feed_extra_ms = 200 }'))
    called("dryrun", "run.toml", "--duration", "1", "--out", "b")
    assert called("compare", "a", "b").exit_code == 1


def test_what_cannot_be_compared_is_one_line_and_exit_1(called):
    """A folder without iterations is no pass and no warning."""
    done = called("compare", "nowhere", "nowhere")
    assert done.exit_code == 1
    assert done.output.startswith("error: nowhere: no ITER_SUMMARY_<N>.json")


def test_a_missing_profile_warns_or_ends_the_run(called):
    """Told and noted without --strict, exit 1 with it."""
    done = called("dryrun", "run.toml", "--duration", "5", "--profile", "bold", "--json")
    assert done.exit_code == 0
    assert "profile 'bold'" in done.stderr
    assert "going on without it" in json.loads(done.stdout)["notes"][0]
    strict = called("dryrun", "run.toml", "--duration", "5", "--profile", "bold", "--strict")
    assert strict.exit_code == 1
    assert "error: profile 'bold'" in strict.output


def test_an_iteration_longer_than_the_tape_is_one_line_and_exit_1(called):
    """The message says how long the market was."""
    done = called("dryrun", "run.toml", "--duration", "3600")
    assert done.exit_code == 1
    assert "less than one iteration of 3600 s" in done.output
