"""The model venue: the truth that every promise is judged by.

Written from the venue's documents and recordings, not from what the engine expects of it. It matches our orders against
a market without depth, tells facts over links that it does not trust, and forgets as the real one does:

- a request older than `RECV_WINDOW` by the venue's clock is refused, however it came to be late;
- an acknowledgement says that the request was taken in: post-only orders that would take are cancelled afterwards, and
  an order trades on for up to 40 ms after its cancel was;
- what REST shows is up to `lag` old; closed orders leave `realtime` at a restart, and history after 24 h;
- funding appears among the executions, with the position as its quantity; auto-deleveraging moves a position without an
  order; a cancel-all takes at most 500, in no order of ours.

Quantities are lots, prices ticks, money whole 10^-12 of the settlement coin; times ns. Not modelled: margin and
liquidation, several accounts, self-trade rules, amends that keep their place in line.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from mmbot.venues.port import (
    Acked,
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    OrderSeen,
    PlaceOrder,
    PositionSeen,
    Posting,
    Refused,
    Unanswered,
    WalletSeen,
    kind_of,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.simulation.cast import Role
    from mmbot.simulation.world import World
    from mmbot.venues.port import Fact, OrderRequest, OrderStatus, Reason

__all__ = ["RECV_WINDOW", "ModelMarket", "ModelOrder", "ModelVenue"]

NS_PER_S = 1_000_000_000
MS = 1_000_000
RECV_WINDOW = 2 * NS_PER_S
AHEAD_MAX = 1 * NS_PER_S
CANCEL_TAKES = 40 * MS
"""Within so long an order ends whose cancel was taken in; until then it may trade."""
MAKER, TAKER = Fraction(-5, 100_000), Fraction(55, 100_000)
BULK_MAX = 500
DEPOSIT = 100_000 * 10**12


@dataclass(slots=True)
class ModelOrder:
    """One order at the venue."""

    client_id: str
    venue_id: str
    symbol: str
    buys: bool
    tick: int
    lots: int
    post_only: bool
    reduce_only: bool
    cum: int = 0
    status: OrderStatus = "live"
    reason: Reason = ""
    updated: int = 0
    created: int = 0
    shown: list[tuple[int, OrderSeen]] = field(default_factory=list)
    """What could be seen of it, and since when."""

    @property
    def open(self) -> bool:
        """It may still trade."""
        return self.status in ("live", "partial")

    @property
    def leaves(self) -> int:
        """Lots that may still trade."""
        return self.lots - self.cum if self.open else 0


@dataclass(slots=True)
class ModelMarket:
    """One instrument: its touch, and our position in it."""

    role: Role
    instrument: _core.Instrument
    bid: int
    ask: int
    position: int = 0
    cost: Fraction = Fraction(0)
    """What the position was entered for, in cash units, signed as the position."""
    entry: str = "0"
    """At what price on average, as it is shown."""
    foreign: bool = False
    """Somebody else has moved position or orders here, so our limits do not bind what the venue shows."""

    @property
    def symbol(self) -> str:
        """Its name."""
        return self.role.symbol


class ModelVenue:
    """See the module. `hear` gets every private fact in the order in which it happened."""

    def __init__(self, world: World, rng: random.Random, roles: Sequence[Role], hear: Callable[[Fact], object]) -> None:
        self.world, self.rng, self.hear = world, rng, hear
        self.markets = {role.symbol: ModelMarket(role, role.instrument, *role.touch) for role in roles}
        self.orders: dict[str, ModelOrder] = {}
        self._open: dict[str, ModelOrder] = {}
        self._closing: deque[ModelOrder] = deque()
        """Closed a moment ago: REST may still show them as open."""
        self.executions: list[tuple[int, ExecutionSeen]] = []
        """With the time from which they can be asked for."""
        self.cash = self._posted = DEPOSIT
        self.postings: list[tuple[int, Posting]] = []
        self.lag = 50 * MS
        """What REST shows is up to so old."""
        self.maintenance = False
        """Nothing is taken in but cancels, and reads fail."""
        self.on_change: Callable[[ModelMarket, str], object] = lambda _market, _why: None
        """Hears of every change of orders or position: the checkers judge there."""
        self._refusing = self._mumbling = 0
        self._forgotten = 0
        """Orders that were closed before then are gone from `realtime`."""
        self._number = 0

    # ---- the truth

    def worst(self, symbol: str) -> tuple[int, int]:
        """Long and short in lots if everything that is open fills, one side at a time."""
        market = self.markets[symbol]
        long = short = market.position
        reducing_buys = reducing_sells = 0
        for order in self._open.values():
            if order.symbol != symbol:
                continue
            if order.reduce_only:
                if order.buys:
                    reducing_buys += order.leaves
                else:
                    reducing_sells += order.leaves
            elif order.buys:
                long += order.leaves
            else:
                short -= order.leaves
        long += min(reducing_buys, max(-market.position, 0))
        short -= min(reducing_sells, max(market.position, 0))
        return long, short

    def open_now(self) -> list[ModelOrder]:
        """Every open order, oldest first."""
        return list(self._open.values())

    def wallet_units(self) -> int:
        """The balance, in cash units."""
        return self.cash

    # ---- requests, at the time of their arrival

    def refuse_until(self, when: int) -> None:
        """Creates are refused until then: too many requests."""
        self._refusing = when

    def mumble_until(self, when: int) -> None:
        """Answers are of no use until then; half of the requests are taken in all the same."""
        self._mumbling = when

    def answer(self, request: OrderRequest, signed: int) -> Fact:
        """Take a request in, or not, and answer it as the venue does today."""
        now = self.world.now
        if now < self._refusing and isinstance(request, PlaceOrder):
            return self._no(request, "rate_limited", 10006, "too many visits")
        if now >= self._mumbling or isinstance(request, CancelOrder):
            return self.take(request, signed)
        if self.rng.random() < 0.5:
            self.take(request, signed)
        return Unanswered(
            client_id=request.client_id, request=kind_of(request), why="10016 internal error", reason="overloaded"
        )

    def take(self, request: OrderRequest, signed: int, window: int = RECV_WINDOW) -> Fact:
        """Act on a request that was signed then, and answer it. `window`: how old it may be, as it says itself."""
        now = self.world.now
        if signed < now - window or signed > now + AHEAD_MAX:
            return self._no(request, "clock", 10002, "timestamp outside of recv_window")
        if isinstance(request, PlaceOrder):
            return self._place(request)
        order = self.orders.get(request.client_id)
        if order is None or not order.open:
            return self._no(request, "unknown_order", 110001, "order not exists or too late")
        if isinstance(request, CancelOrder):
            self.world.after(int(self.rng.random() * CANCEL_TAKES), lambda: self._close(order, "canceled", "requested"))
            return self._yes(request, order)
        return self._amend(request, order)

    def _place(self, request: PlaceOrder) -> Fact:
        if request.client_id in self.orders:
            return self._no(request, "duplicate", 110072, "OrderLinkedID is duplicate")
        if self.maintenance:
            return self._no(request, "overloaded", 10016, "cancel only")
        market, buys = self.markets[request.symbol], request.side == "buy"
        try:
            tick, lots = market.instrument.ticks(request.price), market.instrument.lots(request.qty)
        except ValueError as error:
            return self._no(request, "invalid", 10001, str(error))
        if request.reduce_only and not self._reducible(market, buys=buys):
            return self._no(request, "reduce_only", 110017, "nothing to reduce")
        self._number += 1
        order = ModelOrder(
            client_id=request.client_id,
            venue_id=f"v{self._number}",
            symbol=request.symbol,
            buys=buys,
            tick=tick,
            lots=lots,
            post_only=request.post_only,
            reduce_only=request.reduce_only,
            created=self.world.now,
        )
        self.orders[order.client_id] = self._open[order.client_id] = order
        answer = self._yes(request, order)
        self._see(order)
        self.on_change(market, "placed")
        self._meet(market, order, gtc=request.tif == "gtc")
        return answer

    def _meet(self, market: ModelMarket, order: ModelOrder, *, gtc: bool = True) -> None:
        """Let an order that arrived, or moved, meet the touch."""
        if order.tick >= market.ask if order.buys else order.tick <= market.bid:
            if order.post_only:
                self._close(order, "rejected", "post_only")
            else:
                self._execute(order, market.ask if order.buys else market.bid, order.leaves, maker=False)
        elif not gtc:
            self._close(order, "canceled", "not_fillable")

    def _amend(self, request: AmendOrder, order: ModelOrder) -> Fact:
        instrument = self.markets[order.symbol].instrument
        tick = order.tick if request.price is None else instrument.ticks(request.price)
        lots = order.lots if request.qty is None else instrument.lots(request.qty)
        if lots <= order.cum:
            return self._no(request, "invalid", 110064, "quantity not above what was executed")
        if (tick, lots) == (order.tick, order.lots):
            return self._no(request, "not_modified", 110043, "nothing would change")
        order.tick, order.lots = tick, lots
        self._see(order)
        self.on_change(self.markets[order.symbol], "amended")
        answer = self._yes(request, order)
        self._meet(self.markets[order.symbol], order)
        return answer

    def cancel_all(self, symbol: str, signed: int) -> int:
        """Cancel up to 500 of them, whichever; returns how many. Raises ValueError for a stale request."""
        if signed < self.world.now - RECV_WINDOW:
            raise ValueError("10002 timestamp outside of recv_window")
        resting = [order for order in self._open.values() if order.symbol == symbol]
        if len(resting) > BULK_MAX:
            resting = self.rng.sample(resting, BULK_MAX)
        for order in resting:
            self._close(order, "canceled", "requested")
        return len(resting)

    # ---- what happens by itself

    def trade(self, symbol: str, bid: int, ask: int) -> None:
        """The market moves to this touch, and takes what stands in its way; some of what stands at it."""
        market = self.markets[symbol]
        market.bid, market.ask = bid, ask
        for order in [each for each in self._open.values() if each.symbol == symbol]:
            through = order.tick >= ask if order.buys else order.tick <= bid
            at = order.tick == (bid if order.buys else ask)
            if through:
                self._execute(order, order.tick, order.leaves, maker=True)
            elif at and self.rng.random() < 0.3:
                self._execute(order, order.tick, self.rng.randint(1, order.leaves), maker=True)

    def fund(self, symbol: str) -> None:
        """Funding: an execution whose quantity is the position, and which moves cash alone."""
        market = self.markets[symbol]
        if not market.position:
            return
        paid = round(Fraction(market.position * market.bid * market.role.units) * Fraction(1, 10_000))
        self.cash -= paid
        side = "sell" if market.position > 0 else "buy"
        self._executed(("", ""), symbol, "funding", (side, market.bid, abs(market.position), False), paid)
        self._wallet()

    def deleverage(self, symbol: str) -> int:
        """The venue closes half of our position by itself; returns how many lots."""
        market = self.markets[symbol]
        lots = abs(market.position) // 2
        if lots:
            market.foreign = True
            signed = -lots if market.position > 0 else lots
            fee = self._book(market, market.bid, signed, maker=False)
            side = "buy" if signed > 0 else "sell"
            self._executed(("", f"adl{self.world.now}"), symbol, "deleverage", (side, market.bid, lots, False), fee)
            self._positioned(market)
            self.on_change(market, "deleveraged")
        return lots

    def restart(self) -> None:
        """Closed orders are no longer in `realtime`; resting ones stay."""
        self._forgotten = self.world.now

    def plant(self, symbol: str, client_id: str, *, buys: bool, tick: int, lots: int) -> None:
        """Somebody else places an order on the account."""
        self.markets[symbol].foreign = True
        self._number += 1
        order = ModelOrder(client_id, f"v{self._number}", symbol, buys, tick, lots, True, False)
        order.created = self.world.now
        self.orders[client_id or order.venue_id] = self._open[client_id or order.venue_id] = order
        self._see(order)

    # ---- what can be asked, as REST shows it

    def shown(self, order: ModelOrder, at: int) -> OrderSeen | None:
        """What could be seen of an order then; None before it was shown at all."""
        seen = None
        for since, what in order.shown:
            if since > at:
                break
            seen = what
        return seen

    def find(self, client_id: str, at: int, *, history: bool = False) -> OrderSeen | None:
        """One order as `realtime`, or `history`, shows it at a time of the past."""
        order = self.orders.get(client_id)
        seen = None if order is None else self.shown(order, at)
        if order is None or seen is None:
            return None
        closed = seen.status not in ("live", "partial")
        if history:
            return seen if closed and order.updated > self.world.now - 86_400 * NS_PER_S else None
        return None if closed and order.updated <= self._forgotten else seen

    def listed(self, symbol: str, at: int) -> list[OrderSeen]:
        """Open orders as they are shown at a time of the past."""
        while self._closing and self._closing[0].shown[-1][0] < at:
            self._closing.popleft()
        looked = [*self._closing, *self._open.values()]
        found = [self.shown(order, at) for order in looked if order.symbol == symbol]
        return [seen for seen in found if seen is not None and seen.status in ("live", "partial")]

    def executed_since(self, symbol: str, since: int, at: int) -> list[ExecutionSeen]:
        """Executions from then on, as far as they are shown."""
        return [seen for ts, seen in self.executions if seen.symbol == symbol and seen.ts_venue >= since and ts <= at]

    def postings_since(self, since: int, at: int) -> list[Posting]:
        """Changes of the balance from then on, as far as they are shown."""
        return [posting for ts, posting in self.postings if posting.ts_venue >= since and ts <= at]

    def position_seen(self, symbol: str) -> PositionSeen:
        """The position now."""
        market = self.markets[symbol]
        sign = "-" if market.position < 0 else ""
        return PositionSeen(
            category="linear",
            symbol=symbol,
            qty=sign + market.instrument.quantity(abs(market.position)),
            entry_price=market.entry,
            ts_venue=self.world.now,
        )

    def wallet_seen(self) -> WalletSeen:
        """The balance now."""
        balance = _units(self.cash)
        return WalletSeen(coin="USDT", balance=balance, equity=balance, ts_venue=self.world.now)

    # ---- how it acts

    def _reducible(self, market: ModelMarket, *, buys: bool) -> int:
        return max(0, -market.position if buys else market.position)

    def _execute(self, order: ModelOrder, tick: int, lots: int, *, maker: bool) -> None:
        market = self.markets[order.symbol]
        if order.reduce_only:
            lots = min(lots, self._reducible(market, buys=order.buys))
            if not lots:
                self._close(order, "canceled", "reduce_only")
                return
        fee = self._book(market, tick, lots if order.buys else -lots, maker=maker)
        order.cum += lots
        order.status = "filled" if order.cum >= order.lots else "partial"
        self._gone(order)
        side = "buy" if order.buys else "sell"
        self._executed((order.client_id, order.venue_id), order.symbol, "trade", (side, tick, lots, maker), fee)
        self._see(order)
        self._positioned(market)
        self._wallet()
        self.on_change(market, "executed")
        if order.reduce_only and not self._reducible(market, buys=order.buys):
            self._close(order, "canceled", "reduce_only")

    def _book(self, market: ModelMarket, tick: int, signed: int, *, maker: bool) -> int:
        units = market.role.units
        value = signed * tick * units
        fee = round(abs(value) * (MAKER if maker else TAKER))
        self.cash -= fee
        if market.position * signed < 0:
            closed = min(abs(signed), abs(market.position)) * (1 if signed > 0 else -1)
            entered = market.cost * Fraction(-closed, market.position)
            earned = Fraction(-closed * tick * units) - entered
            self.cash += round(earned)
            market.cost += Fraction((signed - closed) * tick * units) - entered
        else:
            market.cost += value
        market.position += signed
        entry = market.cost / (market.position * units) if market.position else Fraction(0)
        market.entry = _units(round(entry * Fraction(market.role.tick) * 10**12))
        return fee

    def _executed(
        self, order: tuple[str, str], symbol: str, kind: str, trade: tuple[str, int, int, bool], fee: int
    ) -> None:
        """An execution: (client id, venue id) of its order, and (side, tick, lots, maker)."""
        (client_id, venue_id), (side, tick, lots, maker) = order, trade
        instrument = self.markets[symbol].instrument
        seen = ExecutionSeen(
            client_id=client_id,
            venue_id=venue_id,
            execution_id=f"e{len(self.executions) + 1}",
            category="linear",
            symbol=symbol,
            kind=kind,  # type: ignore[arg-type]
            side=side,  # type: ignore[arg-type]
            price=instrument.price(tick),
            qty=instrument.quantity(lots),
            maker=maker,
            fee=_units(fee),
            fee_currency="USDT",
            ts_venue=self.world.now,
        )
        self.executions.append((self.world.now + int(self.rng.random() * self.lag), seen))
        self.hear(seen)
        self._post(kind, seen.execution_id, fee)

    def _post(self, kind: str, execution_id: str, fee: int) -> None:
        """Write down what the balance has become since the last posting, and what of it was a fee or funding."""
        change = self.cash - self._posted
        self._posted = self.cash
        posting = Posting(
            posting_id=f"p{len(self.postings) + 1}",
            coin="USDT",
            kind="funding" if kind == "funding" else "trade",
            said=kind.upper(),
            change=_units(change),
            balance=_units(self.cash),
            execution_id=execution_id,
            ts_venue=self.world.now,
            flow="0" if kind == "funding" else _units(change + fee),
            fee="0" if kind == "funding" else _units(fee),
            funding=_units(change) if kind == "funding" else "0",
        )
        self.postings.append((self.executions[-1][0], posting))

    def _close(self, order: ModelOrder, status: OrderStatus, reason: Reason) -> None:
        if order.open:
            order.status, order.reason = status, reason
            self._gone(order)
            self._see(order)
            self.on_change(self.markets[order.symbol], status)

    def _gone(self, order: ModelOrder) -> None:
        if not order.open:
            self._open.pop(order.client_id or order.venue_id, None)
            self._closing.append(order)

    def _see(self, order: ModelOrder) -> None:
        order.updated = self.world.now
        instrument = self.markets[order.symbol].instrument
        seen = OrderSeen(
            client_id=order.client_id,
            venue_id=order.venue_id,
            category="linear",
            symbol=order.symbol,
            side="buy" if order.buys else "sell",
            status=order.status,
            cum=instrument.quantity(order.cum),
            price=instrument.price(order.tick),
            qty=instrument.quantity(order.lots),
            reason=order.reason,
            ts_venue=self.world.now,
        )
        since = max(self.world.now + int(self.rng.random() * self.lag), order.shown[-1][0] if order.shown else 0)
        order.shown.append((since, seen))
        self.hear(seen)

    def _positioned(self, market: ModelMarket) -> None:
        self.hear(self.position_seen(market.symbol))

    def _wallet(self) -> None:
        self.hear(self.wallet_seen())

    def _yes(self, request: OrderRequest, order: ModelOrder) -> Acked:
        return Acked(
            client_id=request.client_id, venue_id=order.venue_id, request=kind_of(request), ts_venue=self.world.now
        )

    def _no(self, request: OrderRequest, reason: Reason, code: int, message: str) -> Refused:
        return Refused(
            client_id=request.client_id,
            request=kind_of(request),
            reason=reason,
            code=code,
            message=message,
            ts_venue=self.world.now,
        )


def _units(units: int) -> str:
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, rest = divmod(units, 10**12)
    return f"{sign}{whole}.{rest:012d}".rstrip("0").rstrip(".")
