"""A bot that runs out of memory: killed by the system, or refused more. No order stays, and the next run goes on."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from exchange_server import Exchange, running
from watched_run import WatchedRun, until, watched

pytestmark = pytest.mark.slow
LEAKY = '''
"""A maker that leaks, once it is told to."""

from pathlib import Path

from mmbot.strategies.join_touch import JoinTouch, JoinTouchConfig


class Leaky(JoinTouch):
    """Keeps eight MiB more at every look, as long as the file is there."""

    def __init__(self, config: JoinTouchConfig) -> None:
        super().__init__(config)
        self.kept = []

    def decide(self, view):
        if Path("{leak}").exists():
            self.kept.append(bytearray(b"x") * (8 << 20))
        return super().decide(view)
'''
MORE_BYTES = 64 << 20
"""What it may still take."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all of them."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.fixture
def run(exchange: Exchange, tmp_path: Path) -> Iterator[WatchedRun]:
    """A run of a strategy that leaks."""
    account = exchange.new_account(tier="pro3")
    keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    strategy = tmp_path / "leaky.py"
    strategy.write_text(LEAKY.format(leak=tmp_path / "leak"))
    with watched(exchange, tmp_path, keys) as ready:
        ready.account = account
        ready.config.write_text(ready.config.read_text().replace("join_touch", f"{strategy}:Leaky"))
        yield ready


@contextmanager
def confined(pid: int, more_bytes: int) -> Iterator[Path]:
    """A control group in which a process may take so much more memory; skips where there is none to be had."""
    first = Path("/sys/fs/cgroup/memory")
    place, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (Path("/sys/fs/cgroup"), "memory.max")
    group = place / f"mmbot-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"a memory limit needs a control group of its own: {error}")
    try:
        try:
            (group / limit).write_text(str(more_bytes))
            (group / "cgroup.procs").write_text(str(pid))  # what it has is charged elsewhere; what it takes now, here
        except OSError as error:
            pytest.skip(f"a memory limit needs a control group of its own: {error}")
        yield group
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            (place / "cgroup.procs").write_text(left)
        group.rmdir()


def kills_in(group: Path) -> int:
    """How many processes of the group the system killed for their memory."""
    told = group / "memory.oom_control"
    words = (told if told.exists() else group / "memory.events").read_text().split()
    return int(words[words.index("oom_kill") + 1])


def quotes_again(run: WatchedRun) -> None:
    """No order is left of the run before, and the next one takes over and trades."""
    until(lambda: run.open_orders() == 0, 10, "no order at the venue")
    (run.folder / "leak").unlink()
    run.quoting().terminate()
    assert run.processes[-1].wait(30) == 0
    assert run.open_orders() == 0


@pytest.mark.timeout(120)
def test_a_bot_that_the_system_kills_for_its_memory_leaves_no_order(run: WatchedRun):
    """The kernel's out-of-memory killer in a control group: as a kill -9, at a moment that nobody chose."""
    engine = run.quoting()
    with confined(engine.pid, MORE_BYTES) as group:
        (run.folder / "leak").touch()
        assert engine.wait(40) == -signal.SIGKILL
        assert kills_in(group) == 1
    until(lambda: bool(run.guardian.events("zero")), 20, "zero verified")
    quotes_again(run)


@pytest.mark.timeout(120)
def test_a_bot_that_gets_no_more_memory_takes_its_orders_out(run: WatchedRun):
    """Refused by the system (RLIMIT_AS): the strategy's MemoryError ends the run, in order, and it says so.

    What comes after needs more memory than there is: the report may be missing, which the journal is not.
    """
    engine = run.quoting()
    pages = int(Path(f"/proc/{engine.pid}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE_BYTES
    resource.prlimit(engine.pid, resource.RLIMIT_AS, (limit, limit))
    (run.folder / "leak").touch()
    assert engine.wait(60) != 0
    [failed] = run.told.events("failed")
    assert "MemoryError" in failed["why"]
    assert [event["open_orders"] for event in run.told.events("left")] == [0]
    quotes_again(run)
