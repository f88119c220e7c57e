"""Cartea–Jaimungal: a maker who pays a running penalty φq² and closes what is left αq away from the mid.

Market orders arrive at λ per side and fill a quote at depth δ with probability e^(−κδ); one unit per fill. The
objective is E[cash + q(S − αq) − φ∫q²]; its value is cash + qS + h(t, q) and the depths are 1/κ + h(q) − h(q ± 1).
A market order that moves the mid by ε in its direction acts as a fee of ε.

Aversion to ambiguity about the drift of the mid, penalised by relative entropy with weight 1/a, is the running penalty
φ = ½aσ²; with α = 0 and φ = ½γσ² the model is `glft` with ξ = 0.

Source: Á. Cartea, S. Jaimungal, J. Penalva, "Algorithmic and High-Frequency Trading" (2015), sections 10.2 and 10.4.
Not handled: different flow on the two sides.
"""

import math
from functools import lru_cache

from mmbot.quoting.checked import finite, non_negative, positive
from mmbot.quoting.fees import intensity_after_fee
from mmbot.quoting.inventory_chain import DepthTable, inventory_states, log_evolved
from mmbot.quoting.quote import Depths

__all__ = ["cartea_jaimungal", "cartea_jaimungal_value"]

_ORDER_SIZE = 1.0


def cartea_jaimungal(
    position: float,
    *,
    lam: float,
    kappa: float,
    phi: float,
    alpha: float,
    position_limit: float,
    time_left: float,
    maker_fee: float = 0.0,
    adverse_selection: float = 0.0,
) -> Depths:
    """Return the distances of bid and ask from the mid, in price units.

    Args:
        position: signed units held.
        lam: market orders per second and side.
        kappa: decay of the fill probability with depth, 1/price.
        phi: running inventory penalty, price per unit and second.
        alpha: what closing at the horizon costs: q units are closed αq away from the mid; price per unit.
        position_limit: the largest |position|, a whole number of units; the side that may not quote there is +inf.
        time_left: seconds to the horizon. The solution is remembered per parameter set, this one included: step it.
        maker_fee: price units per unit, negative for a rebate.
        adverse_selection: ε, the move of the mid with every market order, price units.

    Raises ValueError for a number that is not finite, a non-positive `lam` or `kappa`, a negative penalty or time, or
    a limit that is not a whole number.
    """
    finite(maker_fee=maker_fee, adverse_selection=adverse_selection)
    depths, _ = _solution(
        lam=lam,
        kappa=kappa,
        phi=phi,
        alpha=alpha,
        position_limit=position_limit,
        time_left=time_left,
        cost=maker_fee + adverse_selection,
    )
    return depths.at(position)


def cartea_jaimungal_value(
    position: float,
    *,
    lam: float,
    kappa: float,
    phi: float,
    alpha: float,
    position_limit: float,
    time_left: float,
    maker_fee: float = 0.0,
    adverse_selection: float = 0.0,
) -> float:
    """Return h(t, q): what the right to go on quoting is worth beyond cash and the marked inventory, in money.

    Parameters as in `cartea_jaimungal`; `position` must be a whole number within the limit, else ValueError.
    """
    finite(maker_fee=maker_fee, adverse_selection=adverse_selection)
    _, value = _solution(
        lam=lam,
        kappa=kappa,
        phi=phi,
        alpha=alpha,
        position_limit=position_limit,
        time_left=time_left,
        cost=maker_fee + adverse_selection,
    )
    limit = len(value) // 2
    if position not in range(-limit, limit + 1):
        raise ValueError(f"position is {position!r}; expected a whole number from {-limit} to {limit}")
    return value[int(position) + limit]


@lru_cache(maxsize=256)
def _solution(
    *, lam: float, kappa: float, phi: float, alpha: float, position_limit: float, time_left: float, cost: float
) -> tuple[DepthTable, tuple[float, ...]]:
    """Return the depths and the values h of all states."""
    positive(lam=lam, kappa=kappa)
    non_negative(phi=phi, alpha=alpha, time_left=time_left)
    states = inventory_states(position_limit, _ORDER_SIZE)
    log_value = log_evolved(
        [kappa * phi * state * state for state in states],
        intensity_after_fee(lam, kappa=kappa, fee=cost) / math.e,
        time=time_left,
        log_terminal=[-alpha * kappa * state * state for state in states],
    )
    table = DepthTable.from_steps(
        (log_value[:-1] - log_value[1:]).tolist(), order_size=_ORDER_SIZE, kappa=kappa, offset=1.0 / kappa + cost
    )
    return table, tuple((log_value / kappa).tolist())
