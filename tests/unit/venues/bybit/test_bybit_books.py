"""A book is believed only while every update of it follows the last and its sides stay apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.venues.bybit.books import BookWatch
from mmbot.venues.records import BookUpdate, Levels


def update(last_id: int, bids: Levels, asks: Levels, kind: str = "delta", sequence: int = 0) -> BookUpdate:
    """One update of X."""
    return BookUpdate(
        symbol="X",
        kind="snapshot" if kind == "snapshot" else "delta",
        ts_venue=1,
        previous_id=last_id - 1,
        last_id=last_id,
        bids=bids,
        asks=asks,
        depth=50,
        sequence=sequence,
    )


def opened(sequence: int = 0) -> BookWatch:
    """A watch after a snapshot with id 7: bids 10 and 9, asks 11 and 12."""
    watch = BookWatch()
    levels: tuple[Levels, Levels] = ([("10", "1"), ("9", "1")], [("11", "1"), ("12", "1")])
    assert watch.follow(update(7, *levels, kind="snapshot", sequence=sequence)) == ""
    assert watch.valid
    return watch


def test_a_chain_is_followed_and_the_next_best_comes_up() -> None:
    """Deleting the best price uncovers the one behind it, exactly."""
    watch = opened()
    assert watch.follow(update(8, [("10", "0")], [("11", "0.0")])) == ""
    assert watch.touch == (9.0, 12.0)


@pytest.mark.parametrize(
    ("last_id", "bids", "words"),
    [
        (9, [], "a gap"),
        (8, [("11", "1")], "crossed"),
        (8, [("11.5", "1")], "crossed"),
        (8, [("ten", "1")], "ten"),
        (8, [("nan", "1")], "nan"),
        (8, [("10", "-1")], "-1"),
        (8, [("10", "inf")], "inf"),
        (8, [("0", "1")], "a level of 1 at 0"),
    ],
)
def test_what_does_not_fit_loses_the_book(last_id: int, bids: Levels, words: str) -> None:
    """A gap, a crossing and a level that is no number each end the book, and say why."""
    watch = opened()
    assert words in watch.follow(update(last_id, bids, []))
    assert not watch.valid


def test_a_snapshot_mends_a_lost_book() -> None:
    """After a gap the next snapshot starts a new chain, from whatever id."""
    watch = opened()
    watch.follow(update(99, [], []))
    assert watch.follow(update(1, [("5", "1")], [("6", "1")], kind="snapshot")) == ""
    assert watch.follow(update(2, [("5.5", "1")], [])) == ""
    assert watch.touch == (5.5, 6.0)


def test_the_best_price_stream_is_compared_at_the_same_sequence_only() -> None:
    """The two streams are told at different moments; only what belongs to one moment can disagree."""
    watch = opened(sequence=100)
    other = update(3, [("9.5", "1")], [("11", "1")], kind="snapshot", sequence=101)
    assert watch.agree(other) == ""
    assert "9.5" in watch.follow(update(8, [], [], sequence=101))
    assert not watch.valid


def test_agreeing_streams_keep_the_book() -> None:
    """The same best prices at the same sequence say nothing, before and after."""
    watch = opened(sequence=100)
    assert watch.agree(update(3, [("10", "1")], [("11", "1")], kind="snapshot", sequence=100)) == ""
    assert watch.valid


level = st.tuples(st.integers(1, 30).map(str), st.sampled_from(["0", "1", "0.000"]))


@given(st.lists(st.tuples(st.lists(level, max_size=4), st.lists(level, max_size=4)), max_size=30))
def test_the_watch_agrees_with_the_obvious_book(changes: list[tuple[Levels, Levels]]) -> None:
    """Whatever is changed, best prices and crossings are those of two plain dictionaries."""
    watch = BookWatch()
    watch.follow(update(7, [], [], kind="snapshot"))
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for at, both in enumerate(changes, 8):
        for side, levels in zip(sides, both, strict=True):
            for price, qty in levels:
                side[float(price)] = float(qty)
                if float(qty) == 0:
                    del side[float(price)]
        bid, ask = max(sides[0], default=float("-inf")), min(sides[1], default=float("inf"))
        why = watch.follow(update(at, *both))
        assert bool(why) == (bid >= ask)
        if why:
            return
        assert watch.touch == (bid, ask)
