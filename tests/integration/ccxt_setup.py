"""ccxt pointed at the exchange by its documented options, and one life of orders that all its flavours lead."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from exchange_server import Account, Exchange

SYMBOL = "BTC/USDT:USDT"
WAIT_S = 10
NEAR = 0.9999
"""Of the best bid: so near that it can be filled, not so near that a moving market kills it first."""


def options(exchange: Exchange, account: Account) -> dict[str, Any]:
    """What is given to the constructor."""
    http, ws = exchange.http, exchange.ws
    return {
        "apiKey": account.key,
        "secret": account.secret,
        "enableRateLimit": False,
        "urls": {
            "api": {
                **dict.fromkeys(("spot", "futures", "v2", "public", "private"), http),
                "ws": {
                    "public": {kind: f"{ws}/v5/public/{kind}" for kind in ("spot", "linear", "inverse", "option")},
                    "private": {
                        "spot": {"unified": f"{ws}/v5/private", "nonUnified": f"{ws}/spot/private/v3"},
                        "contract": f"{ws}/v5/private",
                        "usdc": f"{ws}/trade/option/usdc/private/v1",
                        "trade": f"{ws}/v5/trade",
                    },
                },
            }
        },
    }


def caller(client: Any) -> Callable[..., Awaitable[Any]]:
    """Call a method by name, whether or not it has to be awaited."""

    async def call(name: str, *words: Any, **more: Any) -> Any:
        answer = getattr(client, name)(*words, **more)
        return await asyncio.wait_for(answer, WAIT_S) if inspect.isawaitable(answer) else answer

    return call


async def trades(client: Any, exchange: Exchange, taker: Account) -> None:
    """Load markets, look at a book, place post-only, amend, cancel, cancel all, get filled, read what became of it."""
    call = caller(client)
    markets = await call("load_markets")
    assert markets[SYMBOL]["swap"]
    assert markets[SYMBOL]["precision"]["price"] == 0.1
    book = await call("fetch_order_book", SYMBOL)
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    assert bid < ask
    await _orders_come_and_go(client, bid)
    await _an_order_is_filled(client, bid, exchange, taker)


async def _orders_come_and_go(client: Any, bid: float) -> None:
    call = caller(client)
    resting = client.price_to_precision(SYMBOL, bid * 0.99)
    named = {"postOnly": True, "clientOrderId": "c-1"}
    placed = await call("create_order", SYMBOL, "limit", "buy", 0.01, resting, named)
    [opened] = await call("fetch_open_orders", SYMBOL)
    assert (opened["id"], opened["clientOrderId"], opened["status"]) == (placed["id"], "c-1", "open")
    assert opened["postOnly"]
    lower = client.price_to_precision(SYMBOL, bid * 0.98)
    await call("edit_order", placed["id"], SYMBOL, "limit", "buy", 0.02, lower)
    [amended] = await call("fetch_open_orders", SYMBOL)
    assert (amended["id"], amended["amount"], amended["price"]) == (placed["id"], 0.02, float(lower))
    await call("cancel_order", placed["id"], SYMBOL)
    assert await call("fetch_open_orders", SYMBOL) == []
    for _ in range(3):
        await call("create_order", SYMBOL, "limit", "buy", 0.01, resting, {"postOnly": True})
    await call("cancel_all_orders", SYMBOL)
    assert await call("fetch_open_orders", SYMBOL) == []


async def _an_order_is_filled(client: Any, bid: float, exchange: Exchange, taker: Account) -> None:
    call = caller(client)
    before = await call("fetch_balance")
    near = client.price_to_precision(SYMBOL, bid * NEAR)
    maker = await call("create_order", SYMBOL, "limit", "buy", 0.01, near, {"postOnly": True})
    exchange.fill(taker, Account(client.apiKey, client.secret), maker["id"])
    fills = await call("fetch_my_trades", SYMBOL)
    assert sum(Decimal(str(fill["amount"])) for fill in fills) == Decimal("0.01")
    assert {(fill["order"], fill["side"], fill["takerOrMaker"]) for fill in fills} == {(maker["id"], "buy", "maker")}
    [position] = [held for held in await call("fetch_positions", [SYMBOL]) if held["contracts"]]
    assert (position["side"], position["contracts"]) == ("long", 0.01)
    after = await call("fetch_balance")
    assert after["USDT"]["total"] != before["USDT"]["total"]
