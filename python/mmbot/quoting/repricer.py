"""Where to move working quotes, given how far back in the queue they stand.

    [ ahead ............. ][ us ][ behind ... ]      queue ratio = ahead / displayed

At the front of a queue an order has an option worth keeping: it stays where it is. Far back it is filled late, and
mostly when the price is about to move through it (Moallemi, Yuan 2017: front and back of a queue differ in value by
about the order of the spread). So beyond `patience` an order may step ahead of its queue, towards the fair price, by
up to `max_reprice_bps` for the very last place.

Prices here are offsets from the fair price in bps, so that bps are only ever added to bps; they become prices once, by
fair·(1 + offset), and ticks by rounding bids down and asks up.

Not handled: the touch (a post-only clamp is in `ladder`), and hidden size, which makes the queue longer than it looks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmbot.quoting.checked import finite, non_negative, positive
from mmbot.quoting.rounding import BPS, ceil_ticks, clamp_bps, floor_ticks

__all__ = [
    "BidAskInvariantError",
    "RepricedLevel",
    "RepricedLevels",
    "WorkingLevel",
    "check_bid_below_ask",
    "compute_repriced_levels",
    "queue_aware_delta_bps",
]


class BidAskInvariantError(Exception):
    """Our own bid would stand at or above our own ask; nothing may be placed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingLevel:
    """One of our quotes and its place in line.

    price_bps: offset from the fair price, bps; below zero for a bid under it.
    ahead_lots: lots in front of us at our price.
    displayed_lots: all lots shown at our price; zero if the quote is not placed yet.
    """

    price_bps: float
    ahead_lots: float = 0.0
    displayed_lots: float = 0.0

    def __post_init__(self) -> None:
        finite(price_bps=self.price_bps)
        non_negative(ahead_lots=self.ahead_lots, displayed_lots=self.displayed_lots)

    @property
    def queue_ratio(self) -> float:
        """Our place in line, from 0 (first, or not placed) to 1 (all that is displayed stands before us)."""
        if self.ahead_lots >= self.displayed_lots:
            return 1.0 if self.displayed_lots > 0.0 else 0.0
        return self.ahead_lots / self.displayed_lots


@dataclass(frozen=True, slots=True)
class RepricedLevel:
    """Where a quote should stand: whole ticks, and the offset in bps it came from."""

    price_ticks: int
    price_bps: float


@dataclass(frozen=True, slots=True)
class RepricedLevels:
    """Both sides after repricing, in the order given; every bid is below every ask."""

    bids: tuple[RepricedLevel, ...]
    asks: tuple[RepricedLevel, ...]


def compute_repriced_levels(
    bids: Sequence[WorkingLevel],
    asks: Sequence[WorkingLevel],
    *,
    fair_price: float,
    tick_size: float,
    max_reprice_bps: float,
    patience: float = 0.5,
) -> RepricedLevels:
    """Return the tick price of every level after its queue-aware move.

    Args:
        bids: our working bids.
        asks: our working asks.
        fair_price: what the offsets are counted from, price units.
        tick_size: price units per tick.
        max_reprice_bps: the largest move of a level, bps of the fair price; rounding to ticks may only take it back.
        patience: the queue ratio, in [0, 1), up to which an order keeps its place.

    Raises BidAskInvariantError if a bid would stand at or above an ask, and ValueError for a number out of range.
    """
    positive(fair_price=fair_price, tick_size=tick_size)

    def reprice(level: WorkingLevel, side: Literal["bid", "ask"]) -> RepricedLevel:
        delta = queue_aware_delta_bps(level, side, max_reprice_bps=max_reprice_bps, patience=patience)
        price_bps = level.price_bps + delta
        ticks = fair_price * (1.0 + price_bps * BPS) / tick_size
        return RepricedLevel(floor_ticks(ticks) if side == "bid" else ceil_ticks(ticks), price_bps)

    repriced = RepricedLevels(
        tuple(reprice(level, "bid") for level in bids), tuple(reprice(level, "ask") for level in asks)
    )
    check_bid_below_ask((level.price_ticks for level in repriced.bids), (level.price_ticks for level in repriced.asks))
    return repriced


def queue_aware_delta_bps(
    level: WorkingLevel, side: Literal["bid", "ask"], *, max_reprice_bps: float, patience: float = 0.5
) -> float:
    """Return the signed move of one level, bps: towards the fair price (up for a bid, down for an ask), or 0.0.

    It grows linearly from nothing at the queue ratio `patience` to `max_reprice_bps` at the end of the line.
    """
    if not 0.0 <= patience < 1.0:
        raise ValueError(f"patience is {patience!r}; expected within [0, 1)")
    non_negative(max_reprice_bps=max_reprice_bps)
    urgency = max(0.0, (level.queue_ratio - patience) / (1.0 - patience))
    move = urgency * max_reprice_bps
    return clamp_bps(move if side == "bid" else -move, max_reprice_bps, side)


def check_bid_below_ask(bids: Iterable[int], asks: Iterable[int]) -> None:
    """Raise BidAskInvariantError unless every bid is below every ask, both in ticks; call it before any placement."""
    highest, lowest = max(bids, default=None), min(asks, default=None)
    if highest is not None and lowest is not None and highest >= lowest:
        raise BidAskInvariantError(
            f"Bid-ask invariant violated: our bid at {highest} ticks is not below our ask at {lowest} ticks; "
            "expected quotes further apart than the moves allowed to them"
        )
