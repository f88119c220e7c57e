"""An order as the venue sees it, the states it goes through, and how it is written on the wire.

    (ack) ─▶ New ─▶ PartiallyFilled ─▶ Filled
                └─▶ Cancelled | PartiallyFilledCanceled (spot, with fills)
    (ack) ─▶ Rejected (spot) | Cancelled (post-only that would take; rest of IOC, FOK, Market)

Prices are ticks, quantities lots, money units of 10^-12. Source: Bybit v5, "Get Open & Closed Orders", "Order Stream".
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from mmbot.exchange.listing import Listing
from mmbot.exchange.market import Side, Tif
from mmbot.exchange.money import text

__all__ = ["OPEN", "Order", "Status", "order_row", "stream_row"]

Status: TypeAlias = Literal["New", "PartiallyFilled", "Filled", "Cancelled", "PartiallyFilledCanceled", "Rejected"]
OPEN = ("New", "PartiallyFilled")

_SIDES: dict[Side, str] = {"buy": "Buy", "sell": "Sell"}
_TIFS: dict[Tif, str] = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}


@dataclass(slots=True, kw_only=True, eq=False)
class Order:
    """One order of one account. Times are ms since epoch."""

    number: int
    """The floor's id, unique at this venue."""
    order_id: str
    link_id: str
    uid: int
    listing: Listing
    side: Side
    tick: int
    lots: int
    tif: Tif
    market: bool = False
    post_only: bool = False
    reduce_only: bool = False
    close_on_trigger: bool = False
    smp: str = "None"
    is_leverage: str = ""
    market_unit: str = ""
    slippage: tuple[str, str] = ("UNKNOWN", "0")
    """Type and size of a market order's tolerance."""
    last_price_on_created: str = ""
    created_ms: int
    updated_ms: int
    status: Status = "New"
    cum: int = 0
    cum_value: int = 0
    fees: dict[str, int] = field(default_factory=dict)
    """Paid by coin; negative is a rebate."""
    fee_coin: str = ""
    closed_pnl: int = 0
    held: int = 0
    """Units that a spot order locks, of the coin it would pay with."""
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    smp_order_id: str = ""
    closed_number: int = 0
    """Its place among the account's closed orders."""
    leaves_shown: int = 0
    """What `leavesQty` says once the order is done."""

    @property
    def open(self) -> bool:
        """Whether it may still trade."""
        return self.status in OPEN

    @property
    def left(self) -> int:
        """Lots that are not filled, whatever the state."""
        return self.lots - self.cum

    @property
    def leaves(self) -> int:
        """What `leavesQty` says: lots that may still fill."""
        return self.left if self.open else self.leaves_shown

    @property
    def said_side(self) -> str:
        """The side as the wire says it."""
        return _SIDES[self.side]

    @property
    def said_type(self) -> str:
        """The order type as the wire says it."""
        return "Market" if self.market else "Limit"

    @property
    def said_tif(self) -> str:
        """The time in force as the wire says it."""
        return "PostOnly" if self.post_only else _TIFS[self.tif]

    def book(self, lots: int, value: int, fee: int, coin: str, now_ms: int) -> None:
        """Take note of an execution."""
        self.cum += lots
        self.cum_value += value
        self.fees[coin] = self.fees.get(coin, 0) + fee
        self.fee_coin = coin
        self.status = "PartiallyFilled" if self.cum < self.lots else "Filled"
        self.updated_ms = now_ms

    def cancel(self, cancel_type: str, reason: str, now_ms: int) -> None:
        """It is done without the rest; spot has a word of its own for one with fills."""
        self.status = "PartiallyFilledCanceled" if self.cum and self.listing.is_spot else "Cancelled"
        self.cancel_type, self.reject_reason, self.updated_ms = cancel_type, reason, now_ms

    def kill(self, reason: str, now_ms: int) -> None:
        """The matching engine does not take it: Rejected on spot, unless it has fills; Cancelled on derivatives."""
        self.cancel("UNKNOWN", reason, now_ms)
        if self.status == "Cancelled" and self.listing.is_spot:
            self.status = "Rejected"


def order_row(order: Order) -> dict[str, Any]:
    """Write an order as REST answers do."""
    listing, leaves = order.listing, order.leaves
    grid, instrument = listing.grid, listing.instrument
    row = {
        "orderId": order.order_id,
        "orderLinkId": order.link_id,
        "parentOrderLinkId": "",
        "blockTradeId": "",
        "symbol": listing.symbol,
        "price": instrument.price(order.tick) if order.tick else "0",
        "qty": instrument.quantity(order.lots),
        "side": order.said_side,
        "isLeverage": order.is_leverage,
        "positionIdx": 0,
        "orderStatus": order.status,
        "cancelType": order.cancel_type,
        "rejectReason": order.reject_reason,
        "avgPrice": grid.average(order.cum_value, order.cum) if order.cum else "",
        "leavesQty": instrument.quantity(leaves) if leaves else "0",
        "leavesValue": text(grid.value(order.tick, leaves)) if leaves else "0",
        "cumExecQty": instrument.quantity(order.cum) if order.cum else "0",
        "cumExecValue": text(order.cum_value),
        "cumExecFee": text(order.fees.get(order.fee_coin, 0)),
        "cumFeeDetail": {coin: text(fee) for coin, fee in order.fees.items()},
        "timeInForce": order.said_tif,
        "orderType": order.said_type,
        "stopOrderType": "" if listing.is_spot else "UNKNOWN",
        "orderIv": "",
        "marketUnit": order.market_unit,
        "slippageToleranceType": order.slippage[0],
        "slippageTolerance": order.slippage[1],
        "triggerPrice": "",
        "takeProfit": "",
        "stopLoss": "",
        "tpslMode": "" if listing.is_spot else "UNKNOWN",
        "ocoTriggerBy": "",
        "tpLimitPrice": "",
        "slLimitPrice": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
        "triggerDirection": 0,
        "triggerBy": "",
        "lastPriceOnCreated": order.last_price_on_created,
        "reduceOnly": order.reduce_only,
        "closeOnTrigger": order.close_on_trigger,
        "placeType": "",
        "smpType": order.smp,
        "smpGroup": 0,
        "smpOrderId": order.smp_order_id,
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        "extraFees": "",
        "rpiTakerAccess": False,
        "rpiMatchedQty": "",
    }
    if listing.is_spot:
        row["basePrice"] = order.last_price_on_created
    else:
        row["createType"] = "CreateByUser"
    return row


def stream_row(order: Order) -> dict[str, Any]:
    """Write an order as the `order` stream does."""
    row = order_row(order)
    row["category"] = order.listing.category
    row["closedPnl"] = text(order.closed_pnl)
    row["feeCurrency"] = order.fee_coin
    row["brokerOrderPrice"] = ""
    return row
