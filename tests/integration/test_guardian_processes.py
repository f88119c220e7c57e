"""Engine, guardian and exchange as real processes: whoever is killed, stopped or cut off, no order stays."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_server import Exchange, running
from watched_run import WatchedRun, until, watched

from mmbot import _core
from mmbot.guardian.anchors import read_anchors
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.journal_check import check_journal
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all of them."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.fixture
def run(exchange: Exchange, tmp_path: Path) -> Iterator[WatchedRun]:
    """A run on an account of its own."""
    account = exchange.new_account(tier="pro3")
    keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    with watched(exchange, tmp_path, keys) as ready:
        ready.account = account
        yield ready


@pytest.mark.timeout(90)
def test_a_killed_engine_leaves_no_order(run: WatchedRun):
    """SIGKILL: the guardian lives on, cancels everything, verifies zero, and a new run takes over."""
    engine = run.quoting()
    guardian = run.guardian_pid
    engine.kill()
    engine.wait()
    until(lambda: run.open_orders() == 0, 5, "no order at the venue")
    until(lambda: bool(run.guardian.events("zero")), 12, "zero verified")
    assert run.lives(guardian)
    [alarm] = [event for event in run.guardian.events("alarm") if event["cause"] == "engine"]
    assert "dead" in alarm["why"]
    run.quoting()
    assert run.guardian_pid == guardian
    assert run.guardian.events("taken over")


@pytest.mark.timeout(90)
def test_the_latch_is_heeded_while_the_engine_is_stopped(run: WatchedRun):
    """A kill that a person latches on disk, the engine under SIGSTOP: the guardian cancels before silence would."""
    engine = run.quoting()
    latch = FreezeLatch(AccountState.at(run.state), time.time_ns)
    engine.send_signal(signal.SIGSTOP)
    latch.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "operator", "by hand", time.time_ns()))
    until(lambda: bool(run.guardian.events("alarm")), 5, "the guardian acts")
    assert run.guardian.events("alarm")[0]["cause"] == "latch"
    until(lambda: run.open_orders() == 0, 5, "no order at the venue")


@pytest.mark.timeout(90)
def test_every_anchor_vouches_for_the_journal(run: WatchedRun):
    """After a kill the journal's own reader finds each anchor in it: none is ahead, none has another chain."""
    engine = run.quoting()
    until(lambda: (run.state / "anchors.jsonl").stat().st_size > 600, 10, "anchors")
    engine.kill()
    engine.wait()
    until(lambda: bool(run.guardian.events("alarm")), 5, "the guardian acts")
    anchors = list(read_anchors(run.state / "anchors.jsonl"))
    reader = _core.JournalReader(run.runs / anchors[-1].journal, [(anchor.seq, anchor.chain) for anchor in anchors])
    assert sum(1 for _ in reader) >= anchors[-1].seq == reader.vouched
    checked = check_journal((run.runs / anchors[-1].journal).parent)
    assert (checked.fault, checked.anchors_file) == (None, str(run.state / "anchors.jsonl"))


@pytest.mark.timeout(90)
def test_a_stopped_engine_has_no_order_after_four_seconds(run: WatchedRun):
    """SIGSTOP: three seconds of silence, then zero; and when it wakes up it is told, and trades no more."""
    engine = run.quoting()
    engine.send_signal(signal.SIGSTOP)
    # Not the orders alone: it may have been stopped between two quotes, and would wake up before anybody missed it.
    until(lambda: bool(run.guardian.events("alarm")), 4, "the guardian acts")
    until(lambda: run.open_orders() == 0, 1, "no order at the venue")
    engine.send_signal(signal.SIGCONT)
    until(lambda: "guardian_acting" in [event["control"] for event in run.told.events("freeze")], 5, "it is told")
    until(lambda: run.open_orders() == 0, 5, "no order at the venue, still")
    engine.terminate()
    engine.wait(30)
    assert run.open_orders() == 0


@pytest.mark.timeout(90)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_engine_without_a_guardian_freezes(run: WatchedRun, how: signal.Signals):
    """A guardian that is killed or hangs: after five seconds the engine stops trading and cancels."""
    engine = run.quoting()
    os.kill(run.guardian_pid, how)
    until(lambda: "guardian_lost" in [event["control"] for event in run.told.events("freeze")], 6.5, "it freezes")
    until(lambda: run.open_orders() == 0, 5, "no order at the venue")
    engine.terminate()
    engine.wait(30)
    assert run.open_orders() == 0


@pytest.mark.timeout(90)
def test_a_clean_end_ends_the_watch_without_an_alarm(run: WatchedRun):
    """SIGTERM: the run leaves in order, says goodbye, and its guardian ends by itself."""
    engine = run.quoting()
    guardian = run.guardian_pid
    engine.terminate()
    assert engine.wait(30) == 0
    until(lambda: not run.lives(guardian), 5, "the guardian's end")
    assert run.guardian.events("alarm") == []
    assert run.guardian.events("ended")[-1]["clean"] is True
