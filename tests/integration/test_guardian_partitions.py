"""Run, guardian and exchange on hosts of their own: a cable is cut, or loses packets, and the promises hold."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from exchange_server import running
from namespaces import LOSSY, Network, network
from watched_run import WatchedRun, until, watched

from mmbot import _core
from mmbot.ops.account_state import AccountState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@dataclass
class Split:
    """A run, and the network that it is on; the guardian has a host of its own, and the test is on the exchange's."""

    run: WatchedRun
    net: Network

    def positions_agree(self) -> bool:
        """The newest journal's position is the exchange's."""
        newest = AccountState.at(self.run.state).newest_run()
        assert newest is not None
        held = self.run.exchange.truth(self.run.account)["positions"]["linear:BTCUSDT"]["lots"]
        return _core.recover(newest / "journal.mmj").positions[0] == held


@pytest.fixture
def split(tmp_path: Path) -> Iterator[Split]:
    """All of it, and a guardian that waits."""
    with ExitStack() as stack:
        net = stack.enter_context(network("bot", "guard"))
        stack.enter_context(net.inside(net.hub))
        options = ("--host", net.address, "--tape", "sample:btcusdt", "--speed", "5")
        exchange = stack.enter_context(running(tmp_path / "exchange.log", *options))
        account = exchange.new_account(tier="pro3")
        keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
        run = stack.enter_context(watched(exchange, tmp_path, keys))
        run.account, run.place = account, lambda: net.inside("bot")
        words = [sys.executable, "-m", "mmbot", "guardian", str(run.config), "--json", "--stay"]
        state = AccountState.of(run.runs, "simulator", str(account.uid))
        with (state.path / "guardian.log").open("wb") as log, net.inside("guard"):
            run.processes.append(subprocess.Popen(words, stdout=log, stderr=log, env=run.environ))
        until(lambda: bool(run.guardian.events("listening")), 20, "the guardian listens")
        yield Split(run, net)


def test_a_run_that_is_cut_off_from_the_exchange_has_no_order_there(split: Split):
    """The guardian still reaches the exchange, and hears of the run that it does not: everything is cancelled, and when
    the cable is whole again nothing is placed until a person lifts the freeze. The books are the exchange's then. Where
    everything was filled before the three seconds were over there is nothing to cancel, and nobody acts.
    """
    run = split.run
    engine = run.quoting()
    split.net.filter("bot", "drop")
    until(lambda: run.open_orders() == 0, 10, "no order at the venue")
    with suppress(AssertionError):
        until(lambda: bool(run.guardian.events("alarm")), 6, "the guardian acts")
    if run.guardian.events("alarm"):
        until(lambda: bool(run.guardian.events("zero")), 12, "zero verified")
    assert run.open_orders() == 0
    split.net.heal("bot")
    if run.guardian.events("alarm"):
        until(lambda: "guardian_acting" in [one["control"] for one in run.told.events("freeze")], 10, "it is told")
    until(split.positions_agree, 30, "the books are the exchange's", every=0.5)
    engine.send_signal(signal.SIGTERM)
    engine.wait(60)
    assert run.open_orders() == 0
    assert split.positions_agree()


def test_a_guardian_that_is_cut_off_stops_the_run(split: Split):
    """Nobody would cancel if the run died now: without a word of the venue for 30 s it places nothing new."""
    run = split.run
    engine = run.quoting()
    split.net.filter("guard", "drop")
    controls = lambda: [one["control"] for one in run.told.events("freeze")]  # noqa: E731
    until(lambda: "guardian_blind" in controls(), 45, "it is told")
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(60) == 0
    assert run.open_orders() == 0
    assert split.positions_agree()


def test_five_percent_of_packets_lost_both_ways_cost_no_promise(split: Split):
    """Row 10: half a minute of trading on such a cable, then it dies and is taken over on it: the books are the
    exchange's, and no order is left.
    """
    run = split.run
    split.net.filter("bot", LOSSY)
    split.net.filter("guard", LOSSY)
    engine = run.quoting()
    until(lambda: len(run.told.events("fill")) > 20, 60, "fills on a lossy cable")
    engine.kill()
    engine.wait()
    until(lambda: run.open_orders() == 0, 10, "no order at the venue")
    engine = run.quoting()
    until(lambda: len(run.told.events("fill")) > 5, 60, "fills after the takeover")
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(60) == 0
    assert run.open_orders() == 0
    assert split.positions_agree()
