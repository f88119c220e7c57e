"""KPIs to Redis: the newest iteration of each symbol, for dashboards and other processes to read.

    {env}:{exchange}:shadow:latest:{symbol}            hash: edge_bps maker_taker_ratio p95_latency_ms risk_ratio
    {env}:{exchange}:shadow:latest:{symbol}:{kpi}      the same numbers one by one, for readers of flat keys

Both expire after an hour without news. A KPI that is not known is no field and no key: not zero, and not the number of
an iteration before. Keys are written in pipelines of `batch` symbols; a pipeline that fails is counted, and leaves what
was there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from mmbot.ops.counters import Counters
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.kpis import Kpis

__all__ = ["EXPORTED", "TTL_S", "RedisExport"]

EXPORTED: Final = ("edge_bps", "maker_taker_ratio", "p95_latency_ms", "risk_ratio")
TTL_S: Final = 3600
COUNTERS: Final = (
    "redis_export_success_total",
    "redis_export_fail_total",
    "redis_export_batches_total",
    "redis_export_keys_written_total",
)


@dataclass
class RedisExport:
    """Writes iterations. `redis_export_*` of the counters: batches that worked and failed, keys, time of the last."""

    redis: Redis
    counters: Counters
    env: str = "dev"
    flat: bool = True
    batch: int = 50
    """Symbols in one pipeline."""
    clock: Callable[[], int] = time.monotonic_ns
    failure: str = ""
    """Why the last batch that failed did."""

    def __post_init__(self) -> None:
        """Let every counter be seen before its first event. Raises ValueError for a batch of nothing."""
        if self.batch < 1:
            raise ValueError(f"a batch holds at least one symbol, got {self.batch}")
        for name in COUNTERS:
            self.counters.add(name, 0)

    def key(self, exchange: str, symbol: str) -> str:
        """The hash of a symbol."""
        return f"{self.env}:{exchange}:shadow:latest:{symbol}"

    async def export(self, iteration: Iteration) -> bool:
        """Write an iteration's symbols; whether all of it arrived. A failure is counted and not raised."""
        symbols = list(iteration.summary.per_symbol.items())
        batches = [symbols[first : first + self.batch] for first in range(0, len(symbols), self.batch)]
        return all([await self._batch(iteration.exchange, batch) for batch in batches])

    async def _batch(self, exchange: str, batch: Sequence[tuple[str, Kpis]]) -> bool:
        began = self.clock()
        keys = 0
        self.counters.add("redis_export_batches_total")
        try:
            async with self.redis.pipeline(transaction=True) as pipe:
                for symbol, kpis in batch:
                    keys += self._write(pipe, self.key(exchange, symbol), known(kpis))
                await pipe.execute()
        except (RedisError, OSError) as error:
            self.failure = f"{type(error).__name__}: {error}"
            self.counters.add("redis_export_fail_total")
            return False
        finally:
            self.counters.set("redis_export_batch_duration_ms", (self.clock() - began) / 1e6)
        self.counters.add("redis_export_success_total")
        self.counters.add("redis_export_keys_written_total", keys)
        return True

    def _write(self, pipe: Redis, key: str, values: Mapping[str, float]) -> int:
        """Queue one symbol's commands; how many keys it will have."""
        pipe.delete(key, *(f"{key}:{kpi}" for kpi in EXPORTED))
        if not values:
            return 0
        pipe.hset(key, mapping={name: repr(value) for name, value in values.items()})
        pipe.expire(key, TTL_S)
        if not self.flat:
            return 1
        for name, value in values.items():
            pipe.set(f"{key}:{name}", repr(value), ex=TTL_S)
        return 1 + len(values)


def known(kpis: Kpis) -> dict[str, float]:
    """The exported KPIs that have a number."""
    return {name: float(value) for name in EXPORTED if (value := getattr(kpis, name)) is not None}
