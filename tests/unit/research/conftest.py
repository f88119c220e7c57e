"""Results that the tests of research share."""

import pytest
from synthetic_run import market_maker, result_of


@pytest.fixture(scope="session")
def busy():
    """Ten minutes of a market maker on two instruments."""
    return market_maker()


@pytest.fixture(scope="session")
def single():
    """Ten minutes of a market maker on one instrument."""
    return market_maker(two=False)


@pytest.fixture(scope="session")
def silent():
    """A run that never traded, never ordered and was never sampled."""
    return result_of()
