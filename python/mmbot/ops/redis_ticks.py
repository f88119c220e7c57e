"""Ticks from a Redis stream: read as a member of a consumer group, put in order, acknowledged when they are taken in.

    XREADGROUP lob:ticks  →  parse  →  SequenceGuard  →  take(tick, after_gap)  →  XACK

A message is acknowledged after `take` has returned for it, or when its number shows that it was taken in before; a
process that dies in between reads it again at its next start, and the guard does not take it twice. A message that is
no tick moves to `<stream>:refused` with the reason, in the transaction that acknowledges it: it will never become one.

Not handled: several consumers of one group at once, which would share each symbol's numbers between them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from mmbot.ops.ticks import SequenceGuard, Tick, TickError, parse_tick

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from redis.asyncio import Redis

    from mmbot.ops.counters import Counters
    from mmbot.ops.ticks import Release

    Message = tuple[bytes, dict[bytes, bytes]]

__all__ = ["GAPS", "LAG", "RedisTicks"]

GAPS: Final = "shadow_seq_gaps_total"
LAG: Final = "shadow_ingest_lag_msgs"
REFUSED_MAX: Final = 10_000
"""Messages kept in the stream of refused ones."""
MS: Final = 1_000_000


@dataclass
class RedisTicks:
    """One consumer of the stream. `start`, then `step` until told to stop, then `finish`.

    `take` gets each tick of `symbols` in order, once, and whether something before it was lost; what it raises ends the
    step, and the tick stays unacknowledged. Ticks of other symbols are acknowledged and counted.
    """

    redis: Redis
    take: Callable[[Tick, bool], object]
    symbols: Collection[str]
    counters: Counters
    stream: str = "lob:ticks"
    group: str = "shadow"
    consumer: str = "shadow-1"
    batch: int = 100
    block_ms: int = 1000
    clock: Callable[[], int] = time.monotonic_ns
    guard: SequenceGuard[tuple[bytes, Tick]] = field(default_factory=SequenceGuard)

    async def start(self, *, from_start: bool = False) -> None:
        """Join the group, making it if need be: at what comes from now on, or at the start of the stream.

        What an earlier consumer of this name read and did not acknowledge is taken in first. Raises RedisError.
        """
        try:
            await self.redis.xgroup_create(self.stream, self.group, id="0" if from_start else "$", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        for symbol in self.symbols:
            self.counters.set(GAPS, 0, symbol=symbol)
        after = b"0"
        while pending := await self._read(after, block_ms=None):
            await self._take_in(pending)
            after = pending[-1][0]

    async def step(self) -> int:
        """Wait for messages, at most `block_ms`, and take in what is in order; how many came. Raises RedisError."""
        wait_ms = self.block_ms if not self.guard.held else min(self.block_ms, max(self.guard.wait_ns // MS, 1))
        messages = await self._read(b">", block_ms=wait_ms)
        await self._take_in(messages)
        await self._release(self.guard.due(self.clock()))
        await self._measure_lag()
        return len(messages)

    async def finish(self) -> None:
        """Take in what still waits for its turn. Raises RedisError."""
        await self._release(self.guard.flush())

    async def _read(self, after: bytes, *, block_ms: int | None) -> list[Message]:
        answer: Any = await self.redis.xreadgroup(
            self.group, self.consumer, {self.stream: after}, count=self.batch, block=block_ms
        )
        return [message for _, messages in answer or [] for message in messages]

    async def _take_in(self, messages: Iterable[Message]) -> None:
        done: list[bytes] = []
        try:
            for message_id, fields in messages:
                try:
                    tick = parse_tick(fields)
                except TickError as error:
                    await self._refuse(message_id, fields, str(error))
                else:
                    self._offer(message_id, tick, done)
        finally:
            await self._acknowledge(done)

    def _offer(self, message_id: bytes, tick: Tick, done: list[bytes]) -> None:
        if tick.symbol not in self.symbols:
            self.counters.add("shadow_ticks_other_total")
            done.append(message_id)
            return
        counts = self.guard.counts(tick.symbol)
        repeated = counts.duplicates + counts.late
        self._take(self.guard.offer(tick.symbol, tick.seq, (message_id, tick), self.clock()), done)
        if counts.duplicates + counts.late > repeated:
            self._count(tick.symbol)
            done.append(message_id)

    async def _release(self, releases: Iterator[Release[tuple[bytes, Tick]]]) -> None:
        done: list[bytes] = []
        try:
            self._take(releases, done)
        finally:
            await self._acknowledge(done)

    def _take(self, releases: Iterator[Release[tuple[bytes, Tick]]], done: list[bytes]) -> None:
        """Hand ticks on; those that were taken are added to `done`, also when one of them is not."""
        for release in releases:
            message_id, tick = release.item
            self.take(tick, release.after_gap)
            self._count(tick.symbol)
            done.append(message_id)

    def _count(self, symbol: str) -> None:
        counts = self.guard.counts(symbol)
        self.counters.set(GAPS, counts.gaps, symbol=symbol)
        self.counters.set("shadow_ticks_total", counts.taken, symbol=symbol)
        self.counters.set("shadow_seq_missing_total", counts.missing, symbol=symbol)
        self.counters.set("shadow_seq_duplicates_total", counts.duplicates, symbol=symbol)
        self.counters.set("shadow_seq_late_total", counts.late, symbol=symbol)
        self.counters.set("shadow_seq_reordered_total", counts.reordered, symbol=symbol)

    async def _acknowledge(self, done: list[bytes]) -> None:
        if done:
            await self.redis.xack(self.stream, self.group, *done)

    async def _refuse(self, message_id: bytes, fields: dict[bytes, bytes], reason: str) -> None:
        self.counters.add("shadow_ticks_refused_total")
        kept: dict[Any, Any] = {**fields, b"refused_id": message_id, b"refused_why": reason.encode()}
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.xadd(f"{self.stream}:refused", kept, maxlen=REFUSED_MAX, approximate=True)
            pipe.xack(self.stream, self.group, message_id)
            await pipe.execute()

    async def _measure_lag(self) -> None:
        """Messages of the stream that the group has not read; left as it was where Redis cannot tell."""
        for group in await self.redis.xinfo_groups(self.stream):
            if group["name"] == self.group.encode() and group.get("lag") is not None:
                self.counters.set(LAG, group["lag"], stream=self.stream)
