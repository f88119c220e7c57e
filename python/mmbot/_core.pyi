"""Typed stub of the native core; checked against the binary by stubtest."""

import os
from collections.abc import Sequence
from typing import Literal, final

import numpy as np
import numpy.typing as npt

__version__: str

# Tapes and instruments: crates/py/src/data.rs

class TapeFault(ValueError):
    """A file that is no tape of ours, or a damaged one. The message names the file or the records, and what to do."""

@final
class Instrument:
    """One tradable thing at one venue: its grid, its contract, its fees.

    `kind` is "linear", "inverse" or "spot"; `tick`, `lot` and `contract` (value of one unit) are decimal strings; `maker` and
    `taker` are rates in 10^-8 of the notional (0.5 bp is 5_000, a rebate is negative), or `tiers` lists
    (30-day volume from, maker, taker) with the first at volume "0". Raises ValueError for terms that make no sense.
    """

    def __new__(
        cls,
        *,
        venue: str,
        symbol: str,
        kind: str,
        tick: str,
        lot: str,
        contract: str = "1",
        maker: int = 0,
        taker: int = 0,
        tiers: Sequence[tuple[str, int, int]] | None = None,
    ) -> Instrument: ...
    @property
    def venue(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def kind(self) -> Literal["linear", "inverse", "spot"]: ...
    @property
    def tick(self) -> str: ...
    @property
    def lot(self) -> str: ...
    @property
    def contract(self) -> str: ...
    @property
    def tick_size(self) -> float: ...
    @property
    def lot_size(self) -> float: ...
    @property
    def maker(self) -> int:
        """Maker rate of the first tier, in 10^-8."""
    @property
    def taker(self) -> int:
        """Taker rate of the first tier, in 10^-8."""
    def ticks(self, price: str) -> int:
        """Whole ticks of a decimal string. Raises ValueError when it is no decimal or off the grid."""
    def lots(self, qty: str) -> int:
        """Whole lots of a decimal string. Raises ValueError when it is no decimal or off the grid."""
    def price(self, ticks: int) -> str:
        """Exact decimal text of a price in ticks."""
    def quantity(self, lots: int) -> str:
        """Exact decimal text of a quantity in lots."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Tape:
    """An open tape: immutable integer records, read in place. Blocks are checked against their checksums before first use."""

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Tape:
        """Maps a `.tape`, or unpacks a `.tapez` into memory. Raises OSError or TapeFault."""
    @property
    def instrument(self) -> Instrument: ...
    @property
    def tape_hash(self) -> int:
        """64-bit xxh3 over the head, which holds the checksum of every block."""
    @property
    def events(self) -> int:
        """Level updates and trades."""
    @property
    def span(self) -> tuple[int, int] | None:
        """First receive time and one past the last, ns since epoch, over depth and trades; None for an empty tape."""
    def info(self) -> dict[str, str | int | tuple[int, int] | None]:
        """Instrument, hash, span and all counts."""
    def check(self) -> None:
        """Reads and checks everything. Raises TapeFault at the first fault."""
    def save(self, path: str | os.PathLike[str]) -> None:
        """Copies the tape in one step: packed if the name ends in `.tapez`, open otherwise."""
    @staticmethod
    def columns(name: str) -> list[tuple[str, str, int]]:
        """Name, NumPy format and byte offset of each column of the section `name`: depth, levels, trades or funding."""
    def bytes(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
        """Records start to stop of a section as a read-only view of the tape's memory. Raises TapeFault when damaged."""
    def touch_at(self, ts_venue: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Best bid and ask in ticks at venue times; -2^31 and 2^31 - 1 where a side is empty or unknown."""

@final
class TapeWriter:
    """Writes a tape message by message, in receive order, with bounded memory. Nothing exists under `path` before `finish`."""

    def __new__(cls, path: str | os.PathLike[str], instrument: Instrument) -> TapeWriter: ...
    def depth(
        self, ts_recv: int, ts_venue: int, kind: str, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]
    ) -> None:
        """Adds a "delta", "snapshot" or "gap" with (price, quantity) decimal strings; quantity zero deletes.

        Raises ValueError, and adds nothing, for a number off the instrument's grid, negative or too large.
        """
    def trade(self, ts_recv: int, ts_venue: int, price: str, qty: str, aggressor: str) -> None:
        """Adds a public trade; `aggressor` is "buy" or "sell". Raises ValueError as `depth`."""
    def funding(self, ts_recv: int, ts_venue: int, rate: int, mark: int) -> None:
        """Adds a funding settlement: rate in 10^-8 (positive: longs pay), mark price in ticks."""
    def finish(self) -> None:
        """Joins, makes durable and names the tape. Raises OSError when the disk does not take it."""
