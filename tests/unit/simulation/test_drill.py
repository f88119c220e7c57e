"""Drills on a shipped configuration: something is drilled, and a strategy that never orders is told so."""

from pathlib import Path

import pytest

from mmbot.config import BacktestConfig, ConfigError, load
from mmbot.simulation.cast import Cast
from mmbot.simulation.drill import DRILLS, cast_of, drill
from mmbot.simulation.faults import KINDS
from mmbot.strategy import Strategy, Wake

PAPER = Path(__file__).parents[3] / "configs" / "paper.toml"


class Silent(Strategy):
    """Wants nothing."""

    wake = Wake(every_ms=1_000.0)

    def decide(self, view):
        """Say nothing."""
        return None


def test_every_drill_is_made_of_known_faults():
    """A drill names what goes wrong by the names of the catalogue, inside the storm."""
    for _, plan in DRILLS.values():
        assert plan
        assert all(fault.kind in KINDS and fault.at_ms < 480_000 for fault in plan)


def test_a_shipped_configuration_survives_a_kill_in_the_middle_of_a_replace():
    """The engine is really killed there, and nothing is orphaned."""
    cast = cast_of(load(PAPER, BacktestConfig))
    [drilled] = drill(cast, ["kill-mid-replace"], seeds=1)
    assert drilled.outcomes[0].marks["killed at replace"] > 0
    assert drilled.passed, drilled.outcomes[0].violation


def test_a_strategy_that_never_orders_is_not_drilled():
    """A drill without orders is no pass, and says why."""
    cast = Cast(roles=cast_of(load(PAPER, BacktestConfig)).roles, strategy=lambda _: Silent())
    [drilled] = drill(cast, ["deaf"], seeds=1)
    assert (drilled.passed, drilled.idle) == (False, "the strategy never ordered")


def test_the_controls_are_the_configured_ones():
    """What the venue does not answer stops the run after as many requests as `[risk]` says, or never."""
    config = load(PAPER, BacktestConfig)
    frozen = {}
    for times in (3, 0):
        risk = config.risk.model_copy(update={"unknowns_in_a_row": times})
        [drilled] = drill(cast_of(config.model_copy(update={"risk": risk})), ["answers-lost"], seeds=1)
        assert drilled.passed, drilled.outcomes[0].violation
        frozen[times] = [each for each in drilled.frozen if each.startswith("unknowns_in_a_row")]
    assert frozen[3]
    assert not frozen[0]


def test_a_guardian_watches():
    """It takes out what a stopped engine left."""
    [drilled] = drill(cast_of(load(PAPER, BacktestConfig)), ["stopped"], seeds=1)
    assert drilled.outcomes[0].marks["guardian judged: engine gone"] > 0
    assert drilled.passed, drilled.outcomes[0].violation


def test_what_the_model_does_not_have_is_refused():
    """An instrument that is not linear is an error that says so."""
    config = load(PAPER, BacktestConfig)
    spot = config.model_copy(
        update={"instruments": [config.instruments[0].model_copy(update={"symbol": "BTCUSDT", "category": "spot"})]}
    )
    with pytest.raises(ConfigError, match="drills know linear"):
        cast_of(spot)
