"""Five checks, each with a reason of its own."""

import math

import pytest

from mmbot.risk import BrokerLimits, FiveLevelRisk

DAY = 86_400_000_000_000


def account(**positions: float) -> FiveLevelRisk:
    """At 10 dollars each."""
    made = FiveLevelRisk()
    for symbol in [*positions, "NEW"]:
        made.price(symbol, 10.0)
    for symbol, size in positions.items():
        made.position(symbol, size)
    return made


def test_each_level_has_its_own_reason_and_counter() -> None:
    """At the limit it passes, beyond it does not."""
    assert account().check("NEW", "buy", 500, 10.0, DAY) == ()
    assert account().check("NEW", "buy", 501, 10.0, DAY) == ("order_size",)
    assert account(NEW=600).check("NEW", "buy", 400, 10.0, DAY) == ()
    assert account(NEW=600).check("NEW", "buy", 401, 10.0, DAY) == ("position_size",)
    assert account(A=1_000, B=1_000).check("NEW", "buy", 500, 60.0, DAY) == ()
    assert account(A=1_000, B=1_000).check("NEW", "buy", 500, 60.01, DAY) == ("exposure",)
    five = account(A=1, B=1, C=1, D=1, E=1)
    assert five.check("A", "buy", 1, 10.0, DAY) == ()
    assert five.check("NEW", "buy", 1, 10.0, DAY) == ("open_positions",)
    assert five.counters == {"open_positions": 1}


def test_a_day_s_loss_stops_until_the_next_day_or_a_person() -> None:
    """4,999.99 does not, 5,000 does, a gain never; exits pass."""
    made = account(A=5)
    made.result(-4_999.99, DAY)
    assert made.check("A", "buy", 1, 10.0, DAY) == ()
    made.result(-0.01, DAY)
    assert made.check("A", "buy", 1, 10.0, DAY) == ("daily_loss",)
    assert made.check("A", "sell", 5, 10.0, DAY) == ()
    made.result(9_000, DAY)
    assert made.check("A", "buy", 1, 10.0, DAY) == ("daily_loss",), "latched"
    assert made.check("A", "buy", 1, 10.0, 2 * DAY) == ()
    made.result(math.nan, 2 * DAY)
    assert made.check("A", "buy", 1, 10.0, 2 * DAY) == ("daily_loss",)
    made.reset("Ada")
    assert made.check("A", "buy", 1, 10.0, 2 * DAY) == ()


def test_a_market_order_is_priced_and_a_sell_that_shrinks_adds_nothing() -> None:
    """Neither is worth 0."""
    made = account(A=1_000, B=1_000)
    assert made.check("NEW", "buy", 100, None, DAY) == ()
    assert made.check("OTHER", "buy", 1, None, DAY) == ("no_price",)
    assert made.check("A", "sell", 500, 10.0, DAY) == ()
    made.position("C", 1)
    assert made.check("A", "buy", 1, 10.0, DAY) == ("position_size", "exposure"), "C has no price"


def test_bad_limits_do_not_start() -> None:
    """Positive and consistent."""
    with pytest.raises(ValueError, match="above zero"):
        BrokerLimits(daily_loss=0.0)
    with pytest.raises(ValueError, match="at most that"):
        BrokerLimits(order=2_000.0)
