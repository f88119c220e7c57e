"""What a position is worth, and numbers as a venue writes them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmbot import _core

__all__ = ["number", "value"]


def value(instrument: _core.Instrument, lots: int, price: float) -> float:
    """What a position is worth at a price, in the settlement currency: a long inverse contract is short the coin."""
    size = lots * instrument.lot_size * float(instrument.contract)
    return -size / price if instrument.kind == "inverse" else size * price


def number(said: str) -> float:
    """Read a finite number of a venue's; NaN, which no price or amount is, for what is none."""
    try:
        found = float(said)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan
