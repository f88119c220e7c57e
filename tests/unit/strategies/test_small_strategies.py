"""The two small strategies that users copy."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot.strategies import Grid, GridConfig, JoinTouch, JoinTouchConfig
from mmbot.strategy import View


def test_join_touch_stands_where_the_market_stands(view: View) -> None:
    """One quote a side, at the touch."""
    strategy = JoinTouch(JoinTouchConfig(order_lots=5, cap_lots=10))
    assert strategy.decide(view).quotes == [("buy", 99_950, 5), ("sell", 100_050, 5)]


@pytest.mark.parametrize(
    ("position", "sides"), [(5, ["buy", "sell"]), (6, ["sell"]), (-5, ["buy", "sell"]), (-6, ["buy"])]
)
def test_join_touch_stops_at_its_cap(position: int, sides: list[str], view: View) -> None:
    """A side whose next fill would pass ten lots is silent."""
    view.position = position
    strategy = JoinTouch(JoinTouchConfig(order_lots=5, cap_lots=10))
    assert [side for side, _, _ in strategy.decide(view).quotes] == sides


def test_a_grid_stands_on_its_multiples_around_the_mid(view: View) -> None:
    """The mid, 100,000, is no multiple of 30: the nearest on each side, and the next ones outward."""
    strategy = Grid(GridConfig(order_lots=2, cap_lots=10, step_ticks=30, levels=2))
    assert strategy.decide(view).quotes == [
        ("buy", 99_990, 2),
        ("buy", 99_960, 2),
        ("sell", 100_020, 2),
        ("sell", 100_050, 2),
    ]


def test_a_mid_on_the_grid_has_no_quote(view: View) -> None:
    """With a step of ten the mid is a multiple; quotes stand one step to either side of it."""
    strategy = Grid(GridConfig(order_lots=1, cap_lots=10, step_ticks=10, levels=1))
    assert strategy.decide(view).quotes == [("buy", 99_990, 1), ("sell", 100_010, 1)]


def test_a_grid_has_as_many_levels_as_its_cap_has_room_for(view: View) -> None:
    """Eight of ten lots held: one level of two lots up to the cap, three down."""
    view.position = 8
    strategy = Grid(GridConfig(order_lots=2, cap_lots=10, step_ticks=10, levels=3))
    assert [side for side, _, _ in strategy.decide(view).quotes] == ["buy", "sell", "sell", "sell"]


@given(bid=st.integers(1, 1000), spread=st.integers(1, 50), step=st.integers(1, 100), position=st.integers(-20, 20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_grid_never_crosses(bid: int, spread: int, step: int, position: int, view: View) -> None:
    """Its bids are below the market's ask, its asks above the market's bid, all of them positive."""
    window = View(view._core, 0, view.instrument, [])
    window.bid, window.ask, window.position = bid, bid + spread, position
    quotes = Grid(GridConfig(step_ticks=step)).decide(window).quotes
    assert all(0 < price < window.ask for side, price, _ in quotes if side == "buy")
    assert all(price > window.bid for side, price, _ in quotes if side == "sell")


@pytest.mark.parametrize("strategy", [JoinTouch(JoinTouchConfig()), Grid(GridConfig())])
def test_without_a_market_nothing_stands(strategy: JoinTouch | Grid, view: View) -> None:
    """One side missing is enough to take all quotes out."""
    view.bid = None
    assert strategy.decide(view).quotes == []


@pytest.mark.parametrize("config", [JoinTouchConfig, GridConfig])
def test_an_order_beyond_the_cap_is_refused(config: type[JoinTouchConfig | GridConfig]) -> None:
    """Such a strategy would never quote."""
    with pytest.raises(ValidationError, match="order_lots is 20; expected at most cap_lots, 10"):
        config(order_lots=20, cap_lots=10)
