"""The engine's order join against its obvious twin, fact by fact: same orders, exposure and position at every step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from order_twin import Twin

from mmbot import _core
from mmbot.strategy import View, quotes

INSTRUMENT = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1")
BID, ASK = 1_000, 1_002

numbers = st.integers(1, 4)
times = st.integers(1, 30)
lots = st.integers(1, 12)
sides = st.sampled_from(["buy", "sell"])
executions = st.integers(1, 40).map(str)


def step(name: str, *told: Any) -> Any:
    """A method of `Pair` and what it is told."""
    return st.tuples(st.just(name), *told)


def wants() -> list[Any]:
    """The strategy speaks more often than anything else happens, so that amends meet one another."""
    sides = st.sampled_from(["both", "buy", "sell"])
    return [step("want", st.integers(0, 3), sides, lots) for _ in range(12)]


steps = st.lists(
    st.one_of(
        *wants(),
        step("rest", times),
        step("rest", times),
        step("doubt"),
        step("doubt"),
        step("ask_out", numbers),
        step("adopt", sides, lots, st.integers(0, 3), st.sampled_from(["orphan", "foreign"])),
        step("told", st.sampled_from(["acked", "accepted"]), numbers, times),
        step("refused", st.sampled_from(["amend", "cancel"]), numbers, times, st.booleans()),
        step("refused", st.sampled_from(["amend", "cancel"]), numbers, times, st.booleans()),
        step("ended", st.sampled_from(["rejected", "turned_away"]), numbers, times),
        step("concluded", st.sampled_from(["unknown", "never_placed", "expired_unproven"]), numbers),
        step("executed", st.sampled_from(["executed", "canceled"]), numbers, st.integers(0, 14), times),
        step("amended", numbers, st.integers(0, 3), lots, times),
        step("taken", numbers, st.integers(0, 1), times),
        step("taken", numbers, st.integers(0, 1), times),
        step("filled", numbers, executions, lots),
        step("moved", executions, sides, lots),
    ),
    min_size=30,
    max_size=90,
)


class Pair:
    """A live engine and its twin, told the same."""

    def __init__(self, tape: _core.LiveTape) -> None:
        desk = _core.Desk(position_max=1_000, order_max=500, open_orders_max=50, amend=True)
        self.core = _core.Live(
            [tape.tape],
            _core.Seat([desk], every_ns=1),
            instruments=[INSTRUMENT],
            queues=[("risk_averse", None)],
        )
        self.windows: list[View] = []
        self.windows.append(View(self.core, 0, INSTRUMENT, self.windows))
        self.twin, self.now, self.adopted = Twin(), 10, 0

    def tick(self) -> int:
        """Give each input a time of its own."""
        self.now += 1
        return self.now

    def both(self, method: str, number: int, *args: Any, fact: str = "", ts: int = 0, **told: Any) -> None:
        """Tell both of an order, and see whether both can take it."""
        try:
            getattr(self.core, method)(self.tick(), number, *args)
        except _core.Quarantine:
            assert not self.twin.tell(number, fact or method, ts, **told)
        else:
            assert self.twin.tell(number, fact or method, ts, **told)

    # ---- what may happen

    def want(self, away: int, which: str, qty: int) -> None:
        """The strategy says what it wants."""
        bid = BID - away if which in ("both", "buy") else None
        ask = ASK + away if which in ("both", "sell") else None
        self.twin.asks(self.core.step(self.tick(), lambda _: quotes(bid, ask, qty), self.windows))

    def rest(self, ts: int) -> None:
        """Everything that is open rests, they say."""
        for row in self.core.order_rows(0):
            self.told("accepted", row[0], ts)

    def doubt(self) -> None:
        """Nothing was answered in time."""
        for row in self.core.order_rows(0):
            self.concluded("unknown", row[0])

    def ask_out(self, number: int) -> None:
        """Somebody above the strategy wants it out."""
        self.twin.asks(self.core.cancel(self.tick(), number))

    def adopt(self, side: str, qty: int, cum: int, owner: str) -> None:
        """An order of somebody else comes to light."""
        self.adopted += 1
        name = f"theirs {self.adopted}"
        try:
            number = self.core.adopt(self.tick(), name, name, 0, side, BID, qty, cum, False, owner)
        except _core.Quarantine:
            assert cum >= qty
            self.twin.quarantined += 1
        else:
            self.twin.adopts(number, side, BID, qty, cum, owner)

    def told(self, name: str, number: int, ts: int) -> None:
        """A fact without a quantity."""
        self.both(name, number, ts, ts=ts)

    def refused(self, request: str, number: int, ts: int, held: bool) -> None:
        """A request about an order was refused, by the venue or by us."""
        reason = "held_back" if held else "other"
        self.both("refused", number, request, reason, ts, fact=f"{request} refused", ts=ts, held=held)

    def ended(self, name: str, number: int, ts: int) -> None:
        """A new order was refused."""
        self.both(name, number, "other", ts, ts=ts)

    def concluded(self, name: str, number: int) -> None:
        """Our own conclusion."""
        self.both(name, number)

    def executed(self, name: str, number: int, cum: int, ts: int) -> None:
        """The venue says how much was executed."""
        self.both(name, number, cum, ts, ts=ts, cum=cum)

    def amended(self, number: int, away: int, qty: int, ts: int) -> None:
        """The venue shows some terms."""
        self.both("amended", number, BID - away, qty, ts, ts=ts, terms=(BID - away, qty))

    def taken(self, number: int, which: int, ts: int) -> None:
        """The venue shows terms that were asked for."""
        asked = self.twin.orders[number].asked[which:] if number in self.twin.orders else []
        if asked:
            self.both("amended", number, *asked[0], ts, ts=ts, terms=asked[0])

    def filled(self, number: int, execution: str, qty: int) -> None:
        """An execution of an order."""
        try:
            is_new = self.core.filled(self.tick(), number, execution, BID, qty, True, 0, self.now)
        except _core.Quarantine:
            assert not self.twin.tell(number, "filled", 0)
        else:
            assert is_new == self.twin.fills(number, execution, qty)

    def moved(self, execution: str, side: str, qty: int) -> None:
        """An execution of nobody's order."""
        is_new = self.core.moved(self.tick(), 0, execution, "AdlTrade", side, BID, qty, 0, self.now)
        assert is_new == self.twin.moves(execution, side, qty)

    # ---- what must hold

    def agree(self) -> None:
        """Nothing that can be seen differs."""
        assert self.core.order_rows(0) == self.twin.rows()
        assert self.core.books(0, 0)["position_lots"] == self.twin.position
        assert self.core.quarantined == self.twin.quarantined
        assert self.core.take_risen() == self.twin.risen
        self.twin.risen = []
        self.core.check_invariants()


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> _core.LiveTape:
    """One book, heard by every engine."""
    tape = _core.LiveTape(tmp_path_factory.mktemp("twin") / "tape.live", INSTRUMENT)
    tape.depth(1, 1, "snapshot", [(str(BID), "5")], [(str(ASK), "7")])
    return tape


@settings(max_examples=300, deadline=None)
@given(plan=steps)
def test_the_engine_and_its_obvious_twin_agree_at_every_step(market: _core.LiveTape, plan: list[tuple[Any, ...]]):
    """Whatever is asked and told, in any order, about orders that are open, settled, adopted or unknown."""
    pair = Pair(market)
    for name, *told in plan:
        getattr(pair, name)(*told)
        pair.agree()
