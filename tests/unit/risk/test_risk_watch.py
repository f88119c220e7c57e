"""All watches together, over a restart, and what their configuration refuses."""

import json

import pytest
from pydantic import ValidationError

from mmbot.config import RiskConfig
from mmbot.risk import CONTROLS, FreezeLevel, RiskWatch

UNITS, DAY = 10**12, 86_400_000_000_000


def test_day_peak_and_latch_survive_a_restart() -> None:
    """What was lost before counts after it."""
    watch = RiskWatch(RiskConfig(executions_max=2, capital_usd="10000"))
    watch.equity(1_000 * UNITS, 10 * DAY)
    watch.filled("linear BTC", "buy", 10 * DAY)
    assert [one.control for one in watch.filled("linear BTC", "sell", 10 * DAY)] == ["executions"]
    again = RiskWatch(RiskConfig(executions_max=2, capital_usd="10000"))
    again.restore(json.loads(json.dumps(watch.state())))
    assert [one.control for one in again.again(10 * DAY + 1)] == ["executions"]
    assert [one.control for one in again.equity(500 * UNITS, 10 * DAY + 1)] == ["loss_day"]
    assert [one.control for one in again.equity(-500 * UNITS, 11 * DAY)] == ["loss_minute", "loss_hour", "drawdown"][2:]
    again.streaks.enable()
    assert again.again(11 * DAY) == []


@pytest.mark.parametrize("state", [{}, {"version": 2}, {"version": 1, "losses": {}, "streaks": {}}, {"version": 1}])
def test_a_state_that_cannot_be_read_is_refused(state: dict[str, object]) -> None:
    """A loss that is forgotten is no limit."""
    with pytest.raises(ValueError, match="risk state"):
        RiskWatch().restore(state)


def test_equity_that_is_not_known_freezes() -> None:
    """Losses cannot be measured then."""
    assert [one.level for one in RiskWatch().equity(None, 1)] == [FreezeLevel.NO_NEW]


def test_kinds_of_breakers_are_apart() -> None:
    """Each control counts under its own name and one of three kinds."""
    watch = RiskWatch()
    watch.equity(None, 1)
    assert watch.metrics()["equity", "loss"] == 1
    assert {kind for _, kind in watch.metrics()} == {"loss", "infrastructure", "market"}
    assert "api" not in {control.kind for control in CONTROLS.values()}


def test_launch_is_one_switch() -> None:
    """A tenth of every amount, 3 % a day, five positions."""
    plain, launch = RiskConfig(), RiskConfig(launch=True)
    assert launch.amount("max_order_notional_usd") * 10 == plain.amount("max_order_notional_usd")
    assert (plain.daily_loss_pct, launch.daily_loss_pct) == (5.0, 3.0)
    assert (plain.positions, launch.positions) == (20, 5)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"max_order_notional_usd": "0"}, "positive plain decimal"),
        ({"max_order_notional_usd": "-5"}, "positive plain decimal"),
        ({"max_order_notional_usd": 25_000}, "in quotes"),
        ({"max_order_notional_usd": "60000"}, "at most that"),
        ({"cap_order_usd": "1000000.01"}, "no configuration lifts it"),
        ({"loss_day_pct": 2.0}, "at most that"),
        ({"loss_minute_pct": float("nan")}, "finite"),
        ({"max_inventory": "5"}, "did you mean"),
    ],
)
def test_bad_limits_refuse_to_start(claims: dict[str, object], said: str) -> None:
    """Not positive, of the wrong kind, inconsistent, or beyond what is compiled in."""
    with pytest.raises(ValidationError, match=said):
        RiskConfig.model_validate(claims)
