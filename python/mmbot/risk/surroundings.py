"""What the venue and the world do to us: margin, fees, stable coins. What is not known asks for a freeze."""

from __future__ import annotations

import math
from decimal import Decimal

from mmbot.risk.controls import asked
from mmbot.risk.levels import FIRM, FreezeAsked, Scope

__all__ = ["check_fee", "check_margin", "check_peg"]


def check_margin(
    free: float | None, total: float | None, limit_pct: float, scope: Scope, now: int
) -> list[FreezeAsked]:
    """Margin that is free after the worst case, of all margin, percent; below the limit freezes."""
    known = free is not None and total is not None and math.isfinite(free) and math.isfinite(total) and total > 0
    if not known or free is None or total is None:
        return [asked("margin", scope, f"margin is not known: free {free}, total {total}", now)]
    share = 100 * free / total
    reason = f"{share:.1f} % of the margin is free; limit {limit_pct:g} %"
    return [] if share >= limit_pct else [asked("margin", scope, reason, now)]


def check_fee(
    symbol: str,
    *,
    notional: Decimal,
    fee: Decimal,
    rate_bps: float,
    tolerance_bps: float,
    now: int,
    rounded_by: Decimal = Decimal(0),
) -> list[FreezeAsked]:
    """One fill's fee against the rate that the venue told for it (maker or taker; negative: a rebate).

    rounded_by: the most that the venue may have rounded it up by, in the fee's currency.
    """
    if not notional.is_finite() or not fee.is_finite() or not notional:
        return [asked("fee", Scope("symbol", symbol), f"fee {fee} on {notional} makes no sense", now)]
    paid = float((fee - rounded_by) / abs(notional)) * 1e4
    if paid <= rate_bps + tolerance_bps:
        return []
    reason = f"paid {paid:.3f} bps; expected {rate_bps:g}, tolerance {tolerance_bps:g}"
    return [asked("fee", Scope("symbol", symbol), reason, now)]


def check_peg(coin: str, price: float | None, limit_bps: float, now: int) -> list[FreezeAsked]:
    """A stable coin's price in dollars; off by more than the limit, or not known, freezes the firm."""
    if price is not None and abs(price - 1.0) * 1e4 <= limit_bps + 1e-9:  # false for NaN
        return []
    return [asked("depeg", FIRM, f"{coin} is at {price}; limit {limit_bps:g} bps from 1", now)]
