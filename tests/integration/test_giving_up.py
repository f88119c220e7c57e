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
    env = {**os.environ, "TMPDIR": str(rig.folder), "COLUMNS": "300"}
    ran = subprocess.run(
        [sys.executable, "-m", "mmbot", *words], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_an_order_that_the_exchange_has_forgotten_takes_a_persons_word(tmp_path: Path) -> None:
    """A person cancels the order of a dead run by hand, and a day goes by: no list of the exchange knows it any more,
    so nobody can prove what became of it, and it counts. One enrolled person signs; a stranger's key does nothing. It
    is in the journal, with name and reason, and the next run takes over without it.
    """
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "1") as exchange:
        rig = Rig(exchange, tmp_path)
        killed_with_orders(rig, 1)
        runs = ("--runs", str(rig.runs))
        keys = [tmp_path / "mine.pem", tmp_path / "strangers.pem"]
        public = [command(rig, "keys", "new", str(key))[1].strip() for key in keys]
        enrol = command(rig, "keys", "enrol", public[0], "--identity", "ann", "--device", "laptop", *runs)
        assert enrol[0] == 0, enrol
        names = list(rig.open_orders())
        for name in names:
            body = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": name}
            exchange.answer(rig.account, "POST", "/v5/order/cancel", **body)
        exchange.admin("POST", "clock", skew_ms=HOURS_25_MS)
        exchange.admin("POST", "restart")
        with rig.bot() as bot:
            bot.until("reconcile")
            order = bot.until("in doubt")["correlation_id"]
            assert order in names
            words = ("give-up", order, "--reason", "statement of the 28th: cancelled", *runs)
            code, said = command(rig, *words, "--sign", str(keys[1]))
            assert (code, "not_enrolled" in said) == (1, True), said
            code, said = command(rig, *words, "--sign", str(keys[0]))
            assert (code, "given up by ann" in said) == (0, True), said
            assert bot.until("given up")["correlation_id"] == order
            code, said = command(rig, *words, "--sign", str(keys[0]))
            assert (code, "not_in_doubt" in said) == (1, True), said
            bot.kill()
        kinds = [fields for _, _, _, fields in _core.JournalReader(rig.newest())]
        assert any(fields.get("event") == "expired_unproven" for fields in kinds)
        assert any(fields.get("topic") == "given up" and "ann" in fields["text"] for fields in kinds)
        number = next(row[0] for row in rig.booked().gone if row[8] == "expired_unproven")
        assert number not in [row[0] for row in rig.booked().orders]
