"""The shadow audit: OK with evidence, HOLD without."""

import json
from pathlib import Path

import pytest
from small_market import GOOD, changed, folder_of

from mmbot.ops.audit import Audit, audit_shadow
from mmbot.ops.iterations import IterationError
from mmbot.ops.strictness import Doubts, StrictError

FROZEN = {"MM_FREEZE_UTC": "1"}


def audited(tmp_path: Path, *kpis, doubts: Doubts | None = None) -> Audit:
    """The audit of a run with these iterations."""
    return audit_shadow(folder_of(tmp_path, [{"BTCUSDT": one} for one in kpis]), doubts=doubts, environ=FROZEN)


@pytest.mark.parametrize(
    ("kpi", "ok", "hold"),
    [
        ("maker_taker_ratio", 0.83, 0.829),
        ("net_bps", 2.5, 2.499),
        ("p95_latency_ms", 350.0, 350.001),
        ("risk_ratio", 0.40, 0.401),
    ],
)
def test_each_limit_holds_from_just_beyond_it(tmp_path: Path, kpi: str, ok: float, hold: float):
    """At the limit is OK, beyond it holds, and only that check."""
    assert audited(tmp_path / "ok", *[changed(GOOD, **{kpi: ok})] * 8).verdict == "OK"
    audit = audited(tmp_path / "hold", *[changed(GOOD, **{kpi: hold})] * 8)
    assert audit.verdict == "HOLD"
    assert [one.kpi for one in audit.checks if not one.ok] == [kpi]


def test_the_last_eight_count_by_number(tmp_path: Path):
    """Four bad iterations at the start of twelve are forgotten, although 10 comes before 9 by name."""
    bad = changed(GOOD, net_bps=0.0)
    assert audited(tmp_path / "a", *[bad] * 4, *[GOOD] * 8).verdict == "OK"
    assert audited(tmp_path / "b", *[GOOD] * 8, *[bad] * 5).verdict == "HOLD"


def test_a_kpi_that_nobody_knows_holds(tmp_path: Path):
    """A missing risk is not a risk of zero."""
    audit = audited(tmp_path, *[changed(GOOD, risk_ratio=None)] * 8)
    risk = next(one for one in audit.checks if one.kpi == "risk_ratio")
    assert (audit.verdict, risk.median, risk.known, risk.ok) == ("HOLD", None, 0, False)
    assert "-" in str(audit)


def test_an_iteration_that_does_not_know_a_kpi_does_not_lower_its_median(tmp_path: Path):
    """The median is of those that know it, and the check says how many."""
    audit = audited(tmp_path, *[changed(GOOD, net_bps=None)] * 3, *[GOOD] * 5)
    net = next(one for one in audit.checks if one.kpi == "net_bps")
    assert (audit.verdict, net.known, net.median) == ("OK", 5, 3.2)


def test_fewer_than_eight_are_a_doubt(tmp_path: Path):
    """Noted without --strict, an error with it."""
    assert "6 iterations, and medians of 8 are wanted" in audited(tmp_path / "a", *[GOOD] * 6).notes[0]
    with pytest.raises(StrictError, match="6 iterations"):
        audited(tmp_path / "b", *[GOOD] * 6, doubts=Doubts(strict=True))


def test_the_files_tell_what_was_decided_and_on_what(tmp_path: Path):
    """Summary and snapshot lie below the run; the same run gives the same bytes."""
    audited(tmp_path, *[changed(GOOD, net_bps=float(n)) for n in range(10)])
    where = tmp_path / "reports/analysis"
    summary, snapshot = where / "POST_SHADOW_AUDIT_SUMMARY.json", where / "POST_SHADOW_SNAPSHOT.json"
    assert json.loads(summary.read_text())["verdict"] == "OK"
    said = json.loads(snapshot.read_text())
    assert said["iterations"] == list(range(3, 11))
    assert said["medians"]["net_bps"] == 5.5
    assert said["medians"]["inventory_bps"] is None
    before = summary.read_bytes(), snapshot.read_bytes()
    audit_shadow(tmp_path, environ=FROZEN)
    assert (summary.read_bytes(), snapshot.read_bytes()) == before


def test_no_iterations_are_no_ok(tmp_path: Path):
    """There is nothing to audit in an empty folder."""
    with pytest.raises(IterationError, match="no ITER_SUMMARY"):
        audit_shadow(tmp_path)
