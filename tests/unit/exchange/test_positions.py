"""Positions: cost, profit and funding, and a sum over both sides that is always zero."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot._core import Instrument
from mmbot.exchange.money import UNIT, Grid
from mmbot.exchange.positions import Position

LINEAR = Grid(Instrument(venue="t", symbol="BTCUSDT", kind="linear", tick="1", lot="1"))
INVERSE = Grid(Instrument(venue="t", symbol="BTCUSD", kind="inverse", tick="1", lot="1"))


def traded(grid: Grid, *fills: tuple[int, int]) -> Position:
    """A position after fills of (signed lots, price)."""
    position = Position(grid)
    for lots, tick in fills:
        position.fill(lots, grid.value(tick, abs(lots)), 0, 1)
    return position


@pytest.mark.parametrize(
    ("fills", "lots", "cost", "profit"),
    [
        ([(2, 100), (2, 110)], 4, 420, 0),
        ([(2, 100), (2, 110), (-1, 120)], 3, 315, 15),
        ([(2, 100), (-2, 90)], 0, 0, -20),
        ([(2, 100), (-5, 110)], -3, 330, 20),
        ([(-4, 100), (1, 90)], -3, 300, 10),
    ],
)
def test_closing_earns_the_difference_to_the_average(fills, lots: int, cost: int, profit: int):
    """Opening averages, closing takes its share of the cost, crossing zero opens at the new price."""
    position = traded(LINEAR, *fills)
    assert (position.lots, position.entry_value, position.realised) == (lots, cost * UNIT, profit * UNIT)


def test_an_inverse_long_earns_coin_when_the_price_rises():
    """1,000 USD bought at 100 cost 10 BTC and are closed for 8 at 125: two earned."""
    position = traded(INVERSE, (1000, 100), (-1000, 125))
    assert position.realised == 2 * UNIT
    assert traded(INVERSE, (-1000, 100)).unrealised(125) == -2 * UNIT


@pytest.mark.parametrize("grid", [LINEAR, INVERSE])
@given(st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 1000)), max_size=40))
def test_what_one_side_gains_the_other_loses(grid: Grid, fills):
    """Realised profit less stake sums to zero over buyer and seller after every fill, for any history of either."""
    one, two = Position(grid), Position(grid)
    for lots, tick in fills:
        value = grid.value(tick, abs(lots))
        one.fill(lots, value, 0, 0)
        two.fill(-lots, value, 0, 0)
        assert one.realised - one.stake + two.realised - two.stake == 0
        assert one.lots == -two.lots
        assert (one.entry_value == 0) is (one.lots == 0) or grid is INVERSE


def test_longs_pay_a_positive_rate_and_shorts_receive_it():
    """1 bp of 10 × 100."""
    long, short = traded(LINEAR, (10, 90)), traded(LINEAR, (-10, 90))
    assert long.funding(100, 10_000) == UNIT // 10
    assert short.funding(100, 10_000) == -UNIT // 10
    long.pay_funding(UNIT // 10, 2)
    assert (long.charges, long.realised_now, long.updated_ms) == (UNIT // 10, -UNIT // 10, 2)


def test_liquidation_is_where_the_cushion_is_gone():
    """A long of 10 at mark 100 with 200 behind it ends at 80, a short at 120; a rich one nowhere."""
    assert traded(LINEAR, (10, 100)).liquidation(100, 200 * UNIT) == 80
    assert traded(LINEAR, (-10, 100)).liquidation(100, 200 * UNIT) == 120
    assert traded(LINEAR, (10, 100)).liquidation(100, 2000 * UNIT) == 0
    assert traded(INVERSE, (1000, 100)).liquidation(100, 2 * UNIT + UNIT // 2) == 80
    assert Position(LINEAR).liquidation(100, UNIT) == 0


def test_fees_belong_to_the_position_that_paid_them():
    """A flip starts anew, with the fee of the fill that flipped it; the profit stays with the position before."""
    position = Position(LINEAR)
    position.fill(2, LINEAR.value(100, 2), 3, 1)
    assert (position.realised_now, position.opened_ms) == (-3, 1)
    position.fill(-5, LINEAR.value(110, 5), 4, 9)
    assert (position.charges, position.opened_ms) == (7, 9)
    assert (position.realised, position.realised_now) == (20 * UNIT, -4)
