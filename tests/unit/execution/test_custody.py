"""Coins of the account: explained to the last unit, by what a person moved or by what our own books say, or a break."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from statement_model import PERP, SECOND, SPOT, UNIT, Books, names

from mmbot.execution.bookings import Booking, Bookings, Entry, Sums
from mmbot.execution.custody import LATE_NS, ROUNDING, Custody, Moved, drift_limit


def moved(number: int, change: int, balance: int, **words: Any) -> Moved:
    """One posting, a second after the other."""
    plain = {"coin": "USDT", "kind": "trade", "said": "TRADE", "execution_id": f"e{number}"}
    plain = {**plain, "ts_venue": (100 + number) * SECOND}
    return Moved(posting_id=str(number), change=change, balance=balance, **{**plain, **words})


def booked(*fees: int) -> tuple[Bookings, dict[str, Sums]]:
    """Executions e1, e2 … that moved a fee and nothing else, and the ledger that has them."""
    bookings, ledger = Bookings(), Sums()
    for number, fee in enumerate(fees, 1):
        ts = (100 + number) * SECOND
        one = Booking(
            execution_id=f"e{number}",
            market=PERP,
            kind="trade",
            coin="USDT",
            sums=Sums(fees=fee),
            ts_venue=ts,
            booked_at=ts,
        )
        bookings.book(one)
        ledger = ledger.plus(one.sums)
    return bookings, {PERP: ledger}


def keeping(thousand: int = 1_000) -> Custody:
    """1,000 in care since second 100."""
    return Custody.begin({"USDT": thousand}, [], Bookings(), {PERP: Sums()}, 100 * SECOND)


def test_executions_that_were_booked_explain_a_balance_that_may_be_older_than_they() -> None:
    """The balance was read between two postings: both are counted, and none twice."""
    custody, (bookings, ledger) = keeping(), booked(-5, 7)
    told = [moved(1, 5, 1_005), moved(2, -7, 998)]
    assert custody.look({"USDT": 1_005}, told, bookings, ledger, 103 * SECOND).clean
    assert custody.look({"USDT": 998}, told, bookings, ledger, 104 * SECOND).clean
    assert (custody.proven, bookings.awaited()) == ({"USDT": 998}, [])


def test_custody_begins_with_the_posting_that_left_the_balance() -> None:
    """What the statement lists up to there is in it, what came after is not, whatever the venue's clock says."""
    bookings, ledger = booked(-5, 7, -2)
    told = [moved(1, 5, 1_005), moved(2, -7, 998)]
    custody = Custody.begin({"USDT": 1_005}, told, bookings, ledger, 500 * SECOND)
    assert [one.execution_id for one in bookings.awaited()] == ["e2", "e3"]
    late = moved(3, 2, 1_000, ts_venue=90 * SECOND)
    assert custody.look({"USDT": 1_000}, [*told, late], bookings, ledger, 500 * SECOND).clean
    assert custody.proven == {"USDT": 1_000}


def test_what_was_booked_long_before_custody_began_is_not_waited_for() -> None:
    """The first statement reaches back ten minutes; older executions are in the balance."""
    bookings, ledger = booked(3)
    custody = Custody.begin({"USDT": 1_000}, [], bookings, ledger, 1_000 * SECOND)
    assert custody.look({"USDT": 1_000}, [], bookings, ledger, 1_100 * SECOND).clean


@pytest.mark.parametrize(
    "posting",
    [
        moved(9, -1, 999),
        moved(1, -1, 999, kind="other", said="INTEREST"),
        moved(1, -1, 999, kind="funding"),
        moved(1, -1, 998),
        moved(1, -1, 999, coin="BTC"),
        moved(9, -ROUNDING - 2, 999, execution_id=""),
    ],
    ids=[
        "an execution that nobody heard",
        "a word that nobody knows",
        "another kind than we booked",
        "a sum that is none",
        "another coin than we booked",
        "a nameless one of another amount",
    ],
)
def test_what_nothing_explains_is_a_break_at_the_second_look(posting: Moved) -> None:
    """It may only be late at first; then it is named, and nothing is corrected."""
    custody, (bookings, ledger) = keeping(), booked(1)
    looks = [custody.look({"USDT": 999}, [posting], bookings, ledger, at * SECOND) for at in (102, 104)]
    assert [(bool(look.breaks), bool(look.deferred)) for look in looks] == [(False, True), (True, False)]
    assert custody.proven == {"USDT": 1_000}


@pytest.mark.parametrize("change", [-1, -2], ids=["a posting of nobody", "another balance than the postings leave"])
def test_what_people_answered_for_is_counted_anew_and_the_next_difference_is_a_break(change: int) -> None:
    """A lost execution: its posting, our own that is never shown, and the balance agree from then on, also over a
    restart, until something differs anew.
    """
    custody, (bookings, ledger) = keeping(), booked(1)
    balances, told = {"USDT": 999}, [moved(9, change, 999)]
    breaks = [custody.look(balances, told, bookings, ledger, at * SECOND).breaks for at in (140, 142)]
    assert len(breaks[1]) >= 2
    custody.vouched(balances, told, bookings, ledger, 142 * SECOND)
    custody = Custody.read(json.loads(json.dumps(custody.words())))
    assert custody.look(balances, told, bookings, ledger, 144 * SECOND).clean
    fresh = [*told, moved(10, -1, 998)]
    looks = [custody.look({"USDT": 998}, fresh, bookings, ledger, at * SECOND) for at in (146, 148)]
    assert [bool(look.breaks) for look in looks] == [False, True]


def test_what_a_person_moves_is_told_once() -> None:
    """A transfer is no break, and stays known over a restart."""
    custody, (bookings, ledger) = keeping(), booked()
    told = [moved(1, 500, 1_500, kind="transfer", said="TRANSFER_IN", execution_id="")]
    look = custody.look({"USDT": 1_500}, told, bookings, {PERP: Sums()}, 103 * SECOND)
    assert [one.change for one in look.transfers] == [500]
    again = Custody.read(json.loads(json.dumps(custody.words())))
    report = again.look({"USDT": 1_500}, told, bookings, ledger, 104 * SECOND)
    assert (report.clean, report.transfers, again.transferred) == (True, (), {"USDT": 500})


Change = Callable[[Books, Booking, list[Moved]], object]
"""What goes wrong with one execution."""


def statement_differs(part: int, by: int) -> Change:
    """The venue's row of it has another flow (0), fee (1) or funding (2)."""

    def change(books: Books, _: Booking, rows: list[Moved]) -> None:
        parts = list(rows[0].parts or ())
        parts[part] += by
        books.rewrite(rows[0], parts=tuple(parts), change=parts[0] - parts[1] + parts[2])

    return change


def ledger_differs(**by: int) -> Change:
    """Our ledger booked it with another amount."""

    def change(books: Books, booking: Booking, _: list[Moved]) -> None:
        more = Sums(**by)
        books.bookings.book(replace(booking, sums=booking.sums.plus(more)))
        books.ledger[booking.market] = books.ledger[booking.market].plus(more)

    return change


def never_shown(books: Books, _: Booking, rows: list[Moved]) -> None:
    """The statement leaves it out, and the balance too."""
    books.rewrite(rows[0], change=0)
    books.statement.remove(next(one for one in books.statement if one.posting_id == rows[0].posting_id))
    books.now += LATE_NS


def shown_twice(books: Books, _: Booking, rows: list[Moved]) -> None:
    """The statement has it a second time."""
    books.balances["USDT"] += rows[0].change
    books.statement.append(replace(rows[0], posting_id="again", balance=books.balances["USDT"]))


DOLLAR_AND_A_CENT = UNIT + UNIT // 100


@pytest.mark.parametrize(
    ("change", "named", "funding"),
    [
        (statement_differs(1, DOLLAR_AND_A_CENT), "fee of", False),
        (statement_differs(1, -2 * ROUNDING), "fee of", False),
        (ledger_differs(fees=5 * UNIT), "fee of", False),
        (statement_differs(0, DOLLAR_AND_A_CENT), "flow of", False),
        (ledger_differs(flow=-UNIT), "flow of", False),
        (statement_differs(2, 2 * ROUNDING), "funding of", True),
        (ledger_differs(funding=UNIT), "funding of", True),
        (never_shown, "not in the statement", False),
        (never_shown, "not in the statement", True),
        (shown_twice, "TRADE", False),
    ],
    ids=[
        "a fee 1.01 too high at the venue",
        "a fee 0.00000002 too low",
        "a fee booked 5 too high",
        "a profit 1.01 too high",
        "a profit booked too low",
        "another funding at the venue",
        "another funding booked",
        "a trade that never shows",
        "funding that never shows",
        "a trade that shows twice",
    ],
)
def test_an_amount_that_is_not_our_own_is_a_break_and_names_the_execution(
    change: Change, named: str, funding: bool
) -> None:
    """Seen twice it is one, with our amount and theirs."""
    books = Books()
    custody = books.begin()
    books.trade(PERP, 5, 100, 300)
    assert books.look(custody).clean
    booking, rows = books.fund(77 * UNIT) if funding else books.trade(PERP, -2, 120, 500 * UNIT)
    change(books, booking, rows)
    assert books.look(custody).breaks == ()
    found = [one for one in books.look(custody).breaks if named in one.name]
    assert found
    assert booking.execution_id in found[0].name
    assert (found[0].held, found[0].told) != (None, None)


def test_a_fee_of_the_wrong_sign_is_a_break() -> None:
    """A rebate that was booked as paid."""
    books = Books()
    custody = books.begin()
    booking, _ = books.trade(PERP, 5, 100, -400_000)
    ledger_differs(fees=800_000)(books, booking, [])
    assert names(books.twice(custody)) == [f"USDT TRADE e1 fee of {PERP}"]


def test_a_ledger_that_moves_without_an_execution_is_a_break() -> None:
    """What the statement explained and what it has not shown yet is all that the ledger may hold."""
    books = Books()
    custody = books.begin()
    books.trade(PERP, 5, 100, 300)
    assert books.look(custody).clean
    books.ledger[PERP] = books.ledger[PERP].plus(Sums(fees=1))
    assert names(books.twice(custody)) == [f"ledger of {PERP}, fees"]


def test_a_nameless_line_is_explained_by_the_only_execution_of_its_kind_time_and_amount() -> None:
    """Two that fit explain nothing, for nobody knows which it is."""
    books = Books()
    custody = books.begin()
    _, [row] = books.fund(7 * UNIT)
    books.rewrite(row, execution_id="")
    assert books.look(custody).clean
    rows = [books.fund(9 * UNIT)[1][0] for _ in range(2)]
    for row in rows:
        books.rewrite(row, execution_id="")
    assert len(names(books.twice(custody))) >= 2


def test_lines_without_parts_are_compared_whole() -> None:
    """A venue that tells the change alone is held to the change."""
    books = Books()
    custody = books.begin()
    booking, [row] = books.trade(PERP, 5, 100, 300)
    books.rewrite(row, parts=None)
    assert books.look(custody).clean
    booking, [row] = books.trade(PERP, -5, 130, 300)
    books.rewrite(row, parts=None, change=row.change + UNIT)
    assert names(books.twice(custody)) == [f"USDT TRADE {booking.execution_id} change of {PERP}"]


def test_parts_that_are_not_the_change_are_a_break() -> None:
    """The venue contradicts itself."""
    books = Books()
    custody = books.begin()
    _, [row] = books.trade(PERP, 5, 100, 300)
    books.rewrite(row, change=row.change - UNIT)
    assert "USDT TRADE e1 change" in names(books.twice(custody))


def test_roundings_may_not_add_up_to_a_dollar() -> None:
    """Each is within the tolerance; all together are a break long before a dollar, also over a restart."""
    books = Books()
    custody = books.begin()
    _, [row] = books.trade(PERP, 5, 100, 300)
    statement_differs(1, ROUNDING)(books, books.bookings.awaited()[0], [row])
    assert books.look(custody).clean
    assert custody.drift == {"USDT": -ROUNDING}
    words = custody.words()
    words["drift"] = {"USDT": -drift_limit("USDT")}
    custody = Custody.read(words)
    _, [row] = books.trade(PERP, 5, 100, 300)
    statement_differs(1, 1)(books, books.bookings.awaited()[0], [row])
    assert names(books.twice(custody)) == ["USDT roundings, in all"]
    assert drift_limit("USDT") < UNIT
    assert drift_limit("BTC") * 200_000 <= UNIT


def test_an_execution_elsewhere_on_the_account_is_explained_by_being_heard() -> None:
    """It is in no book here, so its amounts are compared by nobody."""
    books = Books()
    custody = books.begin()
    _, [row] = books.trade(PERP, 5, 100, 300)
    books.bookings.forget(["e1"])
    books.ledger[PERP] = Sums()
    assert names(books.twice(custody)) == ["USDT TRADE e1"]
    books.bookings.elsewhere("e1")
    assert books.look(custody).clean
    assert row.change == books.balances["USDT"] - 1_000 * UNIT


def test_what_lots_earn_that_were_there_before_is_compared_from_flat_on() -> None:
    """Fees are compared all the while, and nobody here can know what the lots were entered at."""
    assert Entry(5, None).traded(Sums(flow=600, lots=-2)) == (None, Entry(3, None))
    assert Entry(3, None).traded(Sums(flow=800, lots=-4)) == (None, Entry(-1, 200))
    assert Entry(-1, 200).traded(Sums(flow=-150, lots=1)) == (50, Entry(0, 0))
    books = Books()
    books.trade(PERP, 5, 100, 300)
    books.bookings.forget(["e1"])
    custody = books.begin()
    booking, [row] = books.trade(PERP, -2, 120, 300)
    statement_differs(0, UNIT)(books, booking, [row])
    assert books.look(custody).clean
    assert custody.drift == {}
    booking, [row] = books.trade(PERP, -4, 120, 300)
    statement_differs(1, UNIT)(books, booking, [row])
    assert names(books.twice(custody)) == [f"USDT TRADE {booking.execution_id} fee of {PERP}"]


def test_both_coins_of_a_spot_trade_are_compared() -> None:
    """The coin that was bought, less the fee that was taken of it, and what was paid."""
    books = Books()
    custody = books.begin()
    books.trade(SPOT, 5, 100, 2_000_000)
    assert books.look(custody).clean
    booking, [base, _] = books.trade(SPOT, 5, 100, 2_000_000)
    statement_differs(1, 3 * ROUNDING)(books, booking, [base])
    assert names(books.twice(custody)) == [f"BTC TRADE {booking.execution_id} fee of {SPOT}"]


def test_words_of_an_earlier_version_are_read_and_the_books_begin_as_they_are() -> None:
    """They do not say what our books held; an earlier version reads ours, which say more."""
    books = Books()
    custody = books.begin()
    booking, _ = books.trade(PERP, 5, 100, 300)
    assert books.look(custody).clean
    old = {name: custody.words()[name] for name in ("proven", "since", "transferred", "began", "counted")}
    again = Custody.read(json.loads(json.dumps(old)))
    books.bookings.book(replace(booking, earlier=True))  # heard again after the restart
    assert books.look(again).clean
    assert books.bookings.awaited() == []
    books.trade(PERP, 5, 100, 300)
    assert books.look(again).clean


def test_a_restart_awaits_what_the_run_before_had_booked_and_not_seen() -> None:
    """The execution is heard again, and its posting may come after; what was counted is not waited for."""
    books = Books()
    custody = books.begin()
    counted, _ = books.trade(PERP, 5, 100, 300)
    assert books.look(custody).clean
    words = json.loads(json.dumps(custody.words()))
    open_one, [row] = books.trade(PERP, -2, 130, 300)
    again, books.bookings = Custody.read(words), Bookings()
    for one in (counted, open_one):
        books.bookings.book(replace(one, earlier=True))
    hidden = books.statement.pop()
    books.balances["USDT"] -= row.change
    assert books.look(again).clean
    assert [one.execution_id for one in books.bookings.awaited()] == [open_one.execution_id]
    books.statement.append(hidden)
    books.balances["USDT"] += row.change
    assert books.look(again).clean
    assert books.bookings.awaited() == []
    books.ledger[PERP] = books.ledger[PERP].plus(Sums(flow=1))
    assert names(books.twice(again)) == [f"ledger of {PERP}, flow"]


def test_what_people_changed_in_the_books_is_no_break_and_stays_known() -> None:
    """No statement says it; from flat on everything is compared again, also after a restart."""
    books = Books()
    custody = books.begin()
    books.trade(PERP, 5, 100, 300)
    assert books.look(custody).clean
    signed = Sums(flow=-200 * UNIT, lots=2)
    books.ledger[PERP] = books.ledger[PERP].plus(signed)
    books.held[PERP] = (7, books.held[PERP][1] - 999 * UNIT)  # the venue entered them at another price
    custody.adjusted(PERP, signed)
    assert books.look(custody).clean
    custody = Custody.read(json.loads(json.dumps(custody.words())))
    books.trade(PERP, -8, 110, 300)
    assert books.look(custody).clean
    booking, [row] = books.trade(PERP, 1, 115, 300)
    statement_differs(0, UNIT)(books, booking, [row])
    assert names(books.twice(custody)) == [f"USDT TRADE {booking.execution_id} flow of {PERP}"]


def test_what_a_large_position_earned_may_differ_by_the_rounding_of_its_entry_price() -> None:
    """By 10^-8 for each coin that was traded, and no more."""
    for more, clean in ((0, True), (1, False)):
        books = Books()
        custody = books.begin()
        books.trade(PERP, 500_000, 100, 300)
        booking, [row] = books.trade(PERP, -200_000, 120, 300)
        books.bookings.book(replace(booking, size=-200 * UNIT))
        statement_differs(0, ROUNDING + 200 * ROUNDING + more)(books, booking, [row])
        assert books.look(custody).clean is clean
