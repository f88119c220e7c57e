"""What a machine does to a bot: a disk that fills up or refuses, a clock that jumps, a process that stands still.

Everything works on one process or one small mount of the test's own; where a machine cannot do it, the test is skipped
and says why.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from killed_run import Rig

from mmbot import _core
from mmbot.execution import ClientIds

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs of that size on a folder; skips where it may not be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "mmbot-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a small tmpfs needs the right to mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all the room that is left on a folder's disk."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            return


def strace(*words: str) -> tuple[str, ...]:
    """What to put before a command; skips where strace may not trace."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("strace is not there, or may not trace")
    return (found, "-qq", "-o", "/dev/null", *words)


def traced_bot(pid: int) -> int:
    """The process that a strace runs."""
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def faked_clock(file: Path) -> tuple[str, ...]:
    """What to put before a command whose wall clock goes by a file; skips where libfaketime is not there."""
    if not FAKETIME.exists():
        pytest.skip(f"libfaketime is not installed ({FAKETIME})")
    jump(file, 0)
    return (
        "env",
        f"LD_PRELOAD={FAKETIME}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME_NO_CACHE=1",
        f"FAKETIME_TIMESTAMP_FILE={file}",
    )


def jump(file: Path, seconds: float) -> None:
    """Set the wall clock of who goes by the file so far from the true one."""
    anew = file.with_suffix(".new")
    anew.write_text(f"{seconds:+g}\n")
    anew.replace(file)


def stand_still(pid: int, seconds: float) -> None:
    """SIGSTOP, and SIGCONT later."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


def descriptors(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def ages(rig: Rig) -> dict[str, float]:
    """How long after its decision each order came to the exchange, s: the journal's time and the exchange's."""
    decided: dict[str, int] = {}
    for journal in rig.runs.glob("*/journal.mmj"):
        recovered = _core.recover(journal)
        start = json.loads(recovered.start)
        ids = start["client_ids"]
        names = ClientIds(env=ids["env"], epoch_s=start["epoch_s"], strategy=ids["strategy"])
        for _, now, kind, fields in _core.JournalReader(journal):
            if kind == "command" and fields["command"] == "place":
                decided[names.name(fields["order_id"])] = now
    found: dict[str, float] = {}
    for row in orders(rig):
        found[row["orderLinkId"]] = int(row["createdTime"]) / 1e3 - decided[row["orderLinkId"]] / 1e9
    return found


def orders(rig: Rig) -> list[dict[str, str]]:
    """Every order of the account that the exchange ever took."""
    rows: list[dict[str, str]] = []
    cursor = ""
    while True:
        asked = {"category": "linear", "symbol": "BTCUSDT", "limit": 50, **({"cursor": cursor} if cursor else {})}
        answer = rig.exchange.answer(rig.account, "GET", "/v5/order/history", **asked)
        rows += answer["list"]
        cursor = answer["nextPageCursor"]
        if not answer["list"] or not cursor:
            return rows
