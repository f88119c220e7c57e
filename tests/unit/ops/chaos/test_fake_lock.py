"""The simulated lock: what a store with a time to live does."""

import pytest

from mmbot.ops.chaos.fake_lock import FakeKVLock


class Clock:
    """Milliseconds that a test moves."""

    ms = 0

    def now(self) -> int:
        """Now."""
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


@pytest.fixture
def lock(clock: Clock) -> FakeKVLock:
    """For 1,500 ms."""
    return FakeKVLock(1_500, clock.now)


def test_the_first_to_ask_has_it_and_the_second_does_not(lock: FakeKVLock):
    """One owner, epoch 1."""
    assert lock.try_acquire("a") == 1
    assert lock.try_acquire("b") is None
    assert lock.owner == "a"


def test_whoever_has_it_cannot_take_it_again(lock: FakeKVLock):
    """Two processes of one name would both believe that they lead."""
    lock.try_acquire("a")
    assert lock.try_acquire("a") is None


def test_it_runs_out_to_the_millisecond(lock: FakeKVLock, clock: Clock):
    """Held at 1,499 ms, free at 1,500."""
    lock.try_acquire("a")
    clock.ms = 1_499
    assert lock.owner == "a"
    assert lock.try_acquire("b") is None
    clock.ms = 1_500
    assert lock.owner == ""
    assert lock.try_acquire("b") == 2


def test_a_renewal_counts_from_now(lock: FakeKVLock, clock: Clock):
    """1,000 + 1,500."""
    lock.try_acquire("a")
    clock.ms = 1_000
    assert lock.renew("a", 1)
    clock.ms = 2_499
    assert lock.owner == "a"


def test_a_renewal_after_the_end_is_refused(lock: FakeKVLock, clock: Clock):
    """Even if nobody has taken it yet."""
    lock.try_acquire("a")
    clock.ms = 1_500
    assert not lock.renew("a", 1)


def test_nobody_renews_for_another_or_with_an_old_epoch(lock: FakeKVLock, clock: Clock):
    """The same name with an older epoch is an older process."""
    lock.try_acquire("a")
    assert not lock.renew("b", 1)
    clock.ms = 2_000
    assert lock.try_acquire("a") == 2
    assert not lock.renew("a", 1)
    assert lock.renew("a", 2)


def test_what_is_given_back_is_free_at_once_and_only_its_holder_can(lock: FakeKVLock):
    """A second release is refused."""
    lock.try_acquire("a")
    assert not lock.release("b", 1)
    assert not lock.release("a", 0)
    assert lock.release("a", 1)
    assert not lock.release("a", 1)
    assert lock.try_acquire("b") == 2


def test_the_epoch_only_grows(lock: FakeKVLock, clock: Clock):
    """Whatever ended the lease before."""
    seen = []
    for turn in range(5):
        epoch = lock.try_acquire("ab"[turn % 2])
        assert epoch is not None
        seen.append(epoch)
        if turn % 2:
            lock.release("b", epoch)
        clock.ms += 1_500
    assert seen == [1, 2, 3, 4, 5]


def test_a_lease_of_no_time_is_refused():
    """Nobody would ever hold it."""
    with pytest.raises(ValueError, match="at least 1"):
        FakeKVLock(0)
