"""A shadow run on what `mmbot.wiring` made of it: the run's feed, at an exchange of its own if none is named.

    wiring ─ exchange (if embedded) ─ terms, asked without a key ─ the shadow run of mmbot.ops.shadow

As there, no way leads from here to an order: an import contract keeps every order session out.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from mmbot.ops.counters import Counters
from mmbot.ops.shadow import Shadow, shadow
from mmbot.ops.shadow_wiring import wire_feed
from mmbot.runtime.embedded import EmbeddedExchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mmbot.config import BacktestConfig
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.runs import Cut, RunSummary
    from mmbot.ops.strictness import Doubts
    from mmbot.venues.port import VenueError
    from mmbot.wiring import Watching

__all__ = ["watch"]


async def watch(
    config: BacktestConfig,
    wiring: Watching,
    *,
    out: Path,
    cut: Cut,
    doubts: Doubts,
    told: Callable[[Iteration], Awaitable[None]],
    stop: asyncio.Event,
) -> RunSummary:
    """Shadow until there is enough of it or `stop` is set.

    Raises what `shadow` raises, and VenueError for an embedded exchange that ended before: what was heard is kept.
    """
    counters, lost = Counters(), _Lost(stop)
    async with AsyncExitStack() as stack:
        url = None
        if wiring.embedded:
            out.mkdir(parents=True, exist_ok=True)
            tapes = [each.recording for each in config.instruments]
            exchange = await EmbeddedExchange.start(wiring.session.exchange, tapes, out / "exchange.log")
            stack.push_async_callback(exchange.stop)
            stack.callback(asyncio.create_task(lost.wait(exchange)).cancel)
            url = exchange.url
        endpoint = wiring.endpoint(url)
        wired = await wire_feed(config, endpoint, partial(wiring.feed, endpoint), wiring.session.depth, counters)
        run = Shadow(config=config, instruments=wired.instruments, source=wired.source, out=out, cut=cut)
        try:
            return await shadow(run, doubts=doubts, counters=counters, told=told, stop=stop)
        finally:
            lost.check()


class _Lost:
    """Whether the market's own exchange ended before the run did."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop
        self._error: VenueError | None = None

    async def wait(self, exchange: EmbeddedExchange) -> None:
        """Stop the run when the exchange ends."""
        self._error = await exchange.lost()
        self._stop.set()

    def check(self) -> None:
        """Raise VenueError if it did."""
        if self._error is not None:
            raise self._error
