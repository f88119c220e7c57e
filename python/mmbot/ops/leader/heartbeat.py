"""What a process says of itself every 30 s, and when silence becomes an alarm: after more than 60 s.

A heartbeat is a notice for people and dashboards. Who trades is decided by the lease, and an engine that hangs is
answered by the guardian; both are faster, and neither asks Redis.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmbot.ops.leader.redis_bus import RedisAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmbot.ops.leader.redis_bus import RedisBus

__all__ = ["Heartbeat", "HeartbeatWatch", "heartbeat_key"]

_NS = 1_000_000_000
KEPT = 10
"""A heartbeat stays readable for so many times as long as it is fresh, so that a watcher can say since when."""


def heartbeat_key(account: str) -> str:
    """Where the heartbeat of "environment account" is."""
    return f"mmbot:{account.replace(' ', ':')}:heartbeat"


@dataclass
class HeartbeatWatch:
    """Says once that a heartbeat is missing, and once that it is back. Times are of one clock, ns."""

    stale_s: float = 60.0
    last_ns: int | None = None
    stale: bool = False

    def heard(self, now_ns: int) -> str:
        """Note a heartbeat; what to tell, "" for nothing."""
        was, self.last_ns, self.stale = self.stale, now_ns, False
        return "the heartbeat is back" if was else ""

    def look(self, now_ns: int) -> str:
        """Say, once, that it has been silent for longer than `stale_s`; the watch begins with its first look."""
        if self.last_ns is None:
            self.last_ns = now_ns
        silent_ns = now_ns - self.last_ns
        if self.stale or silent_ns <= self.stale_s * _NS:
            return ""
        self.stale = True
        return f"no heartbeat for {silent_ns / _NS:.0f} s, at most {self.stale_s:g} expected: look at the process"


@dataclass(kw_only=True)
class Heartbeat:
    """Publishes what `says` returns. An outage is counted by the bus, and the next beat is tried at its time."""

    bus: RedisBus
    account: str
    says: Callable[[], Mapping[str, Any]]
    told: Callable[[dict[str, Any]], None]
    wall: Callable[[], int] = time.time_ns
    watch: HeartbeatWatch = field(default_factory=HeartbeatWatch)

    async def beat(self) -> bool:
        """Publish once; whether it arrived."""
        config = self.bus.config
        words = json.dumps({**self.says(), "ts": self.wall()})
        try:
            await self.bus.call(
                lambda redis: redis.set(heartbeat_key(self.account), words, ex=round(config.stale_s * KEPT))
            )
        except RedisAwayError:
            said = self.watch.look(self.bus.clock())
            arrived = False
        else:
            said = self.watch.heard(self.bus.clock())
            arrived = True
        if said:
            self.told({"event": "heartbeat", "why": said})
        return arrived

    async def run(self) -> None:
        """Publish every `heartbeat_s`, until cancelled; while Redis is away, as often as the breaker lets one out."""
        while True:
            arrived = await self.beat()
            pause_s = self.bus.config.heartbeat_s
            await asyncio.sleep(pause_s if arrived else min(pause_s, self.bus.breaker.open_s))
