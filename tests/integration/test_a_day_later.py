"""A bot that died a day ago with a create of which nobody heard: what the venue has forgotten is not proven away."""

from pathlib import Path

import pytest
from exchange_server import running
from killed_run import Rig
from watched_run import until

DAY_LATER_MS = 25 * 3_600_000


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("later_ms", [0, DAY_LATER_MS], ids=["at once", "a day later"])
def test_what_the_venue_has_forgotten_is_for_a_person(later_ms: int, tmp_path: Path):
    """Taken in, cancelled by somebody else, and a restart of the venue since. At once it is found in the history; after
    a day it is in no list, and the run freezes and asks for a person instead of calling it never placed.
    """
    with running(tmp_path / "log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
        rig = Rig(exchange, tmp_path)
        with rig.bot() as bot:
            bot.until("fill")
            for where, what in (("trade:order.create", "silence"), ("private:order*", "drop")):
                executed = {"executed": True} if what == "silence" else {}
                exchange.admin("POST", "faults", where=where, what=what, count=None, uid=rig.account.uid, **executed)
            told = {event["correlation_id"] for event in bot.events if event["event"] == "request"}
            until(lambda: bool(set(rig.open_orders()) - told), 20, "an order of which nothing is heard")
            unheard = set(rig.open_orders()) - told
            bot.kill()
        exchange.admin("DELETE", "faults")
        exchange.answer(rig.account, "POST", "/v5/order/cancel-all", category="linear", symbol="BTCUSDT")
        asked = {"category": "linear", "symbol": "BTCUSDT", "limit": 50}
        taken = {
            row["orderLinkId"] for row in exchange.answer(rig.account, "GET", "/v5/order/history", **asked)["list"]
        }
        assert unheard <= taken
        exchange.admin("POST", "restart")
        until(lambda: exchange.truth(rig.account)["open"] == [], 10, "no order at the venue")
        exchange.admin("POST", "clock", skew_ms=later_ms)
        with rig.bot() as bot:
            if later_ms:
                doubt = bot.until("in doubt")
                while doubt["correlation_id"] not in unheard or "EXPIRED_UNPROVEN" not in doubt["why"]:
                    doubt = bot.until("in doubt")
            else:
                bot.until("quoting")
            never = {event["correlation_id"] for event in bot.events if event["event"] == "never placed"}
            assert never & taken == set()  # what was written down and not sent before the kill never was
            bot.kill()
