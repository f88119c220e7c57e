"""Rate budgets: never more than the venue allows in any second, and something is always left for a cancel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.venues.bybit.budget import RateBudget

MS = 1_000_000


def spend(budget: RateBudget, group: str, now: int, *, urgent: bool = False) -> int:
    """How many pass at one moment."""
    passed = 0
    while not budget.take(group, now, urgent=urgent):
        passed += 1
    return passed


def test_the_documented_limit_holds_until_the_venue_says_another() -> None:
    """Ten places a second at first; after a header of twenty, twenty."""
    budget = RateBudget()
    assert spend(budget, "place", 0) == 10
    budget.learn("place", 1, 20, 5, None)
    assert spend(budget, "place", 1) == 10


def test_ordinary_cancels_leave_a_reserve_that_urgent_ones_may_spend() -> None:
    """Eight of ten cancels pass in the ordinary way, the last two only when urgent."""
    budget = RateBudget(reserve=0.2)
    assert spend(budget, "cancel", 0) == 8
    assert spend(budget, "cancel", 0, urgent=True) == 2


def test_spot_is_counted_apart_from_contracts() -> None:
    """A part of a group has a budget and a learnt limit of its own."""
    budget = RateBudget()
    assert spend(budget, "place", 0) == 10
    budget.learn("place:spot", 0, 20, None, None)
    assert spend(budget, "place:spot", 0) == 20
    assert budget.limit("place") == 10


def test_a_spent_group_waits_until_its_oldest_second_is_over() -> None:
    """The wait that is returned is exactly long enough."""
    budget = RateBudget()
    for at in range(10):
        assert budget.take("place", at * MS) == 0
    wait = budget.take("place", 500 * MS)
    assert wait == 500 * MS
    assert budget.take("place", 500 * MS + wait) == 0


def test_nothing_leaves_before_the_reset_that_the_venue_named() -> None:
    """With nothing remaining, the group waits for the reset, cancels too; others go on."""
    budget = RateBudget()
    budget.learn("cancel", 0, 10, 0, 300 * MS)
    assert budget.take("cancel", 0, urgent=True) == 300 * MS
    assert budget.take("cancel", 300 * MS) == 0
    assert budget.take("place", 0) == 0


def test_a_refusal_for_the_rate_is_a_pause_even_without_a_reset() -> None:
    """A reset in the past or none is a second; one a day ahead is not believed."""
    budget = RateBudget()
    assert budget.refused("place", 5, None) == 1_000 * MS
    assert budget.refused("amend", 5, 4) == 1_000 * MS
    assert budget.refused("read", 0, 86_400_000 * MS) == 60_000 * MS


def test_what_leaves_anyway_counts_against_those_that_ask() -> None:
    """Orders over HTTP do not ask for the address's budget, and reads have that much less of it."""
    budget = RateBudget(reserve=0.5)
    for _ in range(50):
        budget.count("address", 0)
    assert spend(budget, "address", 0) == 10
    assert spend(budget, "address", 0, urgent=True) == 60


def test_a_weight_beyond_the_budget_passes_when_nothing_else_was_spent() -> None:
    """A batch larger than the limit is not blocked for ever: the venue says how much of it fits."""
    budget = RateBudget()
    assert budget.take("place-batch", 0, 20) == 0
    assert budget.take("place-batch", 1) > 0


def test_a_reserve_that_is_no_share_is_refused() -> None:
    """The whole budget can not be kept back."""
    with pytest.raises(ValueError, match="no share"):
        RateBudget(reserve=1.0)


@given(st.lists(st.integers(0, 400 * MS), min_size=1, max_size=200))
def test_no_second_ever_holds_more_than_the_limit(gaps: list[int]) -> None:
    """However requests arrive, every window of one second has at most ten that passed."""
    budget, now, passed = RateBudget(), 0, []
    for gap in gaps:
        now += gap
        if not budget.take("place", now):
            passed.append(now)
    for at in passed:
        assert sum(at <= one < at + 1_000 * MS for one in passed) <= 10
