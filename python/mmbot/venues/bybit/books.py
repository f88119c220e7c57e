"""Is this book still what the venue says it is? A chain of update ids, the two sides, and the best-price stream.

    snapshot u=7 ── delta 8 ── delta 9 ──╳── delta 11        a missing id: what was in it is not known any more
                                          └── everything is dropped until the next snapshot

Nothing is priced from here: prices are kept as floats, only to see whether a bid has reached an ask.
Source: Bybit v5 documents, WebSocket public channel `orderbook`.
"""

from heapq import heappop, heappush
from math import inf

from mmbot.venues.records import BookUpdate, Levels

__all__ = ["BookWatch"]


class _Side:
    """Prices of one side, negated for bids, so that the best is always the least.

    A heap beside the set: what is deleted stays in the heap until it comes up, or until half of the heap is such.
    """

    __slots__ = ("heap", "prices", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.prices: set[float] = set()
        self.heap: list[float] = []

    @property
    def best(self) -> float:
        """The best price as it is; the worst thinkable for an empty side."""
        return self.sign * self.heap[0] if self.heap else self.sign * inf

    def clear(self) -> None:
        self.prices.clear()
        self.heap.clear()

    def change(self, levels: Levels) -> None:
        """Take over new, changed and deleted levels. Raises ValueError for what is no positive number."""
        prices, heap, sign = self.prices, self.heap, self.sign
        for price, qty in levels:
            place, size = float(price), float(qty)
            if not (0.0 < place < inf and 0.0 <= size < inf):
                raise ValueError(f"a level of {qty} at {price}")
            place *= sign
            if size == 0.0:
                prices.discard(place)
            elif place not in prices:
                prices.add(place)
                heappush(heap, place)
        while heap and heap[0] not in prices:
            heappop(heap)
        if len(heap) > 2 * len(prices) + 64:
            heap[:] = sorted(prices)


class BookWatch:
    """Follows one book stream; `valid` until something does not fit, and again from the next snapshot."""

    def __init__(self) -> None:
        self.valid = False
        self._last_id = 0
        self._sequence = 0
        self._bids = _Side(-1)
        self._asks = _Side(1)
        self._said: tuple[int, float, float] | None = None

    @property
    def touch(self) -> tuple[float, float]:
        """Best bid and ask; minus and plus infinity for an empty side."""
        return self._bids.best, self._asks.best

    def forget(self) -> None:
        """Drop the book."""
        self.valid = False
        self._said = None

    def follow(self, update: BookUpdate) -> str:
        """Take over an update of this stream. Returns "" or, when the book is lost by it, why."""
        why = self._follow(update)
        if why:
            self.forget()
        return why

    def _follow(self, update: BookUpdate) -> str:
        if update.kind == "snapshot":
            self._bids.clear()
            self._asks.clear()
            self.valid = True
        elif update.previous_id != self._last_id:
            return f"update {update.last_id} follows {self._last_id}: a gap"
        self._last_id, self._sequence = update.last_id, update.sequence
        try:
            self._bids.change(update.bids)
            self._asks.change(update.asks)
        except ValueError as error:
            return f"update {update.last_id}: {error}"
        bid, ask = self._bids.best, self._asks.best
        if bid >= ask:
            return f"update {update.last_id}: crossed, bid {bid} and ask {ask}"
        return self._disagreement()

    def agree(self, touch: BookUpdate) -> str:
        """Compare with the best-price stream. Returns "" or, when the two tell different prices, why it is lost."""
        try:
            bid = max((float(price) for price, _ in touch.bids), default=-inf)
            ask = min((float(price) for price, _ in touch.asks), default=inf)
        except ValueError as error:
            return f"best prices {touch.last_id}: {error}"
        self._said = (touch.sequence, bid, ask)
        why = self._disagreement()
        if why:
            self.forget()
        return why

    def _disagreement(self) -> str:
        """Why the two streams differ at one moment of the matching engine; "" where they were not told of the same."""
        if not self.valid or self._said is None or self._said[0] != self._sequence:
            return ""
        _, bid, ask = self._said
        if (bid, ask) == self.touch:
            return ""
        return f"best prices {bid}/{ask}, but the book has {self.touch} at the same sequence"
