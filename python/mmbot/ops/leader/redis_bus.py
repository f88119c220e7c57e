"""Redis, found through Sentinel, for what may be lost: heartbeats and caches. It holds no lease and no fact of record.

    call ─ breaker ─┬─ closed      out, within `call_s`
                    ├─ open        not asked: the answer is RedisAwayError at once
                    └─ half open   one call is the probe; its answer closes the breaker

Whoever calls goes on without an answer: an outage is counted, told once, and ends by itself. After a failover the next
call asks the Sentinels again. A failover may take back what was acknowledged, so nothing here may matter.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mmbot.execution import Breaker, BreakerState, Phase, Trouble
from mmbot.ops.redis_link import RedisMissingError, shown_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from mmbot.config import RedisConfig
    from mmbot.ops.counters import Counters

__all__ = ["RedisAwayError", "RedisBus"]

Answer = TypeVar("Answer")
ERRORS: Final = "redis_connection_errors_total"
GAUGE: Final = "circuit_breaker_state"
KIND: Final = "infrastructure"
POOL_MAX: Final = 8


class RedisAwayError(Exception):
    """Redis gave no answer, or is not asked while it is known to be away. Nothing that trades depends on it."""


@dataclass
class RedisBus:
    """One pooled client. `counters` get `redis_connection_errors_total` and the state of the breaker."""

    config: RedisConfig
    counters: Counters
    told: Callable[[dict[str, Any]], None]
    url: str = field(default="", repr=False)
    """Where Redis is, if no Sentinels are named; it may hold a password."""
    clock: Callable[[], int] = time.monotonic_ns
    breaker: Breaker = field(default_factory=lambda: Breaker(open_s=5.0, burst=3, burst_window_s=60.0))
    state: BreakerState = field(default_factory=BreakerState)
    _trouble: str = field(default="it has not answered yet", init=False, repr=False)
    """Why the last call had no answer; "" where it had one."""
    _told_away: bool = field(default=False, init=False, repr=False)
    _redis: Redis | None = field(default=None, init=False, repr=False)
    _sentinels: list[Redis] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        """Let the counter and the gauge be seen before the first trouble."""
        self.counters.add(ERRORS, 0)
        self._show()

    @property
    def away(self) -> str:
        """Why Redis counts as away; "" once the last call was answered."""
        phase = self.state.phase(self.clock())
        breaker = "" if phase is Phase.CLOSED else f"the breaker is {phase}"
        said = "; ".join(filter(None, (breaker, self._trouble)))
        return f"Redis is away: {said}" if said else ""

    async def call(self, work: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Do it on the master, within `call_s`. Raises RedisAwayError."""
        from redis.exceptions import RedisError  # noqa: PLC0415  an extra

        self.state, ruling = self.breaker.ask(self.state, self.clock(), "place")
        if not ruling.allowed:
            raise RedisAwayError(self.away)
        try:
            async with asyncio.timeout(self.config.call_s):
                answer = await work(self._client())
        except (RedisError, OSError, TimeoutError) as error:
            await self._troubled(error)
            raise RedisAwayError(f"Redis gave no answer: {type(error).__name__} {error}".rstrip()) from error
        self._trouble = ""
        self.state, event = self.breaker.answered(self.state, self.clock())
        if event is not None:
            self._told_away = False
            self.told({"event": "redis", "state": "back", "kind": KIND})
        self._show()
        return answer

    async def close(self) -> None:
        """Close every connection."""
        redis, self._redis = self._redis, None
        sentinels, self._sentinels = self._sentinels, []
        for one in [*sentinels, *([redis] if redis is not None else [])]:
            await one.aclose(close_connection_pool=True)

    def _client(self) -> Redis:
        if self._redis is None:
            self._redis = self._made()
        return self._redis

    def _made(self) -> Redis:
        try:
            from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415  an extra
            from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise RedisMissingError("the Redis client is not installed; pip install 'mmbot[redis]'") from error
        call_s = self.config.call_s
        if not self.config.sentinels:
            pool = BlockingConnectionPool.from_url(
                self.url, max_connections=POOL_MAX, timeout=call_s, socket_timeout=call_s, socket_connect_timeout=call_s
            )
            return Redis.from_pool(pool)
        addresses = [address.rsplit(":", 1) for address in self.config.sentinels]
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            [(host, int(port)) for host, port in addresses],
            sentinel_kwargs={"socket_timeout": call_s / 2, "socket_connect_timeout": call_s / 2},
            socket_timeout=call_s,
            socket_connect_timeout=call_s,
            max_connections=POOL_MAX,
        )
        self._sentinels = list(sentinel.sentinels)
        master: Redis = sentinel.master_for(self.config.master)
        return master

    async def _troubled(self, error: Exception) -> None:
        self.counters.add(ERRORS)
        self._trouble = f"{type(error).__name__} {error}".rstrip()
        self.state, event = self.breaker.troubled(self.state, self.clock(), Trouble.RATE_LIMITED)
        self._show()
        if event is not None and not self._told_away:  # once for an outage, however often a probe fails in it
            self._told_away = True
            where = ", ".join(self.config.sentinels) or shown_url(self.url)
            self.told({"event": "redis", "state": "away", "kind": KIND, "where": where, "why": str(error)})
        if self._redis is not None:  # the next call asks the Sentinels anew
            await self._redis.connection_pool.disconnect(inuse_connections=False)

    def _show(self) -> None:
        self.counters.set(GAUGE, self.state.gauge(self.clock()), kind=KIND)
