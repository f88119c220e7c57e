"""The one clock of a run."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from mmbot.runtime.clock import RunClock, follow_venue


class Hands:
    """Two clocks that are set by the test."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000, 50

    def clock(self, offset_ns: int = 0) -> RunClock:
        """Make a run's clock of them."""
        return RunClock(wall=lambda: self.wall, monotonic=lambda: self.steady, offset_ns=offset_ns)


@given(st.lists(st.tuples(st.sampled_from(["input", "message", "correct"]), st.integers(-(10**6), 10**6)), max_size=50))
def test_every_input_is_later_than_the_one_before(acts):
    """Whatever the clocks do, and wherever messages lie, times of inputs rise strictly."""
    hands = Hands()
    clock = hands.clock()
    last = -1
    for act, number in acts:
        hands.steady += max(number, 0)
        if act == "message":
            assert clock.at_least(hands.wall + number) >= last
        elif act == "correct":
            clock.correct(number)
        now = clock()
        assert now > last
        assert clock.peek() >= now
        last = now


def test_a_clock_that_is_set_moves_nothing():
    """The wall clock is read once; an hour set back or forth does not reach the run."""
    hands = Hands()
    clock = hands.clock(offset_ns=7)
    first = clock()
    hands.wall -= 3_600_000_000_000
    hands.steady += 100
    assert (first, clock()) == (1_000_007, 1_000_107)


def test_a_message_from_the_venue_s_future_moves_the_clock():
    """What has been heard has been heard by now, also where the venue's clock is ahead of ours."""
    clock = Hands().clock()
    clock.at_least(2_000_000)
    assert clock() == 2_000_001


def test_time_goes_on_from_a_lead_of_the_venue():
    """A venue that is a second ahead does not hold the run's time still for a second."""
    hands = Hands()
    clock = hands.clock()
    clock.at_least(hands.wall + 1_000_000_000)
    hands.steady += 500
    assert clock() == hands.wall + 1_000_000_500


def test_a_venue_clock_that_was_set_back_is_waited_for():
    """Five seconds back: inputs still rise, by nanoseconds, until the venue has caught up; then time goes on."""
    hands = Hands()
    clock = hands.clock()
    began = clock()
    assert clock.follow(began - 5_000_000_000) == -5_000_000_000
    assert clock() == began + 1
    hands.steady += 5_000_000_000
    assert clock() == began + 2
    hands.steady += 1_000
    assert clock() == began + 1_000


def test_a_venue_clock_is_followed_forward_and_small_errors_are_not():
    """A tenth of a second is an error of measurement; more is taken over."""
    hands = Hands()
    clock = hands.clock()
    assert clock.follow(hands.wall + 100_000_000) == 0
    assert clock() == hands.wall
    assert clock.follow(hands.wall + 100_000_001) == 100_000_001
    assert clock() == hands.wall + 100_000_001


def test_a_run_s_clock_is_kept_by_the_venue_s_and_says_so():
    """Each time it is set, an event says by how much."""
    hands = Hands()
    clock, said = hands.clock(), []

    async def story() -> None:
        told = asyncio.Event()

        def tell(event: dict[str, object]) -> None:
            said.append(event)
            told.set()

        keeping = asyncio.create_task(follow_venue(clock, lambda: hands.wall + 2 * 10**9, tell, every_s=0.001))
        await asyncio.wait_for(told.wait(), 5)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(story())
    assert [(event["event"], event["by_s"]) for event in said] == [("clock set", 2.0)]
    assert clock() == hands.wall + 2 * 10**9
