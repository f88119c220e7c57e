"""A capture as plain arrays, the neutral ground between a tape of mmbot and the peers; needs only NumPy.

The records are those of the open tape (crates/tape/src/layout.rs). A capture file is an uncompressed `.npz` of the
three arrays and the two steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DEPTH = np.dtype(
    [
        ("ts_recv", "i8"),
        ("ts_venue", "i8"),
        ("span", "u8"),
        ("n_bid", "u4"),
        ("n_ask", "u4"),
        ("bid", "i4"),
        ("ask", "i4"),
    ]
)
LEVEL = np.dtype([("tick", "i4"), ("lots", "u4")])
TRADE = np.dtype(
    [
        ("ts_recv", "i8"),
        ("ts_venue", "i8"),
        ("tick", "i4"),
        ("lots", "u4"),
        ("depth_before_recv", "u4"),
        ("depth_before_venue", "u4"),
    ]
)

DELTA, SNAPSHOT, GAP = 0, 1, 2
_FIRST = np.uint64((1 << 56) - 1)
_SOLD = np.uint32(1 << 31)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """One instrument's book messages, their levels and its public trades.

    `depth`, `levels` and `trades` have the dtypes above; `tick` and `lot` are the price and size steps in the
    instrument's own units (0.1 USDT, 0.001 BTC).
    """

    depth: NDArray[np.void]
    levels: NDArray[np.void]
    trades: NDArray[np.void]
    tick: float
    lot: float

    @cached_property
    def kind(self) -> NDArray[np.int64]:
        """DELTA, SNAPSHOT or GAP of each book message."""
        return (self.depth["span"] >> np.uint64(56)).astype(np.int64)

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Index of each book message's first level."""
        return (self.depth["span"] & _FIRST).astype(np.int64)

    @cached_property
    def n_levels(self) -> NDArray[np.int64]:
        """Number of levels of each book message, bids and asks."""
        return self.depth["n_bid"].astype(np.int64) + self.depth["n_ask"]

    @cached_property
    def venue_rank(self) -> NDArray[np.int64]:
        """How many book messages come before each trade in venue order."""
        return (self.trades["depth_before_venue"] & ~_SOLD).astype(np.int64)

    @cached_property
    def sold(self) -> NDArray[np.bool_]:
        """Whether the aggressor of each trade sold."""
        return (self.trades["depth_before_venue"] & _SOLD) != 0

    @property
    def events(self) -> int:
        """Levels and trades: the unit of every events-per-second figure."""
        return int(self.n_levels.sum()) + len(self.trades)

    @property
    def span_ns(self) -> int:
        """From the first to the last message, over both clocks."""
        stamps = [column[clock] for column in (self.depth, self.trades) for clock in ("ts_recv", "ts_venue")]
        return max(int(s.max()) for s in stamps if len(s)) - min(int(s.min()) for s in stamps if len(s))

    def receive_order(self) -> Iterator[tuple[bool, int]]:
        """Every message as (is a trade, index), in receive order."""
        n_trades = len(self.trades)
        ranks = np.concatenate([self.trades["depth_before_recv"].astype(np.int64), np.arange(len(self.depth))])
        for place in np.argsort(ranks, kind="stable").tolist():  # a trade of rank k stands before depth message k
            yield place < n_trades, place if place < n_trades else place - n_trades

    def tiled(self, copies: int, pause_ns: int = 1_000_000_000) -> "Capture":
        """The capture `copies` times in a row, each shifted by its span and a pause.

        Raises ValueError unless its first book message is a snapshot: without one, a copy would build on the book of
        the last.
        """
        if not len(self.depth) or self.kind[0] != SNAPSHOT:
            raise ValueError("the first book message of a capture must be a snapshot for it to be tiled; cut it there")
        period = self.span_ns + pause_ns
        depth, trades = np.tile(self.depth, copies), np.tile(self.trades, copies)
        of_depth = np.repeat(np.arange(copies), len(self.depth))
        of_trade = np.repeat(np.arange(copies), len(self.trades))
        for clock in ("ts_recv", "ts_venue"):
            depth[clock] += of_depth * period
            trades[clock] += of_trade * period
        depth["span"] += (of_depth * len(self.levels)).astype(np.uint64)
        for rank in ("depth_before_recv", "depth_before_venue"):
            trades[rank] += (of_trade * len(self.depth)).astype(np.uint32)
        return replace(self, depth=depth, levels=np.tile(self.levels, copies), trades=trades)

    def save(self, path: Path) -> None:
        """Write an uncompressed `.npz`."""
        np.savez(path, depth=self.depth, levels=self.levels, trades=self.trades, steps=np.array([self.tick, self.lot]))

    @classmethod
    def load(cls, path: Path) -> "Capture":
        """Read what `save` wrote; ValueError names the first array whose records are not those of the tape."""
        with np.load(path) as arrays:
            for name, dtype in (("depth", DEPTH), ("levels", LEVEL), ("trades", TRADE)):
                if arrays[name].dtype != dtype:
                    raise ValueError(f"{path}: `{name}` has records {arrays[name].dtype}, expected {dtype}")
            tick, lot = arrays["steps"]
            return cls(
                depth=arrays["depth"],
                levels=arrays["levels"],
                trades=arrays["trades"],
                tick=float(tick),
                lot=float(lot),
            )
