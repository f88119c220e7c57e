"""ccxt, unmodified, in its three flavours: the same calls that go to Bybit, answered by our exchange."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.async_support
import ccxt.pro
import pytest
from ccxt_setup import NEAR, SYMBOL, WAIT_S, caller, options, trades
from exchange_server import Account, Exchange


@asynccontextmanager
async def pro(exchange: Exchange, account: Account) -> AsyncIterator[Any]:
    """A ccxt.pro client that is closed at the end."""
    client = ccxt.pro.bybit(options(exchange, account))
    try:
        await client.load_markets()
        yield client
    finally:
        await client.close()


def test_ccxt_sync_trades(exchange: Exchange, account: Account, taker: Account) -> None:
    """Markets, book, post-only, amend, cancel, cancel-all, a fill, executions, position and wallet over REST."""
    asyncio.run(trades(ccxt.bybit(options(exchange, account)), exchange, taker))


def test_ccxt_async_trades(exchange: Exchange, account: Account, taker: Account) -> None:
    """The same life through the asynchronous flavour."""

    async def run() -> None:
        async with ccxt.async_support.bybit(options(exchange, account)) as client:
            await trades(client, exchange, taker)

    asyncio.run(run())


def test_ccxt_pro_trades_over_rest(exchange: Exchange, account: Account, taker: Account) -> None:
    """And through the one that streams."""

    async def run() -> None:
        async with pro(exchange, account) as client:
            await trades(client, exchange, taker)

    asyncio.run(run())


def test_ccxt_pro_streams_and_trades_over_websockets(exchange: Exchange, account: Account, taker: Account) -> None:
    """Orders go in over the trade socket, and come back over the private one: open, amended, filled, cancelled."""

    async def run() -> None:
        async with pro(exchange, account) as client:
            await asyncio.wait_for(streams(client, exchange, account, taker), 3 * WAIT_S)

    asyncio.run(run())


async def streams(client: Any, exchange: Exchange, account: Account, taker: Account) -> None:
    """Everything that ccxt.pro streams, each at least once."""
    book = await client.watch_order_book(SYMBOL, 50)
    bid = book["bids"][0][0]
    ticker = await client.watch_ticker(SYMBOL)
    assert ticker["symbol"] == SYMBOL
    orders = Watched(client.watch_orders)
    fills = Watched(client.watch_my_trades)
    positions = Watched(client.watch_positions)
    balances = Watched(client.watch_balance)
    for watched in (orders, fills, positions, balances):
        await watched.subscribed()

    resting = client.price_to_precision(SYMBOL, bid * 0.99)
    placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, resting, {"postOnly": True})
    opened = await orders.until(lambda order: order["id"] == placed["id"] and order["status"] == "open")
    assert opened["price"] == float(resting)
    lower = client.price_to_precision(SYMBOL, bid * 0.98)
    await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.02, lower)
    await orders.until(lambda order: (order["id"], order["price"]) == (placed["id"], float(lower)))
    await client.cancel_order_ws(placed["id"], SYMBOL)
    await orders.until(lambda order: (order["id"], order["status"]) == (placed["id"], "canceled"))

    near = client.price_to_precision(SYMBOL, client.orderbooks[SYMBOL]["bids"][0][0] * NEAR)
    maker = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, near, {"postOnly": True})
    await asyncio.to_thread(exchange.fill, taker, account, maker["id"])
    await orders.until(lambda order: (order["id"], order["status"]) == (maker["id"], "closed"))
    fill = await fills.until(lambda fill: fill["order"] == maker["id"])
    assert (fill["side"], fill["price"]) == ("buy", float(near))
    await positions.until(lambda position: position["contracts"] == 0.01)
    await balances.until(lambda balance: "USDT" in balance)
    [trade, *_] = await client.watch_trades(SYMBOL)
    assert trade["symbol"] == SYMBOL
    for watched in (orders, fills, positions, balances):
        await watched.stop()


class Watched:
    """Calls a `watch_*` method for as long as it is looked at, as every user of ccxt.pro does."""

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self._seen: list[Any] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            came = await self._watch()
            self._seen.extend(dict(one) for one in (came if isinstance(came, list) else [came]))
            self._news.set()

    async def subscribed(self) -> None:
        """Let the subscription go out before anything happens that it should hear."""
        await asyncio.wait([self._task], timeout=0.3)
        if self._task.done():
            await self._task

    async def until(self, wanted: Any) -> Any:
        """Wait for something of the kind."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = next((one for one in self._seen if wanted(one)), None)
                if found is not None:
                    return found
                self._news.clear()
                waiting = asyncio.create_task(self._news.wait())
                await asyncio.wait([waiting, self._task], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if self._task.done():
                    await self._task

    async def stop(self) -> None:
        """Look no longer."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.mark.parametrize("flavour", [ccxt.bybit, ccxt.pro.bybit], ids=["sync", "pro"])
def test_ccxt_names_our_refusals(flavour: Any, exchange: Exchange) -> None:
    """An unknown order, an order that is too small and one that is too dear are the exceptions that users catch."""

    async def run() -> None:
        client = flavour(options(exchange, exchange.new_account("100", "0.001")))
        call = caller(client)
        try:
            await call("load_markets")
            with pytest.raises(ccxt.OrderNotFound):
                await call("cancel_order", "00000000-0000-0000-0000-000000000000", SYMBOL)
            with pytest.raises(ccxt.ExchangeError):
                await call("create_order", SYMBOL, "limit", "buy", 0.001, 1.0)
            with pytest.raises(ccxt.InsufficientFunds):
                await call("create_order", SYMBOL, "market", "buy", 1.0)
        finally:
            if flavour is ccxt.pro.bybit:
                await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("symbol", "amount", "coin"), [("BTC/USDT", 0.01, "BTC"), ("BTC/USD:BTC", 100, "BTC")], ids=["spot", "inverse"]
)
def test_ccxt_trades_spot_and_inverse_too(
    symbol: str, amount: float, coin: str, exchange: Exchange, account: Account
) -> None:
    """Post-only, cancel, and a market order whose executions add up, in coins or as a position in contracts."""
    client = ccxt.bybit(options(exchange, account))
    client.load_markets()
    before = client.fetch_balance()[coin]["total"]
    low = client.price_to_precision(symbol, client.fetch_order_book(symbol)["bids"][0][0] * 0.99)
    resting = client.create_order(symbol, "limit", "buy", amount, low, {"postOnly": True})
    assert [order["id"] for order in client.fetch_open_orders(symbol)] == [resting["id"]]
    client.cancel_order(resting["id"], symbol)
    assert client.fetch_open_orders(symbol) == []
    bought = client.create_order(symbol, "market", "sell", amount)
    fills = client.fetch_my_trades(symbol)
    assert {(fill["order"], fill["side"], fill["takerOrMaker"]) for fill in fills} == {(bought["id"], "sell", "taker")}
    assert sum(Decimal(str(fill["amount"])) for fill in fills) == Decimal(str(amount))
    after = client.fetch_balance()[coin]["total"]
    if symbol == "BTC/USDT":
        assert Decimal(str(after)) == Decimal(str(before)) - Decimal(str(amount))
    else:
        [position] = [held for held in client.fetch_positions([symbol]) if held["contracts"]]
        assert (position["side"], position["contracts"]) == ("short", amount)
        assert after < before
