"""What public market data says, whatever the venue: the records that every wire decodes into.

Prices and quantities stay decimal strings until the instrument's grid converts them exactly. Times are ns since epoch.
"""

from typing import Literal, TypeAlias

import msgspec

Levels: TypeAlias = list[tuple[str, str]]


class WireError(ValueError):
    """A frame that does not say what its venue documents. The message names the field."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError)
"""How reading JSON of a venue ends that is none, has other types, numbers beyond sense, or is nested beyond reading."""


class BookUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One book message and its place in the venue's chain of updates.

    A delta follows the update `previous_id` directly and ends with `last_id`; a snapshot is the book after `last_id`.
    Quantity zero deletes a level. `ts_venue` is None where the venue does not say (Binance spot snapshots).
    `in_stream` is False for a snapshot fetched apart from the updates: those heard before it may be newer than it.
    `depth` is the number of levels the stream keeps, `sequence` the venue's own order of books of different depths; 0
    where the venue has no such thing.
    """

    symbol: str
    kind: Literal["snapshot", "delta"]
    ts_venue: int | None
    previous_id: int
    last_id: int
    bids: Levels
    asks: Levels
    in_stream: bool = True
    depth: int = 0
    sequence: int = 0


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Someone's public execution.

    `off_book`: it took nothing that the public book showed, as a block trade or one against hidden liquidity does.
    """

    symbol: str
    ts_venue: int
    price: str
    qty: str
    aggressor: Literal["buy", "sell"]
    trade_id: str
    off_book: bool = False


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """What a derivatives ticker says about funding; None is "not changed". `next_funding` is ns since epoch."""

    symbol: str
    ts_venue: int
    mark: str | None
    funding_rate: str | None
    next_funding: int | None


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A well-formed frame that carries nothing for a book, and what kind it is."""

    kind: str


class BookLost(msgspec.Struct, frozen=True, kw_only=True):
    """A book's chain is broken: forget it, and quote nothing on it until the next snapshot."""

    symbol: str
    why: str


Record: TypeAlias = BookUpdate | PublicTrade | Ticker | Skipped
