"""What a run holds and may come to hold, valued at what its market says now.

What has no price is None or NaN, never zero: who asks has to stop then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmbot.risk.firm import Coin
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

        A position is worth the less of mid and second price: a book alone can be pushed. While the book is away, the
        second price alone counts, as long as it is fresh.
        """
        total = 0.0
        for index, each in enumerate(self._listed):
            books = self._core.books(0, index)
            lots = books["position_lots"]
            if not lots and not books["cash_units"]:
                continue
            prices = self._prices_of(index)
            if not prices:
                return None
            worth = books["cash_units"] / UNITS + min(value(each.instrument, lots, price) for price in prices)
            total += worth * prices[0] if each.instrument.kind == "inverse" else worth
        return round(total * UNITS)

    def _prices_of(self, index: int) -> list[float]:
        """Mid and second price, as far as they are known."""
        known = (self.mid(index), self._prices.of(index, self._core.now))
        return [price for price in known if price is not None]

    def worst_case(self) -> float:
        """Notional of all instruments if everything on one side of each traded that may still trade."""
        ends = (self._ends(index) for index in range(len(self._listed)))
        return sum(self._notional(index, max(high, -low)) for index, (high, low) in enumerate(ends))

    def worst_by_coin(self) -> dict[str, Coin] | None:
        """What may come to be held of each coin; None while some of it has no price."""
        coins: dict[str, Coin] = {}
        for index, each in enumerate(self._listed):
            ends = self._ends(index)
            worths = [self._notional(index, lots) for lots in ends]
            if any(map(math.isnan, worths)):
                return None
            high, low = (round(worth * UNITS) for worth in worths)
            before = coins.get(each.terms.base, Coin(0, 0, 0))
            gross = before.gross + max(high, -low)
            coins[each.terms.base] = Coin(gross, before.high + high, before.low + low)
        return coins

    def _ends(self, index: int) -> tuple[int, int]:
        """The position if everything bought traded, and if everything sold did; lots, signed."""
        high = low = self.lots(index)
        for _, side, *_, exposure, _, _, _, _ in self._core.order_rows(index):
            high, low = (high + exposure, low) if side == "buy" else (high, low - exposure)
        return high, low

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
        instrument = self._listed[index].instrument
        size = lots * instrument.lot_size * float(instrument.contract)
        if instrument.kind == "inverse":
            return size
        return size * next(iter(self._prices_of(index)), math.nan)
