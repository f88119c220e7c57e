"""kill -9 at chosen system calls of a real bot, then a restart, judged by the exchange; several at a time.

    python tests/integration/kill_matrix.py --points 500 --parallel 3

A point is (system call, how many of it): strace kills the bot as it enters that call, so a record is not yet written,
a sync not yet done, an order not yet sent. The calls are those of place, ack, fill and book: `write` (journal, tape,
event loop), `fdatasync` (journal), `sendto` and `sendmsg` (orders), `recvfrom` and `read` (answers, fills). After the
kill the bot is started again without strace, has 30 s to compare itself with the exchange and to quote, is asked to
stop, and then position, open orders and executions have to be the exchange's. A bot that says that it is frozen and
names what differs is counted apart. Everything is on loopback; each worker has an account of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from exchange_server import Exchange, running
from killed_run import Bot, Rig

CALLS = {
    "write": 1_500,
    "fdatasync": 120,
    "sendto": 60,
    "sendmsg": 60,
    "recvfrom": 400,
    "read": 4_500,
    "epoll_pwait": 900,
}
"""System calls at which a bot is killed, and how many of them it makes in its first seconds."""
RUN_S = 14.0
"""A bot that did not come to its point by then is killed where it is."""
RECOVER_S = 30.0


@dataclass
class Point:
    """Where a bot was killed, and what came of it."""

    call: str
    number: int
    reached: bool = False
    """It died at that very call; otherwise by a kill in time, somewhere else."""
    orders: int = 0
    fills: int = 0
    recovered_s: float = 0.0
    frozen: str = ""
    """What it said instead of quoting."""
    failed: str = ""


def _strace(point: Point, log: Path) -> tuple[str, ...]:
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    return ("strace", "-f", "-qq", "-o", str(log), "-e", f"trace={point.call}", "-e", inject)


def try_point(exchange: Exchange, folder: Path, point: Point) -> None:
    """Kill a bot there, start it again, and compare; what is wrong is in `point.failed`."""
    rig = Rig(exchange, folder)
    log = folder / "strace.log"
    with rig.bot(prefix=_strace(point, log)) as bot:
        try:
            bot.process.wait(RUN_S)
            point.reached = "killed by SIGKILL" in log.read_text(errors="replace")
        except subprocess.TimeoutExpired:
            _kill_below(bot.process.pid)
            bot.process.wait(5)
        said = _said(bot)
    point.fills = sum(event["event"] == "fill" for event in said)
    point.orders = sum(event["event"] == "request" and event["request"] == "place" for event in said)
    began = time.monotonic()
    with rig.bot() as again:
        try:
            again.until("quoting", seconds=RECOVER_S)
        except AssertionError as error:
            asked = [event for event in again.events if event["event"] == "freeze asked"]
            point.frozen = json.dumps(asked[-1])[:300] if asked else ""
            point.failed = "" if asked else str(error)[:600]
        point.recovered_s = round(time.monotonic() - began, 2)
        code = again.end(20)
    if code != 0 and not point.frozen:
        point.failed = point.failed or f"the restarted bot ended with {code}: {again.events[-3:]}"
    if not point.failed:
        _compare(rig, point)


def _compare(rig: Rig, point: Point) -> None:
    left = rig.open_orders()
    twice = [name for name, times in Counter(rig.executions()).items() if times > 1]
    if left or twice:
        point.failed = f"orphans {left}, executions twice {twice}"
    elif not point.frozen:
        rig.agree()


def _said(bot: Bot) -> list[dict[str, Any]]:
    """Everything that a dead bot told."""
    while True:
        try:
            bot.until("no such event", seconds=0.5)
        except AssertionError:
            return bot.events


def _kill_below(pid: int) -> None:
    """End what strace runs, and with it strace."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def points(count: int, seed: int) -> list[Point]:
    """Distinct points, spread over the calls; the start and the first orders more often than what comes later."""
    rng, chosen = random.Random(seed), set()
    while len(chosen) < count:
        call, most = rng.choice(sorted(CALLS.items()))
        chosen.add((call, 1 + int(most * rng.random() ** 1.5)))
    ordered = sorted(chosen)
    rng.shuffle(ordered)
    return [Point(call, number) for call, number in ordered]


def main() -> int:
    """Try many points; print one JSON line for each that failed or froze, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="every point, as JSON lines")
    given = parser.parse_args()
    waiting, done, lock = points(given.points, given.seed), [], threading.Lock()
    with tempfile.TemporaryDirectory(prefix="mmbot-kill-") as top:
        exchange_log = Path(top) / "exchange.log"
        with running(exchange_log, "--market", "calm", "--seed", str(given.seed)) as exchange:

            def work(worker: int) -> None:
                while True:
                    with lock:
                        if not waiting:
                            return
                        point = waiting.pop()
                        folder = Path(top) / f"{worker}-{len(waiting)}"
                    folder.mkdir()
                    try:
                        try_point(exchange, folder, point)
                    except Exception:  # noqa: BLE001  the point failed, the matrix goes on
                        point.failed = traceback.format_exc(limit=3)
                    with lock:
                        done.append(point)
                        _report(point, len(done), given.points, given.out)
                    shutil.rmtree(folder, ignore_errors=True)

            workers = [threading.Thread(target=work, args=(number,)) for number in range(given.parallel)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    return _summary(done)


def _report(point: Point, number: int, count: int, out: Path | None) -> None:
    line = json.dumps(asdict(point))
    if out is not None:
        with out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    if point.failed or point.frozen:
        sys.stdout.write(f"{number}/{count} {line}\n")
        sys.stdout.flush()


def _summary(done: list[Point]) -> int:
    reached = [point for point in done if point.reached]
    failed = [point for point in done if point.failed]
    took = sorted(point.recovered_s for point in done if not point.failed)
    trading = sum(point.orders > 0 for point in done)
    sys.stdout.write(
        f"{len(done)} points, {len(reached)} killed at their very call ({len({(p.call, p.number) for p in reached})} "
        f"distinct), {trading} with orders out before, {sum(point.fills > 0 for point in done)} with fills; "
        f"{sum(bool(point.frozen) for point in done)} frozen, {len(failed)} failed; "
        f"quoting again after p50 {took[len(took) // 2]:.1f} s, max {took[-1]:.1f} s\n"
        f"by call: {dict(sorted(Counter(point.call for point in reached).items()))}\n"
        f"KILL_MATRIX_RESULT={'FAIL' if failed else 'OK'}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
