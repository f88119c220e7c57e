"""What accounts say to one another: written and read back, and nothing else taken for a word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.risk.firm import LEAD_NS, WORD_BYTES_MAX, Coin, Elsewhere, Other, Word, together

SECOND = 1_000_000_000
NOW = 1_790_000_000 * SECOND
AGE = 5 * SECOND
SOUND = Word(NOW, {"BTC": Coin(7, 7, -3), "ETH": Coin(2, -1, -2)})


def heard(*others: Other, age: int = AGE) -> Elsewhere:
    """What they add up to now."""
    return together(others, NOW, age)


def trading(at: int, gross: int = 1) -> Other:
    """An account that trades and said so then."""
    return Other("b", Word(at, {"BTC": Coin(gross, gross, 0)}), ended=False)


coins = st.tuples(st.integers(-(10**20), 10**20), st.integers(-(10**20), 10**20), st.integers(0, 10**20)).map(
    lambda one: Coin(max(map(abs, one[:2])) + one[2], max(one[:2]), min(one[:2]))
)
words = st.builds(Word, st.integers(0, 2**62), st.none() | st.dictionaries(st.text(max_size=9), coins, max_size=4))


@given(words)
def test_a_word_is_read_as_it_was_written(word: Word) -> None:
    """Of any coins, and of none."""
    assert Word.decode(word.encode()) == word


@given(words, st.data())
def test_a_torn_word_is_none(word: Word, data: st.DataObject) -> None:
    """Wherever it was cut."""
    raw = word.encode()
    with pytest.raises(ValueError, match="cannot be read"):
        Word.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": "1"},
        {"at": 1.5},
        {"at": True},
        {"at": None},
        {"coins": {"BTC": [1, 1]}},
        {"coins": {"BTC": [1.0, 1, 0]}},
        {"coins": {"BTC": [float("nan"), 0, 0]}},
        {"coins": {"BTC": [True, 1, 0]}},
        {"coins": {"BTC": [-1, 0, 0]}},
        {"coins": {"BTC": [1, 2, 0]}},
        {"coins": {"BTC": [1, 0, -2]}},
        {"coins": {"BTC": [2, -1, 1]}},
        {"coins": {"BTC": [10**31, 0, 0]}},
        {"coins": {"BTC": None}},
        {"coins": [1]},
        {"coins": "BTC"},
    ],
)
def test_what_makes_no_sense_is_no_word(change: dict[str, object]) -> None:
    """A number of another kind, a sum that is less than its part, another version."""
    said = json.loads(SOUND.encode()) | change
    with pytest.raises(ValueError, match="cannot be read"):
        Word.decode(json.dumps(said).encode() + b"\n")


@pytest.mark.parametrize("raw", [b"", b"\n", b"}\n", b"[]\n", b"null\n", b"\xff}\n", b"[" * 30_000 + b"}\n"])
def test_no_json_is_no_word(raw: bytes) -> None:
    """Nor is what is longer than any word."""
    for spoiled in (raw, b" " * WORD_BYTES_MAX + SOUND.encode()):
        with pytest.raises(ValueError, match="cannot be read"):
            Word.decode(spoiled)


def test_nobody_else_holds_nothing() -> None:
    """As of now."""
    assert heard() == Elsewhere(0, 0, NOW, ())


def test_words_add_up_as_of_the_oldest_of_those_that_trade() -> None:
    """Coins and accounts; the net sum is the farther end of what may be."""
    both = heard(Other("a", SOUND, ended=False), trading(NOW - 3, 4))
    assert both == Elsewhere(9 + 4, 7 - 1 + 4, NOW - 3, ())
    short = heard(Other("a", Word(0, {"BTC": Coin(9, 2, -9)}), ended=True))
    assert short == Elsewhere(9, -9, NOW, ()), "of one that ended it is so now"


@pytest.mark.parametrize(
    ("at", "known"), [(NOW - AGE, True), (NOW - AGE - 1, False), (NOW + LEAD_NS, True), (NOW + LEAD_NS + 1, False)]
)
def test_a_word_of_one_that_trades_has_an_age(at: int, known: bool) -> None:
    """Five seconds here; where none is asked for, any is good, but of the future."""
    assert heard(trading(at)).unknown == (() if known else ("b",))
    assert heard(trading(at), age=0).unknown == (() if at <= NOW + LEAD_NS else ("b",))


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("word", [None, Word(NOW, None)])
def test_what_is_not_known_is_named(word: Word | None, ended: bool) -> None:
    """No word, or one that says that it cannot tell: of an account that ended as well."""
    assert heard(Other("c", word, ended), trading(NOW)).unknown == ("c",)
