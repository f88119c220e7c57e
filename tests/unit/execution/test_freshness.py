"""Stale market data is never priced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import Denial, FreshnessGate

MS = 1_000_000
NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("age_ns", "allowed"), [(0, True), (60 * MS, True), (60 * MS + 1, False), (10_000 * MS, False)]
)
def test_sixty_milliseconds_is_the_oldest_that_is_priced(age_ns: int, allowed: bool) -> None:
    """At 60 ms it may still be priced, a nanosecond later not."""
    ruling = FreshnessGate().check(NOW, NOW - age_ns)
    assert ruling.allowed is allowed
    assert ruling.denial is (None if allowed else Denial.STALE)


def test_the_denial_says_how_old_it_is() -> None:
    """The age and the bound are told."""
    said = FreshnessGate(fresh_ms_for_pricing=5).check(NOW, NOW - 7 * MS).said
    assert said == "market data is 7.0 ms old; expected at most 5.0 ms, so do not price it"


def test_data_never_heard_and_data_from_the_future_are_not_priced() -> None:
    """Neither has an age that could be trusted."""
    gate = FreshnessGate()
    assert gate.check(NOW, None).said == "no market data was heard yet; wait for the first snapshot"
    ahead = gate.check(NOW, NOW + 2 * MS)
    assert ahead.said == "market data is 2.0 ms ahead of now; check the clocks"
    assert ahead.retry_ns == NOW + 2 * MS


@given(st.integers(-(10**12), 10**12), st.integers(1, 10_000))
def test_only_an_age_from_zero_to_the_bound_is_priced(age_ns: int, bound_ms: int) -> None:
    """For any age and any bound."""
    allowed = FreshnessGate(fresh_ms_for_pricing=bound_ms).check(NOW, NOW - age_ns).allowed
    assert allowed is (0 <= age_ns <= bound_ms * MS)
