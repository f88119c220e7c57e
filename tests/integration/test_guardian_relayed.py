"""Engine and guardian as real processes, and somebody between them: a cut wire, and an engine that lies."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from exchange_server import Exchange, running
from guardian_relay import Relay, relayed
from watched_run import WatchedRun, until, watched

from mmbot.guardian.words import Beat, Head, Message
from mmbot.ops.account_state import AccountState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all of them."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.fixture
def run(exchange: Exchange, tmp_path: Path) -> Iterator[WatchedRun]:
    """A run on an account of its own, and a guardian that waits for it."""
    account = exchange.new_account(tier="pro3")
    keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    with watched(exchange, tmp_path, keys) as ready:
        ready.account = account
        state = AccountState.of(ready.runs, "simulator", str(account.uid))
        words = [sys.executable, "-m", "mmbot", "guardian", str(ready.config), "--json", "--stay"]
        with (state.path / "guardian.log").open("wb") as log:
            ready.processes.append(subprocess.Popen(words, stdout=log, stderr=log, env=ready.environ))
        until(lambda: bool(ready.guardian.events("listening")), 20, "the guardian listens")
        yield ready


@pytest.fixture
def relay(run: WatchedRun) -> Iterator[Relay]:
    """Somebody between them."""
    with relayed(run.state / "guardian.sock") as relay:
        yield relay


def frozen_by(run: WatchedRun) -> set[str]:
    """Which controls froze the run."""
    return {event["control"] for event in run.told.events("freeze")}


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_a_wire_that_is_cut_stops_the_trading_at_both_ends(run: WatchedRun, relay: Relay, how: str):
    """The guardian cancels after three seconds of silence, the engine freezes after five; neither waits for the other,
    and the engine ends in order.
    """
    engine = run.quoting()
    if how == "silent":
        relay.silent = True
    else:
        relay.cut()
    took = until(lambda: bool(run.guardian.events("alarm")), 10, "the guardian acts")
    assert took >= 2
    assert "said nothing for" in run.guardian.events("alarm")[0]["why"]
    until(lambda: "guardian_lost" in frozen_by(run), 10, "the engine freezes")
    until(lambda: run.open_orders() == 0, 10, "no order at the venue")
    engine.terminate()
    assert engine.wait(40) == 0
    assert run.open_orders() == 0


def test_an_engine_whose_journal_stands_still_while_it_orders_is_not_believed(run: WatchedRun, relay: Relay):
    """Its beats go on with one head, and new orders appear: the guardian cancels, and the engine hears it."""
    first: list[Head] = []

    def lie(message: Message) -> Message:
        if not isinstance(message, Beat):
            return message
        first.append(message.head)
        return msgspec.structs.replace(message, head=first[0])

    engine = run.quoting()
    relay.change = lie
    until(lambda: bool(run.guardian.events("alarm")), 30, "the guardian acts")
    assert "its journal stands still at entry" in run.guardian.events("alarm")[0]["why"]
    until(lambda: "guardian_acting" in frozen_by(run), 10, "the engine hears it")
    until(lambda: run.open_orders() == 0, 10, "no order at the venue")
    engine.terminate()
    assert engine.wait(40) == 0
    assert run.open_orders() == 0
