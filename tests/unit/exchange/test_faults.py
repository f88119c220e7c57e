"""Which request or message a fault strikes, and how often."""

import pytest

from mmbot.exchange.faults import Fault, Faults, corrupted, oversized


def test_a_fault_strikes_the_next_that_match_and_is_used_up():
    """Skip one, strike two, by name and account; others pass."""
    faults = Faults()
    faults.arm(Fault(where="trade:order.*", what="silence", count=2, skip=1, uid=7))
    places = [("rest:POST /v5/order/create", 7), ("trade:order.create", 8)]
    places += [("trade:order.create", 7), ("trade:order.cancel", 7), ("trade:order.amend", 7), ("trade:order.amend", 7)]
    struck = [faults.strike(where, uid) is not None for where, uid in places]
    assert struck == [False, False, False, True, True, False]
    assert faults.struck == 2
    assert faults.armed() == []


def test_faults_stay_until_cleared_and_are_listed():
    """count None has no end; one is cleared by its number, or all at once."""
    faults = Faults()
    first = faults.arm(Fault(where="private:order", what="drop", count=None))
    second = faults.arm(Fault(where="public:*", what="delay"))
    assert all(faults.strike("private:order", 1) for _ in range(100))
    assert [(number, left) for number, _, left in faults.armed()] == [(first, None), (second, 1)]
    assert faults.clear(first) == 1
    assert faults.clear() == 1
    assert faults.strike("private:order", 1) is None


def test_probabilities_fall_the_same_way_with_one_seed():
    """Two runs with one seed strike the same messages; about a third of them."""

    def run(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.arm(Fault(where="private:*", what="drop", count=None, probability=0.3))
        return [faults.strike("private:order", None) is not None for _ in range(300)]

    assert run(5) == run(5) != run(6)
    assert 60 < sum(run(5)) < 120


@pytest.mark.parametrize(
    ("where", "what"), [("private:order", "answer"), ("rest:GET /v5", "drop"), ("trade:order.create", "reorder")]
)
def test_a_place_suffers_only_what_can_happen_there(where: str, what: str):
    """Requests are not reordered and messages have no retCode."""
    with pytest.raises(ValueError, match="cannot suffer"):
        Fault(where=where, what=what)
    with pytest.raises(ValueError, match="channel:name"):
        Fault(where="order", what="drop")


def test_broken_messages_are_broken():
    """Half a message is no JSON; an oversized one still is, and larger than any buffer."""
    assert corrupted(b'{"a":1}') == b'{"a'
    assert oversized(b'{"a":1}').endswith(b'x"}')
    assert len(oversized(b'{"a":1}')) > 4_000_000
