"""Numbered ticks: in order, once, and with every loss counted."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.ops.ticks import SequenceGuard, Tick, TickError, parse_tick

MS = 1_000_000
FIELDS = {
    b"ts": b"1700000000123",
    b"seq": b"7",
    b"symbol": b"BTCUSDT",
    b"bid": b"1000.5",
    b"bid_size": b"0.2",
    b"ask": b"1001",
    b"ask_size": b"3",
    b"last_qty": b"0",
}


def through(numbers, *, at=lambda index: index * MS, guard=None):
    """What a guard releases of these numbers of one symbol: (number, after a gap), and the guard."""
    guard = guard or SequenceGuard()
    released = []
    for index, number in enumerate(numbers):
        released += guard.due(at(index))
        released += guard.offer("X", number, number, at(index))
    return [tuple(one) for one in released], guard


def test_a_tick_is_read_exactly():
    """Decimals stay text, milliseconds become nanoseconds, and a size without price and side is no trade."""
    assert parse_tick(FIELDS) == Tick(
        symbol="BTCUSDT", seq=7, ts_venue=1_700_000_000_123_000_000,
        bid="1000.5", bid_size="0.2", ask="1001", ask_size="3", last_qty="0",
    )  # fmt: skip
    traded = parse_tick({**FIELDS, b"last_qty": b"0.1", b"last_price": b"1001", b"last_side": b"buy"})
    assert (traded.last_price, traded.last_side) == ("1001", "buy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({b"seq": None}, "no seq; expected ts, seq, symbol"),
        ({b"seq": b"-1"}, "seq is '-1'; expected a whole number"),
        ({b"ts": b"1700000000.1"}, "expected a whole number of milliseconds"),
        ({b"bid": b"1e3"}, "bid is '1e3'; expected a plain decimal"),
        ({b"ask": b"nan"}, "ask is 'nan'"),
        ({b"ask_size": b"-2"}, "ask_size is '-2'"),
        ({b"symbol": b"\xff"}, "not UTF-8"),
        ({b"last_side": b"Buy", b"last_price": b"1"}, "last_side is 'Buy'"),
        ({b"last_price": b"1"}, "belong together"),
        ({b"seq": b"9" * 19}, "seq is"),
    ],
)
def test_what_is_no_tick_is_refused_with_its_field(change: dict[bytes, bytes | None], said: str):
    """A missing field, a sign, an exponent, text that is no text: each is named."""
    fields = {key: value for key, value in {**FIELDS, **change}.items() if value is not None}
    with pytest.raises(TickError, match=said):
        parse_tick(fields)


@given(st.dictionaries(st.sampled_from([*FIELDS, b"other"]), st.binary(max_size=12)))
def test_any_bytes_are_a_tick_or_an_error(fields: dict[bytes, bytes]):
    """Whatever a producer sends, the answer is a tick or a TickError."""
    try:
        tick = parse_tick({**FIELDS, **fields})
    except TickError:
        tick = None
    assert tick is None or tick.seq >= 0


def test_a_tick_that_came_early_waits_for_those_before_it():
    """4 before 3: both go on in order, nothing is lost, one was reordered."""
    released, guard = through([1, 2, 4, 3, 5])
    assert released == [(n, False) for n in (1, 2, 3, 4, 5)]
    assert (guard.counts("X").reordered, guard.counts("X").gaps, guard.held) == (1, 0, 0)


def test_a_duplicate_is_counted_and_dropped():
    """Of a number that was there, and of one that waits."""
    released, guard = through([1, 1, 3, 3, 2])
    assert [number for number, _ in released] == [1, 2, 3]
    assert guard.counts("X").duplicates == 2


def test_a_gap_is_given_up_after_forty_milliseconds():
    """7 waits for 6 for 40 ms and no longer; what comes next is told that something was lost."""
    released, guard = through([5, 7, 8], at=lambda index: [0, 1, 40][index] * MS)
    assert released == [(5, False)]
    assert list(guard.due(41 * MS)) == [(7, True), (8, False)]
    counts = guard.counts("X")
    assert (counts.gaps, counts.missing, counts.taken) == (1, 1, 3)


def test_what_comes_after_its_gap_was_given_up_is_late():
    """It is counted apart from duplicates, and not taken in: the market has moved on."""
    released, guard = through([5, 8, 9, 6], at=lambda index: [0, 1, 60, 61][index] * MS)
    assert [number for number, _ in released] == [5, 8, 9]
    assert (guard.counts("X").late, guard.counts("X").duplicates, guard.counts("X").missing) == (1, 0, 2)


def test_memory_is_bounded_when_nothing_fills_the_gap():
    """With the time standing still, the 4,001st message that waits gives the gap up."""
    released, guard = through([1, *range(3, 4003)], at=lambda _: 0)
    assert len(released) == 1
    assert guard.held == 4000
    released, guard = through([4003], at=lambda _: 0, guard=guard)
    assert len(released) == 4001
    assert guard.held == 0


def test_a_producer_that_begins_again_is_a_gap():
    """A number far below the expected one is no late tick: it is followed from there."""
    released, guard = through([9_000, 9_001, 1, 2])
    assert released == [(9_000, False), (9_001, False), (1, True), (2, False)]
    assert (guard.counts("X").restarts, guard.counts("X").gaps) == (1, 1)


def test_symbols_do_not_wait_for_each_other():
    """A gap of one symbol holds up nobody else."""
    guard = SequenceGuard()
    assert list(guard.offer("A", 1, "a1", 0)) == [("a1", False)]
    assert list(guard.offer("A", 3, "a3", 0)) == []
    assert list(guard.offer("B", 10, "b10", 0)) == [("b10", False)]
    assert list(guard.flush()) == [("a3", True)]


@given(st.integers(1, 60), st.integers(0, 2**32), st.lists(st.integers(0, 59), max_size=20), st.integers(0, 6))
def test_nothing_is_released_twice_or_out_of_order_and_every_loss_is_counted(count, seed, repeats, reach):
    """Whatever is shuffled, repeated or dropped: numbers rise, and taken and missing are all there were."""
    dice = random.Random(seed)
    numbers = [number for number in range(count) if number == 0 or dice.random() > 0.1]
    for index in range(1, len(numbers) - 1):
        other = min(index + dice.randint(0, reach), len(numbers) - 1)
        numbers[index], numbers[other] = numbers[other], numbers[index]
    numbers += [repeat for repeat in repeats if repeat in numbers]
    released, guard = through(numbers, guard=SequenceGuard(wait_ns=8 * MS, held_max=64))
    released += [tuple(one) for one in guard.flush()]
    seen = [number for number, _ in released]
    counts = guard.counts("X")
    assert seen == sorted(set(seen))
    assert counts.taken == len(seen)
    assert counts.taken + counts.missing == seen[-1] - seen[0] + 1
    assert counts.taken + counts.duplicates + counts.late == len(numbers)
    assert sum(after_gap for _, after_gap in released) == counts.gaps
