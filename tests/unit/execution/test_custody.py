"""Coins of the account: explained to the last unit, or a break."""

from typing import Any

import pytest

from mmbot.execution.custody import Custody, Moved

SECOND = 1_000_000_000


def moved(number: int, change: int, balance: int, **words: Any) -> Moved:
    """One posting, a second after the other."""
    plain = {"coin": "USDT", "kind": "trade", "said": "TRADE", "execution_id": f"e{number}"}
    plain = {**plain, "ts_venue": (100 + number) * SECOND}
    return Moved(posting_id=str(number), change=change, balance=balance, **{**plain, **words})


def keeping() -> Custody:
    """1,000 in care since second 100."""
    return Custody.begin({"USDT": 1_000}, [], 100 * SECOND)


def test_executions_that_were_heard_explain_a_balance_that_may_be_older_than_they() -> None:
    """The balance was read between two postings: both are counted, and none twice."""
    custody = keeping()
    told = [moved(1, 5, 1_005), moved(2, -7, 998)]
    assert custody.look({"USDT": 1_005}, told, lambda _: True).clean
    assert custody.look({"USDT": 998}, told, lambda _: True).clean
    assert custody.proven == {"USDT": 998}


def test_custody_begins_with_the_posting_that_left_the_balance() -> None:
    """What the statement lists up to there is in it, what came after is not, whatever the venue's clock says."""
    told = [moved(1, 5, 1_005), moved(2, -7, 998)]
    custody = Custody.begin({"USDT": 1_005}, told, 500 * SECOND)
    late = moved(3, 2, 1_000, ts_venue=90 * SECOND)
    assert custody.look({"USDT": 1_000}, [*told, late], lambda _: True).clean
    assert custody.proven == {"USDT": 1_000}


@pytest.mark.parametrize(
    "posting",
    [moved(1, -1, 999), moved(1, -1, 999, kind="other", said="INTEREST"), moved(1, -1, 998)],
    ids=["an execution that nobody heard", "a word that nobody knows", "a sum that is none"],
)
def test_what_nothing_explains_is_a_break_at_the_second_look(posting: Moved) -> None:
    """It may only be late at first; then it is named, and nothing is corrected."""
    custody = keeping()
    first = custody.look({"USDT": 999}, [posting], lambda _: False)
    second = custody.look({"USDT": 999}, [posting], lambda _: False)
    assert (bool(first.breaks), bool(first.deferred)) == (False, True)
    assert second.breaks
    assert custody.proven == {"USDT": 1_000}


def test_what_a_person_moves_is_told_once() -> None:
    """A transfer is no break, and stays known over a restart."""
    custody = keeping()
    told = [moved(1, 500, 1_500, kind="transfer", said="TRANSFER_IN", execution_id="")]
    assert [one.change for one in custody.look({"USDT": 1_500}, told, lambda _: False).transfers] == [500]
    again = Custody.read(custody.words())
    report = again.look({"USDT": 1_500}, told, lambda _: False)
    assert report.clean
    assert report.transfers == ()
    assert again.transferred == {"USDT": 500}
