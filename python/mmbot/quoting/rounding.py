"""Rounding that can only make a quote safer: bids down, asks up. Float noise around a grid point is not a step.

clamp_bps(0.9999999, 1.0, "bid") = 0.99        clamp_bps(0.9999999, 1.0, "ask") = 1.00
"""

import math

from mmbot.quoting.checked import finite, non_negative

__all__ = ["BPS", "ceil_ticks", "clamp_bps", "floor_ticks", "is_bid"]

BPS = 1e-4
"""One basis point as a fraction."""
_GRID_PER_BPS = 100
_NOISE = 1e-9
"""How near to a grid point, in steps, a float is taken to mean it; from a million steps on, relative to its size."""
_RELATIVE_NOISE = 1e-15


def is_bid(side: object) -> bool:
    """Return whether `side` is the bid: "bid", "buy" or a `Side` of that name, in any case; ValueError for no side."""
    name = str(getattr(side, "name", side)).rpartition(".")[2].lower()
    if name in ("bid", "buy"):
        return True
    if name in ("ask", "sell"):
        return False
    raise ValueError(f"side is {side!r}; expected 'bid', 'ask' or a Side")


def floor_ticks(ticks: float) -> int:
    """Return the whole number of ticks at or below `ticks`, where a bid may rest."""
    nearest = round(ticks)
    return nearest if _is_noise(ticks, nearest) else math.floor(ticks)


def ceil_ticks(ticks: float) -> int:
    """Return the whole number of ticks at or above `ticks`, where an ask may rest."""
    nearest = round(ticks)
    return nearest if _is_noise(ticks, nearest) else math.ceil(ticks)


def _is_noise(ticks: float, nearest: int) -> bool:
    return abs(ticks - nearest) <= max(_NOISE, _RELATIVE_NOISE * abs(nearest))


def clamp_bps(delta_bps: float, max_delta_bps: float, side: object) -> float:
    """Return the price move `delta_bps` of a side ("bid", "ask" or a `Side`), on the grid of 0.01 bps and limited.

    The signed value is rounded down for a bid (its price is never too high) and up for an ask (never too low), and
    then capped, so that the cap holds even where it is not on the grid. The sign never turns; a move that rounds to
    nothing is 0.0.

    Raises ValueError for NaN, an infinite or negative limit, or an unknown side.
    """
    finite(delta_bps=delta_bps)
    non_negative(max_delta_bps=max_delta_bps)
    towards = floor_ticks if is_bid(side) else ceil_ticks
    if abs(delta_bps) >= max_delta_bps + 1.0 / _GRID_PER_BPS:  # no rounding brings it back, and huge floats overflow
        return math.copysign(max_delta_bps, delta_bps)
    on_grid = towards(delta_bps * _GRID_PER_BPS) / _GRID_PER_BPS
    return min(max(on_grid, -max_delta_bps), max_delta_bps)
