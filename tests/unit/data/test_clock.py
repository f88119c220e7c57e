"""The clock shift is found from the lower envelope, and one mistaken frame does not move it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.data.clock import WINDOW_NS, ClockEnvelope, ClockPolicy

T0 = 170_000_000 * WINDOW_NS


def envelope(latencies: list[int]) -> ClockEnvelope:
    """One message per window with the given latency."""
    found = ClockEnvelope()
    for window, latency in enumerate(latencies):
        found.add(T0 + window * WINDOW_NS, T0 + window * WINDOW_NS - latency)
    return found


@given(
    st.integers(-(10**10), 10**10), st.lists(st.integers(0, 500_000), min_size=3, max_size=30), st.integers(0, 10**8)
)
def test_align_puts_the_least_latency_on_the_base(error: int, jitter: list[int], base: int) -> None:
    """Whatever the clock's error, the fastest message arrives exactly the base latency after it was sent."""
    found = envelope([error + one for one in jitter]).shift(ClockPolicy(mode="align", base_latency_ns=base))
    assert min(jitter) + error + found.shift_ns == base


def test_one_mistaken_frame_does_not_move_the_clock() -> None:
    """A window three seconds below all others is an outlier."""
    found = envelope([1_000, 2_000, -3_000_000_000, 1_500, 2_500, 1_200]).shift(ClockPolicy())
    assert (found.shift_ns, found.outlier_windows, found.least_latency_ns) == (0, 1, 1_000)


def test_a_drift_is_reported() -> None:
    """A recorder that gains a microsecond per ten seconds drifts by 100 parts in 10^9."""
    assert envelope([window * 1_000 for window in range(20)]).shift(ClockPolicy()).drift_ppb == 100


def test_policies_differ_where_nothing_is_impossible() -> None:
    """A late but possible clock is left alone by `auto` and `keep`, and moved by `align`."""
    late = envelope([100, 120])
    assert [late.shift(ClockPolicy(mode=mode)).shift_ns for mode in ("auto", "keep", "align")] == [0, 0, -100]
    assert envelope([-5]).shift(ClockPolicy(mode="keep")).shift_ns == 0
    assert ClockEnvelope().shift(ClockPolicy()).least_latency_ns is None


def test_a_negative_base_is_refused() -> None:
    """Nothing arrives before it is sent."""
    with pytest.raises(ValueError, match="must not be negative"):
        ClockPolicy(base_latency_ns=-1)
