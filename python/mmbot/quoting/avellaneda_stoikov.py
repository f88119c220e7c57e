"""Avellaneda–Stoikov: quotes of a maker with constant risk aversion and a finite horizon.

    reservation price   r = s − q·γσ²(T−t)
    total spread        γσ²(T−t) + (2/γ)·ln(1 + γ/κ)

Source: M. Avellaneda, S. Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8 (2008).
The formulas are the first order of the exact solution near T; far from the horizon use `glft`.

Not handled: position limits, ticks, a touch that is nearer than the quote (see `ladder`).
"""

import math
from typing import Literal

from mmbot.quoting.checked import finite, non_negative, positive
from mmbot.quoting.quote import Quote

__all__ = ["avellaneda_stoikov"]


def avellaneda_stoikov(
    mid: float,
    position: float,
    *,
    gamma: float,
    sigma: float,
    kappa: float,
    time_left: float,
    spread: Literal["full", "constant"] = "full",
    maker_fee: float = 0.0,
) -> Quote:
    """Return the bid and ask prices.

    Args:
        mid: mid price.
        position: signed units held.
        gamma: risk aversion, 1/(price·unit).
        sigma: volatility, price per √time.
        kappa: decay of the fill intensity with depth, 1/price.
        time_left: T − t, in the time unit of `sigma`.
        spread: "constant" keeps only (2/γ)ln(1+γ/κ), which does not depend on time; the reservation price keeps
            its shift either way.
        maker_fee: price units per unit traded, negative for a rebate; each side moves out by it.

    Raises ValueError for a number that is not finite, a non-positive parameter, or an unknown `spread`.
    """
    positive(gamma=gamma, sigma=sigma, kappa=kappa)
    non_negative(time_left=time_left)
    finite(mid=mid, position=position, maker_fee=maker_fee)
    if spread not in ("full", "constant"):
        raise ValueError(f"spread is {spread!r}; expected 'full' or 'constant'")
    risk = gamma * sigma * sigma * time_left
    half = math.log1p(gamma / kappa) / gamma + maker_fee
    if spread == "full":
        half += 0.5 * risk
    reservation = mid - position * risk
    finite(reservation_price=reservation, half_spread=half)
    return Quote(reservation - half, reservation + half)
