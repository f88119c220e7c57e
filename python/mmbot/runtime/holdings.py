"""What a run holds and may come to hold, valued at what its market says now.

What has no price is None or NaN, never zero: who asks has to stop then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmbot.runtime.worth import value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot import _core
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.second_price import SecondPrices

__all__ = ["UNITS", "Holdings", "underlyings"]

UNITS = 10**12
"""Money of the core is in units of 10^-12."""


def underlyings(listed: Sequence[Listed]) -> list[list[int]]:
    """Instruments by the coin that they are of, where a run has two of one: legs that can hedge each other."""
    by_coin: dict[str, list[int]] = {}
    for index, each in enumerate(listed):
        by_coin.setdefault(each.terms.base, []).append(index)
    return [legs for legs in by_coin.values() if len(legs) > 1]


class Holdings:
    """Positions and working orders of one core, by the index of their instrument."""

    def __init__(self, core: _core.Live, listed: Sequence[Listed], prices: SecondPrices) -> None:
        self._core, self._listed, self._prices = core, listed, prices
        self._legs = underlyings(listed)

    def lots(self, index: int) -> int:
        """Lots held, signed."""
        return int(self._core.books(0, index)["position_lots"])

    def mid(self, index: int) -> float | None:
        """Middle of the book; None where it has not both sides."""
        books = self._core.books(0, index)
        if books["bid"] is None or books["ask"] is None:
            return None
        return float((books["bid"] + books["ask"]) / 2 * self._listed[index].instrument.tick_size)

    def equity(self) -> int | None:
        """Cash and positions in the quote currency, 10^-12; None while something that is held has no price.

        A position is worth the less of mid and second price: a book alone can be pushed.
        """
        total = 0.0
        for index, each in enumerate(self._listed):
            books, mid = self._core.books(0, index), self.mid(index)
            lots = books["position_lots"]
            if not lots and not books["cash_units"]:
                continue
            if mid is None:
                return None
            second = self._prices.of(index, self._core.now)
            prices = [mid] if second is None else [mid, second]
            worth = books["cash_units"] / UNITS + min(value(each.instrument, lots, price) for price in prices)
            total += worth * mid if each.instrument.kind == "inverse" else worth
        return round(total * UNITS)

    def worst_case(self) -> float:
        """Notional of all instruments if everything on one side of each traded that may still trade."""
        total = 0.0
        for index in range(len(self._listed)):
            lots, bought, sold = self.lots(index), 0, 0
            for _, side, *_, exposure, _, _, _, _ in self._core.order_rows(index):
                bought, sold = (bought + exposure, sold) if side == "buy" else (bought, sold + exposure)
            total += self._notional(index, max(lots + bought, sold - lots))
        return total

    def unhedged(self) -> tuple[float, float]:
        """Notional of each coin that its legs do not take from one another, and how fine they could: a lot."""
        open_, least = 0.0, 0.0
        for legs in self._legs:
            open_ += abs(math.fsum(self._notional(index, self.lots(index)) for index in legs))
            lot = max(self._notional(index, 1) for index in legs)
            least += 0.0 if math.isnan(lot) else lot
        return open_, least

    def _notional(self, index: int, lots: int) -> float:
        """Signed, in the quote currency; NaN without a price."""
        if not lots:
            return 0.0
        instrument, mid = self._listed[index].instrument, self.mid(index)
        size = lots * instrument.lot_size * float(instrument.contract)
        if instrument.kind == "inverse":
            return size
        return math.nan if mid is None else size * mid
