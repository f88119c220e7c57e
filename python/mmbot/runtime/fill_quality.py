"""What our fills are worth: their fee, the edge against the mid that they met, and the markout five seconds later."""

from __future__ import annotations

import math
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot.runtime.worth import value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.risk.levels import FreezeAsked
    from mmbot.risk.watch import RiskWatch
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.holdings import Holdings
    from mmbot.venues.port import ExecutionSeen

__all__ = ["FillQuality"]

_RATE_OF_A_BP = 10_000
"""Rates of an instrument are in 10^-8."""
_MARKOUT_NS = 5_000_000_000
_MARKOUTS = 10_000


class FillQuality:
    """Of the instruments of one run, by their index."""

    def __init__(self, watch: RiskWatch, holdings: Holdings, listed: Sequence[Listed]) -> None:
        self._watch, self._holdings, self._listed = watch, holdings, listed
        self._waiting: deque[tuple[int, int, int, float]] = deque(maxlen=_MARKOUTS)
        self._edges: list[deque[float]] = [deque(maxlen=watch.config.markout_fills) for _ in listed]

    def filled(self, index: int, fact: ExecutionSeen, now: int) -> list[FreezeAsked]:
        """Take a trade of ours that was booked. Without a mid it earned nothing."""
        each, price, sign = self._listed[index], float(fact.price), 1 if fact.side == "buy" else -1
        worth, fee = value(each.instrument, each.instrument.lots(fact.qty), price), _fee(fact, each)
        # A spot fee in the coin bought is rounded by the venue to that coin's own grid: it is measured, not checked.
        checked = fact.category != "spot"
        found = self._watch.filled(
            _symbol(each),
            fact.side,
            now,
            notional=Decimal(repr(worth)) if checked else None,
            fee=fee if checked else None,
            rate_bps=(each.instrument.maker if fact.maker else each.instrument.taker) / _RATE_OF_A_BP,
        )
        self._waiting.append((now, index, sign, price))
        edges, mid = self._edges[index], self._holdings.mid(index)
        earned = 0.0 if mid is None else sign * (mid - price) / price * 1e4
        edges.append(earned - (float(fee) / abs(worth) * 1e4 if worth else 0.0))
        if len(edges) == edges.maxlen:
            found += self._watch.edge(_symbol(each), sum(edges) / len(edges), now)
        return found

    def look(self, now: int) -> list[FreezeAsked]:
        """Markouts of the fills that are old enough; without a mid they count as the worst that may be."""
        found: list[FreezeAsked] = []
        while self._waiting and self._waiting[0][0] + _MARKOUT_NS <= now:
            _, index, sign, price = self._waiting.popleft()
            mid = self._holdings.mid(index)
            moved = math.nan if mid is None else sign * (mid - price) / price * 1e4
            found += self._watch.markout(_symbol(self._listed[index]), moved, now)
        return found

    def forget(self, index: int) -> None:
        """People have looked at an instrument: its edge is averaged anew."""
        self._edges[index].clear()


def _symbol(listed: Listed) -> str:
    return f"{listed.category} {listed.symbol}"


def _fee(fact: ExecutionSeen, listed: Listed) -> Decimal:
    """The fee in the settlement currency; one in the coin that was bought counts at the execution's own price."""
    fee, terms = Decimal(fact.fee or "0"), listed.terms
    in_base = fact.fee_currency == terms.base != (terms.settle or terms.quote)
    return fee * Decimal(fact.price) if in_base else fee
