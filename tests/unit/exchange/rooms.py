"""A venue in one process for these tests: one market or several, two accounts, a clock that is set by hand."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mmbot.exchange import rules
from mmbot.exchange.auth import sign
from mmbot.exchange.gateway import Call, Gateway, Reply
from mmbot.exchange.market import Market
from mmbot.exchange.opening import AccountTerms, open_gateway
from mmbot.exchange.switches import Switches

START_MS = 1_700_000_000_000
COARSE = {
    "min_order_qty": "1",
    "max_order_qty": "100",
    "max_market_qty": "50",
    "min_price": "1",
    "max_price": "100000",
    "price_limit_x": "0.1",
    "price_limit_y": "0.2",
}
FEES = ("-0.0001", "0.0005")
LINEAR = rules.linear("BTC", "1", "1", fees=FEES).model_copy(update=COARSE)
INVERSE = rules.inverse("BTC", "1", fees=FEES).model_copy(update={**COARSE, "max_order_qty": "100000"})
SPOT = rules.spot("BTC", "1", "1", fees=FEES).model_copy(update=COARSE)
ANN, BOB = 1001, 1002


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def push(self, kind: str, topic: str, rows: list[dict[str, Any]]) -> None:
        """Keep the rows with their topic."""
        self.rows += [(topic, row) for row in rows]

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what was heard since the last time."""
        rows, self.rows = self.rows, []
        return rows


class Room:
    """Markets at 99/101 with ten lots a side, Ann and Bob with 100,000 USDT and 1,000 BTC, and the gateway."""

    def __init__(self, *terms: rules.Rules, balances: dict[str, str] | None = None, **switches: Any) -> None:
        self.now_ms = START_MS
        self.markets = [Market(each, self.clock) for each in terms or (LINEAR,)]
        rich = {"USDT": "100000", "BTC": "1000"} if balances is None else balances
        accounts = [
            AccountTerms(uid=uid, key=name, secret=f"{name}-secret", balances=rich, tier="unlimited")
            for uid, name in ((ANN, "ann"), (BOB, "bob"))
        ]
        self.gateway: Gateway = open_gateway(self.markets, self.clock, accounts, switches=Switches(**switches))
        self.house, self.desk = self.gateway.house, self.gateway.desk
        self.ann, self.bob = self.house.accounts[ANN], self.house.accounts[BOB]
        for market in self.markets:
            self.book(market, [(99, 10)], [(101, 10)])
            market.settle(self.now_ms)

    def clock(self) -> int:
        """Ns since epoch."""
        return self.now_ms * 1_000_000

    def book(self, market: Market, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> None:
        """Set the public's book."""
        market.public_depth("snapshot", list(bids), list(asks), self.clock())

    def order(self, side: str, qty: object, price: object = None, **more: Any) -> dict[str, Any]:
        """A create for the first market."""
        market = self.markets[0]
        body: dict[str, Any] = {"category": market.category, "symbol": market.symbol, "side": side, "qty": str(qty)}
        body |= {"orderType": "Market"} if price is None else {"orderType": "Limit", "price": str(price)}
        return {**body, **more}

    def named(self, **more: Any) -> dict[str, Any]:
        """The first market's category and symbol, and more."""
        return {"category": self.markets[0].category, "symbol": self.markets[0].symbol, **more}

    def get(self, path: str, query: str = "", key: str = "ann", **more: Any) -> dict[str, Any]:
        """A signed GET, and the body of its answer."""
        return answer(self.gateway.rest(self.call("GET", path, query=query, key=key, **more)))

    def post(self, path: str, body: dict[str, Any], key: str = "ann") -> dict[str, Any]:
        """A signed POST, and the body of its answer."""
        return answer(self.gateway.rest(self.call("POST", path, body=msgspec.json.encode(body), key=key)))

    def call(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: bytes = b"",
        key: str = "ann",
        address: str = "127.0.0.1",
    ) -> Call:
        """A signed request."""
        payload = query.encode() if method == "GET" else body
        stamp = str(self.now_ms)
        headers = {
            "X-BAPI-API-KEY": key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(f"{key}-secret", f"{stamp}{key}5000".encode() + payload),
        }
        return Call(method, path, query.encode(), body, headers, address)


def answer(reply: Reply) -> dict[str, Any]:
    """The body of a reply."""
    assert reply.body is not None
    return msgspec.json.decode(reply.body)
