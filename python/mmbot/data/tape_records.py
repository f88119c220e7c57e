"""A tape as NumPy records: views of the mapped file, and what their bits mean."""

from functools import cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from mmbot._core import Tape

__all__ = [
    "KINDS",
    "NO_ASK",
    "NO_BID",
    "Rows",
    "Section",
    "depth_before_venue",
    "first_level",
    "kind",
    "records",
    "sold",
]

NO_BID = -(2**31)
"""Touch of a side that is empty or unknown: below every price."""
NO_ASK = 2**31 - 1
"""Likewise: above every price."""
KINDS = ("delta", "snapshot", "gap")
"""Of book messages, by their number."""
_LEVEL_BITS = np.uint64(2**56 - 1)
_RANK_BITS = np.uint32(2**31 - 1)

Section: TypeAlias = Literal["depth", "levels", "trades", "funding", "orders"]
Rows: TypeAlias = npt.NDArray[Any]


@cache
def _dtype(section: Section) -> np.dtype[Any]:
    names, formats, offsets = zip(*Tape.columns(section), strict=True)
    return np.dtype({"names": list(names), "formats": list(formats), "offsets": list(offsets)})


def records(tape: Tape, section: Section, start: int = 0, stop: int | None = None) -> Rows:
    """Records `start` to `stop` of a section: a structured, read-only view. Raises TapeFault when damaged."""
    return tape.bytes(section, start, stop).view(_dtype(section))


def kind(depth: Rows) -> Rows:
    """Which of `KINDS` each book message is."""
    return (depth["span"] >> np.uint64(56)).astype(np.int64)


def first_level(depth: Rows) -> Rows:
    """Where in the section of levels each book message's own begin: bids, then asks."""
    return (depth["span"] & _LEVEL_BITS).astype(np.int64)


def sold(trades: Rows) -> Rows:
    """Whether each trade's aggressor sold."""
    return trades["depth_before_venue"] > _RANK_BITS


def depth_before_venue(trades: Rows) -> Rows:
    """How many book messages precede each trade in venue order."""
    return trades["depth_before_venue"] & _RANK_BITS
