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


def shadow_once(called, *words: str) -> Result:
    """Shadow the sample as fast as can be, in iterations of one second."""
    return called("shadow", "run.toml", "--source", "mock", "--speed", "0", "--duration", "1", *words)


def test_shadow_dry_run_and_comparison_are_one_chain(called, tmp_path: Path):
    """A shadow run, the dry run of its recording that it proposes, and a comparison that passes."""
    done = shadow_once(called, "--iterations", "25")
    assert done.exit_code == 0, done.output
    assert "hold it against its replay: mmbot dryrun run.toml --duration 1 --tapes artifacts/shadow/latest/tapes" in (
        done.output
    )
    assert "iteration 25 of 25 until" in done.stderr
    dry = called("dryrun", "run.toml", "--duration", "1", "--tapes", "artifacts/shadow/latest/tapes")
    assert dry.exit_code == 0, dry.output
    compared = called("compare", "artifacts/shadow/latest", "artifacts/dryrun/latest", "--json")
    assert {one["mape_pct"] for one in json.loads(compared.stdout)["kpis"]} <= {0.0, None}
    assert compared.exit_code in (0, 2)
    assert json.loads((tmp_path / "artifacts/shadow/latest/SHADOW_RUN_SUMMARY.json").read_text())["run"]["mode"] == (
        "shadow"
    )


def test_the_audit_holds_and_fails_only_when_asked(called):
    """HOLD is exit 0, and exit 1 with --fail-on-hold; too few iterations are exit 1 under --strict."""
    shadow_once(called, "--iterations", "3", "--json")
    held = called("shadow", "audit")
    assert held.exit_code == 0, held.output
    assert "HOLD" in held.output
    assert "3 iterations, and medians of 8 are wanted" in held.stderr
    assert called("shadow", "audit", "--fail-on-hold").exit_code == 1
    assert json.loads(called("shadow", "audit", "--json").stdout)["verdict"] == "HOLD"
    assert called("shadow", "audit", "--strict").exit_code == 1
    assert called("shadow", "audit", "--base", "nowhere").exit_code == 1


def test_a_baseline_is_made_and_reported_against(called, tmp_path: Path):
    """Without one the report warns, or fails under --strict; with one it has budgets."""
    shadow_once(called, "--iterations", "3", "--json")
    assert "the report has no budgets" in called("shadow", "report").stderr
    assert called("shadow", "report", "--strict").exit_code == 1
    made = called("shadow", "baseline")
    assert made.exit_code == 0, made.output
    assert "budgets of 3 iterations" in made.output
    assert called("shadow", "report", "--strict").exit_code == 0
    assert "at most" in (tmp_path / "artifacts/shadow/latest/reports/analysis/SHADOW_REPORT.md").read_text()
    assert called("shadow", "baseline", "nowhere").exit_code == 1


def test_the_preflight_exits_by_its_worst_finding(called):
    """Warnings are exit 0, and 1 under --strict; a configuration that cannot be read is 1."""
    found = called("shadow", "preflight", "run.toml", "--skip-smoke")
    assert found.exit_code == 0, found.output
    assert found.output.rstrip().endswith("WARN")
    assert called("shadow", "preflight", "run.toml", "--skip-smoke", "--strict").exit_code == 1
    said = called("shadow", "preflight", "nowhere.toml", "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["verdict"] == "FAIL"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("shadow", "run.toml"), "nothing to listen to"),
        (("shadow", "run", "nowhere.toml"), "no such file"),
        (("shadow", "run.toml", "--source", "mock", "--speed", "0", "--duration", "999"), "less than one iteration"),
        (("shadow", "run.toml", "--source", "mock", "--symbols", "X"), "not configured"),
        (("shadow", "redis-check"), "no ITER_SUMMARY"),
    ],
)
def test_what_cannot_be_shadowed_is_one_line_and_exit_1(called, words: tuple[str, ...], said: str):
    """No session, no file, no time, no such symbol, no run."""
    done = called(*words)
    assert done.exit_code == 1
    assert said in done.output


def test_redis_that_is_not_there_is_told_without_its_password(called):
    """An export is a doubt, a source is an error, a check is a FAIL; none of them shows the password."""
    url = "redis://:sesame@127.0.0.1:1/0"
    exported = shadow_once(called, "--iterations", "1", "--export", "--redis-url", url)
    assert exported.exit_code == 0, exported.output
    assert "redis://127.0.0.1:1/0 did not take iteration 1 (ConnectionError: " in exported.stderr
    assert "; its file has it" in exported.stderr
    strict = shadow_once(called, "--iterations", "1", "--export", "--strict", "--redis-url", url)
    source = called("shadow", "run.toml", "--source", "redis", "--redis-url", url)
    check = called("shadow", "redis-check", "--redis-url", url)
    assert [strict.exit_code, source.exit_code, check.exit_code] == [1, 1, 1]
    assert not any("sesame" in done.output for done in (exported, strict, source, check))
