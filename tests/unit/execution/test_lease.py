"""The fence: who may sign what, and that no two epochs ever trade in turns."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lease_model import BUGS, MS, SECOND, TTL, World

from mmbot.execution.lease import NEVER_NS, FenceTerms, LeaseFence, LeaseRow, Watched, watch
from mmbot.venues.bybit.clock import ERROR_MAX
from mmbot.venues.bybit.http import HttpTiming

START = 1_000 * SECOND


def row(epoch: int = 7, beat: int = 1, *, left_ns: int = 0, holder: str = "a") -> LeaseRow:
    """A row as the keeper says it."""
    return LeaseRow(epoch=epoch, beat=beat, holder=holder, ttl_ns=TTL, left_ns=left_ns)


def test_a_create_needs_more_than_the_guard_left_of_the_lease():
    """50 ms before the end is too late, a nanosecond earlier is not."""
    fence = LeaseFence(epoch=1, until_ns=START)
    assert fence.why_not(START - 50 * MS - 1) == ""
    assert "was not renewed" in fence.why_not(START - 50 * MS)
    assert fence.turns_ns(START - SECOND) == START - 50 * MS


def test_the_first_create_waits_for_the_former_leaders_requests_to_expire():
    """R + 2ε + M after the end of the old lease: 3 s with a window of 2 s, less what was over already."""
    terms = FenceTerms()
    assert terms.handover_ns == 3_000 * MS
    fence = LeaseFence.taken(8, START, START + 10 * MS, TTL, 400 * MS, terms)
    assert fence.first_ns == START + (10 - 400 + 3_000) * MS
    assert "begins in" in fence.why_not(fence.first_ns - 1)
    assert fence.renewed(fence.first_ns, TTL).why_not(fence.first_ns) == ""


def test_nobody_waits_for_a_leader_that_never_was():
    """The first holder of an account begins at once."""
    assert LeaseFence.taken(1, START, START, TTL, None, FenceTerms()).why_not(START) == ""
    assert LeaseFence(epoch=1).why_not(NEVER_NS - SECOND) == ""


def test_a_renewal_counts_from_when_it_was_asked_for():
    """However late the answer came; and an answer that was overtaken takes nothing back."""
    fence = LeaseFence(epoch=1, until_ns=START).renewed(START, TTL)
    assert fence.until_ns == START + TTL
    assert fence.renewed(START - SECOND, TTL) == fence


def test_a_margin_below_the_clocks_error_is_refused():
    """The arithmetic would not hold."""
    with pytest.raises(ValueError, match="margin that covers"):
        FenceTerms(margin_ns=249 * MS)


def test_the_terms_are_those_of_the_venues_session():
    """R is what requests are signed with, ε is beyond what no order leaves."""
    terms = FenceTerms()
    assert (terms.recv_window_ns, terms.clock_error_ns) == (HttpTiming().recv_window_ms * MS, ERROR_MAX)


def test_a_lease_is_taken_only_after_it_was_seen_unchanged_for_its_whole_time():
    """The keeper says at once that it is over; the candidate believes it a lease later by its own clock."""
    seen, may = watch(Watched(), row(left_ns=-SECOND), START)
    assert not may
    seen, may = watch(seen, row(left_ns=-SECOND), START + TTL - 1)
    assert not may
    seen, may = watch(seen, row(left_ns=-SECOND), START + TTL)
    assert may
    assert seen.over_for_ns(row(left_ns=-SECOND), START + TTL + 5) == 5


def test_every_renewal_and_every_other_holder_begins_the_watch_anew():
    """A beat or an epoch that moved is a holder that lives."""
    seen, _ = watch(Watched(), row(beat=1), START)
    seen, _ = watch(seen, row(beat=2), START + TTL)
    assert watch(seen, row(beat=2), START + TTL + 1)[1] is False
    assert watch(seen, row(epoch=8, beat=2), START + 2 * TTL)[1] is False


def test_a_lease_that_runs_by_the_keepers_clock_is_not_taken_and_a_free_one_at_once():
    """Our own clock alone is no reason; a lease that was given back is."""
    seen, _ = watch(Watched(), row(left_ns=1), START)
    assert watch(seen, row(left_ns=1), START + 10 * TTL)[1] is False
    assert watch(Watched(), row(holder=""), START)[1] is True


def breached(seed: int, steps: int = 4_000, **world: object) -> bool:
    """Whether two epochs traded in turns in the world of a seed."""
    one = World(Random(seed), **world)  # type: ignore[arg-type]
    one.run(steps)
    return bool(one.venue.breaches())


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**64), leaders=st.integers(2, 4), jumps=st.booleans())
def test_no_two_epochs_ever_trade_in_turns(seed: int, leaders: int, jumps: bool):
    """Pauses of any length between any two steps, clocks off by ε, requests parked, a keeper whose clock jumps."""
    assert not breached(seed, leaders=leaders, jumps=jumps)


def test_the_world_has_hand_overs_to_judge():
    """Epochs change and both sides trade; otherwise the property above would hold for nothing."""
    traded = []
    for seed in range(20):
        world = World(Random(seed))
        world.run(4_000)
        traded.append(len({epoch for _, epoch in world.venue.taken}))
    assert sum(traded) > 60


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str):
    """Each mistake of the arithmetic shows within 200 seeds."""
    assert any(breached(seed, bugs=frozenset({bug})) for seed in range(200)), f"not found: {bug}"
