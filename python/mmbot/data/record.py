"""The recorder: what a live session hears, on disk at once, as raw frames and as one tape for each instrument.

    frame ──┬── line ── buffer ══ compressed, written ══ NAME-START.jsonl.zst.partial ══ NAME-START.jsonl.zst
            └── records ── LiveTape of its instrument ══ NAME-START.live ═══════ sealed ══ NAME-START.tape
                              ══ is done by threads of its own, in order

At a rotation every file ends and the next one starts, raw and tapes together. The new ones begin with the terms, the
books and the funding as they are known, so each file can be read alone.

Nothing has its final name before it is complete and durable. What a killed recorder leaves is finished by the next one
in the same folder (`recover`): a tape loses nothing by `kill -9`, a raw file at most what had not been written yet.
Where the disk is slower than the market, raw frames are dropped, and counted, in whole pieces; tapes are not: they are
written where the market is heard.
"""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO

import msgspec

from mmbot._core import Instrument, LiveTape, Tape, TapeFault
from mmbot.data.normalise import Normaliser
from mmbot.data.raw_file import PARTIAL, RawFile, answered, connected, mend, noted, received
from mmbot.data.scribe import Counted
from mmbot.venues.bybit.wire import book_frame, ticker_frame
from mmbot.venues.port import Clock, Heard, LinkEvent, Market
from mmbot.venues.records import BookLost, Skipped

__all__ = ["LIVE", "HttpAnswer", "Recorded", "Recorder", "RecorderError", "Recovered", "Rotation", "recover"]

log = logging.getLogger(__name__)

LIVE = ".live"
"""What the directory of a tape that is being written ends in."""
LOCK = "recorder.lock"
PIECE = 1 << 20
"""Bytes of lines that are compressed together."""
_SECOND = 1_000_000_000


class RecorderError(Exception):
    """The recording can not go on. What is on disk is sound; the message says what to do."""


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that a reader of the raw frames needs before them."""

    ts: int
    url: str
    data: bytes


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When files end and new ones start: at multiples of `every_s` since 1970, and when one holds `bytes_max`."""

    every_s: int | None = 3_600
    bytes_max: int | None = 1 << 30

    def __post_init__(self) -> None:
        short = self.every_s is not None and self.every_s < 1
        if short or (self.bytes_max is not None and self.bytes_max < PIECE):
            raise ValueError(f"rotate every {self.every_s} s at {self.bytes_max} bytes: expected 1 s and 1 MiB or more")

    def after(self, ts: int) -> int:
        """The first time after `ts` at which files end by the clock."""
        every = None if self.every_s is None else self.every_s * _SECOND
        return (1 << 63) - 1 if every is None else (ts // every + 1) * every


class Recorded(msgspec.Struct, kw_only=True):
    """What was recorded so far."""

    frames: int = 0
    frames_dropped: int = 0
    """Frames that are not in the raw files, because the disk was too slow or full."""
    raw_bytes: int = 0
    """Of all raw files, compressed."""
    rotations: int = 0
    markets: dict[str, Counted] = msgspec.field(default_factory=dict)
    files: list[str] = msgspec.field(default_factory=list)
    """Names of the finished files."""


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one leftover: the file it is now, or None; what was lost; and what a person has to do about it."""

    left: str
    file: str | None
    lost: str = ""
    fault: str = ""


class _Thread:
    """Does what takes time, in order. The first thing that goes wrong is kept, and ends the recording."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self.fault: BaseException | None = None

    def do(self, job: Callable[[], object]) -> Future[object]:
        """Leave a job to it."""
        future = self._pool.submit(job)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[object]) -> None:
        self.fault = self.fault or future.exception()

    def close(self) -> None:
        """Wait until all is done."""
        self._pool.shutdown()


class _Market:
    """One instrument: its tape at this time, and what leads there."""

    def __init__(
        self, folder: Path, instrument: Instrument, stamp: str, refused: Callable[[None, str, str], None]
    ) -> None:
        self.instrument = instrument
        self.folder = folder
        self.counted = Counted()
        self.path, self.live = self._begin(stamp)
        self.normaliser: Normaliser[None] = Normaliser(self.live, instrument, self.counted, refused)

    def _begin(self, stamp: str) -> tuple[Path, LiveTape]:
        path = _free(self.folder, f"{self.instrument.venue}-{self.instrument.symbol}-{stamp}", ".tape", LIVE)
        return path, LiveTape(path.with_suffix(LIVE), self.instrument)

    def rotate(self, stamp: str, ts_recv: int) -> tuple[Path, LiveTape, bytes | None]:
        """Goes on on a new tape. Returns the old one and where it goes, and the new one's first frame."""
        old = self.path, self.live
        self.path, self.live = self._begin(stamp)
        snapshot = self.normaliser.move(self.live, ts_recv)
        return *old, None if snapshot is None else book_frame(snapshot)


def _free(folder: Path, name: str, *suffixes: str) -> Path:
    """The first path of that name which is free with every suffix; it has the first."""
    stem, again = name, 1
    while any((folder / f"{stem}{suffix}").exists() for suffix in suffixes):
        again += 1
        stem = f"{name}-{again}"
    return folder / f"{stem}{suffixes[0]}"


def _stamp(ts: int) -> str:
    return datetime.fromtimestamp(ts // _SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")


class Recorder:
    """Records what it is told, from construction to `close`: the PublicSink of a session.

    Call `tick` about once a second. One recorder has its folder for itself.
    """

    def __init__(
        self,
        folder: Path,
        instruments: Mapping[Market, Instrument],
        *,
        clock: Clock,
        name: str = "bybit",
        addresses: Mapping[str, str],
        answers: Sequence[HttpAnswer] = (),
        rotation: Rotation | None = None,
        waiting_bytes_max: int = 64 << 20,
    ) -> None:
        """Finishes what an earlier recorder left, then starts files of its own.

        Args:
            folder: Where the files go; made if missing.
            instruments: What to record, by category and symbol; the rest of what is told is kept raw.
            clock: The session's.
            name: What raw files are called.
            addresses: Where each connection leads.
            answers: What a reader needs first, such as the instruments' terms.
            rotation: When files end; hourly and at 1 GiB if not given.
            waiting_bytes_max: Lines that may wait for the disk; more are dropped.

        Raises:
            RecorderError: Another recorder has the folder.
            OSError: The folder can not be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self.recovered = _recover(folder)
        self.recorded = Recorded()
        self.resync: Callable[[str, str, str], None] | None = None
        """Asks the session for a new book (category, symbol, why) when one had to be refused."""
        self._folder, self._name, self._clock = folder, name, clock
        self._addresses, self._answers = addresses, answers
        self._rotation = rotation or Rotation()
        self._waiting_max = waiting_bytes_max
        self._writing, self._sealing = _Thread("record-raw"), _Thread("record-seal")
        self._waiting: list[tuple[Future[object], int]] = []
        self._syncing: Future[object] | None = None
        self._buffer, self._buffered = bytearray(), 0
        self._doubted = ""
        self._fault: BaseException | None = None
        now = clock()
        self._rotate_at = self._rotation.after(now)
        self._markets = {
            market: _Market(folder, instrument, _stamp(now), self._refused)
            for market, instrument in instruments.items()
        }
        for (category, symbol), one in self._markets.items():
            self.recorded.markets[f"{category} {symbol}"] = one.counted
        self._raw = self._begin_raw(now, [])

    # ------------------------------------------------------------------------------------------------- sink

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Keep a raw frame."""
        if ts_recv >= self._rotate_at:
            self._rotate(ts_recv)
        self._buffer += received(conn, ts_recv, raw)
        self._buffered += 1
        if len(self._buffer) >= PIECE:
            self._flush()

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Put records on the tapes of their instruments."""
        for record in records:
            if isinstance(record, Skipped):
                continue
            if isinstance(record, BookLost):
                self._buffer += noted("lost", category, ts_recv, symbol=record.symbol, why=record.why)
            market = self._markets.get((category, record.symbol))
            if market is None or self._fault is not None:
                continue  # a tape that has missed an update must not go on
            try:
                market.normaliser.take(None, ts_recv, (record,))
            except OSError as error:
                self._fault = self._fault or error
            if self._doubted:
                self._ask_again(category, record.symbol)

    def on_link(self, event: LinkEvent) -> None:
        """Note a connection's state among the frames."""
        line = noted("link", event.conn, self._clock(), link=event.link, state=event.state, why=event.why)
        self._buffer += line

    def _refused(self, _origin: None, reason: str, detail: str) -> None:
        self._doubted = f"{reason}: {detail}"

    def _ask_again(self, category: str, symbol: str) -> None:
        why, self._doubted = self._doubted, ""
        log.warning("%s %s: not on the tape, %s", category, symbol, why)
        if self.resync is not None and not self._markets[category, symbol].normaliser.known:
            self.resync(category, symbol, why)

    # --------------------------------------------------------------------------------------------- tapes, time

    def tape(self, category: str, symbol: str) -> Tape:
        """The tape of an instrument as it is written now; it ends at the next rotation."""
        return self._markets[category, symbol].live.tape

    def tick(self) -> None:
        """Hand on what waits, make durable what is written, and see whether a file is full.

        Raises:
            RecorderError: The disk does not take any more; `close` what is left.
        """
        self._flush()
        fault = self._fault or self._writing.fault or self._sealing.fault
        if fault is not None:
            raise RecorderError(self._advice(fault)) from fault
        if self._syncing is None or self._syncing.done():
            tapes, raw = [market.live for market in self._markets.values()], self._raw
            self._writing.do(raw.sync)
            self._syncing = self._sealing.do(lambda: _sync(tapes))
        most = self._rotation.bytes_max
        if most is not None and max([self._raw.bytes, *(one.live.bytes for one in self._markets.values())]) >= most:
            self._rotate_at = 0

    def _advice(self, fault: BaseException) -> str:
        return (
            f"recording in {self._folder} ended: {fault}. What is there is sound; mend the cause (free some space), "
            f"then run `mmbot record --recover {self._folder}`, or record on: that finishes what is left"
        )

    # ------------------------------------------------------------------------------------------------ files

    def _begin_raw(self, ts: int, books: Sequence[tuple[str, bytes]]) -> RawFile:
        """A raw file with all that is needed to read what follows."""
        raw = RawFile(_free(self._folder, f"{self._name}-{_stamp(ts)}", ".jsonl.zst", f".jsonl.zst{PARTIAL}"))
        lines = [answered("http", answer.ts, answer.url, answer.data) for answer in self._answers]
        lines += [connected(conn, ts, address) for conn, address in self._addresses.items()]
        lines += [received(conn, ts, frame) for conn, frame in books]
        head = b"".join(lines)
        self._writing.do(lambda: raw.write(head))
        return raw

    def _rotate(self, ts_recv: int) -> None:
        """Ends every file before the frame at `ts_recv`, and starts the next ones."""
        self._rotate_at = self._rotation.after(ts_recv)
        self._flush()
        books: list[tuple[str, bytes]] = []
        try:
            for (category, _), market in self._markets.items():
                path, live, book = market.rotate(_stamp(ts_recv), ts_recv)
                self._seal(live, path)
                ticker = market.normaliser.ticker
                books += [(category, ticker_frame(ticker))] if ticker.ts_venue else []
                books += [(category, book)] if book else []
            old, self._raw = self._raw, self._begin_raw(ts_recv, books)
        except OSError as error:
            self._fault = self._fault or error
            return
        self._finish(old)
        self.recorded.rotations += 1

    def _flush(self) -> None:
        """Leaves the buffered lines to the writing thread, or drops them if too much waits for the disk."""
        if not self._buffer:
            return
        lines, count = self._buffer, self._buffered
        self._buffer, self._buffered = bytearray(), 0
        self._waiting = [one for one in self._waiting if not one[0].done()]
        if sum(size for _, size in self._waiting) + len(lines) > self._waiting_max:
            self._drop(count)
            return
        self.recorded.frames += count
        raw = self._raw
        self._waiting.append((self._writing.do(lambda: raw.write(lines)), len(lines)))

    def _drop(self, count: int) -> None:
        if not self.recorded.frames_dropped:
            log.error("%s: the disk is too slow; raw frames are dropped from here, and counted", self._folder)
        self.recorded.frames_dropped += count
        self._buffer += noted("drop", "", self._clock(), frames=count)

    def _finish(self, raw: RawFile) -> None:
        def finish() -> None:
            raw.finish()
            self.recorded.raw_bytes += raw.bytes
            self.recorded.files.append(raw.path.name)

        self._writing.do(finish)

    def _seal(self, live: LiveTape, path: Path) -> None:
        def seal() -> None:
            if _sealed(live, path):
                self.recorded.files.append(path.name)

        self._sealing.do(seal)

    def close(self) -> None:
        """Finish every file, which may take seconds, and give the folder back.

        Raises:
            RecorderError: Something could not be finished; the next recorder, or `recover`, does it.
        """
        self._flush()
        for market in self._markets.values():
            market.normaliser.close()
            self._seal(market.live, market.path)
        self._finish(self._raw)
        self._writing.close()
        self._sealing.close()
        self._lock.close()
        self.recorded.files.sort()
        fault = self._fault or self._writing.fault or self._sealing.fault
        if fault is not None:
            raise RecorderError(self._advice(fault)) from fault


def _sync(tapes: Sequence[LiveTape]) -> None:
    for tape in tapes:
        tape.sync()


def _sealed(live: LiveTape, path: Path) -> bool:
    """Whether there is a tape now: one on which nothing came is taken away. Raises OSError or TapeFault."""
    if live.tape.events or live.tape.info()["depth"]:
        live.seal(path)
        return True
    _discard(path.with_suffix(LIVE))
    return False


def _discard(directory: Path) -> None:
    """Takes a tape's directory away; a kill in between leaves one without a state, which is no tape."""
    (directory / "state").unlink(missing_ok=True)
    shutil.rmtree(directory)


# ------------------------------------------------------------------------------------------------- after a kill


def _locked(folder: Path) -> IO[bytes]:
    """The folder's lock, for as long as it is open: the system lets go of it however the process ends."""
    lock = (folder / LOCK).open("ab")
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RecorderError(f"another recorder writes in {folder}; stop it first, or choose another folder") from error
    return lock


def recover(folder: Path) -> list[Recovered]:
    """Finish what a killed recorder left in `folder`: seal its tapes, cut and name its raw files.

    Raises:
        RecorderError: A recorder is at work there.
        OSError: The folder is missing or can not be written.
    """
    with _locked(folder):
        return _recover(folder)


def _recover(folder: Path) -> list[Recovered]:
    for scrap in folder.glob(".mmbot-*.partial"):  # half of a tape that was being sealed
        scrap.unlink()
    tapes = [_recovered_tape(directory) for directory in sorted(folder.glob(f"*{LIVE}"))]
    return tapes + [_recovered_raw(partial) for partial in sorted(folder.glob(f"*{PARTIAL}"))]


def _recovered_tape(directory: Path) -> Recovered:
    path = directory.with_suffix(".tape")
    state = directory / "state"
    if not state.exists() or not any(state.read_bytes()):  # stopped while it was made, or after it was sealed
        _discard(directory)
        return Recovered(left=directory.name, file=path.name if path.exists() else None)
    try:
        live = LiveTape.recover(directory)
        lost = sum(live.dropped)
        sealed = _sealed(live, path)
    except (TapeFault, OSError) as error:
        fault = f"{error}; left as it is"
        log.error("%s: %s", directory, fault)
        return Recovered(left=directory.name, file=None, fault=fault)
    return Recovered(
        left=directory.name,
        file=path.name if sealed else None,
        lost=f"{lost} records that were not durable when the machine went down" if lost else "",
    )


def _recovered_raw(partial: Path) -> Recovered:
    try:
        path, cut = mend(partial)
    except OSError as error:
        log.error("%s: %s", partial, error)
        return Recovered(left=partial.name, file=None, fault=str(error))
    lost = f"{cut} bytes that were half written" if cut else ""
    return Recovered(left=partial.name, file=None if path is None else path.name, lost=lost)
