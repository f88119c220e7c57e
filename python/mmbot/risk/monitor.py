"""The pre-trade check by the names that users know: one question, one answer, every reason kept.

    monitor = RuntimeRiskMonitor({"max_inventory_usd": 10_000, "max_total_notional": 50_000})
    monitor.mark("BTCUSDT", 60_000, now)
    monitor.check_before_order("BTCUSDT", "buy", 0.1, 59_990, now=now)   -> True

The rules are the core's: worst cases of position and working orders, at a real price; what is missing, stale or no
number denies, an exit too; what only shrinks a position is not held back by an amount. A run's orders go through the
core itself (`crates/engine/src/limits.rs`), which nothing here can widen.

Edge below `edge_freeze_threshold_bps` freezes, and only `unfreeze` by a named person ends a freeze.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from mmbot.risk.averages import EdgeWatch, RiskRatio
from mmbot.risk.exposure import Exposure, Order, number
from mmbot.risk.levels import FreezeAsked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CODES", "RuntimeRiskMonitor"]

CODES: Final = (
    "malformed",
    "naked_market",
    "frozen_symbol",
    "frozen_account",
    "unvalued",
    "collar",
    "symbol_notional",
    "account_gross",
)
"""Every reason against an order, as the core's denials are called."""
_KEYS: Final = {
    "max_inventory_usd": "inventory",
    "max_inventory_usd_per_symbol": "inventory",
    "max_total_notional": "total",
    "max_total_notional_usd": "total",
    "edge_freeze_threshold_bps": "edge",
    "collar_bps": "collar",
}
_DEFAULTS: Final = {"inventory": 50_000.0, "total": 100_000.0, "edge": 1.5, "collar": 300.0}
_WARN: Final = 0.4
_LOG = logging.getLogger(__name__)


class RuntimeRiskMonitor:
    """Inventory per symbol, total notional, and freezes. Amounts in dollars, times in ns since epoch."""

    def __init__(self, config: Mapping[str, float] | None = None) -> None:
        """Raise ValueError for an unknown key, a limit that is not positive, or two that contradict each other."""
        known = dict(_DEFAULTS)
        for key, value in (config or {}).items():
            if key not in _KEYS:
                raise ValueError(f"{key!r} is no limit of the risk monitor; expected one of {', '.join(_KEYS)}")
            if math.isnan(number(value)) or (number(value) <= 0 and _KEYS[key] != "edge"):
                raise ValueError(f"{key} is {value!r}; expected a finite number above zero")
            known[_KEYS[key]] = number(value)
        if known["inventory"] > known["total"]:
            raise ValueError(f"inventory {known['inventory']:g} is above the total {known['total']:g}; raise the total")
        self.max_inventory_usd, self.max_total_notional_usd = known["inventory"], known["total"]
        self.collar_bps = known["collar"]
        self._edges, self._ratio, self._known = EdgeWatch(known["edge"]), RiskRatio(_WARN), Exposure()
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
        self._known.position(symbol, size)

    def mark(self, symbol: str, price: float, now: int | None = None) -> None:
        """Take the price by which a symbol is valued: for a minute. Without `now` it is good for questions without
        `now`, and who asks vouches for it.
        """
        self._known.price(symbol, price, now)

    def working(self, order_id: str, symbol: str, side: str, size: float, price: float) -> None:
        """Take an order that may trade, or what is left of it: sent, unanswered or resting, until `done`."""
        self._known.working(order_id, Order.told(symbol, side, size, price))

    def done(self, order_id: str) -> None:
        """Forget an order that is proven to trade no more."""
        self._known.done(order_id)

    # ---- the question

    def check_before_order(
        self, symbol: str, side: str, size: float, price: float | None, *, now: int | None = None
    ) -> bool:
        """Whether the order may leave; `reasons` has every one that speaks against it. No price: a market order."""
        order = Order.told(symbol, side, size, price)
        found = [] if order.is_sound else ["malformed"]
        found += ["naked_market"] if order.limit is None else []
        found += [name for scope, name in ((symbol, "frozen_symbol"), ("", "frozen_account")) if scope in self.frozen]
        if order.is_sound and order.limit is not None:
            found += self._amounts(order, now)
        self.reasons = tuple(found)
        self.counters.update(found)
        return not found

    def _amounts(self, order: Order, now: int | None) -> list[str]:
        mark = self._known.price_at(order.symbol, now)
        found = ["collar"] if order.is_beyond(mark, self.collar_bps / 1e4) else []
        if self._known.shrinks(order):  # no amount, but a price: without a mark any would pass
            return found + (["unvalued"] if math.isnan(mark) else [])
        own, after = self._known.worth(order.symbol, order.side, now, order), self._known.total(now, order)
        if math.isnan(after):
            found.append("unvalued")
        if own > self.max_inventory_usd:
            found.append("symbol_notional")
        if after > self.max_total_notional_usd and after > self._known.total(now):
            found.append("account_gross")
        return found

    def total_notional(self, now: int | None = None) -> float:
        """Worst cases of all symbols at their marks; NaN while something that is held has no fresh price."""
        return self._known.total(now)

    def metrics(self) -> dict[str, int]:
        """Denials so far by reason, those without one at zero."""
        return {code: self.counters[code] for code in CODES}

    # ---- freezing

    def freeze(self, reason: str, symbol: str = "") -> None:
        """Stop new orders, of a symbol or of everything. A freeze stays until a person ends it."""
        self.frozen.setdefault(symbol, reason)

    def unfreeze(self, by: str, symbol: str = "") -> None:
        """End a freeze, by a named person. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("who ends the freeze? expected a person's name")
        if symbol in self.frozen:
            _LOG.warning("freeze of %s ended by %s; it was: %s", symbol or "everything", by, self.frozen[symbol])
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

    @property
    def risk_ratio_warns(self) -> bool:
        """Whether that is above 0.4."""
        return self._ratio.warns
