"""How a position is worked off: one reduce-only order at a time, inside a collar, for a share of what is displayed.

    position, touch, what rests of ours ──▶ the next order, or none yet

Each is immediate or cancelled, so nothing of it rests: a cancel-all that was proven stays proven. It goes on once a
second until the position is zero, and waits while an order of ours is not settled: what may still trade must not be
sold twice. It takes what is offered near the touch and does not chase: a market that has nothing there is waited for.

A function of what it is told and of time. Source: reliability.md 5.1, FLATTEN.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

__all__ = ["FlattenTerms", "Held", "WayOut", "way_out"]

_BPS = 10_000


@dataclass(frozen=True, kw_only=True)
class FlattenTerms:
    """How fast, and how far from the touch."""

    order_max: int
    """Most lots of one order."""
    least: int = 1
    """Fewest lots that the venue takes."""
    slip_bps: int = 20
    """How far beyond the touch the limit price may be; less than the collar of the limits."""
    participation: Fraction = Fraction(1, 10)
    """Share of what is displayed at the touch that one order takes; at least one order of the venue's smallest size."""
    every_ns: int = 1_000_000_000
    """Least time between two orders."""


class Held(NamedTuple):
    """What there is: signed position, and the touch with what it displays (ticks, lots)."""

    position: int
    bid: int | None
    ask: int | None
    bid_lots: int
    ask_lots: int
    unsettled: bool
    """An order of ours may still trade."""


class WayOut(NamedTuple):
    """The next order: reduce-only, immediate or cancelled."""

    side: Literal["buy", "sell"]
    lots: int
    limit: int


def way_out(held: Held, terms: FlattenTerms, last: int, now: int) -> WayOut | None:
    """Return the next order; None for nothing, or nothing yet. `last`: when the one before was sent."""
    if not held.position or held.unsettled or now < last + terms.every_ns:
        return None
    if held.bid is None or held.ask is None or held.bid >= held.ask:
        return None
    sells = held.position > 0
    displayed = held.bid_lots if sells else held.ask_lots
    lots = max(int(displayed * terms.participation), terms.least)
    lots = min(lots, terms.order_max, abs(held.position))
    if sells:  # rounded towards the touch: never beyond the collar
        return WayOut("sell", lots, -(-held.bid * (_BPS - terms.slip_bps) // _BPS))
    return WayOut("buy", lots, held.ask * (_BPS + terms.slip_bps) // _BPS)
