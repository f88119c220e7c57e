"""Public market data against a scripted Bybit on loopback: what is told is what may be trusted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web
from pydantic import SecretStr
from scripted_bybit import Heardall, Json, ScriptedBybit

from mmbot.venues.bybit.link import LinkTiming
from mmbot.venues.bybit.public import BybitPublic, PublicTiming
from mmbot.venues.port import Credentials, Subscription, VenueError
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Ticker

KEY = Credentials(key="testkey", secret=SecretStr("testsecret"))
LINKS = LinkTiming(ping_s=0.2, pong_s=0.3, backoff_first_s=0.01, backoff_max_s=0.05, login_s=0.5, connect_s=0.5)
QUICK = PublicTiming(book_silence_s=5, touch_silence_s=5, ticker_silence_s=5, snapshot_s=0.1, look_s=0.02)
BOOK = Subscription(category="linear", symbol="BTCUSDT", trades=False, ticker=False)


def book(
    u: int,
    kind: str = "delta",
    bids: Any = (),
    asks: Any = (),
    *,
    depth: int = 50,
    seq: int = 0,
    symbol: str = "BTCUSDT",
) -> str:
    """A book message."""
    told = {"s": symbol, "b": list(bids), "a": list(asks), "u": u, "seq": seq or u}
    return json.dumps({"topic": f"orderbook.{depth}.{symbol}", "type": kind, "ts": 1, "data": told, "cts": 1})


SNAPSHOT = {"bids": [("100", "1")], "asks": [("101", "1")]}


class Market:
    """Answers each subscription of a book with a snapshot, whose ids go on where they were."""

    def __init__(self) -> None:
        self.u = 10
        self.snapshots = 0
        self.withheld = 0

    async def __call__(self, socket: web.WebSocketResponse, asked: Json) -> None:
        """Send the snapshot of each book that is asked for."""
        for topic in asked["args"]:
            kind, _, rest = topic.partition(".")
            depth, _, symbol = rest.partition(".")
            if kind != "orderbook" or depth != "50":
                continue
            if self.withheld:
                self.withheld -= 1
                continue
            self.snapshots += 1
            await socket.send_str(book(self.u, "snapshot", symbol=symbol, **SNAPSHOT))


@asynccontextmanager
async def listening(
    *subscriptions: Subscription, timing: PublicTiming = QUICK, market: Market | None = None, unknown: str = ""
) -> AsyncIterator[tuple[ScriptedBybit, BybitPublic, Heardall, Market]]:
    """A scripted venue and a feed that has begun to connect to it."""
    async with ScriptedBybit(KEY) as venue:
        venue.on_public = market = market or Market()
        venue.unknown_topics = {unknown}
        heard = Heardall()
        feed = BybitPublic(
            venue.endpoint, subscriptions, heard, time.time_ns, timing=timing, link_timing=LINKS, random=Random(1)
        )
        await feed.start()
        try:
            yield venue, feed, heard, market
        finally:
            await feed.stop()


def told(heard: Heardall) -> list[str]:
    """What was said of books, in short."""
    short = []
    for record in heard.records:
        if isinstance(record, BookUpdate):
            short.append(f"{record.kind} {record.last_id}")
        elif isinstance(record, BookLost):
            short.append("lost")
    return short


def test_records_follow_their_frames_and_the_chain() -> None:
    """Every frame is told raw, and books, trades and tickers as records of their category."""

    async def scenario() -> None:
        async with listening(msgspec.structs.replace(BOOK, trades=True, ticker=True)) as (venue, _, heard, _):
            await heard.until(lambda: told(heard) == ["snapshot 10"])
            venue.say("public", book(11, bids=[("100", "0"), ("99", "1")]))
            trade = {"T": 1, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "101", "i": "t-1", "BT": False}
            venue.say("public", json.dumps({"topic": "publicTrade.BTCUSDT", "ts": 1, "data": [trade]}))
            ticker = {"symbol": "BTCUSDT", "markPrice": "100.5"}
            venue.say("public", json.dumps({"topic": "tickers.BTCUSDT", "ts": 1, "data": ticker}))
            await heard.until(lambda: isinstance(heard.records[-1], Ticker))
            assert [type(one) for one in heard.records] == [BookUpdate, BookUpdate, PublicTrade, Ticker]
            assert sum(b'"topic"' in raw for raw in heard.frames) == 4
            assert venue.subscribed == [["orderbook.50.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"]]
            assert heard.states("public") == ["up"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (book(12), "gap"),
        (book(10), "gap"),
        (book(11, bids=[("101", "1")]), "crossed"),
        (book(11, bids=[("1e999", "1")]), "1e999"),
    ],
    ids=["a message missing", "a message twice", "crossed", "no number"],
)
def test_a_broken_chain_loses_the_book_and_asks_for_a_new_one(message: str, words: str) -> None:
    """A gap, a repetition, a crossing or nonsense is told as BookLost; the topic is left and asked for again."""

    async def scenario() -> None:
        async with listening(BOOK) as (venue, _, heard, market):
            await heard.until(lambda: told(heard) == ["snapshot 10"])
            market.u = 20
            venue.say("public", message)
            venue.say("public", book(13))
            await heard.until(lambda: told(heard) == ["snapshot 10", "lost", "snapshot 20"])
            venue.say("public", book(21))
            await heard.until(lambda: told(heard)[-1] == "delta 21")
            [lost] = [one for one in heard.records if isinstance(one, BookLost)]
            assert words in lost.why
            assert len(venue.sent("public unsubscribe")) == 1
            assert heard.states("public") == ["up"]

    asyncio.run(scenario())


def test_a_restarted_service_and_a_repeated_snapshot_replace_the_book() -> None:
    """An update with id one is a snapshot whatever its type says, and a new snapshot may come at any time."""

    async def scenario() -> None:
        async with listening(BOOK) as (venue, _, heard, _):
            await heard.until(lambda: told(heard))
            venue.say("public", book(1, "delta", **SNAPSHOT))
            venue.say("public", book(2))
            venue.say("public", book(2, "snapshot", **SNAPSHOT))
            venue.say("public", book(3))
            await heard.until(lambda: told(heard)[1:] == ["snapshot 1", "delta 2", "snapshot 2", "delta 3"])

    asyncio.run(scenario())


def test_a_lost_connection_loses_every_book_and_comes_back() -> None:
    """With the link go the books; after it is back each starts from a new snapshot."""

    async def scenario() -> None:
        other = msgspec.structs.replace(BOOK, symbol="ETHUSDT")
        async with listening(BOOK, other) as (venue, _, heard, _):
            await heard.until(lambda: len(told(heard)) == 2)
            await venue.drop("public")
            await heard.until(lambda: told(heard) == ["snapshot 10"] * 2 + ["lost"] * 2 + ["snapshot 10"] * 2)
            assert heard.states("public") == ["up", "down", "up"]

    asyncio.run(scenario())


def test_a_half_open_connection_is_noticed() -> None:
    """When pings are no longer answered the link is stale, then down, and the books are lost."""

    async def scenario() -> None:
        async with listening(BOOK) as (venue, _, heard, _):
            await heard.until(lambda: told(heard))
            venue.deaf.add("public")
            await heard.until(lambda: heard.states("public")[:3] == ["up", "stale", "down"])
            assert told(heard) == ["snapshot 10", "lost"]

    asyncio.run(scenario())


def test_a_snapshot_that_does_not_come_is_asked_for_and_then_connected_for() -> None:
    """Asked three times in vain, the topic gets a new connection."""

    async def scenario() -> None:
        market = Market()
        market.withheld = 4
        async with listening(BOOK, market=market) as (venue, _, heard, _):
            await heard.until(lambda: told(heard) == ["snapshot 10"])
            assert heard.states("public") == ["up", "down", "up"]
            assert len(venue.sent("public subscribe")) == 5

    asyncio.run(scenario())


def test_a_quiet_market_keeps_its_book_and_its_link() -> None:
    """A book in which nothing happens is asked for anew, and stands meanwhile; the link, which has its pings, is up."""

    async def scenario() -> None:
        timing = msgspec.structs.replace(QUICK, book_silence_s=0.1, ticker_silence_s=0.1, touch_silence_s=0.1)
        async with listening(BOOK, timing=timing) as (venue, _, heard, market):
            await heard.until(lambda: told(heard) == ["snapshot 10"] * 5)
            market.u = 11
            venue.say("public", book(11))
            await heard.until(lambda: told(heard)[-1] == "snapshot 11")
            assert "lost" not in told(heard)
            assert heard.states("public") == ["up"]

    asyncio.run(scenario())


def test_a_silent_book_whose_snapshot_does_not_come_is_lost_until_it_does() -> None:
    """Silence is told only where asking did not help, as the loss of that one book; the next snapshot ends it."""

    async def scenario() -> None:
        timing = msgspec.structs.replace(QUICK, book_silence_s=0.3)
        async with listening(BOOK, timing=timing) as (_, _, heard, market):
            await heard.until(lambda: told(heard) == ["snapshot 10"])
            market.withheld = 1
            await heard.until(lambda: told(heard)[:3] == ["snapshot 10", "lost", "snapshot 10"])
            assert heard.states("public") == ["up"]

    asyncio.run(scenario())


def test_an_unknown_topic_stops_the_start() -> None:
    """A topic that the venue does not have is found out, though it was asked for among others, and named."""

    async def scenario() -> None:
        unknown = Subscription(category="linear", symbol="NOPE", trades=False, ticker=False)
        with pytest.raises(VenueError, match=r"refuses orderbook\.50\.NOPE.*is the symbol listed there"):
            async with listening(BOOK, unknown, unknown="orderbook.50.NOPE"):
                pytest.fail("it began")

    asyncio.run(scenario())


def test_one_unknown_topic_does_not_silence_the_others() -> None:
    """When a topic goes while we listen, its group is asked for one by one: that one stays lost, the others come."""

    async def scenario() -> None:
        other = Subscription(category="linear", symbol="GONE", trades=False, ticker=False)
        async with listening(BOOK, other) as (venue, _, heard, _):
            await heard.until(lambda: told(heard) == ["snapshot 10"] * 2)
            venue.unknown_topics = {"orderbook.50.GONE"}
            await venue.drop("public")
            await heard.until(lambda: heard.states("public") == ["up", "down", "up"] and len(told(heard)) == 5)
            assert told(heard)[2:] == ["lost", "lost", "snapshot 10"]

    asyncio.run(scenario())


def test_topics_are_asked_for_ten_at_a_time() -> None:
    """No request carries more topics than spot allows, and books are asked for first."""

    async def scenario() -> None:
        many = [Subscription(category="spot", symbol=f"C{n}") for n in range(5)]
        async with listening(*many) as (venue, _, heard, _):
            await heard.until(lambda: "up" in heard.states("public"))
            assert [len(group) for group in venue.subscribed] == [10, 5]
            assert all("orderbook" in topic for topic in venue.subscribed[0][:5])

    asyncio.run(scenario())


def test_the_best_price_stream_is_a_check_and_not_told() -> None:
    """A best price that contradicts the book at the same sequence ends it; the stream itself is told as no record."""

    async def scenario() -> None:
        async with listening(msgspec.structs.replace(BOOK, touch=True)) as (venue, _, heard, _):
            await heard.until(lambda: told(heard))
            venue.say("public", book(3, "snapshot", [("100", "1")], [("101", "1")], depth=1, seq=10))
            venue.say("public", book(11, seq=11))
            venue.say("public", book(4, "snapshot", [("100.5", "1")], [("101", "1")], depth=1, seq=11))
            await heard.until(lambda: told(heard)[:3] == ["snapshot 10", "delta 11", "lost"])

    asyncio.run(scenario())


def test_a_book_found_wrong_elsewhere_can_be_asked_for_again() -> None:
    """Whoever sees that a book is wrong has it dropped and replaced."""

    async def scenario() -> None:
        async with listening(BOOK) as (_, feed, heard, _):
            await heard.until(lambda: told(heard))
            feed.resync("linear", "BTCUSDT", "the engine's book disagrees")
            await heard.until(lambda: told(heard) == ["snapshot 10", "lost", "snapshot 10"])

    asyncio.run(scenario())


def test_malformed_and_oversized_frames_are_survived() -> None:
    """Nonsense is counted and told raw; an endless frame costs the connection; what follows is read again."""

    async def scenario() -> None:
        async with listening(BOOK) as (venue, feed, heard, _):
            await heard.until(lambda: told(heard))
            for text in ("", "[]", "{", '{"topic":"orderbook.50.BTCUSDT"}', '{"topic":"tickers.X","ts":1,"data":5}'):
                venue.say("public", text)
            venue.say("public", book(11))
            await heard.until(lambda: told(heard)[-1] == "delta 11")
            assert feed.malformed == 5
            venue.say("public", " " * (17 << 20))
            await heard.until(lambda: heard.states("public") == ["up", "down", "up"])

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("subscriptions", "words"),
    [
        ([msgspec.structs.replace(BOOK, depth=25)], "no book of depth 25"),
        ([msgspec.structs.replace(BOOK, category="option")], "unknown category"),
        ([BOOK, BOOK], "subscribed twice"),
    ],
)
def test_a_subscription_that_can_not_be_is_refused(subscriptions: list[Subscription], words: str) -> None:
    """A depth or category that the venue does not have is found before anything is connected."""
    venue = ScriptedBybit(KEY)
    with pytest.raises(ValueError, match=words):
        BybitPublic(venue.endpoint, subscriptions, Heardall(), time.time_ns)
