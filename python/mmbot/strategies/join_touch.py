"""Joins the best bid and ask, up to a cap: the smallest strategy that makes a market, and a start for your own.

It stands where the market stands, steps back on a side whose next fill would pass the cap, and follows the touch.
"""

from pydantic import Field, model_validator

from mmbot.config import Strict
from mmbot.strategy import Intent, Strategy, View, Wake, quotes

__all__ = ["JoinTouch", "JoinTouchConfig"]


class JoinTouchConfig(Strict):
    """Sizes in lots."""

    order_lots: int = Field(default=1, ge=1)
    """Size of each quote."""
    cap_lots: int = Field(default=10, ge=1)
    """Largest position either way."""
    every_ms: float = Field(default=100.0, ge=0.001)
    """How often it looks, beside every fill of its own."""

    @model_validator(mode="after")
    def _check_cap(self) -> "JoinTouchConfig":
        if self.order_lots > self.cap_lots:
            raise ValueError(f"order_lots is {self.order_lots}; expected at most cap_lots, {self.cap_lots}")
        return self


class JoinTouch(Strategy):
    """Quotes at the touch of the run's first instrument."""

    def __init__(self, config: JoinTouchConfig) -> None:
        self.config = config
        self.wake = Wake(every_ms=config.every_ms, fill=True)

    def decide(self, view: View) -> Intent:
        """Return one quote per side that has room; none without a two-sided market."""
        if view.bid is None or view.ask is None:
            return quotes(None, None, 1)
        lots, cap = self.config.order_lots, self.config.cap_lots
        bid = view.bid if view.position + lots <= cap else None
        ask = view.ask if view.position - lots >= -cap else None
        return quotes(bid, ask, lots)
