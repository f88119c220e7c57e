"""The venue's clock: the true offset always lies within the error that is stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.venues.bybit.clock import ERROR_MAX, NO_OFFSET, ClockOffset, estimate, steady_clock
from mmbot.venues.port import VenueError

delays = st.integers(0, 10**9)


@given(st.integers(-(10**12), 10**12), st.lists(st.tuples(delays, delays), min_size=1, max_size=8))
def test_the_true_offset_lies_within_the_error(offset: int, samples: list[tuple[int, int]]) -> None:
    """Whatever the two ways take, the estimate is right to within half the narrowest round trip."""
    heard, now = [], 10**18
    for there, back in samples:
        heard.append((now, now + there + offset, now + there + back))
        now += there + back
    found = estimate(heard)
    assert abs(found.offset - offset) <= found.error + 1


def test_a_clock_that_is_not_known_well_enough_forbids_trading() -> None:
    """Before the first sample, and beyond 250 ms of error, nothing may be traded; 5 s of offset known well is fine."""
    with pytest.raises(VenueError, match="mend the network"):
        NO_OFFSET.check()
    with pytest.raises(VenueError, match="251 ms"):
        ClockOffset(offset=0, error=ERROR_MAX + 1_000_000).check()
    ClockOffset(offset=5_000_000_000, error=ERROR_MAX).check()


def test_no_sample_is_no_estimate() -> None:
    """Without an answer there is nothing to estimate from."""
    with pytest.raises(ValueError, match="no clock samples"):
        estimate([])


def test_a_wall_clock_that_jumps_does_not_move_the_steady_one() -> None:
    """The wall is read once; from then on only what really passed counts."""
    wall, passed = [10**18], [5]
    clock = steady_clock(lambda: wall[0], lambda: passed[0])
    wall[0] -= 5_000_000_000
    passed[0] += 7
    assert clock() == 10**18 + 7
