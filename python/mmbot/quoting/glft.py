"""Guéant–Lehalle–Fernandez-Tapia: quotes of a maker far from any horizon, or with one, under a position limit.

Fills arrive on each side at A·e^(−κδ) per second, in orders of Δ units. With u = ξΔ/κ:

    c1 = ln(1+u)/(κu)            η = A·(1+u)^−(1+1/u)        c2 = √(γ/(2ηΔκ))
    half-spread = c1 + ½Δσ·c2    skew per unit held = σ·c2

is the closed form; ξ = γ is constant absolute risk aversion, ξ → 0 a running penalty ½γσ²q² (c1 → 1/κ, η → A/e).
It over-skews when γσ²/A is not small (by a third at ten units on a published ETH calibration), so with a position
limit the exact depths are used: from the ground state of the inventory chain, or from its exponential when a finite
horizon is given.

Sources: Guéant, Lehalle, Fernandez-Tapia, Math. Financial Economics 7 (2013); O. Guéant, "Optimal market making"
(2016), eq. 4.6–4.7. Fees: see `mmbot.quoting.fees`.

Not handled: different flow on the two sides, ticks, a touch nearer than the quote.
"""

import math
from functools import lru_cache

from mmbot.quoting.checked import finite, non_negative, positive
from mmbot.quoting.fees import intensity_after_fee
from mmbot.quoting.inventory_chain import DepthTable, inventory_states, log_evolved, log_ground_steps
from mmbot.quoting.quote import Depths

__all__ = ["glft", "glft_table"]


def glft(
    position: float,
    *,
    gamma: float,
    sigma: float,
    A: float,
    kappa: float,
    order_size: float = 1.0,
    xi: float | None = None,
    maker_fee: float = 0.0,
    position_limit: float | None = None,
    horizon: float | None = None,
    drift: float = 0.0,
) -> Depths:
    """Return the distances of bid and ask from the mid, in price units.

    Args:
        position: signed units held.
        gamma: risk aversion, 1/(price·unit).
        sigma: volatility, price per √second.
        A: fill intensity at depth zero, orders per second and side.
        kappa: decay of the intensity with depth, 1/price.
        order_size: Δ, units per order.
        xi: aversion to the risk of the fills themselves; None means `gamma`, 0 the running-penalty model.
        maker_fee: price units per unit traded, negative for a rebate.
        position_limit: the largest |position| in units, a whole number of orders; None takes the closed form. At the
            limit the side that may not quote is +inf.
        horizon: seconds to a horizon at which inventory is marked at the mid; needs `position_limit`. Solving it
            costs the cube of the number of states, so keep it to hundreds of orders.
        drift: expected move of the mid, price per second. The closed form holds only while drift/(γσ²) is well
            within the positions one would hold.

    Raises ValueError for a number that is not finite, a non-positive parameter, a limit that is not a whole number of
    orders, or a horizon without a limit.
    """
    finite(position=position)
    xi = gamma if xi is None else xi
    if position_limit is not None:
        return glft_table(
            gamma=gamma,
            sigma=sigma,
            A=A,
            kappa=kappa,
            order_size=order_size,
            xi=xi,
            maker_fee=maker_fee,
            position_limit=position_limit,
            horizon=horizon,
            drift=drift,
        ).at(position)
    if horizon is not None:
        raise ValueError(f"horizon is {horizon!r} but position_limit is None; expected a position_limit beside it")
    positive(gamma=gamma, sigma=sigma)
    finite(drift=drift)
    offset, coupling = _fill_terms(A=A, kappa=kappa, order_size=order_size, xi=xi, maker_fee=maker_fee)
    skew = sigma * math.sqrt(gamma / (2.0 * coupling * order_size * kappa))
    half = offset + 0.5 * order_size * skew
    lean = skew * (position - drift / (gamma * sigma * sigma))
    finite(half_spread=half, lean=lean)
    return Depths(half + lean, half - lean)


@lru_cache(maxsize=256)
def glft_table(
    *,
    gamma: float,
    sigma: float,
    A: float,
    kappa: float,
    position_limit: float,
    order_size: float = 1.0,
    xi: float | None = None,
    maker_fee: float = 0.0,
    horizon: float | None = None,
    drift: float = 0.0,
) -> DepthTable:
    """Return the exact depths of every inventory state; parameters and errors as in `glft`.

    The last 256 parameter sets are remembered, so round measured parameters before quoting with them on every wake.
    """
    positive(gamma=gamma, sigma=sigma)
    finite(drift=drift)
    xi = gamma if xi is None else xi
    offset, coupling = _fill_terms(A=A, kappa=kappa, order_size=order_size, xi=xi, maker_fee=maker_fee)
    states = inventory_states(position_limit, order_size)
    penalty = 0.5 * kappa * gamma * sigma * sigma * order_size
    diagonal = [penalty * state * state - kappa * drift * state for state in states]
    if horizon is None:
        steps = log_ground_steps(diagonal, coupling)
    else:
        non_negative(horizon=horizon)
        value = log_evolved(diagonal, coupling, time=horizon, log_terminal=[0.0] * len(diagonal))
        steps = (value[:-1] - value[1:]).tolist()
    return DepthTable.from_steps(steps, order_size=order_size, kappa=kappa, offset=offset)


def _fill_terms(*, A: float, kappa: float, order_size: float, xi: float, maker_fee: float) -> tuple[float, float]:
    """Return c1 + fee, the depth at which one fill is best, and η, the flow there; u → 0 is taken by its limit."""
    positive(A=A, kappa=kappa, order_size=order_size)
    non_negative(xi=xi)
    finite(maker_fee=maker_fee)
    u = xi * order_size / kappa
    log_slope = math.log1p(u) / u if u > 0.0 else 1.0
    eta = intensity_after_fee(A, kappa=kappa, fee=maker_fee) * math.exp(-log_slope * (1.0 + u))
    positive(fills_at_best_depth=eta)
    return log_slope / kappa + maker_fee, eta
