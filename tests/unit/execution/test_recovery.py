"""Names over a chain of runs, and the breaker of crash loops."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution.client_ids import ClientIds
from mmbot.execution.recovery import Chain, crash_loop, owner_of

SECOND = 1_000_000_000


def ids(epoch_s: int) -> ClientIds:
    """Names of the run that began then."""
    return ClientIds(env="s", epoch_s=epoch_s, strategy="tst")


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_every_number_has_one_name_and_every_name_its_number(sent: list[int]) -> None:
    """Whatever each run of a chain sent, nothing included; and it is read back from a journal as it was."""
    chain, first = Chain.of(ids(1_000)), 1
    for at, orders in enumerate(sent):
        first += orders
        chain = chain.then(first, ids(1_001 + at))
    chain = Chain.read(chain.words())
    names = [chain.name(number) for number in range(1, first + 50)]
    assert [chain.number(name) for name in names] == list(range(1, first + 50))
    assert len(set(names)) == len(names)


def test_a_name_of_a_lost_tail_has_no_number_and_is_an_orphan() -> None:
    """The journal ends at order 10; order 12 of that run is at the venue, and 12 is another order now."""
    chain = Chain.of(ids(1_000)).then(11, ids(2_000))
    lost = ids(1_000).name(12)
    assert chain.number(lost) is None
    assert chain.name(12) != lost
    assert owner_of(lost) == "orphan"
    assert owner_of("by-hand") == owner_of("") == "foreign"


def test_the_fifth_recovery_within_ten_minutes_is_one_too_many() -> None:
    """Four are borne; older ones do not count."""
    at = [number * 100 * SECOND for number in range(1, 6)]
    assert crash_loop(at[:4], at[3], "7") is None
    asked = crash_loop(at, at[4], "7")
    assert asked is not None
    assert (asked.control, str(asked.scope)) == ("crash_loop", "account 7")
    assert crash_loop([0, *at[1:]], at[4] + 400 * SECOND, "7") is None
