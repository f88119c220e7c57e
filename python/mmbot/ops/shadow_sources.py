"""Where a shadow run's market comes from: a venue's public feed, Redis, or tapes played as if they were live.

A source tells the market what it hears and says up to which time everything has been told. The replay follows behind
the slowest message so far by the source's lag, because a message may be heard later than others that the venue sent
after it. A clock of ours that is ahead makes all messages look slow alike, and changes nothing else. No source takes
credentials, and none knows how to order.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass, field
from operator import methodcaller
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from mmbot.config import ConfigError
from mmbot.data.tape_records import KINDS, first_level, kind, records, sold
from mmbot.ops.shadow_market import Times
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    import numpy as np

    from mmbot import _core
    from mmbot.ops.counters import Counters
    from mmbot.ops.redis_ticks import RedisTicks
    from mmbot.ops.shadow_market import ShadowMarket
    from mmbot.ops.ticks import Tick
    from mmbot.venues.port import Clock, Heard, LinkEvent, Market, PublicFeed, PublicSink

__all__ = ["LAG_NS", "FeedSource", "RedisSource", "Source", "TapeSource"]

LAG_NS: Final = 1_000_000_000
"""How much slower than all before it a message may be: slower ones are moved behind, and counted."""
FIRST_NS: Final = 30_000_000_000
"""How long a live market may say nothing at all at the start."""
LOOK_S: Final = 0.1
SLICE_NS: Final = 100_000_000


class Source(Protocol):
    """A market to shadow."""

    lag_ns: int
    """How far behind the slowest message so far the replay follows."""

    async def start(self, market: ShadowMarket) -> None:
        """Begin to tell `market` what is heard."""

    async def advance(self) -> int | None:
        """Let some time pass; the time (ns since epoch) up to which everything was told, None when all is over."""

    async def stop(self) -> None:
        """Tell nothing more. Safe to call twice."""


# --- a venue's public feed -------------------------------------------------------------------------------------------


@dataclass
class FeedSource:
    """The public feed that `feed(sink, clock)` makes. Raises VenueError from `advance` where nothing is ever heard."""

    feed: Callable[[PublicSink, Clock], PublicFeed]
    counters: Counters
    clock: Clock = time.time_ns
    lag_ns: int = LAG_NS
    first_ns: int = FIRST_NS
    look_s: float = LOOK_S
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _feed: PublicFeed | None = None
    _market: ShadowMarket | None = None
    _began: int = 0
    _failure: BaseException | None = None

    async def start(self, market: ShadowMarket) -> None:
        """Connect."""
        self._market, self._began = market, self.clock()
        self._feed = self.feed(self, self.clock)
        market.resync = self._feed.resync
        await self._feed.start()

    async def advance(self) -> int | None:
        """Listen for a moment. Raises what the market could not take in, such as an OSError of a full disk."""
        await self.sleep(self.look_s)
        if self._failure is not None:
            raise self._failure
        now = self.clock()
        if self._market is not None and self._market.started_ns is None and now - self._began > self.first_ns:
            raise VenueError(
                f"nothing was heard of the market for {self.first_ns / 1e9:.0f} s; look at the network, the symbols "
                "and session.environment"
            )
        return now

    async def stop(self) -> None:
        """Disconnect."""
        feed, self._feed = self._feed, None
        if feed is not None:
            await feed.stop()

    # ---- PublicSink

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Count frames; their bytes are not kept here."""
        self.counters.add("shadow_frames_total", conn=conn)

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Write down what was heard; what the disk refuses ends the run."""
        if self._market is None:
            return
        try:
            self._market.on_records(category, records, ts_recv)
        except Exception as error:  # noqa: BLE001  the feed's loop must not die of it; `advance` raises it
            self._failure = error

    def on_link(self, event: LinkEvent) -> None:
        """Count what links went through."""
        self.counters.add("shadow_link_events_total", state=event.state)


# --- Redis -----------------------------------------------------------------------------------------------------------


@dataclass
class RedisSource:
    """Ticks of a Redis stream; `ticks(take)` makes the consumer. Best prices only: fills come by crossing, or by ticks
    that say price and side of what traded."""

    ticks: Callable[[Callable[[Tick, bool], object]], RedisTicks]
    markets: Mapping[str, Market]
    """Market by symbol."""
    clock: Clock = time.time_ns
    lag_ns: int = LAG_NS
    _ticks: RedisTicks | None = None
    _market: ShadowMarket | None = None

    async def start(self, market: ShadowMarket) -> None:
        """Join the group."""
        self._market = market
        self._ticks = self.ticks(self._take)
        await self._ticks.start()

    def _take(self, tick: Tick, after_gap: bool) -> None:
        if self._market is not None:
            self._market.on_tick(self.markets[tick.symbol], tick, self.clock(), after_gap=after_gap)

    async def advance(self) -> int | None:
        """Take in the next batch, or wait for it."""
        if self._ticks is None:
            return None
        await self._ticks.step()
        return self.clock()

    async def stop(self) -> None:
        """Take in what still waits for its turn, and leave."""
        ticks, self._ticks = self._ticks, None
        if ticks is not None:
            await ticks.finish()


# --- tapes, played ---------------------------------------------------------------------------------------------------


@dataclass
class TapeSource:
    """Recorded tapes, message by message, `speed` times as fast as they were; 0 is as fast as can be.

    The lag is the largest delay on the tapes, so that no message comes late and the run is that of a replay of them.
    Raises ConfigError for a tape by order, which a growing tape cannot hold.
    """

    tapes: Mapping[Market, _core.Tape]
    speed: float = 1.0
    monotonic: Callable[[], int] = time.monotonic_ns
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    lag_ns: int = field(init=False)
    _messages: Iterator[_Message] = field(init=False)
    _ahead: _Message | None = None
    _market: ShadowMarket | None = None
    _began: int = 0
    _first: int = 0
    _played: int = 0

    def __post_init__(self) -> None:
        """Look at what is to be played."""
        if not self.speed >= 0:
            raise ConfigError(f"--speed {self.speed}: expected a factor, or 0 for as fast as can be")
        for (_, symbol), tape in self.tapes.items():
            if tape.info()["orders"]:
                raise ConfigError(f"{symbol}: a tape by order cannot be played; use mmbot dryrun, which replays it")
        self.lag_ns = max(0, *(_largest_delay(tape) for tape in self.tapes.values()))
        each = (_messages(market, tape) for market, tape in self.tapes.items())
        self._messages = heapq.merge(*each, key=_place)

    async def start(self, market: ShadowMarket) -> None:
        """Stand at the first message."""
        self._market, self._began = market, self.monotonic()
        self._ahead = next(self._messages, None)
        self._first = self._played = self._ahead.at if self._ahead is not None else 0

    async def advance(self) -> int | None:
        """Play the next tenth of a second of the market, when it is due."""
        if self._ahead is None or self._market is None:
            return None
        self._played += SLICE_NS
        await self.sleep(self._due_s())
        while self._ahead is not None and self._ahead.at <= self._played:
            self._ahead.tell(self._market)
            self._ahead = next(self._messages, None)
        return self._played

    def _due_s(self) -> float:
        """How long until what is to be played now is due."""
        if self.speed == 0:
            return 0
        due = (self._played - self._first) / self.speed
        return max(0.0, (due - (self.monotonic() - self._began)) / 1e9)

    async def stop(self) -> None:
        """Play nothing more."""
        self._ahead = None


def _largest_delay(tape: _core.Tape) -> int:
    delays = []
    for section in ("depth", "trades"):
        rows = records(tape, section)
        delays.append((rows["ts_recv"] - rows["ts_venue"]).max(initial=0))
    return int(max(delays))


class _Message(NamedTuple):
    """One message of a tape."""

    at: int
    """When it was heard."""
    order: int
    """Its place among those heard at the same time: twice its number, an odd one for a book message."""
    tell: Callable[[ShadowMarket], None]


def _place(message: _Message) -> tuple[int, int]:
    return message.at, message.order


def _times(row: np.void) -> Times:
    return Times(int(row["ts_recv"]), int(row["ts_venue"]))


def _messages(market: Market, tape: _core.Tape) -> Iterator[_Message]:
    """One tape's messages in the order of receipt; each trade knows how many book messages came before it."""
    return heapq.merge(_books(market, tape), _trades(market, tape), _settlements(market, tape), key=_place)


def _books(market: Market, tape: _core.Tape) -> Iterator[_Message]:
    instrument, rows = tape.instrument, records(tape, "depth")
    for index, (row, number, first) in enumerate(zip(rows, kind(rows), first_level(rows), strict=True)):
        times, bids = _times(row), int(row["n_bid"])
        levels = [
            (instrument.price(tick), instrument.quantity(lots))
            for tick, lots in records(tape, "levels", first, first + bids + int(row["n_ask"])).tolist()
        ]
        told = methodcaller("book", market, times, KINDS[number], levels[:bids], levels[bids:])
        yield _Message(times.recv, 2 * index + 1, told)


def _trades(market: Market, tape: _core.Tape) -> Iterator[_Message]:
    instrument, rows = tape.instrument, records(tape, "trades")
    for row, is_sell in zip(rows, sold(rows), strict=True):
        times = _times(row)
        price, qty = instrument.price(int(row["tick"])), instrument.quantity(int(row["lots"]))
        told = methodcaller("trade", market, times, price, qty, "sell" if is_sell else "buy")
        yield _Message(times.recv, 2 * int(row["depth_before_recv"]), told)


def _settlements(market: Market, tape: _core.Tape) -> Iterator[_Message]:
    for row in records(tape, "funding"):
        times = _times(row)
        yield _Message(times.recv, 0, methodcaller("funding", market, times, int(row["rate"]), int(row["mark"])))
