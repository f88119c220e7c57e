"""Decode and book of recorded Bybit frames, ours and ccxt.pro's, in one run: `python -m benches.bybit_frames [ROUNDS]`.

Every book frame of the recording under tests/golden is taken as the socket would hand it over, round after round:

    decode        bytes to records (`mmbot.venues.bybit.wire`)
    checked       and the chain of updates followed, the best prices kept (`BookWatch`)
    taped         and written to a live tape, which keeps the full book and is what strategies read
    ccxt.pro      bytes to its own order book: JSON, `handle_message`, its book with sorted sides

The sides take turns, so that a busy machine slows both. Prints one JSON line per case: µs per frame at the median and
the 99th percentile over all frames of the best round. Nothing is asserted. Needs ccxt (development dependency).
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ccxt.pro
import msgspec
import zstandard
from ccxt.async_support.base.ws.client import Client

from mmbot._core import Instrument, LiveTape
from mmbot.venues.bybit.books import BookWatch
from mmbot.venues.bybit.wire import decode, decode_terms
from mmbot.venues.records import BookUpdate

CAPTURE = Path(__file__).parents[1] / "tests" / "golden" / "captures" / "bybit-session.jsonl.zst"
LINEAR = "BYBIT.ws.2"


class Line(msgspec.Struct):
    """One line of the recorder."""

    t: str
    conn: str = ""
    data: str = ""


def recorded() -> tuple[list[bytes], list[bytes]]:
    """Answers about instruments, and every linear book frame in order."""
    reader = zstandard.ZstdDecompressor().stream_reader(CAPTURE.open("rb"), read_across_frames=True)
    lines = [msgspec.json.decode(line, type=Line) for line in reader.read().splitlines()]
    books = [
        one.data.encode() for one in lines if one.t == "recv" and one.conn == LINEAR and "orderbook" in one.data[:30]
    ]
    return [one.data.encode() for one in lines if one.t == "http"], books


Take = Callable[[bytes], object]


def checked(watches: dict[str, BookWatch]) -> Take:
    """Decode, and follow the chain."""

    def take(frame: bytes) -> None:
        for record in decode(frame):
            assert isinstance(record, BookUpdate)
            why = watches.setdefault(record.symbol, BookWatch()).follow(record)
            assert not why, why

    return take


def taped(answers: list[bytes], folder: str) -> Take:
    """Decode, follow the chain, write to one live tape for each instrument."""
    terms = {one.symbol: one for raw in answers for one in decode_terms(raw) if one.category == "linear"}
    tapes: dict[str, LiveTape] = {}
    watches: dict[str, BookWatch] = {}

    def take(frame: bytes) -> None:
        ts_recv = time.time_ns()
        for record in decode(frame):
            assert isinstance(record, BookUpdate)
            symbol = record.symbol
            if symbol not in tapes:
                grid = terms[symbol]
                instrument = Instrument(
                    venue="bybit-linear", symbol=symbol, kind="linear", tick=grid.tick, lot=grid.lot
                )
                tapes[symbol] = LiveTape(f"{folder}/{symbol}", instrument)
            if not watches.setdefault(symbol, BookWatch()).follow(record):
                tapes[symbol].depth(ts_recv, record.ts_venue or ts_recv, record.kind, record.bids, record.asks)

    return take


def peer() -> Take:
    """What ccxt.pro does with a text frame: JSON, then its handler."""
    exchange = ccxt.pro.bybit({"enableRateLimit": False})
    symbols = {raw.partition(b'"s":"')[2].partition(b'"')[0].decode() for raw in recorded()[1][:50]}
    exchange.set_markets(
        {
            f"{symbol}:USDT": exchange.safe_market_structure(
                {
                    "id": symbol,
                    "symbol": f"{symbol}:USDT",
                    "type": "swap",
                    "swap": True,
                    "contract": True,
                    "linear": True,
                }
            )
            for symbol in symbols
        }
    )
    client = Client(
        "wss://stream.bybit.com/v5/public/linear",
        exchange.handle_message,
        lambda *_: None,
        lambda *_: None,
        lambda *_: None,
        {"verbose": False, "asyncio_loop": asyncio.get_running_loop()},
    )

    def take(frame: bytes) -> None:
        client.handle_text_or_binary_message(frame.decode())

    return take


def timed(take: Take, frames: list[bytes]) -> list[int]:
    """Nanoseconds of each frame."""
    clock = time.perf_counter_ns
    spent = []
    for frame in frames:
        start = clock()
        take(frame)
        spent.append(clock() - start)
    return spent


async def main() -> None:
    """Take turns, keep the best round of each."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    answers, frames = recorded()
    best: dict[str, list[int]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            cases: dict[str, Take] = {
                "decode": decode,
                "checked": checked({}),
                "taped": taped(answers, folder),
                "ccxt.pro": peer(),
            }
            for name, take in cases.items():
                gc.collect()
                spent = timed(take, frames)
                if name not in best or sum(spent) < sum(best[name]):
                    best[name] = spent
    for name, spent in best.items():
        ordered = sorted(spent)
        said = {
            "case": name,
            "frames": len(frames),
            "bytes": round(sum(map(len, frames)) / len(frames)),
            "median_us": round(ordered[len(ordered) // 2] / 1_000, 2),
            "p99_us": round(ordered[len(ordered) * 99 // 100] / 1_000, 2),
            "mean_us": round(sum(ordered) / len(ordered) / 1_000, 2),
        }
        print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main())
