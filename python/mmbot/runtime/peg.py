"""What a stable coin is worth in another one: the best bid and ask of a pair of two, such as USDC for USDT.

The pair is heard beside the instruments of a run and never traded. A price that nobody repeated for half a
minute, or of a book that was lost, is none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from mmbot.runtime.worth import number
from mmbot.venues.records import BookLost, BookUpdate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import Heard, InstrumentTerms, Market

__all__ = ["OLD_NS", "STABLE", "Peg", "check_pair", "stable_coins"]

OLD_NS: Final = 30_000_000_000
"""From then on the price is not known any more. Bybit repeats a quiet touch after 3 s."""
STABLE: Final = frozenset({"USDT", "USDC", "USDE", "DAI", "FDUSD", "PYUSD", "TUSD", "USD1"})
"""Coins that are meant to be a dollar."""


def stable_coins(listed: Sequence[Listed]) -> list[str]:
    """Stable coins that instruments are settled or quoted in, in the order of the instruments."""
    coins = [coin for each in listed for coin in (each.terms.settle, each.terms.quote) if coin in STABLE]
    return list(dict.fromkeys(coins))


def check_pair(pair: InstrumentTerms, listed: Sequence[Listed]) -> None:
    """Refuse a pair by which no coin of a run is measured. Raises ValueError."""
    coins = stable_coins(listed)
    if not {pair.base, pair.quote} <= STABLE:
        raise ValueError(f"{pair.symbol} is {pair.base} in {pair.quote}; expected two stable coins, as in USDCUSDT")
    if not coins or not any(coin in (pair.base, pair.quote) for coin in coins):
        traded = ", ".join(coins) or "no stable coin"
        raise ValueError(f"{pair.symbol} says nothing of this run, which trades in {traded}")


class Peg:
    """The price of one pair, "category symbol". now: when the run began, from which it has `OLD_NS` to be heard."""

    def __init__(self, pair: str, now: int) -> None:
        category, self.symbol = pair.split()
        self.market: Market = (category, self.symbol)
        self._bids: dict[float, float] = {}
        self._asks: dict[float, float] = {}
        self._at = self._good = now

    def heard(self, record: Heard, ts_recv: int) -> None:
        """Take what the market says of the pair."""
        match record:
            case BookUpdate():
                if record.kind == "snapshot":
                    self._bids, self._asks = {}, {}
                for levels, side in ((record.bids, self._bids), (record.asks, self._asks)):
                    for price, qty in levels:
                        side[number(price)] = number(qty)
                self._bids, self._asks = _standing(self._bids), _standing(self._asks)
                self._at = ts_recv
                self._good = self._good if self._mid() is None else ts_recv
            case BookLost():
                self._bids, self._asks = {}, {}
            case _:
                pass

    def price(self, now: int) -> float | None:
        """Middle of the book; None where it is old, empty on a side or crossed."""
        return None if now - self._at > OLD_NS else self._mid()

    def is_late(self, now: int) -> bool:
        """There was no price for so long that it is no start and no book asked for anew any more."""
        return now - self._good > OLD_NS

    def _mid(self) -> float | None:
        if not self._bids or not self._asks:
            return None
        bid, ask = max(self._bids), min(self._asks)
        return None if bid >= ask else (bid + ask) / 2


def _standing(levels: dict[float, float]) -> dict[float, float]:
    """Levels that have a quantity, and numbers for price and quantity."""
    return {price: qty for price, qty in levels.items() if 0 < price < math.inf and 0 < qty < math.inf}
