"""pybit, unmodified: REST, the public and private streams and the trade socket, answered by our exchange."""

from decimal import Decimal

import pybit._websocket_trading as trading
import pybit.unified_trading as pybit
import pytest
from exchange_server import Account, Exchange
from sdk_inbox import Inbox, socket

SYMBOL = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture(autouse=True)
def redirected(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its templates of addresses are constants of its modules; nothing else is touched."""
    monkeypatch.setattr(pybit, "PUBLIC_WSS", exchange.ws + "/v5/public/{CHANNEL_TYPE}")
    monkeypatch.setattr(pybit, "PRIVATE_WSS", exchange.ws + "/v5/private")
    monkeypatch.setattr(trading, "TRADE_WSS", exchange.ws + "/v5/trade")


def session(exchange: Exchange, account: Account) -> pybit.HTTP:
    """A REST client."""
    client = pybit.HTTP(api_key=account.key, api_secret=account.secret)
    client.endpoint = exchange.http
    return client


def test_pybit_trades_over_rest(exchange: Exchange, account: Account, taker: Account) -> None:
    """Markets, book, post-only, amend, cancel, cancel-all, a fill, executions, position and wallet."""
    client = session(exchange, account)
    assert int(client.get_server_time()["result"]["timeSecond"]) > 0
    [terms] = client.get_instruments_info(**SYMBOL)["result"]["list"]
    tick = Decimal(terms["priceFilter"]["tickSize"])
    book = client.get_orderbook(**SYMBOL, limit=50)["result"]
    bid = Decimal(book["b"][0][0])
    assert bid < Decimal(book["a"][0][0])
    low = str(bid * Decimal("0.99") // tick * tick)
    before = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]

    order = {**SYMBOL, "side": "Buy", "orderType": "Limit", "qty": "0.01", "timeInForce": "PostOnly"}
    placed = client.place_order(**order, price=low, orderLinkId="p-1")["result"]
    [opened] = client.get_open_orders(**SYMBOL)["result"]["list"]
    assert (opened["orderId"], opened["orderLinkId"], opened["orderStatus"]) == (placed["orderId"], "p-1", "New")
    lower = str(Decimal(low) - tick)
    client.amend_order(**SYMBOL, orderLinkId="p-1", price=lower, qty="0.02")
    [amended] = client.get_open_orders(**SYMBOL)["result"]["list"]
    assert (Decimal(amended["price"]), Decimal(amended["qty"])) == (Decimal(lower), Decimal("0.02"))
    client.cancel_order(**SYMBOL, orderId=placed["orderId"])
    for number in range(3):
        client.place_order(**order, price=low, orderLinkId=f"all-{number}")
    assert len(client.cancel_all_orders(**SYMBOL)["result"]["list"]) == 3
    assert client.get_open_orders(**SYMBOL)["result"]["list"] == []

    maker = client.place_order(**order, price=str(bid - 5))["result"]["orderId"]
    exchange.fill(taker, account, maker)
    fills = client.get_executions(**SYMBOL)["result"]["list"]
    assert sum(Decimal(fill["execQty"]) for fill in fills) == Decimal("0.01")
    assert {(fill["orderId"], fill["side"], fill["isMaker"]) for fill in fills} == {(maker, "Buy", True)}
    [position] = client.get_positions(**SYMBOL)["result"]["list"]
    assert (position["side"], Decimal(position["size"])) == ("Buy", Decimal("0.01"))
    after = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]
    paid = -sum(Decimal(fill["execFee"]) for fill in fills)
    assert balance(after, "USDT") - balance(before, "USDT") == paid


def balance(wallet: dict, coin: str) -> Decimal:
    """Cash of one coin."""
    [found] = [held for held in wallet["coin"] if held["coin"] == coin]
    return Decimal(found["walletBalance"])


def test_pybit_streams_and_trades_over_websockets(exchange: Exchange, account: Account, taker: Account) -> None:
    """Orders go in over the trade socket; order, execution, position and wallet come over the private one."""
    keys = {"testnet": False, "api_key": account.key, "api_secret": account.secret}
    books, orders, fills, positions, wallets, answers = (Inbox() for _ in range(6))
    with (
        socket(pybit.WebSocket(testnet=False, channel_type="linear")) as public,
        socket(pybit.WebSocket(channel_type="private", **keys)) as private,
        socket(pybit.WebSocketTrading(**keys)) as trade,
    ):
        public.orderbook_stream(50, "BTCUSDT", books)
        private.order_stream(orders)
        private.execution_stream(fills)
        private.position_stream(positions)
        private.wallet_stream(wallets)
        book = books.until(lambda message: bool(message["data"]["b"] and message["data"]["a"]))["data"]
        bid = max(Decimal(price) for price, _ in book["b"])
        low = str((bid * Decimal("0.99")).quantize(Decimal("0.1")))

        order = {**SYMBOL, "side": "Buy", "orderType": "Limit", "qty": "0.01", "timeInForce": "PostOnly"}
        trade.place_order(answers, **order, price=low, orderLinkId="w-1")
        placed = answers.until(lambda answer: answer["op"] == "order.create")["data"]["orderId"]
        orders.until(lambda seen: (seen["orderId"], seen["orderStatus"]) == (placed, "New"))
        trade.amend_order(answers, **SYMBOL, orderId=placed, qty="0.02")
        answers.until(lambda answer: answer["op"] == "order.amend")
        orders.until(lambda seen: (seen["orderId"], Decimal(seen["qty"])) == (placed, Decimal("0.02")))
        trade.cancel_order(answers, **SYMBOL, orderId=placed)
        answers.until(lambda answer: answer["op"] == "order.cancel")
        orders.until(lambda seen: (seen["orderId"], seen["orderStatus"]) == (placed, "Cancelled"))

        trade.place_order(answers, **order, price=str(bid - 5))
        maker = answers.until(lambda answer: answer["op"] == "order.create")["data"]["orderId"]
        exchange.fill(taker, account, maker)
        fill = fills.until(lambda seen: seen["orderId"] == maker)
        assert (fill["side"], fill["isMaker"], Decimal(fill["execPrice"])) == ("Buy", True, bid - 5)
        orders.until(lambda seen: (seen["orderId"], seen["orderStatus"]) == (maker, "Filled"))
        positions.until(lambda seen: Decimal(seen["size"]) == Decimal("0.01"))
        wallets.until(lambda seen: any(coin["coin"] == "USDT" for coin in seen["coin"]))
    [held] = exchange.answer(account, "GET", "/v5/position/list", **SYMBOL)["list"]
    assert Decimal(held["size"]) == Decimal("0.01")
