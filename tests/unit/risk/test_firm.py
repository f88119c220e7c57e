"""What accounts say to one another: written and read back, and nothing else taken for a word."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.risk.firm import LEAD_NS, WORD_BYTES_MAX, Coin, Elsewhere, Other, Word, claimed, granted, together

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
words = st.builds(
    Word,
    st.integers(0, 2**62),
    st.none() | st.dictionaries(st.text(max_size=9), coins, max_size=4),
    st.none() | st.integers(0, 10**30),
)


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
        {"claim": -1},
        {"claim": 1.5},
        {"claim": True},
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
    assert both == Elsewhere(9 + 4, 7 - 1 + 4, NOW - 3, (), held=9 + 4)
    short = heard(Other("a", Word(0, {"BTC": Coin(9, 2, -9)}), ended=True))
    assert short == Elsewhere(9, -9, NOW, (), held=9), "of one that ended it is so now"


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


MOST = 1_000


class Account:
    """One account of a firm as the claims see it, a step at a time: others' steps come between any two of its own."""

    def __init__(self, said: dict[int, Word], number: int) -> None:
        self.said, self.number, self.holds, self.bound = said, number, 0, 0
        self.steps = self.look()

    def others(self) -> Elsewhere:
        """What the others said by now."""
        heard = [Other(str(n), word, ended=False) for n, word in self.said.items() if n != self.number]
        return together(heard, NOW, AGE)

    def say(self, claim: int) -> None:
        """Say it, whole."""
        held = {"BTC": Coin(self.holds, self.holds, 0)}
        self.said[self.number] = Word(NOW, held, claim)

    def look(self):
        """As `mmbot.ops.firm`; what it may grow to is known at its end."""
        while True:
            claim = claimed(self.holds, self.others(), MOST)
            yield
            self.bound = min(self.bound, claim)
            self.say(claim)
            yield
            heard = self.others()
            self.bound = granted(self.holds, claim, heard, MOST)
            self.say(self.bound)
            yield

    def wants(self, worth: int) -> None:
        """Come to hold this, or as much of it as the core lets out."""
        self.holds = min(worth, max(self.holds, self.bound))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, MOST)), max_size=120))
def test_accounts_that_grow_at_the_same_moment_are_never_above_the_limit_together(did: list[tuple[int, int]]) -> None:
    """Whatever the order of their steps, and however much each wants at any time. -1: the next step of its look."""
    said: dict[int, Word] = {}
    accounts = [Account(said, number) for number in range(4)]
    for number, what in did:
        if what < 0:
            next(accounts[number].steps)
        else:
            accounts[number].wants(what)
        assert sum(one.holds for one in accounts) <= MOST


def test_what_is_left_is_shared_and_what_nobody_wants_goes_to_who_does() -> None:
    """Alone: all of it. Two: half each; one that holds its half gets half of what the other leaves, and so on."""
    said: dict[int, Word] = {}
    a, b = Account(said, 0), Account(said, 1)

    def look(*which: Account) -> tuple[int, int]:
        for one in which:
            for _ in range(3):
                next(one.steps)
        return a.bound, b.bound

    assert look(a) == (1_000, 0)
    assert look(b, a, b, a) == (500, 500)
    a.wants(1_000)
    assert look(b, a, b, a)[0] > 700
    for _ in range(20):
        a.wants(1_000)
        look(b, a)
    assert a.holds > 990
    a.wants(0)
    look(a, b, a, b)
    assert (a.bound, b.bound) == (500, 500)
