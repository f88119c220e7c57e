"""The inventory of a maker as a chain of states, and the depths that follow from it.

With exponential fill intensity the Hamilton–Jacobi–Bellman equation of a maker whose inventory is bounded becomes
linear in v(q) = exp(κ·value(q)/Δ), on the states q = −Q, …, −Δ, 0, Δ, …, Q:

    ∂v/∂t = M·v,      M = tridiag(−η, d(q), −η)

        −Q ←η→ … ←η→ −Δ ←η→ 0 ←η→ Δ ←η→ … ←η→ Q          d(q): what holding q costs

Near the horizon v is exp(−M·time) times its terminal value; far from it, the ground state of M. Both are computed
without a subtraction that cancels. This matters: v falls like exp(−q²), so a dense eigenvector, exact to 1e−16 of its
largest entry, is noise at the inventories where the quotes matter most.

Source: O. Guéant, C.-A. Lehalle, J. Fernandez-Tapia, "Dealing with the inventory risk", Math. Financial Economics 7
(2013); Á. Cartea, S. Jaimungal, J. Penalva, "Algorithmic and High-Frequency Trading" (2015), section 10.2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmbot.quoting.checked import finite, positive
from mmbot.quoting.quote import Depths

__all__ = ["DepthTable", "inventory_states", "log_evolved", "log_ground_steps"]

_TAYLOR_TERMS = 18
"""1/19! < 1e−17: enough for a matrix of norm at most one."""
_ORDERS_MAX = 1_000
"""A limit of a thousand orders each way is a unit mistake, not a strategy."""
_ON_STATE = 1e-9


@dataclass(frozen=True, slots=True)
class DepthTable:
    """Depths of every inventory state from −limit to +limit, in price units; `order_size` units between states."""

    order_size: float
    bid: tuple[float, ...]
    ask: tuple[float, ...]

    @classmethod
    def from_steps(cls, steps: Sequence[float], *, order_size: float, kappa: float, offset: float) -> "DepthTable":
        """Build from `steps[i]` = ln v(i) − ln v(i+1), lowest state first; `offset` is added to both sides.

        Raises ValueError if a step is not finite: parameters so large or so small that the solution left the floats.
        """
        for step in steps:
            if not math.isfinite(step):
                raise ValueError(
                    f"the value steps by e^{step!r} between two positions; expected parameters nearer to one"
                )
        bid = (*(offset + step / kappa for step in steps), math.inf)
        ask = (math.inf, *(offset - step / kappa for step in steps))
        return cls(order_size, bid, ask)

    def at(self, position: float) -> Depths:
        """Return the depths at `position` units.

        Between two states (after a partial fill) the depths are interpolated, and a side on which a full order no
        longer fits is +inf. Beyond the limit (a late fill can put us there) the reducing side quotes as at the limit.
        """
        finite(position=position)
        limit = len(self.bid) // 2
        state = min(max(position / self.order_size, -limit), limit) + limit
        nearest = round(state)
        if abs(state - nearest) < _ON_STATE:
            return Depths(self.bid[nearest], self.ask[nearest])
        low = math.floor(state)
        weight = state - low
        return Depths(
            self.bid[low] + weight * (self.bid[low + 1] - self.bid[low]),
            math.inf if low == 0 else self.ask[low] + weight * (self.ask[low + 1] - self.ask[low]),
        )


def inventory_states(position_limit: float, order_size: float) -> range:
    """Return the inventory states −n … n, counted in orders.

    Raises ValueError unless `position_limit` is a whole number of orders, from one to a thousand.
    """
    positive(position_limit=position_limit, order_size=order_size)
    orders = position_limit / order_size
    if not 0.5 < orders < _ORDERS_MAX + 0.5 or abs(orders - round(orders)) > _ON_STATE * orders:
        raise ValueError(
            f"position_limit is {position_limit!r} with order_size {order_size!r}; "
            f"expected a whole number of orders from 1 to {_ORDERS_MAX}"
        )
    return range(-round(orders), round(orders) + 1)


def log_ground_steps(diagonal: Sequence[float], coupling: float) -> list[float]:
    """Return ln v(i) − ln v(i+1) for the ground state v of tridiag(−coupling, diagonal, −coupling).

    The ratios ρ(i) = v(i−1)/v(i) obey ρ(i) = (d(i) − λ)/η − 1/ρ(i+1), started at the edge. They are also the pivots of
    M − λ, which are all positive exactly below the lowest eigenvalue: so bisection on their sign finds it, and the
    same ratios, taken from each edge towards the cheapest state, are its eigenvector to full relative precision.
    """
    cheapest = min(range(len(diagonal)), key=diagonal.__getitem__)
    low, high = diagonal[cheapest] - 2.0 * coupling, diagonal[cheapest]
    while low < (middle := 0.5 * (low + high)) < high:
        if min(_ratios(diagonal, coupling, middle)) > 0.0:
            low = middle
        else:
            high = middle
    above = _ratios(diagonal[:cheapest:-1], coupling, low)
    below = _ratios(diagonal[:cheapest], coupling, low)
    return [-math.log(ratio) for ratio in below] + [math.log(ratio) for ratio in reversed(above)]


def _ratios(diagonal: Sequence[float], coupling: float, eigenvalue: float) -> list[float]:
    """Return v(next)/v(this) for each state, walking in from an edge; stops after the first that is not positive."""
    ratios: list[float] = []
    inverse = 0.0
    for cost in diagonal:
        ratio = (cost - eigenvalue) / coupling - inverse
        ratios.append(ratio)
        if ratio <= 0.0:
            break
        inverse = 1.0 / ratio
    return ratios


def log_evolved(
    diagonal: Sequence[float], coupling: float, *, time: float, log_terminal: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return ln[exp(−M·time)·exp(log_terminal)], one entry per state.

    Scaling and squaring of shift − M, which has no negative entry: every sum adds positive terms, so each entry keeps
    its relative precision however small it is. Not handled: the order in which the linear algebra library sums, so the
    last bits may differ between machines; the ground state has no such freedom.

    Raises ValueError if the value of the outermost state underflows.
    """
    shift = max(diagonal)
    matrix = time * (np.diag(shift - np.asarray(diagonal)) + coupling * _neighbours(len(diagonal)))
    norm = float(matrix.sum(axis=1).max())
    squarings = max(0, math.frexp(norm)[1])
    matrix /= 2.0**squarings
    power = term = np.eye(len(diagonal))
    for order in range(1, _TAYLOR_TERMS + 1):
        term = term @ matrix / order
        power = power + term
    log_scale = 0.0
    for _ in range(squarings):
        power = power @ power
        peak = float(power.max())
        power /= peak
        log_scale = 2.0 * log_scale + math.log(peak)
    value = power @ np.exp(np.asarray(log_terminal))
    if not value.min() > 0.0:
        raise ValueError("the value of holding position_limit underflows to zero; expected a smaller position_limit")
    evolved: npt.NDArray[np.float64] = np.log(value) + (log_scale - shift * time)
    return evolved


def _neighbours(size: int) -> npt.NDArray[np.float64]:
    return np.eye(size, k=1) + np.eye(size, k=-1)
