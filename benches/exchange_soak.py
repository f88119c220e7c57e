"""The exchange simulator over hours, and its core: python -m benches.exchange_soak core | soak [--seconds 120 ...].

core  orders per second through the floor from Python, and how fast a tape plays through it
soak  an accelerated run (120 s at speed 60 are two hours of market) with three clients that read every book and print
      and check `u`, and, with --orders N, one that places and cancels N times a second; prints the server's RSS over
      time, and whether it stayed flat. Order histories grow until their bounds (docs/exchange-orders.md), so a run
      with orders is flat only after those are reached.

Prints JSON lines. Loopback only; ends by itself. Order entry over sockets is benches/exchange_orders.py.
"""

import argparse
import asyncio
import contextlib
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from mmbot import samples
from mmbot._core import Floor

ORDERS = 200_000
FLAT_PERCENT = 3.0
"""RSS of the last third may be this much above that of the middle third."""


def core() -> None:
    """Through the core, one thread."""
    tape = samples.sample("btcusdt")
    floor = Floor()
    began = time.perf_counter()
    floor.play(tape, 0, 0, 2**62)
    played = tape.events / (time.perf_counter() - began)
    bid = floor.touch()[0] or 0
    rates = {"events_played": played}
    for name, act in (
        ("rest", lambda i: floor.place(i, "buy", bid - 100 - i % 50, 5, 1)),
        ("cancel", floor.cancel),
        ("trade", lambda i: floor.place(ORDERS + i, "buy" if i % 2 else "sell", bid - 100, 5, 1 + i % 3)),
    ):
        began = time.perf_counter()
        for number in range(1, ORDERS + 1):
            act(number)
        rates[name] = ORDERS / (time.perf_counter() - began)
    print(json.dumps({"per_second": {name: round(rate) for name, rate in rates.items()}}))


@contextlib.contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """An exchange in a process of its own."""
    command = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server, json.loads(server.stdout.readline())  # type: ignore[union-attr]
        finally:
            server.terminate()
            server.wait(10)


def rss_mb(pid: int) -> float:
    """Resident set of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


class OrderClient:
    """Places and cancels a post-only order far from the market."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told
        self.answered = 0
        self.refused: dict[int, int] = {}

    async def run(self, session: aiohttp.ClientSession, rate: float) -> None:
        """So many requests per second, each after the answer to the one before; until cancelled."""
        async with session.ws_connect(f"{self.told['ws']}/v5/trade") as link:
            expires = int(time.time() * 1000) + 5_000
            proof = hmac.new(self.told["api_secret"].encode(), f"GET/realtime{expires}".encode(), hashlib.sha256)
            await link.send_json({"op": "auth", "args": [self.told["api_key"], expires, proof.hexdigest()]})
            assert json.loads((await link.receive()).data)["retCode"] == 0
            due = time.perf_counter()
            while True:
                await link.send_str(self._request(self.answered))
                code = json.loads((await link.receive()).data)["retCode"]
                self.answered += 1
                if code:
                    self.refused[code] = self.refused.get(code, 0) + 1
                due = max(due + 1 / rate, time.perf_counter())
                await asyncio.sleep(due - time.perf_counter())

    def _request(self, number: int) -> str:
        link_id = f"mm-bench-{number // 2}"
        body = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": link_id}
        if number % 2 == 0:
            body |= {"side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "61000", "timeInForce": "PostOnly"}
        return json.dumps(
            {
                "reqId": str(number),
                "header": {"X-BAPI-TIMESTAMP": int(time.time() * 1000)},
                "op": "order.cancel" if number % 2 else "order.create",
                "args": [body],
            }
        )


async def listen(session: aiohttp.ClientSession, told: dict[str, Any], topics: list[str], heard: list[int]) -> None:
    """A client that reads everything and checks that no `u` is missed."""
    last: dict[str, int] = {}
    async with session.ws_connect(f"{told['ws']}/v5/public/linear", max_msg_size=0) as link:
        await link.send_json({"op": "subscribe", "args": topics})
        async for message in link:
            said = json.loads(message.data)
            heard[0] += 1
            if said.get("type") == "delta" and said["topic"].startswith("orderbook"):
                assert said["data"]["u"] == last[said["topic"]] + 1, said["topic"]
            if said.get("topic", "").startswith("orderbook"):
                last[said["topic"]] = said["data"]["u"]


def soak(seconds: float, speed: float, every: float, rate: float) -> None:
    """Two hours in two minutes."""
    names = ("orderbook.50", "orderbook.1000", "publicTrade", "tickers", "kline.1")
    topics = [f"{name}.{symbol}" for symbol in ("BTCUSDT", "ETHUSDT") for name in names]

    async def run(pid: int, told: dict[str, Any]) -> list[float]:
        heard, sizes = [0], []
        client = OrderClient(told)
        async with aiohttp.ClientSession() as session:
            tasks = [asyncio.create_task(listen(session, told, topics, heard)) for _ in range(3)]
            if rate:
                tasks.append(asyncio.create_task(client.run(session, rate)))
            began = time.perf_counter()
            while (passed := time.perf_counter() - began) < seconds:
                ended, _ = await asyncio.wait(tasks, timeout=min(every, seconds - passed))
                for task in ended:
                    task.result()
                    raise ConnectionError("the exchange closed a connection")
                now = time.perf_counter() - began
                sizes.append(rss_mb(pid))
                row = {"s": round(now), "market_s": round(now * speed), "rss_mb": round(sizes[-1], 1)}
                print(json.dumps(row | {"messages": heard[0], "requests": client.answered}), flush=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        print(json.dumps({"refused": client.refused}))
        return sizes

    with served("--speed", f"{speed:g}") as (server, told):
        sizes = asyncio.run(run(server.pid, told))
    third = len(sizes) // 3
    middle, last = median(sizes[third : 2 * third]), median(sizes[2 * third :])
    grown = (last / middle - 1) * 100
    print(json.dumps({"median_mb": round(last, 1), "grown_percent": round(grown, 2), "flat": grown < FLAT_PERCENT}))


def main() -> None:
    """Measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["core", "soak"])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two readings")
    parser.add_argument("--orders", type=float, default=0.0, help="requests per second of the order client")
    chosen = parser.parse_args()
    if chosen.what == "core":
        core()
    else:
        soak(chosen.seconds, chosen.speed, chosen.every, chosen.orders)


if __name__ == "__main__":
    main()
