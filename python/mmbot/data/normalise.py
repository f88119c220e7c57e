"""What a venue's records become on a tape: one law for what is imported and for what is recorded live.

    snapshot ── update ── update ──╳── update …… snapshot      a missing or unusable update is a gap: the book is
                                   gap         (wait)          unknown until the next snapshot

A record that can not be trusted is handed to whoever wants to keep it, and is not on the tape.
"""

from collections import deque
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Generic, TypeVar

import msgspec
from msgspec import structs

from mmbot._core import Instrument, LiveTape, TapeWriter
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Record, Skipped, Ticker

__all__ = ["EARLY_NS_MAX", "LATE_NS_MAX", "WAITING_MAX", "Counted", "Normaliser"]

EARLY_NS_MAX = 1_000_000_000
LATE_NS_MAX = 3_600_000_000_000
WAITING_MAX = 100_000
"""Book updates kept while a snapshot is awaited; older ones can not follow it any more."""

Origin = TypeVar("Origin")


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
    trades: int = 0
    funding: int = 0
    quarantined: dict[str, int] = msgspec.field(default_factory=dict)


class Normaliser(Generic[Origin]):
    """Records of one market on their way to one tape. `Origin` says where a record came from."""

    def __init__(
        self,
        writer: TapeWriter | LiveTape,
        instrument: Instrument,
        counted: Counted,
        refused: Callable[[Origin, str, str], None],
        depth: int = 0,
    ) -> None:
        """`refused` hears origin, reason and detail of what is not used; books of fewer levels than `depth` are not."""
        self.writer = writer
        self.instrument = instrument
        self.counted = counted
        self.ticker = Ticker(symbol=instrument.symbol, ts_venue=0, mark=None, funding_rate=None, next_funding=None)
        """What is known of the funding to come."""
        self._refused = refused
        self._depth = depth
        self._book_id: int | None = None
        """Last update in the book; None while it is unknown."""
        self._following = False
        """An update has been applied since the snapshot, so the next must name it exactly."""
        self._waiting: deque[tuple[Origin, BookUpdate]] = deque()
        self._last: BookUpdate | None = None
        """The book update that was written last."""

    @property
    def known(self) -> bool:
        """Whether there is a book."""
        return self._book_id is not None

    def take(self, origin: Origin, ts_recv: int, records: Iterable[Record | BookLost]) -> None:
        """Everything one message says, in order. Raises OSError when the disk does not take it."""
        for record in records:
            if isinstance(record, Skipped):
                continue  # counted by its kind where messages are counted
            if isinstance(record, BookLost):
                self._gap(ts_recv, None)
                continue
            ts_venue = record.ts_venue
            if ts_venue is not None and not -EARLY_NS_MAX <= ts_recv - ts_venue <= LATE_NS_MAX:
                detail = f"venue time {ts_venue} is {(ts_venue - ts_recv) / 1e9:.3f} s ahead of the receive time"
                self._refuse(origin, "implausible time", detail, record, ts_recv)
                continue
            match record:
                case BookUpdate() if record.depth < self._depth:
                    pass  # the best prices again, beside the book
                case BookUpdate(kind="snapshot"):
                    self._snapshot(origin, ts_recv, record)
                case BookUpdate():
                    self._delta(origin, ts_recv, record)
                case PublicTrade():
                    self._trade(origin, ts_recv, record)
                case Ticker():
                    self._ticker(origin, ts_recv, record)

    def _refuse(self, origin: Origin, reason: str, detail: str, record: Record, ts_recv: int) -> None:
        """Counts and hands on; if the book lost something by it, the book is unknown from here."""
        self._refused(origin, reason, detail)
        self.counted.quarantined[reason] = self.counted.quarantined.get(reason, 0) + 1
        if isinstance(record, BookUpdate):
            self._gap(ts_recv, None)

    def _gap(self, ts_recv: int, ts_venue: int | None) -> None:
        """Marks the book as unknown, once until the next snapshot."""
        if self._book_id is not None:
            self._book_id = None
            # A time in doubt is not used: clocks only move forward, so zero means "as late as the last message".
            self.writer.depth(ts_recv, ts_venue or 0, "gap", [], [])

    def _write(self, origin: Origin, ts_recv: int, ts_venue: int, update: BookUpdate) -> bool:
        try:
            self.writer.depth(ts_recv, ts_venue, update.kind, update.bids, update.asks)
        except ValueError as error:
            self._refuse(origin, "unusable number", str(error), update, ts_recv)
            return False
        self._last = update
        return True

    def _snapshot(self, origin: Origin, ts_recv: int, snapshot: BookUpdate) -> None:
        """Replaces the book, then applies what waited for it, at its receive time; the first must straddle it."""
        ts_venue = snapshot.ts_venue
        if ts_venue is None:  # the latest update it contains, else the first it does not, else when it was heard
            times = [update.ts_venue for _, update in self._waiting if update.ts_venue is not None]
            contained = sum(update.last_id <= snapshot.last_id for _, update in self._waiting)
            ts_venue = times[max(contained - 1, 0)] if times else ts_recv
        waiting, self._waiting = self._waiting, deque()
        if not self._write(origin, ts_recv, ts_venue, snapshot):
            self._waiting = waiting
            return
        newer = [] if snapshot.in_stream else [one for one in waiting if one[1].last_id > snapshot.last_id]
        self._pass_over(len(waiting) - len(newer))
        self.counted.snapshots += 1
        self._book_id, self._following = snapshot.last_id, False
        for held, update in newer:
            self._delta(held, ts_recv, update)

    def _pass_over(self, count: int) -> None:
        """Counts updates that waited and are not wanted any more: before the first snapshot, or lost to a gap."""
        if self.counted.snapshots == 0:
            self.counted.updates_skipped_before_snapshot += count
        else:
            self.counted.updates_lost_to_gap += count

    def _delta(self, origin: Origin, ts_recv: int, update: BookUpdate) -> None:
        """Applies an update that follows the book; one that does not is a gap, and waits for a snapshot."""
        if self._book_id is None:
            self._wait(origin, update)
            return
        if update.last_id <= self._book_id:
            self.counted.updates_stale += 1
            return
        straddles = not self._following and update.previous_id < self._book_id
        if update.previous_id != self._book_id and not straddles:
            self._gap(ts_recv, update.ts_venue)
            self._wait(origin, update)
            return
        if self._write(origin, ts_recv, update.ts_venue or ts_recv, update):
            self.counted.updates_applied += 1
            self._book_id, self._following = update.last_id, True

    def _wait(self, origin: Origin, update: BookUpdate) -> None:
        self._waiting.append((origin, update))
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._pass_over(1)

    def _trade(self, origin: Origin, ts_recv: int, trade: PublicTrade) -> None:
        try:
            self.writer.trade(ts_recv, trade.ts_venue, trade.price, trade.qty, trade.aggressor)
        except ValueError as error:
            self._refuse(origin, "unusable number", str(error), trade, ts_recv)
        else:
            self.counted.trades += 1

    def _ticker(self, origin: Origin, ts_recv: int, ticker: Ticker) -> None:
        """A settlement is seen when the next one moves on; it was at the rate and near the mark price known before."""
        known = self.ticker
        if known.next_funding is not None and (ticker.next_funding or 0) > known.next_funding:
            self._settled(origin, ts_recv, known.next_funding, ticker)
        self.ticker = Ticker(
            symbol=known.symbol,
            ts_venue=ticker.ts_venue,
            mark=known.mark if ticker.mark is None else ticker.mark,
            funding_rate=known.funding_rate if ticker.funding_rate is None else ticker.funding_rate,
            next_funding=ticker.next_funding or known.next_funding,
        )

    def _settled(self, origin: Origin, ts_recv: int, ts_venue: int, ticker: Ticker) -> None:
        mark, rate = self.ticker.mark, self.ticker.funding_rate
        if mark is None or rate is None:
            return
        try:
            self.writer.funding(ts_recv, ts_venue, _rounded(rate, "0.00000001"), _rounded(mark, self.instrument.tick))
        except (ValueError, OverflowError) as error:
            self._refuse(origin, "unusable number", f"funding: {error}", ticker, ts_recv)
        else:
            self.counted.funding += 1

    def close(self) -> None:
        """Counts what waits for a snapshot that does not come."""
        self._pass_over(len(self._waiting))
        self._waiting.clear()

    def move(self, tape: LiveTape, ts_recv: int) -> BookUpdate | None:
        """Goes on on another tape, which starts with the book as it is at `ts_recv`.

        Returns that snapshot in the place of the chain where it stands; None while the book is unknown. Only a
        normaliser that writes a LiveTape can move.
        """
        if not isinstance(self.writer, LiveTape):
            raise TypeError(f"a {type(self.writer).__name__} does not give its book away; expected a LiveTape")
        book, last, self.writer = self.writer.book(), self._last, tape
        if book is None or last is None or self._book_id is None:
            return None
        snapshot = structs.replace(last, kind="snapshot", bids=book[0], asks=book[1])
        tape.depth(ts_recv, last.ts_venue or ts_recv, "snapshot", *book)
        return snapshot


def _rounded(text: str, step: str) -> int:
    """Whole steps nearest to a decimal, half to even: a mark price is an index and need not be on the grid."""
    try:
        value = Decimal(text)
        if not value.is_finite():
            raise ValueError(f"{text!r} is not a finite number")
        return int((value / Decimal(step)).to_integral_value(ROUND_HALF_EVEN))
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number of usable size") from error
