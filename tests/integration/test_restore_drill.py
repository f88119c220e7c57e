"""Row 84, the drill: the host is gone, a copy that is older than the exchange's truth is brought back elsewhere."""

import shutil
from pathlib import Path

import pytest
from exchange_server import running
from killed_run import Rig
from test_given_up_order import command

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]


def copied(rig: Rig, to: Path) -> None:
    """What a copier that runs beside has by now: no sockets, no keys."""
    shutil.copytree(rig.runs, to, ignore=shutil.ignore_patterns("*.sock", "*.key", "*.live"))


@pytest.mark.parametrize("fills_since", [0, 3])
def test_an_account_comes_back_from_an_old_copy_and_nothing_is_traded_twice(tmp_path: Path, fills_since: int) -> None:
    """After the copy the run went on: orders and executions that no journal here knows. The next run begins in
    quarantine, adopts and cancels what is open, books what was executed once, and has the exchange's position and
    coins; where an execution of an order that nobody remembers came in between, it stays frozen and says so.
    """
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "2") as exchange:
        rig = Rig(exchange, tmp_path)
        with rig.bot() as bot:
            bot.until("fill", times=2)
            copied(rig, tmp_path / "copy")
            if fills_since:
                bot.until("fill", times=fills_since)
            bot.kill()
        rig.runs.rename(tmp_path / "gone")
        [account] = [path.name for path in (tmp_path / "copy" / "accounts").iterdir()]
        words = ("journal", "restore", str(tmp_path / "copy"), "--runs", str(rig.runs), "--account", account)
        code, said = command(rig, *words)
        assert (code, "begins in quarantine" in said) == (0, True), said
        with rig.bot() as bot:
            assert "brought back from" in bot.until("recovering")["lost"]
            frozen = bot.until("quoting|freeze asked")["event"] == "freeze asked"
            if frozen:
                asked = bot.events[-1]
                assert (asked["control"], "orphan" in asked["reason"]) == ("position_moved", True)
                bot.until("reconcile")
            else:
                bot.until("fill")
            assert bot.end() == 0
        assert rig.open_orders() == {}
        rig.agree()
        coins = [event for event in bot.events if event["event"] == "reconcile" and "breaks" in event]
        assert coins[-1]["breaks"] == []
        code, said = command(rig, *words)
        assert (code, "exists: a copy is not put over" in said) == (1, True), said
