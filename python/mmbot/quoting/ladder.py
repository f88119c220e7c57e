"""From a fair price and two depths to whole-tick quotes that can rest.

    asks   fair + depth, rounded up,   at least one tick above the best bid of the market     + spacing, + 2·spacing …
    bids   fair − depth, rounded down, at most one tick below the best ask of the market      − spacing, − 2·spacing …

The first level of a side is clamped and the others keep their spacing behind it, so that a clamp never piles the
ladder onto one tick.

Not handled: the venue's price bands and smallest order value.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from mmbot.quoting.checked import finite, positive
from mmbot.quoting.repricer import check_bid_below_ask
from mmbot.quoting.rounding import ceil_ticks, floor_ticks

__all__ = ["Ladder", "LadderLevel", "ladder"]


class LadderLevel(NamedTuple):
    """One quote: price in whole ticks, quantity in whole lots."""

    price_ticks: int
    qty_lots: int


class Ladder(NamedTuple):
    """The quotes of both sides, best first. A side that may not quote, or has no positive price left, is empty."""

    bids: tuple[LadderLevel, ...]
    asks: tuple[LadderLevel, ...]


def ladder(
    fair_price: float,
    bid_depth: float,
    ask_depth: float,
    *,
    levels: int = 1,
    level_spacing: int = 1,
    amount: int,
    tick_size: float = 1.0,
    bid_touch: int | None = None,
    ask_touch: int | None = None,
) -> Ladder:
    """Return the quotes around `fair_price`.

    Args:
        fair_price: price units (ticks, if `tick_size` is left at one).
        bid_depth: distance of the best bid below the fair price, same unit; +inf for no bids.
        ask_depth: distance of the best ask above it; +inf for no asks.
        levels: quotes per side.
        level_spacing: ticks between levels.
        amount: lots per level.
        tick_size: price units per tick.
        bid_touch: best bid of the market in ticks, None if there is none; asks stay above it.
        ask_touch: best ask of the market in ticks, None if there is none; bids stay below it.

    Raises ValueError for a number out of range, or for depths whose sum is not positive: they would cross.
    """
    finite(fair_price=fair_price)
    positive(tick_size=tick_size, levels=levels, level_spacing=level_spacing, amount=amount)
    if not bid_depth + ask_depth > 0.0 or -math.inf in (bid_depth, ask_depth):
        raise ValueError(
            f"bid_depth is {bid_depth!r} and ask_depth {ask_depth!r}; expected a positive sum; +inf leaves a side out"
        )
    best_bid = floor_ticks((fair_price - bid_depth) / tick_size) if bid_depth < math.inf else None
    best_ask = ceil_ticks((fair_price + ask_depth) / tick_size) if ask_depth < math.inf else None
    if best_bid is not None and best_bid == best_ask:  # both depths lie within float noise of one tick; the bid yields
        best_bid -= 1
    if best_bid is not None and ask_touch is not None:
        best_bid = min(best_bid, ask_touch - 1)
    if best_ask is not None and bid_touch is not None:
        best_ask = max(best_ask, bid_touch + 1)
    offsets = range(0, levels * level_spacing, level_spacing)
    quotes = Ladder(_levels(best_bid, (-offset for offset in offsets), amount), _levels(best_ask, offsets, amount))
    check_bid_below_ask((level.price_ticks for level in quotes.bids), (level.price_ticks for level in quotes.asks))
    return quotes


def _levels(best: int | None, offsets: Iterable[int], amount: int) -> tuple[LadderLevel, ...]:
    """Return the quotes at `best` plus each offset; none for a silent side, none at or below zero."""
    if best is None:
        return ()
    return tuple(LadderLevel(best + offset, amount) for offset in offsets if best + offset > 0)
