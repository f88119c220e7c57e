"""Strategies by name, and a user's own by file or module."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from mmbot.strategies import SHIPPED, MarketMaker, StrategyNotFoundError, find_strategy

OWN = """
from mmbot.config import Strict
from mmbot.strategy import Strategy, quotes

class StayAwayConfig(Strict):
    ticks: int = 5

class StayAway(Strategy):
    def __init__(self, config: StayAwayConfig) -> None:
        self.config = config

    def decide(self, view):
        return quotes(view.bid - self.config.ticks, None, 1)

class Plain(Strategy):
    def decide(self, view):
        return None

class Vague(Strategy):
    def __init__(self, config) -> None:
        self.config = config

class NoStrategy:
    pass
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's file."""
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_strategy_is_found_by_its_name(name: str) -> None:
    """The recipe builds a strategy that can be woken."""
    settings = {"order_amount": 1, "position_limit": 2} if name == "market_maker" else {}
    strategy = find_strategy(name).build(settings)
    assert isinstance(strategy, SHIPPED[name].strategy)
    assert strategy.wake.every_ms is not None


def test_settings_are_checked_before_anything_is_built() -> None:
    """The configuration's own answer reaches the user."""
    with pytest.raises(ValidationError, match="did you mean 'order_amount'"):
        find_strategy("market_maker").build({"order_amout": 1, "position_limit": 2})


def test_a_strategy_in_a_file_is_loaded_with_its_configuration(own: Path) -> None:
    """The configuration's class is read from the constructor."""
    recipe = find_strategy(f"{own}:StayAway")
    assert recipe.build({"ticks": 7}).config.ticks == 7
    with pytest.raises(ValidationError, match="did you mean 'ticks'"):
        recipe.build({"tics": 7})


def test_a_strategy_without_settings_takes_none(own: Path) -> None:
    """It is built from nothing, and says so when given something."""
    recipe = find_strategy(f"{own}:Plain")
    assert recipe.config is None
    assert type(recipe.build({})).__name__ == "Plain"
    with pytest.raises(ValueError, match="Plain takes no settings, got ticks"):
        recipe.build({"ticks": 1})


def test_a_strategy_in_a_module_is_loaded() -> None:
    """A dotted name and a class."""
    assert find_strategy("mmbot.strategies.market_maker:MarketMaker").strategy is MarketMaker


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("market_makr", "no strategy 'market_makr'; did you mean 'market_maker'"),
        ("xyzzy", "expected one of market_maker, join_touch, grid"),
        ("nowhere/own.py:StayAway", "no file nowhere/own.py"),
        ("no_such_package.mine:StayAway", "no module 'no_such_package.mine'"),
        ("mmbot.no_such:StayAway", "no module 'mmbot.no_such'"),
        ("{own}:Missing", "has no 'Missing'; expected one of StayAway, Plain"),
        ("{own}:NoStrategy", "NoStrategy is no subclass of mmbot.strategy.Strategy"),
        ("{own}:Vague", "expected a subclass of mmbot.config.Strict"),
        ("mmbot.config:Strict", "is no subclass of mmbot.strategy.Strategy; it defines no strategy"),
    ],
)
def test_what_is_not_found_is_answered(name: str, answer: str, own: Path) -> None:
    """The message says what was looked for and what to write instead."""
    with pytest.raises(StrategyNotFoundError, match=answer):
        find_strategy(name.format(own=own))


def test_a_fault_inside_the_users_file_is_shown_as_it_is(tmp_path: Path) -> None:
    """Its own missing import is not mistaken for a missing strategy, and a file that failed leaves nothing behind."""
    path = tmp_path / "broken.py"
    path.write_text("import no_such_library\n", encoding="utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        find_strategy(f"{path}:Mine")
    assert "mmbot_user_broken" not in sys.modules
