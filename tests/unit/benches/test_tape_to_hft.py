"""A capture in hftbacktest's form: the same records, in the order of each clock. No peer is needed for these tests."""

from pathlib import Path

import numpy as np
import pytest
from benches.peers.capture import DELTA, DEPTH, GAP, LEVEL, SNAPSHOT, TRADE, Capture
from benches.peers.tape_to_hft import (
    BUY,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EVENT,
    EXCH,
    LOCAL,
    SELL,
    TRADE_EVENT,
    check_order,
    to_events,
)
from benches.tapes import to_capture, write_tape
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot._core import Tape
from mmbot.samples import sample_path

TICK, LOT = 0.5, 0.25  # exact in binary, so that prices can be compared as they are
TRAVEL = 7_000_000  # how much later a message is heard than it was sent


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    """A capture of a few book messages, with trades anywhere between them on either clock, at times that agree."""
    kinds = [SNAPSHOT, *draw(st.lists(st.sampled_from([DELTA, SNAPSHOT, GAP]), max_size=6))]
    sides = [draw(st.tuples(st.integers(0, 3), st.integers(0, 3))) for _ in kinds]
    firsts = np.cumsum([0, *(bids + asks for bids, asks in sides)])
    levels = np.array([(100 + i, i % 4) for i in range(firsts[-1])], LEVEL)
    depth = np.zeros(len(kinds), DEPTH)
    depth["ts_venue"] = 1_000 * np.arange(len(kinds))
    depth["ts_recv"] = depth["ts_venue"] + TRAVEL
    depth["span"] = np.array(kinds, "u8") << np.uint64(56) | firsts[:-1].astype("u8")
    depth["n_bid"], depth["n_ask"] = np.array(sides).T
    places = st.integers(0, len(kinds))
    count = draw(st.integers(0, 8))
    venue, heard = (sorted(draw(st.lists(places, min_size=count, max_size=count))) for _ in range(2))
    trades = np.zeros(count, TRADE)
    for i in range(count):
        sold = draw(st.booleans())
        trades[i] = (
            1_000 * heard[i] - 500 + i + TRAVEL,
            1_000 * venue[i] - 500 + i,
            200 + i,
            1 + i,
            heard[i],
            venue[i],
        )
        trades["depth_before_venue"][i] |= np.uint32(sold << 31)
    return Capture(depth=depth, levels=levels, trades=trades, tick=TICK, lot=LOT)


def expected(capture: Capture, clock: str, ranks: np.ndarray) -> list[tuple[int, int, int, float, float]]:
    """(kind, side, time, price, quantity) as one clock must read them: written out message by message."""
    rows = []
    for k in range(len(capture.depth) + 1):
        for trade, sold in zip(capture.trades[ranks == k], capture.sold[ranks == k], strict=True):
            side = SELL if sold else BUY
            rows.append((TRADE_EVENT, side, int(trade[clock]), trade["tick"] * TICK, trade["lots"] * LOT))
        if k == len(capture.depth):
            break
        message, kind, ts = capture.depth[k], capture.kind[k], int(capture.depth[clock][k])
        if kind != DELTA:
            rows += [(DEPTH_CLEAR_EVENT, side, ts, -1.0, 0.0) for side in (BUY, SELL)]
        first, n_bid = int(capture.first[k]), int(message["n_bid"])
        for i, level in enumerate(capture.levels[first : first + int(capture.n_levels[k])]):
            name = DEPTH_SNAPSHOT_EVENT if kind == SNAPSHOT else DEPTH_EVENT
            rows.append((name, BUY if i < n_bid else SELL, ts, level["tick"] * TICK, level["lots"] * LOT))
    return rows


def read(events: np.ndarray, clock: str, flag: int) -> list[tuple[int, int, int, float, float]]:
    """What hftbacktest would read along one clock; −1 stands for the price of a clear, which is no number."""
    rows = events[events["ev"] & flag != 0]
    kinds, sides = rows["ev"] & 0xFF, rows["ev"] & (BUY | SELL)
    columns = (kinds, sides, rows[clock], np.nan_to_num(rows["px"], nan=-1.0), rows["qty"])
    return list(zip(*(column.tolist() for column in columns), strict=True))


@settings(deadline=None)
@given(captures())
def test_each_clock_reads_every_record_once_and_in_its_order(capture: Capture):
    """Along the venue's rows, and along the receiver's, stand all levels and trades, by the ranks of the tape."""
    events = to_events(capture)
    heard = capture.trades["depth_before_recv"].astype(int)
    assert read(events, "exch_ts", EXCH) == expected(capture, "ts_venue", capture.venue_rank)
    assert read(events, "local_ts", LOCAL) == expected(capture, "ts_recv", heard)
    check_order(events)


@settings(deadline=None)
@given(captures())
def test_no_event_is_lost_or_counted_twice(capture: Capture):
    """The rows of one clock, without the clears, are as many as the capture's levels and trades."""
    events = to_events(capture)
    for flag in (EXCH, LOCAL):
        counted = (events["ev"] & flag != 0) & (events["ev"] & 0xFF != DEPTH_CLEAR_EVENT)
        assert np.count_nonzero(counted) == capture.events


@settings(deadline=None)
@given(captures(), st.integers(2, 4))
def test_copies_follow_each_other_on_both_clocks(capture: Capture, copies: int):
    """A tiled capture is so many times the events, keeps their order, and no copy starts before the last has ended."""
    tiled = capture.tiled(copies)
    events = to_events(tiled)
    assert tiled.events == copies * capture.events
    assert len(events) == copies * len(to_events(capture))
    check_order(events)


def test_a_capture_that_starts_inside_a_book_is_not_tiled():
    """Without a snapshot at its head a copy would build on the book of the last one, so it is refused."""
    depth = np.zeros(1, DEPTH)  # a delta without levels
    capture = Capture(depth=depth, levels=np.zeros(0, LEVEL), trades=np.zeros(0, TRADE), tick=TICK, lot=LOT)
    with pytest.raises(ValueError, match="must be a snapshot"):
        capture.tiled(2)


@pytest.mark.parametrize(("clock", "flag"), [("exch_ts", EXCH), ("local_ts", LOCAL)])
def test_a_clock_that_runs_backwards_is_refused_by_name(clock: str, flag: int):
    """Rows whose times contradict their order name the clock and the row."""
    events = np.zeros(3, EVENT)
    events["ev"] = flag
    events[clock] = [1, 3, 2]
    with pytest.raises(ValueError, match=f"{clock} runs backwards after its row 1"):
        check_order(events)


def test_a_capture_file_of_other_records_is_refused(tmp_path: Path):
    """A file whose arrays are not the tape's records says which array, and what was expected."""
    np.savez(tmp_path / "odd.npz", depth=np.zeros(1), levels=np.zeros(1), trades=np.zeros(1), steps=np.zeros(2))
    with pytest.raises(ValueError, match=r"odd\.npz: `depth` has records float64, expected"):
        Capture.load(tmp_path / "odd.npz")


def test_a_real_tape_comes_back_from_its_arrays_unchanged(tmp_path: Path):
    """Tape, arrays, file, arrays, tape: the writer derives ranks and touches anew and finds the recorded ones."""
    tape = Tape.open(sample_path("bybit-btcusdt"))
    capture = to_capture(tape)
    capture.save(tmp_path / "capture.npz")
    again = to_capture(write_tape(Capture.load(tmp_path / "capture.npz"), tape, tmp_path / "again.tape"))
    for name in ("depth", "levels", "trades"):
        assert np.array_equal(getattr(again, name), getattr(capture, name)), name
    assert capture.events == tape.events
