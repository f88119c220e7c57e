"""Between the engine's whole numbers and the venue's words.

    commands (order number, ticks, lots)   →  requests (client id, decimal text)
    facts (client id, decimal text)        →  what the engine hears (order number, ticks, lots)

Facts repeat and overtake one another; the engine joins them. What this file adds is only what a join cannot: which
order a name means, whether the terms that a venue shows are new, and what is in doubt. A fact about an order that is
not ours is never dropped: it is counted and told (`stray`), for its exposure is somebody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mmbot import _core
from mmbot.venues.port import (
    POSITION_KINDS,
    Acked,
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    OrderSeen,
    PlaceOrder,
    PositionSeen,
    Refused,
    TermsChanged,
    Unanswered,
    WalletSeen,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mmbot.execution.client_ids import ClientIds
    from mmbot.venues.port import Fact, InstrumentTerms, OrderRequest, Reason

__all__ = ["Bridge", "Doubt", "Listed"]

Doubt: TypeAlias = Literal["place", "amend", "cancel"]
"""A request whose effect nobody knows: the venue is asked about the order until it says."""

ENGINE_WORDS: dict[Reason, str] = {"post_only": "post_only_would_cross"}
"""Reasons that the engine calls by another name."""

HELD_BACK = "held_back"
"""The engine's reason for what we did not let out."""

CASH_UNITS = 10**12
REMEMBERED = 10_000
"""Orders whose terms are remembered after they were settled, for facts that come late."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One instrument of the run as the venue lists it."""

    category: str
    symbol: str
    instrument: _core.Instrument
    terms: InstrumentTerms


@dataclass
class _Sent:
    """What the venue was asked for, and the terms that it has shown last."""

    client_id: str
    instrument: int
    price: str
    qty: str
    touched: int
    """When it was last asked or told about."""
    asked_at: dict[Doubt, int] = field(default_factory=dict)
    venue_id: str = ""
    refused: bool = False


class Bridge:
    """Translates both ways, and keeps what is in doubt.

    answered: hears (request, ns from its sending to the venue's word on it). booked: hears each execution that was
    booked, once. stray: hears facts that belong to no order of this run, and kinds of execution that nobody knows.
    risen: hears of an order that was refused, and that the venue shows all the same.
    """

    def __init__(
        self,
        core: _core.Live,
        listed: Sequence[Listed],
        ids: ClientIds,
        *,
        answered: Callable[[Doubt, int], None],
        booked: Callable[[ExecutionSeen], None],
        stray: Callable[[Fact, str], None],
        risen: Callable[[int, Fact], None],
    ) -> None:
        self._core = core
        self._listed = listed
        self._ids = ids
        self._answered = answered
        self._booked, self._stray, self._risen = booked, stray, risen
        self._sent: dict[int, _Sent] = {}
        self._venue_ids: dict[str, int] = {}
        self._unconfirmed: dict[int, int] = {}
        self._moved: dict[tuple[str, str], int] = {}
        self._markets = {(each.category, each.symbol): index for index, each in enumerate(listed)}
        self.doubts: dict[int, Doubt] = {}
        """Orders about which something has to be asked, by number."""
        self.positions: dict[tuple[str, str], PositionSeen] = {}
        """Positions as the venue told them last."""
        self.wallets: dict[str, WalletSeen] = {}
        """Balances as the venue told them last, by coin."""

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
            sent = _Sent(self._ids.name(number), index, price, qty, now, {"place": now})
            self._remember(number, sent)
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
        sent.asked_at[request] = sent.touched = now

    def cancel(self, number: int) -> CancelOrder:
        """Word the cancel of an order; it may be said as often as need be."""
        sent = self._sent[number]
        listed = self._listed[sent.instrument]
        return CancelOrder(client_id=sent.client_id, category=listed.category, symbol=listed.symbol)

    def place_of(self, number: int) -> tuple[str, str, str]:
        """Category, symbol and client id of an order of this run."""
        sent = self._sent[number]
        listed = self._listed[sent.instrument]
        return listed.category, listed.symbol, sent.client_id

    def _remember(self, number: int, sent: _Sent) -> None:
        self._sent[number] = sent
        old = self._sent.get(number - REMEMBERED)
        if old is not None and number - REMEMBERED not in self.open():
            del self._sent[number - REMEMBERED]
            self._venue_ids.pop(old.venue_id, None)

    def open(self) -> list[int]:
        """List the orders that may still trade, by number."""
        return [order[0] for index in range(len(self._listed)) for order in self._core.orders(index)]

    def name(self, number: int) -> str:
        """Return the client id of an order."""
        return self._ids.name(number)

    def last_unanswered_place(self) -> int | None:
        """Return when the last order was sent that the venue has not spoken of since; None if there is none."""
        asked = [self._sent[number].asked_at.get("place") for number in self.open() if number in self._sent]
        return max((at for at in asked if at is not None), default=None)

    def oldest_unanswered(self) -> int | None:
        """Return when the oldest request about an open order was sent that has no answer; None if there is none."""
        waiting = [at for number in self.open() if number in self._sent for at in self._sent[number].asked_at.values()]
        return min(waiting, default=None)

    def doubt(self, client_id: str) -> None:
        """Have the venue asked about an order of this run that may still be open."""
        number = self._ids.sequence(client_id)
        if number is not None and number in self.open():
            self.doubts.setdefault(number, "place")

    def knows(self, fact: ExecutionSeen) -> bool:
        """Tell an execution of an order of this run."""
        return self._number(fact) is not None

    def settle_doubts(self) -> None:
        """Forget doubts about orders that are done: nothing of them can trade any more."""
        if self.doubts:
            open_now = set(self.open())
            self.doubts = {number: doubt for number, doubt in self.doubts.items() if number in open_now}

    def is_ours(self, client_id: str) -> bool:
        """Tell an order of this run from those of others and of earlier runs."""
        return self._ids.sequence(client_id) is not None

    def touched(self) -> dict[str, int]:
        """Return when orders and positions moved last, by the names under which they are compared."""
        orders = {sent.client_id: sent.touched for sent in self._sent.values()}
        return orders | {f"{category} {symbol}": ts for (category, symbol), ts in self._moved.items()}

    def unconfirmed(self, before: int) -> list[int]:
        """List the orders that the venue took in before then and has not shown since."""
        late = [number for number, since in self._unconfirmed.items() if since < before]
        for number in late:
            del self._unconfirmed[number]
        return late

    def _name(self, number: int, venue_id: str) -> None:
        self._sent[number].venue_id = venue_id
        self._venue_ids[venue_id] = number

    # ---- in

    def hear(self, facts: Iterable[Fact], clock: Callable[[], int]) -> None:
        """Tell the engine what the venue said; each fact is an input of its own time."""
        for fact in facts:
            try:
                self._hear(fact, clock)
            except _core.Quarantine as error:
                self._stray(fact, str(error))

    def _hear(self, fact: Fact, clock: Callable[[], int]) -> None:
        match fact:
            case PositionSeen():
                self.positions[fact.category, fact.symbol] = fact
            case WalletSeen():
                self.wallets[fact.coin] = fact
            case ExecutionSeen():
                self._execution(fact, clock)
            case TermsChanged():
                self._stray(fact, f"the rules of {fact.after.symbol} changed under the run")
            case _:
                self._about_order(fact, clock)

    def _about_order(self, fact: Acked | Refused | Unanswered | OrderSeen, clock: Callable[[], int]) -> None:
        number = self._ids.sequence(fact.client_id)
        if number is None or number not in self._sent:
            self._stray(fact, "it names no order of this run")
            return
        now = clock()
        self._sent[number].touched = now
        match fact:
            case Acked():
                self._name(number, fact.venue_id)
                self._answer(number, fact.request, now)
                if fact.request == "place":
                    self._unconfirmed[number] = now
                    self._core.acked(now, number, fact.ts_venue)
            case Refused():
                self._answer(number, fact.request, now)
                self._refused(number, fact, now)
            case Unanswered():
                self.doubts[number] = fact.request
                self._core.unknown(now, number)
            case OrderSeen():
                self._name(number, fact.venue_id)
                self._unconfirmed.pop(number, None)
                self._sent[number].asked_at.pop("place", None)
                self._seen(number, fact, clock)

    def _answer(self, number: int, request: Doubt, now: int) -> None:
        asked = self._sent[number].asked_at.pop(request, None)
        if asked is not None:
            self._answered(request, now - asked)

    def _refused(self, number: int, fact: Refused, now: int) -> None:
        reason = HELD_BACK if fact.held_back else _reason(fact.reason)
        if fact.request == "place":
            if fact.reason == "duplicate":  # our id exists: what became of it is the venue's to say
                self.doubts[number] = "place"
                self._core.unknown(now, number)
            else:
                self._sent[number].refused = True
                self.doubts.pop(number, None)
                self._core.rejected(now, number, reason, fact.ts_venue)
            return
        self._core.refused(now, number, reason, fact.ts_venue)
        # A refused cancel is no evidence of the order's end, and a refused amend none of its terms; what never left is.
        if number in self.open() and reason != HELD_BACK:
            self.doubts[number] = fact.request

    def _seen(self, number: int, seen: OrderSeen, clock: Callable[[], int]) -> None:
        sent, core, at = self._sent[number], self._core, seen.ts_venue
        instrument = self._listed[sent.instrument].instrument
        cum = instrument.lots(seen.cum)
        if sent.refused and seen.status in ("live", "partial"):
            self._risen(number, seen)
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
        self._settle_doubt(number, seen)

    def _settle_doubt(self, number: int, seen: OrderSeen) -> None:
        """What the venue shows of an order answers what was asked, but for a cancel of one that still rests."""
        doubt = self.doubts.get(number)
        if doubt is not None and not (doubt == "cancel" and seen.status in ("live", "partial")):
            del self.doubts[number]

    def _execution(self, fact: ExecutionSeen, clock: Callable[[], int]) -> None:
        index = self._markets.get((fact.category, fact.symbol))
        if index is None:
            self._stray(fact, "the run does not trade this instrument")
            return
        if fact.kind == "funding":
            paid = _units(fact.fee)
            self._core.funded(clock(), index, -paid, fact.ts_venue)
            return
        number = self._number(fact)
        if fact.kind not in POSITION_KINDS or number is None or number not in self._sent:
            self._stray(fact, "the position may have moved by something that is no order of this run")
            return
        listed, now = self._listed[index], clock()
        self._sent[number].touched = self._moved[fact.category, fact.symbol] = now
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
            self._booked(fact)

    def _number(self, fact: ExecutionSeen) -> int | None:
        number = self._ids.sequence(fact.client_id)
        return self._venue_ids.get(fact.venue_id) if number is None else number

    def _fee_units(self, fact: ExecutionSeen, listed: Listed) -> int:
        """The fee in the settlement currency. A spot fee in the bought coin counts at the execution's own price."""
        settle = listed.terms.settle or listed.terms.quote
        if fact.fee_currency in ("", settle):
            return _units(fact.fee)
        if fact.fee_currency == listed.terms.base:
            return _units(str(Decimal(fact.fee) * Decimal(fact.price)))
        self._stray(fact, f"its fee is in {fact.fee_currency}, which the books of {listed.symbol} cannot hold")
        return 0


def _comes_after(request: OrderRequest) -> bool:
    return not isinstance(request, CancelOrder)


def _reason(reason: Reason) -> str:
    return ENGINE_WORDS.get(reason, reason) or "other"


def _same(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one == other or all(Decimal(a) == Decimal(b) for a, b in zip(one, other, strict=True))


def _units(amount: str) -> int:
    """Whole 10^-12; finer ones are rounded half to even."""
    return int((Decimal(amount or "0") * CASH_UNITS).to_integral_value())
