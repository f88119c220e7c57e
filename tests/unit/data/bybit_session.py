"""A recorded Bybit session, told to a recorder as a live one would; run as a program, until it is killed."""

import os
import resource
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec
import zstandard

from mmbot.data import instruments
from mmbot.data.record import HttpAnswer, Market, Recorder, RecorderError, Rotation
from mmbot.venues.bybit import wire
from mmbot.venues.port import InstrumentTerms
from mmbot.venues.records import BookUpdate, Skipped

SESSION = Path(__file__).parents[2] / "golden" / "captures" / "bybit-session.jsonl.zst"
FEES = instruments.fee_profile("maker-rebate")
ADDRESSES = {name: f"wss://stream.bybit.com/v5/public/{name}" for name in ("linear", "spot")}
MARKETS = [("linear", "BTCUSDT"), ("linear", "ETHUSDT"), ("linear", "DOGEUSDT"), ("spot", "BTCUSDT")]

STEP = 50
"""The program says how many frames it has recorded after each so many."""

Frame = tuple[str, bytes, int]
"""Category, bytes and receive time."""


@cache
def _lines() -> list[dict[str, object]]:
    with zstandard.ZstdDecompressor().stream_reader(SESSION.read_bytes()) as stream:
        return [msgspec.json.decode(line) for line in stream.readall().splitlines()]


@cache
def frames() -> list[Frame]:
    """Every frame of the session."""
    carried = {line["conn"]: str(line["addr"]).rpartition("/")[2] for line in _lines() if line["t"] == "connect"}
    heard = [line for line in _lines() if line["t"] == "recv"]
    return [(carried[line["conn"]], str(line["data"]).encode(), round(float(str(line["ts"])) * 1e9)) for line in heard]


@cache
def answers() -> list[HttpAnswer]:
    """The instruments' terms, as they were asked for."""
    asked = [line for line in _lines() if line["t"] == "http"]
    return [HttpAnswer(ts=0, url=str(line["url"]), data=str(line["data"]).encode()) for line in asked]


def recorder(folder: Path, *, every_s: int | None = None, waiting_bytes_max: int = 64 << 20) -> Recorder:
    """A recorder of four markets, started with the session's first frame."""
    terms: dict[Market, InstrumentTerms] = {}
    for answer in answers():
        terms |= {(one.category, one.symbol): one for one in wire.decode_terms(answer.data)}
    grids = {market: instruments.bybit(terms[market], FEES) for market in MARKETS}
    return Recorder(
        folder,
        grids,
        clock=lambda: frames()[0][2],
        addresses=ADDRESSES,
        answers=answers(),
        rotation=Rotation(every_s=every_s, bytes_max=None),
        waiting_bytes_max=waiting_bytes_max,
    )


def tell(recorder: Recorder, told: Iterator[Frame] | list[Frame]) -> None:
    """Each frame and what it means."""
    for category, raw, ts_recv in told:
        recorder.on_frame(category, raw, ts_recv)
        records = [record for record in wire.decode(raw) if not isinstance(record, Skipped)]
        if records:
            recorder.on_records(category, records, ts_recv)


def endless() -> Iterator[Frame]:
    """The first frames, which hold the snapshots, and then one delta of BTCUSDT after the other, one a millisecond."""
    yield from frames()
    book = [raw for category, raw, _ in frames() if category == "linear" and b'"orderbook.200.BTCUSDT"' in raw]
    ids = [record.last_id for raw in book for record in wire.decode(raw) if isinstance(record, BookUpdate)]
    at, ts = ids[-1], frames()[-1][2]
    while True:
        at, ts = at + 1, ts + 1_000_000
        said = {"s": "BTCUSDT", "b": [["65000.00", str(at % 7)]], "a": [], "u": at, "seq": at}
        topic = {"topic": "orderbook.200.BTCUSDT", "type": "delta", "ts": ts // 1_000_000, "data": said}
        yield "linear", msgspec.json.encode(topic), ts


def main() -> None:
    """Records into a folder for ever; with a limit on the size of a file without rotation, until that is reached."""
    limited = len(sys.argv) > 2
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    one, told = recorder(Path(sys.argv[1]), every_s=None if limited else 2), endless()
    try:
        for at in range(1 << 60):
            tell(one, [next(told)])
            if at % STEP == 0:
                one.tick()
                os.write(1, b"%d\n" % at)
    except RecorderError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
