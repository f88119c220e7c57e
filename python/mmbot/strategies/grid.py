"""A fixed grid: prices at whole multiples of a step, bids below the mid and asks above it, up to a cap.

The grid does not move with the market, so a level that was bought is sold one step higher when the price comes back.
"""

import math

from pydantic import Field, model_validator

from mmbot.config import Strict
from mmbot.strategy import Intent, Strategy, View, Wake, ladder

__all__ = ["Grid", "GridConfig"]


class GridConfig(Strict):
    """Sizes in lots, the step in ticks."""

    order_lots: int = Field(default=1, ge=1)
    """Size of each quote."""
    cap_lots: int = Field(default=10, ge=1)
    """Largest position either way."""
    step_ticks: int = Field(default=10, ge=1)
    """Distance between the grid's prices."""
    levels: int = Field(default=3, ge=1)
    """Quotes per side."""
    every_ms: float = Field(default=1_000.0, ge=0.001)
    """How often it looks, beside every fill of its own."""

    @model_validator(mode="after")
    def _check_cap(self) -> "GridConfig":
        if self.order_lots > self.cap_lots:
            raise ValueError(f"order_lots is {self.order_lots}; expected at most cap_lots, {self.cap_lots}")
        return self


class Grid(Strategy):
    """Quotes the grid around the mid of the run's first instrument."""

    def __init__(self, config: GridConfig) -> None:
        self.config = config
        self.wake = Wake(every_ms=config.every_ms, fill=True)

    def decide(self, view: View) -> Intent:
        """Return the levels that have room; none without a two-sided market."""
        if view.mid is None:
            return ladder([], [])
        config, step = self.config, self.config.step_ticks
        below = math.ceil(view.mid / step) - 1  # the last grid price below the mid, and the first above it
        above = math.floor(view.mid / step) + 1
        rungs = range(config.levels)
        bids = [(below - rung) * step for rung in rungs[: self._fitting(config.cap_lots - view.position)]]
        asks = [(above + rung) * step for rung in rungs[: self._fitting(config.cap_lots + view.position)]]
        return ladder([(bid, config.order_lots) for bid in bids if bid > 0], [(ask, config.order_lots) for ask in asks])

    def _fitting(self, room: int) -> int:
        return max(0, room // self.config.order_lots)
