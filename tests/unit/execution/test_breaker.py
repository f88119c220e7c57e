"""The breaker of the venue's API, beyond its tables."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import Breaker, BreakerState, Denial, Phase, Trouble

SECOND = 1_000_000_000
BREAKER = Breaker()


def test_circuit_breaker_trips_on_429() -> None:
    """One 429 opens it, says so, and 60 s of the clock that it is given bring the gauge back to 0."""
    state, event = BREAKER.troubled(BreakerState(), 5 * SECOND, Trouble.OVERLOADED)
    assert event is not None
    assert event.name == "circuit_breaker_tripped"
    assert event.until_ns == 65 * SECOND
    assert event.said == "the venue says overloaded: no places and no amends for 60 s, cancels pass"
    assert [state.gauge(at * SECOND) for at in (5, 64, 65)] == [1, 1, 0]
    state, ruling = BREAKER.ask(state, 6 * SECOND, "place")
    assert ruling.denial is Denial.BREAKER_OPEN


def test_a_freeze_during_an_open_breaker_cancels_every_order() -> None:
    """However many cancels there are, none is held back."""
    state, _ = BREAKER.troubled(BreakerState(), 0, Trouble.BANNED)
    for order in range(500):
        state, ruling = BREAKER.ask(state, order, "cancel")
        assert ruling.allowed
    assert BREAKER.ask(state, 500, "cancel_all")[1].allowed


@given(
    st.lists(
        st.tuples(
            st.integers(0, 70),
            st.sampled_from(["place", "amend", "cancel", "cancel_all", "answered", *Trouble]),
        ),
        max_size=60,
    )
)
def test_it_can_never_stay_shut(events: list[tuple[int, str]]) -> None:
    """Whatever happened, cancels pass at once, and an order passes when waiting as long as each denial says."""
    state, now = BreakerState(), 0
    for pause_s, event in events:
        now += pause_s * SECOND
        assert BREAKER.ask(state, now, "cancel")[1].allowed
        assert state.gauge(now) == (state.phase(now) is Phase.OPEN)
        if event == "answered":
            state, _ = BREAKER.answered(state, now)
        elif event in set(Trouble):
            state, _ = BREAKER.troubled(state, now, Trouble(event))
        else:
            state, _ = BREAKER.ask(state, now, event)
    for _ in range(2):
        state, ruling = BREAKER.ask(state, now, "place")
        now = ruling.retry_ns if ruling.retry_ns is not None else now
    assert ruling.allowed or BREAKER.ask(state, now, "place")[1].allowed
    assert now <= sum(pause for pause, _ in events) * SECOND + 605 * SECOND


def test_the_state_survives_a_restart() -> None:
    """Written down and read again it is the same, so a restart does not close an open breaker."""
    state, _ = BREAKER.troubled(BreakerState(), 7, Trouble.OVERLOADED)
    assert msgspec.json.decode(msgspec.json.encode(state), type=BreakerState) == state
