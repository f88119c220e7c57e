"""mmbot.sim.MatchingBook: priority, life times, refusals, and a plain twin in Python."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.sim import Fill, MatchingBook


@pytest.fixture
def book() -> MatchingBook:
    """Asks: orders 1 and 2 of 10 lots at 101, order 3 at 102. Bid: order 4 of 10 lots at 99."""
    book = MatchingBook()
    for order_id, side, price in ((1, "sell", 101), (2, "sell", 101), (3, -1, 102), (4, "buy", 99)):
        assert book.add(order_id, side, price, 10) == []
    return book


def test_the_best_price_trades_first_then_the_oldest(book: MatchingBook) -> None:
    """A sweep fills in price-time order, at the makers' prices."""
    assert book.add(9, "buy", 102, 25) == [Fill(1, 9, 101, 10), Fill(2, 9, 101, 10), Fill(3, 9, 102, 5)]
    assert book.best() == (99, 102)
    assert (len(book), 9 in book, 3 in book) == (2, False, True)


def test_a_market_order_has_no_id_and_takes_what_there_is(book: MatchingBook) -> None:
    """What finds no counterpart is gone."""
    assert book.market("sell", 15) == [Fill(4, None, 99, 10)]
    assert book.best() == (None, 101)
    assert book.market(-1, 5) == []


def test_life_times(book: MatchingBook) -> None:
    """Immediate-or-cancel leaves nothing behind; fill-or-kill is all or nothing; post-only never takes."""
    assert book.add(7, "buy", 101, 5, tif="ioc") == [Fill(1, 7, 101, 5)]
    with pytest.raises(ValueError, match="wants 16 lots and only 15 can trade"):
        book.add(7, "buy", 101, 16, tif="fok")
    with pytest.raises(ValueError, match="post-only order 7 at 101 ticks would trade with 101"):
        book.add(7, "buy", 101, 1, post_only=True)
    assert book.add(7, "buy", 100, 1, post_only=True) == []


def test_amending_down_keeps_the_place_and_up_loses_it(book: MatchingBook) -> None:
    """Place in line is what a maker pays for."""
    book.amend(1, 101, 4)
    assert (book.ahead(1), book.ahead(2)) == (0, 4)
    book.amend(1, 101, 5)
    assert (book.ahead(1), book.ahead(2)) == (10, 0)
    assert book.amend(4, 101, 3) == [Fill(2, 4, 101, 3)]


def test_depth_is_read_from_the_touch_outward(book: MatchingBook) -> None:
    """Levels carry the sum of their orders."""
    assert book.depth("sell") == [(101, 20), (102, 10)]
    assert book.depth("sell", 1) == [(101, 20)]
    assert book.depth("buy") == [(99, 10)]


def test_cancel_gives_back_what_was_left(book: MatchingBook) -> None:
    """A cancelled order is gone, and cancelling it again says so."""
    book.market("buy", 4)
    assert book.cancel(1) == 6
    with pytest.raises(KeyError, match="order 1 is not in the book"):
        book.cancel(1)


def test_self_trade_prevention() -> None:
    """Two orders of one owner never trade when the policy forbids it."""
    for policy, best in (("drop_taker", (None, 101)), ("withdraw_maker", (101, None))):
        book = MatchingBook(self_trade=policy)
        book.add(1, "sell", 101, 5, owner=7)
        assert book.add(2, "buy", 101, 5, owner=7) == []
        assert book.best() == best


BAD: list[tuple[dict[str, Any], str]] = [
    ({"price_ticks": 0}, "price_ticks must be a whole number from 1 to 2147483646, got 0"),
    ({"price_ticks": -5}, "price_ticks must be"),
    ({"price_ticks": 2**31 - 1}, "price_ticks must be"),
    ({"price_ticks": 10**30}, "price_ticks must be"),
    ({"price_ticks": float("nan")}, "price_ticks must be .* got nan"),
    ({"price_ticks": 1.5}, "price_ticks must be .* got 1.5"),
    ({"qty_lots": 0}, "qty_lots must be a whole number from 1 to 4294967295, got 0"),
    ({"qty_lots": -1}, "qty_lots must be"),
    ({"qty_lots": 2**32}, "qty_lots must be"),
    ({"qty_lots": float("inf")}, "qty_lots must be"),
    ({"order_id": -1}, "order_id must be"),
    ({"order_id": 1}, "order 1 is already in the book"),
    ({"side": "bid"}, "side must be"),
    ({"tif": "day"}, "tif must be"),
]


@pytest.mark.parametrize(("terms", "message"), BAD, ids=[str(terms) for terms, _ in BAD])
def test_senseless_orders_are_refused_and_change_nothing(
    book: MatchingBook, terms: dict[str, Any], message: str
) -> None:
    """Each refusal says what was expected, and the book is as it was."""
    before = book.state_hash()
    with pytest.raises(ValueError, match=message):
        book.add(**({"order_id": 9, "side": "buy", "price_ticks": 100, "qty_lots": 1} | terms))
    assert book.state_hash() == before


def test_an_unknown_policy_is_refused() -> None:
    """A policy is one of three."""
    with pytest.raises(ValueError, match='unknown self_trade policy "maybe"'):
        MatchingBook(self_trade="maybe")  # type: ignore[arg-type]


ORDERS = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(95, 105), st.integers(1, 9)), max_size=60)


@given(orders=ORDERS)
def test_the_book_matches_as_the_plain_rule_does(orders: list[tuple[int, int, int]]) -> None:
    """A list sorted by price and arrival, in ten lines of Python, gives the same fills and the same touch."""
    book, resting = MatchingBook(), []
    for order_id, (side, price, lots) in enumerate(orders):
        expected, left = [], lots
        for other in sorted((o for o in resting if o[1] == -side), key=lambda o: (side * o[2], o[0])):
            if left == 0 or side * other[2] > side * price:
                break
            traded = min(left, other[3])
            expected.append(Fill(other[0], order_id, other[2], traded))
            other[3] -= traded
            left -= traded
        resting = [o for o in [*resting, [order_id, side, price, left]] if o[3] > 0]
        assert book.add(order_id, side, price, lots) == expected
        bids, asks = ([o[2] for o in resting if o[1] == s] for s in (1, -1))
        assert book.best() == (max(bids, default=None), min(asks, default=None))
