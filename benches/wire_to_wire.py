"""From a frame to the order on the socket, by stages: `python -m benches.wire_to_wire [SECONDS]`.

The whole of `mmbot run` in this process, the exchange in another, over loopback: a recorded market, a plain Python
strategy that moves its two quotes by one batch of amends with every frame. Four cases:

    quiet     the market at its own speed, some 10 frames a second: every cache is cold when one comes
    busy      20 times as fast, published every millisecond; the journal is written before orders leave (`system`)
    durable   as busy, and the journal is on the disk before they leave (`batch`: one fdatasync)
    warm      the frames of busy again, by a loop that never sleeps: what the code costs, without waking the machine

The peer is ccxt.pro, in the same run and on the same frames, from text to its own order book, and nothing else: `live`,
connected to the exchange of busy, and `warm`, the frames of busy one after the other.

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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ccxt.pro
import uvloop
from ccxt.async_support.base.ws.client import Client

from benches.bybit_frames import peer, timed
from mmbot.config import BacktestConfig
from mmbot.ops.trade import trade
from mmbot.runtime.board import Board
from mmbot.runtime.ended import Ended
from mmbot.runtime.latency import Spread
from mmbot.strategy import Strategy, View, Wake, quotes
from mmbot.venues.bybit.public import BybitPublic
from mmbot.venues.port import Clock, LinkEvent, PublicFeed, PublicSink
from mmbot.wiring import Mode, Trading, wire


class Mover(Strategy):
    """Quotes behind the touch, to and fro by a tick, so that every frame leads to a request."""

    wake = Wake(message=True)

    def __init__(self) -> None:
        self._behind = 1

    def decide(self, view: View) -> Any:
        """Move both quotes."""
        if view.bid is None or view.ask is None:
            return None
        self._behind = 3 - self._behind
        return quotes(view.bid - self._behind, view.ask + self._behind, 5)


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

    frames: list[bytes] = []  # noqa: RUF012  of the last run

    def feed(self, endpoint: Any, subscriptions: Any, sink: PublicSink, clock: Clock) -> PublicFeed:
        """The venue's feed, with a tap."""
        self.frames.clear()
        return super().feed(endpoint, subscriptions, Tap(sink, self.frames), clock)  # type: ignore[arg-type]


class Canned:
    """The adapter's own feed, given frames that were kept, one after the other."""

    def __init__(self, feed: BybitPublic, sink: PublicSink, frames: list[bytes]) -> None:
        self._talker = feed._conversations["linear"]
        self._sink, self._frames = sink, frames
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to hand them over, from the first whole book on."""
        self._sink.on_link(LinkEvent(link="public", state="up", why="canned", conn="linear"))
        self._task = asyncio.create_task(self._play())

    async def _play(self) -> None:
        due = time.perf_counter()
        for frame in self._frames:
            self._talker.on_frame(frame)
            due += PACE_S
            while time.perf_counter() < due:  # awake, while the venue's answers are heard
                await asyncio.sleep(0)

    async def stop(self) -> None:
        """They are all handed over."""
        if self._task is not None:
            await self._task


class Warm(Tapped):
    """A wiring whose feed is canned."""

    def feed(self, endpoint: Any, subscriptions: Any, sink: PublicSink, clock: Clock) -> PublicFeed:
        """The frames that were kept."""
        return Canned(BybitPublic(endpoint, subscriptions, sink, clock), sink, list(self.frames))


class Reader:
    """Watches a run and keeps its latencies."""

    def __init__(self) -> None:
        self.board: Board | None = None
        self.latencies: dict[str, Spread] = {}
        self.refused = 0

    def told(self, event: dict[str, Any]) -> None:
        """Count what did not leave, or was not taken."""
        self.refused += event["event"] in {"refused", "held back"}

    def watch(self, board: Board) -> None:
        """Keep the board."""
        self.board = board

    def leave(self) -> None:
        """Read the latencies."""
        if self.board is not None:
            self.latencies = dict(self.board.status().latencies)

    def ended(self, ended: Ended) -> None:
        """Nothing is shown."""


CASES = {
    "quiet": (1, 20, "system", Tapped),
    "durable": (20, 1, "batch", Tapped),
    "busy": (20, 1, "system", Tapped),
    "warm": (1, 20, "system", Warm),
}
"""Speed of the market, ms between publications, when the journal is on the disk, where frames come from."""


PACE_S = 0.0025
"""Between two warm frames: each leads to two calls, and 900 a second may leave."""
ANSWERS, ANSWER_MS = ("ack_ms", "order_ms", "execution_ms"), 1
"""An order is known to rest when the next frame comes, so that it is amended and not cancelled and placed anew."""
TAPE = "sample:bybit-btcusdt"


def config(sync: str, url: str) -> BacktestConfig:
    """The run."""
    limits = {"position": "100", "order": "1", "requests_per_second": 10_000}
    return BacktestConfig.model_validate(
        {
            "instruments": [{"symbol": "BTCUSDT", "category": "linear", "limits": limits, "orders": {"amend": True}}],
            "strategy": {"name": "benches.wire_to_wire:Mover"},
            "session": {"sync": sync, "url": url, "calls_per_second": 900},
        }
    )


@contextmanager
def exchange(speed: float, every_ms: int) -> Iterator[dict[str, Any]]:
    """An exchange in a process of its own; what it says of itself."""
    words = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", "--tape", TAPE]
    words += [word for name in ANSWERS for word in ("--set", f"{name}={ANSWER_MS}")]
    words += ["--speed", str(speed), "--set", f"push_ms_50={every_ms}", "--set", f"beat_ms={min(10, every_ms)}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


async def run(case: str, seconds: float) -> dict[str, Spread]:
    """Trade for so long; the latencies."""
    speed, every_ms, sync, wires = CASES[case]
    with tempfile.TemporaryDirectory(dir=".") as folder, exchange(speed, every_ms) as said:
        read = config(sync, said["http"])
        environ = {"MMBOT_BYBIT_API_KEY": said["api_key"], "MMBOT_BYBIT_API_SECRET": said["api_secret"]}
        wired = wire(Mode.PAPER, read, environ)
        assert isinstance(wired, Trading)
        wiring = wires(mode=wired.mode, session=wired.session, credentials=wired.credentials)
        reader = Reader()
        ended = await trade(read, wiring, reader, stop=asyncio.Event(), duration_s=seconds, parent=Path(folder))
        assert ended.failure is None, ended.failure
        print(json.dumps({"case": case, "refused": reader.refused}), flush=True)
        return reader.latencies


async def theirs(frames: list[bytes]) -> list[int]:
    """What ccxt.pro spends on each frame, one after the other."""
    return timed(peer(), frames)


async def theirs_live(seconds: float) -> list[int]:
    """What ccxt.pro spends on each frame as it comes from the exchange of `busy`."""
    spent: list[int] = []
    take = Client.handle_text_or_binary_message

    def timed_take(client: Client, data: Any) -> Any:
        start = time.perf_counter_ns()
        taken = take(client, data)
        spent.append(time.perf_counter_ns() - start)
        return taken

    speed, every_ms, *_ = CASES["busy"]
    with exchange(speed, every_ms) as said:
        http, ws = said["http"], said["ws"]
        api: dict[str, Any] = {name: http for name in ("spot", "futures", "v2", "public", "private")}
        api["ws"] = {"public": {name: f"{ws}/v5/public/{name}" for name in ("spot", "linear", "inverse", "option")}}
        client = ccxt.pro.bybit({"urls": {"api": api}, "options": {"fetchMarkets": {"types": ["linear"]}}})
        Client.handle_text_or_binary_message = timed_take
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await client.watch_order_book("BTC/USDT:USDT", 50)
        except TimeoutError:
            return spent
        finally:
            Client.handle_text_or_binary_message = take
            await client.close()


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
    spent = {"warm": uvloop.run(theirs(Tapped.frames)), "live": uvloop.run(theirs_live(seconds))}
    for case, values in spent.items():
        row = {"case": f"ccxt.pro {case}", "stage": "decode and book", "count": len(values)}
        print(json.dumps(row | {"p50": quantile(values, 50), "p99": quantile(values, 99)}))
    for mine, peers in (("warm", "warm"), ("busy", "live")):
        ratio = ours[f"{mine} wire_to_wire"] / quantile(spent[peers], 50)
        print(json.dumps({"ratio": f"{mine} wire to wire / ccxt.pro {peers}", "p50": round(ratio, 2)}))


if __name__ == "__main__":
    main()
