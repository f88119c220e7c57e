"""kill -9 at chosen system calls of a real bot and of the bots that recover from it, judged by the exchange.

    python tests/integration/kill_matrix.py --points 500 --parallel 4 --out points.jsonl

A point is (system call, how many of it): strace kills the bot as it enters that call, so a record is not yet written,
a sync not yet done, an order not yet sent. The calls are those of place, ack, fill and book: `write` (journal, tape,
event loop), `fdatasync` and `fsync` (journal, epoch, latch), `rename` (epoch, pointers), `sendto` (orders), `recvfrom`
and `read` (answers, fills), `epoll_pwait` (between any two steps).

Points come in chains on one account: a fresh bot is killed at the first, the bot that takes over at the second, while
it recovers or later, and so on; then one is left alone, has 30 s to compare itself with the exchange and to quote, and
is asked to stop. After every kill each order at the exchange has to be in a journal (intent first) and no execution
may be there twice; at the end position, open orders and cash have to be the exchange's. A bot that says that it
is frozen and names what differs is counted apart. Half of the chains have a guardian, which cancels what a dead bot
left, and must be gone at the end. Everything is on loopback; each chain has an account of its own.
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
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from exchange_server import Exchange, running
from killed_run import Bot, Rig

from mmbot import _core
from mmbot.execution import ClientIds

CALLS = {
    "write": (1, 170),
    "fdatasync": (1, 28),
    "fsync": (1, 22),
    "rename": (1, 8),
    "sendto": (1, 30),
    "recvfrom": (1, 180),
    "read": (2_200, 2_480),
    "epoll_pwait": (1, 600),
}
"""System calls at which a bot is killed, and the first and last of them; before the first it only loads its program."""
CHAIN = 4
"""Kills on one account before a bot is left alone: the fifth recovery within ten minutes freezes, as it shall."""
RUN_S, RECOVERING_S = 12.0, 22.0
"""A bot that did not come to its point by then is killed where it is; one that recovers needs longer."""
RECOVER_S, GONE_S = 30.0, 8.0
CASH = Decimal(10) ** 12


@dataclass
class Point:
    """Where a bot was killed, and what came of it."""

    call: str
    number: int
    recovering: bool = False
    """The bot had taken over an earlier one's journal."""
    guardian: bool = False
    chain: int = 0
    reached: bool = False
    """It died at that very call; otherwise by a kill in time, somewhere else."""
    quoted: bool = False
    orders: int = 0
    fills: int = 0
    left_open: int = 0
    """Orders that it left at the exchange."""
    recovered_s: float = 0.0
    frozen: str = ""
    """What the bot said instead of quoting, after the last kill of the chain."""
    failed: str = ""

    @property
    def name(self) -> tuple[str, int, bool, bool]:
        """What makes it a point of its own."""
        return self.call, self.number, self.recovering, self.guardian


def traced(call: str, inject: str, log: Path) -> tuple[str, ...]:
    """What to put before a command: strace on the bot alone, not on the guardian that it starts."""
    return ("strace", "-qq", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:{inject}")


def try_chain(exchange: Exchange, folder: Path, chain: list[Point]) -> None:
    """Kill a bot, and those that recover from it, there; let one recover; compare. What is wrong is in `failed`."""
    rig = Rig(exchange, folder)
    if chain[0].guardian:
        rig.config.write_text(rig.config.read_text().replace("guardian = false\n", ""), encoding="utf-8")
    try:
        for point in chain:
            _killed(rig, folder / f"{point.call}-{point.number}.log", point)
            if point.failed:
                return
        _recovered(rig, chain[-1])
    finally:
        left = guardians(rig)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    if left and not chain[-1].failed and not chain[-1].frozen:
        chain[-1].failed = f"guardians {left} live on"


def _killed(rig: Rig, log: Path, point: Point) -> None:
    with rig.bot(prefix=traced(point.call, f"signal=KILL:when={point.number}", log)) as bot:
        try:
            code = bot.process.wait(RECOVERING_S if point.recovering else RUN_S)
            point.reached = "killed by SIGKILL" in log.read_text(errors="replace")
            if not point.reached:
                complaints = (rig.folder / "bot.err").read_text(errors="replace")[-500:]
                point.failed = f"it ended by itself, with {code}: {complaints}"
        except subprocess.TimeoutExpired:
            kill_below(bot.process.pid)
            bot.process.wait(5)
        said = everything(bot)
    log.unlink(missing_ok=True)
    point.orders = sum(event["event"] == "request" and event["request"] == "place" for event in said)
    point.fills = sum(event["event"] == "fill" for event in said)
    point.quoted = any(event["event"] == "quoting" for event in said)
    left = rig.open_orders()
    point.left_open = len(left)
    unknown = set(left) - intended(rig)
    if unknown:
        point.failed += f"orders that no journal has: {sorted(unknown)}"
    point.failed = point.failed or twice(rig)


def _recovered(rig: Rig, point: Point) -> None:
    began = time.monotonic()
    with rig.bot() as again:
        try:
            again.until("quoting", seconds=RECOVER_S)
        except AssertionError as error:
            point.frozen, point.failed = _why(again, error)
        point.recovered_s = round(time.monotonic() - began, 2)
        code = again.end(25)
    if code != 0 and not point.frozen:
        complaints = (rig.folder / "bot.err").read_text(errors="replace")[-500:]
        point.failed = point.failed or f"the restarted bot ended with {code}: {complaints}"
    point.failed = point.failed or differs(rig, frozen=bool(point.frozen))
    deadline = time.monotonic() + GONE_S
    while point.guardian and not point.frozen and guardians(rig) and time.monotonic() < deadline:
        time.sleep(0.1)


def _why(bot: Bot, error: AssertionError) -> tuple[str, str]:
    """What a bot that does not quote said: that it is frozen, or else what is missing."""
    asked = [event for event in bot.events if event["event"] in ("freeze asked", "freeze")]
    return (json.dumps(asked[-1])[:300], "") if asked else ("", str(error)[:900])


def differs(rig: Rig, *, frozen: bool = False) -> str:
    """What a bot that has ended left behind or books otherwise than the exchange; "" where all is equal."""
    left = rig.open_orders()
    if left:
        return f"orders are left: {left}"
    if frozen:
        return twice(rig)
    booked, truth = rig.booked(), rig.exchange.truth(rig.account)
    if Decimal(booked.positions[0]) / 1000 != rig.position():
        return f"position {booked.positions[0]} is {rig.position()} at the exchange"
    paid = sum(
        (-1 if row["side"] == "Buy" else 1) * Decimal(row["execValue"]) - Decimal(row["execFee"])
        for row in truth["executions"]
    )
    if Decimal(booked.cash_units[0]) / CASH != paid:
        return f"cash {Decimal(booked.cash_units[0]) / CASH} is {paid} by the executions at the exchange"
    return twice(rig)


def twice(rig: Rig) -> str:
    """Executions that the exchange has twice under one id; "" without any."""
    found = [name for name, times in Counter(rig.executions()).items() if times > 1]
    return f"executions twice: {found}" if found else ""


def intended(rig: Rig) -> set[str]:
    """Names of every order that any journal of this account speaks of, sent or only meant."""
    names: set[str] = set()
    for journal in sorted(rig.runs.glob("*/journal.mmj")):
        with suppress(_core.JournalFault):  # torn before its first whole entry: nothing was sent by it
            if next(_core.JournalReader(journal), None) is None:
                continue
            recovered = _core.recover(journal)
            names |= {row[1] for row in recovered.orders}
            start = json.loads(recovered.start)
            names |= {_name(start, number) for number in range(recovered.orders_named + 1)}
    return names


def _name(start: dict[str, Any], number: int) -> str:
    ids = start["client_ids"]
    return ClientIds(env=ids["env"], epoch_s=start["epoch_s"], strategy=ids["strategy"]).name(number)


def guardians(rig: Rig) -> list[int]:
    """Processes that are guardians of this account."""
    found = []
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            said = words.read_bytes()
            if b"\0guardian\0" in said and str(rig.config).encode() in said:
                found.append(int(words.parent.name))
    return found


def everything(bot: Bot) -> list[dict[str, Any]]:
    """Everything that a dead bot told."""
    with suppress(AssertionError):
        bot.until("no such event", seconds=2)
    return bot.events


def kill_below(pid: int) -> None:
    """End what strace runs, and with it strace."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def points(count: int, seed: int) -> list[list[Point]]:
    """Chains of distinct points, spread over the calls; what is early more often than what is later."""
    rng, chosen, chains = random.Random(seed), set(), []
    while sum(map(len, chains)) < count:
        guarded, chain = len(chains) % 2 == 1, []
        while len(chain) < CHAIN:
            call, (first, last) = rng.choice(sorted(CALLS.items()))
            number = first + int((last - first + 1) * rng.random() ** (2 if chain else 1.3))
            point = Point(call, number, recovering=bool(chain), guardian=guarded, chain=len(chains))
            if point.name not in chosen:
                chosen.add(point.name)
                chain.append(point)
        chains.append(chain)
    return chains


def main() -> int:
    """Try many points; print one JSON line for each that failed or froze, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="every point, as JSON lines")
    parser.add_argument("--keep", type=Path, help="where the folders of failed chains go; otherwise none is kept")
    given = parser.parse_args()
    waiting, lock = points(given.points, given.seed)[::-1], threading.Lock()
    done: list[Point] = []
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmbot-kill-")))
        exchange = stack.enter_context(running(top / "exchange.log", "--market", "calm", "--seed", str(given.seed)))

        def work() -> None:
            while True:
                with lock:
                    if not waiting:
                        return
                    chain = waiting.pop()
                folder = top / f"chain-{chain[0].chain}"
                folder.mkdir()
                try:
                    try_chain(exchange, folder, chain)
                except Exception:  # noqa: BLE001  the chain failed, the matrix goes on
                    chain[-1].failed = traceback.format_exc(limit=3)
                with lock:
                    done.extend(chain)
                    _report(chain, len(done), given.points, given.out)
                if given.keep and any(point.failed or point.frozen for point in chain):
                    shutil.copytree(folder, given.keep / f"{given.seed}-{chain[0].chain}", ignore=_no_sockets)
                shutil.rmtree(folder, ignore_errors=True)

        workers = [threading.Thread(target=work) for _ in range(given.parallel)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return _summary(done)


def _no_sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def _report(chain: list[Point], number: int, count: int, out: Path | None) -> None:
    for point in chain:
        line = json.dumps(asdict(point))
        if out is not None:
            with out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        if point.failed or point.frozen:
            sys.stdout.write(f"{number}/{count} {line}\n")
            sys.stdout.flush()


def _summary(done: list[Point]) -> int:
    reached = list({point.name: point for point in done if point.reached}.values())
    sys.stdout.write("| killed as it enters | points | recovering | beside a guardian | after orders | left orders |\n")
    for call in sorted(CALLS):
        sys.stdout.write(_row(f"`{call}`", [point for point in reached if point.call == call]))
    sys.stdout.write(_row("all", reached))
    failed, frozen = sum(bool(point.failed) for point in done), sum(bool(point.frozen) for point in done)
    took = sorted(point.recovered_s for point in done if point.recovered_s and not point.frozen)
    again = (
        f"{len(took)} restarts quote again, p50 {took[len(took) // 2]} s, max {took[-1]} s" if took else "no restart"
    )
    sys.stdout.write(
        f"{len(done)} kills, {len(reached)} distinct points reached, {frozen} frozen, {failed} failed; {again}\n"
    )
    sys.stdout.write(f"KILL_MATRIX_RESULT={'FAIL' if failed else 'OK'}\n")
    return 1 if failed else 0


def _row(name: str, reached: list[Point]) -> str:
    counted = (
        len(reached),
        sum(point.recovering for point in reached),
        sum(point.guardian for point in reached),
        sum(point.orders > 0 for point in reached),
        sum(point.left_open > 0 for point in reached),
    )
    return f"| {name} | {' | '.join(map(str, counted))} |\n"


if __name__ == "__main__":
    sys.exit(main())
