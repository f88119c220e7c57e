"""What is normal, and the report that holds a run against it."""

import csv
from pathlib import Path

import pytest
from small_market import GOOD, changed, folder_of

from mmbot.ops.baseline import baseline_of, read_baseline, sparkline, write_report
from mmbot.ops.iterations import IterationError

FROZEN = {"MM_FREEZE_UTC": "1"}


def test_a_budget_is_the_p95_and_a_tenth(tmp_path: Path):
    """Latencies of 1 to 20 ms: the nineteenth, widened by a tenth; a share may fall a tenth below its p5."""
    windows = [{"X": changed(GOOD, p95_latency_ms=float(n), maker_taker_ratio=n / 20)} for n in range(1, 21)]
    baseline = baseline_of(folder_of(tmp_path, windows))
    latency, share = baseline.total["p95_latency_ms"], baseline.per_symbol["X"]["maker_taker_ratio"]
    assert (latency.least, latency.median, latency.most, latency.budget) == (1, 10.5, 20, pytest.approx(20.9))
    assert share.budget == pytest.approx(0.05 * 0.9)
    assert (latency.rule, share.rule) == ("at most", "at least")


def test_a_losing_baseline_has_a_budget_below_it(tmp_path: Path):
    """A tenth of a negative edge widens it downwards, not upwards."""
    baseline = baseline_of(folder_of(tmp_path, [{"X": changed(GOOD, net_bps=-2.0)}] * 3))
    assert baseline.total["net_bps"].budget == pytest.approx(-2.2)


def test_a_kpi_that_nobody_knew_has_no_budget(tmp_path: Path):
    """A baseline without takers says nothing about slippage."""
    assert "slippage_bps_p95" not in baseline_of(folder_of(tmp_path, [{"X": GOOD}])).total


def test_the_same_run_gives_the_same_baseline(tmp_path: Path):
    """Byte for byte, and it is read as it was written."""
    folder, path = folder_of(tmp_path / "run", [{"X": GOOD}] * 5), tmp_path / "stage_budgets.json"
    baseline_of(folder).write(path, environ=FROZEN)
    before = path.read_bytes()
    baseline_of(folder).write(path, environ=FROZEN)
    assert path.read_bytes() == before
    assert read_baseline(path).total["risk_ratio"].budget == pytest.approx(0.275)


def test_a_baseline_that_is_none_says_how_to_make_one(tmp_path: Path):
    """Missing or damaged, the message names the command."""
    with pytest.raises(IterationError, match="no such file; make one with `mmbot shadow baseline FOLDER`"):
        read_baseline(tmp_path / "stage_budgets.json")
    (tmp_path / "stage_budgets.json").write_text("{}")
    with pytest.raises(IterationError, match="make it again"):
        read_baseline(tmp_path / "stage_budgets.json")


def test_the_report_holds_each_kpi_against_its_budget(tmp_path: Path):
    """A latency beyond its budget is to be looked at, the others are ok, and what is not known says so."""
    normal = baseline_of(folder_of(tmp_path / "normal", [{"X": GOOD}] * 5))
    run = folder_of(tmp_path / "run", [{"X": changed(GOOD, p95_latency_ms=500.0)}] * 5)
    report, table = write_report(run, normal, environ=FROZEN)
    lines = report.read_text().splitlines()
    assert any("| all | p95_latency_ms | 500.000 |" in line and "LOOK" in line for line in lines)
    assert any("| X | net_bps |" in line and ": ok" in line for line in lines)
    assert any("| X | slippage_bps_p95 | - | - | - | 0 of 5 | not known |" in line for line in lines)
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    assert (rows[0]["symbol"], rows[0]["net_bps"], rows[0]["slippage_bps_p95"]) == ("X", "3.2", "")


def test_a_report_without_a_baseline_shows_the_run(tmp_path: Path):
    """Nothing to hold it against is no verdict."""
    report, _ = write_report(folder_of(tmp_path, [{"X": GOOD}] * 2), environ=FROZEN)
    assert "LOOK" not in report.read_text()


def test_bars_show_the_shape_and_where_nothing_is_known():
    """The least is the lowest bar, the most the highest, a dot is no value, and equal values are equal bars."""
    assert sparkline([0.0, None, 1.0]) == "▁·█"
    assert sparkline([2.0, 2.0]) == "▄▄"
    assert sparkline([None, None]) == "··"
