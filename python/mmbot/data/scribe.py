"""Writes one market down on its tape: one law for what is imported, recorded, shadowed and traded on.

    snapshot ── delta ── delta ──╳── (delta) …… snapshot      after a gap the book is unknown: nothing of it is written
                                gap                           until it is whole again

- A book message that the instrument's grid cannot hold leaves a gap, for a book without it would be wrong.
- A trade or a settlement that it cannot hold is left out alone: the book that it did not change stays what it is.
- A trade off the book is left out: it took nothing that the public book showed, so it cannot have reached an order that
  rests there.
- A funding settlement is seen when the ticker's next one moves on; it was at the rate and near the mark price known
  before.

Whether updates follow one another, and whether times can be, is not asked here: a session has checked its books, and
`mmbot.data.normalise` checks what has not been.
"""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Literal, TypeAlias

import msgspec

from mmbot._core import Instrument, LiveTape, TapeWriter
from mmbot.venues.records import BookLost, BookUpdate, Levels, PublicTrade, Ticker

__all__ = ["UNUSABLE", "Counted", "Scribe", "Written"]

UNUSABLE = "unusable number"
"""The reason under which is counted what the instrument's grid cannot hold."""

Written: TypeAlias = BookUpdate | BookLost | PublicTrade | Ticker
"""What a tape has room for."""


class Counted(msgspec.Struct, kw_only=True):
    """What became of the records of one market.

    Each book update is in exactly one of applied, skipped_before_snapshot, stale (at or before a snapshot, or
    repeated), lost_to_gap (unknown book, waiting for a snapshot) or quarantined.
    """

    snapshots: int = 0
    updates_applied: int = 0
    updates_skipped_before_snapshot: int = 0
    updates_stale: int = 0
    updates_lost_to_gap: int = 0
    gaps: int = 0
    trades: int = 0
    trades_off_book: int = 0
    funding: int = 0
    quarantined: dict[str, int] = msgspec.field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """Count a record that cannot be used."""
        self.quarantined[reason] = self.quarantined.get(reason, 0) + 1


class Scribe:
    """The end of one tape. What it returns is why something is not on the tape, "" where there is nothing to say."""

    __slots__ = ("counted", "instrument", "known", "tape", "ticker")

    def __init__(self, tape: TapeWriter | LiveTape, instrument: Instrument, counted: Counted | None = None) -> None:
        self.tape = tape
        self.instrument = instrument
        self.counted = counted if counted is not None else Counted()
        self.known = False
        """Whether there is a book."""
        self.ticker = Ticker(symbol=instrument.symbol, ts_venue=0, mark=None, funding_rate=None, next_funding=None)
        """What is known of the funding to come."""

    def take(self, record: Written, ts_recv: int) -> str:
        """Write down one record, heard at `ts_recv` (ns since epoch). Raises OSError when the disk does not take it."""
        match record:
            case BookUpdate(ts_venue=ts_venue):
                said = ts_recv if ts_venue is None else ts_venue
                return self.book(ts_recv, said, record.kind, record.bids, record.asks)
            case PublicTrade(off_book=True):
                self.counted.trades_off_book += 1
            case PublicTrade():
                return self.trade(ts_recv, record.ts_venue, record.price, record.qty, record.aggressor)
            case Ticker():
                return self._ticker(ts_recv, record)
            case BookLost():
                self.lose(ts_recv)
        return ""

    def book(self, ts_recv: int, ts_venue: int, kind: Literal["snapshot", "delta"], bids: Levels, asks: Levels) -> str:
        """Write a book message; one that cannot be loses the book. Raises OSError."""
        if not self.known and kind == "delta":
            return ""  # it changes a book that nobody has
        try:
            self.tape.depth(ts_recv, ts_venue, kind, bids, asks)
        except ValueError as error:
            self.lose(ts_recv)
            return self._refused(error)
        self.known = True
        return ""

    def lose(self, ts_recv: int, ts_venue: int = 0) -> None:
        """Mark the book as unknown, once until the next snapshot. Raises OSError.

        A time in doubt is not given: clocks only move forward, so zero means "as late as the last message".
        """
        if self.known:
            self.known = False
            self.counted.gaps += 1
            self.tape.depth(ts_recv, ts_venue, "gap", [], [])

    def trade(self, ts_recv: int, ts_venue: int, price: str, qty: str, aggressor: Literal["buy", "sell"]) -> str:
        """Write a trade. Raises OSError."""
        try:
            self.tape.trade(ts_recv, ts_venue, price, qty, aggressor)
        except ValueError as error:
            return self._refused(error)
        self.counted.trades += 1
        return ""

    def funding(self, ts_recv: int, ts_venue: int, rate: int, mark: int) -> None:
        """Write a settlement: `rate` in 10^-8 of the value, `mark` in ticks. Raises OSError, ValueError."""
        self.tape.funding(ts_recv, ts_venue, rate, mark)
        self.counted.funding += 1

    def _ticker(self, ts_recv: int, ticker: Ticker) -> str:
        known, due = self.ticker, self.ticker.next_funding
        self.ticker = Ticker(
            symbol=known.symbol,
            ts_venue=ticker.ts_venue,
            mark=known.mark if ticker.mark is None else ticker.mark,
            funding_rate=known.funding_rate if ticker.funding_rate is None else ticker.funding_rate,
            next_funding=ticker.next_funding or due,
        )
        if due is None or (ticker.next_funding or 0) <= due or known.mark is None or known.funding_rate is None:
            return ""
        try:
            rate, mark = _nearest(known.funding_rate, "0.00000001"), _nearest(known.mark, self.instrument.tick)
            self.funding(ts_recv, due, rate, mark)
        except (ValueError, OverflowError) as error:
            return self._refused(error, "funding: ")
        return ""

    def _refused(self, error: Exception, what: str = "") -> str:
        self.counted.refuse(UNUSABLE)
        return f"{what}{error}"


def _nearest(text: str, step: str) -> int:
    """Whole steps nearest to a decimal, half to even: a mark price is an index and need not be on the grid."""
    try:
        value = Decimal(text)
        if not value.is_finite():
            raise ValueError(f"{text!r} is not a finite number")
        return int((value / Decimal(step)).to_integral_value(ROUND_HALF_EVEN))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number of usable size") from error
