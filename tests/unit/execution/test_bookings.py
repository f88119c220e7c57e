"""What executions moved by our books: as the core's ledger books them, and kept until the statement shows them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot._core import Instrument, Ledger
from mmbot.execution import bookings
from mmbot.execution.bookings import Booking, Bookings, Entry, Sums, flow_of

KINDS = {
    "linear": Instrument(venue="v", symbol="L", kind="linear", tick="0.1", lot="0.001"),
    "inverse": Instrument(venue="v", symbol="I", kind="inverse", tick="0.5", lot="1", contract="10"),
    "spot": Instrument(venue="v", symbol="S", kind="spot", tick="0.01", lot="0.000001"),
}


@given(st.sampled_from(sorted(KINDS)), st.sampled_from([1, -1]), st.integers(1, 10**7), st.integers(1, 10**7))
def test_a_flow_by_its_own_words_is_what_the_ledger_books(kind: str, side: int, tick: int, lots: int) -> None:
    """To the last unit, for each kind of instrument: an execution of an earlier run is known by its words alone."""
    instrument = KINDS[kind]
    ledger = Ledger([instrument])
    assert ledger.book_fill(instrument=0, execution=1, side=side, price=tick, qty=lots, maker=True, fee=0, ts=1)
    size = side * Fraction(instrument.quantity(lots)) * Fraction(instrument.contract)
    assert flow_of(size, Fraction(instrument.price(tick)), inverse=kind == "inverse") == ledger.cash(0)


@given(st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(-(10**15), 10**15)), max_size=30))
def test_nothing_is_earned_or_lost_by_how_it_is_split(trades: list[tuple[int, int]]) -> None:
    """What closing earned and what the open lots were entered at are all that ever flowed."""
    entry, earned = Entry(0, 0), 0
    for lots, flow in trades:
        more, entry = entry.traded(Sums(flow=flow, lots=lots))
        earned += more or 0
    assert entry.lots == sum(lots for lots, _ in trades)
    assert earned + (entry.flow or 0) == sum(flow for _, flow in trades)
    assert entry.lots or entry.flow == 0


def test_no_more_is_awaited_than_a_statement_can_still_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: their postings are breaks then, and memory is bounded."""
    monkeypatch.setattr(bookings, "BOOKINGS_MAX", 2)
    found = Bookings()
    for number in range(4):
        found.book(Booking(execution_id=f"e{number}", market="linear X", kind="trade", coin="USDT", sums=Sums(fees=1)))
        found.elsewhere(f"x{number}")
    assert [one.execution_id for one in found.awaited()] == ["e2", "e3"]
    assert [found.is_elsewhere(f"x{number}") for number in range(4)] == [False, False, True, True]
