"""The orders of a recorded run as the venue had them, and the run's market without them.

A venue shows our orders in its public book, so the tape of a run shows them too. An order that is judged by that tape
stands behind itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mmbot import _core
from mmbot.data.tape_records import KINDS, first_level, kind, records, sold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["JUDGED", "Execution", "OwnOrder", "Terms", "own_orders", "told_first", "without_us"]

JUDGED = ("post_only_would_cross", "not_fillable", "reduce_only")
"""Refusals by a matching engine; what a gateway or our own gate refused never came to one."""
NEVER = 2**31
"""Beyond every price."""


class Terms(NamedTuple):
    """What an order was from a venue time on, ns."""

    ts: int
    tick: int
    lots: int
    """Quantity, the executed part included."""


class Execution(NamedTuple):
    """One fill."""

    ts: int
    """Venue time, ns."""
    tick: int
    lots: int
    maker: bool = True


@dataclass
class OwnOrder:
    """One order of a run, by the venue's word where it gave one. Times are the venue's, in ns."""

    number: int
    instrument: int
    side: str
    placed: dict[str, Any]
    """The command as the journal has it."""
    asked: int
    """When it was sent, by our clock."""
    arrived: int | None = None
    """When the matching engine had it; None for one that never got there, as far as we know."""
    amended: list[Terms] = field(default_factory=list)
    fills: list[Execution] = field(default_factory=list)
    gone: int | None = None
    """When it was cancelled."""
    refused: str = ""
    """Why it was not taken, in the words of who refused."""

    @property
    def filled(self) -> int:
        """Lots executed."""
        return sum(fill.lots for fill in self.fills)

    @property
    def tick(self) -> int:
        """Its last price."""
        return self.amended[-1].tick if self.amended else int(self.placed["tick"])

    def terms(self) -> list[Terms]:
        """What it was, from when on."""
        first = () if self.arrived is None else (Terms(self.arrived, self.placed["tick"], self.placed["lots"]),)
        return [*first, *self.amended]

    def shown(self) -> Iterator[tuple[int, int, int]]:
        """Yield (venue time, tick, lots) for each change of what it added to the public book."""
        if self.arrived is None or self.refused or self.placed["tif"] != "gtc":
            return
        steps: list[tuple[int, int, int, int]] = [(each.ts, each.tick, each.lots, 0) for each in self.terms()]
        steps += [(fill.ts, 0, 0, fill.lots) for fill in self.fills]
        tick, qty, done, standing = 0, 0, 0, 0
        for ts, new_tick, new_qty, executed in sorted(steps, key=lambda step: step[0]):
            if standing:
                yield ts, tick, -standing
            done += executed
            if not executed:
                tick, qty = new_tick, new_qty
            standing = max(qty - done, 0)
            yield ts, tick, standing
        if self.gone is not None and standing:
            yield self.gone, tick, -standing


def own_orders(journal: str | Path) -> list[OwnOrder]:
    """Every order of a run, in the order of sending. Raises OSError and JournalFault as reading a journal does."""
    orders: dict[int, OwnOrder] = {}
    acked: dict[int, int] = {}
    seen: set[str] = set()
    first = told_first(journal)
    for number, time, entry, said in _core.JournalReader(journal):
        if entry == "command" and said["command"] == "place":
            orders[said["order_id"]] = OwnOrder(said["order_id"], said["instrument"], said["side"], dict(said), time)
        elif entry == "event" and said["order_id"] in orders:
            order, ts = orders[said["order_id"]], said["ts_venue"] - (number in first)
            match said["event"]:
                case "acked":
                    acked.setdefault(order.number, ts)
                case "filled" if said["words"] not in seen:
                    seen.add(said["words"])
                    order.fills.append(Execution(ts, said["tick"], said["lots"], said["maker"]))
                case "accepted" if order.arrived is None:
                    order.arrived = ts
                case "amended":
                    order.amended.append(Terms(ts, said["tick"], said["lots"]))
                case "canceled":
                    order.gone = ts
                case "rejected":
                    order.refused, order.arrived = said["words"], ts if said["words"] in JUDGED else None
    for order in orders.values():
        _correct(order, acked.get(order.number))
    return list(orders.values())


def told_first(journal: str | Path) -> set[int]:
    """Return the numbers of the entries that tell of a request's effect before they tell of a fill of the same time.

    Venue times are whole milliseconds. What the venue told first was first: such an effect counts a nanosecond earlier.
    """
    waiting: dict[int, list[int]] = defaultdict(list)
    first: set[int] = set()
    filled: set[str] = set()
    for number, _, entry, said in _core.JournalReader(journal):
        if entry != "event":
            continue
        if said["event"] in ("accepted", "rejected", "canceled", "amended", "refused"):
            waiting[said["ts_venue"]].append(number)
        elif said["event"] == "filled" and said["words"] not in filled:
            filled.add(said["words"])
            first.update(waiting.pop(said["ts_venue"], ()))
    return first


def _correct(order: OwnOrder, acked: int | None) -> None:
    """Put right what is only known afterwards: an order that was filled before it was shown came no later than that."""
    order.fills.sort()
    first = order.fills[0].ts if order.fills else None
    if first is not None and (order.arrived is None or order.arrived >= first):
        order.arrived = min(first, first if acked is None else acked)
    if order.arrived is not None:
        order.arrived = max(order.arrived, order.asked)


def without_us(tape: _core.Tape, orders: Sequence[OwnOrder], path: Path) -> _core.Tape:
    """Write the market of a tape as it happened at the venue, without the run's own orders of that instrument; open it.

    For a simulated venue, never to be heard: it is in the order of venue time, and receive times are venue times.

    - A depth message of venue time t shows all that happened by t: the trades of that millisecond, and every order of
      ours that rested then, which is taken out. The venue must show orders of clients, as exchanges do.
    - A book is published every so often, a print names its moment: between two messages the levels follow the prints.
      What is printed leaves its level, less our own part of it, and better prices than a printed one are gone.

    Raises OSError and TapeFault.
    """
    levels, prints = records(tape, "levels"), _Prints(tape, orders)
    market = _Market(_core.TapeWriter(path, tape.instrument), tape.instrument, _Own(orders))
    depth = records(tape, "depth")
    columns = (depth["ts_venue"], kind(depth), first_level(depth), depth["n_bid"], depth["n_ask"])
    for ts, what, first, n_bid, n_ask in zip(*(column.tolist() for column in columns), strict=True):
        middle = first + n_bid
        for moment in prints.until(ts):
            market.printed(*moment)
        market.told(
            ts, KINDS[what], dict(levels[first:middle].tolist()), dict(levels[middle : middle + n_ask].tolist())
        )
    for moment in prints.until(None):
        market.printed(*moment)
    for _, ts, rate, mark in records(tape, "funding").tolist():
        market.out.funding(max(ts, market.now), ts, rate, mark)
    market.out.finish()
    return _core.Tape.open(path)


class _Print(NamedTuple):
    tick: int
    lots: int
    aggressor: str
    others: int
    """Lots that did not come from a resting order of ours."""


class _Prints:
    """The trades of a tape by venue time, moment by moment."""

    def __init__(self, tape: _core.Tape, orders: Iterable[OwnOrder]) -> None:
        ours = Counter[tuple[int, int]]()
        for order in orders:
            for fill in order.fills:
                ours[fill.ts, fill.tick] += fill.lots * fill.maker
        self._moments: deque[tuple[int, list[_Print]]] = deque()
        trades = records(tape, "trades")
        columns = (trades["ts_venue"], trades["tick"], trades["lots"], sold(trades))
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for ts, tick, lots, has_sold in sorted(rows, key=lambda row: row[0]):
            own = min(lots, ours[ts, tick])
            ours[ts, tick] -= own
            if not self._moments or self._moments[-1][0] != ts:
                self._moments.append((ts, []))
            self._moments[-1][1].append(_Print(tick, lots, "sell" if has_sold else "buy", lots - own))

    def until(self, ts: int | None) -> Iterator[tuple[int, list[_Print]]]:
        """Yield what was printed up to a venue time, once; all of it for None."""
        while self._moments and (ts is None or self._moments[0][0] <= ts):
            yield self._moments.popleft()


class _Market:
    """Writes the market without us, and knows its book."""

    def __init__(self, out: _core.TapeWriter, instrument: _core.Instrument, own: _Own) -> None:
        self.out, self.now = out, 0
        self._price, self._quantity, self._own = instrument.price, instrument.quantity, own
        self._shown: dict[str, dict[int, int]] = {"buy": {}, "sell": {}}
        """As published last."""
        self._book: dict[str, dict[int, int]] = {"buy": {}, "sell": {}}
        """Without us, and after the prints since."""
        self._traded: dict[str, set[int]] = {"buy": set(), "sell": set()}
        """Ticks that those moved."""

    def told(self, ts: int, kind: str, bids: dict[int, int], asks: dict[int, int]) -> None:
        """A message was published: its levels, those where ours changed, and those that prints had moved."""
        moved = self._own.until(ts)
        changed = {}
        for side, named in (("buy", bids), ("sell", asks)):
            shown, book = self._shown[side], self._book[side]
            if kind != "delta":
                shown.clear()
                book.clear()
            shown.update(named)
            others = {tick for of, tick in moved if of == side} | self._traded[side] if kind == "delta" else ()
            self._traded[side] = set()
            changed[side] = {
                tick: max(shown.get(tick, 0) - self._own.standing[side, tick], 0) for tick in {*named, *others}
            }
        self._write(ts, kind, changed)

    def printed(self, ts: int, prints: Sequence[_Print]) -> None:
        """Trades of one moment, and what they leave of the book.

        A print shows that its aggressor got past better prices: no more was there than was printed there, before.
        """
        before, after = dict[str, dict[int, int]](), dict[str, dict[int, int]]()
        for aggressor, side, sign in (("sell", "buy", 1), ("buy", "sell", -1)):
            printed = Counter[int]()
            for each in prints:
                if each.aggressor == aggressor:
                    printed[each.tick] += each.others
            before[side], after[side] = _swept(self._book[side], printed, sign)
            self._traded[side] |= after[side].keys()
        if any(before.values()):
            self._write(ts, "delta", before)
        for tick, lots, aggressor, _ in prints:
            self.now = max(self.now, ts)
            self.out.trade(self.now, ts, self._price(tick), self._quantity(lots), aggressor)
        if any(after.values()):
            self._write(ts, "delta", after)

    def _write(self, ts: int, kind: str, changed: dict[str, dict[int, int]]) -> None:
        self.now = max(self.now, ts)
        rows = []
        for side, ticks in changed.items():
            self._book[side].update(ticks)
            rows.append([(self._price(tick), self._quantity(lots)) for tick, lots in ticks.items()])
        self.out.depth(self.now, ts, kind, *rows)


def _swept(book: Mapping[int, int], printed: Mapping[int, int], sign: int) -> tuple[dict[int, int], dict[int, int]]:
    """Say which levels of a side a moment's prints prove smaller, before the prints and after them.

    sign: 1 for bids, -1 for asks.
    """
    last = min((sign * tick for tick in printed), default=NEVER)
    passed = {tick: lots for tick, lots in book.items() if lots and sign * tick > last}
    before = {tick: printed.get(tick, 0) for tick, lots in passed.items() if printed.get(tick, 0) < lots}
    left = {tick: max(book[tick] - lots, 0) for tick, lots in printed.items() if book.get(tick)}
    return before, left | dict.fromkeys(passed, 0)


class _Own:
    """What of the book was ours, as time goes on."""

    def __init__(self, orders: Iterable[OwnOrder]) -> None:
        rows = ((ts, order.side, tick, lots) for order in orders for ts, tick, lots in order.shown())
        self._changes = sorted(rows, key=lambda row: row[0])
        self._next = 0
        self.standing: Counter[tuple[str, int]] = Counter()

    def until(self, ts: int) -> set[tuple[str, int]]:
        """Go on to a venue time; return the places that changed on the way."""
        moved = set()
        while self._next < len(self._changes) and self._changes[self._next][0] <= ts:
            _, side, tick, lots = self._changes[self._next]
            self.standing[side, tick] += lots
            moved.add((side, tick))
            self._next += 1
        return moved
