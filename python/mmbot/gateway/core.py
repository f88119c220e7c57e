"""Whether a request may be signed: a function of the limits, of what the gateway itself has heard, and of the time.

    request ─▶ every rule is asked ─┬─ no objection   reserved in the gateway's own account of the venue, and let out
                                    └─ objections     refused, with all of them

The engine is not believed. Prices are judged against references that the gateway hears itself, positions by its own
executions, positions and orders of the account, and an order counts in full from the moment it is let out until what
became of it was heard. What is missing, stale or no number denies. A cancel is never judged.

Source: docs/gateway.md names each rule and what it is for.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmbot.execution.ruling import LEAD_NS
from mmbot.risk.levels import FreezeLevel
from mmbot.venues.port import (
    ARRIVES_NS,
    POSITION_KINDS,
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    OrderSeen,
    PlaceOrder,
    PositionSeen,
    Reason,
    Refused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmbot.gateway.limits import GatewayLimits, SymbolLimits
    from mmbot.venues.port import Fact, OrderRequest, Side

__all__ = ["GatewayCore", "Market", "Objection", "Rule", "ask_reason"]

Market: TypeAlias = tuple[str, str]
"""Category and symbol."""
Rule: TypeAlias = Literal[
    "symbol",  # not on the list
    "name",  # no client id that we give
    "duplicate",  # the client id was used before
    "number",  # price or quantity is no plain positive decimal
    "unknown_order",  # an amend of an order that the gateway does not know
    "taking",  # it could take liquidity and may not
    "reference",  # no fresh reference price
    "collar",  # too far from a reference
    "quantity",  # larger than one order may be
    "notional",  # worth more than one order may be
    "position",  # could make the position too large
    "exposure",  # could make everything together too large
    "rate",  # too many in a second or a minute
    "engine",  # no engine has shaken hands
    "epoch",  # an engine that was superseded
    "age",  # the decision is too old, or of the future
    "clock",  # the clock jumped
    "frozen",  # the freeze level forbids it
    "view",  # the account is not heard
    "attestation",  # key or account are not fit
]
"""What is judged, each under a name that counters and refusals carry."""

_REASONS: dict[Rule, Reason] = {
    "symbol": "no_market",
    "name": "invalid",
    "duplicate": "duplicate",
    "number": "invalid",
    "unknown_order": "unknown_order",
    "taking": "post_only",
    "reference": "no_market",
    "collar": "price_band",
    "quantity": "limit",
    "notional": "limit",
    "position": "limit",
    "exposure": "limit",
    "rate": "rate_limited",
    "engine": "fenced",
    "epoch": "fenced",
    "age": "clock",
    "clock": "clock",
    "frozen": "frozen",
    "view": "no_market",
    "attestation": "credentials",
}
_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,36}")
_SECOND, _MINUTE, _MS = 1_000_000_000, 60_000_000_000, 1_000_000
_BPS = Decimal(10_000)
_ZERO = Decimal(0)
NAMES_KEPT = 200_000
"""Client ids and executions that are remembered, so that a repeat is known."""


def ask_reason(rule: Rule) -> Reason:
    """How a refusal by this rule is called in a venue's words."""
    return _REASONS[rule]


@dataclass(frozen=True, slots=True)
class Objection:
    """One rule's no, with the numbers."""

    rule: Rule
    said: str


@dataclass(slots=True)
class _Order:
    """An order as far as the gateway can prove anything about it."""

    side: Side
    price: Decimal
    qty: Decimal
    reduce_only: bool
    """The venue keeps it from opening a position."""
    since: int
    venue_id: str = ""
    cum: Decimal = _ZERO
    booked: Decimal = _ZERO
    over: bool = False
    shown: bool = False
    asked: list[Decimal] = field(default_factory=list)
    """Quantities of amends that have not shown yet."""
    amended: int = 0
    """When the last amend was let out."""
    told_ts: int = 0
    """Venue time of the terms that are held."""

    @property
    def left(self) -> Decimal:
        """The most that it may still add to a position that has not been booked."""
        if self.over:
            return max(_ZERO, self.cum - self.booked)
        return max(_ZERO, max([self.qty, *self.asked]) - self.booked)


@dataclass(slots=True)
class _Reference:
    bid: Decimal
    ask: Decimal
    ts: int


@dataclass(slots=True)
class _Account:
    """What is known of one instrument: two accounts of the position, which have to be believed both."""

    limits: SymbolLimits
    told: Decimal | None = None
    """As the venue says it."""
    told_ts: int = 0
    summed: Decimal | None = None
    """As the executions add up from there."""
    start: Decimal = _ZERO
    moved: int = 0
    """When an execution was heard last."""
    orders: dict[str, _Order] = field(default_factory=dict)
    references: dict[str, _Reference] = field(default_factory=dict)

    def reach(self, side: Side) -> Decimal | None:
        """The farthest that the position may come to be on that side, signed; None where it is not known."""
        if self.told is None or self.summed is None:
            return None
        open_lots = sum((one.left for one in self.orders.values() if one.side == side and not one.reduce_only), _ZERO)
        if side == "buy":
            return max(self.told, self.summed) - self.start + open_lots
        return min(self.told, self.summed) - self.start - open_lots

    @property
    def worst(self) -> Decimal | None:
        """The larger of both sides, without a sign."""
        longest, shortest = self.reach("buy"), self.reach("sell")
        return None if longest is None or shortest is None else max(longest, -shortest, _ZERO)

    def mid(self, oldest: int) -> Decimal | None:
        """Mid of the freshest reference; None where that is from before `oldest`."""
        latest = max(self.references.values(), key=lambda one: one.ts, default=None)
        return None if latest is None or latest.ts < oldest else (latest.bid + latest.ask) / 2

    @property
    def venue_reduces(self) -> bool:
        """The venue holds a reduce-only order to that. On spot it does not know the word."""
        return self.limits.category != "spot"

    def shrinks(self, wanted: _Wanted) -> bool:
        """Whether an order that says so only takes a position back.

        On spot nobody holds it to that, so it has to be a sale of what the account has, or a purchase of what it has
        less than at the start, whatever else is out on its side.
        """
        if not wanted.reduce_only or self.venue_reduces:
            return wanted.reduce_only
        reach = self.reach(wanted.side)
        if reach is None:
            return False
        return reach + wanted.more <= 0 if wanted.side == "buy" else reach + self.start >= wanted.more

    def reducing(self, side: Side) -> tuple[Decimal, Decimal]:
        """What reduce-only orders of a side have left together, and the position that they can take back."""
        left = sum((one.left for one in self.orders.values() if one.side == side and one.reduce_only), _ZERO)
        both = (self.told or _ZERO, self.summed or _ZERO)
        return left, max(_ZERO, max(both) if side == "sell" else -min(both))

    def value(self, qty: Decimal, price: Decimal) -> Decimal:
        """What so much is worth, in quote currency: inverse contracts are sold by the dollar."""
        return qty if self.limits.category == "inverse" else qty * price


@dataclass(slots=True)
class _Wanted:
    """A place, or what an amend would make of an order."""

    side: Side
    price: Decimal
    qty: Decimal
    more: Decimal
    """How much it adds to what may still be executed."""
    reduce_only: bool
    """What the engine says, or what the order is known to be."""
    takes: bool
    ioc: bool


class GatewayCore:
    """The rules of one gateway, and all that it knows. Times are ns of one steady clock that also counts sleep.

    `wall` times are ns since epoch and only looked at for jumps. Nothing here reads a clock or a file.
    """

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.objections: Counter[Rule] = Counter()
        """How often each rule said no."""
        self.passed: Counter[str] = Counter()
        """Requests let out, by kind."""
        self.epoch = 0
        """The highest epoch that an engine came with."""
        self.engaged = False
        """An engine of that epoch is there."""
        self.faults: tuple[str, ...] = ()
        """Why key or account are not fit to trade."""
        self.deaf: str = ""
        """Why the account is not heard now; "" if it is."""
        self._levels: dict[str, FreezeLevel] = {}
        self._accounts: dict[Market, _Account] = {(one.category, one.symbol): _Account(one) for one in limits.symbol}
        self._caps = {
            market: (Decimal(one.limits.order_qty), Decimal(one.limits.order_notional), Decimal(one.limits.position))
            for market, one in self._accounts.items()
        }
        self._exposure = Decimal(limits.exposure)
        self._names: OrderedDict[str, None] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()
        self._executions: OrderedDict[str, None] = OrderedDict()
        self._sent: deque[int] = deque()
        self._last = 0
        self._ahead: int | None = None
        self._distrust_until = 0

    # ---- who is there

    def engage(self, epoch: int) -> bool:
        """An engine shook hands; False, and nothing changed, for one that was superseded."""
        if epoch < self.epoch:
            return False
        self.epoch, self.engaged = epoch, True
        return True

    def disengage(self) -> None:
        """The engine is gone: nothing new leaves until one shakes hands. Its orders stay, and stay counted."""
        self.engaged = False

    # ---- what was heard

    def freeze(self, levels: Mapping[str, FreezeLevel]) -> None:
        """Take over the freeze levels: by "category symbol", and under "" what holds for all."""
        self._levels = dict(levels)

    def level(self, market: Market) -> FreezeLevel:
        """The level that holds for an instrument."""
        of_all = self._levels.get("", FreezeLevel.NORMAL)
        return max(of_all, self._levels.get(f"{market[0]} {market[1]}", FreezeLevel.NORMAL))

    def refer(self, market: Market, source: str, bid: str, ask: str, now: int) -> None:
        """A reference price of an instrument. What is no two-sided market takes the reference away."""
        account = self._accounts.get(market)
        if account is None:
            return
        low, high = _plain(bid), _plain(ask)
        if low is None or high is None or low > high:
            account.references.pop(source, None)
        else:
            account.references[source] = _Reference(low, high, now)

    def unrefer(self, market: Market, source: str) -> None:
        """A source cannot be heard any more."""
        account = self._accounts.get(market)
        if account is not None:
            account.references.pop(source, None)

    def hear(self, fact: Fact, now: int) -> None:
        """What the venue said of the account: any order, any number of times."""
        match fact:
            case OrderSeen():
                self._order_seen(fact, now)
            case ExecutionSeen():
                self._executed(fact, now)
            case PositionSeen():
                self._position_seen(fact)
            case Refused():
                self._refused(fact)
            case _:
                return  # an acknowledgement frees nothing, silence neither

    def looked(self, market: Market, opened: Iterable[OrderSeen], position: PositionSeen, since: int, now: int) -> None:
        """What the venue said when it was asked: all open orders, and the position.

        since: when it was asked. What the executions add up to is set right by it only if none was heard meanwhile.
        """
        account = self._accounts.get(market)
        if account is None:
            return
        listed = list(opened)
        for seen in listed:
            self._over.pop(seen.client_id or seen.venue_id, None)  # it is open: whatever was thought before
            self._order_seen(seen, now)
        self._position_seen(position)
        if account.moved < since and account.told is not None:
            account.summed = account.told
            for seen in listed:
                order = account.orders[seen.client_id or seen.venue_id]
                order.booked = max(order.booked, order.cum)
                if order.amended < since - ARRIVES_NS:  # no amend is under way any more: as listed is as it is
                    order.asked.clear()
                    order.qty = _number(seen.qty)
            for name in [name for name, one in account.orders.items() if one.over]:
                self._settle(account, name)

    def in_doubt(self, before: int) -> list[tuple[Market, str]]:
        """Orders let out before then that nothing was heard of since: ask the venue about each."""
        return [
            (market, name)
            for market, account in self._accounts.items()
            for name, order in account.orders.items()
            if not order.shown and order.since < before
        ]

    def absent(self, market: Market, client_id: str) -> None:
        """It is proven that the venue never had this order; should it show all the same, it counts again."""
        account = self._accounts.get(market)
        if account is not None and client_id in account.orders and not account.orders[client_id].shown:
            del account.orders[client_id]

    def open_names(self, market: Market) -> list[str]:
        """Names under which orders of an instrument are counted as open."""
        return [name for name, one in self._accounts[market].orders.items() if not one.over]

    def worst(self, market: Market) -> Decimal | None:
        """The largest position that may come to be, either way; None where it is not known."""
        return self._accounts[market].worst

    def has_reference(self, market: Market) -> bool:
        """Whether some reference was heard."""
        return bool(self._accounts[market].references)

    @property
    def markets(self) -> list[Market]:
        """The instruments that may be traded."""
        return list(self._accounts)

    # ---- judging

    def judge(self, request: OrderRequest, *, epoch: int, decided: int, now: int, wall: int) -> tuple[Objection, ...]:
        """Every objection to a request; without one it is let out, and counts from now on.

        decided: when the engine decided, by the same steady clock. wall: the clock that requests are signed by.
        """
        if isinstance(request, CancelOrder):
            self.passed["cancel"] += 1
            return ()
        said: list[Objection] = []
        self._judge_moment(said, epoch, decided, now, wall)
        market = (request.category, request.symbol)
        account = self._accounts.get(market)
        if account is None:
            said.append(Objection("symbol", f"{market[0]} {market[1]} is not on the gateway's list"))
        else:
            wanted = self._wanted(request, account, said)
            if wanted is not None:
                self._judge_order(said, market, account, wanted, now)
            if not said and wanted is not None:
                self._reserve(request, account, wanted, now)
        self.objections.update(one.rule for one in said)
        return tuple(said)

    def _judge_moment(self, said: list[Objection], epoch: int, decided: int, now: int, wall: int) -> None:
        """What does not depend on the order: who asks, when, and whether anything may leave at all."""
        if not self.engaged:
            said.append(Objection("engine", "no engine has shaken hands since the last one left"))
        if epoch != self.epoch:
            said.append(Objection("epoch", f"the request is of epoch {epoch}; {self.epoch} is the one that trades"))
        self._judge_clock(said, decided, now, wall)
        if self.deaf:
            said.append(Objection("view", f"the account is not heard: {self.deaf}"))
        if self.faults:
            said.append(Objection("attestation", "; ".join(self.faults)))
        for span, most, word in (
            (_SECOND, self.limits.requests_per_second, "second"),
            (_MINUTE, self.limits.requests_per_minute, "minute"),
        ):
            while self._sent and self._sent[0] <= now - _MINUTE:
                self._sent.popleft()
            if len(self._sent) >= most and self._sent[-most] > now - span:
                said.append(Objection("rate", f"{most} places and amends have left within a {word}"))

    def _judge_clock(self, said: list[Objection], decided: int, now: int, wall: int) -> None:
        ahead, jump = wall - now, self.limits.clock_jump_ms * _MS
        if now < self._last:
            said.append(Objection("clock", f"the steady clock went back by {self._last - now} ns"))
        elif self._ahead is not None and abs(ahead - self._ahead) > jump:
            self._distrust_until = now + self.limits.clock_hold_ms * _MS
        self._ahead, self._last = ahead, max(now, self._last)
        if now < self._distrust_until:
            said.append(Objection("clock", f"the clock jumped by more than {self.limits.clock_jump_ms} ms"))
        age = now - decided
        if age > self.limits.decision_age_ms * _MS:
            said.append(
                Objection("age", f"decided {age / _MS:.0f} ms ago; expected at most {self.limits.decision_age_ms} ms")
            )
        elif age < -LEAD_NS:
            said.append(Objection("age", f"decided {-age / _MS:.0f} ms from now"))

    def _wanted(self, request: PlaceOrder | AmendOrder, account: _Account, said: list[Objection]) -> _Wanted | None:
        """Read a request's numbers; None, and what is wrong, where it cannot be read."""
        if not _NAME.fullmatch(request.client_id):
            said.append(Objection("name", "the client id is none that we give: 1 to 36 of A-Z, a-z, 0-9, _ and -"))
            return None
        order = account.orders.get(request.client_id)
        if isinstance(request, PlaceOrder):
            if request.client_id in self._names or order is not None:
                said.append(Objection("duplicate", f"{request.client_id} was used before"))
            price, qty = _plain(request.price), _plain(request.qty)
            if price is None or qty is None:
                said.append(Objection("number", "price and quantity must be plain decimals above zero"))
                return None
            return _Wanted(
                side=request.side,
                price=price,
                qty=qty,
                more=qty,
                reduce_only=request.reduce_only,
                takes=not request.post_only,
                ioc=request.tif != "gtc",
            )
        if order is None or order.over:
            said.append(Objection("unknown_order", f"{request.client_id} is no open order that the gateway knows"))
            return None
        price = order.price if request.price is None else _plain(request.price)
        qty = order.qty if request.qty is None else _plain(request.qty)
        if price is None or qty is None:
            said.append(Objection("number", "price and quantity must be plain decimals above zero"))
            return None
        more = max(_ZERO, qty - max([order.qty, *order.asked]))
        return _Wanted(order.side, price, qty, more, order.reduce_only, takes=False, ioc=False)

    def _judge_order(self, said: list[Objection], market: Market, account: _Account, wanted: _Wanted, now: int) -> None:
        limits, (qty_max, notional_max, position_max) = account.limits, self._caps[market]
        level = self.level(market)
        reducing_only = level in (FreezeLevel.REDUCE_ONLY, FreezeLevel.FLATTEN)
        shrinks = account.shrinks(wanted)
        if not (level.allows_new_risk or (reducing_only and shrinks)):
            said.append(Objection("frozen", f"{' '.join(market)} is at {level.name}"))
        closes = shrinks and wanted.ioc and limits.taking == "reducing"
        if wanted.takes and not (limits.taking == "always" or closes):
            said.append(Objection("taking", f"{limits.symbol}: orders must be post-only (taking = {limits.taking!r})"))
        self._judge_price(said, account, wanted, now)
        if wanted.qty > qty_max:
            said.append(Objection("quantity", f"{wanted.qty} is above the {qty_max} of one order"))
        notional = account.value(wanted.qty, wanted.price)
        if notional > notional_max:
            said.append(Objection("notional", f"{notional:f} is above the {notional_max} of one order"))
        if wanted.more:
            self._judge_exposure(said, account, wanted, position_max, now)

    def _judge_price(self, said: list[Objection], account: _Account, wanted: _Wanted, now: int) -> None:
        """Within the collar of every fresh reference, and there is at least one."""
        limits = account.limits
        oldest = now - self.limits.reference_age_ms * _MS
        fresh = {source: one for source, one in account.references.items() if one.ts >= oldest}
        if not fresh:
            said.append(
                Objection("reference", f"{limits.symbol}: no reference within {self.limits.reference_age_ms} ms")
            )
        for source, one in fresh.items():
            mid = (one.bid + one.ask) / 2
            if abs(wanted.price - mid) * _BPS > mid * limits.collar_bps:
                said.append(
                    Objection("collar", f"{wanted.price} is farther than {limits.collar_bps} bps from {mid} ({source})")
                )

    def _judge_exposure(
        self, said: list[Objection], account: _Account, wanted: _Wanted, position_max: Decimal, now: int
    ) -> None:
        reach, worst = account.reach(wanted.side), account.worst
        if reach is None or worst is None:
            said.append(Objection("position", f"{account.limits.symbol}: the position is not known"))
            return
        if wanted.reduce_only and account.venue_reduces:
            left, held = account.reducing(wanted.side)
            together, most = left + wanted.more, max(position_max, held)
            if together > most:
                said.append(Objection("position", f"reduces by {together} in all; expected at most {most}"))
            return
        outward = (reach if wanted.side == "buy" else -reach) + wanted.more
        if outward > position_max:
            said.append(Objection("position", f"could come to {outward}; expected at most {position_max}"))
        if outward > worst:
            self._judge_total(said, account.value(outward - worst, wanted.price), now)

    def _judge_total(self, said: list[Objection], total: Decimal, now: int) -> None:
        """With so much more, all instruments together, each at a price of now."""
        oldest = now - self.limits.reference_age_ms * _MS
        for one in self._accounts.values():
            mid, size = one.mid(oldest), one.worst
            if size is None or (size and mid is None):
                said.append(Objection("exposure", f"{one.limits.symbol}: its position cannot be valued"))
                return
            total += one.value(size, mid or _ZERO)
        if total > self._exposure:
            said.append(Objection("exposure", f"all could come to {total:f}; expected at most {self._exposure}"))

    def _reserve(self, request: PlaceOrder | AmendOrder, account: _Account, wanted: _Wanted, now: int) -> None:
        self._sent.append(now)
        if isinstance(request, AmendOrder):
            self.passed["amend"] += 1
            order = account.orders[request.client_id]
            order.amended = now
            if request.qty is not None:
                order.asked.append(wanted.qty)
            return
        self.passed["place"] += 1
        _remember(self._names, request.client_id)
        reduces = wanted.reduce_only and account.venue_reduces
        account.orders[request.client_id] = _Order(wanted.side, wanted.price, wanted.qty, reduces, now)

    # ---- the account as heard

    def _order_seen(self, seen: OrderSeen, now: int) -> None:
        account = self._accounts.get((seen.category, seen.symbol))
        if account is None:
            return
        name = seen.client_id or seen.venue_id
        price, qty, cum = _number(seen.price), _number(seen.qty), _number(seen.cum)
        order = account.orders.get(name)
        if order is None:
            if name in self._over:
                return  # it ended before; a message that was late
            order = account.orders[name] = _Order(seen.side, price, qty, reduce_only=False, since=now)
            if account.summed is None:
                order.booked = cum  # the position that is read at the start holds it
            _remember(self._names, name)
        order.venue_id, order.shown = seen.venue_id or order.venue_id, True
        order.cum = max(order.cum, cum)
        order.over = order.over or seen.status in ("filled", "canceled", "rejected")
        if seen.ts_venue >= order.told_ts:  # of one moment the larger counts: which came later nobody says
            order.qty = qty if seen.ts_venue > order.told_ts else max(qty, order.qty)
            order.price, order.told_ts = price, seen.ts_venue
            order.asked = [one for one in order.asked if one > qty]  # what is larger may still come
        if order.over and order.booked >= order.cum:
            self._settle(account, name)

    def _executed(self, seen: ExecutionSeen, now: int) -> None:
        account = self._accounts.get((seen.category, seen.symbol))
        if account is None or seen.kind not in POSITION_KINDS or seen.execution_id in self._executions:
            return
        _remember(self._executions, seen.execution_id)
        if account.summed is None:
            return  # the position that is read at the start holds it
        qty = _number(seen.qty)
        account.moved = now
        account.summed += qty if seen.side == "buy" else -qty
        name, order = self._find(account, seen)
        if order is not None:
            order.booked += qty
            order.cum = max(order.cum, order.booked)
            if order.over and order.booked >= order.cum:
                self._settle(account, name)

    @staticmethod
    def _find(account: _Account, seen: ExecutionSeen) -> tuple[str, _Order | None]:
        """The order of an execution: the venue leaves out our name for some."""
        if seen.client_id in account.orders:
            return seen.client_id, account.orders[seen.client_id]
        found = ((name, one) for name, one in account.orders.items() if one.venue_id == seen.venue_id != "")
        return next(found, ("", None))

    def _position_seen(self, seen: PositionSeen) -> None:
        account = self._accounts.get((seen.category, seen.symbol))
        if account is None or (account.told is not None and seen.ts_venue < account.told_ts):
            return
        held = _number(seen.qty)
        if account.summed is None:
            account.summed = held
            account.start = held if seen.category == "spot" else _ZERO
        account.told, account.told_ts = held, seen.ts_venue

    def _refused(self, fact: Refused) -> None:
        """A definite no frees a place, unless the venue has shown the order; "duplicate" is no such no.

        An amend's quantity counts on: which of several was refused is not said. A look frees it.
        """
        for account in self._accounts.values():
            order = account.orders.get(fact.client_id)
            if order is None:
                continue
            if fact.request == "place" and fact.reason != "duplicate" and not order.shown:
                del account.orders[fact.client_id]

    def _settle(self, account: _Account, name: str) -> None:
        del account.orders[name]
        _remember(self._over, name)


def _plain(text: str) -> Decimal | None:
    """A plain positive decimal; None for anything else, such as NaN, an exponent, a sign or zero."""
    number = Decimal(text) if _PLAIN.fullmatch(text) else _ZERO
    return number or None


def _number(text: str) -> Decimal:
    """A number of the venue's, which the wire has checked; "" is none."""
    return Decimal(text) if text else _ZERO


def _remember(names: OrderedDict[str, None], name: str) -> None:
    names[name] = None
    if len(names) > NAMES_KEPT:
        names.popitem(last=False)
