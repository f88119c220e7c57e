"""A book that an SDK keeps from our stream, against an independent one and against the exchange's own snapshots."""

import asyncio
from typing import Any

import ccxt.pro
import pybit.unified_trading as pybit
import pytest
from ccxt_setup import SYMBOL, options
from exchange_server import Account, Exchange
from raw_book import RawBook, as_book

TOPIC = "orderbook.50.BTCUSDT"
UPDATES = 100
POINTS = 10


def asks(exchange: Exchange) -> dict:
    """The exchange's own snapshot."""
    return exchange.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit=50)["result"]


@pytest.mark.timeout(60)
def test_a_book_kept_by_ccxt_pro_is_ours_at_every_point(exchange: Exchange, account: Account) -> None:
    """At every update that ccxt.pro returns; and the exchange's snapshots are the stream's book at their `seq`."""

    async def run() -> None:
        raw, asked = RawBook(), []
        follower = asyncio.create_task(raw.follow(exchange, TOPIC))
        kept: list[tuple[int, Any]] = []
        async with ccxt.pro.bybit(options(exchange, account)) as client:
            await client.load_markets()
            async with asyncio.timeout(40):
                while len(kept) < UPDATES:
                    book = await client.watch_order_book(SYMBOL, 50)
                    kept.append((book["timestamp"], as_book(book["bids"], book["asks"])))
                    if len(kept) % (UPDATES // POINTS) == 0:
                        asked.append(await asyncio.to_thread(asks, exchange))
                while kept[-1][0] not in raw.by_ts and not follower.done():
                    await asyncio.sleep(0)
        if follower.done():
            follower.result()
        follower.cancel()
        # The first is a snapshot of its own connection, which may share a millisecond with a delta of ours.
        shared = [(ts, book) for ts, book in kept[1:] if ts in raw.by_ts]
        assert len(shared) >= UPDATES - 5  # the first few may be older than our own connection
        assert [ts for ts, book in shared if book not in raw.by_ts[ts]] == []
        points = [(told["seq"], as_book(told["b"], told["a"])) for told in asked if told["seq"] in raw.by_seq]
        assert len({seq for seq, _ in points}) >= 5
        assert [seq for seq, book in points if book != raw.by_seq[seq]] == []

    asyncio.run(run())


@pytest.mark.timeout(60)
def test_a_book_kept_by_pybit_is_ours_at_every_u(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its helper trusts every message; ours never let it down."""
    monkeypatch.setattr(pybit, "PUBLIC_WSS", exchange.ws + "/v5/public/{CHANNEL_TYPE}")

    async def run() -> None:
        raw, kept, enough = RawBook(), {}, asyncio.Event()
        loop = asyncio.get_running_loop()

        def came(message: dict) -> None:
            kept[message["data"]["u"]] = as_book(message["data"]["b"], message["data"]["a"])
            if len(kept) >= UPDATES:
                loop.call_soon_threadsafe(enough.set)

        follower = asyncio.create_task(raw.follow(exchange, TOPIC))
        socket = await asyncio.to_thread(pybit.WebSocket, testnet=False, channel_type="linear")
        try:
            socket.orderbook_stream(50, "BTCUSDT", came)
            await asyncio.wait_for(enough.wait(), 40)
        finally:
            socket.exit()
        if follower.done():
            follower.result()
        follower.cancel()
        shared = [u for u in kept if u in raw.by_u]
        assert len(shared) >= UPDATES - 10
        assert [u for u in shared if kept[u] != raw.by_u[u]] == []

    asyncio.run(run())
