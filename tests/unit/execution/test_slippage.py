"""Walking the book against an obvious twin, and the square-root law against its published numbers."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import estimate, square_root_impact

BIDS = [(99.98, 5.0)]
ASKS = [(100.00, 3.0), (100.01, 5.0), (100.03, 10.0), (100.10, 50.0)]
LEVELS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=6)


def book(steps: list[tuple[int, int]], outward: int) -> list[tuple[float, float]]:
    """Levels from (distance to the one before, quantity), from a mid of 1,000 outward."""
    price, levels = 1000, []
    for distance, quantity in steps:
        price += outward * distance
        levels.append((float(price), float(quantity)))
    return levels


@given(st.sampled_from(["buy", "sell"]), st.integers(1, 60), LEVELS, LEVELS)
def test_the_walk_agrees_with_buying_one_by_one(side, quantity, below, above) -> None:
    """Each unit takes the best price that is left; average, worst price and what is left over are the same."""
    bids, asks = book(below, -1), book(above, 1)
    units = [price for price, displayed in (asks if side == "buy" else bids) for _ in range(int(displayed))][:quantity]
    found = estimate(side, float(quantity), bids, asks)
    average, mid = sum(map(Fraction, units)) / len(units), Fraction(bids[0][0] + asks[0][0]) / 2
    assert found.average_price == pytest.approx(float(average))
    assert found.worst_price == units[-1]
    assert (found.filled, found.unfilled) == (len(units), quantity - len(units))
    assert found.slippage_bps == pytest.approx(float(abs(average - mid) / mid * 10_000))


@given(LEVELS, LEVELS, st.integers(1, 40), st.integers(1, 40))
def test_a_larger_order_never_pays_less(below, above, some, more) -> None:
    """Cost and unfilled quantity grow with the quantity, and no fill beats half the spread."""
    bids, asks = book(below, -1), book(above, 1)
    small, large = (estimate("buy", float(quantity), bids, asks) for quantity in sorted((some, more)))
    assert large.slippage_bps >= small.slippage_bps - 1e-9
    assert large.unfilled >= small.unfilled
    assert small.slippage_bps >= (asks[0][0] - small.mid) / small.mid * 1e4 - 1e-9


@given(LEVELS, LEVELS, st.integers(1, 40))
def test_buying_and_selling_are_mirror_images(below, above, quantity) -> None:
    """In the book turned around its mid, a sell costs per unit what the buy did."""
    bids, asks = book(below, -1), book(above, 1)
    mirrored = estimate("sell", float(quantity), book(above, -1), book(below, 1))
    bought = estimate("buy", float(quantity), bids, asks)
    assert mirrored.unfilled == bought.unfilled
    assert 1000 - mirrored.average_price == pytest.approx(bought.average_price - 1000)


def test_an_empty_side_fills_nothing_and_prices_nothing() -> None:
    """Nobody sells: all is unfilled, and no number pretends to know a price."""
    found = estimate("buy", 2.0, BIDS, [])
    assert (found.filled, found.unfilled, found.complete) == (0.0, 2.0, False)
    assert (found.average_price, found.worst_price, found.mid, found.slippage_bps) == (None, None, None, None)
    assert not found.within(math.inf)


def test_without_the_other_side_there_is_a_price_and_no_slippage() -> None:
    """The mid is not known, so neither is a cost against it; zero would be a lie."""
    found = estimate("buy", 3.0, [], ASKS)
    assert (found.average_price, found.complete, found.slippage_bps) == (100.0, True, None)
    assert not found.within(50.0)


def test_a_cap_includes_itself_and_excludes_what_is_not_displayed() -> None:
    """50 bps pass a cap of 50, 50.1 do not, and neither does a cheap order that the book cannot fill."""
    assert estimate("buy", 1.0, [(99.5, 1.0)], [(100.5, 1.0)]).slippage_bps == 50.0
    assert estimate("buy", 1.0, [(99.5, 1.0)], [(100.5, 1.0)]).within(50.0)
    assert not estimate("sell", 1.0, [(99.499, 1.0)], [(100.501, 1.0)]).within(50.0)
    assert not estimate("buy", 2.0, [(99.5, 1.0)], [(100.5, 1.0)]).within(50.0)


def test_rounding_is_not_an_unfilled_quantity() -> None:
    """Floats leave 1e-16 of 0.8 - 0.1 - 0.7; that is no order that the book could not fill."""
    assert 0.8 - 0.1 - 0.7 != 0.0
    found = estimate("buy", 0.8, BIDS, [(100.0, 0.1), (101.0, 0.7)])
    assert (found.unfilled, found.filled, found.complete) == (0.0, 0.8, True)


@pytest.mark.parametrize(
    ("side", "quantity", "bids", "asks", "complaint"),
    [
        ("bid", 1.0, BIDS, ASKS, "side is 'bid'; expected 'buy' or 'sell'"),
        ("buy", 0.0, BIDS, ASKS, "quantity is 0.0; expected a finite number above zero"),
        ("buy", math.nan, BIDS, ASKS, "quantity is nan"),
        ("buy", math.inf, BIDS, ASKS, "quantity is inf"),
        ("buy", 1.0, [(0.0, 1.0)], ASKS, r"bids\[0\] is \(0.0, 1.0\)"),
        ("buy", 1.0, BIDS, [(100.0, 0.0)], r"asks\[0\] is \(100.0, 0.0\)"),
        ("buy", 1.0, BIDS, [(math.inf, 1.0)], r"asks\[0\] is \(inf, 1.0\)"),
        ("buy", 1.0, BIDS, [(100.0, math.inf)], r"asks\[0\] is \(100.0, inf\)"),
        ("buy", 1.0, BIDS, [(100.0, math.nan)], r"asks\[0\] is \(100.0, nan\); expected a finite price and quantity"),
        ("buy", 1.0, [(-1.0, 1.0)], ASKS, r"bids\[0\] is \(-1.0, 1.0\)"),
        ("buy", 1.0, BIDS, [(100.0, 1.0), (100.0, 2.0)], r"asks\[1\] at 100.0 is out of order; expected the best"),
        ("sell", 1.0, [(99.0, 1.0), (99.5, 1.0)], ASKS, r"bids\[1\] at 99.5 is out of order"),
        ("buy", 1.0, [(100.0, 1.0)], ASKS, "the book is crossed: bid 100.0, ask 100.0"),
    ],
)
def test_what_is_no_book_or_no_order_is_refused(side, quantity, bids, asks, complaint) -> None:
    """The refusal names the level, its value and what was expected."""
    with pytest.raises(ValueError, match=complaint):
        estimate(side, quantity, bids, asks)


@pytest.mark.parametrize(
    ("participation", "peak", "paid"), [(0.001, 9.49, 6.32), (0.01, 30.0, 20.0), (0.1, 94.87, 63.25)]
)
def test_square_root_law(participation: float, peak: float, paid: float) -> None:
    """At 300 bps a day: 0.1 %, 1 % and 10 % of the day's volume."""
    found = square_root_impact(participation * 2e6, daily_volume=2e6, daily_volatility_bps=300.0)
    assert found == pytest.approx((peak, paid), abs=5e-3)


@given(st.floats(0.0, 1e6), st.floats(1.0, 1e9), st.floats(0.1, 1.0))
def test_four_times_the_order_has_twice_the_impact(quantity: float, volume: float, prefactor: float) -> None:
    """The law scales with the root of the quantity, in proportion to the prefactor, and nothing costs nothing."""
    terms = {"daily_volume": volume, "daily_volatility_bps": 250.0}
    one = square_root_impact(quantity, prefactor=prefactor, **terms)
    assert square_root_impact(4.0 * quantity, prefactor=prefactor, **terms) == pytest.approx((2 * one[0], 2 * one[1]))
    assert one.peak_bps == pytest.approx(prefactor * square_root_impact(quantity, **terms).peak_bps)
    assert square_root_impact(0.0, **terms) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"quantity": -1.0}, "quantity is -1.0; expected a finite number, zero or above"),
        ({"daily_volume": 0.0}, "daily_volume is 0.0; expected a finite number above zero"),
        ({"daily_volume": math.inf}, "daily_volume is inf"),
        ({"daily_volatility_bps": math.nan}, "daily_volatility_bps is nan"),
        ({"prefactor": math.inf}, "prefactor is inf"),
    ],
)
def test_impact_refuses_numbers_out_of_range(told: dict[str, float], complaint: str) -> None:
    """Each parameter is named when it is no number the law can use."""
    good = {"quantity": 1.0, "daily_volume": 100.0, "daily_volatility_bps": 300.0}
    with pytest.raises(ValueError, match=complaint):
        square_root_impact(**{**good, **told})
