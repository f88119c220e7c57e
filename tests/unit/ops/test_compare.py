"""The accuracy gate: what passes, what fails, and what cannot be said."""

import json
from pathlib import Path

import pytest
from small_market import GOOD, UTC, changed, folder_of

from mmbot.ops.compare import Comparison, compare, percent_error
from mmbot.ops.iterations import IterationError
from mmbot.ops.kpis import Kpis
from mmbot.ops.thresholds import ACCURACY, AccuracyLimits

NOW = {"MM_FREEZE_UTC_ISO": UTC}


def varied(index: int, **factors: float) -> Kpis:
    """The good iteration, a little different in each window, with some KPIs multiplied."""
    values = {
        "edge_bps": 3.0 + index % 5,
        "maker_taker_ratio": 0.80 + index % 4 / 100,
        "p95_latency_ms": 100.0 + index,
        "risk_ratio": 0.2 + index % 3 / 10,
    }
    return changed(GOOD, **{name: value * factors.get(name, 1.0) for name, value in values.items()})


def compared(
    tmp_path: Path, a: list[dict[str, Kpis]], b: list[dict[str, Kpis]], *, now=UTC, written=(UTC, UTC), **limits
) -> Comparison:
    """Compare two folders of these windows."""
    first = folder_of(tmp_path / "a", a, utc=written[0])
    second = folder_of(tmp_path / "b", b, utc=written[1])
    return compare(first, second, limits=AccuracyLimits(**limits), environ={"MM_FREEZE_UTC_ISO": now})


def windows(count: int = 24, **factors: float) -> list[dict[str, Kpis]]:
    """So many windows of one symbol."""
    return [{"BTCUSDT": varied(index, **factors)} for index in range(count)]


@pytest.mark.parametrize(
    ("a", "b", "error"),
    [
        (100.0, 100.0, 0.0),
        (100.0, 120.0, 20.0),
        (120.0, 100.0, 100 * 20 / 120),
        (-4.0, -5.0, 25.0),
        (-1.0, 1.0, 200.0),
        (0.0, 0.0, 0.0),
        (0.0, 0.001, 100.0),
        (5.0, 0.0, 100.0),
        (None, 5.0, 100.0),
        (5.0, None, 100.0),
        (None, 0.0, 100.0),
        (None, None, None),
    ],
)
def test_errors_are_per_cent_of_a_and_zero_and_missing_are_not_the_same(a, b, error):
    """Fifteen per cent is 15, not 0.15; a number on one side only is all wrong, and none on both is no window."""
    assert percent_error(a, b) == (None if error is None else pytest.approx(error))


def test_identical_feeds_pass(tmp_path: Path):
    """The same windows: no error anywhere, and every KPI passes."""
    found = compared(tmp_path, windows(), windows())
    assert (found.verdict, found.reasons, found.windows) == ("PASS", (), 24)
    assert {(one.mape_pct, one.median_difference) for one in found.kpis} == {(0.0, 0.0)}
    assert [one.kpi for one in found.kpis] == ["edge_bps", "maker_taker_ratio", "p95_latency_ms", "risk_ratio"]


@pytest.mark.parametrize("kpi", ["edge_bps", "maker_taker_ratio", "p95_latency_ms", "risk_ratio"])
def test_a_bias_of_twenty_per_cent_fails_and_ten_passes(tmp_path: Path, kpi: str):
    """In any one KPI, in either direction; the reason names the symbol, the KPI and the error."""
    found = compared(tmp_path, windows(), windows(**{kpi: 1.2}))
    assert found.verdict == "FAIL"
    assert found.reasons == (f"BTCUSDT {kpi}: mean absolute error 20.00 % is more than 15 %",)
    assert compared(tmp_path, windows(), windows(**{kpi: 0.8})).verdict == "FAIL"
    assert compared(tmp_path, windows(), windows(**{kpi: 1.1})).verdict == "PASS"


@pytest.mark.parametrize(("factor", "verdict"), [(1.1499, "PASS"), (1.1501, "FAIL")])
def test_the_limit_is_fifteen_per_cent(tmp_path: Path, factor: float, verdict: str):
    """Just below passes, just above fails: the limit and the error are in the same unit."""
    assert ACCURACY.mape_pct_max == 15.0
    assert compared(tmp_path, windows(), windows(risk_ratio=factor)).verdict == verdict


def test_a_median_difference_in_bps_fails_although_the_error_is_small(tmp_path: Path):
    """Two bps on an edge of twenty are ten per cent, and still too much."""
    a = [{"BTCUSDT": changed(GOOD, edge_bps=20.0)}] * 24
    b = [{"BTCUSDT": changed(GOOD, edge_bps=22.0)}] * 24
    found = compared(tmp_path, a, b)
    assert found.verdict == "FAIL"
    assert found.reasons == ("BTCUSDT edge_bps: median difference +2.00 bps is more than 1.5 bps",)


def test_the_median_difference_judges_bps_only(tmp_path: Path):
    """Ten milliseconds more on a hundred are ten per cent, and no question of basis points."""
    found = compared(tmp_path, windows(), windows(p95_latency_ms=1.1))
    assert found.verdict == "PASS"
    assert next(one for one in found.kpis if one.kpi == "p95_latency_ms").median_difference > 1.5


def test_too_few_windows_warn(tmp_path: Path):
    """Twenty-three identical windows are no proof."""
    found = compared(tmp_path, windows(23), windows(23))
    assert found.verdict == "WARN"
    assert found.reasons == ("23 windows are too few, at least 24 are needed; run more or shorter iterations",)


def test_windows_that_one_run_lacks_are_no_pairs(tmp_path: Path):
    """Thirty against twenty are twenty pairs."""
    assert compared(tmp_path, windows(30), windows(20)).windows == 20


def test_files_of_long_ago_warn(tmp_path: Path):
    """Ninety minutes are allowed, ninety-one are not, and the future is a wrong clock; either run may be old."""
    same = windows()
    assert compared(tmp_path, same, same, now="2026-11-27T13:30:00Z").verdict == "PASS"
    found = compared(tmp_path, same, same, now="2026-11-27T13:31:00Z")
    assert found.verdict == "WARN"
    assert all("written 91 minutes ago, more than 90; run it again" in reason for reason in found.reasons)
    assert compared(tmp_path, same, same, written=("2026-11-27T10:00:00Z", UTC)).verdict == "WARN"
    assert "one of the clocks is wrong" in compared(tmp_path, same, same, now="2026-11-27T11:00:00Z").reasons[0]


def test_disagreement_outweighs_doubt(tmp_path: Path):
    """Three old windows with a bias of half: what is seen is wrong, however little it is."""
    found = compared(tmp_path, windows(3), windows(3, edge_bps=1.5), now="2027-01-01T00:00:00Z")
    assert found.verdict == "FAIL"
    assert len(found.reasons) == 4


def test_a_run_that_never_traded_does_not_agree_with_one_that_did(tmp_path: Path):
    """Its edge is missing, not zero and not equal: every window is wrong."""
    idle = [{"BTCUSDT": changed(GOOD, edge_bps=None, maker_taker_ratio=None)}] * 24
    found = compared(tmp_path, windows(), idle)
    edge = found.kpis[0]
    assert (found.verdict, edge.verdict, edge.mape_pct, edge.one_sided, edge.median_difference) == (
        "FAIL", "FAIL", 100.0, 24, None,
    )  # fmt: skip


def test_windows_in_which_neither_traded_say_nothing(tmp_path: Path):
    """They count as windows and not as agreement on an edge; a KPI that no window knows is a doubt."""
    quiet = {"BTCUSDT": changed(GOOD, edge_bps=None)}
    found = compared(tmp_path, [*windows(20), *[quiet] * 4], [*windows(20), *[quiet] * 4])
    assert (found.verdict, found.windows, found.kpis[0].windows) == ("PASS", 24, 20)
    found = compared(tmp_path, [quiet] * 24, [quiet] * 24)
    assert found.verdict == "WARN"
    assert found.reasons == ("BTCUSDT edge_bps: known in no window of either run",)


def test_a_symbol_that_one_run_lacks_fails(tmp_path: Path):
    """What is not there does not agree with what is."""
    both = [{**one, "ETHUSDT": GOOD} for one in windows()]
    found = compared(tmp_path, both, windows())
    assert found.verdict == "FAIL"
    assert {one.symbol for one in found.kpis if one.verdict == "FAIL"} == {"ETHUSDT"}


def test_windows_of_different_times_are_left_out(tmp_path: Path):
    """Same numbers, other hours: the market was another, so there is nothing to compare."""
    first = folder_of(tmp_path / "a", windows(), utc=UTC)
    second = folder_of(tmp_path / "b", windows(), utc=UTC, seconds=600)
    found = compare(first, second, environ=NOW)
    assert (found.verdict, found.windows) == ("WARN", 1)
    assert "23 windows of the same number tell of different times and were left out" in found.reasons


def test_files_without_symbols_are_compared_as_a_whole(tmp_path: Path):
    """Iterations of another tool may have the KPIs of all together only, and no time of writing."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(1, 25):
            text = {"iteration": number, "summary": {"edge_bps": 3.0, "risk_ratio": 0.1, "p95_latency_ms": 9}}
            (tmp_path / name / f"ITER_SUMMARY_{number}.json").write_text(json.dumps(text))
    found = compare(tmp_path / "a", tmp_path / "b", environ=NOW)
    assert found.verdict == "WARN"
    assert {one.symbol for one in found.kpis} == {"total"}
    assert any("do not say when they were written" in reason for reason in found.reasons)


def test_the_report_and_the_summary_say_the_same(tmp_path: Path):
    """Both have the verdict, the reasons and every KPI; the same comparison gives the same bytes."""
    found = compared(tmp_path, windows(), windows(edge_bps=1.2))
    report, summary = found.write(tmp_path / "out", environ=NOW)
    said = json.loads(summary.read_text())
    assert (said["verdict"], said["schema"], said["limits"]["mape_pct_max"]) == ("FAIL", "mmbot/accuracy-summary/1", 15)
    assert said["kpis"][0]["mape_pct"] == 20.0
    text = report.read_text()
    assert text.startswith("# Accuracy: FAIL\n")
    assert "| BTCUSDT | edge_bps | 24 | 0 | 20.00 |" in text
    assert "20.00 % is more than 15 %" in str(found)
    before = summary.read_bytes()
    found.write(tmp_path / "out", environ=NOW)
    assert summary.read_bytes() == before


def test_a_time_that_is_none_is_an_error(tmp_path: Path):
    """A file that says it was written "soon" cannot be judged."""
    with pytest.raises(IterationError, match="'soon' is no ISO 8601 time"):
        compared(tmp_path, windows(), windows(), written=("soon", UTC))
