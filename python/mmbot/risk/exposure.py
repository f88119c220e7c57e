"""What an account holds and may come to hold: positions, prices, and orders that may still trade, as somebody tells.

    worst case of a side = the position, and every order of that side that is not proven done

An order is worth its size at the price of the market, or at its own limit where that is more: a limit far from the
market makes nothing small. What is no finite number is not known, and what is not known is NaN in every sum: whoever
compares has to deny then (`not sum <= limit`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Final

__all__ = ["PRICE_AGE_NS", "Exposure", "Order", "number"]

PRICE_AGE_NS: Final = 60_000_000_000
"""Oldest price by which anything may be valued."""
_SIGN: Final = {"buy": 1.0, "sell": -1.0}


def number(said: object) -> float:
    """Return a finite number; NaN for anything else: infinities of every type, booleans, words, what no float holds."""
    if isinstance(said, bool) or not isinstance(said, Real | Decimal):
        return math.nan
    try:
        value = float(said)
    except (ValueError, OverflowError):  # a signalling NaN; a whole number beyond every float
        return math.nan
    return value if math.isfinite(value) else math.nan


def _positive(said: object) -> float:
    value = number(said)
    return value if value > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Order:
    """An order, or what is left of one. NaN: not known; a side that is none may trade on both."""

    symbol: str
    side: str
    size: float
    limit: float | None
    """None: at the market."""

    @classmethod
    def told(cls, symbol: str, side: str, size: object, limit: object) -> Order:
        """Take it as somebody tells it."""
        return cls(symbol, side, _positive(size), None if limit is None else _positive(limit))

    @property
    def is_sound(self) -> bool:
        """A side, and numbers above zero."""
        return self.side in _SIGN and self.size > 0 and (self.limit is None or self.limit > 0)

    def may(self, symbol: str, side: str) -> bool:
        """Whether it may trade there, on that side."""
        return self.symbol == symbol and (self.side == side or self.side not in _SIGN)

    def is_beyond(self, market: float, share: float) -> bool:
        """Whether its limit lies further beyond the market than that share of it, on the side on which it costs; never
        where one of the two is not known.
        """
        if self.limit is None:
            return False
        beyond = (self.limit - market) if self.side == "buy" else (market - self.limit)
        return beyond > market * share * (1 + 1e-12)

    def worth(self, price: float) -> float:
        """At the market's price, or its own where that is more; NaN where one of them is not known."""
        limit = price if self.limit is None else self.limit
        return math.nan if math.isnan(limit) or math.isnan(price) else self.size * max(price, limit)


class Exposure:
    """Of one account. Symbols that nobody spoke of are flat."""

    def __init__(self) -> None:
        self._positions: dict[str, float] = {}
        self._prices: dict[str, tuple[float, int | None]] = {}
        self._working: dict[str, Order] = {}

    def position(self, symbol: str, size: object) -> None:
        """Take a position, signed."""
        self._positions[symbol] = number(size)

    def price(self, symbol: str, price: object, at: int | None) -> None:
        """Take a price, and when it was so, ns; without a time it is good only for questions without one."""
        self._prices[symbol] = _positive(price), at

    def working(self, order_id: str, order: Order) -> None:
        """Take an order that may trade, or what is left of it, until `done`; one that makes no sense denies."""
        self._working[order_id] = order

    def done(self, order_id: str) -> None:
        """Forget an order that is proven to trade no more."""
        self._working.pop(order_id, None)

    def price_at(self, symbol: str, now: int | None) -> float:
        """Price of a symbol; NaN where none is known, its age is not, or it is too old or from the future."""
        price, at = self._prices.get(symbol, (math.nan, None))
        if now is None and at is None:  # who asks vouches for it
            return price
        fresh = now is not None and at is not None and 0 <= now - at <= PRICE_AGE_NS
        return price if fresh else math.nan

    def held(self, symbol: str) -> float:
        """Position of a symbol, signed."""
        return self._positions.get(symbol, 0.0)

    def worst(self, symbol: str, side: str, new: Order | None = None) -> float:
        """Units that would be held towards a side if all of that side traded; below zero: still on the other."""
        return _SIGN[side] * self.held(symbol) + math.fsum(order.size for order in self._orders(symbol, side, new))

    def shrinks(self, order: Order) -> bool:
        """Whether the position can only shrink by it, beside all that is open on its side."""
        return _SIGN[order.side] * self.held(order.symbol) < 0 and self.worst(order.symbol, order.side, order) <= 0

    def worth(self, symbol: str, side: str, now: int | None, new: Order | None = None) -> float:
        """What would be held towards a side is worth if all of that side traded; NaN where that is not known."""
        price = self.price_at(symbol, now)
        orders = [order.worth(price) for order in self._orders(symbol, side, new)]
        return _SIGN[side] * self.held(symbol) * price + math.fsum(orders)

    def gross(self, symbol: str, now: int | None, new: Order | None = None) -> float:
        """The worse of both sides, at its worth."""
        if not self._is_open(symbol, new):
            return 0.0
        sides = [self.worth(symbol, side, now, new) for side in _SIGN]
        return math.nan if any(map(math.isnan, sides)) else max(0.0, *sides)

    def total(self, now: int | None, new: Order | None = None) -> float:
        """What the worst cases of all symbols are worth; NaN while something has no fresh price, or is not known."""
        return math.fsum(self.gross(symbol, now, new) for symbol in self._symbols(new))

    def opened(self, new: Order | None = None) -> int:
        """Symbols with a position, or a way to one."""
        return sum(self._is_open(symbol, new) for symbol in self._symbols(new))

    def _is_open(self, symbol: str, new: Order | None) -> bool:
        return bool(self.held(symbol)) or any(self._orders(symbol, side, new) for side in _SIGN)

    def _orders(self, symbol: str, side: str, new: Order | None) -> list[Order]:
        orders = [*self._working.values(), *([] if new is None else [new])]
        return [order for order in orders if order.may(symbol, side)]

    def _symbols(self, new: Order | None) -> list[str]:
        named = [*self._positions, *(order.symbol for order in self._working.values())]
        return sorted({*named, *([] if new is None else [new.symbol])})
