"""What the SDKs make of trouble that we inject: their users' programs meet the errors that Bybit would give them."""

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
import pybit._websocket_trading as trading
import pybit.unified_trading as pybit
import pytest
from ccxt_setup import SYMBOL, WAIT_S, options
from exchange_server import Account, Exchange, running
from pybit.exceptions import FailedRequestError, InvalidRequestError
from raw_book import RawBook, as_book
from sdk_inbox import Inbox, socket

ORDER = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "timeInForce": "PostOnly"}
CREATE = "rest:POST /v5/order/create"
BOOK = "orderbook.50.BTCUSDT"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An exchange for this file alone, because its public streams suffer too."""
    with running(tmp_path_factory.mktemp("troubled") / "exchange.log", "--market", "calm", "--seed", "11") as served:
        yield served


@pytest.fixture
def exchange(troubled: Exchange) -> Iterator[Exchange]:
    """The same exchange, in its right mind before and after each test."""
    switches = troubled.admin("GET", "switches")
    yield troubled
    troubled.admin("DELETE", "faults")
    troubled.admin("POST", "switches", **switches)


@pytest.fixture(autouse=True)
def redirected(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """pybit's addresses."""
    monkeypatch.setattr(pybit, "PUBLIC_WSS", exchange.ws + "/v5/public/{CHANNEL_TYPE}")
    monkeypatch.setattr(pybit, "PRIVATE_WSS", exchange.ws + "/v5/private")
    monkeypatch.setattr(trading, "TRADE_WSS", exchange.ws + "/v5/trade")


def session(exchange: Exchange, account: Account, **more: Any) -> pybit.HTTP:
    """A REST client of pybit's."""
    client = pybit.HTTP(api_key=account.key, api_secret=account.secret, **more)
    client.endpoint = exchange.http
    return client


def arm(exchange: Exchange, account: Account | None, **fault: Any) -> None:
    """Arm a fault, for one account or for everybody."""
    exchange.admin("POST", "faults", **fault, **({} if account is None else {"uid": account.uid}))


def resting(exchange: Exchange) -> str:
    """A price at which a bid rests."""
    book = exchange.get("/v5/market/orderbook", category="linear", symbol="BTCUSDT", limit=1)["result"]
    return str((Decimal(book["b"][0][0]) * Decimal("0.99")).quantize(Decimal("0.1")))


def crossing(exchange: Exchange, category: str) -> str:
    """A price at which a bid would take."""
    book = exchange.get("/v5/market/orderbook", category=category, symbol="BTCUSDT", limit=1)["result"]
    return str((Decimal(book["a"][0][0]) * Decimal("1.002")).quantize(Decimal("0.1")))


# ---- answers


@pytest.mark.parametrize("ack_ms", [0, 1, 3, 20])
def test_acks_may_come_at_once_or_late(
    ack_ms: int, exchange: Exchange, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """Orders over pybit's trade socket are answered, however fast the venue is.

    pybit sends first and then notes who waits: an answer that comes in between it drops, and says so in its log.
    """
    exchange.admin("POST", "switches", ack_ms=ack_ms)
    price, answers, keys = resting(exchange), Inbox(), {"api_key": account.key, "api_secret": account.secret}
    with socket(pybit.WebSocketTrading(testnet=False, **keys)) as trade:
        for number in range(5):
            trade.place_order(answers, **ORDER, price=price, qty="0.01", orderLinkId=f"ack-{ack_ms}-{number}")

        def answered(name: str) -> bool:
            answers.soon(lambda answer: answer["data"]["orderLinkId"] == name, 0.2)
            return name in caplog.text or any(answer["data"]["orderLinkId"] == name for answer in answers.seen)

        for number in range(5):
            assert any(answered(f"ack-{ack_ms}-{number}") for _ in range(WAIT_S * 5))
    assert len(exchange.truth(account)["open"]) == 5


@pytest.mark.parametrize("ack_ms", [0, 1, 3, 20])
def test_ccxt_pro_does_not_mind_when_acks_come(ack_ms: int, exchange: Exchange, account: Account) -> None:
    """Subscription, login and orders, with the answer before or after the order stream's word."""
    exchange.admin("POST", "switches", ack_ms=ack_ms)

    async def run() -> None:
        async with ccxt.pro.bybit(options(exchange, account)) as client, asyncio.timeout(2 * WAIT_S):
            await client.load_markets()
            watching = asyncio.create_task(client.watch_orders(SYMBOL))
            await asyncio.wait([watching], timeout=0.3)
            placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, resting(exchange), {"postOnly": True})
            [seen] = await watching
            assert (seen["id"], seen["status"]) == (placed["id"], "open")

    asyncio.run(run())


def test_a_wrong_clock_is_retried_by_pybit_with_a_larger_window(exchange: Exchange, account: Account) -> None:
    """10002 once: it asks again and gets its order, and only one."""
    arm(exchange, account, where=CREATE, what="answer", code=10002, message="invalid request, timestamp or recv_window")
    client = session(exchange, account, retry_delay=0.01)
    client.place_order(**ORDER, price=resting(exchange), qty="0.01")
    assert len(exchange.truth(account)["open"]) == 1


def test_too_many_visits_are_waited_out_by_pybit(exchange: Exchange, account: Account) -> None:
    """Past ten creates a second it reads the reset time, which lies ahead, sleeps until then and goes on."""
    client, price, began = session(exchange, account), resting(exchange), time.monotonic()
    for _ in range(15):
        client.place_order(**ORDER, price=price, qty="0.01")
    assert len(exchange.truth(account)["open"]) == 15
    assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("code", "raised"),
    [(10002, ccxt.InvalidNonce), (10006, ccxt.RateLimitExceeded), (10016, ccxt.ExchangeError)],
)
def test_ccxt_raises_what_the_code_means(code: int, raised: type, exchange: Exchange, account: Account) -> None:
    """And places nothing."""
    client = ccxt.bybit(options(exchange, account))
    client.load_markets()
    arm(exchange, account, where=CREATE, what="answer", code=code, message="trouble")
    with pytest.raises(raised, match=str(code)):
        client.create_order(SYMBOL, "limit", "buy", 0.01, float(resting(exchange)))
    assert exchange.truth(account)["open"] == []


@pytest.mark.parametrize("executed", [False, True])
def test_a_server_error_is_ambiguous(executed: bool, exchange: Exchange, account: Account) -> None:
    """10016 raises in pybit at once; whether the order rests, only asking tells."""
    arm(exchange, account, where=CREATE, what="answer", code=10016, executed=executed)
    with pytest.raises(InvalidRequestError, match="10016"):
        session(exchange, account).place_order(**ORDER, price=resting(exchange), qty="0.01", orderLinkId="maybe")
    found = session(exchange, account).get_open_orders(category="linear", symbol="BTCUSDT", orderLinkId="maybe")
    assert len(found["result"]["list"]) == int(executed)


@pytest.mark.parametrize(
    ("status", "raised"),
    [(403, ccxt.RateLimitExceeded), (429, ccxt.RateLimitExceeded), (504, ccxt.RequestTimeout)],
)
def test_http_errors_are_what_they_are_elsewhere(
    status: int, raised: type, exchange: Exchange, account: Account
) -> None:
    """pybit fails the request, ccxt raises what it always does, and nothing is placed."""
    arm(exchange, account, where=CREATE, what="http", status=status, count=2)
    with pytest.raises(FailedRequestError):
        session(exchange, account).place_order(**ORDER, price=resting(exchange), qty="0.01")
    client = ccxt.bybit(options(exchange, account))
    client.load_markets()
    with pytest.raises((raised, ccxt.ExchangeNotAvailable)):
        client.create_order(SYMBOL, "limit", "buy", 0.01, float(resting(exchange)))
    assert exchange.truth(account)["open"] == []


@pytest.mark.parametrize(("category", "status"), [("linear", "Cancelled"), ("spot", "Rejected")])
def test_a_post_only_order_that_would_take_is_acknowledged_and_then_killed(
    category: str, status: str, exchange: Exchange, account: Account
) -> None:
    """The answer is a yes; the order stream says what became of it, in the words of the product, and why."""
    orders, client = Inbox(), session(exchange, account)
    keys = {"api_key": account.key, "api_secret": account.secret}
    with socket(pybit.WebSocket(testnet=False, channel_type="private", **keys)) as private:
        private.order_stream(orders)
        placed = client.place_order(**{**ORDER, "category": category}, price=crossing(exchange, category), qty="0.01")
        killed = orders.until(lambda row: row["orderStatus"] not in ("New", "Created"))
    assert placed["retCode"] == 0
    assert (killed["orderId"], killed["orderStatus"]) == (placed["result"]["orderId"], status)
    assert (killed["rejectReason"], Decimal(killed["cumExecQty"])) == ("EC_PostOnlyWillTakeLiquidity", 0)
    assert exchange.truth(account)["executions"] == []


def test_a_client_id_is_taken_once(exchange: Exchange, account: Account) -> None:
    """Refused in pybit's words and in ccxt's, also after the order was cancelled."""
    client, price = session(exchange, account), resting(exchange)
    client.place_order(**ORDER, price=price, qty="0.01", orderLinkId="once")
    client.cancel_order(category="linear", symbol="BTCUSDT", orderLinkId="once")
    with pytest.raises(InvalidRequestError, match="110072"):
        client.place_order(**ORDER, price=price, qty="0.01", orderLinkId="once")
    other = ccxt.bybit(options(exchange, account))
    other.load_markets()
    with pytest.raises(ccxt.InvalidOrder, match="110072"):
        other.create_order(SYMBOL, "limit", "buy", 0.01, float(price), {"clientOrderId": "once"})
    assert exchange.truth(account)["open"] == []


# ---- connections


@pytest.mark.parametrize("how", ["close", "going_away", "abort"])
def test_pybit_comes_back_after_a_disconnect(how: str, exchange: Exchange, account: Account) -> None:
    """1000, 1001 or no goodbye: it connects, logs in and subscribes again by itself, and hears the next order."""
    orders, client = Inbox(), session(exchange, account)
    keys = {"api_key": account.key, "api_secret": account.secret}
    with socket(pybit.WebSocket(testnet=False, channel_type="private", **keys)) as private:
        private.order_stream(orders)
        first = client.place_order(**ORDER, price=resting(exchange), qty="0.01")["result"]["orderId"]
        orders.until(lambda row: row["orderId"] == first)
        assert exchange.admin("POST", "disconnect", link="private", uid=account.uid, how=how)["ended"] == 1
        heard = None
        for _ in range(20):
            again = client.place_order(**ORDER, price=resting(exchange), qty="0.01")["result"]["orderId"]
            heard = heard or orders.soon(lambda row, wanted=again: row["orderId"] == wanted, 0.5)
            if heard:
                break
        assert heard, "nothing was heard of 20 orders after the disconnect"


@pytest.mark.parametrize("how", ["close", "going_away", "abort"])
def test_ccxt_pro_comes_back_after_a_disconnect_in_mid_stream(how: str, exchange: Exchange, account: Account) -> None:
    """A `watch` raises NetworkError once; the next one connects again, and the book is right from its snapshot on."""

    async def run() -> None:
        async with ccxt.pro.bybit(options(exchange, account)) as client, asyncio.timeout(2 * WAIT_S):
            await client.load_markets()
            await client.watch_order_book(SYMBOL, 50)
            arm(exchange, None, where=f"public:{BOOK}", what="disconnect", how=how)
            with pytest.raises(ccxt.NetworkError):
                await watches_for_ever(client)
            raw = RawBook()
            follower = asyncio.create_task(raw.follow(exchange, BOOK))
            await agrees(client, raw)
        follower.cancel()

    asyncio.run(run())


async def watches_for_ever(client: Any) -> None:
    """Until it raises."""
    while True:
        await client.watch_order_book(SYMBOL, 50)


async def agrees(client: Any, raw: RawBook, updates: int = 20) -> None:
    """Compare so many updates of ccxt.pro with the same ones of an independent book."""
    equal = 0
    while equal < updates:
        book = await client.watch_order_book(SYMBOL, 50)
        ours = raw.by_ts.get(book["timestamp"])
        if ours is not None:
            assert as_book(book["bids"], book["asks"]) in ours
            equal += 1


def test_a_lost_message_is_a_gap_for_who_counts(exchange: Exchange) -> None:
    """Not one that SDKs notice: they apply what comes next."""
    arm(exchange, None, where=f"public:{BOOK}", what="drop", skip=5)
    with pytest.raises(AssertionError, match="u went from"):
        asyncio.run(asyncio.wait_for(RawBook().follow(exchange, BOOK), WAIT_S))


async def goes_on(client: Any) -> None:
    """Hear one more update, over a new connection if need be."""
    for _ in range(10):
        try:
            await client.watch_order_book(SYMBOL, 50)
            return
        except ccxt.NetworkError as error:
            lost = error
    raise AssertionError("ten connections in a row were lost") from lost


def test_after_a_restart_books_begin_at_one_and_are_right(exchange: Exchange, account: Account) -> None:
    """`u` is 1 in the first snapshot, and a client that was connected before ends in the same book."""

    async def run() -> None:
        raw = RawBook()
        async with ccxt.pro.bybit(options(exchange, account)) as client, asyncio.timeout(2 * WAIT_S):
            await client.load_markets()
            await goes_on(client)
            await asyncio.to_thread(exchange.admin, "POST", "restart")
            follower = asyncio.create_task(raw.follow(exchange, BOOK))
            while 1 not in raw.snapshots:
                await goes_on(client)
                if follower.done():
                    follower = asyncio.create_task(raw.follow(exchange, BOOK))
            await goes_on(client)
            await agrees(client, raw)
            follower.cancel()

    asyncio.run(run())
