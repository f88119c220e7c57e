"""What an account did, as far as the venue remembers it, and the pages in which it is told.

Open orders are kept while they are open; closed ones, executions and closed profits are kept up to a number each, so
that memory stays bounded: the oldest leave first, and are counted. A cursor names the last row told, so a page does
not shift when something new happens.
Source: Bybit v5, "Get Open & Closed Orders", "Get Order History", "Get Trade History".
"""

import re
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from mmbot.exchange.listing import Listing
from mmbot.exchange.money import rate_text, text
from mmbot.exchange.orders import Order
from mmbot.exchange.refusals import bad_parameter

__all__ = ["ClosedProfit", "ExecutionRecord", "LinkIds", "Records", "page"]

RECENT_CLOSED_MAX = 500
_CURSOR = re.compile(r"page_token=([0-9]{1,18})&")


class ExecutionRecord(msgspec.Struct, kw_only=True):
    """One execution or funding settlement of one account, complete once it is booked. Amounts in units."""

    number: int
    execution_id: str
    listing: Listing
    order: Order | None
    """None for funding."""
    order_id: str
    side: str
    tick: int
    lots: int
    left: int
    value: int
    fee: int = 0
    fee_rate: int
    fee_coin: str = ""
    maker: bool
    profit: int = 0
    closed: int = 0
    ts_ms: int
    seq: int
    mark: int = 0
    index: int = 0

    def row(self) -> dict[str, Any]:
        """Write it as `/v5/execution/list` does."""
        listing, order = self.listing, self.order
        instrument = listing.instrument
        return {
            "symbol": listing.symbol,
            "orderId": self.order_id,
            "orderLinkId": order.link_id if order else "",
            "side": self.side,
            "orderPrice": instrument.price(order.tick) if order else "0",
            "orderQty": instrument.quantity(order.lots) if order else "0",
            "leavesQty": instrument.quantity(self.left) if self.left else "0",
            "createType": "CreateByUser" if order and not listing.is_spot else "",
            "orderType": order.said_type if order else "UNKNOWN",
            "stopOrderType": "" if listing.is_spot else "UNKNOWN",
            "execFee": text(self.fee),
            "execFeeV2": "",
            "execId": self.execution_id,
            "execPrice": instrument.price(self.tick),
            "execQty": instrument.quantity(self.lots),
            "execType": "Trade" if order else "Funding",
            "execValue": text(self.value),
            "execTime": str(self.ts_ms),
            "feeCurrency": self.fee_coin,
            "isMaker": self.maker,
            "feeRate": rate_text(self.fee_rate),
            "tradeIv": "",
            "markIv": "",
            "markPrice": instrument.price(self.mark) if self.mark else "",
            "indexPrice": instrument.price(self.index) if self.index else "",
            "underlyingPrice": "",
            "blockTradeId": "",
            "closedSize": instrument.quantity(self.closed) if self.closed else "0",
            "seq": self.seq,
            "extraFees": "",
        }

    def stream_row(self) -> dict[str, Any]:
        """Write it as the `execution` stream does."""
        row = self.row()
        row["category"] = self.listing.category
        row["isLeverage"] = self.order.is_leverage if self.order else ""
        row["execPnl"] = text(self.profit)
        row["marketUnit"] = self.order.market_unit if self.order else ""
        return row

    def fast_row(self) -> dict[str, Any]:
        """Write it as the `execution.fast` stream does: no fee, and no orderLinkId for a maker."""
        return {
            "category": self.listing.category,
            "symbol": self.listing.symbol,
            "execId": self.execution_id,
            "execPrice": self.listing.instrument.price(self.tick),
            "execQty": self.listing.instrument.quantity(self.lots),
            "orderId": self.order_id,
            "isMaker": self.maker,
            "orderLinkId": "" if self.maker or self.order is None else self.order.link_id,
            "side": self.side,
            "execTime": str(self.ts_ms),
            "seq": self.seq,
        }


class ClosedProfit(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution closed."""

    number: int
    listing: Listing
    order: Order
    lots: int
    entry_value: int
    exit_value: int
    profit: int
    fee: int
    leverage: int
    ts_ms: int

    def row(self) -> dict[str, Any]:
        """Write it as `/v5/position/closed-pnl` does; `side` is that of the closing order."""
        grid, instrument = self.listing.grid, self.listing.instrument
        qty = instrument.quantity(self.lots)
        return {
            "symbol": self.listing.symbol,
            "orderId": self.order.order_id,
            "side": self.order.said_side,
            "qty": qty,
            "closedSize": qty,
            "orderPrice": instrument.price(self.order.tick),
            "orderType": self.order.said_type,
            "execType": "Trade",
            "cumEntryValue": text(self.entry_value),
            "avgEntryPrice": grid.average(self.entry_value, self.lots),
            "cumExitValue": text(self.exit_value),
            "avgExitPrice": grid.average(self.exit_value, self.lots),
            "closedPnl": text(self.profit - self.fee),
            "openFee": "0",
            "closeFee": text(self.fee),
            "fillCount": "1",
            "leverage": text(self.leverage * 10**10),
            "createdTime": str(self.ts_ms),
            "updatedTime": str(self.ts_ms),
        }


class LinkIds:
    """Every orderLinkId that was ever used, in bounded memory: 64-bit fingerprints in open-addressed tables.

    A table holds 2^20 slots of 8 bytes and takes 600,000 ids, a tenth of what a Python set of the strings needs. When
    `tables_max` are full the oldest is forgotten, and counted: that is where "for ever" ends. Two different ids
    look alike with a chance of about 3 in 10^6 once ten million are kept; the younger is then refused as a duplicate.
    """

    SLOTS = 1 << 20
    FULL = 600_000

    def __init__(self, tables_max: int = 16) -> None:
        self.tables_max = tables_max
        self.used = 0
        self.forgotten = 0
        self._tables: list[array[int]] = []
        self._in_last = self.FULL

    def known(self, uid: int, link_id: str) -> bool:
        """Whether an id was used."""
        return self._slot(_fingerprint(uid, link_id)) is None

    def use(self, uid: int, link_id: str) -> None:
        """Use an id up; one that was used already changes nothing."""
        mark = _fingerprint(uid, link_id)
        if self._in_last >= self.FULL:
            self._grow()
        slot = self._slot(mark)
        if slot is None:
            return
        self._tables[-1][slot] = mark
        self._in_last += 1
        self.used += 1

    def _slot(self, mark: int) -> int | None:
        """Where a fingerprint would go in the last table; None if some table has it."""
        slot = start = mark & (self.SLOTS - 1)
        for table in self._tables:
            slot = start
            while table[slot]:
                if table[slot] == mark:
                    return None
                slot = (slot + 1) & (self.SLOTS - 1)
        return slot

    def _grow(self) -> None:
        if len(self._tables) >= self.tables_max:
            del self._tables[0]
            self.forgotten += self.FULL
        self._tables.append(array("Q", bytes(8 * self.SLOTS)))
        self._in_last = 0


def _fingerprint(uid: int, link_id: str) -> int:
    # An empty slot is 0, so no fingerprint may be.
    return (hash((uid, link_id)) & 0xFFFF_FFFF_FFFF_FFFF) or 1


class Records:
    """Orders, executions and closed profits of one account."""

    def __init__(self, *, closed_max: int = 20_000, executions_max: int = 50_000) -> None:
        self.open: dict[int, Order] = {}
        """By the floor's id, oldest first."""
        self.closed: deque[Order] = deque()
        self.recent: dict[str, deque[Order]] = {}
        """By category: what `openOnly=1` tells; a restart empties it."""
        self.executions: deque[ExecutionRecord] = deque(maxlen=executions_max)
        self.profits: deque[ClosedProfit] = deque(maxlen=executions_max)
        self.closed_max = closed_max
        self.closed_count = 0
        self.orders_forgotten = 0
        self._by_id: dict[str, Order] = {}
        self._by_link: dict[str, Order] = {}

    def add(self, order: Order) -> None:
        """Remember an open order."""
        self.open[order.number] = order
        self._by_id[order.order_id] = order
        if order.link_id:
            self._by_link[order.link_id] = order

    def close(self, order: Order) -> None:
        """Move an order that is done to the history."""
        self.open.pop(order.number, None)
        self.closed_count += 1
        order.closed_number = self.closed_count
        self.closed.append(order)
        category = order.listing.category
        recent = self.recent.get(category)
        if recent is None:
            recent = self.recent[category] = deque(maxlen=RECENT_CLOSED_MAX)
        recent.append(order)
        if len(self.closed) > self.closed_max:
            self._forget(self.closed.popleft())

    def find(self, listing: Listing, order_id: str, link_id: str) -> Order | None:
        """Return an order that is remembered; the venue's id wins over the client's."""
        order = self._by_id.get(order_id) if order_id else self._by_link.get(link_id)
        return order if order is not None and order.listing is listing else None

    def named(self, order_id: str, link_id: str) -> Order | None:
        """As `find`, whatever the instrument."""
        return self._by_id.get(order_id) if order_id else self._by_link.get(link_id)

    def history(self, now_ms: int, *, lag_ms: int, forget_ms: int) -> Iterator[Order]:
        """Closed orders, newest first, without those that are too fresh or, lacking fills, too old."""
        for order in reversed(self.closed):
            age_ms = now_ms - order.updated_ms
            if age_ms >= lag_ms and (order.cum or age_ms < forget_ms):
                yield order

    def restart(self) -> None:
        """What a restart of the venue forgets: the recent closed orders of `/v5/order/realtime`."""
        self.recent.clear()

    def _forget(self, order: Order) -> None:
        self.orders_forgotten += 1
        del self._by_id[order.order_id]
        if order.link_id:
            del self._by_link[order.link_id]


Row = TypeVar("Row")


def page(
    rows: Iterable[Row], number: Callable[[Row], int], write: Callable[[Row], dict[str, Any]], limit: int, cursor: str
) -> dict[str, Any]:
    """One page of rows whose numbers fall. Raises RefusedError for a cursor that is none of ours."""
    before = _read_cursor(cursor) if cursor else None
    told: list[dict[str, Any]] = []
    last = 0
    for row in rows:
        at = number(row)
        if before is not None and at >= before:
            continue
        if len(told) == limit:
            return {"list": told, "nextPageCursor": f"page_token%3D{last}%26"}
        told.append(write(row))
        last = at
    return {"list": told, "nextPageCursor": ""}


def _read_cursor(cursor: str) -> int:
    # A client may send it as it got it, or encoded once more; both come to the same text in the end.
    for _ in range(3):
        found = _CURSOR.fullmatch(cursor)
        if found:
            return int(found[1])
        cursor = unquote(cursor)
    raise bad_parameter("params error: cursor invalid")
