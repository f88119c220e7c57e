"""The exercise on the simulated lock, and its report."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.ops.chaos.failover import Failover, VirtualTime, fail_over
from mmbot.ops.chaos.findings import write_report


def chaos(**times: int):
    """Do it in no time; what was found and the lines that were told."""
    lines: list[str] = []
    found = fail_over(Failover(**times), VirtualTime(), lines.append)
    found.conclude()
    return found, lines


def test_a_failover_within_the_lease_passes_and_tells_its_lines():
    """Takeover within ttl + 200 ms, one leader, work done once, no storm of alerts."""
    found, lines = chaos()
    assert found.passed
    assert 0 < found.numbers["takeover_ms"] <= 1_700
    assert found.numbers["idempotent_hits"] > 0
    assert lines[-1] == "CHAOS_RESULT=OK"
    assert lines[-2].startswith("CHAOS_SUMMARY on=fake takeover_ms=")
    assert any(line.startswith("CHAOS t_ms=3000 event=killed node=a") for line in lines)
    assert any("stale_renewal=refused" in line for line in lines)


def test_the_same_exercise_gives_the_same_lines():
    """Virtual time has no accidents."""
    assert chaos()[1] == chaos()[1]


@pytest.mark.parametrize(
    ("times", "check"),
    [({"window_ms": 3_500}, "takeover"), ({"renew_ms": 2_000}, "a leader that lives keeps its lease")],
)
def test_what_does_not_hold_fails_and_says_which(times: dict[str, int], check: str):
    """A window without a takeover, a renewal slower than the lease."""
    found, lines = chaos(**times)
    assert lines[-1] == "CHAOS_RESULT=FAIL"
    assert check in [one.check for one in found.findings if one.status == "FAIL"]


def test_a_report_is_written_for_people_and_machines(tmp_path: Path):
    """The same result, numbers and findings in both."""
    found, _ = chaos()
    words, machine = write_report(found, tmp_path / "reports" / "chaos.md")
    assert "# Failover on fake: OK" in words.read_text(encoding="utf-8")
    said = json.loads(machine.read_text(encoding="utf-8"))
    assert (said["chaos_result"], said["numbers"]) == ("OK", found.numbers)


def test_the_command_answers_by_its_exit_code(tmp_path: Path):
    """0 and OK, 1 and FAIL; a dry run really runs; times that cannot be are refused."""
    runner = CliRunner()
    good = runner.invoke(app, ["chaos", "failover", "--dry-run", "--report", str(tmp_path / "chaos.md")])
    assert (good.exit_code, good.stdout.splitlines()[-1]) == (0, "CHAOS_RESULT=OK")
    assert (tmp_path / "chaos.json").exists()
    bad = runner.invoke(app, ["chaos", "failover", "--dry-run", "--window-ms", "3500"])
    assert (bad.exit_code, bad.stdout.splitlines()[-1]) == (1, "CHAOS_RESULT=FAIL")
    assert runner.invoke(app, ["chaos", "failover", "--kill-at-ms", "9000"]).exit_code == 1
