"""The names of our orders."""

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mmbot.execution import ClientIds, Named, parse

DIGITS = string.digits + string.ascii_lowercase
IDS = st.builds(
    ClientIds,
    env=st.sampled_from(DIGITS),
    epoch_s=st.integers(0, 36**6 - 1),
    strategy=st.text(DIGITS, min_size=3, max_size=3),
)
SEQUENCES = st.integers(0, 36**8 - 1)


@given(IDS, SEQUENCES)
def test_a_name_says_what_it_was_made_of(ids: ClientIds, sequence: int) -> None:
    """There and back, within Bybit's 36 characters."""
    name = ids.name(sequence)
    assert len(name) == 27
    assert set(name) <= set(DIGITS + "-")
    assert parse(name) == Named(ids.env, ids.epoch_s, ids.strategy, sequence)
    assert ids.sequence(name) == sequence


@given(IDS, SEQUENCES, SEQUENCES)
def test_one_order_one_name(ids: ClientIds, first: int, second: int) -> None:
    """The same order is always named the same, another one differently."""
    same = ClientIds(ids.env, ids.epoch_s, ids.strategy)
    assert (ids.name(first) == same.name(second)) is (first == second)


@given(IDS, IDS, SEQUENCES)
def test_names_of_another_run_are_told_apart(mine: ClientIds, other: ClientIds, sequence: int) -> None:
    """Another environment, start or strategy is not ours to number."""
    assume(mine != other)
    assert mine.sequence(other.name(sequence)) is None


@given(IDS, SEQUENCES, st.data())
def test_no_wrong_character_passes_for_a_name(ids: ClientIds, sequence: int, data: st.DataObject) -> None:
    """Any one character changed, or two neighbours exchanged, is noticed."""
    name = ids.name(sequence)
    at = data.draw(st.sampled_from([place for place, character in enumerate(name) if character != "-"]))
    other = data.draw(st.sampled_from(DIGITS.replace(name[at], "")))
    assert parse(name[:at] + other + name[at + 1 :]) is None
    if at + 1 < len(name) and name[at] != name[at + 1]:
        assert parse(name[:at] + name[at + 1] + name[at] + name[at + 2 :]) is None


@given(st.text())
@example("")
@example("mm-s-tpaigw-mkr-0000001a-ig\n")
@example("mm-s-tpaigw-mkr-0000001A-ig")
def test_other_texts_are_none_of_ours(text: str) -> None:
    """Whatever a venue sends back, reading it raises nothing."""
    assert parse(text) is None


def test_the_name_in_the_documentation_is_one() -> None:
    """The example is what it says."""
    assert ClientIds("s", 1_796_000_000, "mkr").name(46) == "mm-s-tpaigw-mkr-0000001a-ig"


@pytest.mark.parametrize(
    ("env", "epoch_s", "strategy", "wrong"),
    [
        ("", 0, "mkr", "env is ''"),
        ("L", 0, "mkr", "env is 'L'"),
        ("s", 0, "maker", "strategy is 'maker'"),
        ("s", 0, "m-k", "strategy is 'm-k'"),
        ("s", 1_796_000_000_000, "mkr", "not ms or ns"),
        ("s", -1, "mkr", "not ms or ns"),
    ],
)
def test_what_makes_no_name_is_refused(env: str, epoch_s: int, strategy: str, wrong: str) -> None:
    """The message says which part, and what was expected."""
    with pytest.raises(ValueError, match=wrong):
        ClientIds(env, epoch_s, strategy)


def test_a_number_too_large_is_refused() -> None:
    """No two orders can ever share a name by running over."""
    with pytest.raises(ValueError, match="at most 8"):
        ClientIds("s", 0, "mkr").name(36**8)
