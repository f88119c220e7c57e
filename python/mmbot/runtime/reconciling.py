"""What we hold against what the venue says: pulled, heard, compared; by the clock, after every lost link, at the start.

Pulling before comparing: executions and orders that a dead link did not bring are facts like any others, and most
differences are gone once they were heard. What is left is a break, and quotes stay out until it is explained.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mmbot.execution.client_ids import parse
from mmbot.execution.custody import Custody, Moved
from mmbot.execution.reconcile import Account, BreakKind, Depth, OpenOrder, ReconReport, ReconTerms, Schedule, compare
from mmbot.execution.recovery import OVERLAP_NS
from mmbot.runtime.bell import Bell
from mmbot.runtime.worth import units
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot import _core
    from mmbot.execution.bookings import Bookings, Sums
    from mmbot.execution.reconcile import Break
    from mmbot.runtime.bridge import Bridge, Listed
    from mmbot.venues.port import Fact, OrderEntry, OrderSeen, Posting, WalletSeen

__all__ = ["Pulled", "Reconciler", "clean_account"]

AGREE_S = 1.0
"""Between two lists of open orders that have to agree."""
AGREE_TRIES = 5


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """One look at the venue: facts to hear, and its side of the comparison."""

    depth: Depth
    facts: list[Fact]
    venue: Account
    named_ours: frozenset[str]
    postings: list[Moved] = field(default_factory=list)


class Reconciler:
    """Looks at the venue and compares. `hurry` makes the next look due now, and a thorough one."""

    def __init__(
        self, bridge: Bridge, core: _core.Live, listed: Sequence[Listed], clock: Callable[[], int], terms: ReconTerms
    ) -> None:
        self._bridge, self._core, self._listed, self._clock = bridge, core, listed, clock
        self._terms = terms
        self._schedule = Schedule(terms)
        self._hurry = Bell()
        self._differed: tuple[Break, ...] = ()
        """What differed, by the last look that saw as deep: it counts where it repeats, however busy the market is."""
        self._began = 0
        self._agreed = 0
        self._coins: Pulled | None = None
        self.custody: Custody | None = None
        """The account's coins; None before the first look at them."""
        self.transfers: list[Moved] = []
        """What people moved, as the last look at the coins told."""

    def begin(self, began: int, agreed: int, custody: Custody | None = None) -> None:
        """Note when the books began, and when they last agreed with the venue's."""
        self._began, self._agreed, self.custody = began, agreed, custody

    def hurry(self) -> None:
        """Look now, and thoroughly: a link was lost, a doubt was resolved, or a person asked."""
        self._hurry.ring()

    async def wait(self) -> Depth | None:
        """Return when the next look is due, with how deep it goes; None for a thorough one, of everything."""
        while not self._hurry.rung:
            now = self._clock()
            depth = self._schedule.depth(now)
            if depth is not None:
                return depth
            await self._hurry.wait((self._schedule.next_ns() - now) / 1e9)
        self._hurry.clear()
        return None

    @property
    def since(self) -> int:
        """From when executions are asked for."""
        return max(self._began, self._agreed - OVERLAP_NS)

    @property
    def began(self) -> int:
        """When the books began; what was executed before is not of them."""
        return self._began

    async def pull(self, orders: OrderEntry, depth: Depth | None, *, wide: bool = False) -> Pulled:
        """Ask the venue. depth: None is everything, with lists of open orders that agree. wide: every execution since
        the books began. Raises VenueError.
        """
        thorough, depth = depth is None, depth or Depth.CASH
        facts: list[Fact] = []
        opened: dict[str, OpenOrder] = {}
        positions: dict[str, int] = {}
        wallet = await orders.wallet() if depth >= Depth.CASH else []  # before the postings
        facts += wallet
        for each in self._listed:
            seen = await (self._agreeing if thorough else _open_orders)(orders, each)
            opened |= {one.client_id or one.venue_id: _open(each, one) for one in seen}
            if depth >= Depth.POSITIONS:
                facts += await orders.executions(each.category, each.symbol, self._began if wide else self.since)
                positions |= await self._position(orders, each, facts)
            facts += seen
        postings = await self._postings(orders) if depth >= Depth.CASH else []
        named = frozenset(name for name in opened if parse(name) is not None)
        venue = Account(orders=opened, positions=positions, cash=_balances(wallet))
        return Pulled(depth=depth, facts=facts, venue=venue, named_ours=named, postings=postings)

    @staticmethod
    async def _position(orders: OrderEntry, each: Listed, facts: list[Fact]) -> dict[str, int]:
        if not _has_position(each):
            return {}
        position = await orders.position(each.category, each.symbol)
        facts.append(position)
        return {each.name: signed_lots(each.instrument, position.qty)}

    async def _postings(self, orders: OrderEntry) -> list[Moved]:
        since = self._clock() - OVERLAP_NS if self.custody is None else self.custody.asks_since
        return [_moved(one) for one in await orders.postings(since)]

    async def _agreeing(self, orders: OrderEntry, each: Listed) -> list[OrderSeen]:
        """Open orders, asked for until two lists agree. Raises VenueError."""
        before = await _open_orders(orders, each)
        for _ in range(AGREE_TRIES):
            await asyncio.sleep(AGREE_S)
            again = await _open_orders(orders, each)
            if {one.venue_id for one in again} == {one.venue_id for one in before}:
                break
            before = again  # something is still under way, and is heard as it comes: the last list counts
        return again

    def compare(self, pulled: Pulled, now: int) -> ReconReport:
        """Compare after the pulled facts were heard."""
        ours = Account(
            orders={name: order for index in range(len(self._listed)) for name, order in self._held(index)},
            positions={} if pulled.depth < Depth.POSITIONS else self._positions(),
        )
        report = compare(
            self._terms,
            ours,
            replace(pulled.venue, cash={}),
            now,
            named_ours=pulled.named_ours,
            touched_ns=self._bridge.touched,
            earlier=self._differed,
        )
        if pulled.depth >= Depth.CASH:
            report = self._with_cash(report, pulled, now)
        deeper = (one for one in self._differed if one.kind.seen_at > pulled.depth)
        self._differed = (*report.breaks, *report.deferred, *deeper)
        self._schedule.looked(pulled.depth, report)
        if pulled.depth >= Depth.POSITIONS and report.clean:
            self._agreed = now
        return report

    def _with_cash(self, report: ReconReport, pulled: Pulled, now: int) -> ReconReport:
        self._coins = pulled
        if self.custody is None:
            self.custody = Custody.begin(*self._statement(pulled), now)
            return report
        cash = self.custody.look(*self._statement(pulled), now)
        self.transfers = list(cash.transfers)
        return replace(
            report,
            compared=report.compared + cash.compared,
            breaks=report.breaks + cash.breaks,
            deferred=report.deferred + cash.deferred,
        )

    def _statement(self, pulled: Pulled) -> tuple[Mapping[str, int], Sequence[Moved], Bookings, Mapping[str, Sums]]:
        ledger = {each.name: self._bridge.ledger(index) for index, each in enumerate(self._listed)}
        return pulled.venue.cash, pulled.postings, self._bridge.bookings, ledger

    def vouched(self, now: int) -> None:
        """People answer for what the last look at the coins found: they are counted anew from what it saw."""
        if self.custody is not None and self._coins is not None:
            self.custody.vouched(*self._statement(self._coins), now)

    def adjusted(self, market: str, moved: Sums) -> None:
        """The books were changed by people's word: no statement will say so."""
        if self.custody is not None:
            self.custody.adjusted(market, moved)

    def look_again(self, found: Sequence[Break], now: int) -> None:
        """What was found is to be seen again soon."""
        self._schedule.again(found, now)

    def drifts(self, report: ReconReport) -> bool:
        """Whether a position differs: executions may be missing that are older than what was asked for."""
        return any(one.kind is BreakKind.POSITION for one in report.breaks)

    def _positions(self) -> dict[str, int]:
        return {
            each.name: int(self._core.books(0, index)["position_lots"])
            for index, each in enumerate(self._listed)
            if _has_position(each)
        }

    def _held(self, index: int) -> list[tuple[str, OpenOrder]]:
        symbol = self._listed[index].name
        return [
            (self._bridge.name(number), OpenOrder(symbol=symbol, tick=tick, lots=lots - booked))
            for number, _, tick, lots, booked, *_ in self._core.order_rows(index)
        ]


async def _open_orders(orders: OrderEntry, each: Listed) -> list[OrderSeen]:
    return await orders.open_orders(each.category, each.symbol)


def _has_position(listed: Listed) -> bool:
    """A spot holding is a balance of the coin, from which fees go and to which others add: no position of this run."""
    return listed.category != "spot"


def signed_lots(instrument: _core.Instrument, qty: str) -> int:
    """Whole lots of a signed decimal. Raises ValueError off the grid."""
    return -instrument.lots(qty[1:]) if qty.startswith("-") else instrument.lots(qty)


def _open(listed: Listed, seen: OrderSeen) -> OpenOrder:
    """An order by what is left of it: executions may be told before or after."""
    instrument = listed.instrument
    left = instrument.lots(seen.qty) - instrument.lots(seen.cum)
    return OpenOrder(symbol=listed.name, tick=instrument.ticks(seen.price), lots=left)


def _balances(wallet: Sequence[WalletSeen]) -> Mapping[str, int]:
    return {one.coin: units(one.balance) for one in wallet}


def _moved(one: Posting) -> Moved:
    return Moved(
        posting_id=one.posting_id,
        coin=one.coin,
        kind=one.kind,
        said=one.said,
        change=units(one.change),
        balance=units(one.balance),
        execution_id=one.execution_id,
        ts_venue=one.ts_venue,
        parts=(units(one.flow), units(one.fee), units(one.funding)) if one.flow or one.fee or one.funding else None,
    )


async def clean_account(orders: OrderEntry, listed: Sequence[Listed], *, may_hold: bool = False) -> list[str]:
    """Make sure that a run without an earlier journal begins with no order and no position; say what was left.

    Orders that an earlier run of ours left are cancelled. may_hold: a position is no reason to refuse. Raises
    VenueError for orders of somebody else, which nobody here may cancel, and for a position, which this run would not
    know.
    """
    remarks = []
    for each in listed:
        found = await orders.open_orders(each.category, each.symbol)
        foreign = [seen.venue_id for seen in found if parse(seen.client_id) is None]
        if foreign:
            raise VenueError(
                f"{each.symbol}: {len(foreign)} open orders are not of a run of ours ({', '.join(foreign[:5])}); "
                "their exposure would be in nobody's limits. Cancel them, or give the bot an account of its own"
            )
        if found:
            await orders.cancel_all(each.category, each.symbol)
            remarks.append(f"{each.symbol}: {len(found)} orders of an earlier run were cancelled")
        if may_hold or not _has_position(each):
            continue
        position = await orders.position(each.category, each.symbol)
        if signed_lots(each.instrument, position.qty) != 0:
            raise VenueError(
                f"{each.symbol}: the account holds {position.qty}, and no journal of a run here says why. Close it "
                "first, or take it into the books with --adopt-position REASON"
            )
    return remarks
