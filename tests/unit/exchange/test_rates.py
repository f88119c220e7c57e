"""Rolling windows, shared buckets, batches and addresses."""

import pytest

from mmbot.exchange.rates import TIERS, Addresses, RateLimits, Rates
from mmbot.exchange.refusals import RefusedError


def test_ten_a_second_means_any_second():
    """The eleventh is refused until the first is a second old, and is told to come back a little later than that."""
    rates = Rates()
    for at in range(0, 1000, 100):
        spent = rates.spend("order/create", "derivatives", at)
    assert (spent.limit, spent.left, spent.reset_ms) == (10, 0, 900)
    with pytest.raises(RefusedError) as refused:
        rates.spend("order/create", "derivatives", 999)
    assert (refused.value.code, refused.value.reset_ms, refused.value.limit) == (10006, 1099, 10)
    assert rates.spend("order/create", "derivatives", 1000).left == 0


def test_the_reset_lies_in_the_future_even_at_the_last_moment():
    """A client that sleeps until the reset never sleeps a negative time."""
    rates = Rates(RateLimits().with_exception("order/create", "spot", 1))
    rates.spend("order/create", "spot", 5)
    with pytest.raises(RefusedError) as refused:
        rates.spend("order/create", "spot", 1004)
    assert (refused.value.reset_ms or 0) > 1004


def test_a_batch_gets_what_there_is_room_for():
    """Eight of a batch fit, then three more find room for two; singles have a bucket of their own."""
    rates = Rates()
    assert rates.spend("order/create-batch", "derivatives", 0, 8).granted == 8
    spent = rates.spend("order/create-batch", "derivatives", 1, 3)
    assert (spent.granted, spent.left) == (2, 0)
    assert spent.reset_ms > 1
    assert rates.spend("order/create", "derivatives", 1).left == 9


def test_spot_and_derivatives_do_not_share_and_tiers_raise_both():
    """Buckets are by family; a tier changes order entry and nothing else."""
    limits = RateLimits(TIERS["mm2"])
    assert limits.limit("order/cancel", "derivatives") == limits.limit("order/amend", "spot") == 800
    assert limits.limit("order/realtime", "") == 50
    assert RateLimits().limit("order/create", "spot") == 20
    assert RateLimits().limit("order/amend", "spot") == 10
    assert (limits.limit("order/cancel-all", "spot"), limits.limit("order/cancel-all", "derivatives")) == (20, 10)
    rates = Rates()
    rates.spend("order/create", "derivatives", 0, 10)
    rates.change(limits)
    assert rates.spend("order/create", "derivatives", 0).left == 799


def test_addresses_have_limits_of_their_own():
    """600 HTTP requests in 5 s, 3,000 trade requests in a second, 500 sockets in 5 minutes."""
    addresses = Addresses()
    for _ in range(600):
        addresses.http("a", 0)
    addresses.http("b", 0)
    with pytest.raises(RefusedError, match="access too frequent") as refused:
        addresses.http("a", 4999)
    assert refused.value.http == 403
    addresses.http("a", 5000)
    for _ in range(3000):
        addresses.trade("a", 0)
    with pytest.raises(RefusedError, match="3000 requests per second"):
        addresses.trade("a", 999)
    for _ in range(500):
        addresses.socket("a", 0)
    with pytest.raises(RefusedError, match="too many connections"):
        addresses.socket("a", 299_999)
