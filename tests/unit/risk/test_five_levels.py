"""Five checks: what the tables of tests/spec/pre_trade.md do not say."""

import json
import logging
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from mmbot.risk import BrokerLimits, FiveLevelRisk, RuntimeRiskMonitor
from mmbot.risk.exposure import number

DAY = 86_400_000_000_000
MINUTE = 60_000_000_000


def account(**positions: float) -> FiveLevelRisk:
    """At 10 dollars each."""
    made = FiveLevelRisk()
    for symbol in [*positions, "NEW"]:
        made.price(symbol, 10.0, DAY)
    for symbol, size in positions.items():
        made.position(symbol, size)
    return made


@pytest.mark.parametrize(
    ("said", "known"),
    [
        (2, 2.0),
        (2.5, 2.5),
        (Decimal("2.5"), 2.5),
        (Fraction(5, 2), 2.5),
        (np.float64(2.5), 2.5),
        (np.float32(2.5), 2.5),
        (np.int64(2), 2.0),
        *(
            (said, None)
            for said in (
                math.nan,
                math.inf,
                -math.inf,
                Decimal("NaN"),
                Decimal("sNaN"),
                Decimal("Infinity"),
                Decimal("1e999"),
                np.float64("inf"),
                np.float32("nan"),
                10**400,
                True,
                np.bool_(True),
                "2.5",
                b"2",
                None,
                2 + 0j,
                [2.5],
            )
        ),
    ],
    ids=repr,
)
def test_a_number_is_finite_whatever_its_type(said: Any, known: float | None) -> None:
    """Everything else is not known, and denies an order as its size, its price, a position or a working order."""
    value = number(said)
    assert (value == known) if known is not None else math.isnan(value)
    assert bool(account().check("NEW", "buy", said, 10.0, DAY)) is (known is None)
    monitor = RuntimeRiskMonitor()
    monitor.mark("NEW", 2.4)
    assert monitor.check_before_order("NEW", "buy", 1.0, said) is (known is not None and known < 2.4 * 1.03)
    for spoiled in (account(NEW=said), account()):
        spoiled.working("1", "NEW", "buy", said, 10.0)
        assert bool(spoiled.check("NEW", "buy", 1, 10.0, DAY)) is (known is None)


def test_a_price_lives_for_a_minute() -> None:
    """Older, or from the future, it is none; another day's says nothing of what is held."""
    made = account(A=1)
    assert made.check("A", "buy", 1, 10.0, DAY + MINUTE) == ()
    assert made.check("A", "buy", 1, 10.0, DAY + MINUTE + 1) == ("no_price", "exposure")
    assert made.check("A", "buy", 1, 10.0, DAY - 1) == ("no_price", "exposure")
    made.price("NEW", 10.0, DAY + 2 * MINUTE)
    assert made.check("NEW", "buy", 1, 10.0, DAY + 2 * MINUTE) == ("exposure",), "A is held, and its price is old"


def test_exposure_is_positions_times_prices() -> None:
    """Longs and shorts add up, and an order that works is a part of it until it is done."""
    made = account(A=3, B=-2)
    assert made.exposure(DAY) == pytest.approx(50.0)
    made.working("1", "A", "buy", 4, 11.0)
    assert made.exposure(DAY) == pytest.approx(94.0)
    made.working("1", "A", "buy", 1, 11.0)
    made.working("2", "C", "sell", 1, 10.0)
    assert math.isnan(made.exposure(DAY))
    made.done("1")
    made.done("2")
    made.done("2")
    assert made.exposure(DAY) == pytest.approx(50.0)


def test_a_person_closes_the_breaker_by_name(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; nobody closes nothing."""
    made = account()
    made.result(-5_000, DAY)
    assert made.check("NEW", "buy", 1, 10.0, DAY) == ("daily_loss",)
    with pytest.raises(ValueError, match="who"):
        made.reset("  ")
    with caplog.at_level(logging.WARNING):
        made.reset("Ada")
    assert "closed by Ada" in caplog.text
    assert made.check("NEW", "buy", 1, 10.0, DAY) == ()
    assert made.metrics()["daily_loss"] == 1


def test_without_a_breaker_a_loss_that_was_won_back_lets_orders_out() -> None:
    """It denies only while the day is so far down."""
    made = FiveLevelRisk(BrokerLimits(circuit_breaker=False))
    made.price("NEW", 10.0, DAY)
    made.result(-5_000, DAY)
    assert made.check("NEW", "buy", 1, 10.0, DAY) == ("daily_loss",)
    made.result(0.01, DAY)
    assert made.check("NEW", "buy", 1, 10.0, DAY) == ()


def test_the_day_survives_a_restart() -> None:
    """What was lost before counts after it, and so does a breaker that is open."""
    made = account()
    made.result(-4_000, DAY)
    again = account()
    again.restore(json.loads(json.dumps(made.state())))
    again.result(-1_000, DAY + 1)
    third = account()
    third.restore(json.loads(json.dumps(again.state())))
    assert third.check("NEW", "buy", 1, 10.0, DAY) == ("daily_loss",)
    sound = third.state()
    spoiled: list[dict[str, Any]] = [{}, {"version": 2}]
    spoiled += [{**sound, "result": said} for said in (math.nan, math.inf, "inf", "0", None, True, 10**400)]
    spoiled += [{**sound, "day": said} for said in ("x", 1e30, math.nan, True)]
    spoiled += [{**sound, "tripped": said} for said in ("false", 0, None)]
    for state in spoiled:
        with pytest.raises(ValueError, match="cannot be read"):
            third.restore(state)
        assert third.state() == sound, "and nothing of it is taken"


def test_results_that_no_number_holds_reach_the_limit() -> None:
    """A sum that overflows would cover every loss."""
    made = account()
    made.result(1e308, DAY)
    made.result(1e308, DAY)
    assert made.tripped
    made.result(-1e308, DAY + 1)
    assert made.check("NEW", "buy", 1, 10.0, DAY) == ("daily_loss",)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"daily_loss": 0.0}, "above zero"),
        ({"position": math.inf}, "finite"),
        ({"exposure": math.nan}, "finite"),
        ({"positions": 2.5}, "whole"),
        ({"order": True}, "finite"),
        ({"collar_pct": -1.0}, "above zero"),
        ({"order": 2_000.0}, "at most that"),
    ],
)
def test_bad_limits_do_not_start(limits: dict[str, Any], said: str) -> None:
    """Positive and consistent."""
    with pytest.raises(ValueError, match=said):
        BrokerLimits(**limits)
