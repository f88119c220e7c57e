"""What a create or amend asks for: request fields in, whole numbers out, or the venue's refusal.

Only what the request alone decides is decided here; balances, bands and positions are the desk's. Conditional orders,
TP/SL, RPI, BBO prices, hedge mode and spot margin are refused by name: the simulator does not model them.
Source: Bybit v5, "Place Order" and "Amend Order".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from mmbot.exchange.listing import Listing
from mmbot.exchange.market import SelfTrade, Side, Tif
from mmbot.exchange.money import units
from mmbot.exchange.refusals import RefusedError, bad_parameter, bad_price, bad_qty, unsupported

__all__ = ["SMP", "Body", "Change", "Ticket", "read_change", "read_link_id", "read_ticket"]

Body: TypeAlias = Mapping[str, Any]

SMP: dict[str, SelfTrade] = {
    "None": "none",
    "CancelMaker": "cancel_maker",
    "CancelTaker": "cancel_taker",
    "CancelBoth": "cancel_both",
}
_SIDES: dict[str, Side] = {"Buy": "buy", "Sell": "sell"}
_TIFS: dict[str, Tif] = {"GTC": "gtc", "": "gtc", "IOC": "ioc", "FOK": "fok", "PostOnly": "gtc"}
NO_SLIPPAGE = ("UNKNOWN", "0")
_LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_NOT_MODELLED = (
    "triggerPrice",
    "takeProfit",
    "stopLoss",
    "tpLimitPrice",
    "slLimitPrice",
    "bboSideType",
    "orderIv",
    "mmp",
    "rpiTakerAccess",
)


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A readable create. `lots` is None for a market buy on spot that names an amount of the quote coin (`budget`)."""

    side: Side
    market: bool
    tick: int
    lots: int | None
    budget: int
    """Units of the quote coin to spend; 0 unless `lots` is None."""
    tif: Tif
    post_only: bool
    reduce_only: bool
    close_on_trigger: bool
    smp: str
    link_id: str
    slippage: tuple[str, str]
    """Type and size of a market order's tolerance; ("UNKNOWN", "0") for none."""
    market_unit: str


@dataclass(slots=True)
class Change:
    """A readable amend; None leaves as it is. `lots` is the new total."""

    tick: int | None
    lots: int | None


def read_ticket(listing: Listing, body: Body) -> Ticket:
    """Read a create. Raises RefusedError."""
    _refuse_unmodelled(body)
    side = _SIDES.get(_word(body, "side"))
    if side is None:
        raise _unknown(listing, 170116, "side", body)
    kind = body.get("orderType")
    if kind not in ("Limit", "Market"):
        raise _unknown(listing, 170114, "orderType", body)
    market = kind == "Market"
    tif, post_only = _read_tif(listing, body, market)
    smp = _word(body, "smpType") or "None"
    if smp not in SMP:
        raise bad_parameter("params error: smpType invalid")
    reduce_only, close_on_trigger = _read_reducing(listing, body)
    unit = _read_unit(body, side) if listing.is_spot and market else ""
    lots, budget = _read_size(listing, body, market=market, by_quote=side == "buy" and unit == "quoteCoin")
    return Ticket(
        side=side,
        market=market,
        tick=0 if market else read_price(listing, body.get("price")),
        lots=lots,
        budget=budget,
        tif=tif,
        post_only=post_only,
        reduce_only=reduce_only,
        close_on_trigger=close_on_trigger,
        smp=smp,
        link_id=read_link_id(body),
        slippage=_read_slippage(body) if market else NO_SLIPPAGE,
        market_unit=unit,
    )


def read_change(listing: Listing, body: Body) -> Change:
    """Read an amend. Raises RefusedError."""
    _refuse_unmodelled(body)
    price, qty = body.get("price"), body.get("qty")
    tick = read_price(listing, price) if price not in (None, "") else None
    lots = read_qty(listing, qty, market=False) if qty not in (None, "") else None
    if tick is None and lots is None:
        raise bad_parameter("params error: one of price and qty is needed")
    return Change(tick, lots)


def read_link_id(body: Body) -> str:
    """Read an optional orderLinkId: up to 36 letters, digits, dashes and underscores."""
    link_id = body.get("orderLinkId") or ""
    if link_id and not (isinstance(link_id, str) and _LINK_ID.fullmatch(link_id)):
        raise bad_parameter("params error: orderLinkId takes at most 36 of A-Z a-z 0-9 _ -")
    return str(link_id)


def read_price(listing: Listing, price: object) -> int:
    """Read a price on the grid and inside the instrument's own range."""
    if not isinstance(price, str) or not price:
        raise bad_price(listing.category, "is missing or no string")
    try:
        tick = listing.instrument.ticks(price)
    except ValueError as error:
        raise bad_price(listing.category, f"{price} is not on the grid") from error
    bounds = listing.market.bounds
    if not bounds.tick_min <= tick <= bounds.tick_max:
        code = 170132 if tick > bounds.tick_max else 170133
        if listing.is_spot:
            raise RefusedError(code, f"Order price {'too high' if code == 170132 else 'too low'}.")
        raise RefusedError(110003, "Order price is out of permissible range")
    return tick


def read_qty(listing: Listing, qty: object, *, market: bool) -> int:
    """Read a quantity on the grid and within the instrument's limits."""
    if not isinstance(qty, str) or not qty:
        raise bad_qty(listing.category, "is missing or no string")
    try:
        lots = listing.instrument.lots(qty)
    except ValueError as error:
        raise bad_qty(listing.category, f"{qty} is not on the grid") from error
    bounds = listing.market.bounds
    if lots < bounds.lots_min:
        raise _range(listing, 170136, "below the minimum", lots)
    if lots > (bounds.market_lots_max if market else bounds.lots_max):
        raise _range(listing, 170135, "above the maximum", lots)
    return lots


def _range(listing: Listing, code: int, said: str, lots: int) -> RefusedError:
    if listing.is_spot:
        limit = "upper" if code == 170135 else "lower"
        return RefusedError(code, f"Order quantity exceeded {limit} limit.")
    return RefusedError(10001, f"Qty invalid: {listing.instrument.quantity(lots)} is {said}")


def _read_reducing(listing: Listing, body: Body) -> tuple[bool, bool]:
    """(reduceOnly, closeOnTrigger): the second implies the first, and both are for contracts."""
    close_on_trigger = _flag(body, "closeOnTrigger")
    reduce_only = _flag(body, "reduceOnly") or close_on_trigger
    if reduce_only and listing.is_spot:
        raise bad_parameter("params error: reduceOnly is for contracts")
    return reduce_only, close_on_trigger


def _read_unit(body: Body, side: Side) -> str:
    """In which coin a spot market order counts: the quote coin for buys unless told otherwise, the base for sells."""
    unit = body.get("marketUnit") or ("quoteCoin" if side == "buy" else "baseCoin")
    if unit not in ("baseCoin", "quoteCoin"):
        raise bad_parameter("params error: marketUnit invalid")
    if unit == "quoteCoin" and side == "sell":
        raise unsupported("marketUnit quoteCoin for a sell")
    return str(unit)


def _read_size(listing: Listing, body: Body, *, market: bool, by_quote: bool) -> tuple[int | None, int]:
    """(lots, budget): lots, or None and an amount of the quote coin; zero lots close the whole position."""
    qty = body.get("qty")
    if by_quote:
        return None, _read_budget(listing, qty)
    if qty == "0" and _flag(body, "reduceOnly") and _flag(body, "closeOnTrigger"):
        return 0, 0
    return read_qty(listing, qty, market=market), 0


def _read_budget(listing: Listing, qty: object) -> int:
    if not isinstance(qty, str) or not qty:
        raise bad_qty(listing.category, "is missing or no string")
    try:
        budget = units(qty)
    except ValueError as error:
        raise bad_qty(listing.category, f"{qty} is no amount") from error
    if budget <= 0:
        raise bad_qty(listing.category, f"{qty} is not positive")
    return budget


def _read_tif(listing: Listing, body: Body, market: bool) -> tuple[Tif, bool]:
    said = _word(body, "timeInForce")
    tif = _TIFS.get(said)
    if tif is None:
        raise unsupported("timeInForce RPI") if said == "RPI" else _unknown(listing, 170115, "timeInForce", body)
    if not market:
        return tif, said == "PostOnly"
    if said == "PostOnly":
        raise bad_parameter("params error: a market order cannot be PostOnly")
    return ("fok" if tif == "fok" else "ioc"), False


def _read_slippage(body: Body) -> tuple[str, str]:
    kind, size = body.get("slippageToleranceType"), body.get("slippageTolerance")
    if kind in (None, "", "UNKNOWN"):
        return NO_SLIPPAGE
    if kind not in ("TickSize", "Percent") or not isinstance(size, str):
        raise bad_parameter("params error: slippageToleranceType is TickSize or Percent, slippageTolerance is text")
    return kind, size


def _word(body: Body, name: str) -> str:
    """A field that is one of a few words; "" where it is missing. A wrong type is no word of any list."""
    said = body.get(name)
    return said if isinstance(said, str) else "" if said is None else repr(said)


def _flag(body: Body, name: str) -> bool:
    said = body.get(name)
    if said in (None, False, "", "false"):
        return False
    if said in (True, "true"):
        return True
    raise bad_parameter(f"params error: {name} is true or false")


def _refuse_unmodelled(body: Body) -> None:
    for name in _NOT_MODELLED:
        if body.get(name) not in (None, "", "0", False):
            raise unsupported(name)
    if body.get("orderFilter") not in (None, "", "Order"):
        raise unsupported(f"orderFilter {body['orderFilter']}")
    if body.get("positionIdx") not in (None, 0, "0", ""):
        raise bad_parameter("position idx not match position mode")
    if body.get("isLeverage") not in (None, 0, "0", ""):
        raise unsupported("isLeverage")


def _unknown(listing: Listing, spot_code: int, name: str, body: Body) -> RefusedError:
    if listing.is_spot:
        return RefusedError(spot_code, f"Invalid {name}.")
    said = body.get(name)
    return bad_parameter(f"params error: {name} {'is missing' if said in (None, '') else 'invalid'}")
