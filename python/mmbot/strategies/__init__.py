"""Strategies that ship, and the way to load your own.

market_maker                          one of those that ship
path/to/file.py:MyStrategy            a class in a file of yours
my_package.my_module:MyStrategy       a class in an installed module
"""

from mmbot.strategies.grid import Grid, GridConfig
from mmbot.strategies.join_touch import JoinTouch, JoinTouchConfig
from mmbot.strategies.market_maker import MarketMaker, MarketMakerConfig
from mmbot.strategies.registry import SHIPPED, Recipe, StrategyNotFoundError, find_strategy

__all__ = [
    "SHIPPED",
    "Grid",
    "GridConfig",
    "JoinTouch",
    "JoinTouchConfig",
    "MarketMaker",
    "MarketMakerConfig",
    "Recipe",
    "StrategyNotFoundError",
    "find_strategy",
]
