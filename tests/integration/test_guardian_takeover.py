"""A run that dies beside its guardian, again and again: the next one takes over from both, and trades at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_server import SYMBOL, running
from watched_run import WatchedRun, until, watched

from mmbot import _core
from mmbot.ops.account_state import AccountState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
USED_TWICE = 110072


@pytest.fixture
def run(tmp_path: Path) -> Iterator[WatchedRun]:
    """A run on an exchange of its own."""
    with running(tmp_path / "exchange.log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
        account = exchange.new_account(tier="pro3")
        keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
        with watched(exchange, tmp_path, keys) as ready:
            ready.account = account
            yield ready


def not_a_loop(run: WatchedRun) -> None:
    """Let none of this count as a crash loop, which freezes at the fifth recovery and is another test's."""
    (run.state / "recoveries").unlink(missing_ok=True)


def far(run: WatchedRun, name: str) -> dict:
    """Ask for an order that nobody will take soon, under a name; the exchange's answer."""
    [ticker] = run.exchange.get("/v5/market/tickers", category="linear", symbol=SYMBOL)["result"]["list"]
    order = {"category": "linear", "symbol": SYMBOL, "side": "Buy", "orderType": "Limit", "qty": "0.001"}
    price = f"{float(ticker['bid1Price']) * 0.97:.1f}"
    return run.exchange.signed(run.account, "POST", "/v5/order/create", **order, price=price, orderLinkId=name)


def is_known(run: WatchedRun, name: str) -> bool:
    """Whether the exchange ever took in an order of that name: a name is used once, for ever."""
    code = far(run, name)["retCode"]
    assert code in (0, USED_TWICE)
    return code == USED_TWICE


def test_five_killed_runs_are_taken_over_while_the_guardian_lives_on(run: WatchedRun):
    """Each next run trades within 30 s, and is not frozen because the guardian acts; one dies in its recovery. What was
    declared never placed the exchange has never heard of, though the guardian had cancelled everything.
    """
    never = set[str]()
    run.quoting().kill()
    guardian = run.guardian_pid
    for number in range(5):
        run.processes[-1].wait()
        not_a_loop(run)
        if number == 2:
            dying = run.start()
            until(lambda: bool(run.told.events("recovering")), 30, "a recovery", every=0.005)
            dying.kill()
            dying.wait()
        began = time.monotonic()
        engine = run.quoting()
        assert time.monotonic() - began < 30
        assert [event for event in run.told.events("freeze") if event["control"].startswith("guardian")] == []
        assert run.guardian_pid == guardian
        never |= {event["correlation_id"] for event in run.told.events("never placed")}
        if number < 4:
            engine.kill()
    engine.terminate()
    assert engine.wait(40) == 0
    assert run.open_orders() == 0
    newest = AccountState.at(run.state).newest_run()
    assert newest is not None
    booked = _core.recover(newest / "journal.mmj")
    held = run.exchange.truth(run.account)["positions"].get(f"linear:{SYMBOL}", {"lots": 0})
    assert booked.positions[0] == held["lots"]
    assert [name for name in never if is_known(run, name)] == []
