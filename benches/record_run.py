"""What a recorder costs: python -m benches.record_run [--messages 120000] [--rounds 3] [--books].

The frames of the golden Bybit session (books of 200 levels of six markets, trades, tickers, candles), again and again
with their chains carried on. Each case hears all of them and ends with finished files; CPU time is that of the whole
process, so of all threads. Rounds take turns. Prints one JSON line.

    recorder   decode, raw lines, zstd, tapes, sealed: `mmbot record` without the socket
    session    the same behind the feed's own check of every book
    bound      decode, raw lines, zstd: what nobody who keeps the frames can leave out
    plain      json.loads, gzip: what a recorder in plain Python does, and it makes no tape
"""

import argparse
import asyncio
import gzip
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import zstandard

import mmbot
from benches.environments import ROOT
from mmbot.data import instruments
from mmbot.data.raw_file import RawFile, received
from mmbot.data.record import PIECE, HttpAnswer, Recorder, Rotation
from mmbot.venues.bybit import wire
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.public import BybitPublic
from mmbot.venues.port import Subscription
from mmbot.venues.records import Skipped

SESSION = ROOT / "tests" / "golden" / "captures" / "bybit-session.jsonl.zst"
FEES = instruments.fee_profile("free")
TICK = 50_000
"""Frames after which a recorder is told that a second has passed: the rate that it has to keep up with."""

Frame = tuple[str, bytes, int]


@cache
def session() -> tuple[list[Frame], list[HttpAnswer]]:
    """Frames (category, bytes, receive time) and terms of the session."""
    with zstandard.ZstdDecompressor().stream_reader(SESSION.read_bytes()) as stream:
        lines = [msgspec.json.decode(line) for line in stream.readall().splitlines()]
    carried = {line["conn"]: line["addr"].rpartition("/")[2] for line in lines if line["t"] == "connect"}
    heard = [line for line in lines if line["t"] == "recv"]
    frames = [(carried[line["conn"]], line["data"].encode(), round(line["ts"] * 1e9)) for line in heard]
    return frames, [
        HttpAnswer(ts=0, url=line["url"], data=line["data"].encode()) for line in lines if line["t"] == "http"
    ]


def endless() -> Iterator[Frame]:
    """The session, and again later with the update ids that follow; each time it starts with whole books."""
    frames, _ = session()
    span, copy = frames[-1][2] - frames[0][2] + 1_000_000, 0
    last: dict[tuple[str, str], int] = {}
    said = [(category, json.loads(raw), ts) for category, raw, ts in frames]
    while True:
        for category, frame, ts in said:
            topic = frame.get("topic", "")
            if topic.startswith("orderbook."):
                known = last.get((category, topic))
                frame["data"]["u"] = last[category, topic] = frame["data"]["u"] if known is None else known + 1
            if copy:
                for name in ("ts", "cts"):
                    if name in frame:
                        frame[name] += span // 1_000_000
                for trade in frame["data"] if topic.startswith("publicTrade") else ():
                    trade["T"] += span // 1_000_000
            yield category, msgspec.json.encode(frame), ts + copy * span
        copy += 1


def markets() -> dict[tuple[str, str], Any]:
    """The instruments that the session has books of."""
    frames, answers = session()
    terms = {(one.category, one.symbol): one for answer in answers for one in wire.decode_terms(answer.data)}
    named = {
        (category, record.symbol) for category, raw, _ in frames for record in wire.decode(raw) if _is_book(record)
    }
    return {market: instruments.bybit(terms[market], FEES) for market in sorted(named)}


def _is_book(record: object) -> bool:
    return isinstance(record, wire.BookUpdate)


def recorder(folder: Path, clock: Callable[[], int]) -> Recorder:
    """A recorder of all of them."""
    return Recorder(
        folder,
        markets(),
        clock=clock,
        addresses={name: f"wss://stream.bybit.com/v5/public/{name}" for name in ("linear", "spot")},
        answers=session()[1],
        rotation=Rotation(every_s=None, bytes_max=None),
        waiting_bytes_max=1 << 30,
    )


def record(frames: list[Frame], folder: Path) -> Recorder:
    """The recorder, told what a session would tell it."""
    one = recorder(folder, lambda: frames[0][2])
    for at, (category, raw, ts_recv) in enumerate(frames):
        one.on_frame(category, raw, ts_recv)
        records = wire.decode(raw)
        if not isinstance(records[0], Skipped):
            one.on_records(category, records, ts_recv)
        if at % TICK == 0:
            one.tick()
    one.close()
    return one


def record_session(frames: list[Frame], folder: Path) -> Recorder:
    """The recorder behind the public feed, which checks every book."""
    now = frames[0][2]

    def clock() -> int:
        return now

    async def run() -> Recorder:
        nonlocal now
        one = await asyncio.to_thread(recorder, folder, clock)
        wanted = [Subscription(category=category, symbol=symbol, depth=200) for category, symbol in markets()]
        feed = BybitPublic(Endpoint.of("mainnet"), wanted, one, clock)
        hear = {name: conversation.on_frame for name, conversation in feed._conversations.items()}
        for at, (category, raw, ts_recv) in enumerate(frames):
            now = ts_recv
            hear[category](raw)
            if at % TICK == 0:
                one.tick()
        await asyncio.to_thread(one.close)
        return one

    return asyncio.run(run())


def bound(frames: list[Frame], folder: Path) -> None:
    """Frames decoded, and kept raw."""
    folder.mkdir()
    raw_file, lines = RawFile(folder / "raw.jsonl.zst"), bytearray()
    for category, raw, ts_recv in frames:
        lines += received(category, ts_recv, raw)
        wire.decode(raw)
        if len(lines) >= PIECE:
            raw_file.write(lines)
            lines.clear()
    raw_file.write(lines)
    raw_file.finish()


def plain(frames: list[Frame], folder: Path) -> None:
    """What is written first and often stays."""
    folder.mkdir()
    with gzip.open(folder / "raw.jsonl.gz", "wb", compresslevel=6) as file:
        for category, raw, ts_recv in frames:
            json.loads(raw)
            line = {"t": "recv", "conn": category, "ts": ts_recv / 1e9, "data": raw.decode()}
            file.write(json.dumps(line).encode() + b"\n")


CASES: dict[str, Callable[[list[Frame], Path], Any]] = {
    "recorder": record,
    "session": record_session,
    "bound": bound,
    "plain": plain,
}


def once(case: str, frames: list[Frame]) -> tuple[float, float, Any]:
    """CPU and wall seconds of one case, and its recorder if it has one."""
    with tempfile.TemporaryDirectory(dir=ROOT) as scratch:
        started, spent = time.perf_counter(), time.process_time()
        made = CASES[case](frames, Path(scratch) / "rec")
        return time.process_time() - spent, time.perf_counter() - started, made


def kept(one: Recorder) -> dict[str, int]:
    """That nothing was left out."""
    counted = one.recorded.markets.values()
    return {
        "dropped": one.recorded.frames_dropped,
        "updates": sum(market.updates_applied for market in counted),
        "lost_to_gap": sum(market.updates_lost_to_gap for market in counted),
    }


def main() -> None:
    """Measure all cases in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=120_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--books", action="store_true", help="only book updates, the dearest frames")
    options = parser.parse_args()
    told = (frame for frame in endless() if not options.books or frame[1].startswith(b'{"topic":"orderbook.'))
    frames = list(islice(told, options.messages))
    rounds = [{case: once(case, frames) for case in CASES} for _ in range(options.rounds)]

    def rate(case: str, clock: int) -> int:
        return round(len(frames) / statistics.median(done[case][clock] for done in rounds))

    per_cpu_s = {case: rate(case, 0) for case in CASES}
    row = {
        "version": mmbot.__version__,
        "messages": len(frames),
        "bytes_per_message": round(sum(len(raw) for _, raw, _ in frames) / len(frames)),
        "messages_per_cpu_s": per_cpu_s,
        "messages_per_wall_s": {case: rate(case, 1) for case in CASES},
        "recorder_of_bound": round(per_cpu_s["recorder"] / per_cpu_s["bound"], 3),
        "recorder_times_plain": round(per_cpu_s["recorder"] / per_cpu_s["plain"], 2),
        **kept(rounds[-1]["session"][2]),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
