"""What our fills are worth: the edge against the mid that they met, fees paid, and the markout five seconds later."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.risk.levels import FreezeAsked
    from mmbot.risk.watch import RiskWatch
    from mmbot.runtime.holdings import Holdings

__all__ = ["FillQuality"]

_MARKOUT_NS = 5_000_000_000
_MARKOUTS = 10_000


class FillQuality:
    """Of the instruments of one run, by their index; `symbols` name them for the watch."""

    def __init__(self, watch: RiskWatch, holdings: Holdings, symbols: Sequence[str]) -> None:
        self._watch, self._holdings, self._symbols = watch, holdings, symbols
        self._waiting: deque[tuple[int, int, int, float]] = deque(maxlen=_MARKOUTS)
        self._edges: list[deque[float]] = [deque(maxlen=watch.config.markout_fills) for _ in symbols]

    def filled(self, index: int, sign: int, price: float, paid_bps: float, now: int) -> list[FreezeAsked]:
        """Take a fill: sign 1 for a buy, what its fee was. Without a mid it earned nothing."""
        self._waiting.append((now, index, sign, price))
        edges, mid = self._edges[index], self._holdings.mid(index)
        edges.append((0.0 if mid is None else sign * (mid - price) / price * 1e4) - paid_bps)
        if len(edges) < (edges.maxlen or 1):
            return []
        return self._watch.edge(self._symbols[index], sum(edges) / len(edges), now)

    def look(self, now: int) -> list[FreezeAsked]:
        """Markouts of the fills that are old enough; without a mid they count as the worst that may be."""
        found: list[FreezeAsked] = []
        while self._waiting and self._waiting[0][0] + _MARKOUT_NS <= now:
            _, index, sign, price = self._waiting.popleft()
            mid = self._holdings.mid(index)
            moved = math.nan if mid is None else sign * (mid - price) / price * 1e4
            found += self._watch.markout(self._symbols[index], moved, now)
        return found

    def forget(self, index: int) -> None:
        """People have looked at an instrument: its edge is averaged anew."""
        self._edges[index].clear()
