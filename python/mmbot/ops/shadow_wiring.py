"""What a shadow run is wired to: the market it hears, and who is told of its iterations.

ws      the public feed of `session.environment`, on the grid that the venue lists
redis   the stream lob:ticks, on the grid of the configured tapes
mock    the configured tapes, played
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.data.catalog import market_of
from mmbot.ops.counters import Counters
from mmbot.ops.redis_link import connected, shown_url
from mmbot.ops.shadow import as_listed, tapes_of
from mmbot.ops.shadow_sources import FeedSource, RedisSource, TapeSource
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.listing import listed
from mmbot.venues.port import Subscription

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from mmbot import _core
    from mmbot.config import BacktestConfig
    from mmbot.ops.findings import Finding
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.redis_export import RedisExport
    from mmbot.ops.shadow_sources import Source
    from mmbot.ops.strictness import Doubts
    from mmbot.venues.port import Clock, Market, PublicFeed, PublicSink

__all__ = ["Exporting", "Origin", "Wired", "checked_redis", "wire_feed", "wire_market"]


class Origin(StrEnum):
    """Where a shadow run's market comes from."""

    WS = "ws"
    REDIS = "redis"
    MOCK = "mock"


@dataclass(frozen=True)
class Wired:
    """A market: its instruments in the order of the configuration, who tells of them, and what is to be closed."""

    instruments: Mapping[Market, _core.Instrument]
    source: Source
    closing: Callable[[], Awaitable[None]] | None = None

    async def close(self) -> None:
        """Let go of what the source was read from."""
        if self.closing is not None:
            await self.closing()


async def wire_market(
    config: BacktestConfig, origin: Origin, counters: Counters, *, speed: float = 1.0, redis_url: str = ""
) -> Wired:
    """Find the instruments' terms and make the source. Raises ConfigError, VenueError, OSError, RedisMissingError."""
    match origin:
        case Origin.WS:
            return await _of_venue(config, counters)
        case Origin.MOCK:
            tapes = tapes_of(config)
            return Wired(_grids(tapes), TapeSource(tapes, speed=speed))
        case Origin.REDIS:
            instruments, client = _grids(tapes_of(config)), connected(redis_url)
            from mmbot.ops.redis_ticks import RedisTicks  # noqa: PLC0415  needs the extra

            markets = {market[1]: market for market in instruments}
            source = RedisSource(lambda take: RedisTicks(client, take, markets, counters), markets)
            return Wired(instruments, source, client.aclose)


def _grids(tapes: Mapping[Market, _core.Tape]) -> dict[Market, _core.Instrument]:
    return {market: tape.instrument for market, tape in tapes.items()}


async def _of_venue(config: BacktestConfig, counters: Counters) -> Wired:
    session = config.session
    if session is None or (session.environment == "simulator" and session.url is None):
        raise ConfigError(
            'session: there is nothing to listen to; add [session] environment = "mainnet" (or testnet, or the url '
            "of a simulator that runs), or shadow recorded tapes with --source mock; a simulator of its own is started "
            "by mmbot run CONFIG --mode shadow"
        )
    endpoint = Endpoint.of(session.environment, session.url)

    def feed(subscriptions: Sequence[Subscription], sink: PublicSink, clock: Clock) -> PublicFeed:
        from mmbot.venues.bybit.public import BybitPublic  # noqa: PLC0415  loaded by the runs that listen to Bybit

        return BybitPublic(endpoint, subscriptions, sink, clock)

    return await wire_feed(config, endpoint, feed, session.depth, counters)


async def wire_feed(
    config: BacktestConfig,
    endpoint: Endpoint,
    feed: Callable[[Sequence[Subscription], PublicSink, Clock], PublicFeed],
    depth: int,
    counters: Counters,
) -> Wired:
    """Ask a venue for the instruments' terms, and listen to the feed that is made of it. Raises VenueError."""
    instruments = {}
    for one in config.instruments:
        market = market_of(one)
        instruments[market] = as_listed(one, await listed(endpoint, *market))
    subscriptions = [Subscription(category=at[0], symbol=at[1], depth=depth) for at in instruments]
    return Wired(instruments, FeedSource(partial(feed, subscriptions), counters))


class Exporting:
    """Writes iterations to Redis; that one did not arrive is a doubt."""

    def __init__(self, url: str, env: str, counters: Counters, doubts: Doubts) -> None:
        """Raises RedisMissingError, ValueError."""
        self._url, self._doubts = url, doubts
        self._export = _exporter(url, env, counters)

    async def take(self, iteration: Iteration) -> None:
        """Write one. Raises StrictError, under `--strict`, if it did not arrive."""
        if not await self._export.export(iteration):
            doubt = f"{shown_url(self._url)} did not take iteration {iteration.iteration} ({self._export.failure})"
            self._doubts.warn(doubt, "its file has it")

    async def close(self) -> None:
        """Let go of Redis."""
        await self._export.redis.aclose()


def _exporter(url: str, env: str, counters: Counters) -> RedisExport:
    client = connected(url)  # says what to install, where the import below would not
    from mmbot.ops.redis_export import RedisExport  # noqa: PLC0415

    return RedisExport(client, counters, env=env)


async def checked_redis(url: str, env: str, iteration: Iteration, *, sample_keys: int, backfill: bool) -> list[Finding]:
    """The smoke check of `redis_check` on a link of its own. Raises RedisMissingError, ValueError."""
    export = _exporter(url, env, Counters())
    from mmbot.ops.redis_check import check_redis  # noqa: PLC0415  needs the extra

    try:
        return await check_redis(export, iteration, sample_keys=sample_keys, backfill=backfill)
    finally:
        await export.redis.aclose()
