"""Market data over REST: `/v5/market/*` and the system status.

A parameter that makes no sense is answered with 10001 and what was wrong, as the venue does: HTTP status 200.
Risk limits and fee groups are generated content: one tier, and the instrument's own rates.
Source: Bybit v5, "Market" section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, TypeAlias

from aiohttp import web

from mmbot.exchange import tickers
from mmbot.exchange.answers import answer, envelope, parameters
from mmbot.exchange.client_text import read_whole
from mmbot.exchange.hall import Hall
from mmbot.exchange.instruments_info import instrument_row
from mmbot.exchange.klines import INTERVALS, Candle, end_of
from mmbot.exchange.market import Market
from mmbot.exchange.publisher import candle_fields, klines_of, print_id
from mmbot.exchange.wire_text import decimal_text

__all__ = ["PublicRest"]

Query: TypeAlias = dict[str, str]
Result: TypeAlias = dict[str, Any]

_CATEGORIES = ("linear", "inverse", "spot", "option")
_SIDES = {"buy": "Buy", "sell": "Sell"}
_SECOND_NS = 1_000_000_000
_RISK_PAGE = 15


class BadParameterError(ValueError):
    """A request that the venue answers with 10001."""


def _whole(text: str, otherwise: str) -> int:
    try:
        return read_whole(text)
    except ValueError as error:
        raise BadParameterError(otherwise) from error


def _limit(query: Query, *, default: int, most: int) -> int:
    text = query.get("limit", str(default))
    said = f"params error: limit {text} is not between 1 and {most}"
    limit = _whole(text, said)
    if not 1 <= limit <= most:
        raise BadParameterError(said)
    return limit


def _time(query: Query, name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    return _whole(text, f"params error: {name} {text} is no time in milliseconds")


def _category(query: Query, default: str | None = None) -> str:
    category = query.get("category", default)
    if category not in _CATEGORIES:
        raise BadParameterError(
            "params error: Category is invalid" if category else "params error: Category is required"
        )
    return category


def _page(rows: Sequence[Any], query: Query, size: int) -> tuple[list[Any], str]:
    """One page and the cursor of the next, which is opaque text, URL-encoded as the venue's."""
    cursor = query.get("cursor", "page_token=0&").removeprefix("page_token=").removesuffix("&")
    start = _whole(cursor, "params error: cursor is invalid")
    after = start + size
    return list(rows[start:after]), f"page_token%3D{after}%26" if after < len(rows) else ""


class PublicRest:
    """Handlers of the public paths."""

    def __init__(self, hall: Hall) -> None:
        self._hall = hall

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """The route table."""
        paths: dict[str, Callable[[Query], Result]] = {
            "/v5/market/time": self._time,
            "/v5/market/instruments-info": self._instruments,
            "/v5/market/tickers": self._tickers,
            "/v5/market/orderbook": self._orderbook,
            "/v5/market/recent-trade": self._recent_trades,
            "/v5/market/kline": lambda query: self._kline(query, ""),
            "/v5/market/mark-price-kline": lambda query: self._kline(query, "mark-price"),
            "/v5/market/index-price-kline": lambda query: self._kline(query, "index-price"),
            "/v5/market/premium-index-price-kline": lambda query: self._kline(query, "premium-index-price"),
            "/v5/market/funding/history": self._funding_history,
            "/v5/market/price-limit": self._price_limit,
            "/v5/market/risk-limit": self._risk_limit,
            "/v5/market/fee-group-info": self._fee_groups,
            "/v5/system/status": self._system_status,
        }
        return [web.get(path, self._handler(read)) for path, read in paths.items()]

    def _handler(self, read: Callable[[Query], Result]) -> Callable[[web.Request], Any]:
        async def answered(request: web.Request) -> web.Response:
            now_ms = self._hall.now_ms()
            try:
                return answer(envelope(read(parameters(request)), now_ms))
            except BadParameterError as error:
                return answer(envelope({}, now_ms, code=10001, message=str(error)))

        return answered

    # --- instruments ---

    def _markets(self, category: str, query: Query) -> list[Market]:
        markets = [market for market in self._hall.markets.values() if market.category == category]
        symbol, base = query.get("symbol"), query.get("baseCoin")
        if symbol is not None:
            markets = [market for market in markets if market.symbol == symbol]
            if not markets and category != "option":
                raise BadParameterError("params error: symbol invalid")
        return [market for market in markets if base in (None, market.rules.base_coin)]

    def _market(self, query: Query, category: str | None = None) -> Market:
        category = category or _category(query)
        if "symbol" not in query:
            raise BadParameterError("params error: Symbol is required")
        found = self._hall.markets.get((category, query["symbol"]))
        if found is None:
            raise BadParameterError("params error: symbol invalid")
        return found

    def _time(self, query: Query) -> Result:
        now = self._hall.now_ns()
        return {"timeSecond": str(now // _SECOND_NS), "timeNano": str(now)}

    def _instruments(self, query: Query) -> Result:
        category = _category(query)
        status = query.get("status", "Trading")
        rows = [instrument_row(market) for market in self._markets(category, query)]
        rows = [row for row in rows if row["status"] == status]
        if category == "spot":
            return {"category": category, "list": rows}
        page, cursor = _page(rows, query, _limit(query, default=500, most=1000))
        return {"category": category, "list": page, "nextPageCursor": cursor}

    def _risk_limit(self, query: Query) -> Result:
        category = _category(query)
        rows = [
            {
                "id": market.rules.symbol_id,
                "symbol": market.symbol,
                "riskLimitValue": market.rules.risk_limit_value,
                "maintenanceMargin": market.rules.maintenance_margin,
                "initialMargin": market.rules.initial_margin,
                "isLowestRisk": 1,
                "maxLeverage": market.rules.max_leverage,
                "mmDeduction": "",
            }
            for market in self._markets(category, query)
            if not market.rules.is_spot
        ]
        page, cursor = _page(rows, query, _RISK_PAGE)
        return {"category": category, "list": page, "nextPageCursor": cursor}

    def _fee_groups(self, query: Query) -> Result:
        if query.get("productType") != "contract":
            raise BadParameterError("params error: productType must be contract")
        markets = [market for market in self._hall.markets.values() if not market.rules.is_spot]
        group = {
            "groupName": "Simulated contracts",
            "groupId": 1,
            "weightingFactor": 1,
            "symbolsNumbers": len(markets),
            "symbols": [market.symbol for market in markets],
            "feeRates": {
                "pro": [],
                "marketMaker": [
                    {
                        "level": "MM 1",
                        "makerFeeRebate": market.rules.maker_rate,
                        "takerFeeRate": market.rules.taker_rate,
                    }
                    for market in islice(markets, 1)
                ],
            },
            "updateTime": str(self._hall.started_ms),
        }
        asked = query.get("groupId", "1")
        return {"list": [group] if asked == "1" else []}

    def _system_status(self, query: Query) -> Result:
        return {"list": [notice for notice in self._hall.notices if query.get("id") in (None, notice["id"])]}

    # --- the market now ---

    def _tickers(self, query: Query) -> Result:
        category = _category(query)
        now_ms = self._hall.now_ms()
        rows = [
            tickers.rest_row(market, self._hall.publisher.texts(market), now_ms)
            for market in self._markets(category, query)
        ]
        return {"category": category, "list": rows}

    def _orderbook(self, query: Query) -> Result:
        market = self._market(query)
        limit = _limit(query, default=1 if market.rules.is_spot else 25, most=1000)
        book = self._hall.publisher.book(market.category, market.symbol, 1000)
        texts = self._hall.publisher.texts(market)
        bids, asks = market.floor.published(1000)
        now_ms = self._hall.now_ms()
        return {
            "s": market.symbol,
            "b": texts.rows(bids[:limit]),
            "a": texts.rows(asks[:limit]),
            "ts": now_ms,
            "u": book.u,
            "seq": book.seq,
            "cts": min(book.event_ms, now_ms),
        }

    def _recent_trades(self, query: Query) -> Result:
        market = self._market(query)
        spot = market.rules.is_spot
        limit = _limit(query, default=60 if spot else 500, most=60 if spot else 1000)
        texts = self._hall.publisher.texts(market)
        rows = [
            {
                "execId": print_id(market, told.number),
                "symbol": market.symbol,
                "price": texts.price(told.tick),
                "size": texts.qty(told.lots),
                "side": _SIDES[told.side],
                "time": str(told.ts_ms),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(told.seq),
            }
            for told in islice(reversed(market.prints), limit)
        ]
        return {"category": market.category, "list": rows}

    def _price_limit(self, query: Query) -> Result:
        market = self._market(query, _category(query, "linear"))
        texts = self._hall.publisher.texts(market)
        buy, sell = market.price_limits()
        now = str(self._hall.now_ms())
        return {"symbol": market.symbol, "buyLmt": texts.price(buy), "sellLmt": texts.price(sell), "ts": now}

    # --- the past ---

    def _kline(self, query: Query, kind: str) -> Result:
        category = _category(query, "linear")
        market = self._market(query, category)
        interval = query.get("interval")
        if interval not in INTERVALS:
            raise BadParameterError(f"params error: interval must be one of {' '.join(INTERVALS)}")
        limit = _limit(query, default=200, most=1000)
        start, end = _time(query, "start"), _time(query, "end")
        series = klines_of(market, kind)[interval]
        inside = [
            candle
            for candle in series
            if (start is None or end_of(interval, candle.start) >= start) and (end is None or candle.start <= end)
        ]
        chosen = inside[:limit] if end is not None or start is None else inside[-limit:]
        rows = [[str(candle.start), *self._columns(market, kind, candle)] for candle in chosen]
        return {"symbol": market.symbol, "category": category, "list": rows}

    def _columns(self, market: Market, kind: str, candle: Candle) -> list[str]:
        if kind == "premium-index-price":
            rates = (candle.open, candle.high, candle.low, candle.close)
            return [decimal_text(Decimal(rate).scaleb(-8)) for rate in rates]
        fields = candle_fields(market, self._hall.publisher.texts(market), candle)
        return fields if not kind else fields[:4]

    def _funding_history(self, query: Query) -> Result:
        category = _category(query)
        market = self._market(query, category)
        start, end = _time(query, "startTime"), _time(query, "endTime")
        if start is not None and end is None:
            raise BadParameterError("params error: endTime is required with startTime")
        limit = _limit(query, default=200, most=200)
        points = [
            point
            for point in reversed(market.fundings)
            if (start is None or point.ts_ms >= start) and (end is None or point.ts_ms <= end)
        ]
        rows = [
            {
                "symbol": market.symbol,
                "fundingRate": decimal_text(Decimal(point.rate).scaleb(-8)),
                "fundingRateTimestamp": str(point.ts_ms),
            }
            for point in points[:limit]
        ]
        return {"category": category, "list": rows}
