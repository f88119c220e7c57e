"""What the simulated venue makes of a run's orders: its fills beside the real ones, order by order.

Every order of the run comes to the simulated venue when it came to the real one, is changed and leaves when it did
there, and meets the run's own market without the run's own orders. No decision is involved, so one wrong fill spoils no
other: each order is a sample of how good the laws of fills are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mmbot import _core
from mmbot.research.own_orders import Execution

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mmbot.research.own_orders import OwnOrder

__all__ = ["GRACE_NS", "WITHIN_NS", "OrderFills", "Prediction", "predicted"]

WITHIN_NS = 500_000_000
"""Fills further apart in time are not the same one."""
GRACE_NS = 1_000_000_000
"""What the real venue filled may be filled by the law so much later, before the order leaves there too."""
TIME_NS = 1_000_000
"""Step of the venue's times: what happened within one has no order on the tape."""


class OrderFills(NamedTuple):
    """What one order executed, in the run and by the law."""

    order: int
    instrument: int
    side: str
    tick: int
    """Its last price."""
    lots: int
    """As it was placed."""
    real: int
    predicted: int
    both: int
    """Lots that both executed, within half a second of each other."""
    ts: int
    """Venue time of the first fill in either, ns."""
    later_ns: int | None
    """How much later the real venue had executed the lots of both; None without such lots."""
    why: str
    """Where they differ in lots: what can be told."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The orders of a run that were filled, in reality or by the law, by their time."""

    orders: tuple[OrderFills, ...]
    judged: int
    """Orders that came to the venue."""
    refused: tuple[int, int, int]
    """Orders that were refused on arrival by both, only by the venue, only by the law."""

    @property
    def lots(self) -> dict[str, int]:
        """Lots executed in both, only in the run, only by the law."""
        both, real, law = (sum(getattr(each, name) for each in self.orders) for name in ("both", "real", "predicted"))
        return {"both": both, "run": real - both, "law": law - both}

    @property
    def matched(self) -> float | None:
        """Lots of both, as a share of all lots that either executed; None without any."""
        total = sum(self.lots.values())
        return self.lots["both"] / total if total else None

    def counts(self) -> dict[str, object]:
        """The summary, as JSON has it."""
        named = dict(zip(("both", "run", "law"), self.refused, strict=True))
        return {"judged": self.judged, "refused": named, "lots": self.lots, "matched": self.matched} | {
            "later_ns": self.later()
        }

    def lines(self, symbols: Sequence[str], most: int) -> list[str]:
        """Say it on a screen: the summary, and the first orders that differ."""
        lots, later = self.lots, {name: ns / 1e6 for name, ns in self.later().items()}
        both, run, law = self.refused
        share = "none" if self.matched is None else f"{self.matched:.1%}"
        found = f"{lots['both']:,} in both, {lots['run']:,} only in the run, {lots['law']:,} only by the law"
        lines = [
            f"judged    {self.judged:>7,} orders; refused by both {both}, only in the run {run}, only by the law {law}",
            f"matched   {share:>7} of {sum(lots.values()):,} lots: {found}",
            f"time      real fills later by p5 {later['p5']:.3f}, p50 {later['p50']:.3f}, p95 {later['p95']:.3f} ms",
        ]
        differing = [each for each in self.orders if each.why]
        for each in differing[:most]:
            what = f"{symbols[each.instrument]} {each.side:<4} at {each.tick}"
            lines.append(
                f"differs   {each.ts} {what}: {each.real} lots in the run, {each.predicted} by the law; {each.why}"
            )
        return lines + ([f"… and {len(differing) - most:,} more in parity.json"] if len(differing) > most else [])

    def later(self) -> dict[str, int]:
        """5 %, 50 % and 95 % quantile of how much later the real fills came, ns; 0 without fills."""
        spans = sorted(each.later_ns for each in self.orders if each.later_ns is not None) or [0]
        return {f"p{share}": spans[(len(spans) - 1) * share // 100] for share in (5, 50, 95)}


def predicted(listings: Sequence[_core.Listing], orders: Sequence[OwnOrder], until: int) -> Prediction:
    """Put a run's orders through the simulated venue, until its time `until`.

    listings: of each instrument the tape without the run's orders, and the laws. Raises TapeFault.
    """
    judged = [order for order in orders if order.arrived is not None]
    fills: dict[int, list[Execution]] = defaultdict(list)
    refused: dict[int, str] = {}
    for index, listing in enumerate(listings):
        _judge(listing, [order for order in judged if order.instrument == index], until, fills, refused)
    filled = [order for order in judged if order.fills or order.number in fills]
    rows = [_row(order, fills[order.number], refused.get(order.number, "")) for order in filled]
    real, law = {order.number for order in judged if order.refused}, set(refused)
    return Prediction(
        orders=tuple(sorted(rows, key=lambda row: row.ts)),
        judged=len(judged),
        refused=(len(real & law), len(real - law), len(law - real)),
    )


def _judge(
    listing: _core.Listing,
    orders: Sequence[OwnOrder],
    until: int,
    fills: dict[int, list[Execution]],
    refused: dict[int, str],
) -> None:
    """Put the orders of one instrument through the venue, and add what it says of them."""
    commands = [command for order in orders for command in _commands(order, until)]
    commands.sort(key=lambda command: command[0])  # stable: those of one order as they came
    for event in _core.predict(listing, commands, until):
        if event["event"] == "filled":
            fill = Execution(event["ts_venue"], event["tick"], event["lots"], event["maker"])
            fills[event["order_id"]].append(fill)
        elif event["event"] == "rejected":
            refused[event["order_id"]] = event["reason"]


def _commands(order: OwnOrder, until: int) -> list[tuple[int, dict[str, Any]]]:
    """What the venue was asked about an order, as it happened there."""
    first, *amended = order.terms()
    said: list[tuple[int, dict[str, Any]]] = [(first.ts, order.placed)]
    for terms in amended:
        said.append((terms.ts, {"command": "amend", "order_id": order.number, "tick": terms.tick, "lots": terms.lots}))
    gone = order.gone
    if gone is None:
        gone = min(order.fills[-1].ts + GRACE_NS, until) if order.fills else until
    said.append((max(gone, said[-1][0]), {"command": "cancel", "order_id": order.number}))
    return said


def _row(order: OwnOrder, law: list[Execution], refused: str) -> OrderFills:
    both, later = _matched(order.fills, law)
    real, lots = order.filled, sum(fill.lots for fill in law)
    return OrderFills(
        order=order.number,
        instrument=order.instrument,
        side=order.side,
        tick=order.tick,
        lots=order.placed["lots"],
        real=real,
        predicted=lots,
        both=both,
        ts=min(fill.ts for fill in (*order.fills, *law)),
        later_ns=later,
        why="" if both == real == lots else _why(order, law, refused, both),
    )


def _matched(real: Iterable[Execution], law: Iterable[Execution]) -> tuple[int, int | None]:
    """Lots that both have within half a second, lot by lot in the order of time, and how much later the last was."""
    ours, theirs = ([fill.ts for fill in fills for _ in range(fill.lots)] for fills in (real, law))
    spans = [one - other for one, other in zip(ours, theirs, strict=False) if abs(one - other) <= WITHIN_NS]
    return len(spans), spans[-1] if spans else None


def _why(order: OwnOrder, law: Sequence[Execution], refused: str, both: int) -> str:
    """Say what can be told of a difference."""
    if refused:
        return f"the law refused it: {refused}"
    if order.refused:
        return f"the venue refused it: {order.refused}"
    if _edges(order) & {fill.ts // TIME_NS for fill in (*order.fills, *law)}:
        return "it came, moved or left in the millisecond of a fill: the tape cannot tell which was first"
    if order.fills and law and not both:
        ns = order.fills[0].ts - law[0].ts
        return f"filled in both, {abs(ns) / 1e9:.1f} s {'later' if ns > 0 else 'earlier'} in the run"
    if law and order.fills:
        return "in other parts"
    return "the law left it in line" if order.fills else "the venue left it in line"


def _edges(order: OwnOrder) -> set[int]:
    """The milliseconds in which it came, moved or left."""
    changes = [terms.ts for terms in order.terms()]
    return {ts // TIME_NS for ts in (changes if order.gone is None else [*changes, order.gone])}
