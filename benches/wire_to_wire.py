"""From a frame to the order on the socket, by stages: `python -m benches.wire_to_wire [SECONDS]`.

The whole of `mmbot run` in this process, the exchange in another, over loopback: a recorded market, a plain Python strategy
that moves its quotes with every move of the touch. Three cases:

    quiet     the market at its own speed, some 20 frames a second: every cache is cold when one comes
    busy      20 times as fast, published every millisecond; the journal is written before orders leave (`system`)
    durable   as busy, and the journal is on the disk before they leave (`batch`: one fdatasync)

The peer is ccxt.pro, which takes the very same frames, in the same run, from text to its own order book, and does nothing
else; its frames follow one another without a pause, so its caches are always warm.

    received ─ decode ─ decide ─ journal ─ send ─▶ handed to the socket      ours, whole
    received ─ decode, book                                                  ccxt.pro

Prints one JSON line per case, µs. Nothing is asserted. Needs ccxt (development dependency).
"""

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from benches.bybit_frames import peer, timed
from mmbot.config import BacktestConfig
from mmbot.ops.trade import trade
from mmbot.runtime.board import Board
from mmbot.runtime.ended import Ended
from mmbot.runtime.latency import Spread
from mmbot.strategy import Strategy, View, Wake, quotes
from mmbot.venues.port import Clock, PublicFeed, PublicSink
from mmbot.wiring import Mode, Trading, wire


class Mover(Strategy):
    """Quotes one tick behind the touch, moved with it."""

    wake = Wake(touch=True)

    def decide(self, view: View) -> Any:
        """Follow the touch."""
        if view.bid is None or view.ask is None:
            return None
        return quotes(view.bid - 1, view.ask + 1, 5)


class Tap:
    """Passes everything on, and keeps the frames of the book."""

    def __init__(self, sink: PublicSink, frames: list[bytes]) -> None:
        self._sink, self._frames = sink, frames
        self.on_records, self.on_link = sink.on_records, sink.on_link

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Keep it if it is of a book."""
        if b"orderbook" in raw[:30]:
            self._frames.append(bytes(raw))
        self._sink.on_frame(conn, raw, ts_recv)


class Tapped(Trading):
    """A wiring whose feed is tapped."""

    frames: list[bytes] = []  # noqa: RUF012  one list for the whole bench

    def feed(self, endpoint: Any, subscriptions: Any, sink: PublicSink, clock: Clock) -> PublicFeed:
        """The venue's feed, with a tap."""
        return super().feed(endpoint, subscriptions, Tap(sink, self.frames), clock)  # type: ignore[arg-type]


class Reader:
    """Watches a run and keeps its latencies."""

    def __init__(self) -> None:
        self.board: Board | None = None
        self.latencies: dict[str, Spread] = {}

    def told(self, event: dict[str, Any]) -> None:
        """Nothing is shown."""

    def watch(self, board: Board) -> None:
        """Keep the board."""
        self.board = board

    def leave(self) -> None:
        """Read the latencies."""
        if self.board is not None:
            self.latencies = dict(self.board.status().latencies)

    def ended(self, ended: Ended) -> None:
        """Nothing is shown."""


CASES = {"quiet": (1, 20, "system"), "busy": (20, 1, "system"), "durable": (20, 1, "batch")}
"""Speed of the market, ms between publications, when the journal is on the disk."""


def config(sync: str, url: str) -> BacktestConfig:
    """The run."""
    limits = {"position": "100", "order": "1", "requests_per_second": 10_000}
    return BacktestConfig.model_validate(
        {
            "instruments": [{"symbol": "BTCUSDT", "category": "linear", "limits": limits}],
            "strategy": {"name": "benches.wire_to_wire:Mover"},
            "session": {"sync": sync, "url": url, "calls_per_second": 900},
        }
    )


@contextmanager
def exchange(speed: int, every_ms: int) -> Iterator[dict[str, Any]]:
    """An exchange in a process of its own; what it says of itself."""
    words = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", "--tape", "sample:btcusdt"]
    words += ["--speed", str(speed), "--set", f"push_ms_50={every_ms}", "--set", f"beat_ms={min(10, every_ms)}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


async def run(case: str, seconds: float) -> dict[str, Spread]:
    """Trade for so long; the latencies."""
    speed, every_ms, sync = CASES[case]
    with tempfile.TemporaryDirectory(dir=".") as folder, exchange(speed, every_ms) as said:
        read = config(sync, said["http"])
        environ = {"MMBOT_BYBIT_API_KEY": said["api_key"], "MMBOT_BYBIT_API_SECRET": said["api_secret"]}
        wired = wire(Mode.PAPER, read, environ)
        assert isinstance(wired, Trading)
        wiring = Tapped(mode=wired.mode, session=wired.session, credentials=wired.credentials)
        reader = Reader()
        ended = await trade(read, wiring, reader, stop=asyncio.Event(), duration_s=seconds, parent=Path(folder))
        assert ended.failure is None, ended.failure
        return reader.latencies


async def theirs(frames: list[bytes]) -> list[int]:
    """What ccxt.pro spends on each frame."""
    return timed(peer(), frames)


def quantile(values: list[int], percent: int) -> float:
    """Nearest rank, in µs."""
    ordered = sorted(values)
    return round(ordered[-(-len(ordered) * percent // 100) - 1] / 1e3, 1)


def main() -> None:
    """Every case, then the peer on the same frames."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    gc.freeze()
    ours: dict[str, float] = {}
    for case in CASES:
        for stage, spread in uvloop.run(run(case, seconds)).items():
            row = {"case": case, "stage": stage, "count": spread.count}
            print(json.dumps(row | {"p50": round(spread.p50 / 1e3, 1), "p99": round(spread.p99 / 1e3, 1)}), flush=True)
            ours[f"{case} {stage}"] = spread.p50 / 1e3
    spent = uvloop.run(theirs(Tapped.frames))
    p50, p99 = quantile(spent, 50), quantile(spent, 99)
    print(json.dumps({"case": "ccxt.pro", "stage": "decode and book", "count": len(spent), "p50": p50, "p99": p99}))
    print(json.dumps({"ratio": "busy wire to wire / ccxt.pro", "p50": round(ours["busy wire_to_wire"] / p50, 2)}))


if __name__ == "__main__":
    main()
