"""What an account may ask about itself: the GET endpoints, as functions of state, parameters and time.

Source: Bybit v5, "Trade", "Position", "Account", "User" and "Asset" endpoints.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, TypeAlias, TypeVar

from mmbot.exchange.account import Account
from mmbot.exchange.auth import ApiKey
from mmbot.exchange.client_text import read_whole
from mmbot.exchange.desk import read_category, scope_of
from mmbot.exchange.history import ClosedProfit, ExecutionRecord, page
from mmbot.exchange.house import House
from mmbot.exchange.listing import Listing
from mmbot.exchange.money import rate_text, text
from mmbot.exchange.orders import Order, order_row
from mmbot.exchange.refusals import bad_parameter, bad_symbol
from mmbot.exchange.statements import position_row, wallet_row
from mmbot.exchange.wallet import LogRow

__all__ = ["QUERIES", "Question"]

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
Row = TypeVar("Row")
Params: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One GET of one account."""

    house: House
    account: Account
    key: ApiKey
    params: Params
    now_ms: int

    def get(self, name: str) -> str:
        """A parameter, or ""."""
        return self.params.get(name, "")

    def limit(self, default: int, most: int) -> int:
        """How many rows; the venue cuts what is too many down to what it gives."""
        said = self.get("limit")
        if not said:
            return default
        try:
            limit = read_whole(said)
        except ValueError as error:
            raise bad_parameter("params error: limit invalid") from error
        if limit < 1:
            raise bad_parameter("params error: limit invalid")
        return min(limit, most)

    def window(self, default_ms: int = WEEK_MS) -> tuple[int, int]:
        """First and last ms that are asked about: at most seven days."""
        said = [self.get("startTime"), self.get("endTime")]
        try:
            start, end = (read_whole(each) if each else None for each in said)
        except ValueError as error:
            raise bad_parameter("params error: startTime and endTime are ms") from error
        if start is None:
            end = self.now_ms if end is None else end
            start = end - default_ms
        elif end is None:
            end = start + default_ms
        if start > end:
            raise bad_parameter("params error: startTime is after endTime")
        if end - start > WEEK_MS:
            raise bad_parameter("The time range between startTime and endTime cannot exceed 7 days")
        return start, end

    def scope(self, *, need: bool) -> set[Listing]:
        """The instruments that symbol, baseCoin or settleCoin name; all of the category unless one is needed."""
        category = read_category(self.params)
        if not need and not any(self.get(name) for name in ("symbol", "baseCoin", "settleCoin")):
            return {listing for listing in self.house.listings.values() if listing.category == category}
        return scope_of(self.house, category, self.params)


def open_orders(ask: Question) -> dict[str, Any]:
    """`/v5/order/realtime`: open orders, newest first; by id also recent closed ones; with `openOnly=1` only those."""
    order_id, link_id = ask.get("orderId"), ask.get("orderLinkId")
    if ask.get("category") == "option":  # who looks at a whole account asks for them too
        return {"category": "option", "list": [], "nextPageCursor": ""}
    category = read_category(ask.params)
    records, lag_ms = ask.account.records, ask.house.switches.realtime_lag_ms
    recent: Iterable[Order] = records.recent.get(category, ())
    if order_id or link_id:
        found = records.named(order_id, link_id)
        orders = [found] if found is not None and (found.open or found in recent) else []
        scope = {listing for listing in ask.house.listings.values() if listing.category == category}
    else:
        closed = ask.get("openOnly") not in ("", "0")
        orders = list(recent if closed else records.open.values())
        scope = ask.scope(need=category == "linear")
    told = [order for order in orders if order.listing in scope and ask.now_ms - order.created_ms >= lag_ms]
    told.sort(key=_number, reverse=True)
    answer = page(told, _number, order_row, ask.limit(20, 50), ask.get("cursor"))
    return {"category": category, **answer}


def order_history(ask: Question) -> dict[str, Any]:
    """`/v5/order/history`: closed orders, the last closed first."""
    start, end = ask.window()
    scope = ask.scope(need=False)
    order_id, link_id, status = ask.get("orderId"), ask.get("orderLinkId"), ask.get("orderStatus")
    switches = ask.house.switches
    closed = ask.account.records.history(
        ask.now_ms, lag_ms=switches.history_lag_ms, forget_ms=switches.forget_cancelled_ms
    )
    told = (
        order
        for order in closed
        if order.listing in scope
        and start <= order.created_ms <= end
        and (not order_id or order.order_id == order_id)
        and (order_id or not link_id or order.link_id == link_id)
        and (not status or order.status == status)
    )
    answer = page(told, lambda order: order.closed_number, order_row, ask.limit(20, 50), ask.get("cursor"))
    return {"category": read_category(ask.params), **answer}


def executions(ask: Question) -> dict[str, Any]:
    """`/v5/execution/list`: executions and funding settlements, newest first."""
    start, end = ask.window()
    scope = ask.scope(need=False)
    order_id, link_id, kind = ask.get("orderId"), ask.get("orderLinkId"), ask.get("execType")
    newest = ask.now_ms - ask.house.switches.execution_lag_ms
    told = (
        record
        for record in _until(reversed(ask.account.records.executions), lambda record: record.ts_ms < start)
        if record.ts_ms <= min(end, newest)
        and record.listing in scope
        and (not order_id or record.order_id == order_id)
        and (order_id or not link_id or (record.order is not None and record.order.link_id == link_id))
        and (not kind or kind == ("Trade" if record.order else "Funding"))
    )
    answer = page(told, lambda record: record.number, ExecutionRecord.row, ask.limit(50, 100), ask.get("cursor"))
    return {"category": read_category(ask.params), **answer}


def positions(ask: Question) -> dict[str, Any]:
    """`/v5/position/list`: by symbol also a flat one, otherwise only what is open."""
    category = read_category(ask.params)
    if category == "spot":
        raise bad_parameter("params error: category invalid")
    scope = ask.scope(need=category == "linear")
    rows = [
        position_row(ask.account, ask.account.holding(listing), ask.house.price_of, stream=False)
        for listing in ask.house.listings.values()
        if listing in scope and (ask.get("symbol") or ask.account.holding(listing).position.lots)
    ]
    return {"category": category, "list": rows, "nextPageCursor": ""}


def closed_profits(ask: Question) -> dict[str, Any]:
    """`/v5/position/closed-pnl`: what closing earned, newest first; one row for each execution."""
    start, end = ask.window()
    scope = ask.scope(need=False)
    told = (
        row
        for row in _until(reversed(ask.account.records.profits), lambda row: row.ts_ms < start)
        if row.ts_ms <= end and row.listing in scope
    )
    answer = page(told, lambda row: row.number, ClosedProfit.row, ask.limit(50, 100), ask.get("cursor"))
    return {"category": read_category(ask.params), **answer}


def wallet_balance(ask: Question) -> dict[str, Any]:
    """`/v5/account/wallet-balance`: the unified account, all coins or those named."""
    if ask.get("accountType") not in ("UNIFIED", ""):
        raise bad_parameter("accountType only support UNIFIED.")
    coins = ask.get("coin")
    named = {coin for coin in coins.split(",") if coin} if coins else None
    return {"list": [wallet_row(ask.account, ask.house.price_of, named)]}


def fee_rate(ask: Question) -> dict[str, Any]:
    """`/v5/account/fee-rate`: taker and maker rates, of one symbol or all of a category."""
    category, symbol = read_category(ask.params), ask.get("symbol")
    rows = []
    for listing in ask.house.listings.values():
        if listing.category == category and symbol in ("", listing.symbol):
            maker, taker = ask.account.fee_rates(listing)
            rows.append({"symbol": listing.symbol, "takerFeeRate": rate_text(taker), "makerFeeRate": rate_text(maker)})
    if symbol and not rows:
        raise bad_symbol(category)
    return {"category": category, "list": rows}


def account_facts(ask: Question) -> dict[str, Any]:
    """`/v5/account/info`: a unified account 2.0 with cross margin."""
    return {
        "unifiedMarginStatus": 5,
        "marginMode": "REGULAR_MARGIN",
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
        "updatedTime": str(ask.account.created_ms),
        "dcpStatus": "ON" if ask.account.dcp else "OFF",
        "timeWindow": max(ask.account.dcp.values(), default=10),
        "smpGroup": 0,
    }


def key_facts(ask: Question) -> dict[str, Any]:
    """`/v5/user/query-api`: what the key may do, and whose it is."""
    key = ask.key
    names = (
        "ContractTrade",
        "Spot",
        "Wallet",
        "Options",
        "Derivatives",
        "CopyTrading",
        "BlockTrade",
        "Exchange",
        "NFT",
    )
    expires = "" if key.expires_ms is None else _utc(key.expires_ms)
    left_days = 0 if key.expires_ms is None else max(key.expires_ms - ask.now_ms, 0) // DAY_MS
    return {
        "id": str(ask.account.uid),
        "note": "simulator",
        "apiKey": key.key,
        "readOnly": int(key.read_only),
        "secret": "",
        "permissions": {**{name: [] for name in names}, **{name: list(may) for name, may in key.scopes.items()}},
        "ips": list(key.ips) or ["*"],
        "type": 1,
        "deadlineDay": left_days,
        "expiredAt": expires,
        "createdAt": _utc(key.created_ms),
        "unified": 0,
        "uta": 1,
        "userID": ask.account.uid,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    }


def coin_facts(ask: Question) -> dict[str, Any]:
    """`/v5/asset/coin/query-info`: the coins that are traded; they have no chains, since nothing is ever withdrawn."""
    coins = {coin for listing in ask.house.listings.values() for coin in (listing.base, listing.settle)}
    wanted = ask.get("coin")
    return {
        "rows": [
            {"name": coin, "coin": coin, "remainAmount": "0", "chains": []}
            for coin in sorted(coins)
            if wanted in ("", coin)
        ]
    }


def transaction_log(ask: Question) -> dict[str, Any]:
    """`/v5/account/transaction-log`: every change of a balance, newest first."""
    start, end = ask.window(DAY_MS)
    wanted = {"category": ask.get("category"), "coin": ask.get("currency"), "kind": ask.get("type")}
    told = (
        row
        for row in _until(reversed(ask.account.wallet.log), lambda row: row.ts_ms < start)
        if row.ts_ms <= end and all(said in ("", getattr(row, name)) for name, said in wanted.items())
    )
    return page(told, lambda row: row.number, log_row, ask.limit(20, 50), ask.get("cursor"))


def dcp_facts(ask: Question) -> dict[str, Any]:
    """`/v5/account/query-dcp-info`: the windows that are set; nothing for an account that may not have any."""
    rows = [
        {"product": product, "dcpStatus": "ON", "timeWindow": str(seconds)}
        for product, seconds in ask.account.dcp.items()
    ]
    return {"dcpInfos": rows if ask.account.institutional else []}


def behaviour(ask: Question) -> dict[str, Any]:
    """`/v5/account/user-setting-config`: on spot `true` re-prices, on contracts `true` refuses, as documented."""
    reprices = ask.account.reprices
    return {"lpaSpot": reprices["spot"], "lpaPerp": not reprices["contract"]}


def log_row(row: LogRow) -> dict[str, Any]:
    """Write one row of the transaction log."""
    return {
        "id": str(row.number),
        "symbol": row.symbol,
        "category": row.category,
        "side": row.side,
        "transactionTime": str(row.ts_ms),
        "type": row.kind,
        "transSubType": "",
        "qty": row.qty,
        "size": row.size,
        "currency": row.coin,
        "tradePrice": row.price,
        "funding": text(row.funding) if row.kind == "SETTLEMENT" else "",
        "fee": text(row.fee),
        "cashFlow": text(row.cash_flow),
        "change": text(row.change),
        "cashBalance": text(row.balance),
        "feeRate": rate_text(row.fee_rate),
        "bonusChange": "",
        "tradeId": row.trade_id,
        "orderId": row.order_id,
        "orderLinkId": row.link_id,
        "extraFees": "",
    }


QUERIES: dict[str, Callable[[Question], dict[str, Any]]] = {
    "order/realtime": open_orders,
    "order/history": order_history,
    "execution/list": executions,
    "position/list": positions,
    "position/closed-pnl": closed_profits,
    "account/wallet-balance": wallet_balance,
    "account/fee-rate": fee_rate,
    "account/info": account_facts,
    "account/transaction-log": transaction_log,
    "account/query-dcp-info": dcp_facts,
    "account/user-setting-config": behaviour,
    "user/query-api": key_facts,
    "asset/coin/query-info": coin_facts,
}
"""By the path below `/v5/`, which is also the rate group."""


def _number(order: Order) -> int:
    return order.number


def _until(rows: Iterable[Row], stop: Callable[[Row], bool]) -> Iterable[Row]:
    return takewhile(lambda row: not stop(row), rows)


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
