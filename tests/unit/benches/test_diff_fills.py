"""Two engines' logs compared: each way in which an order's fills may differ has its name, and only that one."""

from pathlib import Path

import numpy as np
import pytest
from benches.diff_fills import (
    FOLLOWED_A,
    FOLLOWED_B,
    ONLY_A,
    ONLY_B,
    OTHER_TERMS,
    OTHER_TIME,
    SAME,
    Log,
    compare,
)
from hypothesis import given, settings
from hypothesis import strategies as st

RECORD = np.dtype([("ts", "i8"), ("side", "i8"), ("tick", "i8"), ("lots", "i8"), ("order_id", "i8")])
BUY_AT_100, SELL_AT_101, BUY_AT_99 = (1_000, 1, 100), (1_000, -1, 101), (2_000, 1, 99)

Fill = tuple[int, int, int]  # venue time, tick, lots


def log(folder: Path, orders: list[tuple[tuple[int, int, int], list[Fill]]], *, first_id: int = 1) -> Log:
    """A log as an engine writes it: every order with its fills, numbered from `first_id`."""
    submits = [(*asked, 10, first_id + i) for i, (asked, _) in enumerate(orders)]
    fills = [
        (ts, asked[1], tick, lots, first_id + i)
        for i, (asked, executed) in enumerate(orders)
        for ts, tick, lots in executed
    ]
    path = folder / f"{first_id}.npz"
    np.savez(path, submits=np.array(submits, RECORD), fills=np.array(fills, RECORD))
    return Log.load(path)


@pytest.mark.parametrize(
    ("a", "b", "kind"),
    [
        ([(1_500, 100, 10)], [(1_500, 100, 10)], SAME),
        ([(1_500, 100, 10)], [(1_501, 100, 10)], OTHER_TIME),
        ([(1_500, 100, 4), (1_600, 100, 6)], [(1_500, 100, 10)], OTHER_TIME),
        ([(1_500, 100, 10)], [(1_500, 99, 10)], OTHER_TERMS),
        ([(1_500, 100, 10)], [(1_500, 100, 9)], OTHER_TERMS),
        ([(1_500, 100, 10)], [], ONLY_A),
        ([], [(1_500, 100, 10)], ONLY_B),
    ],
)
def test_an_order_that_both_sent_is_told_by_its_fills(tmp_path: Path, a: list[Fill], b: list[Fill], kind: str):
    """Time, terms or the fill itself differ; the numbers that the engines gave the order do not matter."""
    counts, differences = compare(log(tmp_path, [(BUY_AT_100, a)]), log(tmp_path, [(BUY_AT_100, b)], first_id=77))
    assert counts == {kind: 1}
    assert [d.kind for d in differences] == ([] if kind == SAME else [kind])


def test_an_order_that_one_engine_sent_alone_is_a_consequence(tmp_path: Path):
    """What the other never asked for is called followed, on either side, and never a fill that only one saw."""
    fill = [(1_500, 100, 10)]
    a, b = log(tmp_path, [(BUY_AT_100, fill)]), log(tmp_path, [(SELL_AT_101, fill)], first_id=2)
    counts, differences = compare(a, b)
    assert counts == {FOLLOWED_A: 1, FOLLOWED_B: 1}
    assert {(d.kind, d.a_ts, d.b_ts) for d in differences} == {(FOLLOWED_A, 1_500, None), (FOLLOWED_B, None, 1_500)}


def test_an_order_that_nobody_filled_is_not_counted(tmp_path: Path):
    """Only filled orders have a class: an order that was cancelled in both engines is no difference."""
    a, b = log(tmp_path, [(BUY_AT_100, [])]), log(tmp_path, [(BUY_AT_100, [])], first_id=2)
    assert compare(a, b) == ({}, [])


def test_a_fill_of_an_unknown_order_is_refused(tmp_path: Path):
    """A log that fills what was never submitted is named, with the order."""
    np.savez(tmp_path / "odd.npz", submits=np.zeros(0, RECORD), fills=np.array([(1, 1, 100, 10, 5)], RECORD))
    with pytest.raises(ValueError, match=r"odd\.npz: fills of orders that were never submitted: \[5\]"):
        Log.load(tmp_path / "odd.npz")


def test_asking_twice_for_one_thing_is_refused(tmp_path: Path):
    """Two orders of one wake, side and price cannot be told apart between engines, and the rules exclude them."""
    with pytest.raises(ValueError, match="two orders of one side and price in one wake"):
        log(tmp_path, [(BUY_AT_100, []), (BUY_AT_100, [])])


fills = st.lists(st.tuples(st.integers(3_000, 3_003), st.integers(99, 101), st.integers(1, 3)), max_size=2)
books = st.dictionaries(st.sampled_from([BUY_AT_100, SELL_AT_101, BUY_AT_99]), fills, min_size=1)
MIRROR = {ONLY_A: ONLY_B, ONLY_B: ONLY_A, FOLLOWED_A: FOLLOWED_B, FOLLOWED_B: FOLLOWED_A}


@settings(max_examples=40, deadline=None)
@given(books, books)
def test_changing_places_changes_nothing_but_the_names(
    tmp_path_factory: pytest.TempPathFactory, mine: dict, theirs: dict
):
    """Each filled order has one class; compared the other way round the classes are the mirrored ones."""
    folder = tmp_path_factory.mktemp("logs")
    a, b = log(folder, list(mine.items())), log(folder, list(theirs.items()), first_id=50)
    counts, differences = compare(a, b)
    turned, _ = compare(b, a)
    assert turned == {MIRROR.get(kind, kind): count for kind, count in counts.items()}
    assert counts.total() == len(a.filled.keys() | b.filled.keys())
    assert len(differences) == counts.total() - counts[SAME]
