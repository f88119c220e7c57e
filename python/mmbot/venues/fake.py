"""A venue in memory that does what it is told: no network, no waiting, no chance. For tests of whatever trades.

    venue = FakeVenue([terms], sink, clock)
    venue.touch("BTCUSDT", "100.0", "100.1")
    venue.send([PlaceOrder(…)])                      the venue acts at once
    venue.deliver()                                  we hear of it: Acked, OrderSeen
    venue.trade("BTCUSDT", "sell", "100.0", "0.5")   somebody sells into our bid
    venue.deliver()                                  ExecutionSeen, OrderSeen

What the venue does and what we hear of it are apart: facts wait in `outbox`, a plain list, until `deliver` hands them
to the sink. A test that wants them late, twice or in another order changes the list. Answers are lost with `lose`.

It matches our orders against one touch without depth and against the trades it is told. Not handled: queues, margin,
funding, hedge mode, rate limits. The exchange simulator has all of them, over sockets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from mmbot.venues.port import (
    Acked,
    AmendOrder,
    Attestation,
    CancelAnswer,
    CancelOrder,
    CancelPath,
    Clock,
    ExecutionSeen,
    Fact,
    FeeRates,
    InstrumentTerms,
    LinkEvent,
    Looked,
    OpenEverywhere,
    OrderRequest,
    OrderSeen,
    OrderSink,
    OrderStatus,
    PlaceOrder,
    PositionSeen,
    Posting,
    Reason,
    Refused,
    RequestKind,
    Side,
    Unanswered,
    VenueError,
    WalletSeen,
    kind_of,
)

__all__ = ["FakeVenue"]

_CASH_DIGITS = 12
_LINKS: tuple[Literal["private", "trade"], ...] = ("private", "trade")


@dataclass(slots=True, kw_only=True)
class _Order:
    request: PlaceOrder
    venue_id: str
    price: Decimal
    qty: Decimal
    cum: Decimal = Decimal(0)
    status: OrderStatus = "live"
    reason: Reason = ""
    ts_venue: int = 0

    @property
    def leaves(self) -> Decimal:
        return self.qty - self.cum if self.status in ("live", "partial") else Decimal(0)

    @property
    def buys(self) -> bool:
        return self.request.side == "buy"


@dataclass(slots=True)
class _Position:
    qty: Decimal = Decimal(0)
    cost: Fraction = Fraction(0)
    """What the position was entered for, in the coin it settles in."""


@dataclass(slots=True)
class _Market:
    terms: InstrumentTerms
    bid: Decimal | None = None
    ask: Decimal | None = None
    position: _Position = field(default_factory=_Position)

    def value(self, price: Decimal, qty: Decimal) -> Fraction:
        """Value of a signed quantity, such that what is earned is value at the exit minus value at the entry."""
        return -Fraction(qty) / Fraction(price) if self.terms.kind == "inverse" else Fraction(qty) * Fraction(price)


class FakeVenue:
    """See the module. Implements `mmbot.venues.port.OrderEntry`. Unknown symbols raise VenueError."""

    def __init__(
        self,
        instruments: Sequence[InstrumentTerms],
        sink: OrderSink,
        clock: Clock,
        *,
        balances: Mapping[str, str] | None = None,
        maker_rate: str = "0",
        taker_rate: str = "0",
    ) -> None:
        self.outbox: list[Fact] = []
        """Facts that we have not heard yet, in the order in which they happened."""
        self._sink = sink
        self._clock = clock
        self._markets = {terms.symbol: _Market(terms) for terms in instruments}
        self._orders: dict[str, _Order] = {}
        self._executions: list[ExecutionSeen] = []
        self._postings: list[Posting] = []
        self._cash = {coin: Fraction(amount) for coin, amount in (balances or {}).items()}
        self._rates = (Decimal(maker_rate), Decimal(taker_rate))
        self._up = False
        self._lost: list[tuple[RequestKind, bool]] = []
        self._refused: list[tuple[RequestKind, Reason, int]] = []
        self.bulk_max: int | None = None
        """How many orders one bulk cancel takes; None: all."""
        self.blocked: set[CancelPath] = set()
        """Ways on which nothing arrives; asking goes over "rest"."""

    # What a test makes happen.

    def deliver(self, count: int | None = None) -> int:
        """Hand the first `count` waiting facts, or all, to the sink, each in a message of its own; return how many."""
        heard = self.outbox[:count]
        del self.outbox[:count]
        for fact in heard:
            self._sink.on_facts([fact], self._clock())
        return len(heard)

    def touch(self, symbol: str, bid: str | None, ask: str | None) -> None:
        """Set the market's best prices; resting orders of ours that it arrives at are filled whole, as makers."""
        market = self._market(symbol)
        market.bid = None if bid is None else Decimal(bid)
        market.ask = None if ask is None else Decimal(ask)
        for order in self._resting(symbol):
            if self._crosses(market, order):
                self._execute(market, order, order.price, order.leaves, maker=True)

    def trade(self, symbol: str, side: Side, price: str, qty: str) -> str:
        """Let somebody buy or sell down to a limit: our resting orders, best price first, then oldest. Return what
        they took of it.
        """
        market, limit, left = self._market(symbol), Decimal(price), Decimal(qty)
        takes_bids = side == "sell"
        resting = [order for order in self._resting(symbol) if order.buys is takes_bids]
        resting.sort(key=lambda order: order.price, reverse=takes_bids)
        for order in resting:
            if left > 0 and (order.price >= limit if takes_bids else order.price <= limit):
                taken = min(left, order.leaves)
                self._execute(market, order, order.price, taken, maker=True)
                left -= taken
        return str(Decimal(qty) - left)

    def kill(self, client_id: str, reason: Reason = "other") -> None:
        """Let the venue cancel an open order by itself. Raises KeyError for one it never had."""
        self._close(self._orders[client_id], "canceled", reason)

    def plant(self, order: PlaceOrder) -> None:
        """Let an order rest that was not sent through this port: an orphan, or somebody else's."""
        self._rest(order, self._market(order.symbol))
        self.outbox.pop()

    def transfer(self, coin: str, amount: str) -> None:
        """Let a person bring coins in, or take them out."""
        self._pay(coin, Fraction(amount))
        self._post({coin: Fraction(amount)}, "transfer", "TRANSFER_IN" if Fraction(amount) > 0 else "TRANSFER_OUT")

    def lose(self, request: RequestKind, *, reached: bool) -> None:
        """Leave the next such request unanswered, whether or not it reaches the venue. Repeat it to lose more."""
        self._lost.append((request, reached))

    def refuse(self, request: RequestKind, reason: Reason, code: int = 1) -> None:
        """Answer the next such request with a definite no. Repeat it to refuse more."""
        self._refused.append((request, reason, code))

    def drop_links(self, why: str = "told to") -> None:
        """Cut the links: until `restore_links`, requests are unanswered and do not arrive; orders stay."""
        self._up = False
        self._say_links("down", why)

    def restore_links(self, why: str = "told to") -> None:
        """Bring the links back."""
        self._up = True
        self._say_links("up", why)

    # What the port asks for.

    async def start(self) -> None:
        """Bring the links up."""
        self.restore_links("started")

    async def stop(self) -> None:
        """Take the links down; orders stay. Safe to call twice."""
        if self._up:
            self.drop_links("stopped")

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Act on requests, in order; the answers wait in the outbox."""
        for request in requests:
            kind = kind_of(request)
            lost = next((lost for lost in self._lost if lost[0] == kind), None)
            refused = next((refused for refused in self._refused if refused[0] == kind), None)
            if not self._up:
                self._tell(Unanswered(client_id=request.client_id, request=kind, why="the link is down"))
            elif lost is not None:
                self._lost.remove(lost)
                before = len(self.outbox)
                if lost[1]:
                    self._act(request)
                    del self.outbox[before]  # its answer; what became of the order is heard all the same
                self._tell(Unanswered(client_id=request.client_id, request=kind, why="the answer was lost"))
            elif refused is not None:
                self._refused.remove(refused)
                self._no(request, refused[1], refused[2], "told to refuse")
            else:
                self._act(request)

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel every open order of the symbol."""
        self._reach()
        resting = self._resting(symbol)
        for order in resting:
            self._close(order, "canceled", "requested")
        return len(resting)

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """Cancel what one bulk request takes: the oldest `bulk_max`."""
        self._reach()
        refused = next((refused for refused in self._refused if refused[0] == "cancel"), None)
        if refused is not None:
            self._refused.remove(refused)
            raise VenueError(f"told to refuse: {refused[1]}")
        for order in self._resting(symbol)[: self.bulk_max]:
            self._close(order, "canceled", "requested")

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Cancel orders by one request; a way that is blocked gives no answer."""
        return [self._cancel_over(path, seen) for seen in orders]

    def _cancel_over(self, path: CancelPath, seen: OrderSeen) -> CancelAnswer:
        if not self._up or path in self.blocked:
            return Unanswered(client_id=seen.client_id, request="cancel", why=f"no answer over {path}")
        order, now = self._orders.get(seen.client_id), self._clock()
        if order is None or not order.leaves:
            return Refused(
                client_id=seen.client_id,
                request="cancel",
                reason="unknown_order",
                code=1,
                message="no such open order",
                ts_venue=now,
            )
        self._close(order, "canceled", "requested")
        return Acked(client_id=seen.client_id, venue_id=order.venue_id, request="cancel", ts_venue=now)

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, oldest first."""
        self._reach()
        return [self._seen(order) for order in self._resting(symbol)]

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order, whatever its symbol."""
        self._reach()
        opened = [self._seen(order) for order in self._orders.values() if order.leaves]
        return OpenEverywhere(orders=tuple(opened), unseen=())

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """One order, open or not."""
        self._reach()
        order, now = self._orders.get(client_id), self._clock()
        if order is None or order.request.symbol != symbol:
            return Looked(order=None, source="", ts_venue=now)
        return Looked(order=self._seen(order), source="realtime" if order.leaves else "history", ts_venue=now)

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, oldest first."""
        self._reach()
        return [seen for seen in self._executions if seen.symbol == symbol and seen.ts_venue >= since_ns]

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order, oldest first."""
        self._reach()
        return [seen for seen in self._executions if seen.symbol == symbol and seen.client_id == client_id]

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position and its average entry price."""
        self._reach()
        market = self._market(symbol)
        held = market.position
        entry = Fraction(0)
        if held.qty:
            ratio = held.cost / Fraction(held.qty)
            entry = -1 / ratio if market.terms.kind == "inverse" else ratio
        return PositionSeen(
            category=category,
            symbol=symbol,
            qty=_text(Fraction(held.qty)),
            entry_price=_text(entry),
            ts_venue=self._clock(),
        )

    async def wallet(self) -> list[WalletSeen]:
        """Every coin; equity is told equal to the balance, positions are not marked."""
        self._reach()
        now = self._clock()
        return [
            WalletSeen(coin=coin, balance=_text(amount), equity=_text(amount), ts_venue=now)
            for coin, amount in sorted(self._cash.items())
        ]

    async def postings(self, since_ns: int) -> list[Posting]:
        """Every change of a coin from then on, oldest first."""
        self._reach()
        return [posting for posting in self._postings if posting.ts_venue >= since_ns]

    async def attest(self) -> Attestation:
        """An account without faults, and a clock that agrees with ours."""
        self._reach()
        return Attestation(
            account="fake",
            read_only=False,
            scopes=("order",),
            may_withdraw=False,
            may_transfer=False,
            address_bound=True,
            expires=None,
            position_mode="one_way",
            price_limit="reject",
            disconnect_cancel_s=None,
            clock_offset=0,
            clock_error=0,
            faults=(),
            remarks=(),
        )

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules that the venue was made with."""
        self._reach()
        return self._market(symbol).terms

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """The rates that the venue was made with."""
        self._reach()
        maker, taker = self._rates
        return FeeRates(category=category, symbol=symbol, maker=str(maker), taker=str(taker))

    # How it acts.

    def _act(self, request: OrderRequest) -> None:
        market = self._market(request.symbol)
        if isinstance(request, PlaceOrder):
            self._place(request, market)
            return
        order = self._orders.get(request.client_id)
        if order is None or not order.leaves:
            self._no(request, "unknown_order", 110001, "no open order of this id")
        elif isinstance(request, CancelOrder):
            self._yes(request, order)
            self._close(order, "canceled", "requested")
        else:
            self._amend(request, order, market)

    def _place(self, request: PlaceOrder, market: _Market) -> None:
        wrong = _off_grid(market.terms, Decimal(request.price), Decimal(request.qty))
        if request.client_id in self._orders:
            self._no(request, "duplicate", 110072, "this client id exists")
        elif wrong:
            self._no(request, "invalid", 10001, wrong)
        elif _reduces(request, market) and not self._reducible(market, request.side):
            self._no(request, "reduce_only", 110017, "there is nothing to reduce")
        else:
            order = self._rest(request, market, answered=True)
            self._meet(market, order)

    def _rest(self, request: PlaceOrder, market: _Market, *, answered: bool = False) -> _Order:
        order = _Order(
            request=request,
            venue_id=f"fake-{len(self._orders) + 1}",
            price=Decimal(request.price),
            qty=Decimal(request.qty),
        )
        self._orders[request.client_id] = order
        if answered:
            self._yes(request, order)
        self._see(order)
        return order

    def _amend(self, request: AmendOrder, order: _Order, market: _Market) -> None:
        price = order.price if request.price is None else Decimal(request.price)
        qty = order.qty if request.qty is None else Decimal(request.qty)
        wrong = _off_grid(market.terms, price, qty)
        if qty <= order.cum:
            wrong = f"quantity {qty} is not above the {order.cum} executed"
        if wrong:
            self._no(request, "invalid", 110064, wrong)
        elif (price, qty) == (order.price, order.qty):
            self._no(request, "not_modified", 110043, "nothing would change")
        else:
            if price != order.price or qty > order.qty:  # it loses its place in line
                self._orders[request.client_id] = self._orders.pop(request.client_id)
            order.price, order.qty = price, qty
            self._yes(request, order)
            self._see(order)
            self._meet(market, order)

    def _meet(self, market: _Market, order: _Order) -> None:
        """Let an order that arrived meet the touch."""
        if self._crosses(market, order):
            opposite = market.ask if order.buys else market.bid
            if order.request.post_only:
                self._close(order, "canceled", "post_only")
            elif opposite is not None:
                self._execute(market, order, opposite, order.leaves, maker=False)
        elif order.request.tif != "gtc":
            self._close(order, "canceled", "not_fillable")

    def _crosses(self, market: _Market, order: _Order) -> bool:
        if order.buys:
            return market.ask is not None and order.price >= market.ask
        return market.bid is not None and order.price <= market.bid

    def _reducible(self, market: _Market, side: Side) -> Decimal:
        held = market.position.qty
        return max(Decimal(0), -held if side == "buy" else held)

    def _execute(self, market: _Market, order: _Order, price: Decimal, qty: Decimal, *, maker: bool) -> None:
        if _reduces(order.request, market):
            qty = min(qty, self._reducible(market, order.request.side))
            if not qty:
                self._close(order, "canceled", "reduce_only")
                return
        before = dict(self._cash)
        fee = self._book(market, price, qty if order.buys else -qty, maker=maker)
        moved = {coin: amount - before.get(coin, 0) for coin, amount in self._cash.items()}
        order.cum += qty
        order.status = "filled" if order.cum == order.qty else "partial"
        seen = ExecutionSeen(
            client_id=order.request.client_id,
            venue_id=order.venue_id,
            execution_id=f"fake-execution-{len(self._executions) + 1}",
            category=order.request.category,
            symbol=order.request.symbol,
            kind="trade",
            side=order.request.side,
            price=str(price),
            qty=str(qty),
            maker=maker,
            fee=_text(fee),
            fee_currency=market.terms.settle,
            ts_venue=self._clock(),
        )
        self._executions.append(seen)
        moved = {market.terms.settle: Fraction(0), **moved}  # what changed nothing is posted, too
        self._post(moved, "trade", "TRADE", seen.execution_id, {market.terms.settle: fee})
        self._tell(seen)
        self._see(order)
        if _reduces(order.request, market) and order.leaves and not self._reducible(market, order.request.side):
            self._close(order, "canceled", "reduce_only")

    def _book(self, market: _Market, price: Decimal, signed: Decimal, *, maker: bool) -> Fraction:
        """Move position and cash by one execution; return the fee, which is exact to the cash's last digit."""
        terms, held = market.terms, market.position
        value = market.value(price, signed)
        rate = Fraction(self._rates[0] if maker else self._rates[1])
        fee = Fraction(_text(abs(value) * rate))
        self._pay(terms.settle, -fee)
        if terms.kind == "spot":
            self._pay(terms.base, Fraction(signed))
            self._pay(terms.quote, -value)
        elif held.qty * signed < 0:
            closed = min(abs(signed), abs(held.qty)) * (1 if signed > 0 else -1)
            entered = held.cost * Fraction(-closed) / Fraction(held.qty)
            self._pay(terms.settle, -market.value(price, closed) - entered)
            held.cost += market.value(price, signed - closed) - entered
        else:
            held.cost += value
        held.qty += signed
        return fee

    def _post(
        self,
        moved: Mapping[str, Fraction],
        kind: Literal["trade", "transfer"],
        said: str,
        execution_id: str = "",
        fees: Mapping[str, Fraction] | None = None,
    ) -> None:
        """Write down what was paid, and what of it was fees."""
        for coin, amount in moved.items():
            fee = (fees or {}).get(coin)
            if amount or fee is not None:
                self._postings.append(
                    Posting(
                        posting_id=str(len(self._postings) + 1),
                        coin=coin,
                        kind=kind,
                        said=said,
                        change=_text(amount),
                        balance=_text(self._cash[coin]),
                        execution_id=execution_id,
                        ts_venue=self._clock(),
                        flow=_text(amount + (fee or 0)),
                        fee=_text(fee or Fraction(0)),
                        funding="0",
                    )
                )

    def _pay(self, coin: str, amount: Fraction) -> None:
        self._cash[coin] = self._cash.get(coin, Fraction(0)) + amount

    def _close(self, order: _Order, status: OrderStatus, reason: Reason) -> None:
        if order.leaves:
            order.status, order.reason = status, reason
            self._see(order)

    # What it says.

    def _see(self, order: _Order) -> None:
        order.ts_venue = self._clock()
        self._tell(self._seen(order))

    def _seen(self, order: _Order) -> OrderSeen:
        return OrderSeen(
            client_id=order.request.client_id,
            venue_id=order.venue_id,
            category=order.request.category,
            symbol=order.request.symbol,
            side=order.request.side,
            status=order.status,
            cum=str(order.cum),
            price=str(order.price),
            qty=str(order.qty),
            reason=order.reason,
            ts_venue=order.ts_venue,
        )

    def _yes(self, request: OrderRequest, order: _Order) -> None:
        self._tell(
            Acked(
                client_id=request.client_id, venue_id=order.venue_id, request=kind_of(request), ts_venue=self._clock()
            )
        )

    def _no(self, request: OrderRequest, reason: Reason, code: int, message: str) -> None:
        self._tell(
            Refused(
                client_id=request.client_id,
                request=kind_of(request),
                reason=reason,
                code=code,
                message=message,
                ts_venue=self._clock(),
            )
        )

    def _tell(self, fact: Fact) -> None:
        self.outbox.append(fact)

    def _say_links(self, state: Literal["up", "down"], why: str) -> None:
        for link in _LINKS:
            self._sink.on_link(LinkEvent(link=link, state=state, why=why))

    def _reach(self) -> None:
        if not self._up:
            raise VenueError("the fake venue cannot be asked: its links are down; start it, or restore_links()")
        if "rest" in self.blocked:
            raise VenueError("the fake venue cannot be asked: the way over rest is blocked")

    def _market(self, symbol: str) -> _Market:
        if symbol not in self._markets:
            raise VenueError(f"{symbol!r} is not traded here; expected one of {', '.join(self._markets) or 'none'}")
        return self._markets[symbol]

    def _resting(self, symbol: str) -> list[_Order]:
        self._market(symbol)
        return [order for order in self._orders.values() if order.request.symbol == symbol and order.leaves]


def _reduces(request: PlaceOrder, market: _Market) -> bool:
    """Whether it may only shrink the position; spot does not know the word."""
    return request.reduce_only and market.terms.category != "spot"


def _off_grid(terms: InstrumentTerms, price: Decimal, qty: Decimal) -> str:
    """Say what is wrong with an order's numbers; empty where nothing is."""
    if price <= 0 or price % Decimal(terms.tick):
        return f"price {price} is no positive multiple of the tick {terms.tick}"
    if qty <= 0 or qty % Decimal(terms.lot):
        return f"quantity {qty} is no positive multiple of the lot {terms.lot}"
    if terms.min_qty is not None and qty < Decimal(terms.min_qty):
        return f"quantity {qty} is below the least, {terms.min_qty}"
    return ""


def _text(amount: Fraction) -> str:
    """Write an amount exactly, or rounded half to even at the twelfth digit."""
    scaled = round(amount * 10**_CASH_DIGITS)
    return format(Decimal(scaled).scaleb(-_CASH_DIGITS).normalize(), "f")
