"""Bybit's public market data, live: one connection for each category, every book's chain checked.

    frame ─ stamped ─ told raw ─ decoded ─ chain checked ─ told as records
                                     │           └ broken: BookLost, and the topic is asked anew
                                     └ malformed: counted; a lost update shows as a gap in the next one

Topics are asked for in small groups, and each group's answer is awaited: one topic that the venue does not know would
leave its whole request unanswered. Silence of one topic says nothing of the link, which has its pings, and little of
the book: a quiet market sends no changes. The topic is asked anew; the book stands until its snapshot does not come.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from mmbot.venues.bybit import wire
from mmbot.venues.bybit.books import BookWatch
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.link import Link, LinkTiming
from mmbot.venues.bybit.orders_wire import Reply, decode_reply
from mmbot.venues.port import Clock, Heard, LinkEvent, LinkState, PublicSink, Subscription, VenueError
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Record, Skipped, Ticker, WireError

__all__ = ["BybitPublic", "PublicTiming"]

log = logging.getLogger(__name__)

GROUP = 10
"""Topics in one request: the most that spot takes."""
_DEPTHS = {1, 50, 200, 1000}
_REPLIES = {"subscribe", "unsubscribe", "ping", "pong", "answer"}


class PublicTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long silence may last before something is asked again, in seconds."""

    book_silence_s: float = 30.0
    touch_silence_s: float = 10.0  # repeated by the venue after 3 s without a change
    ticker_silence_s: float = 60.0
    snapshot_s: float = 5.0  # from asking for a book to its snapshot; then the book is lost
    ready_s: float = 5.0  # that `start` waits for the first answers
    look_s: float = 1.0
    resyncs_max: int = 3  # in a row without a snapshot; then a new connection


class _Topic:
    """One stream: when it was asked for and last heard, and its book where it is one."""

    __slots__ = ("asked", "awaited", "heard", "name", "refused", "resyncs", "silence_s", "symbol", "watch")

    def __init__(self, name: str, symbol: str, silence_s: float, watch: BookWatch | None = None) -> None:
        self.name = name
        self.symbol = symbol
        self.silence_s = silence_s
        self.watch = watch
        self.asked = 0.0
        self.heard = 0.0
        self.awaited = False  # a book's snapshot
        self.refused = ""
        self.resyncs = 0


class BybitPublic:
    """Market data of some instruments, told to one sink between `start` and `stop`."""

    def __init__(
        self,
        endpoint: Endpoint,
        subscriptions: Sequence[Subscription],
        sink: PublicSink,
        clock: Clock,
        *,
        timing: PublicTiming | None = None,
        link_timing: LinkTiming | None = None,
        random: Random | None = None,
    ) -> None:
        """Raises ValueError for a depth or category that the venue does not have, or an instrument given twice."""
        names = [(one.category, one.symbol) for one in subscriptions]
        if len(set(names)) != len(names):
            raise ValueError(f"an instrument is subscribed twice: {names}")
        self._timing = timing or PublicTiming()
        self._conversations = {
            category: _Conversation(
                category,
                endpoint,
                [one for one in subscriptions if one.category == category],
                sink,
                clock,
                timing=self._timing,
                link_timing=link_timing or LinkTiming(),
                random=random or Random(),  # noqa: S311 (spreads reconnects; guards nothing)
            )
            for category in dict.fromkeys(one.category for one in subscriptions)
        }

    async def start(self) -> None:
        """Connect and subscribe; what arrives is told to the sink. A venue that cannot be reached is tried on.

        Raises:
            VenueError: The venue does not have a topic. Nothing stays open.
        """
        conversations = self._conversations.values()
        for conversation in conversations:
            conversation.start()
        try:
            async with asyncio.timeout(self._timing.ready_s):
                await asyncio.gather(*(conversation.until_up() for conversation in conversations))
        except TimeoutError:
            log.warning("public: not subscribed after %g s; trying on", self._timing.ready_s)
        except BaseException:
            await self.stop()
            raise
        refused = [why for conversation in conversations for why in conversation.refused()]
        if refused:
            await self.stop()
            raise VenueError("; ".join(refused))

    async def stop(self) -> None:
        """Close every connection and wait for it. Safe to call twice."""
        await asyncio.gather(*(conversation.stop() for conversation in self._conversations.values()))

    def resync(self, category: str, symbol: str, why: str) -> None:
        """Drop a book and ask for it again: for whoever finds it wrong. Tells BookLost."""
        self._conversations[category].resync(symbol, why)

    @property
    def malformed(self) -> int:
        """Frames so far that could not be read."""
        return sum(conversation.malformed for conversation in self._conversations.values())


class _Conversation:
    """What is said on one category's connection: the talker of its link."""

    def __init__(
        self,
        category: str,
        endpoint: Endpoint,
        subscriptions: Sequence[Subscription],
        sink: PublicSink,
        clock: Clock,
        *,
        timing: PublicTiming,
        link_timing: LinkTiming,
        random: Random,
    ) -> None:
        self.malformed = 0
        self._category = category
        self._sink = sink
        self._clock = clock
        self._timing = timing
        self._books: dict[tuple[int, str], _Topic] = {}
        self._touches: dict[str, _Topic] = {}
        self._trades: dict[str, _Topic] = {}
        self._tickers: dict[str, _Topic] = {}
        for one in subscriptions:
            self._want(one)
        self._asked: dict[str, list[_Topic]] = {}
        self._answered: asyncio.Event = asyncio.Event()
        self._requests = 0
        self._watching: asyncio.Task[None] | None = None
        self._link = Link(
            f"public {category}", endpoint, endpoint.public(category), self, timing=link_timing, random=random
        )

    def _want(self, one: Subscription) -> None:
        symbol, timing = one.symbol, self._timing
        if one.depth:
            if one.depth not in _DEPTHS:
                raise ValueError(f"{symbol}: no book of depth {one.depth}; expected one of {sorted(_DEPTHS)} or 0")
            silence = timing.touch_silence_s if one.depth == 1 else timing.book_silence_s
            topic = _Topic(f"orderbook.{one.depth}.{symbol}", symbol, silence, BookWatch())
            self._books[one.depth, symbol] = topic
        if one.touch and one.depth not in (0, 1):
            self._touches[symbol] = _Topic(f"orderbook.1.{symbol}", symbol, timing.touch_silence_s)
        if one.trades:
            self._trades[symbol] = _Topic(f"publicTrade.{symbol}", symbol, float("inf"))
        if one.ticker:
            self._tickers[symbol] = _Topic(f"tickers.{symbol}", symbol, timing.ticker_silence_s)

    def _topics(self) -> list[_Topic]:
        return [*self._books.values(), *self._touches.values(), *self._trades.values(), *self._tickers.values()]

    def start(self) -> None:
        self._link.start()
        self._watching = asyncio.create_task(self._watch(), name=f"watch public {self._category}")

    async def until_up(self) -> None:
        await self._link.until_up()

    def refused(self) -> list[str]:
        """What the venue said of each topic that it does not have."""
        return [topic.refused for topic in self._topics() if topic.refused]

    async def stop(self) -> None:
        await self._link.stop()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])

    # ---------------------------------------------------------------------------------------------- talker

    def ping(self) -> bytes:
        return b'{"op":"ping","req_id":"ping"}'

    async def login(self) -> None:
        """Ask for every topic, and wait until each request is answered."""
        self._asked.clear()
        topics = self._topics()
        for at in range(0, len(topics), GROUP):
            self._ask(topics[at : at + GROUP])
        while self._asked:
            self._answered.clear()
            await self._answered.wait()

    def on_up(self) -> None:
        self._tell_link("up", "subscribed")

    def on_stale(self, why: str) -> None:
        self._tell_link("stale", why)

    def on_down(self, why: str) -> None:
        self._tell_lost([topic for topic in self._books.values() if topic.watch and topic.watch.valid], why)
        self._tell_link("down", why)

    def on_frame(self, raw: bytes) -> None:
        ts_recv = self._clock()
        self._sink.on_frame(self._category, raw, ts_recv)
        try:
            records = wire.decode(raw)
            if len(records) == 1 and isinstance(records[0], Skipped) and records[0].kind in _REPLIES:
                self._replied(decode_reply(raw))
                return
        except WireError as error:
            self.malformed += 1
            log.warning("public %s: a malformed frame of %d bytes: %s", self._category, len(raw), error)
            return
        heard: list[Heard] = []
        now = asyncio.get_running_loop().time()
        for record in records:
            heard.extend(self._checked(record, now))
        if heard:
            self._sink.on_records(self._category, heard, ts_recv)

    # ---------------------------------------------------------------------------------------------- records

    def _checked(self, record: Record, now: float) -> Iterable[Heard]:
        match record:
            case BookUpdate():
                topic = self._books.get((record.depth, record.symbol))
                if topic is not None:
                    return self._book(topic, record, now)
                if record.depth == 1 and record.symbol in self._touches:
                    return self._touch(record, now)
                return ()
            case PublicTrade():
                kept = self._trades.get(record.symbol)
            case Ticker():
                kept = self._tickers.get(record.symbol)
            case Skipped():
                return ()
        if kept is None:
            return ()
        kept.heard, kept.resyncs = now, 0
        return (record,)

    def _book(self, topic: _Topic, update: BookUpdate, now: float) -> Iterable[Heard]:
        watch = topic.watch
        topic.heard = now
        if watch is None or (not watch.valid and update.kind == "delta"):
            return ()  # it changes a book that we do not have
        why = watch.follow(update)
        if why:
            return (self._lost(topic, why),)
        if update.kind == "snapshot":
            topic.awaited, topic.resyncs = False, 0
        return (update,)

    def _touch(self, update: BookUpdate, now: float) -> Iterable[Heard]:
        stream = self._touches[update.symbol]
        stream.heard, stream.resyncs = now, 0
        for topic in self._books.values():
            if topic.symbol == update.symbol and topic.watch is not None and topic.watch.valid:
                why = topic.watch.agree(update)
                if why:
                    return (self._lost(topic, why),)
        return ()

    # ----------------------------------------------------------------------------------------------- resync

    def resync(self, symbol: str, why: str) -> None:
        """Drop the symbol's book and ask for it again."""
        for topic in self._books.values():
            if topic.symbol == symbol and topic.watch is not None and topic.watch.valid:
                self._sink.on_records(self._category, (self._lost(topic, why),), self._clock())

    def _lost(self, topic: _Topic, why: str) -> BookLost:
        if topic.watch is not None:
            topic.watch.forget()
        log.info("%s: %s; asking for a new snapshot", topic.name, why)
        self._again(topic)
        return BookLost(symbol=topic.symbol, why=why)

    def _tell_lost(self, topics: Sequence[_Topic], why: str) -> None:
        lost: list[Heard] = []
        for topic in topics:
            if topic.watch is not None:
                topic.watch.forget()
            lost.append(BookLost(symbol=topic.symbol, why=why))
        if lost:
            self._sink.on_records(self._category, lost, self._clock())

    def _again(self, topic: _Topic) -> None:
        """Leave the topic and ask for it anew; when that does not help, connect anew."""
        topic.resyncs += 1
        if topic.resyncs > self._timing.resyncs_max:
            topic.resyncs = 0
            self._link.restart(f"{topic.name}: asked {self._timing.resyncs_max} times without a snapshot")
            return
        self._request("unsubscribe", [topic])
        self._ask([topic])

    # --------------------------------------------------------------------------------------------- requests

    def _ask(self, topics: list[_Topic]) -> None:
        now = asyncio.get_running_loop().time()
        for topic in topics:
            topic.asked = topic.heard = now
            topic.awaited, topic.refused = topic.watch is not None, ""
        self._asked[self._request("subscribe", topics)] = topics

    def _request(self, op: str, topics: Sequence[_Topic]) -> str:
        self._requests += 1
        name = f"{op}-{self._requests}"
        args = [topic.name for topic in topics]
        self._link.send(msgspec.json.encode({"req_id": name, "op": op, "args": args}))
        return name

    def _replied(self, reply: Reply) -> None:
        if reply.op in ("ping", "pong") or reply.message == "pong":
            self._link.ponged()
            return
        topics = self._asked.pop(reply.request_id, None)
        if topics is not None and not reply.ok:
            self._refused(topics, reply.message)
        self._answered.set()

    def _refused(self, topics: list[_Topic], message: str) -> None:
        """Find the topic that the venue does not know, by asking for each of its group alone."""
        if len(topics) > 1:
            for topic in topics:
                self._ask([topic])
            return
        [topic] = topics
        topic.refused = f"the venue refuses {topic.name}: {message}; is the symbol listed there?"
        log.error("public %s: %s", self._category, topic.refused)

    # ---------------------------------------------------------------------------------------------- silence

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._timing.look_s)
            if self._link.is_up:
                for topic in self._topics():
                    self._look(topic, loop.time())

    def _look(self, topic: _Topic, now: float) -> None:
        if topic.refused:
            return
        if not topic.awaited:
            if now - topic.heard > topic.silence_s:
                self._again(topic)
        elif now - topic.asked > self._timing.snapshot_s:
            if topic.watch is not None and topic.watch.valid:
                why = f"{topic.name}: silent, and no snapshot came in {self._timing.snapshot_s:g} s"
                self._sink.on_records(self._category, (self._lost(topic, why),), self._clock())
            else:
                self._again(topic)

    def _tell_link(self, state: LinkState, why: str) -> None:
        self._sink.on_link(LinkEvent(link="public", state=state, why=why, conn=self._category))
