"""Row 36: a run that is out for more than a day, and an order that the exchange has forgotten meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from exchange_server import running
from killed_run import Rig
from test_quarantine import killed_with_orders

from mmbot import _core

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

HOURS_25_MS = 25 * 3_600_000


def command(rig: Rig, *words: str) -> tuple[int, str]:
    """Run `mmbot`; exit code and what it said."""
    env = {**os.environ, "COLUMNS": "300"}
    ran = subprocess.run(
        [sys.executable, "-m", "mmbot", *words], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    return ran.returncode, ran.stdout + ran.stderr


def forgotten_orders(rig: Rig) -> list[str]:
    """Leave orders behind, have a person cancel them, and let a day go by: their names."""
    killed_with_orders(rig, 1)
    names = list(rig.open_orders())
    for name in names:
        body = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": name}
        rig.exchange.answer(rig.account, "POST", "/v5/order/cancel", **body)
    rig.exchange.admin("POST", "clock", skew_ms=HOURS_25_MS)
    rig.exchange.admin("POST", "restart")
    return names


def key_of(rig: Rig, name: str, *, enrolled: bool) -> str:
    """A private key's file, of somebody who may sign or not."""
    path = str(rig.folder / f"{name}.pem")
    public = command(rig, "keys", "new", path)[1].strip()
    if enrolled:
        words = ("--identity", name, "--device", "laptop", "--runs", str(rig.runs))
        assert command(rig, "keys", "enrol", public, *words)[0] == 0
    return path


def test_an_order_that_the_exchange_has_forgotten_takes_a_persons_word(tmp_path: Path) -> None:
    """A person cancels the order of a dead run by hand, and a day goes by: no list of the exchange knows it any more,
    so nobody can prove what became of it, and it counts. One enrolled person signs; a stranger's key does nothing. It
    is in the journal, with name and reason, and the next run takes over without it.
    """
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "1") as exchange:
        rig = Rig(exchange, tmp_path)
        names = forgotten_orders(rig)
        mine, strangers = key_of(rig, "ann", enrolled=True), key_of(rig, "eve", enrolled=False)
        with rig.bot() as bot:
            order = bot.until("in doubt")["correlation_id"]
            assert order in names
            words = ("give-up", order, "--reason", "statement of the 28th: cancelled", "--runs", str(rig.runs))
            for key, expected in ((strangers, "not_enrolled"), (mine, "given up by ann"), (mine, "not_in_doubt")):
                said = command(rig, *words, "--sign", key)
                assert expected in said[1]
                assert said[0] == (expected != "given up by ann")
            assert bot.until("given up")["correlation_id"] == order
            bot.kill()
        told = [fields for _, _, _, fields in _core.JournalReader(rig.newest())]
        assert [fields for fields in told if fields.get("event") == "expired_unproven"]
        assert [fields for fields in told if fields.get("topic") == "given up" and "ann" in fields["text"]]
        [number] = [row[0] for row in rig.booked().gone if row[8] == "expired_unproven"]
        assert number not in [row[0] for row in rig.booked().orders]
