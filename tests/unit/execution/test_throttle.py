"""Our own rate limit, whatever is asked and whenever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot.execution import Denial, Throttle, ThrottleState

SECOND = 1_000_000_000
CALLS = st.lists(
    st.tuples(st.integers(0, 400), st.sampled_from(["place", "amend", "cancel", "cancel_all"])), max_size=120
)


@given(CALLS, st.integers(1, 9), st.integers(0, 8))
def test_rate_limiter_enforces_max_calls(calls: list[tuple[int, str]], most: int, reserved: int) -> None:
    """In no second do more calls leave than allowed, orders leave cancels their share, and cancel-alls always leave."""
    throttle = Throttle(max_calls=most, reserved_for_cancels=min(reserved, most - 1))
    state, now, sent = ThrottleState(), 0, []
    for pause_ms, call in calls:
        now += pause_ms * 1_000_000
        state, ruling = throttle.ask(state, now, call)
        assert ruling.allowed or ruling.denial is Denial.THROTTLED
        assert call != "cancel_all" or ruling.allowed
        if ruling.allowed:
            sent.append((now, call))
    for end, _ in sent:
        second = [call for at, call in sent if end - SECOND < at <= end]
        if "cancel_all" not in second:
            assert len(second) <= throttle.room("cancel")
        assert sum(call in ("place", "amend") for call in second) <= throttle.room("place")


@given(CALLS)
def test_waiting_as_told_is_enough_and_no_longer_than_a_second(calls: list[tuple[int, str]]) -> None:
    """A denied call passes at the time the denial names, if nothing else was sent, and not a nanosecond earlier."""
    throttle, state, now = Throttle(), ThrottleState(), 0
    for pause_ms, call in calls:
        now += pause_ms * 1_000_000
        state, ruling = throttle.ask(state, now, call)
        if ruling.retry_ns is not None:
            assert now < ruling.retry_ns <= now + SECOND
            assert not throttle.ask(state, ruling.retry_ns - 1, call)[1].allowed
            assert throttle.ask(state, ruling.retry_ns, call)[1].allowed


def test_a_denial_says_what_was_counted_and_expected() -> None:
    """An operator reads both numbers."""
    throttle, state = Throttle(), ThrottleState()
    for _ in range(7):
        state, _ = throttle.ask(state, 0, "place")
    said = "7 calls in the last 1000 ms; expected fewer than 7 for a place, so wait"
    assert throttle.ask(state, 1, "place")[1].said == said


def test_time_that_goes_back_is_our_own_mistake() -> None:
    """The last call was later than now."""
    state, _ = Throttle().ask(ThrottleState(), SECOND, "place")
    with pytest.raises(ValueError, match="before the last call"):
        Throttle().ask(state, SECOND - 1, "place")


def test_all_calls_cannot_be_reserved() -> None:
    """Without a call for orders there is nothing to cancel."""
    with pytest.raises(ValidationError, match="no order could be placed"):
        Throttle(max_calls=2, reserved_for_cancels=2)
