"""A tape as Polars frames.

Frames come in chunks of messages, so that a tape of any size can be read with little memory: each chunk is a frame of
its own, and `pl.concat` of all of them is the whole. A frame speaks the Arrow C stream interface to whoever asks, and
`DataFrame.write_ipc` writes Arrow files.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from mmbot._core import Tape
from mmbot.data.tape_records import (
    KINDS,
    NO_ASK,
    NO_BID,
    Rows,
    Section,
    depth_before_venue,
    first_level,
    kind,
    records,
    sold,
)

CHUNK = 65_536
"""Records per frame."""
_KINDS = np.array(KINDS)
_ORDER_KINDS = np.array(["add", "reduce", "remove", "execute"])


def depth(tape: Tape) -> Iterator[pl.DataFrame]:
    """Book messages: both clocks (ns), kind, first_level, n_bid, n_ask, bid, ask (ticks; null if empty or unknown)."""
    return _chunks(tape, "depth", _depth_frame)


def touch(tape: Tape) -> Iterator[pl.DataFrame]:
    """Best bid and ask wherever a book message changed them: both clocks (ns), bid, ask (ticks; null if unknown)."""
    before: tuple[int, int] | None = None
    for rows in _rows(tape, "depth"):
        pairs = np.stack([rows["bid"], rows["ask"]])
        changed = np.ones(len(rows), dtype=bool)
        changed[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
        changed[0] = before != (int(rows["bid"][0]), int(rows["ask"][0]))
        before = (int(rows["bid"][-1]), int(rows["ask"][-1]))
        yield _depth_frame(rows[changed]).select("ts_recv", "ts_venue", "bid", "ask")


def levels(tape: Tape) -> Iterator[pl.DataFrame]:
    """Level updates with the clocks of their message: ts_recv, ts_venue (ns), kind, side, tick, lots (zero deletes)."""
    for rows in _rows(tape, "depth"):
        counts = rows["n_bid"].astype(np.int64) + rows["n_ask"]
        first = int(first_level(rows[:1])[0])
        updates = records(tape, "levels", first, first + int(counts.sum()))
        message = np.repeat(np.arange(len(rows)), counts)
        place = np.arange(len(updates)) - np.repeat(np.cumsum(counts) - counts, counts)
        side = np.where(place < rows["n_bid"][message], "bid", "ask")
        yield pl.DataFrame(
            {
                "ts_recv": rows["ts_recv"][message],
                "ts_venue": rows["ts_venue"][message],
                "kind": _KINDS[kind(rows)][message],
                "side": side,
                "tick": updates["tick"].copy(),
                "lots": updates["lots"].copy(),
            }
        )


def trades(tape: Tape) -> Iterator[pl.DataFrame]:
    """Public trades: both clocks (ns), tick, lots, aggressor, and the depth messages before it in either order."""
    return _chunks(tape, "trades", _trades_frame)


def funding(tape: Tape) -> Iterator[pl.DataFrame]:
    """Funding settlements: ts_recv, ts_venue (ns), rate (10^-8, positive: longs pay), mark (ticks)."""
    return _chunks(
        tape, "funding", lambda rows: pl.DataFrame({name: rows[name].copy() for name in rows.dtype.names or ()})
    )


def orders(tape: Tape) -> Iterator[pl.DataFrame]:
    """What happened to public orders, on a tape by order; nothing on others.

    Columns: both clocks (ns), id, kind (add, reduce, remove, execute), side, tick, lots, the depth message that tells
    its level, and since which one it has its place in line.
    """
    messages = records(tape, "depth")
    return _chunks(tape, "orders", lambda rows: _orders_frame(rows, messages[rows["depth"]]))


def _rows(tape: Tape, section: Section) -> Iterator[Rows]:
    total = int(tape.info()[section])  # type: ignore[arg-type]  # counts are whole numbers
    for start in range(0, total, CHUNK):
        yield records(tape, section, start, min(start + CHUNK, total))


def _chunks(tape: Tape, section: Section, frame: Callable[[Rows], pl.DataFrame]) -> Iterator[pl.DataFrame]:
    return (frame(rows) for rows in _rows(tape, section))


def _depth_frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ts_recv": rows["ts_recv"].copy(),
            "ts_venue": rows["ts_venue"].copy(),
            "kind": _KINDS[kind(rows)],
            "first_level": first_level(rows),
            "n_bid": rows["n_bid"].copy(),
            "n_ask": rows["n_ask"].copy(),
            "bid": rows["bid"].copy(),
            "ask": rows["ask"].copy(),
        }
    ).with_columns(
        pl.when(pl.col("bid") != NO_BID).then("bid").alias("bid"),
        pl.when(pl.col("ask") != NO_ASK).then("ask").alias("ask"),
    )


def _trades_frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ts_recv": rows["ts_recv"].copy(),
            "ts_venue": rows["ts_venue"].copy(),
            "tick": rows["tick"].copy(),
            "lots": rows["lots"].copy(),
            "aggressor": np.where(sold(rows), "sell", "buy"),
            "depth_before_recv": rows["depth_before_recv"].copy(),
            "depth_before_venue": depth_before_venue(rows),
        }
    )


def _orders_frame(rows: Rows, messages: Rows) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "ts_recv": messages["ts_recv"].copy(),
            "ts_venue": messages["ts_venue"].copy(),
            "id": rows["id"].copy(),
            "kind": _ORDER_KINDS[rows["kind"]],
            "side": np.where(rows["side"] == 0, "buy", "sell"),
            "tick": rows["tick"].copy(),
            "lots": rows["lots"].copy(),
            "depth": rows["depth"].copy(),
            "since": rows["since"].copy(),
        }
    )
