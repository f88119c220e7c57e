"""The guardian in the world: it takes out what a dead, hung or unheard engine left, and the engine misses it."""

import pytest

from mmbot.simulation.campaign import campaign
from mmbot.simulation.faults import GUARD_KINDS, Fault
from mmbot.simulation.scene import play


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("kill", "guardian judged: engine gone"),
        ("pause", "guardian judged: engine gone"),
        ("pause", "guardian judged: engine woken"),
        ("beats lost", "frozen: guardian_lost"),
        ("guardian killed", "frozen: guardian_lost"),
        ("guardian paused", "frozen: guardian_lost"),
        ("engine lies", "guardian: alarm engine"),
        ("power lost", "quarantined"),
    ],
)
def test_each_fault_is_answered(kind: str, mark: str):
    """One fault of 40 s alone: what has to answer it does, no promise breaks, and trading goes on afterwards."""
    outcome = play(5, profile="guardian", plan=[Fault(kind, 100_000, 40_000, 0.5)])
    assert outcome.violation is None
    assert outcome.marks[mark] > 0
    assert outcome.marks["guardian: watching"] > 0


def test_without_faults_nobody_acts():
    """A healthy engine is believed for ten minutes."""
    outcome = play(5, profile="guardian", plan=[])
    assert outcome.violation is None
    assert not [mark for mark in outcome.marks if mark.startswith(("guardian: alarm", "frozen"))]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_guardians_faults_break_nothing():
    """P8 and all other promises hold over seeds of the profile, each the same twice."""
    report = campaign(range(12), profile="guardian", workers=1)
    assert not report.failures
    assert not report.unequal
    assert {f"fault: {kind}" for kind in GUARD_KINDS} <= set(report.marks)
