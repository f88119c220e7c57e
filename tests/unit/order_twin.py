"""The obvious order book of ours: every fact about an order is kept, and what it is follows from all of them.

Slow on purpose. It shares nothing with `crates/engine/src/orders.rs` but the rules that are written down there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STAGES = ("sent", "acked", "unknown", "expired_unproven", "never_placed", "rejected")
"""How far a request came by our own lights, and what we concluded; the later the stronger."""

WORDS = ("live", "partial", "rejected", "canceled")
"""What a venue says of the order itself; the later the stronger."""

CONCLUDES = {
    "acked": "acked",
    "unknown": "unknown",
    "expired_unproven": "expired_unproven",
    "never_placed": "never_placed",
    "turned_away": "rejected",
}
SAYS = {
    "accepted": "live",
    "executed": "live",
    "amended": "live",
    "filled": "partial",
    "rejected": "rejected",
    "canceled": "canceled",
}
ENDS = ("expired_unproven", "never_placed", "rejected", "canceled", "filled")


@dataclass
class TwinOrder:
    """One order, by everything that was asked and told."""

    number: int
    side: str
    tick: int
    lots: int
    owner: str = "strategy"
    reduce_only: bool = False
    stages: list[str] = field(default_factory=lambda: ["sent"])
    words: list[str] = field(default_factory=list)
    cums: list[int] = field(default_factory=lambda: [0])
    fills: list[int] = field(default_factory=list)
    asked: list[tuple[int, int]] = field(default_factory=list)
    """Terms of amends that may yet be taken, oldest first."""
    terms_at: int = 0
    busy: str = "idle"
    busy_with: tuple[int, int] | None = None
    given_up: bool = False
    """By a person, after the venue's last word, which was not that it is over."""

    @property
    def booked(self) -> int:
        """Executed, by executions."""
        return sum(self.fills)

    @property
    def cum(self) -> int:
        """Executed, by executions or the venue's word."""
        return max(self.booked, *self.cums)

    @property
    def life(self) -> str:
        """The strongest word of the venue, else our own; executed whole is the end whatever was said."""
        if self.cum >= self.lots_max:
            return "filled"
        if self.words and not self.abandoned:
            return max(self.words, key=WORDS.index)
        return max(self.stages, key=STAGES.index)

    @property
    def abandoned(self) -> bool:
        """A person's word holds, not the venue's."""
        return self.given_up and self.cum < self.lots_max

    @property
    def lots_max(self) -> int:
        """The most that may stand at the venue."""
        return max([self.lots, *(lots for _, lots in self.asked)])

    @property
    def over(self) -> bool:
        """Nothing of it can trade any more."""
        return self.life in ENDS

    @property
    def settled(self) -> bool:
        """Nor is anything still to be booked."""
        return self.over and self.booked == self.cum

    @property
    def exposure(self) -> int:
        """What may still trade, or has and is not booked."""
        return max((self.cum if self.over else self.lots_max) - self.booked, 0)

    @property
    def risen(self) -> bool:
        """We had concluded its end, and the venue speaks of it, other than of a refusal."""
        concluded = any(stage in ENDS for stage in self.stages)
        return concluded and bool(self.words) and not self.abandoned and self.life != "rejected"

    @property
    def op(self) -> str:
        """What is under way about it, in the words of `order_rows`."""
        if self.busy == "idle" and any(terms != (self.tick, self.lots) for terms in self.asked):
            return "amend_unknown"
        return self.busy

    def row(self) -> tuple[object, ...]:
        """As in `order_rows`."""
        terms = (self.number, self.side, self.tick, self.lots, self.booked, self.cum, self.exposure)
        return (*terms, self.life, self.op, self.owner, self.reduce_only)

    # ---- what is asked

    def amend(self, tick: int, lots: int) -> None:
        """Other terms were asked for."""
        self.asked.append((tick, lots))
        self.busy, self.busy_with = "amend", (tick, lots)

    def cancel(self) -> None:
        """Its end was asked for."""
        self.busy = "cancel"

    # ---- what is told

    def tell(self, name: str, ts: int, *, cum: int = 0, terms: tuple[int, int] = (0, 0), held: bool = False) -> None:
        """Take one fact, named as the method of `Live` that it is told by."""
        if name in CONCLUDES:
            self.stages.append(CONCLUDES[name])
            self.give_up(name)
        if name in SAYS:
            self.given_up = False
            self.words.append("partial" if name == "executed" and cum else SAYS[name])
        self.count(name, cum)
        if name == "amended":
            self.amended(ts, *terms)
        if name == "amend refused":
            self.amend_refused(ts, held)
        if name == "unknown" or (name == "cancel refused" and self.busy == "cancel"):
            self.busy = "idle"
        if self.over and self.words and not self.abandoned:  # what we conclude ourselves answers no request
            self.busy = "idle"

    def count(self, name: str, cum: int) -> None:
        """What was executed, by the venue's word or by an execution."""
        if name in ("executed", "canceled"):
            self.cums.append(cum)
        if name == "filled":
            self.fills.append(cum)

    def give_up(self, name: str) -> None:
        """A person's word holds where the venue has not said that the order is over, until its next word."""
        self.given_up |= name == "expired_unproven" and not {"canceled", "rejected"} & {*self.words}

    def amended(self, ts: int, tick: int, lots: int) -> None:
        """The venue shows these terms, as of `ts`."""
        if self.busy == "amend" and self.busy_with == (tick, lots):
            self.busy = "idle"
        if (ts, lots, tick) > (self.terms_at, self.lots, self.tick):
            self.terms_at, self.tick, self.lots = ts, tick, lots
            if (tick, lots) in self.asked:
                self.asked = self.asked[self.asked.index((tick, lots)) + 1 :]

    def amend_refused(self, ts: int, held: bool) -> None:
        """An amend was refused; which one is known where it never left, or where only one is under way."""
        if held:
            self.asked = self.asked[:-1]
        elif len(self.asked) == 1 and ts > self.terms_at:
            self.asked = []
        if self.busy == "amend":
            self.busy = "idle"


@dataclass
class Twin:
    """All orders of one instrument, and the position."""

    orders: dict[int, TwinOrder] = field(default_factory=dict)
    executions: set[str] = field(default_factory=set)
    position: int = 0
    quarantined: int = 0
    risen: list[int] = field(default_factory=list)

    def asks(self, commands: list[tuple]) -> None:
        """Take what the engine asks of the venue."""
        for command in commands:
            match command:
                case ("place", number, _, side, tick, lots, _, _, reduce_only):
                    self.orders[number] = TwinOrder(number, side, tick, lots, reduce_only=reduce_only)
                case ("amend", number, _, tick, lots):
                    self.orders[number].amend(tick, lots)
                case ("cancel", number, _):
                    self.orders[number].cancel()

    def adopts(self, number: int, side: str, tick: int, lots: int, cum: int, owner: str) -> None:
        """Take an order that the venue has and nobody sent."""
        order = TwinOrder(number, side, tick, lots, owner, stages=["acked"])
        order.tell("executed", 0, cum=cum)
        self.orders[number] = order

    def tell(self, number: int, name: str, ts: int, **told: object) -> bool:
        """Take a fact about an order; False for one that nobody knows."""
        order = self.orders.get(number)
        if order is None:
            self.quarantined += 1
            return False
        had_risen = order.risen
        order.tell(name, ts, **told)  # type: ignore[arg-type]
        if order.risen and not had_risen:
            self.risen.append(number)
        return True

    def fills(self, number: int, execution: str, lots: int) -> bool:
        """Book an execution of a known order once; False for a repeat."""
        if execution in self.executions:
            return False
        self.tell(number, "filled", 0, cum=lots)
        return self.moves(execution, self.orders[number].side, lots)

    def moves(self, execution: str, side: str, lots: int) -> bool:
        """Book an execution of nobody's order once."""
        if execution in self.executions:
            return False
        self.executions.add(execution)
        self.position += lots if side == "buy" else -lots
        return True

    def rows(self) -> list[tuple[object, ...]]:
        """Every order that is not settled, oldest first."""
        return [order.row() for _, order in sorted(self.orders.items()) if not order.settled]
