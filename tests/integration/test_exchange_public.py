"""The exchange's public side over real sockets on the loopback: protocol, limits, slow clients, and ccxt.pro."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import ccxt.pro
import pytest

from mmbot.exchange.generator import Generator
from mmbot.exchange.hall import Hall
from mmbot.exchange.listed import open_hall
from mmbot.exchange.market import Market
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.server import Server

Body = Callable[[Server, aiohttp.ClientSession], Awaitable[None]]


def serving(body: Body, switches: PublicSwitches | None = None, *, speed: float = 5.0) -> None:
    """Runs a default exchange on a free port around a test."""

    async def run() -> None:
        server = Server(open_hall(clock=time.time_ns, speed=speed, switches=switches))
        await server.start()
        try:
            async with aiohttp.ClientSession() as session, asyncio.timeout(20):
                await body(server, session)
        finally:
            await server.stop()

    asyncio.run(run())


async def hear(link: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next message."""
    message = await link.receive(timeout=5)
    assert message.type is aiohttp.WSMsgType.TEXT, message
    heard: dict[str, Any] = json.loads(message.data)
    return heard


async def ask(link: aiohttp.ClientWebSocketResponse, **request: Any) -> dict[str, Any]:
    """Send a request and hear its answer among whatever else comes."""
    await link.send_json(request)
    while True:
        heard = await hear(link)
        if "success" in heard:
            return heard


async def result(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The result of a REST call that succeeds."""
    async with session.get(url) as response:
        assert response.status == 200
        answered = await response.json()
    assert (answered["retCode"], answered["retMsg"], answered["retExtInfo"]) == (0, "OK", {})
    assert abs(answered["time"] - time.time_ns() // 1_000_000) < 2_000
    content: dict[str, Any] = answered["result"]
    return content


def test_the_ack_comes_before_the_snapshot_and_neither_at_once():
    """`req_id` is given back as it came; ack and snapshot wait for `ack_ms`."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws}/v5/public/linear") as link:
            started = time.perf_counter()
            await link.send_json({"req_id": 7, "op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
            ack = await hear(link)
            assert time.perf_counter() - started >= 0.02
            assert (ack["success"], ack["ret_msg"], ack["req_id"], ack["op"]) == (True, "", 7, "subscribe")
            first, second = await hear(link), await hear(link)
            assert (first["type"], second["type"]) == ("snapshot", "delta")
            assert second["data"]["u"] == first["data"]["u"] + 1
            assert len(first["data"]["b"]) == len(first["data"]["a"]) == 50
            assert first["cts"] <= first["ts"]

    serving(body, PublicSwitches(ack_ms=20))


def test_requests_that_make_no_sense_are_answered_in_the_venues_words():
    """Unknown topics silence their whole request, repeats and floods are refused, garbage gets an answer."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(f"{server.ws}/v5/public/spot") as link:
            good, bad = "publicTrade.BTCUSDT", "orderbook.500.BTCUSDT"
            refused = await ask(link, op="subscribe", args=[good, bad], req_id="a")
            assert refused["ret_msg"] == "error:handler not found,topic:orderbook.500.BTCUSDT"
            assert (refused["success"], refused["req_id"]) == (False, "a")
            assert (await ask(link, op="subscribe", args=[good]))["ret_msg"] == "subscribe"
            repeated = await ask(link, op="subscribe", args=[good])
            assert repeated["ret_msg"] == f"error:already subscribed,topic:{good}"
            flood = [
                f"kline.{interval}.BTCUSDT"
                for interval in ["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D"]
            ]
            assert "args size" in (await ask(link, op="subscribe", args=flood))["ret_msg"]
            assert (await ask(link, op="unsubscribe", args=[good]))["success"]
            assert (await ask(link, op="subscribe", args=[good]))["success"]
            pong = await ask(link, op="ping", req_id="p")
            assert (pong["ret_msg"], pong["op"], pong["req_id"]) == ("pong", "ping", "p")
            assert "unknown op" in (await ask(link, op="dance"))["ret_msg"]
            assert (await ask(link, op="unsubscribe", args=[good]))["success"]
            await link.send_str("{]")
            assert "not valid JSON" in (await hear(link))["ret_msg"]
            await link.send_str('{"req_id":' + "[" * 5_000 + "]" * 5_000 + "}")
            assert "not valid JSON" in (await hear(link))["ret_msg"]
            assert "list of topics" in (await ask(link, op="subscribe", args="x"))["ret_msg"]

    serving(body)


def test_connection_limits_and_idle_clients():
    """More connections than allowed get 403, and one that says nothing is closed."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        url = f"{server.ws}/v5/public/linear"
        async with session.ws_connect(url) as first:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url)
            assert refused.value.status == 403
            closed = await first.receive(timeout=5)
            assert closed.type is aiohttp.WSMsgType.CLOSE
        with pytest.raises(aiohttp.WSServerHandshakeError) as unknown:
            await session.ws_connect(f"{server.ws}/v5/public/moon")
        assert unknown.value.status == 404
        assert server.public.clients == 0

    serving(body, PublicSwitches(connections_max=1, idle_ms=200))


def test_a_client_that_does_not_read_is_cut_and_costs_no_memory():
    """Behind by more than its backlog, a slow consumer loses its connection; others go on."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        host, port = server.http.removeprefix("http://").split(":")
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.connect((host, int(port)))
        reader, writer = await asyncio.open_connection(sock=plain, limit=1_024)
        writer.write(
            f"GET /v5/public/linear HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        request = json.dumps({"op": "subscribe", "args": ["orderbook.1000.BTCUSDT", "orderbook.200.BTCUSDT"]}).encode()
        writer.write(bytes([0x81, 0x80 | len(request), 0, 0, 0, 0]) + request)
        writer.transport.pause_reading()
        async with session.ws_connect(f"{server.ws}/v5/public/linear") as other:
            await other.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
            while server.public.clients > 1:
                await hear(other)
            assert (await hear(other))["topic"] == "orderbook.50.BTCUSDT"
        writer.close()

    serving(body, PublicSwitches(backlog_bytes_max=65_536, push_ms_1000=10, push_ms_200=10), speed=100.0)


def test_rest_answers_in_the_documented_shapes():
    """Books, trades, tickers, klines and limits, and 10001 for what makes no sense."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        market = f"{server.http}/v5/market"
        clock = await result(session, f"{market}/time")
        assert clock["timeNano"].startswith(clock["timeSecond"])
        for category, symbol, levels in (("linear", "BTCUSDT", 25), ("spot", "BTCUSDT", 1), ("inverse", "BTCUSD", 25)):
            where = f"category={category}&symbol={symbol}"
            book = await result(session, f"{market}/orderbook?{where}")
            assert (len(book["b"]), len(book["a"])) == (levels, levels)
            assert float(book["b"][0][0]) < float(book["a"][0][0])
            ticker = (await result(session, f"{market}/tickers?{where}"))["list"][0]
            assert float(ticker["bid1Price"]) < float(ticker["ask1Price"])
            assert (await result(session, f"{market}/kline?{where}&interval=D"))["symbol"] == symbol
            limits = await result(session, f"{market}/price-limit?{where}")
            assert float(limits["sellLmt"]) < float(ticker["bid1Price"]) < float(limits["buyLmt"])
            trades = await result(session, f"{market}/recent-trade?{where}&limit=5")
            assert len(trades["list"]) <= 5
        async with session.get(f"{market}/orderbook?category=linear") as response:
            refused = await response.json()
            assert (response.status, refused["retCode"], refused["retMsg"]) == (
                200,
                10001,
                "params error: Symbol is required",
            )
        async with session.get(f"{server.http}/v5/market/nothing") as response:
            assert response.status == 404

    serving(body)


def test_instruments_are_listed_in_pages():
    """The cursor of a page leads to the next; as the venue's it is URL-encoded text, to be sent back as it came."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        url = f"{server.http}/v5/market/instruments-info?category=linear&limit=1"
        first = await result(session, url)
        assert [row["symbol"] for row in first["list"]] == ["BTCUSDT"]
        async with session.get(f"{url}&cursor={first['nextPageCursor']}") as response:
            second = (await response.json())["result"]
        assert ([row["symbol"] for row in second["list"]], second["nextPageCursor"]) == (["ETHUSDT"], "")
        assert (await result(session, f"{server.http}/v5/market/instruments-info?category=option"))["list"] == []
        launching = await result(session, f"{server.http}/v5/market/instruments-info?category=linear&status=PreLaunch")
        assert launching["list"] == []

    serving(body)


def redirected(server: Server) -> dict[str, Any]:
    """What points ccxt at the exchange."""
    http = dict.fromkeys(("spot", "futures", "v2", "public", "private"), server.http)
    public = {category: f"{server.ws}/v5/public/{category}" for category in ("spot", "linear", "inverse", "option")}
    return {"urls": {"api": {**http, "ws": {"public": public}}}, "enableRateLimit": False}


def test_a_book_kept_by_ccxt_equals_ours_at_every_update():
    """ccxt.pro loads our markets and keeps a book; whenever it has heard `u`, its levels are those of our `u`."""

    async def body(server: Server, session: aiohttp.ClientSession) -> None:
        hall, published = server.hall, {}
        book = hall.publisher.book("linear", "BTCUSDT", 50)
        whole = hall.publisher.beat

        def beat(now_ms: int) -> None:
            whole(now_ms)
            published[book.u] = hall.markets["linear", "BTCUSDT"].floor.published(50)

        hall.publisher.beat = beat  # type: ignore[method-assign]
        client = ccxt.pro.bybit(redirected(server))
        heard: list[int] = []
        try:
            await client.load_markets()
            assert {"BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USDT", "BTC/USD:BTC"} <= set(client.markets)
            take = client.handle_order_book

            def handle(link: Any, message: dict[str, Any]) -> None:
                take(link, message)
                heard.append(message["data"]["u"])
                kept = client.orderbooks["BTC/USDT:USDT"]
                ours = published[heard[-1]]
                for rows, levels in zip((kept["bids"], kept["asks"]), ours, strict=True):
                    assert [(round(p * 10), round(q * 1000)) for p, q in rows] == levels

            client.handle_order_book = handle
            while len(heard) < 60:
                await client.watch_order_book("BTC/USDT:USDT", 50)
        finally:
            await client.close()
        assert heard == list(range(heard[0], heard[0] + len(heard)))

    serving(body)


def test_a_port_in_use_is_one_clear_sentence():
    """The second server says which port, and what to do."""

    async def run() -> None:
        def hall() -> Hall:
            market = Market(next(iter(open_hall(clock=time.time_ns).markets.values())).rules, time.time_ns)
            return Hall([(market, Generator("calm", seed=1, price_ticks=61_000, lot_unit=5))], time.time_ns)

        first = Server(hall())
        await first.start()
        port = int(first.http.rpartition(":")[2])
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is in use; choose another with --port"):
            await Server(hall(), port=port).start()
        await first.stop()

    asyncio.run(run())
