"""Records that nobody has checked yet, on their way to a tape: do updates follow one another, and can their times be?

    snapshot ── update ── update ──╳── update …… snapshot      a missing update is a gap as an unusable one is; updates
                                   gap         (wait)          wait for the snapshot, and those after it follow it

What is good goes to the scribe (`mmbot.data.scribe`), which writes it down. A record that can not be trusted is handed
to whoever wants to keep it, and is not on the tape.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from msgspec import structs

from mmbot._core import Instrument, LiveTape, TapeWriter
from mmbot.data.scribe import UNUSABLE, Counted, Scribe
from mmbot.venues.records import BookLost, BookUpdate, Record, Skipped, Ticker

__all__ = ["EARLY_NS_MAX", "LATE_NS_MAX", "WAITING_MAX", "Normaliser"]

EARLY_NS_MAX = 1_000_000_000
LATE_NS_MAX = 3_600_000_000_000
WAITING_MAX = 100_000
"""Book updates kept while a snapshot is awaited; older ones can not follow it any more."""

Origin = TypeVar("Origin")


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
        self.counted = counted
        self._scribe = Scribe(writer, instrument, counted)
        self._refused = refused
        self._depth = depth
        self._book_id = 0
        """Last update in the book, while there is one."""
        self._following = False
        """An update has been applied since the snapshot, so the next must name it exactly."""
        self._waiting: deque[tuple[Origin, BookUpdate]] = deque()
        self._last: BookUpdate | None = None
        """The book update that was written last."""

    @property
    def known(self) -> bool:
        """Whether there is a book."""
        return self._scribe.known

    @property
    def ticker(self) -> Ticker:
        """What is known of the funding to come."""
        return self._scribe.ticker

    def take(self, origin: Origin, ts_recv: int, records: Iterable[Record | BookLost]) -> None:
        """Everything one message says, in order. Raises OSError when the disk does not take it."""
        for record in records:
            if isinstance(record, Skipped):
                continue  # counted by its kind where messages are counted
            ts_venue = None if isinstance(record, BookLost) else record.ts_venue
            if ts_venue is not None and not -EARLY_NS_MAX <= ts_recv - ts_venue <= LATE_NS_MAX:
                self._refuse_time(origin, ts_recv, ts_venue, record)
            elif not isinstance(record, BookUpdate):
                self._said(origin, self._scribe.take(record, ts_recv))
            elif record.depth < self._depth:
                pass  # the best prices again, beside the book
            elif record.kind == "snapshot":
                self._snapshot(origin, ts_recv, record)
            else:
                self._delta(origin, ts_recv, record)

    def _refuse_time(self, origin: Origin, ts_recv: int, ts_venue: int, record: Record | BookLost) -> None:
        reason = "implausible time"
        self.counted.refuse(reason)
        detail = f"venue time {ts_venue} is {(ts_venue - ts_recv) / 1e9:.3f} s ahead of the receive time"
        self._refused(origin, reason, detail)
        if isinstance(record, BookUpdate):
            self._scribe.lose(ts_recv)

    def _said(self, origin: Origin, why: str) -> bool:
        """Hands on what the scribe could not write; whether there was no such thing."""
        if why:
            self._refused(origin, UNUSABLE, why)
        return not why

    def _write(self, origin: Origin, ts_recv: int, ts_venue: int, update: BookUpdate) -> bool:
        why = self._scribe.book(ts_recv, ts_venue, update.kind, update.bids, update.asks)
        if not why:
            self._last = update
        return self._said(origin, why)

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
        if not self.known:
            self._wait(origin, update)
            return
        if update.last_id <= self._book_id:
            self.counted.updates_stale += 1
            return
        straddles = not self._following and update.previous_id < self._book_id
        if update.previous_id != self._book_id and not straddles:
            self._scribe.lose(ts_recv, update.ts_venue or 0)
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

    def close(self) -> None:
        """Counts what waits for a snapshot that does not come."""
        self._pass_over(len(self._waiting))
        self._waiting.clear()

    def move(self, tape: LiveTape, ts_recv: int) -> BookUpdate | None:
        """Goes on on another tape, which starts with the book as it is at `ts_recv`.

        Returns that snapshot in the place of the chain where it stands; None while the book is unknown. Only a
        normaliser that writes a LiveTape can move.
        """
        written = self._scribe.tape
        if not isinstance(written, LiveTape):
            raise TypeError(f"a {type(written).__name__} does not give its book away; expected a LiveTape")
        book, last, self._scribe.tape = written.book(), self._last, tape
        if book is None or last is None or not self.known:
            return None
        snapshot = structs.replace(last, kind="snapshot", bids=book[0], asks=book[1])
        tape.depth(ts_recv, last.ts_venue or ts_recv, "snapshot", *book)
        return snapshot
