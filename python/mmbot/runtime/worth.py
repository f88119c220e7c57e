"""What a position is worth, and numbers and amounts as a venue writes them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot.execution.bookings import CASH_UNITS

if TYPE_CHECKING:
    from mmbot import _core

__all__ = ["number", "units", "value"]


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


def units(amount: str) -> int:
    """Read an amount in whole 10^-12; finer ones are rounded half to even, and nothing said is nothing."""
    return int((Decimal(amount or "0") * CASH_UNITS).to_integral_value())
