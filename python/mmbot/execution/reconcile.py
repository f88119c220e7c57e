"""What we hold against what the venue says, compared: orders, positions, cash. Nothing here asks, mends or invents.

    ours, the venue's, now, the report before  →  ReconReport: breaks, each with what to do; and what has to be
                                                  looked at again

The two are never read at the same instant, so a difference in what moved a moment ago proves nothing. It is put off
(`deferred`), not dropped: whatever differs by the same amount at the next look, or is quiet by then, is a break. A
symbol that never rests hides nothing for longer than two looks.

A position or a balance that disagrees is never corrected here, and no fill is made up to explain it. What the venue
executed and we did not book is fetched as executions, and booked as such.

Amounts are whole: ticks, lots, and cash in the ledger's units. Times are ns since epoch.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum, StrEnum

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.bookings import CASH_UNITS

__all__ = [
    "Account",
    "Break",
    "BreakKind",
    "Depth",
    "OpenOrder",
    "ReconReport",
    "ReconTerms",
    "Remedy",
    "Schedule",
    "compare",
]

_NS_PER_SECOND = 1_000_000_000
_NS_PER_MS = 1_000_000


class Depth(IntEnum):
    """How much a look compares; each includes the ones before."""

    ORDERS = 1
    POSITIONS = 2
    CASH = 3


class Remedy(StrEnum):
    """What a break asks for."""

    RESOLVE = "resolve"
    """Ask for this order by its client id; it stays exposure until the answer is certain."""
    FETCH_EXECUTIONS = "fetch_executions"
    """Book what the venue executed, once, from its executions."""
    ADOPT_AND_CANCEL = "adopt_and_cancel"
    """Count it as exposure, cancel it, tell an operator."""
    FREEZE = "freeze"
    """No new orders in the symbol, or the account; a person decides."""


class BreakKind(StrEnum):
    """What does not agree."""

    ORDER_MISSING = "order_missing"
    """We hold it for open, the venue does not list it."""
    ORDER_ORPHAN = "order_orphan"
    """The venue lists it, the name is one of ours, and we do not know it."""
    ORDER_FOREIGN = "order_foreign"
    """The venue lists it and the name is none of ours: somebody else trades this account."""
    ORDER_PRICE = "order_price"
    ORDER_QTY = "order_qty"
    ORDER_CUM = "order_cum"
    """Executed quantity."""
    POSITION = "position"
    CASH = "cash"

    @property
    def remedy(self) -> Remedy:
        """What it asks for."""
        return _REMEDIES[self]

    @property
    def seen_at(self) -> Depth:
        """How deep a look has to go to see it: a shallower one says nothing of it."""
        return _DEPTHS.get(self, Depth.ORDERS)


_REMEDIES = {
    BreakKind.ORDER_MISSING: Remedy.RESOLVE,
    BreakKind.ORDER_ORPHAN: Remedy.ADOPT_AND_CANCEL,
    BreakKind.ORDER_FOREIGN: Remedy.FREEZE,
    BreakKind.ORDER_PRICE: Remedy.RESOLVE,
    BreakKind.ORDER_QTY: Remedy.RESOLVE,
    BreakKind.ORDER_CUM: Remedy.FETCH_EXECUTIONS,
    BreakKind.POSITION: Remedy.FREEZE,
    BreakKind.CASH: Remedy.FREEZE,
}
_DEPTHS = {BreakKind.POSITION: Depth.POSITIONS, BreakKind.CASH: Depth.CASH}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that may trade, as one side sees it."""

    symbol: str
    tick: int
    lots: int
    cum: int = 0
    """Executed of it, lots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One side of the comparison: ours, or the venue's.

    Something absent from `positions` or `cash` is zero there, so either side may leave out what it has nothing of.
    """

    orders: Mapping[str, OpenOrder] = field(default_factory=dict)
    """By client order id; of an order without one, the venue's id."""
    positions: Mapping[str, int] = field(default_factory=dict)
    """Signed lots by symbol."""
    cash: Mapping[str, int] = field(default_factory=dict)
    """Balance by coin, in the ledger's units."""


@dataclass(frozen=True, slots=True)
class Break:
    """One difference."""

    kind: BreakKind
    name: str
    """Client order id, symbol or coin."""
    symbol: str
    """Empty for a coin."""
    held: int | None
    """Our number; None where we have none."""
    told: int | None
    """The venue's number; None where it has none."""

    @property
    def gap(self) -> int:
        """The venue's number minus ours."""
        return (self.told or 0) - (self.held or 0)

    @property
    def said(self) -> str:
        """Measured, expected and what to do, in a sentence."""
        ours, theirs = self._amount(self.held), self._amount(self.told)
        return f"{self.kind} {self.name}: we hold {ours}, the venue says {theirs}; {self.kind.remedy}"

    def _amount(self, amount: int | None) -> str:
        if amount is None:
            return "nothing"
        if self.kind is BreakKind.CASH:
            return format((Decimal(amount) / CASH_UNITS).normalize(), "f")
        return str(amount)

    def repeats(self, before: "Break") -> bool:
        """Whether this is the difference seen before: the same thing, off by the same amount."""
        return (self.kind, self.name, self.gap) == (before.kind, before.name, before.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconReport:
    """What one look found."""

    now_ns: int
    compared: int
    """Orders, positions and balances looked at."""
    breaks: tuple[Break, ...] = ()
    """What does not agree."""
    deferred: tuple[Break, ...] = ()
    """What does not agree and moved a moment ago: to be looked at again before it counts."""

    @property
    def clean(self) -> bool:
        """Everything agrees and nothing was put off."""
        return not self.breaks and not self.deferred


class ReconTerms(Strict):
    """How often to look, and how long something has to rest before a difference counts at first sight."""

    orders_s: float = Field(default=5.0, gt=0)
    """Between two looks at open orders that put nothing off."""
    positions_s: float = Field(default=10.0, gt=0)
    """Between two looks at executions and positions."""
    interval_s: float = Field(default=60.0, gt=0)
    """Between two looks at everything, coins too."""
    quiet_ms: float = Field(default=2_000.0, gt=0)
    """Rest before a difference counts; also how soon one that was put off is looked at again."""


class Schedule:
    """When to look next, and how deep. Nothing was looked at before the first look, so that one sees everything."""

    def __init__(self, terms: ReconTerms) -> None:
        self._terms = terms
        self._every = {
            Depth.ORDERS: min(terms.orders_s, terms.positions_s, terms.interval_s),
            Depth.POSITIONS: min(terms.positions_s, terms.interval_s),
            Depth.CASH: terms.interval_s,
        }
        self._due = dict.fromkeys(Depth, 0)

    def next_ns(self) -> int:
        """Return when the next look is due, ns since epoch."""
        return min(self._due.values())

    def depth(self, now_ns: int) -> Depth | None:
        """Return how deep to look now; None while nothing is due."""
        return max((depth for depth, due in self._due.items() if due <= now_ns), default=None)

    def looked(self, depth: Depth, report: ReconReport) -> None:
        """A look was done: what it put off is looked at again soon."""
        for each in Depth:
            if each <= depth:
                self._due[each] = report.now_ns + round(self._every[each] * _NS_PER_SECOND)
        if report.deferred:
            self.again(report.deferred, report.now_ns)

    def again(self, found: Iterable[Break], now_ns: int) -> None:
        """Look again soon, as deep as these need."""
        depth = max(one.kind.seen_at for one in found)
        self._due[depth] = min(self._due[depth], now_ns + round(self._terms.quiet_ms * _NS_PER_MS))


def compare(
    terms: ReconTerms,
    ours: Account,
    venue: Account,
    now_ns: int,
    *,
    named_ours: frozenset[str] = frozenset(),
    touched_ns: Mapping[str, int] | None = None,
    earlier: Iterable[Break] = (),
) -> ReconReport:
    """Compare both sides.

    named_ours: which of the venue's orders bear a name that a run of ours gave (`client_ids.parse`). touched_ns: when
    an order, symbol or coin last moved or was last asked to, by the name under which it is compared; what is not there
    rests. earlier: what the last look found that saw as deep, put off or not; it counts if it repeats.
    """
    touched = touched_ns or {}
    quiet_since_ns = now_ns - round(terms.quiet_ms * _NS_PER_MS)
    known = tuple(earlier)
    breaks: list[Break] = []
    deferred: list[Break] = []
    for found in _differences(ours, venue, named_ours):
        rests = touched.get(found.name, quiet_since_ns) <= quiet_since_ns
        sure = rests or any(found.repeats(one) for one in known)
        (breaks if sure else deferred).append(found)
    compared = sum(
        len({**mine, **theirs})
        for mine, theirs in ((ours.orders, venue.orders), (ours.positions, venue.positions), (ours.cash, venue.cash))
    )
    return ReconReport(now_ns=now_ns, compared=compared, breaks=tuple(breaks), deferred=tuple(deferred))


def _differences(ours: Account, venue: Account, named_ours: frozenset[str]) -> Iterator[Break]:
    for name in sorted({*ours.orders, *venue.orders}):
        yield from _order_differences(name, ours.orders.get(name), venue.orders.get(name), named_ours)
    yield from _amounts(BreakKind.POSITION, ours.positions, venue.positions)
    yield from _amounts(BreakKind.CASH, ours.cash, venue.cash)


def _order_differences(
    name: str, held: OpenOrder | None, told: OpenOrder | None, named_ours: frozenset[str]
) -> Iterator[Break]:
    if held is not None and told is not None:
        for kind, mine, theirs in (
            (BreakKind.ORDER_PRICE, held.tick, told.tick),
            (BreakKind.ORDER_QTY, held.lots, told.lots),
            (BreakKind.ORDER_CUM, held.cum, told.cum),
        ):
            if mine != theirs:
                yield Break(kind, name, held.symbol, mine, theirs)
    elif held is not None:
        yield Break(BreakKind.ORDER_MISSING, name, held.symbol, held.lots, None)
    elif told is not None:
        kind = BreakKind.ORDER_ORPHAN if name in named_ours else BreakKind.ORDER_FOREIGN
        yield Break(kind, name, told.symbol, None, told.lots)


def _amounts(kind: BreakKind, mine: Mapping[str, int], theirs: Mapping[str, int]) -> Iterator[Break]:
    for name in sorted({*mine, *theirs}):
        held, told = mine.get(name, 0), theirs.get(name, 0)
        if held != told:
            yield Break(kind, name, name if kind is BreakKind.POSITION else "", held, told)
