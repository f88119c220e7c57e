"""Order entry: what a client may place, amend and cancel, and what the venue answers.

The gate (fields, grid, duplicate ids, band, money) refuses at once; what passed is acknowledged, and what the floor
does with it is told by the streams only: a post-only order that would take is acknowledged like any other.
Source: Bybit v5, "Trade" endpoints.
"""

import random
from collections.abc import Callable

from mmbot._core import Execution
from mmbot.exchange.account import Account
from mmbot.exchange.faults import Fault
from mmbot.exchange.house import House
from mmbot.exchange.intake import NO_SLIPPAGE, SMP, Body, Ticket, read_change, read_ticket
from mmbot.exchange.listing import Listing
from mmbot.exchange.money import UNIT, half_even, units
from mmbot.exchange.orders import Order
from mmbot.exchange.refusals import (
    RefusedError,
    bad_parameter,
    bad_symbol,
    below_filled,
    beyond_band,
    duplicate_link_id,
    no_money,
    not_found,
    nothing_to_reduce,
    too_many_orders,
    unsupported,
    value_too_small,
)

__all__ = ["CANCEL_ALL_MAX", "CATEGORIES", "Desk", "read_category", "scope_of"]

CATEGORIES = ("linear", "inverse", "spot")
ACTIVE_MAX = 500
CANCEL_ALL_MAX = 500
_WALK_LEVELS = 1000


class Desk:
    """Acts on orders. Each method is one event: it ends with everybody told."""

    def __init__(self, house: House, *, seed: int = 0) -> None:
        self.house = house
        self.requests = 0
        self.engine_fault: Callable[[int], Fault | None] = lambda uid: None
        """The fault, if any, that the matching engine meets with the next order of an account."""
        self._dice = random.Random(seed)  # noqa: S311 (which 500 of more orders a cancel-all takes)

    def listing(self, body: Body) -> Listing:
        """Return the instrument that a request names."""
        category = read_category(body)
        listing = self.house.listings.get((category, str(body.get("symbol") or "")))
        if listing is None:
            raise bad_symbol(category)
        return listing

    # --- create ---

    def create(self, account: Account, body: Body) -> Order:
        """Place an order; it may be done when this returns."""
        self.requests += 1
        listing = self.listing(body)
        ticket = read_ticket(listing, body)
        if ticket.link_id and self.house.link_ids.known(account.uid, ticket.link_id):
            raise duplicate_link_id(listing.category)
        if listing.market.status != "Trading":
            raise RefusedError(110074, "This contract is not live")
        tick = self._price(account, listing, ticket)
        lots = self._quantity(account, listing, ticket, tick)
        self._check_room(account, listing)
        self._check_value(listing, ticket, tick, lots)
        self._check_money(account, listing, ticket, tick, lots)
        return self._place(account, listing, ticket, tick, lots)

    def _place(self, account: Account, listing: Listing, ticket: Ticket, tick: int, lots: int) -> Order:
        house, market, now_ms = self.house, listing.market, listing.market.now_ms()
        number, order_id, link_id = house.ids.order(spot=listing.is_spot, link_id=ticket.link_id)
        if ticket.link_id:
            house.link_ids.use(account.uid, ticket.link_id)
        order = Order(
            number=number, order_id=order_id, link_id=link_id, uid=account.uid, listing=listing, side=ticket.side,
            tick=tick, lots=lots, tif=ticket.tif, market=ticket.market, post_only=ticket.post_only,
            reduce_only=ticket.reduce_only, close_on_trigger=ticket.close_on_trigger, smp=ticket.smp,
            market_unit=ticket.market_unit, created_ms=now_ms, updated_ms=now_ms,
            last_price_on_created=listing.instrument.price(market.last) if market.last else "",
            slippage=ticket.slippage,
        )  # fmt: skip
        house.orders[number] = order
        account.records.add(order)
        house.clearing.hold(account, order)
        if house.switches.announce_new:
            house.bulletin.order(account, order)
        fault = self.engine_fault(account.uid)
        if fault is not None:
            order.kill(fault.reason, now_ms)
            order.status = "Rejected"
            house.clearing.release(account, order, order.left)
            house.changed(order)
            house.after(now_ms)
            return order
        smp = SMP[ticket.smp]
        did = market.place(
            number, ticket.side, tick, lots, account.uid, tif=ticket.tif, post_only=ticket.post_only, stp=smp
        )
        self._follow(account, order, did, now_ms)
        return order

    def _follow(self, account: Account, order: Order, did: Execution, now_ms: int) -> None:
        """Book what the floor did with an order that came or came anew."""
        house, listing = self.house, order.listing
        house.settle(listing, did.fills, order, now_ms)
        for number, _ in did.withdrawn:
            resting = house.orders[number]
            resting.smp_order_id = order.order_id
            house.withdraw(resting, "CancelBySmp", "EC_BySelfMatch", now_ms)
        if did.refused is not None:
            self._refused(account, order, did.refused, now_ms)
        elif order.open and did.stopped:
            order.smp_order_id = self._rival(account, order)
            house.withdraw(order, "CancelBySmp", "EC_BySelfMatch", now_ms)
        elif order.open and not did.resting:
            house.withdraw(order, "UNKNOWN", "EC_NoImmediateQtyToFill", now_ms)
        else:
            house.changed(order)
        if house.switches.position_always:
            house.bulletin.moved(account, listing)
        if order.reduce_only:
            house.touched(account, listing)
        house.after(now_ms)

    def _refused(self, account: Account, order: Order, why: str, now_ms: int) -> None:
        if why == "would_cross":
            order.kill("EC_PostOnlyWillTakeLiquidity", now_ms)
        else:
            order.cancel("UNKNOWN", "EC_NoEnoughQtyToFill", now_ms)
        self.house.clearing.release(account, order, order.left)
        self.house.changed(order)

    @staticmethod
    def _rival(account: Account, order: Order) -> str:
        """The own resting order that an incoming one was stopped by: the best of the other side."""
        others = [
            each for each in account.records.open.values() if each.listing is order.listing and each.side != order.side
        ]
        better = 1 if order.side == "buy" else -1
        return min(others, key=lambda each: (better * each.tick, each.number)).order_id if others else ""

    # --- the gate ---

    @staticmethod
    def _price(account: Account, listing: Listing, ticket: Ticket) -> int:
        """The limit that counts: within the band, and for a market order the worst price it may pay."""
        highest, lowest = listing.market.price_limits()
        buys = ticket.side == "buy"
        edge = highest if buys else lowest
        if ticket.market:
            return edge if ticket.slippage == NO_SLIPPAGE else _slipped(listing, ticket, edge)
        if (ticket.tick > edge) if buys else (ticket.tick < edge):
            if not account.reprices["spot" if listing.is_spot else "contract"]:
                raise beyond_band(listing.category, "Buy" if buys else "Sell", listing.instrument.price(edge))
            return edge
        return ticket.tick

    def _quantity(self, account: Account, listing: Listing, ticket: Ticket, tick: int) -> int:
        if ticket.reduce_only:
            position = account.holding(listing).position.lots
            most = abs(position) if position and (position > 0) is (ticket.side == "sell") else 0
            if not most:
                raise nothing_to_reduce()
            most = min(most, listing.market.bounds.lots_max)
            return min(ticket.lots or most, most)
        if ticket.lots is not None:
            return ticket.lots
        lots, _ = _walk(listing, ticket.side, tick, None, ticket.budget)
        if not lots:
            raise value_too_small(listing.category, listing.market.rules.min_notional, listing.quote)
        return lots

    @staticmethod
    def _check_room(account: Account, listing: Listing) -> None:
        # Spot counts all pairs together, contracts each symbol by itself; the cheap bound is asked first.
        if len(account.records.open) < ACTIVE_MAX:
            return
        alike = sum(
            order.listing.is_spot if listing.is_spot else order.listing is listing
            for order in account.records.open.values()
        )
        if alike >= ACTIVE_MAX:
            raise too_many_orders(listing.category)

    @staticmethod
    def _check_value(listing: Listing, ticket: Ticket, tick: int, lots: int) -> None:
        if ticket.reduce_only:
            return
        grid = listing.grid
        value = grid.size(lots) if grid.inverse else grid.value(tick, lots)
        if value < listing.market.bounds.notional_min:
            raise value_too_small(listing.category, listing.market.rules.min_notional, listing.quote)

    def _check_money(self, account: Account, listing: Listing, ticket: Ticket, tick: int, lots: int) -> None:
        buys = ticket.side == "buy"
        if listing.is_spot:
            coin = account.wallet.coin(listing.quote if buys else listing.base)
            if ticket.market and buys:
                need = _walk(listing, ticket.side, tick, lots, None)[1]
            else:
                need = listing.grid.value(tick, lots) if buys else listing.grid.size(lots)
            if need > coin.free:
                raise no_money(listing.category)
        elif not ticket.reduce_only:
            self._check_margin(account, listing, lots if buys else 0, 0 if buys else lots, tick)

    def _check_margin(self, account: Account, listing: Listing, buys: int, sells: int, tick: int) -> None:
        """Refuse what would bind more than is available; an order that makes nothing worse passes."""
        holding = account.holding(listing)
        before = holding.worst
        lots = holding.position.lots
        after = max(abs(lots + holding.buys + buys), abs(lots - holding.sells - sells))
        if after <= before:
            return
        extra = holding.bound(after) - holding.bound(before)
        if not extra:  # no mark yet: the order's own price has to do
            extra = -(-listing.grid.value(tick, after - before) * 100 // holding.leverage)
        price = self.house.price_of(listing.settle)
        if half_even(extra * price, UNIT) > account.margin(self.house.price_of).available:
            raise no_money(listing.category)

    # --- amend and cancel ---

    def amend(self, account: Account, body: Body) -> Order:
        """Change price and total quantity of an open order; a new price or more quantity costs the place in line."""
        self.requests += 1
        listing = self.listing(body)
        change = read_change(listing, body)
        order = self._find(account, listing, body)
        if order is None or not order.open:
            raise not_found(listing.category, "replace")
        tick = order.tick if change.tick is None else self._band(account, order, change.tick)
        lots = order.lots if change.lots is None else change.lots
        if lots <= order.cum:
            raise below_filled(listing.category)
        if (tick, lots) == (order.tick, order.lots):
            raise bad_parameter("The order remains unchanged as the parameters entered match the existing ones.")
        self._check_change(account, order, tick, lots)
        now_ms = listing.market.now_ms()
        did = listing.market.amend(order.number, tick, lots - order.cum, post_only=order.post_only, stp=SMP[order.smp])
        if did.refused is None:
            self.house.clearing.rehold(account, order, tick, lots)
            order.updated_ms = now_ms
        elif self.house.switches.amend_across == "keep":
            return order
        else:
            listing.market.cancel(order.number)
        self._follow(account, order, did, now_ms)
        return order

    def _band(self, account: Account, order: Order, tick: int) -> int:
        highest, lowest = order.listing.market.price_limits()
        buys = order.side == "buy"
        edge = highest if buys else lowest
        if (tick <= edge) if buys else (tick >= edge):
            return tick
        if account.reprices["spot" if order.listing.is_spot else "contract"]:
            return edge
        raise beyond_band(order.listing.category, order.said_side, order.listing.instrument.price(edge))

    def _check_change(self, account: Account, order: Order, tick: int, lots: int) -> None:
        listing, more = order.listing, lots - order.lots
        buys = order.side == "buy"
        if listing.is_spot:
            left = lots - order.cum
            need = listing.grid.value(tick, left) if buys else listing.grid.size(left)
            if need - order.held > account.wallet.coin(listing.quote if buys else listing.base).free:
                raise no_money(listing.category)
        elif more > 0 and not order.reduce_only:
            self._check_margin(account, listing, more if buys else 0, 0 if buys else more, tick)

    def cancel(self, account: Account, body: Body) -> Order:
        """Cancel one open order."""
        self.requests += 1
        listing = self.listing(body)
        order = self._find(account, listing, body)
        if order is None:
            raise not_found(listing.category, "cancel")
        now_ms = listing.market.now_ms()
        if order.open:
            self.house.cancel(order, "CancelByUser", "EC_PerCancelRequest", now_ms)
            self.house.after(now_ms)
        elif order.status == "Filled" and now_ms - order.updated_ms < self.house.switches.cancel_race_ms:
            # The gateway had not heard of the fill yet; the engine has, and says so once more.
            order.cancel_type, order.reject_reason = "CancelByUser", "EC_OrigClOrdIDDoesNotExist"
            self.house.bulletin.order(account, order)
            self.house.after(now_ms)
        else:
            raise not_found(listing.category, "cancel")
        return order

    def cancel_all(self, account: Account, body: Body) -> list[Order]:
        """Cancel what the scope names: symbol, else base coin, else settle coin; contracts at most 500 at once."""
        self.requests += 1
        category = read_category(body)
        if body.get("orderFilter") not in (None, "", "Order", "OpenOrder"):
            return []  # no conditional and no TP/SL order exists here
        scope = scope_of(self.house, category, body)
        chosen = [order for order in account.records.open.values() if order.listing in scope]
        if category != "spot" and len(chosen) > CANCEL_ALL_MAX:
            chosen = self._dice.sample(chosen, CANCEL_ALL_MAX)
        for order in chosen:
            self.house.cancel(order, "CancelByUser", "EC_PerCancelRequest", order.listing.market.now_ms())
        if chosen:
            self.house.after(chosen[0].updated_ms)
        return chosen

    def cancel_every(self, account: Account, family: str, cancel_type: str, now_ms: int) -> int:
        """The venue cancels everything of a family ("spot", "derivatives"), as disconnect-cancel-all does."""
        chosen = [order for order in account.records.open.values() if order.listing.family == family]
        for order in chosen:
            self.house.cancel(order, cancel_type, "EC_PerCancelRequest", now_ms)
        self.house.after(now_ms)
        return len(chosen)

    @staticmethod
    def _find(account: Account, listing: Listing, body: Body) -> Order | None:
        order_id, link_id = str(body.get("orderId") or ""), str(body.get("orderLinkId") or "")
        if not (order_id or link_id):
            raise bad_parameter("params error: one of orderId and orderLinkId is needed")
        return account.records.find(listing, order_id, link_id)


def read_category(body: Body) -> str:
    """Read the category, one of those that the simulator has."""
    category = body.get("category")
    if category == "option":
        raise unsupported("category option")
    if category not in CATEGORIES:
        raise bad_parameter("params error: category invalid")
    return str(category)


def scope_of(house: House, category: str, body: Body) -> set[Listing]:
    """The listings that a cancel-all or a query names: by symbol, else base coin, else settle coin."""
    mine = [listing for listing in house.listings.values() if listing.category == category]
    for name, field in (("symbol", "symbol"), ("baseCoin", "base"), ("settleCoin", "settle")):
        wanted = body.get(name)
        if wanted:
            scope = {listing for listing in mine if getattr(listing, field) == wanted}
            if not scope and name == "symbol":
                raise bad_symbol(category)
            return scope
    if category != "spot":
        raise bad_parameter("params error: one of symbol, baseCoin and settleCoin is needed")
    return set(mine)


def _slipped(listing: Listing, ticket: Ticket, edge: int) -> int:
    """The worst price of a market order with a tolerance, counted from the best opposite price."""
    kind, size = ticket.slippage
    bid, ask = listing.market.floor.touch()
    best = ask if ticket.side == "buy" else bid
    if best is None:
        return edge
    try:
        amount = units(size)
    except ValueError as error:
        raise bad_parameter(f"params error: slippageTolerance {size} is no number") from error
    away = amount // UNIT if kind == "TickSize" else half_even(best * amount, 100 * UNIT)
    return min(best + away, edge) if ticket.side == "buy" else max(best - away, edge)


def _walk(listing: Listing, side: str, limit: int, lots: int | None, budget: int | None) -> tuple[int, int]:
    """Lots that can be had up to a price, and what they cost; bounded by lots or by a budget."""
    bids, asks = listing.market.floor.depth(_WALK_LEVELS)
    got = cost = 0
    for tick, there in asks if side == "buy" else bids:
        if (tick > limit) if side == "buy" else (tick < limit):
            break
        each = listing.grid.value(tick, 1)
        take = there if lots is None else min(there, lots - got)
        if budget is not None:
            take = min(take, (budget - cost) // each)
        if take <= 0:
            break
        got, cost = got + take, cost + listing.grid.value(tick, take)
    return got, cost
