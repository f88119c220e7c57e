"""When a position has to go: stop loss, trailing stop, and a leg that stands alone. Each asks once per position."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmbot.risk.controls import asked
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["StopWatch", "UnhedgedWatch"]

_NS_PER_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Held:
    sign: int
    entry: float
    best: float
    done: bool = False


class StopWatch:
    """Holds prices against entry and best price; None switches a stop off."""

    def __init__(self, stop_loss_pct: float | None, trailing_stop_pct: float | None) -> None:
        self.stop_loss_pct, self.trailing_stop_pct = stop_loss_pct, trailing_stop_pct
        self._held: dict[str, _Held] = {}

    def seen(self, symbol: str, position: float, entry: float, price: float, now: int) -> list[FreezeAsked]:
        """Take position (signed), its average entry and the price; a price that is none changes nothing here.

        It is the book's age and the marks that stop trading without prices. A flat or turned position begins anew.
        """
        if not position:
            self._held.pop(symbol, None)
            return []
        if not (math.isfinite(price) and price > 0 and math.isfinite(entry) and entry > 0):
            return []
        sign = 1 if position > 0 else -1
        held = self._held.get(symbol)
        if held is None or held.sign != sign:
            held = self._held[symbol] = _Held(sign, entry, entry)
        held.entry = entry
        held.best = max(held.best, price) if sign > 0 else min(held.best, price)
        if held.done:
            return []
        for control, since, limit in (
            ("stop_loss", held.entry, self.stop_loss_pct),
            ("trailing_stop", held.best, self.trailing_stop_pct),
        ):
            lost = sign * (since - price) / since * 100
            if limit is not None and lost >= limit - 1e-9:
                held.done = True
                reason = f"lost {lost:.2f} % from {since:g}; limit {limit:g} %"
                return [asked(control, Scope("symbol", symbol), reason, now)]
        return []


class UnhedgedWatch:
    """Adds up unhedged notional times seconds; a hedged moment ends it."""

    def __init__(self, limit_usd_s: float, scope: Scope) -> None:
        self.limit_usd_s, self.scope = limit_usd_s, scope
        self._at: int | None = None
        self._open = 0.0
        self._sum = 0.0

    def seen(self, unhedged: float, now: int) -> list[FreezeAsked]:
        """Take the amount of the leg that has no counterpart; NaN counts as the limit."""
        if self._at is not None:
            self._sum += self._open * (now - self._at) / _NS_PER_SECOND
        self._at, self._open = now, abs(unhedged)
        if math.isnan(unhedged):
            self._sum, self._open = self.limit_usd_s, 0.0
        elif unhedged == 0:
            self._sum = 0.0
        reason = f"unhedged for {self._sum:.0f} dollar-seconds; limit {self.limit_usd_s:.0f}"
        return [asked("unhedged", self.scope, reason, now)] if self._sum >= self.limit_usd_s else []
