"""Linear inventory skew."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import Quote, inventory_skew, skew_quote

POSITIONS = st.floats(-20.0, 20.0)


@pytest.mark.parametrize(
    ("position", "shift"), [(0, 0.0), (5, -1.0), (10, -2.0), (40, -2.0), (-5, 1.0), (-10, 2.0), (-40, 2.0)]
)
def test_skew_is_linear_up_to_the_limit(position: float, shift: float) -> None:
    """Half the limit leans by half of the most, and no position leans by more."""
    assert inventory_skew(position, position_limit=10.0, max_skew=2.0) == shift


@given(position=st.floats(0.01, 20.0))
def test_long_inventory_lowers_both_quotes(position: float) -> None:
    """Long: both prices fall by the same amount. Short: both rise by it."""
    quote = Quote(29_999.0, 30_001.0)
    long = skew_quote(quote, position, position_limit=10.0, max_skew_bps=2.0)
    short = skew_quote(quote, -position, position_limit=10.0, max_skew_bps=2.0)
    assert long.bid < quote.bid < short.bid
    assert long.ask < quote.ask < short.ask
    assert long.ask - long.bid == pytest.approx(2.0)
    assert quote.bid - long.bid == pytest.approx(short.bid - quote.bid)


def test_bps_are_of_the_price() -> None:
    """Two bps of 30,000 are 6.0, not 2.0."""
    skewed = skew_quote(Quote(29_999.0, 30_001.0), 10, position_limit=10, max_skew_bps=2.0)
    assert skewed == pytest.approx((29_993.0, 29_995.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"position": math.nan}, "position is nan"),
        ({"position_limit": 0.0}, "position_limit is 0.0; expected a finite number above zero"),
        ({"max_skew": -1.0}, "max_skew is -1.0"),
    ],
)
def test_refuses_parameters_out_of_range(wrong: dict[str, float], message: str) -> None:
    """The refusal names the parameter and its value."""
    with pytest.raises(ValueError, match=message):
        inventory_skew(**({"position": 1.0, "position_limit": 10.0, "max_skew": 2.0} | wrong))


def test_refuses_a_one_sided_quote() -> None:
    """Without both sides there is no centre to take bps of."""
    with pytest.raises(ValueError, match="ask is inf"):
        skew_quote(Quote(29_999.0, math.inf), 1, position_limit=10, max_skew_bps=2.0)
