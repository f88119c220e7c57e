"""What a run says to the outside, asked over HTTP."""

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest

from mmbot.config import ConfigError, RedisConfig, SessionConfig
from mmbot.ops.leader.leadership import Leadership
from mmbot.ops.presence import present
from mmbot.risk.levels import FreezeLevel


def runner(level: FreezeLevel = FreezeLevel.NORMAL, **pauses: str) -> SimpleNamespace:
    """What is asked of a run."""
    freezing = SimpleNamespace(level=lambda category, symbol: level)
    listed = [SimpleNamespace(category="linear", symbol="BTCUSDT")]
    return SimpleNamespace(pauses=pauses, failure=None, stopping=False, freezing=freezing, listed=listed)


async def ready(run: SimpleNamespace, lead: Leadership) -> tuple[int, list[str]]:
    """Ask once."""
    told: list[dict[str, object]] = []
    async with present(run, lead, SessionConfig(health_port=0), "1", told=told.append):  # type: ignore[arg-type]
        [event] = told
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as web, web.get(str(event["url"])) as answer:
            return answer.status, [f"{one['what']}: {one['why']}" for one in (await answer.json())["reasons"]]


def test_a_run_that_quotes_and_leads_is_ready():
    """And one that is frozen, does not reconcile or has lost its lease is not."""
    lead = Leadership(lambda _: None, lambda: 0)
    lead.alone(1)
    assert asyncio.run(ready(runner(), lead)) == (200, [])
    frozen = runner(FreezeLevel.NO_NEW, reconcile="position differs")
    assert asyncio.run(ready(frozen, lead)) == (
        503,
        ["reconcile: position differs", "frozen: linear BTCUSDT: NO_NEW"],
    )
    waiting = Leadership(lambda _: None, lambda: 0)
    assert asyncio.run(ready(runner(), waiting)) == (503, ["lease: this run does not lead yet"])


def test_a_redis_that_is_nowhere_is_refused():
    """Neither a URL in the environment nor Sentinels."""

    async def work() -> None:
        session = SessionConfig(redis=RedisConfig())
        async with present(runner(), None, session, "1", told=lambda _: None, environ={}):  # type: ignore[arg-type]
            pass

    with pytest.raises(ConfigError, match="MMBOT_REDIS_URL is not set"):
        asyncio.run(work())
