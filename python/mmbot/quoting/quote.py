"""What a quoting model answers: two prices, or two distances from the price it was given."""

from typing import NamedTuple

__all__ = ["Depths", "Quote"]


class Quote(NamedTuple):
    """Our own desired bid and ask, as prices."""

    bid: float
    ask: float


class Depths(NamedTuple):
    """How far below the mid we bid and above it we offer, in price units.

    Negative means through the mid; `+inf` means this side may not quote.
    """

    bid: float
    ask: float

    def around(self, mid: float) -> Quote:
        """Return the prices these distances mean at `mid`; a side that may not quote is at -inf or +inf."""
        return Quote(mid - self.bid, mid + self.ask)
