"""A capture as hftbacktest's event array: python -m benches.peers.tape_to_hft CAPTURE.npz EVENTS.npy.

hftbacktest reads one array along two clocks: rows flagged EXCH in the venue's order, rows flagged LOCAL in the
receiver's. Its own `correct_event_order` finds an interleaving by comparing times; the tape already knows it, as ranks,
ties included. Depth messages keep one order in both clocks, so each is one block of rows with both flags. A trade that
stands between the same depth messages in both clocks is one row with both flags, any other is two rows with one each.

Needs only NumPy; the event record is restated here and checked against hftbacktest's by hftbacktest_run.py.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benches.peers.capture import GAP, SNAPSHOT, Capture

EVENT = np.dtype(
    [
        ("ev", "u8"),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("px", "f8"),
        ("qty", "f8"),
        ("order_id", "u8"),
        ("ival", "i8"),
        ("fval", "f8"),
    ],
    align=True,
)

DEPTH_EVENT, TRADE_EVENT, DEPTH_CLEAR_EVENT, DEPTH_SNAPSHOT_EVENT = 1, 2, 3, 4
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28


def to_events(capture: Capture) -> NDArray[np.void]:
    """The rows of `capture` in an order that both clocks accept. A snapshot or gap first clears both sides whole."""
    blocks, of_block = _depth_rows(capture)
    trades, of_trade = _trade_rows(capture)
    rows = np.concatenate([trades, blocks])
    # A trade of rank k stands before depth message k: at equal rank the trades, which come first, stay first.
    return rows[np.argsort(np.concatenate([of_trade, of_block]), kind="stable")]


def _depth_rows(capture: Capture) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Rows of all depth messages in their order, and the message each row belongs to."""
    clears = np.where((capture.kind == SNAPSHOT) | (capture.kind == GAP), 2, 0)
    message = np.repeat(np.arange(len(capture.depth)), clears + capture.n_levels)
    starts = np.cumsum(clears + capture.n_levels) - (clears + capture.n_levels)
    place = np.arange(len(message)) - starts[message] - clears[message]  # −2 and −1 are the clears, then the levels

    rows = np.zeros(len(message), EVENT)
    rows["exch_ts"] = capture.depth["ts_venue"][message]
    rows["local_ts"] = capture.depth["ts_recv"][message]
    is_level = place >= 0
    level = capture.levels[(capture.first[message] + place)[is_level]]
    rows["px"] = np.nan  # a clear without a price clears the side whole
    rows["px"][is_level] = level["tick"] * capture.tick
    rows["qty"][is_level] = level["lots"] * capture.lot
    is_bid = np.where(is_level, place < capture.depth["n_bid"][message], place == -2)
    of_level = np.where(capture.kind == SNAPSHOT, DEPTH_SNAPSHOT_EVENT, DEPTH_EVENT)[message]
    kind = np.where(is_level, of_level, DEPTH_CLEAR_EVENT)
    rows["ev"] = kind | np.where(is_bid, BUY, SELL) | EXCH | LOCAL
    return rows, message


def _trade_rows(capture: Capture) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Rows of all trades sorted by (rank, trade), and the rank of each row."""
    rows = np.zeros(len(capture.trades), EVENT)
    rows["exch_ts"] = capture.trades["ts_venue"]
    rows["local_ts"] = capture.trades["ts_recv"]
    rows["px"] = capture.trades["tick"] * capture.tick
    rows["qty"] = capture.trades["lots"] * capture.lot
    rows["ev"] = TRADE_EVENT | np.where(capture.sold, SELL, BUY)

    venue_rank, recv_rank = capture.venue_rank, capture.trades["depth_before_recv"].astype(np.int64)
    apart = venue_rank != recv_rank
    heard_apart = rows[apart]
    heard_apart["ev"] |= LOCAL
    rows["ev"] |= EXCH
    rows["ev"][~apart] |= LOCAL

    number = np.arange(len(rows))
    rank = np.concatenate([venue_rank, recv_rank[apart]])
    order = np.lexsort((np.concatenate([number, number[apart]]), rank))
    return np.concatenate([rows, heard_apart])[order], rank[order]


def check_order(events: NDArray[np.void]) -> None:
    """ValueError unless each clock runs forward along its own rows."""
    for clock, flag in (("exch_ts", EXCH), ("local_ts", LOCAL)):
        back = np.flatnonzero(np.diff(events[clock][events["ev"] & flag != 0]) < 0)
        if len(back):
            raise ValueError(f"{clock} runs backwards after its row {back[0]}: the tape's ranks contradict its times")


def main() -> None:
    """Convert one capture file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("events", type=Path)
    parser.add_argument("--copies", type=int, default=1, help="tile the capture (default: once)")
    arguments = parser.parse_args()
    capture = Capture.load(arguments.capture)
    events = to_events(capture.tiled(arguments.copies) if arguments.copies > 1 else capture)
    check_order(events)
    np.save(arguments.events, events)
    print(f"{arguments.events}: {len(events)} rows, {capture.events * arguments.copies} events")


if __name__ == "__main__":
    main()
