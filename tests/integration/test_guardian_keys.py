"""Whose key the guardian has: its own, through a pipe, also beside a gateway; and what it is good for."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from exchange_server import Account, Exchange, running
from watched_run import Told, WatchedRun, until, watched

pytestmark = pytest.mark.slow
LIMITS = """
environment = "simulator"
exposure = "1000000"
requests_per_second = 1000
requests_per_minute = 20000
folder = "runs"
[[symbol]]
category = "linear"
symbol = "BTCUSDT"
order_qty = "0.1"
order_notional = "100000"
position = "1"
collar_bps = 100
"""
APART = 'gateway = "process"\ngateway_file = "gateway.toml"\n'


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One exchange for all of them."""
    with running(tmp_path_factory.mktemp("exchange") / "log", "--tape", "sample:btcusdt", "--speed", "5") as served:
        yield served


@pytest.fixture
def run(exchange: Exchange, tmp_path: Path) -> Iterator[WatchedRun]:
    """A run with a key, and a guardian with another one of the same account."""
    account = exchange.new_account(tier="pro3")
    own = second_key(exchange, account, "guardian")
    keys = {
        "MMBOT_BYBIT_API_KEY": account.key,
        "MMBOT_BYBIT_API_SECRET": account.secret,
        "MMBOT_GUARDIAN_API_KEY": own.key,
        "MMBOT_GUARDIAN_API_SECRET": own.secret,
    }
    with watched(exchange, tmp_path, keys) as ready:
        ready.account = account
        yield ready


def second_key(exchange: Exchange, account: Account, word: str) -> Account:
    """Another key of the same account."""
    key = Account(f"{word}-{account.uid}", f"{word}-secret-{account.uid}", account.uid)
    exchange.admin("POST", "account", uid=key.uid, key=key.key, secret=key.secret)
    return key


@contextmanager
def apart(run: WatchedRun) -> Iterator[None]:
    """The run's gateway is a process of its own; one that lives on is ended."""
    run.config.write_text(run.config.read_text() + APART)
    limits = run.folder / "gateway.toml"
    limits.write_text(LIMITS)
    limits.chmod(0o600)
    try:
        yield
    finally:
        for log in run.runs.glob("*/gateway.log"):
            for event in Told(log).events("serving"):
                with suppress(ProcessLookupError):
                    os.kill(event["pid"], signal.SIGKILL)


def secrets_in(pid: int) -> set[str]:
    """Which secrets stand in a process's environment or arguments."""
    place = Path(f"/proc/{pid}")
    words = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
    return {word for word in ("secret-9", "guardian-secret") if word.encode() in words}


@pytest.mark.timeout(120)
def test_beside_a_gateway_the_guardian_has_a_key_and_nobody_can_read_it(run: WatchedRun):
    """Neither engine nor guardian have a key in environment or arguments; the guardian cancels when the engine dies."""
    with apart(run):
        engine = run.quoting()
        assert (secrets_in(engine.pid), secrets_in(run.guardian_pid)) == (set(), set())
        engine.kill()
        until(lambda: bool(run.guardian.events("zero")), 20, "zero verified")
        assert run.open_orders() == 0
        assert [event["why"] for event in run.guardian.events("remark") if "no key of its own" in event["why"]] == []
    written = [path for path in run.folder.rglob("*") if path.is_file() and b"guardian-secret" in path.read_bytes()]
    assert written == []


@pytest.mark.timeout(120)
def test_without_a_key_of_its_own_it_goes_by_the_run_s_and_says_so(run: WatchedRun):
    """No gateway keeps the run's key, and no real money is at stake: the guardian is given it, through a pipe too."""
    del run.environ["MMBOT_GUARDIAN_API_KEY"], run.environ["MMBOT_GUARDIAN_API_SECRET"]
    engine = run.quoting()
    assert "starts with the run's key" in run.told.events("guardian")[0]["state"]
    assert secrets_in(run.guardian_pid) == set()
    engine.kill()
    until(lambda: bool(run.guardian.events("zero")), 20, "zero verified")
    assert run.open_orders() == 0


@pytest.mark.timeout(120)
def test_beside_a_gateway_a_run_without_a_key_for_its_guardian_does_not_begin(run: WatchedRun):
    """The gateway has the run's key, and the guardian would have none: said at once, with what to do."""
    del run.environ["MMBOT_GUARDIAN_API_KEY"], run.environ["MMBOT_GUARDIAN_API_SECRET"]
    with apart(run):
        assert run.start().wait(30) == 1
        said = run.told.path.read_text()
        assert "MMBOT_GUARDIAN_API_KEY and MMBOT_GUARDIAN_API_SECRET not set" in said
        assert "no guardian listens at" in said


@pytest.mark.timeout(120)
def test_a_guardian_that_cannot_start_is_not_waited_for(run: WatchedRun):
    """The venue refuses its key: the run says so in the guardian's words, and does not begin."""
    run.exchange.admin("POST", "revoke", key=run.environ["MMBOT_GUARDIAN_API_KEY"])
    engine = run.start()
    assert engine.wait(30) == 1
    assert "the guardian did not start" in run.told.path.read_text()
    assert "10003" in run.told.path.read_text()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("gateway", [False, True], ids=["inside", "process"])
def test_a_run_whose_key_is_revoked_ends_and_the_guardian_cancels_by_its_own(run: WatchedRun, gateway: bool):
    """In the middle of a run: it ends by itself and says why, no order stays, and one with a new key takes over."""
    with apart(run) if gateway else nullcontext():
        engine = run.quoting()
        run.exchange.admin("POST", "revoke", key=run.account.key)
        until(lambda: bool(run.guardian.events("alarm")), 30, "the guardian acts")
        until(lambda: run.open_orders() == 0, 10, "no order at the venue")
        assert engine.wait(90) == 1
        [told] = run.told.events("key refused")
        assert "does not take the run's key any more" in told["why"]
        assert run.open_orders() == 0
        if run.told.events("freeze"):
            return  # the guardian was faster than the run: a person has to lift that first
        new = second_key(run.exchange, run.account, "new")
        run.environ |= {"MMBOT_BYBIT_API_KEY": new.key, "MMBOT_BYBIT_API_SECRET": new.secret}
        run.quoting()
