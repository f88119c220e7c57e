"""Heartbeats through real Sentinels whose master is killed."""

import asyncio

import pytest

from mmbot.ops.chaos.failover import Failover
from mmbot.ops.chaos.on_sentinel import fail_over_on_sentinel
from mmbot.ops.chaos.rigs import why_no_redis


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(bool(why_no_redis()), reason=why_no_redis())
def test_a_failover_takes_an_acknowledged_write_back_and_trading_does_not_notice():
    """The epoch in Redis goes from 8 to 7; errors are counted, the breaker opens and closes, heartbeats come back."""
    lines: list[str] = []
    found = asyncio.run(fail_over_on_sentinel(Failover(), lines.append))
    assert found.conclude(), lines
    assert found.numbers["acknowledged_lost"] == 1
    assert found.numbers["creates_during"] > 0
