"""Inventory skew for strategies without a model: lean both quotes against the position, in proportion to the limit.

long (position > 0)  → both quotes lower: eager to sell, shy to buy
"""

from mmbot.quoting.checked import finite, non_negative, positive
from mmbot.quoting.quote import Quote
from mmbot.quoting.rounding import BPS

__all__ = ["inventory_skew", "skew_quote"]


def inventory_skew(position: float, *, position_limit: float, max_skew: float) -> float:
    """Return the shift of both quotes, in the unit of `max_skew`: −max_skew·position/limit, within ±max_skew.

    Raises ValueError for a number that is not finite, a non-positive limit or a negative `max_skew`.
    """
    finite(position=position)
    positive(position_limit=position_limit)
    non_negative(max_skew=max_skew)
    return -max_skew * min(max(position / position_limit, -1.0), 1.0)


def skew_quote(quote: Quote, position: float, *, position_limit: float, max_skew_bps: float) -> Quote:
    """Return `quote` with both prices shifted by the skew, `max_skew_bps` of its centre at the limit.

    Raises ValueError as `inventory_skew` does, and for a quote with a side missing: it has no centre.
    """
    finite(bid=quote.bid, ask=quote.ask)
    shift = inventory_skew(position, position_limit=position_limit, max_skew=max_skew_bps)
    shift *= BPS * 0.5 * (quote.bid + quote.ask)
    return Quote(quote.bid + shift, quote.ask + shift)
