"""The simulated market by hand: a queue tracker and a matching book, on the very code the simulated venue runs.

A thin face: the laws live in the Rust core (`crates/sim`), this page names them for a person or a test::

    tracker = QueueTracker("power", side="buy", ahead=10, qty=1)
    tracker.on_trade(3)          # 3 traded at our price
    tracker.on_depth(13)         # 13 are displayed now
    tracker.ahead, tracker.filled

    book = MatchingBook()
    book.add(1, "sell", price_ticks=101, qty_lots=5)
    book.market("buy", 3)        # [Fill(maker_id=1, taker_id=None, price_ticks=101, qty_lots=3)]

Prices are whole ticks, quantities of the book whole lots. Bad input raises ValueError and says what was expected;
an order the book does not have raises KeyError.
"""

from typing import Literal, NamedTuple, TypeAlias

from mmbot._core import MatchingBook as _Core
from mmbot._core import QueueTracker

__all__ = ["Fill", "MatchingBook", "QueueTracker", "Side"]

Side: TypeAlias = Literal["buy", "sell", 1, -1]


class Fill(NamedTuple):
    """One trade: at the maker's price, because the maker was there first."""

    maker_id: int
    """The order that rested."""
    taker_id: int | None
    """The order that came; None for a market order, which has no id."""
    price_ticks: int
    """The maker's price."""
    qty_lots: int
    """How much."""


class MatchingBook:
    """A book that matches with price-time priority: the best price first, at one price the oldest order.

    self_trade says what happens when two orders of one owner would meet (owner 0 is nobody): "allow" trades,
    "drop_taker" drops what is left of the incoming order, "withdraw_maker" takes the resting one out and goes on.
    Every refusal leaves the book as it was.
    """

    def __init__(self, *, self_trade: Literal["allow", "drop_taker", "withdraw_maker"] = "allow") -> None:
        self._core = _Core(self_trade)

    def add(
        self,
        order_id: int,
        side: Side,
        price_ticks: int,
        qty_lots: int,
        *,
        tif: Literal["gtc", "ioc", "fok"] = "gtc",
        post_only: bool = False,
        owner: int = 0,
    ) -> list[Fill]:
        """A limit order; returns its fills as they happened. What does not trade rests (gtc) or is gone (ioc).

        Raises ValueError for a side, price or quantity that makes no sense, an id that is live, a post-only order
        that would trade, and a fill-or-kill order that can not fill whole.
        """
        return [
            Fill(*row)
            for row in self._core.add(order_id, side, price_ticks, qty_lots, tif=tif, post_only=post_only, owner=owner)
        ]

    def market(self, side: Side, qty_lots: int, *, owner: int = 0) -> list[Fill]:
        """A market order; returns its fills. What finds no counterpart is gone: compare the sum of lots."""
        rows = self._core.market(side, qty_lots, owner=owner)
        return [Fill(maker, None, price, lots) for maker, _, price, lots in rows]

    def amend(self, order_id: int, price_ticks: int, qty_lots: int, *, post_only: bool = False) -> list[Fill]:
        """New price and open quantity; fewer lots at the same price keep the place in line.

        All else goes to the back and may trade. Raises KeyError for an order the book does not have,
        ValueError as add does; the order then rests as before.
        """
        return [Fill(*row) for row in self._core.amend(order_id, price_ticks, qty_lots, post_only=post_only)]

    def cancel(self, order_id: int) -> int:
        """Take an order out; returns the lots it had left. Raises KeyError for an order the book does not have."""
        return self._core.cancel(order_id)

    def ahead(self, order_id: int) -> int:
        """Lots in front of an order at its price: its exact place in line. Raises KeyError for an unknown order."""
        return self._core.ahead(order_id)

    def best(self) -> tuple[int | None, int | None]:
        """Best bid and best ask in ticks; None for an empty side."""
        return self._core.best()

    def depth(self, side: Side, levels: int | None = None) -> list[tuple[int, int]]:
        """(price in ticks, lots) from the touch outward, at most `levels` of them."""
        return self._core.depth(side, levels)

    def state_hash(self) -> int:
        """One number for all resting orders and their priority: equal books, equal hashes."""
        return self._core.state_hash()

    def __len__(self) -> int:
        """How many orders rest."""
        return len(self._core)

    def __contains__(self, order_id: int) -> bool:
        """Whether an order rests."""
        return order_id in self._core
