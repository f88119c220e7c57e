"""kill -9 of a bot that quotes with a position, and its restart, on the real exchange server."""

from pathlib import Path

import pytest
from exchange_server import running
from killed_run import Rig

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]


def test_a_killed_run_is_taken_over_and_quotes_on(tmp_path: Path) -> None:
    """Position, open orders and coins are the venue's after the restart; it trades on, and leaves nothing behind."""
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
        rig = Rig(exchange, tmp_path)
        with rig.bot() as bot:
            bot.until("fill", times=4)
            bot.kill()
        with rig.bot() as bot:
            assert bot.until("recovering")["lost"] == ""
            report = bot.until("reconcile")
            assert report["breaks"] == []
            bot.until("quoting")
            bot.until("fill", times=4)
            assert bot.end() == 0
        assert rig.open_orders() == {}
        rig.agree()
        booked = rig.booked()
        assert booked.ended


def test_a_recovery_that_is_killed_again_and_again_converges(tmp_path: Path) -> None:
    """Killed in the middle of four recoveries: the next one has the books of all; the fifth in a row stays frozen."""
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
        rig = Rig(exchange, tmp_path)
        with rig.bot() as bot:
            bot.until("fill", times=4)
            bot.kill()
        for _ in range(3):
            with rig.bot() as bot:
                bot.until("recovering")
                bot.kill()
        with rig.bot() as bot:
            bot.until("quoting")
            bot.until("fill")
            bot.kill()
        with rig.bot() as bot:
            asked = bot.until("freeze asked")
            assert (asked["control"], asked["scope"]) == ("crash_loop", f"account {rig.account.uid}")
            bot.until("reconcile")
            assert bot.end() == 0
        assert rig.open_orders() == {}
        rig.agree()
