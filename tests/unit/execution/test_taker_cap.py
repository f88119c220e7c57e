"""The share of what we take, over a rolling window."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import Denial, TakerCap, TakerCapState

CAP = TakerCap()
SECOND = 1_000_000_000


def filled(*, made: int, taken: int) -> TakerCapState:
    """So many fills, all at time zero."""
    state = TakerCapState()
    for taker in [False] * made + [True] * taken:
        state = CAP.fill(state, 0, taker=taker)
    return state


@pytest.mark.parametrize(("made", "taken", "allowed"), [(91, 9, True), (90, 10, False), (0, 1, False), (5, 0, True)])
def test_over_the_cap_nothing_is_taken(made: int, taken: int, allowed: bool) -> None:
    """Nine percent pass, ten do not."""
    _, ruling = CAP.check(filled(made=made, taken=taken), 0)
    assert ruling.allowed is allowed
    assert ruling.denial is (None if allowed else Denial.TAKER_SHARE)


def test_the_denial_says_the_share_and_the_cap() -> None:
    """An operator reads both numbers and what to do."""
    state = filled(made=90, taken=10)
    assert CAP.check(state, 0)[1].said == "taker share is 10.0 %; expected at most 9.0 %, so rest instead"
    assert CAP.check(filled(made=3, taken=0), 0, amount=1.0)[1].said.startswith("taker share would be 25.0 %")


def test_before_the_first_fill_there_is_no_share() -> None:
    """Nothing is over the cap yet, unless the order itself would be all there is."""
    assert TakerCapState().share_pct is None
    assert CAP.check(TakerCapState(), 0)[1].allowed
    assert not CAP.check(TakerCapState(), 0, amount=1.0)[1].allowed


def test_told_the_amount_the_cap_holds_afterwards_too() -> None:
    """91 made and 8 taken leave room for one more and not for two."""
    state = filled(made=91, taken=8)
    assert CAP.check(state, 0, amount=1.0)[1].allowed
    assert not CAP.check(state, 0, amount=2.0)[1].allowed


def test_amounts_weigh() -> None:
    """One large taken fill outweighs many small ones made."""
    state = TakerCapState()
    for _ in range(99):
        state = CAP.fill(state, 0, taker=False, amount=10.0)
    state = CAP.fill(state, 0, taker=True, amount=110.0)
    assert state.share_pct == 10.0
    assert not CAP.check(state, 0)[1].allowed


def test_fills_leave_the_window() -> None:
    """Fifteen minutes later, to the nanosecond, the fill is forgotten."""
    state = filled(made=0, taken=1)
    assert not CAP.check(state, 900 * SECOND - 1)[1].allowed
    state, ruling = CAP.check(state, 900 * SECOND)
    assert ruling.allowed
    assert state == TakerCapState()


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.floats(0.01, 1e6)), max_size=40))
def test_the_share_is_that_of_the_last_fifteen_minutes(fills: list[tuple[int, bool, float]]) -> None:
    """At every moment it equals the one recomputed from the whole history, and a check that passes keeps the cap."""
    state, now, history = TakerCapState(), 0, []
    for pause_s, taker, amount in fills:
        now += pause_s * SECOND
        history.append((now, taker, amount))
        state = CAP.fill(state, now, taker=taker, amount=amount)
        recent = [(taken, size) for at, taken, size in history if at > now - 900 * SECOND]
        share = 100 * sum(size for taken, size in recent if taken) / sum(size for _, size in recent)
        assert state.share_pct == pytest.approx(share)
        if CAP.check(state, now, amount=amount)[1].allowed:
            after = CAP.fill(state, now, taker=True, amount=amount).share_pct
            assert after is not None
            assert after <= 9.0 + 1e-9


@pytest.mark.parametrize("amount", [0.0, -1.0, math.nan, math.inf])
def test_an_amount_that_is_none_is_refused(amount: float) -> None:
    """A fill has a size; NaN would make every later share pass or fail by accident."""
    with pytest.raises(ValueError, match="amount is"):
        CAP.fill(TakerCapState(), 0, taker=True, amount=amount)
    if amount != 0.0:
        with pytest.raises(ValueError, match="amount is"):
            CAP.check(TakerCapState(), 0, amount=amount)


def test_time_does_not_go_back() -> None:
    """A fill before the last one is a mistake of the caller."""
    with pytest.raises(ValueError, match="now_ns is 4, before the last fill at 5"):
        CAP.fill(CAP.fill(TakerCapState(), 5, taker=False), 4, taker=False)
