"""An instrument as the client side of the venue needs it: its market, its terms as whole numbers, its arithmetic."""

from dataclasses import dataclass, field
from typing import TypeAlias

from mmbot._core import Instrument
from mmbot.exchange.market import Market
from mmbot.exchange.money import Grid, rate_units, units
from mmbot.exchange.rules import Category

__all__ = ["Key", "Listing"]

Key: TypeAlias = tuple[str, str]
"""(category, symbol): the venue uses one symbol for a perpetual and a spot pair."""


@dataclass(slots=True, eq=False)
class Listing:
    """What does not change about an instrument, read once."""

    market: Market
    category: Category = field(init=False)
    symbol: str = field(init=False)
    key: Key = field(init=False)
    is_spot: bool = field(init=False)
    instrument: Instrument = field(init=False)
    grid: Grid = field(init=False)
    base: str = field(init=False)
    quote: str = field(init=False)
    settle: str = field(init=False)
    maintenance: int = field(init=False)
    """Maintenance margin rate in 10^-8."""
    leverage_max: int = field(init=False)
    """In hundredths."""
    tick_units: int = field(init=False)
    """Units of the quote coin in one tick."""

    def __post_init__(self) -> None:
        rules = self.market.rules
        self.category, self.symbol, self.is_spot = rules.category, rules.symbol, rules.is_spot
        self.key = (rules.category, rules.symbol)
        self.instrument = self.market.instrument
        self.grid = self.market.grid
        self.base, self.quote, self.settle = rules.base_coin, rules.quote_coin, rules.settle_coin
        self.maintenance = rate_units(rules.maintenance_margin)
        self.leverage_max = units(rules.max_leverage) // 10**10
        self.tick_units = units(rules.tick_size)

    @property
    def seq(self) -> int:
        """The market's cross sequence."""
        return self.market.seq

    @property
    def family(self) -> str:
        """Which rate bucket it shares."""
        return "spot" if self.is_spot else "derivatives"
