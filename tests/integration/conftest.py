"""The exchange that the vendors' SDKs are pointed at: one process for all tests that leave it as it was."""

from collections.abc import Iterator

import pytest
from exchange_server import Account, Exchange, running


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange with a calm market, whose faults nobody touches."""
    with running(tmp_path_factory.mktemp("exchange") / "exchange.log", "--market", "calm", "--seed", "7") as served:
        yield served


@pytest.fixture
def account(exchange: Exchange) -> Account:
    """An account of the test's own."""
    return exchange.new_account()


@pytest.fixture
def taker(exchange: Exchange) -> Account:
    """Another one, whose orders meet ours as often as need be."""
    return exchange.new_account(tier="mm3")
