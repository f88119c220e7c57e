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
        # Contracts pay in the coin they settle in. On spot a fee in a third coin is measured, not checked.
        checked = fact.category != "spot" or fact.fee_currency in (each.terms.base, each.terms.quote)
        found = self._watch.filled(
            each.name,
            fact.side,
            now,
            notional=Decimal(repr(worth)) if checked else None,
            fee=fee if checked else None,
            rate_bps=(each.instrument.maker if fact.maker else each.instrument.taker) / _RATE_OF_A_BP,
            rounded_by=_rounded_by(fact, each),
        )
        self._waiting.append((now, index, sign, price))
        edges, mid = self._edges[index], self._holdings.mid(index)
        earned = 0.0 if mid is None else sign * (mid - price) / price * 1e4
        edges.append(earned - (float(fee) / abs(worth) * 1e4 if worth else 0.0))
        if len(edges) == edges.maxlen:
            found += self._watch.edge(each.name, sum(edges) / len(edges), now)
        return found

    def look(self, now: int) -> list[FreezeAsked]:
        """Markouts of the fills that are old enough; without a mid they count as the worst that may be."""
        found: list[FreezeAsked] = []
        while self._waiting and self._waiting[0][0] + _MARKOUT_NS <= now:
            _, index, sign, price = self._waiting.popleft()
            mid = self._holdings.mid(index)
            moved = math.nan if mid is None else sign * (mid - price) / price * 1e4
            found += self._watch.markout(self._listed[index].name, moved, now)
        return found

    def forget(self, index: int) -> None:
        """People have looked at an instrument: its edge is averaged anew."""
        self._edges[index].clear()


def _fee(fact: ExecutionSeen, listed: Listed) -> Decimal:
    """The fee in the settlement currency; one in the coin that was bought counts at the execution's own price."""
    return Decimal(fact.fee or "0") * _worth_of_a_coin(fact, listed)


def _rounded_by(fact: ExecutionSeen, listed: Listed) -> Decimal:
    """How coarse a spot fee is, in the same currency: venues round it to a grid of its coin that they do not tell.

    One of its last digit, and no more than a lot is worth: zeros at its end are not told either.
    """
    last = Decimal(fact.fee or "0").as_tuple().exponent
    if fact.category != "spot" or not isinstance(last, int):
        return Decimal(0)
    lot = Decimal(listed.terms.lot) * Decimal(fact.price)
    return min(Decimal(1).scaleb(last) * _worth_of_a_coin(fact, listed), lot)


def _worth_of_a_coin(fact: ExecutionSeen, listed: Listed) -> Decimal:
    """One of the fee's currency in the settlement currency."""
    terms = listed.terms
    in_base = fact.fee_currency == terms.base != (terms.settle or terms.quote)
    return Decimal(fact.price) if in_base else Decimal(1)
