"""Shanghai Stock Exchange, order by order: a line of an AXOrderBook log to a record, pure.

Source: fpga2u/AXOrderBook, which prints the exchange's binary messages as `Name=value` pairs: 192 is an order (OrdType
A added, D withdrawn), 191 an execution (ExecType B or S: who came second; N: an auction), 111 a snapshot of ten levels;
letters are given as their ASCII numbers. Prices and quantities count thousandths, times are HHMMSScc at UTC+8.
`BizIndex` numbers orders and executions of a channel in the order in which the exchange made them; an order that trades
when it comes is published with what is left of it.
"""

from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

import msgspec

from mmbot.venues.records import Skipped, WireError

NS_PER_CENTISECOND = 10_000_000
SHANGHAI_AHEAD_NS = 8 * 3_600 * 1_000_000_000

_SIDES: dict[str, Literal["buy", "sell"]] = {"66": "buy", "83": "sell"}
_ORDER, _EXECUTION, _TEN_LEVELS = "192", "191", "111"
_ADDED, _WITHDRAWN, _AUCTION = "65", "68", "78"


class OrderAdded(msgspec.Struct, frozen=True, kw_only=True):
    """An order that comes to rest. `index` is its place in the exchange's order; `ts_venue` ns since epoch."""

    symbol: str
    index: int
    ts_venue: int
    id: int
    side: Literal["buy", "sell"]
    price: str
    qty: str


class OrderWithdrawn(msgspec.Struct, frozen=True, kw_only=True):
    """So much of an order is withdrawn."""

    symbol: str
    index: int
    ts_venue: int
    id: int
    qty: str


class OrdersExecuted(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of two orders; `aggressor` came second and rests with what is left, if at all. None: an auction."""

    symbol: str
    index: int
    ts_venue: int
    bid_id: int
    ask_id: int
    qty: str
    aggressor: Literal["buy", "sell"] | None


OrderRecord: TypeAlias = OrderAdded | OrderWithdrawn | OrdersExecuted


def decode(line: bytes, day: date) -> OrderRecord | Skipped:
    """The record of one line of `day`'s log.

    Raises:
        WireError: The line lacks a field, or has it with another type.
    """
    try:
        words = dict(word.split("=", 1) for word in line.decode("ascii").split() if "=" in word)
        return _decoded(words, day)
    except KeyError as error:
        raise WireError(f"SSE line: no field {error}") from error
    except ValueError as error:
        raise WireError(f"SSE line: {error}") from error


def nanoseconds(day: date, clock: str) -> int:
    """The time HHMMSScc in Shanghai, as ns since epoch. Raises ValueError for no time of day."""
    if not clock.isdigit() or len(clock) > 8:
        raise ValueError(f"time {clock!r} is not HHMMSScc")
    hhmmss, centiseconds = divmod(int(clock), 100)
    hours, minutes, seconds = hhmmss // 10_000, hhmmss // 100 % 100, hhmmss % 100
    moment = datetime(day.year, day.month, day.day, hours, minutes, seconds, tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 - SHANGHAI_AHEAD_NS + centiseconds * NS_PER_CENTISECOND


def _decoded(words: dict[str, str], day: date) -> OrderRecord | Skipped:
    kind = words["MsgType"]
    if kind == _TEN_LEVELS:
        return Skipped(kind="ten levels")
    if kind not in (_ORDER, _EXECUTION):
        return Skipped(kind=f"message {kind}")
    symbol, index = words["SecurityID"], int(words["BizIndex"])
    ts_venue = nanoseconds(day, words["TransactTime"])
    if kind == _EXECUTION:
        came_second = words["ExecType"]
        if came_second != _AUCTION and came_second not in _SIDES:
            raise WireError(f"ExecType {came_second} is none of 66, 78, 83")
        return OrdersExecuted(
            symbol=symbol,
            index=index,
            ts_venue=ts_venue,
            bid_id=int(words["BidApplSeqNum"]),
            ask_id=int(words["OfferApplSeqNum"]),
            qty=_decimal(words["LastQty"]),
            aggressor=_SIDES.get(came_second),
        )
    id_, qty, what = int(words["OrderNo"]), _decimal(words["OrderQty"]), words["OrdType"]
    if what == _WITHDRAWN:
        return OrderWithdrawn(symbol=symbol, index=index, ts_venue=ts_venue, id=id_, qty=qty)
    if what != _ADDED:
        raise WireError(f"OrdType {what} is neither 65 (added) nor 68 (withdrawn)")
    side, price = _SIDES[words["Side"]], _decimal(words["Price"])
    return OrderAdded(symbol=symbol, index=index, ts_venue=ts_venue, id=id_, side=side, price=price, qty=qty)


def _decimal(thousandths: str) -> str:
    whole, rest = divmod(int(thousandths), 1_000)
    return f"{whole}.{rest:03d}"
