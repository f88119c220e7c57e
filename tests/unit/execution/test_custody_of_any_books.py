"""Whatever is traded: equal books are never a break, and one amount that differs always is."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from statement_model import COIN_PERP, PERP, SPOT, UNIT, Books

from mmbot.execution.bookings import Booking, Sums
from mmbot.execution.custody import ROUNDING, Custody, Moved

TRADES = st.tuples(
    st.sampled_from([PERP, COIN_PERP, SPOT]),
    st.integers(-40, 40).filter(bool),
    st.integers(20, 90_000),
    st.integers(-(10**9), 10**9),
)
EVENTS = st.lists(
    st.one_of(TRADES, st.integers(-50 * UNIT, 50 * UNIT), st.sampled_from(["look", "restart", "transfer"])),
    min_size=1,
    max_size=25,
)


class Life:
    """Books under custody, event by event."""

    def __init__(self) -> None:
        self.books = Books()
        self.custody = self.books.begin()

    def live(self, event: object) -> tuple[Booking, list[Moved]] | None:
        """Trade, fund, look, move coins or begin again from the journal's words."""
        match event:
            case (str(market), int(lots), int(price), int(fee)):
                return self.books.trade(market, lots, price, fee)
            case int(amount):
                return self.books.fund(amount)
            case "look":
                assert self.books.look(self.custody).clean
            case "restart":
                assert self.books.look(self.custody).clean
                self.custody = Custody.read(json.loads(json.dumps(self.custody.words())))
            case _:
                self.books.transfer(3 * UNIT)
        return None


@given(EVENTS)
def test_equal_books_are_never_a_break(events: list[object]) -> None:
    """Balance = first balance + transfers + what our books say, but for the last unit of what is rounded."""
    life = Life()
    for event in events:
        life.live(event)
    assert life.books.look(life.custody).clean
    assert life.custody.proven == {coin: life.books.balances[coin] for coin in life.custody.proven}
    assert all(abs(drift) <= 2 * len(events) for drift in life.custody.drift.values())
    assert life.books.bookings.awaited() == []


@settings(max_examples=200)
@given(
    EVENTS, TRADES | st.integers(1, UNIT), EVENTS, st.integers(3 * ROUNDING, UNIT), st.sampled_from([1, -1]), st.data()
)
def test_one_amount_that_differs_is_always_a_break(
    before: list[object], struck: object, after: list[object], by: int, sign: int, data: st.DataObject
) -> None:
    """In the statement or in our ledger, whatever came before and comes after, and it is named."""
    life = Life()
    for event in before:
        life.live(event)
    happened = life.live(struck)
    assert happened is not None
    booking, rows = happened
    part = "funding" if booking.kind == "funding" else data.draw(st.sampled_from(["flow", "fees"]))
    named = f" {booking.execution_id} "
    if data.draw(st.booleans()):
        row = data.draw(st.sampled_from(rows))
        parts = list(row.parts or ())
        parts[("flow", "fees", "funding").index(part)] += sign * by
        life.books.rewrite(row, parts=tuple(parts), change=parts[0] - parts[1] + parts[2])
    else:
        more = Sums(**{part: sign * by})
        life.books.ledger[booking.market] = life.books.ledger[booking.market].plus(more)
        named = f"ledger of {booking.market}, {part}"
    for event in after:
        if event not in ("look", "restart"):
            life.live(event)
    life.books.look(life.custody)
    found = life.books.look(life.custody).breaks
    assert any(named in one.name for one in found)
