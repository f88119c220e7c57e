"""Five checks for strategies at a broker: order, position, exposure, open positions, daily loss.

Each has a reason code of its own and all are looked at. A sell that shrinks a position adds no exposure; a market order
is valued at the price that it would meet, and denied where there is none.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

__all__ = ["BrokerLimits", "FiveLevelRisk"]

_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, kw_only=True)
class BrokerLimits:
    """The limits. Raises ValueError unless they are positive and consistent."""

    order: float = 500.0
    """Largest order, units."""
    position: float = 1_000.0
    """Largest position, units either way."""
    exposure: float = 50_000.0
    """Largest sum of positions at their prices."""
    positions: int = 5
    """Most symbols held."""
    daily_loss: float = 5_000.0
    """Loss of a day of UTC that stops everything until the next, or until a person resets it."""
    circuit_breaker: bool = True
    """Whether the daily loss latches."""

    def __post_init__(self) -> None:
        """Check them."""
        for name in ("order", "position", "exposure", "positions", "daily_loss"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"{name} is {value}; expected a finite number above zero")
        if self.order > self.position:
            raise ValueError(f"order {self.order:g} is above position {self.position:g}; expected at most that")


class FiveLevelRisk:
    """Positions, prices and the day's result of one account."""

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        self.limits = limits or BrokerLimits()
        self._positions: dict[str, float] = {}
        self._prices: dict[str, float] = {}
        self._day, self._result = -1, 0.0
        self.tripped = False
        """The daily loss was reached."""
        self.counters: Counter[str] = Counter()
        """Denials by reason."""

    def position(self, symbol: str, size: float) -> None:
        """Take a position, signed."""
        self._positions[symbol] = size

    def price(self, symbol: str, price: float) -> None:
        """Take a price."""
        self._prices[symbol] = price

    def result(self, amount: float, now: int) -> None:
        """Add to the day's result: negative is a loss. A new day of UTC begins at zero, its breaker closed."""
        self._turn(now)
        self._result += amount
        lost = not -self._result < self.limits.daily_loss  # true for NaN
        self.tripped = (self.tripped and self.limits.circuit_breaker) or lost

    def reset(self, by: str) -> None:
        """Close the breaker, by a named person. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("who closes the breaker? expected a person's name")
        self.tripped, self._result = False, 0.0

    def check(self, symbol: str, side: str, size: float, price: float | None, now: int) -> tuple[str, ...]:
        """Every reason against an order; none if it may leave. price: None for a market order."""
        self._turn(now)
        found = self._reasons(symbol, side, size, price)
        self.counters.update(found)
        return tuple(found)

    def _reasons(self, symbol: str, side: str, size: float, price: float | None) -> list[str]:
        if side not in ("buy", "sell") or not math.isfinite(size) or size <= 0:
            return ["malformed"]
        held = self._positions.get(symbol, 0.0)
        value = self._prices.get(symbol, math.nan) if price is None else price
        if not math.isfinite(value) or value <= 0 or not math.isfinite(held):
            return ["no_price"]
        after = held + (size if side == "buy" else -size)
        found = ["order_size"] if size > self.limits.order else []
        grows = abs(after) > abs(held) or after * held < 0
        return found + (self._growing(symbol, after, value) if grows else [])

    def _growing(self, symbol: str, after: float, value: float) -> list[str]:
        """What speaks against a position that grows, or turns."""
        limits = self.limits
        opened = sum(1 for other, lots in self._positions.items() if lots and other != symbol) + 1
        checks = (
            ("position_size", abs(after) > limits.position),
            ("exposure", not self.exposure(but=symbol) + abs(after) * value <= limits.exposure),  # true for NaN
            ("open_positions", opened > limits.positions),
            ("daily_loss", self.tripped),
        )
        return [reason for reason, holds in checks if holds]

    def exposure(self, but: str = "") -> float:
        """Positions at their prices, one symbol left out; NaN while one has none."""
        held = ((symbol, lots) for symbol, lots in self._positions.items() if lots and symbol != but)
        return math.fsum(abs(lots) * self._prices.get(symbol, math.nan) for symbol, lots in held)

    def _turn(self, now: int) -> None:
        day = now // _DAY_NS
        if day != self._day:
            self._day, self._result, self.tripped = day, 0.0, False
