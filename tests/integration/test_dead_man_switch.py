"""The venue's own dead-man switch (DCP) over real sockets: used where the account has it, and nothing relies on it."""

import os
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_server import Exchange, running
from watched_run import WatchedRun, until, watched

pytestmark = pytest.mark.slow
WINDOW_S = 10
"""What the guardian sets."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all of them."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.fixture(params=[True, False], ids=["institutional", "ordinary"])
def run(exchange: Exchange, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WatchedRun]:
    """A run on an account that may have the switch, or may not."""
    account = exchange.new_account(tier="pro3")
    exchange.admin("POST", "account", uid=account.uid, institutional=request.param)
    keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    with watched(exchange, tmp_path, keys) as ready:
        ready.account = account
        yield ready


def why_cancelled(run: WatchedRun) -> set[str]:
    """How the last orders that closed without a fill were cancelled, by the venue's history."""
    asked = {"category": "linear", "symbol": "BTCUSDT", "orderStatus": "Cancelled", "limit": 4}
    rows = run.exchange.answer(run.account, "GET", "/v5/order/history", **asked)["list"]
    return {row["cancelType"] for row in rows}


def windows(run: WatchedRun) -> dict[str, str]:
    """The windows that are set for the account."""
    rows = run.exchange.answer(run.account, "GET", "/v5/account/query-dcp-info")["dcpInfos"]
    return {row["product"]: row["timeWindow"] for row in rows}


@pytest.mark.timeout(120)
def test_the_guardian_sets_the_window_and_needs_no_switch(run: WatchedRun):
    """An engine that is killed: the guardian is first on an account that has the switch, and alone on one without."""
    engine = run.quoting()
    institutional = windows(run) == {"DERIVATIVES": str(WINDOW_S)}
    assert institutional or windows(run) == {}
    remarks = [event["why"] for event in run.guardian.events("remark")]
    assert any("dead-man switch (DERIVATIVES) is not to be had" in why for why in remarks) is not institutional
    engine.kill()
    assert until(lambda: run.open_orders() == 0, WINDOW_S - 2, "no order at the venue") < WINDOW_S - 2
    assert "CancelByDCP" not in why_cancelled(run)


def far_order(run: WatchedRun) -> str:
    """An order of the account that nobody will fill: how long it stays is the venue's and the guardian's to say."""
    book = run.exchange.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit=1)["result"]
    price = str((Decimal(book["b"][0][0]) * Decimal("0.97")).quantize(Decimal(1)))
    terms = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "timeInForce": "PostOnly"}
    return run.exchange.answer(run.account, "POST", "/v5/order/create", **terms, price=price, qty="0.001")["orderId"]


@pytest.mark.timeout(120)
def test_the_venue_cancels_when_nobody_here_can(run: WatchedRun):
    """The engine killed and the guardian stopped, its connections open: the venue's window ends it, where there is one.

    Where there is none the order stays until the guardian goes on.
    """
    engine = run.quoting()
    institutional = bool(windows(run))
    os.kill(run.guardian_pid, signal.SIGSTOP)
    engine.kill()
    order = far_order(run)

    def cancelled() -> bool:
        return run.exchange.order(run.account, order)["orderStatus"] == "Cancelled"

    if institutional:
        until(cancelled, WINDOW_S + 10, "the venue cancels", every=0.2)
        assert run.exchange.order(run.account, order)["cancelType"] == "CancelByDCP"
        return
    with pytest.raises(AssertionError, match="not within"):
        until(cancelled, WINDOW_S + 3, "nobody cancels", every=0.2)
    os.kill(run.guardian_pid, signal.SIGCONT)
    until(cancelled, 10, "the guardian cancels", every=0.2)
    assert run.exchange.order(run.account, order)["cancelType"] == "CancelByUser"
