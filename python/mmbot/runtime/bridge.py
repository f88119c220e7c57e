"""Between the engine's whole numbers and the venue's words.

    commands (order number, ticks, lots)   →  requests (client id, decimal text)
    facts (client id, decimal text)        →  what the engine hears (order number, ticks, lots)

Facts repeat and overtake one another; the engine joins them. What this file adds is only what a join cannot: which
order a name means, whether the terms that a venue shows are new, and what is in doubt.

What the venue tells of orders that nobody here sent is never dropped. An open one is adopted: counted in every limit,
and booked as it fills. An execution without an order moves the position, whoever caused it, and stops its symbol. What
the books cannot hold (another instrument, a kind that nobody knows) is told (`stray`), never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from mmbot import _core
from mmbot.execution.bookings import Booking, Bookings, Sums, flow_of
from mmbot.execution.recovery import owner_of
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope
from mmbot.runtime.bell import Bell
from mmbot.runtime.worth import units
from mmbot.venues.port import (
    POSITION_KINDS,
    Acked,
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    OrderSeen,
    Overasked,
    PlaceOrder,
    PositionSeen,
    Refused,
    TermsChanged,
    Unanswered,
    WalletSeen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from mmbot.execution.recovery import Chain, HeldOrder, Owner
    from mmbot.execution.resolve import VenueLag
    from mmbot.venues.port import Fact, InstrumentTerms, OrderRequest, Reason

__all__ = ["Bridge", "BridgeListener", "Doubt", "Listed"]

Doubt: TypeAlias = Literal["place", "amend", "cancel"]
"""A request whose effect nobody knows: the venue is asked about the order until it says."""

ENGINE_WORDS: dict[Reason, str] = {"post_only": "post_only_would_cross"}
"""Reasons that the engine calls by another name."""

HELD_BACK = "held_back"
"""The engine's reason for what we did not let out."""

OPEN_LIVES = ("intent", "sent", "acked", "unknown", "live", "partial")
REMEMBERED = 10_000
"""Orders whose terms are remembered after they were settled, for facts that come late."""
EXECUTIONS_KEPT = 200_000
"""Executions whose ids are remembered, so that the venue's statement can be explained by them."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One instrument of the run as the venue lists it."""

    category: str
    symbol: str
    instrument: _core.Instrument
    terms: InstrumentTerms

    @property
    def name(self) -> str:
        """Category and symbol in one word, as scopes and reports have it."""
        return f"{self.category} {self.symbol}"


@dataclass
class _Sent:
    """What the venue was asked for, and the terms that it has shown last."""

    client_id: str
    instrument: int
    price: str
    qty: str
    decided: int
    """When it was decided: it was sent no earlier. Of an order that nobody here sent, when it was first heard of."""
    asked_at: dict[Doubt, int] = field(default_factory=dict)
    venue_id: str = ""
    exists: bool = False
    """The venue has spoken of the order itself."""
    taken_at: int | None = None
    """When the venue spoke of it first: its lists show it later."""


class BridgeListener(Protocol):
    """Hears what the bridge made of facts."""

    def on_answered(self, request: Doubt, ns: int) -> None:
        """The venue's word on a request, so long after it was sent."""

    def on_booked(self, fact: ExecutionSeen) -> None:
        """An execution was booked, once."""

    def on_stray(self, fact: Fact, why: str) -> None:
        """The books cannot hold this."""

    def on_adopted(self, number: int, seen: OrderSeen, owner: Owner) -> None:
        """The venue has an open order that nobody here sent; it counts from now on."""

    def on_risen(self, number: int) -> None:
        """An order is there that we had concluded not to exist: refused, held back, or proven away."""

    def on_freeze(self, asked: FreezeAsked) -> None:
        """Trading has to stop there."""


class Bridge:
    """Translates both ways, and keeps what is in doubt."""

    def __init__(
        self,
        core: _core.Live,
        listed: Sequence[Listed],
        chain: Chain,
        listener: BridgeListener,
        lag: VenueLag,
    ) -> None:
        self._core = core
        self._listed = listed
        self._chain = chain
        self._listener = listener
        self._lag = lag
        self._placed: dict[str, int] = {}
        """By client id: orders of this run that are remembered; any other name has to be read."""
        self._adopted: dict[str, int] = {}
        self._executions: dict[str, None] = {}
        self.bookings = Bookings()
        """What the books say that executions moved, for the venue's statement to show the same."""
        self._outside: dict[str, int] = {}
        """By the venue's id of an order that nobody knew: lots that were booked without it."""
        self._sent: dict[int, _Sent] = {}
        self._venue_ids: dict[str, int] = {}
        self._unconfirmed: dict[int, int] = {}
        self._touched: dict[str, int] = {}
        self._markets = {(each.category, each.symbol): index for index, each in enumerate(listed)}
        self.doubts: dict[int, Doubt] = {}
        """Orders about which something has to be asked, by number."""
        self.doubted = Bell()
        """Set with each new doubt; whoever waits for one clears it."""
        self.positions: dict[tuple[str, str], PositionSeen] = {}
        """Positions as the venue told them last."""
        self.wallets: dict[str, WalletSeen] = {}
        """Balances as the venue told them last, by coin."""
        self._most_open = 0

    # ---- out

    def requests(self, commands: Iterable[tuple[Any, ...]], now: int) -> list[OrderRequest]:
        """Word the engine's commands for the venue, cancels first: those of both sides are then one batch, and free
        what the new orders need.
        """
        requests = [self._request(command, now) for command in commands]
        return sorted(requests, key=_comes_after)

    def _request(self, command: tuple[Any, ...], now: int) -> OrderRequest:
        kind, number, index = command[:3]
        listed = self._listed[index]
        if kind == "place":
            _, _, _, side, tick, lots, tif, post_only, reduce_only = command
            price, qty = listed.instrument.price(tick), listed.instrument.quantity(lots)
            sent = _Sent(self._chain.name(number), index, price, qty, now, {"place": now})
            self._remember(number, sent, now)
            self._placed[sent.client_id] = number
            return PlaceOrder(
                client_id=sent.client_id,
                category=listed.category,
                symbol=listed.symbol,
                side=side,
                price=price,
                qty=qty,
                tif=tif,
                post_only=post_only,
                reduce_only=reduce_only,
            )
        self._asked(number, kind, now)
        if kind == "cancel":
            return self.cancel(number)
        _, _, _, tick, lots = command
        return AmendOrder(
            client_id=self._sent[number].client_id,
            category=listed.category,
            symbol=listed.symbol,
            price=listed.instrument.price(tick),
            qty=listed.instrument.quantity(lots),
        )

    def _asked(self, number: int, request: Doubt, now: int) -> None:
        sent = self._sent[number]
        sent.asked_at[request] = now
        self._touch(sent, now)

    def cancel(self, number: int) -> CancelOrder:
        """Word the cancel of an order; it may be said as often as need be."""
        sent = self._sent[number]
        listed = self._listed[sent.instrument]
        return CancelOrder(client_id=sent.client_id, category=listed.category, symbol=listed.symbol)

    def place_of(self, number: int) -> tuple[str, str, str]:
        """Category, symbol and client id of an order of ours."""
        sent = self._sent[number]
        listed = self._listed[sent.instrument]
        return listed.category, listed.symbol, sent.client_id

    def _touch(self, sent: _Sent, now: int) -> None:
        self._touched[sent.client_id or sent.venue_id] = now

    def _remember(self, number: int, sent: _Sent, now: int) -> None:
        self._sent[number] = sent
        self._touch(sent, now)
        old = self._sent.get(number - REMEMBERED)
        if old is not None and number - REMEMBERED not in self.open():
            del self._sent[number - REMEMBERED]
            self._venue_ids.pop(old.venue_id, None)
            self._touched.pop(old.client_id or old.venue_id, None)
            self._placed.pop(old.client_id, None)

    def open(self) -> list[int]:
        """List the orders that may still trade, by number, adopted ones included."""
        return self._core.open_orders()

    def crowded(self) -> None:
        """Note how many orders may be open: more than ever where new ones left and the old ones are not gone yet."""
        self._most_open = max(self._most_open, len(self.open()))

    def most_open(self) -> int:
        """Return how many orders may have been open at once since this was asked last."""
        self.crowded()
        most, self._most_open = self._most_open, 0
        return most

    def name(self, number: int) -> str:
        """Return the name under which an order is compared: its client id or, without one, the venue's."""
        sent = self._sent.get(number)
        return self._chain.name(number) if sent is None else sent.client_id or sent.venue_id

    def over(self, numbers: Iterable[int]) -> set[int]:
        """Tell those orders of ours that the engine counts no more from others."""
        return self._sent.keys() & set(numbers) - set(self.open())

    def exists(self, number: int) -> bool:
        """Tell whether the venue has spoken of the order itself: it cannot never have been placed then."""
        sent = self._sent.get(number)
        return sent is not None and sent.exists

    def decided(self, number: int) -> int:
        """Return when an order was decided, ns: it was sent no earlier."""
        return self._sent[number].decided

    def restore(self, orders: Iterable[HeldOrder], now: int) -> None:
        """Take over orders of an earlier run. The venue is asked about each."""
        for held in orders:
            instrument = self._listed[held.instrument].instrument
            price, qty = instrument.price(held.tick), instrument.quantity(held.lots)
            sent = _Sent(
                held.client_id,
                held.instrument,
                price,
                qty,
                held.decided,
                venue_id=held.venue_id,
                exists=held.exists,
                taken_at=now if held.exists else None,  # a moment before the other run died, perhaps
            )
            if not held.exists:  # it was sent by now at the latest, and may still arrive
                sent.asked_at["place"] = now
            self._sent[held.number] = sent
            self._touch(sent, now)
            if held.venue_id:
                self._venue_ids[held.venue_id] = held.number
            if held.client_id and self._chain.number(held.client_id) is None:
                self._adopted[held.client_id] = held.number
            if held.client_id:
                self._doubt(held.number, "place")

    def is_booked(self, execution_id: str) -> bool:
        """Tell an execution that the books know of."""
        return execution_id in self._executions

    def _open_in(self, markets: Collection[tuple[str, str]]) -> list[_Sent]:
        within = {self._markets[market] for market in markets}
        known = (self._sent[number] for number in self.open() if number in self._sent)
        return [sent for sent in known if sent.instrument in within]

    def last_unanswered_place(self, markets: Collection[tuple[str, str]]) -> int | None:
        """Return when the last order was sent there that the venue has not spoken of since; None if there is none."""
        asked = [sent.asked_at.get("place") for sent in self._open_in(markets)]
        return max((at for at in asked if at is not None), default=None)

    def listed_by(self, markets: Collection[tuple[str, str]], now: int) -> int:
        """Return until when the venue's lists may not show an order there that it has, ns; 0 for none that is open."""
        taken = [sent.taken_at for sent in self._open_in(markets)]
        last = max((at for at in taken if at is not None), default=None)
        return 0 if last is None else last + self._lag.bound(now)

    def oldest_unanswered(self) -> int | None:
        """Return when the oldest request about an open order was sent that has no answer; None if there is none."""
        waiting = [at for number in self.open() if number in self._sent for at in self._sent[number].asked_at.values()]
        return min(waiting, default=None)

    def doubt(self, client_id: str) -> None:
        """Have the venue asked about an order of this run that may still be open."""
        number = self._named(client_id)
        if number is not None and number in self.open():
            self._doubt(number, self.doubts.get(number, "place"))

    def knows(self, fact: ExecutionSeen) -> bool:
        """Tell an execution of an order of ours."""
        return self._number(fact) is not None

    def holds(self, client_id: str) -> bool:
        """Tell an order that counts, or has counted: it was sent, taken over, or adopted."""
        return self._named(client_id) in self._sent

    def number_of(self, client_id: str) -> int | None:
        """Return the number of the order of that name; None for one that nobody here knows."""
        return self._named(client_id)

    def _named(self, client_id: str) -> int | None:
        number = self._placed.get(client_id)
        if number is None:
            number = self._chain.number(client_id)
        return self._adopted.get(client_id) if number is None else number

    def _doubt(self, number: int, request: Doubt) -> None:
        self.doubts[number] = request
        self.doubted.ring()

    def settle_doubts(self) -> None:
        """Forget doubts about orders that are done: nothing of them can trade any more."""
        if self.doubts:
            open_now = set(self.open())
            self.doubts = {number: doubt for number, doubt in self.doubts.items() if number in open_now}

    def is_ours(self, client_id: str) -> bool:
        """Tell an order of ours, of this run or one that it took over, or an orphan, from those of others."""
        return owner_of(client_id) == "orphan"

    @property
    def touched(self) -> Mapping[str, int]:
        """When orders were last asked or told about, and positions moved, by the names that they are compared under."""
        return self._touched

    def oldest_unconfirmed(self) -> int | None:
        """Return since when the venue has taken an order in and not shown it, the oldest; None for none."""
        return min(self._unconfirmed.values(), default=None)

    def unconfirmed(self, by: int) -> list[int]:
        """List the orders that the venue took in by then and has not shown since."""
        late = [number for number, since in self._unconfirmed.items() if since <= by]
        for number in late:
            del self._unconfirmed[number]
        return late

    def _name(self, number: int, venue_id: str, now: int) -> None:
        sent = self._sent[number]
        sent.venue_id = venue_id
        if sent.taken_at is None:
            sent.taken_at = now
        self._venue_ids[venue_id] = number

    # ---- in

    def hear(self, facts: Iterable[Fact], clock: Callable[[], int]) -> None:
        """Tell the engine what the venue said; each fact is an input of its own time."""
        for fact in facts:
            try:
                self._hear(fact, clock)
            except _core.Quarantine as error:
                self._listener.on_stray(fact, str(error))
                if isinstance(fact, ExecutionSeen):
                    self._executions.pop(fact.execution_id, None)
            for number in self._core.take_risen():
                self._listener.on_risen(number)

    def _hear(self, fact: Fact, clock: Callable[[], int]) -> None:
        match fact:
            case PositionSeen():
                self.positions[fact.category, fact.symbol] = fact
            case WalletSeen():
                self.wallets[fact.coin] = fact
            case ExecutionSeen():
                self._execution(fact, clock)
            case TermsChanged():
                self._listener.on_stray(fact, f"the rules of {fact.after.symbol} changed under the run")
            case Overasked():  # the order gate's to answer
                pass
            case _:
                self._about_order(fact, clock)

    def _about_order(self, fact: Acked | Refused | Unanswered | OrderSeen, clock: Callable[[], int]) -> None:
        number = self._named(fact.client_id)
        if number is None and isinstance(fact, OrderSeen):
            number = self._venue_ids.get(fact.venue_id)
        if number is None or number not in self._sent:
            self._of_nobody(number, fact, clock)
            return
        now = clock()
        self._touch(self._sent[number], now)
        match fact:
            case Acked():
                self._name(number, fact.venue_id, now)
                self._answer(number, fact.request, now)
                if fact.request == "place":
                    self._unconfirmed[number] = now
                    self._core.acked(now, number, fact.ts_venue)
            case Refused():
                self._answer(number, fact.request, now)
                self._refused(number, fact, now)
            case Unanswered():
                if fact.reason in ("overloaded", "other"):
                    self._lag.troubled(now)
                self._doubt(number, fact.request)
                self._core.unknown(now, number)
            case OrderSeen():
                self._name(number, fact.venue_id, now)
                acked = self._unconfirmed.pop(number, None)
                if acked is not None:
                    self._lag.shown(now, now - acked)
                self._sent[number].exists = True
                self._sent[number].asked_at.pop("place", None)
                self._seen(number, fact, clock)

    def _of_nobody(
        self, number: int | None, fact: Acked | Refused | Unanswered | OrderSeen, clock: Callable[[], int]
    ) -> None:
        """A fact about an order that this run did not send, or has long forgotten."""
        if not isinstance(fact, OrderSeen):
            self._listener.on_stray(fact, "it names no order of ours")
        elif number is None and fact.status in ("live", "partial"):
            self.adopt(fact, clock)
        elif number is not None:  # settled before the restart; a late word of it changes nothing, or makes it rise
            index = self._markets[fact.category, fact.symbol]
            now = clock()
            self._remember(number, _Sent(fact.client_id, index, fact.price, fact.qty, now, exists=True), now)
            self._seen(number, fact, clock)

    def adopt(self, seen: OrderSeen, clock: Callable[[], int]) -> None:
        """Count an open order that the venue has and nobody here sent; told again, it changes nothing."""
        index = self._markets.get((seen.category, seen.symbol))
        if index is None:
            self._listener.on_stray(seen, "the run does not trade this instrument")
            return
        instrument, owner = self._listed[index].instrument, owner_of(seen.client_id)
        outside = self._outside.get(seen.venue_id, 0)  # executions that came before any word of the order itself
        cum = max(instrument.lots(seen.cum), outside)
        number = self._core.adopt(
            clock(),
            seen.client_id,
            seen.venue_id,
            index,
            seen.side,
            instrument.ticks(seen.price),
            instrument.lots(seen.qty),
            cum,
            False,  # whether it may only reduce, the venue's word does not say
            owner,
            booked=outside,
        )
        if number in self._sent:
            return
        now = clock()
        sent = _Sent(
            seen.client_id, index, seen.price, seen.qty, now, venue_id=seen.venue_id, exists=True, taken_at=now
        )
        self._sent[number] = sent
        self._touch(sent, now)
        self._venue_ids[seen.venue_id] = number
        if seen.client_id:
            self._adopted[seen.client_id] = number
        self._listener.on_adopted(number, seen, owner)

    def _answer(self, number: int, request: Doubt, now: int) -> None:
        asked = self._sent[number].asked_at.pop(request, None)
        if asked is not None:
            self._listener.on_answered(request, now - asked)

    def _refused(self, number: int, fact: Refused, now: int) -> None:
        reason = HELD_BACK if fact.held_back else _reason(fact.reason)
        if fact.request == "place":
            if fact.reason == "duplicate":  # our id exists: what became of it is the venue's to say
                self._sent[number].exists = True
                self._doubt(number, "place")
                self._core.unknown(now, number)
            else:
                self.doubts.pop(number, None)
                self._core.turned_away(now, number, reason, fact.ts_venue)
            return
        self._core.refused(now, number, fact.request, reason, fact.ts_venue)
        # A refused cancel is no evidence of the order's end, and a refused amend none of its terms; what never left is.
        if number in self.open() and reason != HELD_BACK:
            self._doubt(number, fact.request)

    def _seen(self, number: int, seen: OrderSeen, clock: Callable[[], int]) -> None:
        sent, core, at = self._sent[number], self._core, seen.ts_venue
        instrument = self._listed[sent.instrument].instrument
        cum = instrument.lots(seen.cum)
        if seen.status == "rejected" and cum == 0:
            core.rejected(clock(), number, _reason(seen.reason), at)
        elif seen.status in ("canceled", "rejected"):
            core.canceled(clock(), number, cum, at)
        else:
            core.accepted(clock(), number, at)
            if cum:
                core.executed(clock(), number, cum, at)
            if not _same((seen.price, seen.qty), (sent.price, sent.qty)):
                sent.price, sent.qty = seen.price, seen.qty
                core.amended(clock(), number, instrument.ticks(seen.price), instrument.lots(seen.qty), at)
            if seen.status == "filled" and self._waits_for_more(number):
                core.canceled(clock(), number, cum, at)  # an amend without an answer can no longer make it larger
        self._settle_doubt(number, seen)

    def _waits_for_more(self, number: int) -> bool:
        """Whether the engine takes an order for open: by terms that were asked for, and not heard of."""
        rows = self._core.order_rows(self._sent[number].instrument)
        return any(row[0] == number and row[7] in OPEN_LIVES for row in rows)

    def _settle_doubt(self, number: int, seen: OrderSeen) -> None:
        """What the venue shows of an order answers what was asked, but for a cancel of one that still rests."""
        doubt = self.doubts.get(number)
        if doubt is not None and not (doubt == "cancel" and seen.status in ("live", "partial")):
            del self.doubts[number]

    def ledger(self, index: int) -> Sums:
        """Return what the ledger holds of an instrument."""
        books = self._core.books(0, index)
        fees, funding = int(books["fee_units"]), int(books["funding_units"])
        return Sums(int(books["cash_units"]) + fees - funding, fees, funding, int(books["position_lots"]))

    def _await_statement(self, fact: ExecutionSeen, index: int, before: Sums, now: int, *, news: bool) -> None:
        """Note what the ledger did with an execution.

        news: it is heard for the first time in this run. If the ledger did nothing with it, the run before had booked
        it, by the same words.
        """
        moved = self.ledger(index).less(before)
        listed, earlier = self._listed[index], not any(moved)
        if earlier and news:
            moved = self._told_by(fact, listed)
        elif earlier:
            return
        spot = listed.category == "spot"
        size = Decimal(fact.qty) if fact.side == "buy" else -Decimal(fact.qty)
        in_base = spot and fact.fee_currency == listed.terms.base
        self.bookings.book(
            Booking(
                execution_id=fact.execution_id,
                market=listed.name,
                kind="funding" if fact.kind == "funding" else "trade",
                coin=listed.terms.settle or listed.terms.quote,
                sums=moved,
                base=listed.terms.base if spot else "",
                size=0 if listed.category == "inverse" else units(str(size)),
                base_fee=round(moved.fees / Fraction(fact.price)) if in_base else None,
                ts_venue=fact.ts_venue,
                booked_at=now,
                earlier=earlier,
            )
        )

    def _told_by(self, fact: ExecutionSeen, listed: Listed) -> Sums:
        """What an execution has to have moved, by its own words, rounded as the ledger rounds."""
        if fact.kind == "funding":
            return Sums(funding=-units(fact.fee))
        instrument, sign = listed.instrument, 1 if fact.side == "buy" else -1
        size = sign * Fraction(fact.qty) * Fraction(instrument.contract)
        flow = flow_of(size, Fraction(fact.price), inverse=instrument.kind == "inverse")
        return Sums(flow, self._fee_units(fact, listed), 0, sign * instrument.lots(fact.qty))

    def _execution(self, fact: ExecutionSeen, clock: Callable[[], int]) -> None:
        news = fact.execution_id not in self._executions
        self._executions[fact.execution_id] = None
        if len(self._executions) > EXECUTIONS_KEPT:
            del self._executions[next(iter(self._executions))]
        index = self._markets.get((fact.category, fact.symbol))
        if index is None:
            self.bookings.elsewhere(fact.execution_id)
            self._listener.on_stray(fact, "the run does not trade this instrument")
            return
        before = self.ledger(index)
        if fact.kind == "funding":
            now, paid = clock(), units(fact.fee)
            self._core.funded(now, index, -paid, fact.ts_venue)
            self._await_statement(fact, index, before, now, news=news)
            return
        if fact.kind not in POSITION_KINDS:
            self._listener.on_stray(fact, "a kind of execution that nobody here knows; the position may have moved")
            why = f"execution {fact.execution_id} is of a kind that is not known; compare the position by hand"
            self._freeze(fact, "unknown_execution", why, clock)
            return
        now, number = clock(), self._number(fact)
        self._touched[f"{fact.category} {fact.symbol}"] = now
        if number is None:
            self._without_order(fact, index, clock)
        else:
            self._of_order(fact, index, number, now)
        self._await_statement(fact, index, before, now, news=news)

    def _of_order(self, fact: ExecutionSeen, index: int, number: int, now: int) -> None:
        if number in self._sent:
            self._touch(self._sent[number], now)
        listed = self._listed[index]
        if self._core.filled(
            now,
            number,
            fact.execution_id,
            listed.instrument.ticks(fact.price),
            listed.instrument.lots(fact.qty),
            fact.maker,
            self._fee_units(fact, listed),
            fact.ts_venue,
        ):
            self._listener.on_booked(fact)

    def _without_order(self, fact: ExecutionSeen, index: int, clock: Callable[[], int]) -> None:
        """The position moved by something that is no order of ours: a person, the venue's risk engine, a settlement."""
        listed = self._listed[index]
        lots = listed.instrument.lots(fact.qty)
        kind = owner_of(fact.client_id) if fact.kind == "trade" else fact.kind
        if self._core.moved(
            clock(),
            index,
            fact.execution_id,
            kind,
            fact.side,
            listed.instrument.ticks(fact.price),
            lots,
            self._fee_units(fact, listed),
            fact.ts_venue,
        ):
            self._outside[fact.venue_id] = self._outside.get(fact.venue_id, 0) + lots
            self._listener.on_booked(fact)
            why = f"{fact.side} {fact.qty} at {fact.price} ({kind}, execution {fact.execution_id}) was no order of ours"
            self._freeze(fact, "position_moved", why, clock)

    def _freeze(self, fact: ExecutionSeen, control: str, why: str, clock: Callable[[], int]) -> None:
        scope = Scope("symbol", f"{fact.category} {fact.symbol}")
        self._listener.on_freeze(FreezeAsked(FreezeLevel.NO_NEW, scope, control, why, clock()))

    def _number(self, fact: ExecutionSeen) -> int | None:
        number = self._named(fact.client_id)
        return self._venue_ids.get(fact.venue_id) if number is None else number

    def _fee_units(self, fact: ExecutionSeen, listed: Listed) -> int:
        """The fee in the settlement currency. A spot fee in the bought coin counts at the execution's own price."""
        settle = listed.terms.settle or listed.terms.quote
        if fact.fee_currency in ("", settle):
            return units(fact.fee)
        if fact.fee_currency == listed.terms.base:
            return units(str(Decimal(fact.fee) * Decimal(fact.price)))
        self._listener.on_stray(fact, f"its fee is in {fact.fee_currency}, which {listed.symbol} cannot hold")
        return 0


def _comes_after(request: OrderRequest) -> bool:
    return not isinstance(request, CancelOrder)


def _reason(reason: Reason) -> str:
    return ENGINE_WORDS.get(reason, reason) or "other"


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one == other or all(Decimal(a) == Decimal(b) for a, b in zip(one, other, strict=True))
