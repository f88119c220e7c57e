"""A bot that is killed and started again against one exchange: both in processes of their own, judged by the exchange.

    with exchange_server.running(log) as exchange:
        rig = Rig(exchange, folder)
        with rig.bot() as bot:
            bot.until("fill", times=3)
            bot.kill()                     kill -9, wherever it is
        with rig.bot() as bot:
            bot.until("quoting")
            rig.agree(bot)                 position, open orders and coins are the exchange's, or it names what differs

The harness knows nothing of where to kill: a matrix may start the bot under strace by `rig.bot(prefix=[...])`.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange_server import Account, Exchange

from mmbot import _core

UNTIL_S = 60.0
CONFIG = """
sample_ms = 200
[[instruments]]
symbol = "BTCUSDT"
category = "linear"
limits = {{ position = "1", order = "0.1" }}
[strategy]
name = "join_touch"
params = {{ order_lots = 20, cap_lots = 300 }}
[risk]  # what a busy machine, or a maker who earns nothing, would set off
guards = false
edge_freeze_threshold_bps = -99.0

[session]
url = "{url}"
folder = "{folder}"
calls_per_second = 9
recon_interval_s = 2.0
positions_s = 1.0
orders_s = 1.0
settle_s = 4.0
guardian = false
"""


@dataclass
class Bot:
    """One `mmbot run` in a process of its own, and what it told."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, name: str, *, times: int = 1, seconds: float = UNTIL_S) -> dict[str, Any]:
        """Read events until the n-th of a kind from now on; it. Raises AssertionError if it does not come.

        Several kinds are written with | between them.
        """
        deadline = time.monotonic() + seconds
        while times:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"no {name} within {seconds:g} s; last: {self.events[-12:]}") from None
            if line is None:
                raise AssertionError(f"the bot ended before {name}: {self.events[-12:]}")
            if not line.endswith("}\n"):
                continue  # cut off by a kill
            event = json.loads(line)
            self.events.append(event)
            times -= event["event"] in name.split("|")
        return self.events[-1]

    def kill(self) -> None:
        """End it as a crash does, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = UNTIL_S) -> int:
        """Ask it to stop, and wait; its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(seconds)


@dataclass
class Rig:
    """One exchange, one account on it, and the folder in which the bot's runs are."""

    exchange: Exchange
    folder: Path
    account: Account = field(init=False)

    def __post_init__(self) -> None:
        self.account = self.exchange.new_account()
        self.config = self.folder / "killed.toml"
        self.runs = self.folder / "runs"
        self.config.write_text(CONFIG.format(url=self.exchange.http, folder=self.runs), encoding="utf-8")

    @contextmanager
    def bot(self, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Bot]:
        """Start a bot; it is killed at the end, if it still runs."""
        words = [*prefix, sys.executable, "-m", "mmbot", "run", str(self.config), "--json", *options]
        env = {
            **os.environ,
            "MMBOT_BYBIT_API_KEY": self.account.key,
            "MMBOT_BYBIT_API_SECRET": self.account.secret,
        }
        with (self.folder / "bot.err").open("ab") as complaints:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints, text=True, env=env)
        try:
            yield Bot(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    # ---- the two truths

    def position(self) -> Decimal:
        """What the exchange holds for us, signed."""
        [row] = self.exchange.answer(self.account, "GET", "/v5/position/list", category="linear", symbol="BTCUSDT")[
            "list"
        ]
        size = Decimal(row["size"] or "0")
        return -size if row["side"] == "Sell" else size

    def open_orders(self) -> dict[str, Decimal]:
        """What rests there of ours, by name: quantity left."""
        asked = {"category": "linear", "symbol": "BTCUSDT", "openOnly": 0, "limit": 50}
        rows = self.exchange.answer(self.account, "GET", "/v5/order/realtime", **asked)["list"]
        return {row["orderLinkId"]: Decimal(row["leavesQty"]) for row in rows}

    def executions(self) -> list[str]:
        """Ids of every execution, newest first."""
        return [row["execId"] for row in self.exchange.truth(self.account)["executions"] if row["execType"] == "Trade"]

    def newest(self) -> Path:
        """The journal of the newest run."""
        [pointer] = self.runs.glob("accounts/*/last-run")
        return Path(pointer.read_text(encoding="utf-8").strip()) / "journal.mmj"

    def booked(self) -> _core.Recovered:
        """What the newest journal says."""
        return _core.recover(self.newest())

    def agree(self) -> None:
        """Position and open orders by the newest journal are the exchange's. For a bot that has ended."""
        booked = self.booked()
        assert Decimal(booked.positions[0]) / 1000 == self.position()
        assert not set(self.open_orders()) - {row[1] for row in booked.orders}
