"""A single order made fit to rest: on the grid, large enough for the venue, behind the market. Or blocked, and why.

    wanted 0.00004 BTC at 61,000.07   →  0.00110 BTC at 61,000.0     padded to the venue's least, rounded down (a bid)
    wanted a bid at or above the ask  →  an ask minus 1.5 bps        adjusted; `cross_price` if it may not be
    room for less than the least      →  blocked, `risk_limit`

For strategies that place single orders. One that returns quotes is served by the engine, which keeps them apart and
judges them (its hard limits hold for what passes here, too).
"""

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Denial, Ruling
from mmbot.quoting.rounding import BPS, ceil_ticks, floor_ticks

__all__ = ["MakerPlacement", "Placement", "PlacementRules"]

_ALLOWED = Ruling()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementRules:
    """What the venue takes, and what the market shows, whole ticks and lots."""

    min_lots: int = 1
    """Least quantity of an order."""
    bid_tick: int | None = None
    """Best bid; None while that side is empty."""
    ask_tick: int | None = None
    """Best ask."""
    room_lots: int | None = None
    """What the limits leave for this side; None without a limit."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What to send, post-only."""

    tick: int
    lots: int


class MakerPlacement(Strict):
    """How a wish is made fit."""

    post_only_offset_bps: float = Field(default=1.5, ge=0, lt=10_000)
    """How far from the opposite touch an order is put that would have crossed it; a tick at least."""
    min_qty_pad: float = Field(default=1.1, ge=1)
    """A quantity below the venue's least is raised to the least times this, so that rounding does not undo it."""
    adjust: bool = True
    """Whether an order that would cross is put back; otherwise it is blocked."""

    def fit(
        self, side: Literal["buy", "sell"], price_ticks: float, lots: float, rules: PlacementRules
    ) -> tuple[Placement | None, Ruling]:
        """Make a wish fit, or say why it is blocked: `min_qty`, `cross_price` or `risk_limit`.

        price_ticks, lots: the wish, in ticks and lots, as fractions; bids are rounded down, asks up, quantities down.
        Raises ValueError for a side that is none and for numbers that are not finite.
        """
        if side not in ("buy", "sell"):
            raise ValueError(f"side is {side!r}; expected 'buy' or 'sell'")
        if not (math.isfinite(price_ticks) and math.isfinite(lots)):
            raise ValueError(f"price_ticks is {price_ticks}, lots is {lots}; expected finite numbers")
        whole, denial = self._quantity(lots, rules)
        if denial is not None:
            return None, denial
        tick, denial = self._price(side, price_ticks, rules)
        if denial is not None:
            return None, denial
        return Placement(tick, whole), _ALLOWED

    def _quantity(self, lots: float, rules: PlacementRules) -> tuple[int, Ruling | None]:
        if lots <= 0:
            return 0, Ruling(Denial.MIN_QTY, f"quantity is {lots:g} lots; expected more than none")
        whole = floor_ticks(lots)
        if whole < rules.min_lots:
            whole = ceil_ticks(rules.min_lots * self.min_qty_pad)
        if rules.room_lots is None or whole <= rules.room_lots:
            return whole, None
        if rules.room_lots >= rules.min_lots:
            return rules.room_lots, None
        said = f"the limits leave {rules.room_lots} lots and the venue takes {rules.min_lots} at least; reduce first"
        return 0, Ruling(Denial.RISK_LIMIT, said)

    def _price(
        self, side: Literal["buy", "sell"], price_ticks: float, rules: PlacementRules
    ) -> tuple[int, Ruling | None]:
        buys = side == "buy"
        tick = floor_ticks(price_ticks) if buys else ceil_ticks(price_ticks)
        opposite = rules.ask_tick if buys else rules.bid_tick
        crosses = opposite is not None and (tick >= opposite if buys else tick <= opposite)
        if opposite is not None and crosses and self.adjust:
            offset = max(1, ceil_ticks(opposite * self.post_only_offset_bps * BPS))
            tick, crosses = (opposite - offset if buys else opposite + offset), False
        if crosses or tick <= 0:
            said = f"a {side} at {tick} would meet {opposite}; expected a price above zero that rests"
            return 0, Ruling(Denial.CROSS_PRICE, said)
        return tick, None
