"""When a position has to go: stop loss, trailing stop, and a leg that stands alone.

A stop asks once for each position, and anew for the next. One that people lifted is armed anew from the price that is
seen next; until then it asked, and nothing else than a flat position or people makes it ask again.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import Any

from mmbot.risk.controls import asked
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["StopWatch", "UnhedgedWatch"]

_NS_PER_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Held:
    """One position that is watched."""

    sign: int
    base: float
    """What the stop loss counts from: the entry, the first price that was seen where the venue told no entry, or the
    price at which people lifted it.
    """
    best: float
    lifted: bool = False
    """The base is of a lift, whatever the entry is."""
    done: bool = False
    """It asked."""


class StopWatch:
    """Holds prices against entry and best price; None switches a stop off."""

    def __init__(self, stop_loss_pct: float | None, trailing_stop_pct: float | None) -> None:
        self.stop_loss_pct, self.trailing_stop_pct = stop_loss_pct, trailing_stop_pct
        self._held: dict[str, _Held] = {}

    def holds(self, symbol: str, position: float) -> None:
        """Take a position (signed) as it is after a fill: one that is flat or turned is another one from here on."""
        held = self._held.get(symbol)
        if held is not None and position * held.sign <= 0:
            del self._held[symbol]

    def seen(self, symbol: str, position: float, entry: float, price: float, now: int) -> list[FreezeAsked]:
        """Take position (signed), its average entry (0 or NaN: not known) and the price.

        A price that is none changes nothing here: it is the book's age and the marks that stop trading without prices.
        """
        self.holds(symbol, position)
        if not position or not _is_price(price):
            return []
        held = self._held.get(symbol)
        if held is None:
            base = entry if _is_price(entry) else price
            held = self._held[symbol] = _Held(1 if position > 0 else -1, base, base)
        elif math.isnan(held.base):  # people lifted it
            held.base = held.best = price
        elif _is_price(entry) and not held.lifted:
            held.base = entry
        held.best = max(held.best, price) if held.sign > 0 else min(held.best, price)
        found = [] if held.done else self._beyond(symbol, held, price, now)
        held.done = held.done or bool(found)
        return found[:1]

    def _beyond(self, symbol: str, held: _Held, price: float, now: int) -> list[FreezeAsked]:
        found = []
        for control, since, limit in (
            ("stop_loss", held.base, self.stop_loss_pct),
            ("trailing_stop", held.best, self.trailing_stop_pct),
        ):
            lost = held.sign * (since - price) / since * 100
            if limit is not None and lost >= limit - 1e-9:
                reason = f"lost {lost:.2f} % from {since:g}; limit {limit:g} %"
                found.append(asked(control, Scope("symbol", symbol), reason, now))
        return found

    def rearm(self, symbol: str) -> bool:
        """People lifted a symbol: a stop that asked counts from the price that is seen next. False where none had."""
        held = self._held.get(symbol)
        if held is None or not held.done:
            return False
        self._held[symbol] = _Held(held.sign, math.nan, math.nan, lifted=True)
        return True

    def state(self) -> dict[str, Any]:
        """What a restart must not forget: best prices above all."""
        return {
            symbol: [None if isinstance(word, float) and math.isnan(word) else word for word in astuple(held)]
            for symbol, held in self._held.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises ValueError or TypeError for one that is none."""
        self._held = {
            symbol: _Held(1 if sign > 0 else -1, _number(base), _number(best), bool(lifted), bool(done))
            for symbol, (sign, base, best, lifted, done) in state.items()
        }


def _is_price(price: float) -> bool:
    return math.isfinite(price) and price > 0


def _number(word: float | None) -> float:
    return math.nan if word is None else float(word)


class UnhedgedWatch:
    """Adds up unhedged notional times seconds; a hedged moment ends it. None switches it off."""

    def __init__(self, limit_usd_s: float | None, scope: Scope) -> None:
        self.limit_usd_s, self.scope = limit_usd_s, scope
        self._at: int | None = None
        self._open = 0.0
        self._sum = 0.0

    def seen(self, unhedged: float, now: int, *, least: float = 0.0) -> list[FreezeAsked]:
        """Take the amount that has no counterpart; what is no number counts as the limit. least: what no hedge is finer
        than, and counts as hedged.
        """
        if self.limit_usd_s is None:
            return []
        if self._at is not None:
            self._sum += self._open * max(now - self._at, 0) / _NS_PER_SECOND
        self._at, self._open = now, abs(unhedged)
        if not math.isfinite(unhedged):
            self._sum, self._open = max(self._sum, self.limit_usd_s), 0.0
        elif abs(unhedged) <= least:
            self._sum = self._open = 0.0
        reason = f"unhedged for {self._sum:.0f} dollar-seconds; limit {self.limit_usd_s:.0f}"
        return [asked("unhedged", self.scope, reason, now)] if self._sum >= self.limit_usd_s else []

    def rearm(self) -> bool:
        """People lifted it: the sum begins at zero. False where it had not asked."""
        fell = self.limit_usd_s is not None and self._sum >= self.limit_usd_s
        if fell:
            self._sum = 0.0
        return fell

    def state(self) -> dict[str, Any]:
        """What a restart must not forget: the leg stands alone meanwhile as well."""
        return {"at": self._at, "open": self._open, "sum": self._sum}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError, TypeError or ValueError for one that is none."""
        self._at = None if state["at"] is None else int(state["at"])
        self._open, self._sum = float(state["open"]), float(state["sum"])
