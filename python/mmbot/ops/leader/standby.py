"""A process that is ready to lead and waits until it may."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmbot.execution.lease import FenceTerms, LeaseFence, Watched, watch
from mmbot.ops.leader.lease import LeaseUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.execution.lease import LeaseRow
    from mmbot.ops.leader.lease import Lease

__all__ = ["StandbyLoop"]

SHOWN_S = 10.0
"""How often a standby that sees no change says so."""


@dataclass(kw_only=True)
class StandbyLoop:
    """Looks at the lease every `poll_s` and takes it when it may. `venue_ns`: the venue's time as estimated here."""

    lease: Lease
    venue_ns: Callable[[], int]
    ttl_ns: int
    poll_s: float
    told: Callable[[dict[str, Any]], None]
    terms: FenceTerms = field(default_factory=FenceTerms)
    monotonic: Callable[[], int] = time.monotonic_ns
    _said: tuple[str, int] = field(default=("", 0), init=False)

    async def until_leading(self, stop: asyncio.Event) -> LeaseFence | None:
        """Wait until this process leads; None if `stop` was set before. Raises LeaseRefusedError."""
        seen = Watched()
        while not stop.is_set():
            try:
                row = await self.lease.read()
                seen, may = watch(seen, row, self.monotonic())
                fence = await self._take(row, seen) if may else None
                if fence is not None:
                    return fence
                self._say(
                    f"epoch {row.epoch} is held by {row.holder or 'nobody'}",
                    epoch=row.epoch,
                    holder=row.holder,
                    left_ms=row.left_ns // 1_000_000,
                )
            except LeaseUnreachableError as error:  # whether a take worked is seen by the next look
                self._say(str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self.poll_s):
                    await stop.wait()
        return None

    async def _take(self, row: LeaseRow, seen: Watched) -> LeaseFence | None:
        asked = self.venue_ns()
        taken = await self.lease.take(row)
        if taken is None:
            return None
        heard, over = self.venue_ns(), taken.over_for_ns
        if over is not None:  # the keeper's word, and no more than we saw ourselves
            over = min(over, self.monotonic() - seen.since_ns - row.ttl_ns)
        return LeaseFence.taken(taken.epoch, asked, heard, self.ttl_ns, over, self.terms)

    def _say(self, why: str, **words: object) -> None:
        said, when = self._said
        now = self.monotonic()
        if why != said or now - when >= SHOWN_S * 1e9:
            self._said = (why, now)
            self.told({"event": "standby", "why": why, **words})
