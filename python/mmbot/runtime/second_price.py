"""A second price of each instrument, not of our book: the venue's mark, or where it has none the last trade.

The core holds every price against it (`reference_collar`). It is told what was heard at most once a second, and that
nothing is known once the last word is too old: a price of before a silence must not refuse what the market is now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.runtime.worth import number
from mmbot.venues.records import PublicTrade, Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import Heard

__all__ = ["OLD_NS", "SecondPrices"]

OLD_NS = 10_000_000_000
"""From then on a second price is not known any more, where none is needed."""
_NS_PER_MS = 1_000_000
_EVERY_NS = 1_000_000_000
_UNTOLD = (0, 0)
"""No price: a core that was taken over may still know one of the earlier run."""


class SecondPrices:
    """The second prices of one run."""

    def __init__(self, listed: Sequence[Listed], age_ms: int = 0) -> None:
        """age_ms: how old one may be; 0: none is needed."""
        self._listed = listed
        self._old_ns = age_ms * _NS_PER_MS or OLD_NS
        self._index = {(each.category, each.symbol): at for at, each in enumerate(listed)}
        self._marks: list[tuple[float, int] | None] = [None] * len(listed)
        self._trades: list[tuple[float, int] | None] = [None] * len(listed)
        self._told: list[tuple[int, int] | None] = [_UNTOLD] * len(listed)
        self._due = 0

    def heard(self, category: str, record: Heard, ts_recv: int) -> None:
        """Take what the market said; a ticker without a mark says that the last one still is."""
        index = self._index.get((category, getattr(record, "symbol", "")))
        if index is None:
            return
        match record:
            case Ticker(mark=None):
                known = self._marks[index]
                self._marks[index] = None if known is None else (known[0], ts_recv)
            case Ticker(mark=str(mark)):
                self._marks[index] = (number(mark), ts_recv)
            case PublicTrade(off_book=False):
                self._trades[index] = (number(record.price), ts_recv)
            case _:
                pass

    def of(self, index: int, now: int) -> float | None:
        """Return the second price of an instrument; None where none is known, or it is too old."""
        known = self._known(index, now)
        return None if known is None else known[0]

    def _known(self, index: int, now: int) -> tuple[float, int] | None:
        both = (self._marks[index], self._trades[index])
        return next((known for known in both if known and known[0] > 0 and now - known[1] <= self._old_ns), None)

    def tell(self, core: _core.Live, clock: Callable[[], int]) -> None:
        """Tell the core what is new; clock: a fresh time for each input."""
        now = clock()
        if now < self._due:
            return
        self._due = now + _EVERY_NS
        for index, each in enumerate(self._listed):
            known = self._known(index, now)
            told = None if known is None else (round(known[0] / each.instrument.tick_size), known[1])
            if told != self._told[index]:
                self._told[index] = told
                tick, at = told or (None, now)
                core.reference(clock(), index, tick, at)
