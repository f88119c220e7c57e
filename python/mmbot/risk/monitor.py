"""The pre-trade check by the names that users know: one question, one answer, every reason kept.

    monitor = RuntimeRiskMonitor({"max_inventory_usd": 10_000, "max_total_notional": 50_000})
    monitor.mark("BTCUSDT", 60_000, now)
    monitor.check_before_order("BTCUSDT", "buy", 0.1, 59_990, now=now)   -> True

The rules are the core's: worst cases of position and working orders, at a real price; what is missing, stale or no
number denies; what only shrinks a position is not held back by an amount. A run's orders go through the core itself
(`crates/engine/src/limits.rs`), which nothing here can widen.

Edge below `edge_freeze_threshold_bps` freezes, and only `unfreeze` by a named person ends a freeze.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mmbot.risk.averages import EdgeWatch, RiskRatio
from mmbot.risk.levels import FreezeAsked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RuntimeRiskMonitor"]

_KEYS: Final = {
    "max_inventory_usd": "inventory",
    "max_inventory_usd_per_symbol": "inventory",
    "max_total_notional": "total",
    "max_total_notional_usd": "total",
    "edge_freeze_threshold_bps": "edge",
}
_DEFAULTS: Final = {"inventory": 50_000.0, "total": 100_000.0, "edge": 1.5}
_MARK_AGE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class _Working:
    symbol: str
    side: str
    size: float
    price: float


class RuntimeRiskMonitor:
    """Inventory per symbol, total notional, and freezes. Amounts in dollars, times in ns since epoch."""

    def __init__(self, config: Mapping[str, float] | None = None) -> None:
        """Raise ValueError for an unknown key, a limit that is not positive, or two that contradict each other."""
        known = dict(_DEFAULTS)
        for key, value in (config or {}).items():
            if key not in _KEYS:
                raise ValueError(f"{key!r} is no limit of the risk monitor; expected one of {', '.join(_KEYS)}")
            if not math.isfinite(value) or (value <= 0 and _KEYS[key] != "edge"):
                raise ValueError(f"{key} is {value}; expected a finite number above zero")
            known[_KEYS[key]] = float(value)
        if known["inventory"] > known["total"]:
            raise ValueError(f"inventory {known['inventory']:g} is above the total {known['total']:g}; raise the total")
        self.max_inventory_usd, self.max_total_notional_usd = known["inventory"], known["total"]
        self._edges = EdgeWatch(known["edge"])
        self._positions: dict[str, float] = {}
        self._marks: dict[str, tuple[float, int | None]] = {}
        self._working: dict[str, _Working] = {}
        self._ratio = RiskRatio(0.4)
        self.frozen: dict[str, str] = {}
        """Why, by symbol; "" is everything."""
        self.reasons: tuple[str, ...] = ()
        """Why the last order was denied; empty if it was not."""
        self.counters: Counter[str] = Counter()
        """Denials by reason."""
        self.asked: list[FreezeAsked] = []
        """Freezes asked for so far, for a `FreezeBoard`."""

    # ---- what is known

    def position(self, symbol: str, size: float) -> None:
        """Take the position of a symbol, signed."""
        self._positions[symbol] = size

    def mark(self, symbol: str, price: float, now: int | None = None) -> None:
        """Take the price by which a symbol is valued; without `now` it is never stale."""
        self._marks[symbol] = price, now

    def working(self, order_id: str, symbol: str, side: str, size: float, price: float) -> None:
        """Take an order that may trade: sent, unanswered or resting, until `done`."""
        self._working[order_id] = _Working(symbol, side, size, price)

    def done(self, order_id: str) -> None:
        """Forget an order that is proven to trade no more."""
        self._working.pop(order_id, None)

    # ---- the question

    def check_before_order(
        self, symbol: str, side: str, size: float, price: float | None, *, now: int | None = None
    ) -> bool:
        """Whether the order may leave; `reasons` has every one that speaks against it. No price: a market order."""
        found: list[str] = []
        if side not in ("buy", "sell") or not math.isfinite(size) or size <= 0:
            found.append("malformed")
        if price is None or not math.isfinite(price) or price <= 0:
            found.append("naked_market")
        found += [name for scope, name in ((symbol, "frozen_symbol"), ("", "frozen_account")) if scope in self.frozen]
        if not {"malformed", "naked_market"}.intersection(found) and price is not None:
            found += self._amounts(_Working(symbol, side, size, price), now)
        self.reasons = tuple(found)
        self.counters.update(found)
        return not found

    def _amounts(self, order: _Working, now: int | None) -> list[str]:
        position = self._positions.get(order.symbol, 0.0)
        mark = self._price(order.symbol, now)
        sign = 1.0 if order.side == "buy" else -1.0
        if math.isnan(position):
            return ["unvalued"]
        worst = sign * (self._worst(order.symbol, order.side) + sign * order.size)
        reduces = sign * position < 0 and worst <= 0
        if reduces:
            return []
        found = ["unvalued"] if math.isnan(mark) else []
        if worst * max(mark, order.price) > self.max_inventory_usd:  # a NaN mark has denied above
            found.append("symbol_notional")
        before = self.total_notional(now)
        own = self._gross(order.symbol, now)
        after = before - own + max(own, worst * max(mark, order.price))
        if math.isnan(after):
            found.append("unvalued")
        elif after > self.max_total_notional_usd and after > before:
            found.append("account_gross")
        return list(dict.fromkeys(found))

    def _price(self, symbol: str, now: int | None) -> float:
        price, at = self._marks.get(symbol, (math.nan, None))
        stale = now is not None and at is not None and not 0 <= now - at <= _MARK_AGE_NS
        return price if not stale and math.isfinite(price) and price > 0 else math.nan

    def _worst(self, symbol: str, side: str) -> float:
        """Position, and everything on a side traded."""
        sign = 1.0 if side == "buy" else -1.0
        open_size = math.fsum(one.size for one in self._working.values() if (one.symbol, one.side) == (symbol, side))
        return self._positions.get(symbol, 0.0) + sign * open_size

    def _gross(self, symbol: str, now: int | None) -> float:
        lots = max(self._worst(symbol, "buy"), -self._worst(symbol, "sell"))
        return lots * self._price(symbol, now) if lots else 0.0

    def total_notional(self, now: int | None = None) -> float:
        """Worst cases of all symbols at their marks; NaN while something that is held has no fresh price."""
        symbols = sorted({*self._positions, *(one.symbol for one in self._working.values())})
        return math.fsum(self._gross(symbol, now) for symbol in symbols)

    # ---- freezing

    def freeze(self, reason: str, symbol: str = "") -> None:
        """Stop new orders, of a symbol or of everything. A freeze stays until a person ends it."""
        self.frozen.setdefault(symbol, reason)

    def unfreeze(self, by: str, symbol: str = "") -> None:
        """End a freeze, by a named person. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("who ends the freeze? expected a person's name")
        self.frozen.pop(symbol, None)

    def on_edge_update(self, symbol: str, net_bps: float | None, now: int = 0) -> None:
        """Take the net edge of a symbol; below the threshold, or not known, it freezes the symbol."""
        for one in self._edges.seen(symbol, net_bps, now):
            self.asked.append(one)
            self.freeze(one.reason, symbol)

    def auto_freeze_on_edge_drop(self, edge_bps: float | None, now: int = 0) -> bool:
        """Take the edge of everything; return whether it froze."""
        self.on_edge_update("", edge_bps, now)
        return "" in self.frozen

    # ---- how much is used

    def risk_ratio(self, now: int | None = None) -> float:
        """Total to allowed notional now, kept for `risk_ratio_p95`; what is not known counts as all of it."""
        return self._ratio.seen(self.total_notional(now), self.max_total_notional_usd)

    @property
    def risk_ratio_p95(self) -> float | None:
        """95th percentile of the ratios, by nearest rank."""
        return self._ratio.p95
