"""Recordings of market data become tapes.

Two passes over the recording, line by line: the first finds the clock shift, the second writes. What can not be trusted
is never dropped in silence: it goes to `<tape>.quarantine.jsonl` with its line and reason, and a book update that had
to be refused leaves a gap on the tape, because a book without it would be wrong until the next snapshot.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self, TypeAlias

import msgspec

from mmbot._core import Instrument, Tape, TapeWriter
from mmbot.data import instruments
from mmbot.data.capture import CaptureError, Cut, Line, lines
from mmbot.data.clock import ClockEnvelope, ClockPolicy, ClockShift
from mmbot.data.import_report import ImportReport
from mmbot.data.instruments import FeeProfile
from mmbot.data.normalise import Normaliser
from mmbot.data.tape_records import NO_ASK, NO_BID, records
from mmbot.venues.binance import wire as binance_wire
from mmbot.venues.bybit import wire as bybit_wire
from mmbot.venues.port import InstrumentTerms, Market
from mmbot.venues.records import UNREADABLE, BookLost, BookUpdate, PublicTrade, Record, Skipped, WireError


class Heard(msgspec.Struct, frozen=True):
    """A decoded line: when it was heard (recorder's clock), of which market category, and what it says."""

    line: Line
    ts_recv: int
    category: str
    records: Sequence[Record | BookLost]


class Refused(msgspec.Struct, frozen=True):
    """A line that says nothing we can use, and why."""

    line: Line
    reason: str
    detail: str


class Outcome(msgspec.Struct, frozen=True):
    """A line of the recorder's own, by kind."""

    kind: str


Decoded: TypeAlias = Heard | Refused | Outcome


class _Quarantine:
    """Lines that were refused, kept with their reason. The file exists only if there is one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: Line, reason: str, detail: str) -> None:
        """Writes one entry: place, reason, detail, the raw text (bytes that are no UTF-8 are escaped)."""
        if self._file is None:
            self._file = self.path.open("wb")
        entry = {
            "source": line.source,
            "line": line.number,
            "reason": reason,
            "detail": detail,
            "raw": line.raw.decode("utf-8", "backslashreplace"),
        }
        self._file.write(msgspec.json.encode(entry) + b"\n")


class _Import:
    """One tape in the making."""

    def __init__(
        self, path: Path, instrument: Instrument, shift: ClockShift, quarantine: _Quarantine, depth: int
    ) -> None:
        self.path = path
        self.shift_ns = shift.shift_ns
        self.report = ImportReport(tape=path.name, venue=instrument.venue, symbol=instrument.symbol, clock=shift)
        self.writer = TapeWriter(path, instrument)
        self.normaliser = Normaliser(self.writer, instrument, self.report, quarantine.add, depth)

    def take(self, heard: Heard) -> None:
        """Everything one line says, in order."""
        self.normaliser.take(heard.line, heard.ts_recv + self.shift_ns, heard.records)

    def finish(self, counted: dict[str, int]) -> ImportReport:
        """Names the tape and completes the report from the finished file."""
        self.writer.finish()
        self.normaliser.close()
        complete(self.report, self.path, counted)
        return self.report


def complete(report: ImportReport, path: Path, counted: dict[str, int]) -> None:
    """Fills in what the finished tape tells, and the lines by kind."""
    tape = Tape.open(path)
    seen = tape.info()
    for name in ("gaps", "crossed", "repeated_levels", "recv_corrections", "venue_corrections", "events"):
        setattr(report, name, seen[name])
    report.lines = dict(sorted(counted.items()))
    report.tape_hash = f"{tape.tape_hash:016x}"
    span = tape.span
    report.span_ns = 0 if span is None else span[1] - 1 - span[0]
    report.bytes = path.stat().st_size
    report.bytes_per_event = round(report.bytes / report.events, 3) if report.events else 0.0
    report.last_bid, report.last_ask = _last_touch(tape)


def _last_touch(tape: Tape) -> tuple[str | None, str | None]:
    last = records(tape, "depth")[-1:]
    if not len(last):
        return None, None
    bid, ask = int(last["bid"][0]), int(last["ask"][0])
    price = tape.instrument.price
    return (None if bid == NO_BID else price(bid)), (None if ask == NO_ASK else price(ask))


def _split_binance(line: Line, symbol: str) -> Decoded:
    """`<local ns> <json>`."""
    stamp, space, frame = line.raw.partition(b" ")
    if not space or not stamp.isdigit() or len(stamp) > 19:
        return Refused(line, "malformed line", "expected `<receive time in ns> <json>`")
    try:
        records = binance_wire.decode(frame, symbol)
    except WireError as error:
        return Refused(line, "malformed frame", str(error))
    return Heard(line, int(stamp), "", records)


class _RecorderLine(msgspec.Struct):
    t: str
    conn: str = ""
    ts: Decimal = Decimal(0)
    addr: str = ""
    url: str = ""
    data: str = ""
    symbol: str = ""
    why: str = ""


_RECORDER_LINE = msgspec.json.Decoder(_RecorderLine)


class _BybitRecording:
    """What a recorder file told so far: which connection carries which category, and the grids."""

    def __init__(self) -> None:
        self.categories: dict[str, str] = {}
        self.terms: dict[Market, InstrumentTerms] = {}

    def decode(self, line: Line) -> Decoded:
        """One `{"t", "conn", "ts", "data"}` line."""
        try:
            said = _RECORDER_LINE.decode(line.raw)
            if said.t == "connect":
                self.categories[said.conn] = said.addr.rpartition("/")[2]
            elif said.t == "http" and "/instruments-info" in said.url:
                for terms in bybit_wire.decode_terms(said.data.encode()):
                    self.terms[terms.category, terms.symbol] = terms
            if said.t not in ("recv", "lost"):
                return Outcome(said.t)
            if said.conn not in self.categories:
                return Refused(line, "unknown connection", f"no connect line for {said.conn!r} before its frames")
            records: Sequence[Record | BookLost] = [BookLost(symbol=said.symbol, why=said.why)]
            if said.t == "recv":
                records = bybit_wire.decode(said.data.encode())
            return Heard(line, int(said.ts * 1_000_000_000), self.categories[said.conn], records)
        except WireError as error:
            return Refused(line, "malformed frame", str(error))
        except (*UNREADABLE, InvalidOperation, ValueError) as error:
            return Refused(line, "malformed line", str(error))


def _decoded(sources: Sequence[Path], decode: Callable[[Line], Decoded]) -> Iterator[Decoded]:
    for line in lines(sources):
        if isinstance(line, Cut):
            yield Refused(Line(line.source, line.number, b""), "cut off", line.reason)
        else:
            yield decode(line)


def _clock(decoded: Iterable[Decoded], policy: ClockPolicy) -> tuple[ClockShift, dict[Market, int]]:
    """First pass: the clock, and the markets that have a book or trades with the depth of their deepest book.

    A snapshot fetched apart from the stream proves no market: it does not say what it is of.
    """
    envelope, markets = ClockEnvelope(), dict[Market, int]()
    for heard in decoded:
        if isinstance(heard, Heard):
            for record in heard.records:
                if isinstance(record, BookUpdate | PublicTrade) and record.ts_venue is not None:
                    envelope.add(heard.ts_recv, record.ts_venue)
                    if isinstance(record, PublicTrade) or record.kind == "delta" or record.in_stream:
                        market, depth = (heard.category, record.symbol), getattr(record, "depth", 0)
                        markets[market] = max(depth, markets.get(market, 0))
    return envelope.shift(policy), markets


def _write(
    decoded: Iterable[Decoded], imports: dict[Market, _Import], quarantine: _Quarantine
) -> dict[Market, ImportReport]:
    """Second pass: every line to the tape it belongs to."""
    counted: dict[str, int] = {}
    for heard in decoded:
        match heard:
            case Outcome():
                kind = heard.kind
            case Refused():
                quarantine.add(heard.line, heard.reason, heard.detail)
                kind = heard.reason
            case Heard():
                kind = _route(heard, imports)
        counted[kind] = counted.get(kind, 0) + 1
    return {market: one.finish(counted) for market, one in imports.items()}


def _route(heard: Heard, imports: dict[Market, _Import]) -> str:
    """Gives a line to its import; returns its kind for counting."""
    if not heard.records:
        return "empty"
    first = heard.records[0]
    if isinstance(first, Skipped):
        return first.kind
    target = imports.get((heard.category, first.symbol))
    if target is None:
        return "other instrument"
    target.take(heard)
    return first.kind if isinstance(first, BookUpdate) else type(first).__name__


def import_binance(
    sources: Sequence[Path],
    out: Path,
    instrument: Instrument,
    *,
    clock: ClockPolicy | None = None,
) -> ImportReport:
    """Imports captures of one instrument: `<local ns> <json>` lines of streams, with REST snapshots in line.

    Several sources are one session in order. The result is `out` (`.tape`, or packed `.tapez`) and, if anything was
    refused, `<out>.quarantine.jsonl`. Deterministic: the same input gives the same bytes.

    Raises:
        CaptureError: A source is missing or empty, or holds nothing of the instrument, or no snapshot of it on the
            instrument's grid; there is no tape then.
        OSError: The tape can not be written.
    """

    def decoded() -> Iterator[Decoded]:
        return _decoded(sources, lambda line: _split_binance(line, instrument.symbol))

    shift, markets = _clock(decoded(), clock or ClockPolicy())
    market = ("", instrument.symbol)
    if market not in markets:
        found = ", ".join(sorted(symbol for _, symbol in markets)) or "nothing"
        raise CaptureError(f"{sources[0]}: no book or trades of {instrument.symbol}; found {found}")
    with _Quarantine(Path(f"{out}.quarantine.jsonl")) as quarantine:
        report = _write(decoded(), {market: _Import(out, instrument, shift, quarantine, 0)}, quarantine)[market]
    _check_book(report, out, instrument, quarantine)
    return report


def _check_book(report: ImportReport, out: Path, instrument: Instrument, quarantine: _Quarantine) -> None:
    """Refuses an import that heard of a book and has none: no snapshot was accepted. Takes its tape away."""
    if report.snapshots or not report.lines.keys() & {"snapshot", "delta"}:
        return
    out.unlink()
    refused = sum(report.quarantined.values())
    why = f"; {refused} records were refused, see {quarantine.path}" if refused else "; record one with the updates"
    raise CaptureError(
        f"{out}: no snapshot of {instrument.symbol} was accepted on the grid of tick {instrument.tick} and lot "
        f"{instrument.lot}, so there is no book{why}"
    )


def import_bybit(
    source: Path,
    out: Path,
    *,
    fees: FeeProfile,
    form: Literal["tape", "tapez"] = "tape",
    clock: ClockPolicy | None = None,
) -> list[ImportReport]:
    """Imports raw Bybit v5 frames, `{"t", "conn", "ts", "data"}` per line, into one tape per instrument.

    Tapes are named `bybit-<category>-<symbol>.<form>` in the directory `out`, which is made if missing; grids come from
    the instruments-info answers in the recording. Refused lines go to `bybit.quarantine.jsonl` there.

    Raises:
        CaptureError: The source is missing or empty, holds no book or trades, or has an instrument without its grid.
        OSError: A tape can not be written.
    """
    recording = _BybitRecording()
    shift, markets = _clock(_decoded([source], recording.decode), clock or ClockPolicy())
    if not markets:
        raise CaptureError(f"{source}: no book or trades in it; is it a recording of Bybit frames?")
    if missing := sorted(markets.keys() - recording.terms.keys()):
        raise CaptureError(f"{source}: no instruments-info answer for {missing}; record the bootstrap calls too")
    out.mkdir(parents=True, exist_ok=True)
    with _Quarantine(out / "bybit.quarantine.jsonl") as quarantine:
        imports = {}
        for (category, symbol), depth in sorted(markets.items()):
            instrument = instruments.bybit(recording.terms[category, symbol], fees)
            path = out / f"bybit-{category}-{symbol}.{form}"
            imports[category, symbol] = _Import(path, instrument, shift, quarantine, depth)
        return list(_write(_decoded([source], recording.decode), imports, quarantine).values())
