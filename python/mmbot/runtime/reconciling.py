"""What we hold against what the venue says: pulled, heard, compared; by the clock and after every lost link.

Pulling before comparing: executions and orders that a dead link did not bring are facts like any others, and most
differences are gone once they were heard. What is left is a break, and quotes stay out until a person has looked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot.execution.client_ids import parse
from mmbot.execution.reconcile import Account, OpenOrder, ReconReport, ReconTerms, compare
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot import _core
    from mmbot.runtime.bridge import Bridge, Listed
    from mmbot.venues.port import Fact, OrderEntry, OrderSeen

__all__ = ["Pulled", "Reconciler", "clean_account"]

OVERLAP_NS = 600_000_000_000
"""Executions are asked for from this long before the last look: the venue may list them late."""


@dataclass(frozen=True)
class Pulled:
    """One look at the venue: facts to hear, and its side of the comparison."""

    facts: list[Fact]
    venue: Account
    named_ours: frozenset[str]


class Reconciler:
    """Looks at the venue and compares. `hurry` makes the next look due now."""

    def __init__(self, bridge: Bridge, core: _core.Live, listed: Sequence[Listed], *, every_s: float) -> None:
        self._bridge, self._core, self._listed = bridge, core, listed
        self._terms = ReconTerms(interval_s=every_s)
        self._due = asyncio.Event()
        self._last: ReconReport | None = None
        self._started = 0

    def begin(self, now: int) -> None:
        """Note when the run began trading: nothing of it is older."""
        self._started = now

    def hurry(self) -> None:
        """Look now: a link was lost, or a person asked."""
        self._due.set()

    async def wait(self) -> None:
        """Return when the next look is due."""
        last = self._last
        rest_ns = self._terms.next_ns(last, last.now_ns) - last.now_ns if last else self._terms.interval_s * 1e9
        try:
            await asyncio.wait_for(self._due.wait(), rest_ns / 1e9)
        except TimeoutError:
            return
        finally:
            self._due.clear()

    @property
    def since(self) -> int:
        """From when executions are asked for."""
        seen = self._started if self._last is None else self._last.now_ns
        return max(self._started, seen - OVERLAP_NS)

    async def pull(self, orders: OrderEntry) -> Pulled:
        """Ask the venue for open orders, executions and positions. Raises VenueError."""
        facts: list[Fact] = []
        open_orders: dict[str, OpenOrder] = {}
        positions: dict[str, int] = {}
        for each in self._listed:
            listed = await orders.open_orders(each.category, each.symbol)
            facts += await orders.executions(each.category, each.symbol, self.since)
            facts += [seen for seen in listed if self._bridge.is_ours(seen.client_id)]
            if _has_position(each):
                position = await orders.position(each.category, each.symbol)
                facts.append(position)
                positions[_name(each)] = signed_lots(each.instrument, position.qty)
            open_orders |= {seen.client_id or seen.venue_id: _open(each, seen) for seen in listed}
        named = frozenset(name for name in open_orders if parse(name) is not None)
        return Pulled(facts, Account(orders=open_orders, positions=positions), named)

    def compare(self, pulled: Pulled, now: int) -> ReconReport:
        """Compare after the pulled facts were heard."""
        ours = Account(
            orders={name: order for index in range(len(self._listed)) for name, order in self._held(index)},
            positions={
                _name(each): self._position(index) for index, each in enumerate(self._listed) if _has_position(each)
            },
        )
        self._last = compare(
            self._terms,
            ours,
            pulled.venue,
            now,
            named_ours=pulled.named_ours,
            touched_ns=self._bridge.touched(),
            before=self._last,
        )
        return self._last

    def _position(self, index: int) -> int:
        return int(self._core.books(0, index)["position_lots"])

    def _held(self, index: int) -> list[tuple[str, OpenOrder]]:
        symbol = _name(self._listed[index])
        return [
            (self._bridge.name(number), OpenOrder(symbol=symbol, tick=tick, lots=leaves))
            for number, _, tick, leaves, _, _ in self._core.orders(index)
        ]


def _has_position(listed: Listed) -> bool:
    """A spot holding is a balance of the coin, from which fees go and to which others add: no position of this run."""
    return listed.category != "spot"


def signed_lots(instrument: _core.Instrument, qty: str) -> int:
    """Whole lots of a signed decimal. Raises ValueError off the grid."""
    return -instrument.lots(qty[1:]) if qty.startswith("-") else instrument.lots(qty)


def _name(listed: Listed) -> str:
    return f"{listed.category} {listed.symbol}"


def _open(listed: Listed, seen: OrderSeen) -> OpenOrder:
    """An order by what is left of it: executions may be told before or after."""
    instrument = listed.instrument
    left = instrument.lots(seen.qty) - instrument.lots(seen.cum)
    return OpenOrder(symbol=_name(listed), tick=instrument.ticks(seen.price), lots=left)


async def clean_account(orders: OrderEntry, listed: Sequence[Listed]) -> list[str]:
    """Make sure that a run begins with no order and no position, and say what was left of earlier runs.

    Orders that an earlier run of ours left are cancelled. Raises VenueError for orders of somebody else, which nobody
    here may cancel and no limit counts, and for a position, which this run would not know.
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
        if not _has_position(each):
            continue
        position = await orders.position(each.category, each.symbol)
        if signed_lots(each.instrument, position.qty) != 0:
            raise VenueError(
                f"{each.symbol}: the account holds {position.qty}; a run begins flat, so that limits and P&L are of "
                "what it did. Close the position first"
            )
    return remarks
