"""Mark and index price, premium, price limits and funding rate, from what the floor shows.

    index    the mid price averaged over a second or so: a recording carries no index of other venues
    premium  averaged (mid − index) / index
    mark     median of  index × (1 + funding rate × time to funding / interval),  index + averaged basis,  last price
    rate     premium + clamp(0.01 % − premium, ±0.05 %), clamped to the instrument's funding bounds

Source: Bybit help centre "Mark Price Calculation", "Introduction to Funding Rate"; docs "Order Price Limit" (2026-05).
Not modelled: index constituents, and impact prices (the premium uses the mid).
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from mmbot.exchange.money import rate_units
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.rules import Bounds, Rules

__all__ = ["Prices"]

MINUTE_MS = 60_000
RATE_UNITS = 10**8
_INTEREST = 10_000
"""0.01 % per interval, in 10^-8."""
_DAMPER = 50_000
"""0.05 %, in 10^-8."""


@dataclass(slots=True)
class _Average:
    """An exponentially weighted mean over irregular times."""

    half_life_ms: int
    value: float | None = None

    def add(self, value: float, elapsed_ms: float) -> float:
        if self.value is None:
            self.value = value
        else:
            self.value += (value - self.value) * -math.expm1(-math.log(2) * elapsed_ms / self.half_life_ms)
        return self.value


class Prices:
    """Derived prices of one instrument, in ticks; rates in 10^-8."""

    def __init__(self, rules: Rules, bounds: Bounds, switches: PublicSwitches) -> None:
        self.mark = 0
        self.index = 0
        self.funding_rate = _INTEREST
        self.interval_ms = switches.funding_every_ms or rules.funding_interval_min * MINUTE_MS
        self._spot = rules.is_spot
        self._moves = switches.mark_band
        self._bounds = bounds
        self._x, self._y = Fraction(rules.price_limit_x), Fraction(rules.price_limit_y)
        self._rates = (rate_units(rules.lower_funding_rate), rate_units(rules.upper_funding_rate))
        self._mid = _Average(switches.index_half_life_ms)
        self._basis = _Average(switches.premium_half_life_ms)
        self._excess = _Average(switches.premium_half_life_ms)
        """Averaged mid − mark."""
        self._at_ms = 0
        self._limits: tuple[int, int] | None = None
        """What `limits` said since the last move."""

    def next_funding_ms(self, now_ms: int) -> int:
        """The next settlement after now."""
        return now_ms - now_ms % self.interval_ms + self.interval_ms

    @property
    def premium(self) -> int:
        """Averaged premium of the mid over the index, in 10^-8."""
        return round((self._basis.value or 0.0) / self.index * RATE_UNITS) if self.index else 0

    def move(self, bid: int | None, ask: int | None, last: int, now_ms: int) -> None:
        """Hears the touch. A side that is empty leaves the prices where they are."""
        if bid is None or ask is None:
            return
        self._limits = None
        elapsed = max(now_ms - self._at_ms, 0)
        self._at_ms = now_ms
        mid = (bid + ask) / 2
        index = self._mid.add(mid, elapsed)
        basis = self._basis.add(mid - index, elapsed)
        left = (self.next_funding_ms(now_ms) - now_ms) / self.interval_ms
        carried = index * (1 + self.funding_rate / RATE_UNITS * left)
        mark = sorted((carried, index + basis, float(last or mid)))[1]
        self._excess.add(mid - mark, elapsed)
        self.index, self.mark = round(index), round(index if self._spot else mark)
        raw = self.premium + min(max(_INTEREST - self.premium, -_DAMPER), _DAMPER)
        self.funding_rate = min(max(raw, self._rates[0]), self._rates[1])

    def limits(self) -> tuple[int, int]:
        """Highest buy and lowest sell price, in ticks."""
        if self._limits is None:
            self._limits = self._band()
        return self._limits

    def _band(self) -> tuple[int, int]:
        low, high = self._bounds.tick_min, self._bounds.tick_max
        if not self._moves or not self.index:
            return high, low
        index, mark = Fraction(self.index), Fraction(self.mark)
        if self._spot:
            premium = Fraction(self._basis.value or 0.0)
            buy = min(max(index, index * (1 + self._x) + premium), index * (1 + self._y))
            sell = max(min(index, index * (1 - self._x) + premium), index * (1 - self._y))
        else:
            premium = Fraction(self._excess.value or 0.0)
            buy = min(mark * (1 + self._y), max(index, mark * (1 + self._x) + max(Fraction(0), premium)))
            sell = max(mark * (1 - self._y), min(index, mark * (1 - self._x) + min(Fraction(0), premium)))
        return min(math.floor(buy), high), max(math.ceil(sell), low)
