"""The directional clamp: safe side first, cap always, sign never turned."""

import math
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot.quoting import clamp_bps
from mmbot.quoting.rounding import ceil_ticks, floor_ticks

DELTAS = st.floats(-10.0, 10.0)
LIMITS = st.floats(0.1, 5.0)
SIDES = st.sampled_from(["bid", "ask"])
NOISE = 1e-10


@pytest.mark.parametrize(
    ("delta", "limit", "side", "clamped"),
    [
        (0.9999999, 1.0, "bid", 0.99),
        (0.9999999, 1.0, "ask", 1.00),
        (5.0, 0.333, "ask", 0.333),
        (5.0, 0.333, "bid", 0.333),
        (-5.0, 0.333, "bid", -0.333),
        (-0.5, 1.0, "bid", -0.5),
        (-0.5, 1.0, "ask", -0.5),
        (-0.001, 1.0, "bid", -0.01),
        (-0.001, 1.0, "ask", 0.0),
        (0.001, 1.0, "bid", 0.0),
        (0.001, 1.0, "ask", 0.01),
        (0.29, 1.0, "bid", 0.29),
        (0.57, 1.0, "bid", 0.57),
        (0.1 + 0.2, 1.0, "ask", 0.3),
        (0.3, 0.0, "ask", 0.0),
        (1e308, 2.0, "ask", 2.0),
        (-1.7e308, 2.0, "bid", -2.0),
    ],
)
def test_clamp_directional_rounding(delta: float, limit: float, side: str, clamped: float) -> None:
    """Bids round down and asks up on the grid of 0.01 bps, then the cap holds; float noise is not a step."""
    assert clamp_bps(delta, limit, side) == clamped


@settings(max_examples=1000)
@given(delta=DELTAS, limit=LIMITS, side=SIDES)
def test_clamp_never_exceeds_max(delta: float, limit: float, side: str) -> None:
    """The move is a number, within the limit, and never against the sign it came with."""
    clamped = clamp_bps(delta, limit, side)
    assert abs(clamped) <= limit
    assert clamped * delta >= 0.0


@settings(max_examples=1000)
@given(delta=DELTAS, limit=LIMITS)
def test_clamp_errs_on_the_safe_side(delta: float, limit: float) -> None:
    """Within the limit a bid moves no higher and an ask no lower than asked, by less than one grid step."""
    capped = min(max(delta, -limit), limit)
    bid, ask = clamp_bps(delta, limit, "bid"), clamp_bps(delta, limit, "ask")
    assert bid <= capped + NOISE
    assert ask >= capped - NOISE
    assert abs(bid - capped) < 0.01 + NOISE
    assert abs(ask - capped) < 0.01 + NOISE


@settings(max_examples=1000)
@given(delta=DELTAS, limit=LIMITS, side=SIDES)
def test_clamp_is_on_the_grid_or_at_the_cap(delta: float, limit: float, side: str) -> None:
    """There is nothing in between."""
    clamped = clamp_bps(delta, limit, side)
    assert abs(clamped) == limit or clamped == round(clamped * 100) / 100


@given(delta=DELTAS, limit=LIMITS)
def test_buying_and_selling_are_mirror_images(delta: float, limit: float) -> None:
    """Rounding a bid down is rounding the mirrored ask up."""
    assert clamp_bps(delta, limit, "bid") == -clamp_bps(-delta, limit, "ask")


def test_clamp_takes_the_sides_of_the_alphabet() -> None:
    """Buy is the bid and Sell the ask, as a word or as an enumeration."""
    side = Enum("side", ["Buy", "Sell"])
    assert [clamp_bps(0.999, 2.0, s) for s in (side.Buy, "buy", "Side.BUY", "BID")] == [0.99] * 4
    assert [clamp_bps(0.999, 2.0, s) for s in (side.Sell, "sell", "Side.SELL", "ASK")] == [1.0] * 4


@pytest.mark.parametrize(
    ("delta", "limit", "side", "message"),
    [
        (math.nan, 1.0, "bid", "delta_bps is nan; expected a finite number"),
        (math.inf, 1.0, "bid", "delta_bps is inf"),
        (-math.inf, 1.0, "ask", "delta_bps is -inf"),
        (0.5, math.nan, "bid", "max_delta_bps is nan"),
        (0.5, math.inf, "bid", "max_delta_bps is inf"),
        (0.5, -1.0, "bid", "max_delta_bps is -1.0; expected a finite number, zero or above"),
        (0.5, 1.0, "both", "side is 'both'; expected 'bid', 'ask' or a Side"),
        (0.5, 1.0, None, "side is None"),
    ],
)
def test_clamp_refuses(delta: float, limit: float, side: object, message: str) -> None:
    """What is no number, no limit or no side is refused by name."""
    with pytest.raises(ValueError, match=message):
        clamp_bps(delta, limit, side)


@given(ticks=st.integers(-(10**9), 10**9), tick_size=st.sampled_from([0.01, 0.1, 0.5, 1e-5, 2.5]))
def test_a_price_on_a_tick_stays_on_it(ticks: int, tick_size: float) -> None:
    """Ticks to price and back is the identity on both sides, whatever the floats do in between."""
    there_and_back = ticks * tick_size / tick_size
    assert floor_ticks(there_and_back) == ticks == ceil_ticks(there_and_back)


@given(ticks=st.floats(-1e6, 1e6))
def test_ticks_round_outwards(ticks: float) -> None:
    """The floor is never above, the ceiling never below, and they are at most one tick apart."""
    assert floor_ticks(ticks) <= ticks + 1e-8
    assert ceil_ticks(ticks) >= ticks - 1e-8
    assert 0 <= ceil_ticks(ticks) - floor_ticks(ticks) <= 1
