"""L1: what nothing in the plan explains is no reason to stop."""

from pathlib import Path

import pytest

from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.simulation.faults import KINDS, Fault
from mmbot.simulation.reasons import REASONS
from mmbot.simulation.scene import Scene, play

BTC = Scope("symbol", "linear BTCUSDT")


def quiet(folder: Path) -> Scene:
    """A scene in which nothing was planned, at its beginning."""
    return Scene(0, folder, plan=[], profile="quiet")


def test_the_table_names_faults_that_there_are():
    """A reason that can never strike would excuse nothing."""
    assert frozenset().union(*REASONS.values()) <= set(KINDS)


def test_a_freeze_needs_a_fault_that_its_control_sees(tmp_path: Path):
    """The same freeze is a breach before the fault, and none after it."""
    before, after = quiet(tmp_path / "a"), quiet(tmp_path / "b")
    after.stops.reasons.struck(Fault("foreign order", 0, 0, 0.0))
    for scene in (before, after):
        scene.stops.reasons.froze("foreign_order", BTC, FreezeLevel.NO_NEW, "seen")
    assert before.checks.violation is not None
    assert before.checks.violation.promise == "L1"
    assert after.checks.violation is None


def test_a_person_answers_for_what_a_person_wanted(tmp_path: Path):
    """Not for a higher level, nor for another scope."""
    for number, (level, scope, good) in enumerate(
        [(FreezeLevel.NO_NEW, BTC, True), (FreezeLevel.CANCEL_ALL, BTC, False), (FreezeLevel.NO_NEW, FIRM, False)]
    ):
        scene = quiet(tmp_path / f"{number}")
        scene.stops.reasons.wanted(BTC, FreezeLevel.NO_NEW)
        scene.stops.reasons.froze("operator", scope, level, "by hand")
        assert (scene.checks.violation is None) is good


@pytest.mark.parametrize("profile", ["quiet", "guardian"])
@pytest.mark.parametrize("seed", [2, 17, 30])
def test_where_nothing_goes_wrong_nothing_stops(profile: str, seed: int):
    """A healthy engine is neither frozen nor given up: its orders are counted as the venue may show them."""
    outcome = play(seed, profile=profile, plan=[])
    assert outcome.violation is None
    assert not [mark for mark in outcome.marks if mark.startswith(("stopped: NO", "guardian: alarm", "frozen"))]
