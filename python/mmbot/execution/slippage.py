"""What an order that crosses the spread would pay: the displayed book walked level by level, and the law beyond it.

    estimate            what is displayed now      exact, and it says what the book cannot fill
    square_root_impact  what a large order moves   an empirical law of volume, for what no book displays

What the book cannot fill has no price. It is reported as `unfilled`, the figures speak of the filled part alone, and a
figure that cannot be known is None: a slippage of zero means that the mid is what was paid.

Not handled: hidden size, and what the other side does between the look and the arrival.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["SlippageEstimate", "SquareRootImpact", "estimate", "square_root_impact"]

_BPS_PER_UNIT = 1e4
_DUST = 1e-12
"""Share of an order that is rounding and no quantity: 0.8 - 0.1 - 0.7 is not zero. Whole lots have no dust."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageEstimate:
    """What a marketable order would get from the displayed book. Prices and quantities are in the units given."""

    side: Literal["buy", "sell"]
    quantity: float
    """Asked for."""
    filled: float
    """What the book displays of it."""
    unfilled: float
    """What it does not. It has no price."""
    average_price: float | None
    """Of the filled part; None when nothing is."""
    worst_price: float | None
    """Of the last level reached; None when nothing is filled."""
    mid: float | None
    """Middle of the touch; None while a side of the book is empty."""

    @property
    def complete(self) -> bool:
        """Whether the book displays enough for the whole order."""
        return self.unfilled == 0.0

    @property
    def slippage_bps(self) -> float | None:
        """Cost of the filled part against the mid, bps of the mid, at least zero; None without a fill or a mid."""
        if self.average_price is None or self.mid is None:
            return None
        sign = 1.0 if self.side == "buy" else -1.0
        return sign * (self.average_price - self.mid) / self.mid * _BPS_PER_UNIT

    def within(self, cap_bps: float) -> bool:
        """Tell whether the whole order fits under a cap, the cap included; never when something is unknown."""
        return self.complete and self.slippage_bps is not None and self.slippage_bps <= cap_bps


def estimate(
    side: Literal["buy", "sell"],
    quantity: float,
    bids: Sequence[tuple[float, float]],
    asks: Sequence[tuple[float, float]],
) -> SlippageEstimate:
    """Walk the book with a marketable order.

    Args:
        side: "buy" takes asks, "sell" takes bids.
        quantity: what is wanted, above zero, in the unit of the levels.
        bids: (price, quantity) of each level, highest price first; may be empty.
        asks: likewise, lowest price first.

    Raises ValueError for a side or quantity that is none, for levels out of order or not above zero, and for a crossed
    book, which wants a resync and no estimate.
    """
    if side not in ("buy", "sell"):
        raise ValueError(f"side is {side!r}; expected 'buy' or 'sell'")
    if not 0.0 < quantity < math.inf:
        raise ValueError(f"quantity is {quantity!r}; expected a finite number above zero")
    _check_levels("bids", bids, outward=-1.0)
    _check_levels("asks", asks, outward=1.0)
    mid = None
    if bids and asks:
        if bids[0][0] >= asks[0][0]:
            raise ValueError(f"the book is crossed: bid {bids[0][0]!r}, ask {asks[0][0]!r}; expected bid below ask")
        mid = (bids[0][0] + asks[0][0]) / 2.0

    left, paid, worst = quantity, 0.0, None
    for price, displayed in asks if side == "buy" else bids:
        taken = min(left, displayed)
        left, paid, worst = left - taken, paid + taken * price, price
        if left <= _DUST * quantity:
            left = 0.0
            break
    filled = quantity - left
    return SlippageEstimate(
        side=side,
        quantity=quantity,
        filled=filled,
        unfilled=left,
        average_price=paid / filled if filled > 0.0 else None,
        worst_price=worst,
        mid=mid,
    )


def _check_levels(name: str, levels: Sequence[tuple[float, float]], *, outward: float) -> None:
    """Raise ValueError unless prices and quantities are above zero and prices go strictly outward."""
    last = -math.inf
    for i, (price, displayed) in enumerate(levels):
        if not (0.0 < price < math.inf and 0.0 < displayed < math.inf):
            raise ValueError(f"{name}[{i}] is {(price, displayed)!r}; expected a finite price and quantity above zero")
        if price * outward <= last:
            raise ValueError(f"{name}[{i}] at {price!r} is out of order; expected the best price first, each one once")
        last = price * outward


class SquareRootImpact(NamedTuple):
    """What a large order, worked patiently, does to the price; bps."""

    peak_bps: float
    """How far the price has moved when the order is done."""
    paid_bps: float
    """What it paid above the price at its start, on average: two thirds of the peak, as the path is a square root."""


def square_root_impact(
    quantity: float, *, daily_volume: float, daily_volatility_bps: float, prefactor: float = 1.0
) -> SquareRootImpact:
    """Return the impact of a metaorder by the square-root law: I = Y · σ_D · √(Q / V_D).

    Args:
        quantity: Q, in the unit of the volume; zero has no impact.
        daily_volume: V_D, what the whole market trades in a day.
        daily_volatility_bps: σ_D, volatility over one day, bps.
        prefactor: Y, dimensionless, about ½ to 1; fit it to own executions before money depends on it.

    Source: Tóth et al., "Anomalous price impact and the critical nature of liquidity in financial markets", 2011. All
    metaorders of the Tokyo exchange give an exponent of 0.489 ± 0.0015 (Sato and Kanazawa 2024). Not meant for orders
    that the touch fills, nor for Q near V_D.

    Raises ValueError for a number that is negative or not finite, and for a volume of zero.
    """
    if not 0.0 < daily_volume < math.inf:
        raise ValueError(f"daily_volume is {daily_volume!r}; expected a finite number above zero")
    for name, number in (
        ("quantity", quantity),
        ("daily_volatility_bps", daily_volatility_bps),
        ("prefactor", prefactor),
    ):
        if not 0.0 <= number < math.inf:
            raise ValueError(f"{name} is {number!r}; expected a finite number, zero or above")
    peak = prefactor * daily_volatility_bps * math.sqrt(quantity / daily_volume)
    return SquareRootImpact(peak, 2.0 / 3.0 * peak)
