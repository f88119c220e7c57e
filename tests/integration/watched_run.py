"""`mmbot run` with its guardian, both processes of their own, on an exchange that tests can look into."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from exchange_server import Exchange

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
calls_per_second = 1000
recon_interval_s = 5.0
settle_s = 4.0
folder = "{folder}"
"""


def until(held: Callable[[], bool], seconds: float, what: str, every: float = 0.02) -> float:
    """Wait until something holds; returns after how many seconds it did."""
    began = time.monotonic()
    while not held():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(every)
    return time.monotonic() - began


class Told:
    """What a process prints, one JSON object a line, into a file that is read anew each time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self, name: str) -> list[dict]:
        """Everything of one kind that was told."""
        lines = self.path.read_text(errors="replace").splitlines() if self.path.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event["event"] == name]


class WatchedRun:
    """One run, its guardian, and the exchange's truth about them."""

    def __init__(self, exchange: Exchange, folder: Path, environ: dict[str, str] | None = None) -> None:
        self.exchange, self.folder = exchange, folder
        self.runs = folder / "runs"
        self.config = folder / "run.toml"
        self.config.write_text(CONFIG.format(url=exchange.http, folder=self.runs))
        self.environ = {
            **os.environ,
            "MMBOT_BYBIT_API_KEY": exchange.account.key,
            "MMBOT_BYBIT_API_SECRET": exchange.account.secret,
            **(environ or {}),
        }
        self.account = exchange.account
        self.place: Callable[[], AbstractContextManager[None]] = nullcontext
        """Where its process starts; a network namespace perhaps."""
        self.count = 0
        self.processes: list[subprocess.Popen[bytes]] = []
        self.told = Told(folder / "run-1.jsonl")

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run; what it tells is in `told`."""
        self.count += 1
        self.told = Told(self.folder / f"run-{self.count}.jsonl")
        with self.told.path.open("wb") as out, self.place():
            command = [sys.executable, "-m", "mmbot", "run", str(self.config), "--json"]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=self.environ)
        self.processes.append(process)
        return process

    def quoting(self) -> subprocess.Popen[bytes]:
        """Start a run and wait until it has orders at the venue and was filled."""
        process = self.start()
        until(lambda: bool(self.told.events("fill")) or process.poll() is not None, 25, "a fill")
        assert process.poll() is None, self.told.path.read_text()[-2000:]
        until(lambda: self.open_orders() > 0, 10, "orders at the venue")
        return process

    @property
    def state(self) -> Path:
        """The folder of the account."""
        [found] = (self.runs / "accounts").iterdir()
        return found

    @property
    def guardian(self) -> Told:
        """What the guardian told."""
        return Told(self.state / "guardian.log")

    @property
    def guardian_pid(self) -> int:
        """The guardian's process, as it wrote it down."""
        return int((self.state / "guardian.pid").read_text())

    def open_orders(self) -> int:
        """How many orders of the account are open, by the exchange's own books; other accounts' are none of ours."""
        return len(self.exchange.truth(self.account)["open"])

    def lives(self, pid: int) -> bool:
        """Whether a process is there, and no zombie."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def end(self) -> None:
        """End every process that was started here."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        with suppress(OSError, ValueError):
            pid = self.guardian_pid
            if self.lives(pid):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGKILL)


@contextmanager
def watched(exchange: Exchange, folder: Path, environ: dict[str, str] | None = None) -> Iterator[WatchedRun]:
    """A folder to run in; whatever was started in it is ended with it."""
    run = WatchedRun(exchange, folder, environ)
    try:
        yield run
    finally:
        run.end()
