"""What is drawn to go wrong: within the storm, and some of it until its end; at times worse than anybody assumes."""

from pathlib import Path

import pytest

from mmbot.simulation.dice import Dice
from mmbot.simulation.faults import KINDS, PROFILES, Fault, PlanError, check_plan, draw_plan
from mmbot.simulation.scene import STORM_S, Scene, play

SECOND = 1_000_000_000


def test_some_faults_last_until_everything_heals():
    """None longer, and most of them shorter."""
    drawn = ((Dice(seed), profile) for seed in range(20) for profile in PROFILES)
    plans = [draw_plan(dice, profile, ["BTCUSDT"], until_ms=STORM_S * 1_000) for dice, profile in drawn]
    ends = [fault.at_ms + fault.for_ms for plan in plans for fault in plan]
    assert max(ends) == STORM_S * 1_000
    assert 0.02 < ends.count(STORM_S * 1_000) / len(ends) < 0.3


def test_a_venue_may_lag_more_than_a_run_assumes(tmp_path: Path):
    """At size one by more than twice V; at half of it by less than V."""
    for size, least, most in ((0.5, 0.5, 1.0), (1.0, 4.0, 5.0)):
        scene = Scene(0, tmp_path / f"{size}", plan=[Fault("venue lag", 1_000, 5_000, size)], profile="quiet")
        scene._strike(scene.plan[0])
        assert least * SECOND <= scene.venue.lag <= most * SECOND


def test_later_than_assumed_costs_no_order_its_life():
    """Requests without answers while nothing shows them in time: doubt, and no false verdict."""
    faults = [("venue lag", 1.0), ("private late", 1.0), ("answers lost", 0.6), ("requests late", 0.4)]
    plan = [
        Fault(kind, at_s * 1_000, 60_000, size, number)
        for number, (at_s, (kind, size)) in enumerate((at_s, each) for at_s in (40, 160, 280) for each in faults)
    ]
    outcome = play(3, plan=plan, profile="network")
    assert outcome.violation is None
    assert outcome.marks["shown later than assumed"] == 3


@pytest.mark.parametrize("symbol", ["ETHUSDT", ""])
def test_a_fault_of_an_instrument_that_is_not_traded_is_no_plan(symbol: str):
    """It is named, with what is traded: a case of another configuration, say."""
    [kind, *_] = [name for name, one in KINDS.items() if one.of_symbol]
    fault = Fault(kind=kind, at_ms=5, for_ms=10, size=0.5, symbol=symbol, number=1)
    with pytest.raises(PlanError, match="this world trades BTCUSDT"):
        check_plan([fault], ["BTCUSDT"])
    check_plan([Fault(kind=kind, at_ms=5, for_ms=10, size=0.5, symbol="BTCUSDT", number=1)], ["BTCUSDT"])
