"""The run's own orders, and its market without them."""

from pathlib import Path

import painted_tape
import paper_run
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot._core import Instrument, Tape, TapeWriter
from mmbot.data.tape_records import records
from mmbot.research.own_orders import Execution, OwnOrder, Terms, own_orders, without_us

MS = 1_000_000


def order(
    number: int = 1, *, side: str = "buy", tick: int = 100, lots: int = 5, arrived: int | None = 0, **more: object
):
    """A resting order; times in ms."""
    placed = {"command": "place", "order_id": number, "instrument": 0, "side": side, "tick": tick, "lots": lots}
    placed |= {"tif": "gtc", "post_only": True, "reduce_only": False}
    at = None if arrived is None else arrived * MS
    return OwnOrder(number, 0, side, placed, 0, at, **more)  # type: ignore[arg-type]


def standing(one: OwnOrder) -> list[tuple[int, dict[int, int]]]:
    """What of the book is the order's, from each time on."""
    book: dict[int, int] = {}
    steps = []
    for ts, tick, lots in one.shown():
        book[tick] = book.get(tick, 0) + lots
        steps.append((ts // MS, {at: left for at, left in book.items() if left}))
    return steps


def test_an_order_is_shown_from_its_arrival_to_its_end():
    """A fill takes its part away, an amend moves what is left, a cancel ends it; what was refused is never shown."""
    moved = order(fills=[Execution(2 * MS, 100, 2)], amended=[Terms(4 * MS, 103, 6)], gone=7 * MS)
    assert dict(standing(moved)) == {0: {100: 5}, 2: {100: 3}, 4: {103: 4}, 7: {}}
    assert standing(order(refused="post_only_would_cross")) == []
    assert standing(order(arrived=None)) == []


def tape(path: Path, messages: list[tuple[int, str, list[tuple[int, int]]]]) -> Tape:
    """Bids of (tick, lots) at ms, asks far away."""
    writer = TapeWriter(path, Instrument(venue="test", symbol="T", kind="linear", tick="1", lot="1"))
    for ms, kind, bids in messages:
        asks = [("200", "9")] if kind == "snapshot" else []
        writer.depth(ms * MS + 1, ms * MS, kind, [(str(tick), str(lots)) for tick, lots in bids], asks)
    writer.finish()
    return Tape.open(path)


def books(shown: Tape) -> list[dict[int, int]]:
    """All bids after each message."""
    book: dict[int, int] = {}
    after = []
    for message in records(shown, "depth"):
        if message["span"] >> 56:
            book.clear()
        first = int(message["span"]) & (2**56 - 1)
        for tick, lots in records(shown, "levels", first, first + int(message["n_bid"])).tolist():
            book[tick] = lots
        after.append({tick: lots for tick, lots in book.items() if lots})
    return after


def test_a_level_is_what_others_have_there(tmp_path: Path):
    """Ours goes from the level it is in, from the whole level where we were alone, and comes back when we leave."""
    seen = tape(
        tmp_path / "seen.tape",
        [
            (0, "snapshot", [(99, 7), (100, 4)]),
            (10, "delta", [(100, 9)]),  # five of these are ours
            (20, "delta", [(100, 5)]),  # all others left
            (30, "delta", [(100, 0)]),  # and so did we
        ],
    )
    found = without_us(seen, [order(arrived=5, gone=25 * MS)], tmp_path / "others.tape")
    assert books(found) == [{99: 7, 100: 4}, {99: 7, 100: 4}, {99: 7}, {99: 7}]


def test_a_change_of_ours_that_a_change_of_others_hides_is_found(tmp_path: Path):
    """Five of ours came while five of others left: the message does not name the level, what is without us does."""
    seen = tape(tmp_path / "seen.tape", [(0, "snapshot", [(99, 7), (100, 5)]), (10, "delta", [(99, 8)])])
    found = without_us(seen, [order(arrived=5)], tmp_path / "others.tape")
    assert books(found) == [{99: 7, 100: 5}, {99: 8}]


@given(
    others=st.lists(st.dictionaries(st.integers(95, 105), st.integers(1, 30), min_size=1), min_size=2, max_size=12),
    ours=st.lists(
        st.tuples(st.integers(0, 110), st.integers(95, 105), st.integers(1, 9), st.integers(1, 60)), max_size=4
    ),
    whole=st.booleans(),
)
def test_the_market_without_us_is_the_market_of_the_others(
    tmp_path_factory: pytest.TempPathFactory,
    others: list[dict[int, int]],
    ours: list[tuple[int, int, int, int]],
    whole: bool,
):
    """Whatever others do and wherever we stand, what is left of the shown book is theirs; by snapshots or deltas."""
    folder = tmp_path_factory.mktemp("market")
    orders = [
        order(number, tick=tick, lots=lots, arrived=at, gone=(at + stays) * MS)
        for number, (at, tick, lots, stays) in enumerate(ours)
    ]
    messages, before = list[tuple[int, str, list[tuple[int, int]]]](), dict[int, int]()
    for index, book in enumerate(others):
        ms, shown = 10 * index, dict(book)
        for at, tick, lots, stays in ours:
            if at <= ms < at + stays:
                shown[tick] = shown.get(tick, 0) + lots
        changed = {tick: shown.get(tick, 0) for tick in shown.keys() | before.keys()}
        if index and not whole:
            levels = [(tick, lots) for tick, lots in sorted(changed.items()) if lots != before.get(tick, 0)]
            messages.append((ms, "delta", levels))
        else:
            messages.append((ms, "snapshot", sorted(shown.items())))
        before = shown
    found = without_us(tape(folder / "seen.tape", messages), orders, folder / "others.tape")
    assert books(found) == others


def test_between_two_messages_the_book_follows_the_prints(tmp_path: Path):
    """What is printed leaves its level, better prices are gone with it, and the next message has the last word.

    Nine of 100 were shown, and 100 and 99 sold in one moment: of 100 there were only the two that were printed.
    """
    path = tmp_path / "seen.tape"
    writer = TapeWriter(path, Instrument(venue="test", symbol="T", kind="linear", tick="1", lot="1"))
    writer.depth(1, 0, "snapshot", [("98", "3"), ("99", "7"), ("100", "9")], [("200", "9")])
    writer.depth(21 * MS, 20 * MS, "delta", [("98", "4")], [])
    writer.trade(22 * MS, 10 * MS, "100", "2", "sell")  # heard after the message that shows it
    writer.trade(22 * MS, 10 * MS, "99", "4", "sell")
    writer.finish()
    found = without_us(Tape.open(path), [], tmp_path / "happened.tape")
    first, whole = {98: 3, 99: 7, 100: 9}, {98: 4, 99: 7, 100: 9}
    assert books(found) == [first, first | {100: 2}, {98: 3, 99: 3}, whole]
    trades = records(found, "trades")
    assert trades["depth_before_venue"].astype(int).tolist() == [2**31 + 2, 2**31 + 2]


def test_what_was_sold_to_us_was_not_sold_to_others(tmp_path: Path):
    """Six are printed, five of them ours: the others' level loses one."""
    path = tmp_path / "seen.tape"
    writer = TapeWriter(path, Instrument(venue="test", symbol="T", kind="linear", tick="1", lot="1"))
    writer.depth(1, 0, "snapshot", [("100", "9")], [("200", "9")])
    writer.trade(11 * MS, 10 * MS, "100", "6", "sell")
    writer.finish()
    ours = order(arrived=5, fills=[Execution(10 * MS, 100, 5)])
    found = without_us(Tape.open(path), [ours], tmp_path / "happened.tape")
    assert books(found) == [{100: 9}, {100: 8}]


def test_funding_stays(tmp_path: Path):
    """At the same venue times, at the same rates and marks."""
    seen = Tape.open(painted_tape.paint(tmp_path / "seen.tape"))
    found = records(without_us(seen, [], tmp_path / "happened.tape"), "funding")
    assert (
        found[["ts_venue", "rate", "mark"]].tolist() == records(seen, "funding")[["ts_venue", "rate", "mark"]].tolist()
    )


def test_the_orders_of_a_run_are_what_its_venue_did(tmp_path: Path):
    """Each fill once although some are told twice; arrival after sending; a refusal by a gateway never arrived."""
    recorded = paper_run.record(tmp_path / "paper", seconds=30)
    orders = own_orders(recorded.journal)
    assert [each.number for each in orders] == list(range(1, recorded.live.orders_named(0) + 1))
    assert sum(len(each.fills) for each in orders) == recorded.venue.fills
    for each in orders:
        if each.refused:
            assert (each.refused, each.arrived) == ("rate_limited", None)
        else:
            assert each.arrived is not None
            assert each.arrived - each.asked == pytest.approx(paper_run.ENTRY_NS, abs=paper_run.TICK_NS)
