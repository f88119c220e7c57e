"""Two machines' runs of one account, a lease in PostgreSQL between them, and people who stop them."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from exchange_server import running
from watched_run import WatchedRun, until, watched

from mmbot.ops.chaos.rigs import postgres, why_no_postgres

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres())]

LEADER = """
[session.leader]
kind = "postgres"
ttl_s = 3
renew_s = 0.5
"""


def mmbot(run: WatchedRun, *words: str) -> str:
    """Run a command on the machine of a run; what it said."""
    command = [sys.executable, "-m", "mmbot", *words, "--runs", str(run.runs)]
    done = subprocess.run(command, env=run.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(120)
def test_a_freeze_crosses_to_the_leader_and_a_kill_to_whoever_takes_over(tmp_path: Path):
    """From the machine that stands by the leader is frozen; killed there, the other one leads and begins nothing."""

    async def story() -> None:
        async with postgres() as rig:
            folders = [tmp_path / "one", tmp_path / "two"]
            for folder in folders:
                folder.mkdir()
            with running(tmp_path / "log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
                account = exchange.new_account(tier="pro3")
                environ = {
                    "MMBOT_BYBIT_API_KEY": account.key,
                    "MMBOT_BYBIT_API_SECRET": account.secret,
                    "MMBOT_LEASE_DSN": rig.dsn,
                }
                with watched(exchange, folders[0], environ) as a, watched(exchange, folders[1], environ) as b:
                    for one in (a, b):
                        one.account = account
                        one.config.write_text(one.config.read_text() + LEADER)
                    first = a.quoting()
                    second = b.start()
                    until(lambda: bool(b.told.events("standby")), 20, "the other run stands by")
                    said = mmbot(b, "freeze", "--level", "NO_NEW", "--reason", "seen from there")
                    assert "the fleet's leader was asked" in said
                    until(lambda: any(one["why"] == "seen from there" for one in a.told.events("freeze")), 10, "frozen")
                    until(lambda: a.open_orders() == 0, 10, "no quote is left")
                    assert first.poll() is None
                    assert "zero open orders, verified" in mmbot(a, "kill", "--reason", "the end")
                    until(lambda: second.poll() is not None, 30, "the other run's end")
                    assert b.told.events("leading")
                    assert "was killed (the end)" in b.told.path.read_text()
                    assert not b.told.events("request")
                    assert a.open_orders() == 0

    asyncio.run(story())
