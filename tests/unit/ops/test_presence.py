"""What a run says to the outside, asked over HTTP."""

import asyncio
import socket
from types import SimpleNamespace

import aiohttp
import pytest

from mmbot.config import ConfigError, RedisConfig, SessionConfig
from mmbot.ops.counters import Counters
from mmbot.ops.leader.leadership import Leadership
from mmbot.ops.presence import present
from mmbot.risk.levels import FreezeLevel


def runner(
    level: FreezeLevel = FreezeLevel.NORMAL,
    *,
    missing: list[str] | None = None,
    silent: list[str] | None = None,
    **pauses: str,
) -> SimpleNamespace:
    """What is asked of a run."""
    freezing = SimpleNamespace(level=lambda category, symbol: level)
    listed = [SimpleNamespace(category="linear", symbol="BTCUSDT", name="linear BTCUSDT")]
    market = SimpleNamespace(missing=lambda: missing or [], silent=lambda now, age_ns: silent or [])
    clock = SimpleNamespace(peek=lambda: 0)
    return SimpleNamespace(
        pauses=pauses, failure=None, stopping=False, freezing=freezing, listed=listed, market=market, clock=clock
    )


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


def test_a_feed_that_is_silent_or_has_no_book_is_stale():
    """Whatever the link says: each instrument is named once."""
    lead = Leadership(lambda _: None, lambda: 0)
    lead.alone(1)
    deaf = runner(missing=["linear A"], silent=["linear A", "linear B"])
    assert asyncio.run(ready(deaf, lead)) == (
        503,
        ["feed_stale: no book of linear A; nothing heard of linear B for 10 s"],
    )


def test_a_run_is_not_ready_while_its_redis_does_not_answer():
    """From the first moment on, not only once a breaker has counted enough; the port is one that nobody listens on."""

    async def work() -> None:
        lead = Leadership(lambda _: None, lambda: 0)
        lead.alone(1)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            environ = {"MMBOT_REDIS_URL": f"redis://127.0.0.1:{closed.getsockname()[1]}/0"}
            session = SessionConfig(health_port=0, redis=RedisConfig(call_s=1.0))
            told: list[dict[str, object]] = []
            away = asyncio.Event()

            class Errors(Counters):
                def add(self, name: str, by: float = 1, **labels: str) -> None:
                    super().add(name, by, **labels)
                    if by:
                        away.set()

            async with present(
                runner(),
                lead,
                session,
                "1",
                told=told.append,
                counters=Errors(),
                environ=environ,  # type: ignore[arg-type]
            ):
                url = next(str(event["url"]) for event in told if event["event"] == "health")
                await asyncio.wait_for(away.wait(), 5)
                timeout = aiohttp.ClientTimeout(total=5)
                async with aiohttp.ClientSession(timeout=timeout) as web, web.get(url) as answer:
                    assert answer.status == 503
                    [reason] = (await answer.json())["reasons"]
        assert reason["what"] == "redis"
        assert "Redis is away: ConnectionError" in reason["why"]

    asyncio.run(work())
