"""What a position is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmbot import _core

__all__ = ["value"]


def value(instrument: _core.Instrument, lots: int, price: float) -> float:
    """What a position is worth at a price, in the settlement currency: a long inverse contract is short the coin."""
    size = lots * instrument.lot_size * float(instrument.contract)
    return -size / price if instrument.kind == "inverse" else size * price
