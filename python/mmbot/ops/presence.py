"""What a run says of itself to the outside while it trades: /live and /ready, and heartbeats. Off unless configured."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from mmbot.config import ConfigError
from mmbot.ops.counters import Counters
from mmbot.ops.health import Health, pause_reasons
from mmbot.ops.leader.heartbeat import Heartbeat, HeartbeatWatch
from mmbot.ops.leader.redis_bus import RedisBus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from mmbot.config import RedisConfig, SessionConfig
    from mmbot.ops.leader.leadership import Leadership
    from mmbot.runtime.runner import Runner

__all__ = ["present"]

SILENT_NS: Final = 10_000_000_000
"""A venue repeats a book that stands still more often than that."""


@asynccontextmanager
async def present(
    runner: Runner,
    lead: Leadership,
    session: SessionConfig,
    account: str,
    *,
    told: Callable[[dict[str, Any]], None],
    counters: Counters | None = None,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[None]:
    """Say it for as long as this lasts; `counters`: where it is counted. Raises ConfigError, OSError for a port that is
    taken.
    """
    async with AsyncExitStack() as stack:
        bus = None
        if session.redis is not None:
            bus = RedisBus(session.redis, counters or Counters(), told, url=_url(session.redis, environ))
            stack.push_async_callback(bus.close)
            beats = Heartbeat(
                bus=bus,
                account=f"{session.environment} {account}",
                says=lambda: {"epoch": lead.epoch, "pid": os.getpid(), "pauses": dict(runner.pauses)},
                told=told,
                watch=HeartbeatWatch(session.redis.stale_s),
            )
            beating = asyncio.create_task(beats.run())
            stack.push_async_callback(_ended, beating)
        if session.health_port is not None:
            health = Health(
                lambda: "" if runner.failure is None else f"the run failed: {runner.failure}",
                {
                    "run": lambda: pause_reasons(runner.pauses),
                    "feed": lambda: {"feed_stale": _unheard(runner)},
                    "frozen": lambda: {"frozen": _frozen(runner)},
                    "stopping": lambda: {"stopping": "the run is ending" if runner.stopping else ""},
                    "lease": lambda: {"lease": lead.why_not(lead.venue_ns())},
                    "redis": lambda: {"redis": "" if bus is None else bus.away},
                },
            )
            port = await stack.enter_async_context(health.served(session.health_port))
            told({"event": "health", "url": f"http://127.0.0.1:{port}/ready"})
        yield


def _unheard(runner: Runner) -> str:
    """Of what no market is known, or nothing was heard for a while although the link is up; "" where there is none."""
    unknown = runner.market.missing()
    silent = [name for name in runner.market.silent(runner.clock.peek(), SILENT_NS) if name not in unknown]
    said = [f"no book of {', '.join(unknown)}"] if unknown else []
    said += [f"nothing heard of {', '.join(silent)} for {SILENT_NS / 1e9:g} s"] if silent else []
    return "; ".join(said)


def _frozen(runner: Runner) -> str:
    """What is frozen, and how far; "" where nothing is."""
    if runner.freezing is None:
        return ""
    levels = {each.name: runner.freezing.level(each.category, each.symbol) for each in runner.listed}
    return ", ".join(f"{market}: {level.name}" for market, level in levels.items() if level)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _url(config: RedisConfig, environ: Mapping[str, str]) -> str:
    if config.sentinels:
        return ""
    url = environ.get(config.url_variable, "")
    if not url:
        raise ConfigError(
            f"{config.url_variable} is not set, and session.redis names no sentinels: export where Redis is, as "
            "redis://HOST:PORT/0, name the Sentinels, or take session.redis out"
        )
    return url
