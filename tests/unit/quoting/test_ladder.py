"""Whole-tick quotes that rest: rounded outwards, behind the touch, never crossed."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmbot.quoting import ladder

TOUCH = st.none() | st.integers(900, 1100)


def prices(side: tuple[tuple[int, int], ...]) -> list[int]:
    """Return the ticks of one side, best first."""
    return [price for price, _ in side]


def test_levels_step_away_from_the_fair_price() -> None:
    """Three levels, two ticks apart: 100.07 ∓ 0.05 with ticks of a cent."""
    quotes = ladder(100.07, 0.05, 0.05, levels=3, level_spacing=2, amount=7, tick_size=0.01)
    assert quotes.bids == ((10_002, 7), (10_000, 7), (9_998, 7))
    assert quotes.asks == ((10_012, 7), (10_014, 7), (10_016, 7))


def test_bids_round_down_and_asks_up() -> None:
    """Between two ticks each side takes the one further out; on a tick it stays, float noise or not."""
    quotes = ladder(100.004, 0.05, 0.05, amount=1, tick_size=0.01)
    assert (prices(quotes.bids), prices(quotes.asks)) == ([9_995], [10_006])
    quotes = ladder(0.3, 0.1, 0.1, amount=1, tick_size=0.1)
    assert (prices(quotes.bids), prices(quotes.asks)) == ([2], [4])


def test_post_only_clamps_the_ladder_behind_the_touch() -> None:
    """A bid inside the market stops one tick below the best ask, and its ladder keeps its spacing."""
    quotes = ladder(105.0, 1.0, 1.0, levels=3, amount=1, bid_touch=99, ask_touch=101)
    assert prices(quotes.bids) == [100, 99, 98]
    assert prices(quotes.asks) == [106, 107, 108]
    quotes = ladder(95.0, 1.0, 1.0, levels=2, level_spacing=5, amount=1, bid_touch=99, ask_touch=101)
    assert prices(quotes.bids) == [94, 89]
    assert prices(quotes.asks) == [100, 105]


def test_a_silent_side_has_no_quotes() -> None:
    """An infinite depth, as a model gives at the position limit, leaves its side out."""
    assert ladder(100.0, math.inf, 1.0, amount=1) == ((), ((101, 1),))
    assert ladder(100.0, 1.0, math.inf, amount=1) == (((99, 1),), ())
    assert ladder(100.0, math.inf, math.inf, amount=1) == ((), ())


def test_prices_stay_positive() -> None:
    """Levels at or below zero are left out."""
    assert prices(ladder(3.0, 1.0, 1.0, levels=5, amount=1).bids) == [2, 1]


def test_depths_thinner_than_float_noise_do_not_lock() -> None:
    """Both depths within noise of one tick: the bid yields."""
    quotes = ladder(100.0, 1e-13, 1e-13, amount=1)
    assert (prices(quotes.bids), prices(quotes.asks)) == ([99], [100])


@given(
    fair=st.floats(950.0, 1050.0),
    bid_depth=st.floats(-40.0, 60.0),
    width=st.floats(1e-12, 50.0),
    levels=st.integers(1, 5),
    spacing=st.integers(1, 4),
    bid_touch=TOUCH,
    ask_touch=TOUCH,
)
def test_never_crosses_anything(
    fair: float,
    bid_depth: float,
    width: float,
    levels: int,
    spacing: int,
    bid_touch: int | None,
    ask_touch: int | None,
) -> None:
    """No bid at or above an own ask or the market's, no ask at or below its bid, no price better than asked for."""
    ask_depth = width - bid_depth
    assume(bid_depth + ask_depth > 0.0)
    bids, asks = ladder(
        fair,
        bid_depth,
        ask_depth,
        levels=levels,
        level_spacing=spacing,
        amount=3,
        bid_touch=bid_touch,
        ask_touch=ask_touch,
    )
    assert len(bids) == len(asks) == levels
    assert max(prices(bids)) < min(prices(asks))
    assert ask_touch is None or max(prices(bids)) <= ask_touch - 1
    assert bid_touch is None or min(prices(asks)) >= bid_touch + 1
    assert max(prices(bids)) <= fair - bid_depth + 1e-8
    assert min(prices(asks)) >= fair + ask_depth - 1e-8
    assert prices(bids) == [prices(bids)[0] - step * spacing for step in range(levels)]
    assert prices(asks) == [prices(asks)[0] + step * spacing for step in range(levels)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fair_price": math.nan}, "fair_price is nan"),
        ({"tick_size": 0.0}, "tick_size is 0.0"),
        ({"amount": 0}, "amount is 0; expected a finite number above zero"),
        ({"levels": 0}, "levels is 0"),
        ({"level_spacing": 0}, "level_spacing is 0"),
        ({"bid_depth": math.nan}, "bid_depth is nan and ask_depth 1.0; expected a positive sum"),
        ({"bid_depth": -1.0}, "bid_depth is -1.0 and ask_depth 1.0; expected a positive sum"),
        ({"ask_depth": -math.inf, "bid_depth": math.inf}, "expected a positive sum"),
    ],
)
def test_refuses_parameters_out_of_range(wrong: dict[str, float], message: str) -> None:
    """The refusal names the parameter and its value."""
    with pytest.raises(ValueError, match=message):
        ladder(**({"fair_price": 100.0, "bid_depth": 1.0, "ask_depth": 1.0, "amount": 1} | wrong))
