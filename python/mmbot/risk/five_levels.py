"""Five checks for strategies at a broker: order, position, exposure, open positions, daily loss.

    risk.price("AAPL", 187.2, now)
    risk.check("AAPL", "buy", 10, 187.1, now)   -> (); or every reason against it

Each level has a reason code of its own; all are looked at and counted. Amounts are worst cases (`exposure`), working
orders among them, at the market's price or the order's own where that is more; a market order is valued at the price
that it would meet. What can only shrink a position is held back by no amount but its own size. What is missing, stale
or no number denies.

Not handled: a clock that is set forward by a day, which nobody can tell from a new day.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from mmbot.risk.exposure import Exposure, Order, number

__all__ = ["CODES", "BrokerLimits", "FiveLevelRisk"]

CODES: Final = (
    "malformed",
    "no_price",
    "collar",
    "order_size",
    "position_size",
    "exposure",
    "open_positions",
    "daily_loss",
)
"""Every reason against an order; a code never changes its meaning."""
_DAY_NS = 86_400_000_000_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BrokerLimits:
    """The limits. Raises ValueError unless they are positive and consistent."""

    order: float = 500.0
    """Largest order, units."""
    position: float = 1_000.0
    """Largest position, units either way, worst case."""
    exposure: float = 50_000.0
    """Largest sum of positions at their prices, worst case."""
    positions: int = 5
    """Most symbols with a position, or a way to one."""
    daily_loss: float = 5_000.0
    """Loss of a day of UTC that stops everything until the next, or until a person resets it."""
    collar_pct: float = 5.0
    """How far beyond the market a limit price may be, percent of it."""
    circuit_breaker: bool = True
    """Whether the daily loss latches."""

    def __post_init__(self) -> None:
        """Check them."""
        for name in ("order", "position", "exposure", "positions", "daily_loss", "collar_pct"):
            value = getattr(self, name)
            if not number(value) > 0 or (name == "positions" and number(value) % 1):
                kind = "whole" if name == "positions" else "finite"
                raise ValueError(f"{name} is {value!r}; expected a {kind} number above zero")
        if self.order > self.position:
            raise ValueError(f"order {self.order:g} is above position {self.position:g}; expected at most that")


class FiveLevelRisk:
    """Positions, working orders, prices and the day's result of one account. Times in ns since epoch."""

    def __init__(self, limits: BrokerLimits | None = None) -> None:
        self.limits = limits or BrokerLimits()
        self._known = Exposure()
        self._day, self._result = -1, 0.0
        self.tripped = False
        """The daily loss was reached."""
        self.counters: Counter[str] = Counter()
        """Denials by reason."""

    # ---- what is known

    def position(self, symbol: str, size: float) -> None:
        """Take a position, signed."""
        self._known.position(symbol, size)

    def price(self, symbol: str, price: float, now: int) -> None:
        """Take a price; it is good for a minute."""
        self._known.price(symbol, price, now)

    def working(self, order_id: str, symbol: str, side: str, size: float, price: float | None) -> None:
        """Take an order that may trade, or what is left of it: sent, unanswered or resting, until `done`."""
        self._known.working(order_id, Order.told(symbol, side, size, price))

    def done(self, order_id: str) -> None:
        """Forget an order that is proven to trade no more."""
        self._known.done(order_id)

    def result(self, amount: float, now: int) -> None:
        """Add to the day's result: negative is a loss, and what is no number is one that reaches the limit.

        A new day of UTC begins at zero, its breaker closed; a clock that is set back begins none.
        """
        self._turn(now)
        after = number(self._result + number(amount))
        self._result = self._result if math.isnan(after) else after
        lost = math.isnan(after) or -self._result >= self.limits.daily_loss
        self.tripped = (self.tripped and self.limits.circuit_breaker) or lost

    def reset(self, by: str) -> None:
        """Close the breaker, by a named person: the day begins anew at zero. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("who closes the breaker? expected a person's name")
        _LOG.warning("daily loss breaker closed by %s; the day's result was %g", by, self._result)
        self.tripped, self._result = False, 0.0

    # ---- the question

    def check(self, symbol: str, side: str, size: float, price: float | None, now: int) -> tuple[str, ...]:
        """Every reason against an order; none if it may leave. price: None for a market order."""
        self._turn(now)
        order = Order.told(symbol, side, size, price)
        found = self._reasons(order, now) if order.is_sound else ["malformed"]
        self.counters.update(found)
        return tuple(found)

    def _reasons(self, order: Order, now: int) -> list[str]:
        limits, market = self.limits, self._known.price_at(order.symbol, now)
        checks = [
            ("no_price", math.isnan(market)),
            ("collar", order.is_beyond(market, limits.collar_pct / 100)),
            ("order_size", order.size > limits.order),
        ]
        if not self._known.shrinks(order):
            # A sum of what is not known is NaN, which is no less than any limit.
            after = self._known.total(now, order)
            worsens = not after <= self._known.total(now)
            checks += [
                ("position_size", not self._known.worst(order.symbol, order.side, order) <= limits.position),
                ("exposure", worsens and not after <= limits.exposure),
                ("open_positions", self._known.opened(order) > limits.positions),
                ("daily_loss", self.tripped),
            ]
        return [reason for reason, holds in checks if holds]

    def exposure(self, now: int) -> float:
        """Positions and what may become of them at their prices; NaN while one has none."""
        return self._known.total(now)

    def metrics(self) -> dict[str, int]:
        """Denials so far by reason, those without one at zero."""
        return {code: self.counters[code] for code in CODES}

    # ---- over restarts

    def state(self) -> dict[str, Any]:
        """What a restart must not forget, for JSON."""
        return {"version": 1, "day": self._day, "result": self._result, "tripped": self.tripped}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError for one that is none."""
        try:
            if state["version"] != 1:
                raise ValueError(f"of version {state['version']}; this mmbot reads 1")
            day, result, tripped = state["day"], number(state["result"]), state["tripped"]
            if type(day) is not int or math.isnan(result) or type(tripped) is not bool:
                raise ValueError(f"{state}; expected a whole day, a finite result, and true or false")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the state of five levels cannot be read: {error!r}") from None
        self._day, self._result, self.tripped = day, result, tripped

    def _turn(self, now: int) -> None:
        if now // _DAY_NS > self._day:
            self._day, self._result, self.tripped = now // _DAY_NS, 0.0, False
