"""Between a run and its session: what leaves, what is refused, what waits, and what trips."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import msgspec
import pytest
from trading_desk import TERMS

from mmbot.execution import Breaker, BreakerState, TakerCap, Throttle
from mmbot.runtime.gate import OrderGate
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import (
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    Fact,
    LinkEvent,
    OrderRequest,
    OrderSeen,
    Overasked,
    PlaceOrder,
    Refused,
    Unanswered,
    VenueError,
)

MS = 1_000_000
SECOND = 1_000_000_000


class Heard:
    """The run's end: keeps what it is told."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.links: list[str] = []
        self.events: list[dict[str, object]] = []

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep them."""
        self.facts.extend(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Keep its name and state."""
        self.links.append(f"{event.link} {event.conn} {event.state}".replace("  ", " "))

    def told(self, name: str) -> list[dict[str, object]]:
        """Events of one name."""
        return [event for event in self.events if event["event"] == name]


class Passage:
    """A gate with a venue in memory behind it, under a clock that the test moves."""

    def __init__(
        self, *, throttle: Throttle | None = None, breaker: Breaker | None = None, taker_cap: TakerCap | None = None
    ) -> None:
        self.now = SECOND
        self.heard = Heard()
        self.gate = OrderGate(
            self.heard,
            lambda: self.now,
            throttle=throttle,
            breaker=breaker,
            taker_cap=taker_cap,
            told=self.heard.events.append,
        )
        self.venue = FakeVenue([TERMS], self.gate, lambda: self.now, balances={"USDT": "100000"})
        self.gate.attach(self.venue)
        self._numbers = count(1)

    def place(self) -> PlaceOrder:
        """A bid that rests."""
        number = next(self._numbers)
        return PlaceOrder(
            client_id=f"o{number}",
            category="linear",
            symbol="BTCUSDT",
            side="buy",
            price="90.0",
            qty="1",
            post_only=True,
        )

    def send(self, *requests: OrderRequest) -> None:
        """Send, and hear everything that follows."""
        self.gate.send(list(requests))
        self.venue.deliver()

    def refused(self) -> list[str]:
        """What the gate itself refused."""
        return [fact.client_id for fact in self.heard.facts if isinstance(fact, Refused) and fact.code == 0]

    def said(self) -> str:
        """Why the gate refused what it refused last."""
        return [fact.message for fact in self.heard.facts if isinstance(fact, Refused) and fact.code == 0][-1]

    async def open_ids(self) -> list[str]:
        """What rests at the venue."""
        return [seen.client_id for seen in await self.venue.open_orders("linear", "BTCUSDT")]


def cancel(client_id: str) -> CancelOrder:
    """The end of an order."""
    return CancelOrder(client_id=client_id, category="linear", symbol="BTCUSDT")


def opened(act: Callable[[Passage], Awaitable[None]], **terms: object) -> None:
    """Start a passage and let a test act in it."""

    async def run() -> None:
        passage = Passage(**terms)
        await passage.gate.start()
        async with asyncio.timeout(5):
            await act(passage)
        await passage.gate.stop()

    asyncio.run(run())


async def turns(number: int = 3) -> None:
    """Let what is due in the loop happen."""
    for _ in range(number):
        await asyncio.sleep(0)


def test_seven_orders_leave_in_a_second_and_the_others_are_refused() -> None:
    """The eighth is answered like a refusal of the venue's, after the caller is done; a second later there is room."""

    async def act(passage: Passage) -> None:
        passage.send(*(passage.place() for _ in range(8)))
        assert passage.refused() == []
        await turns()
        assert passage.refused() == ["o8"]
        assert "calls in the last" in passage.said()
        assert await passage.open_ids() == [f"o{number}" for number in range(1, 8)]
        passage.send(AmendOrder(client_id="o1", category="linear", symbol="BTCUSDT", price="89.0"))
        await turns()
        assert passage.refused() == ["o8", "o1"]
        passage.now += SECOND
        passage.send(passage.place())
        assert len(await passage.open_ids()) == 8

    opened(act)


def test_cancels_leave_at_once_while_there_is_room_and_wait_while_there_is_none() -> None:
    """None is lost, none is refused, and they leave in the order in which they were asked for."""

    async def act(passage: Passage) -> None:
        passage.send(*(passage.place() for _ in range(6)))
        passage.send(*(cancel(f"o{number}") for number in range(1, 7)))
        assert await passage.open_ids() == ["o4", "o5", "o6"]
        passage.now += SECOND - MS  # the loop's timer is due when the test's clock says so
        passage.gate._send_cancels()
        assert await passage.open_ids() == ["o4", "o5", "o6"]
        passage.now += MS
        passage.gate._send_cancels()
        assert await passage.open_ids() == []
        await turns()
        assert passage.refused() == []

    opened(act)


def test_a_waiting_cancel_leaves_by_itself() -> None:
    """The loop's own timer comes back for it."""

    async def act(passage: Passage) -> None:
        passage.send(passage.place(), cancel("o1"), cancel("o1"))
        passage.now += 10 * MS
        while passage.gate._waiting:
            await asyncio.sleep(0)
        passage.venue.deliver()
        assert await passage.open_ids() == []

    opened(act, throttle=Throttle(max_calls=2, reserved_for_cancels=1, window_ms=10))


def test_cancels_that_wait_at_the_end_are_sent() -> None:
    """Whatever the throttle says: nothing is kept behind."""

    async def act(passage: Passage) -> None:
        passage.send(*(passage.place() for _ in range(7)))
        passage.send(*(cancel(f"o{number}") for number in range(1, 8)))
        assert len(await passage.open_ids()) == 5
        await passage.gate.stop()
        passage.venue.restore_links()
        assert await passage.open_ids() == []

    opened(act)


def overloaded(passage: Passage) -> None:
    """The venue's 429, as the adapter tells it."""
    passage.gate.on_facts(
        [Unanswered(client_id="o1", request="place", why="HTTP 429", reason="overloaded")], passage.now
    )


def test_a_429_takes_the_quotes_out_and_cancels_pass() -> None:
    """The link "trade breaker" goes down, places are refused, every cancel and the cancel-all get through."""

    async def act(passage: Passage) -> None:
        passage.send(passage.place(), passage.place(), passage.place())
        overloaded(passage)
        assert passage.gate.circuit_breaker_state == 1
        assert passage.heard.links[2:] == ["trade breaker down"]
        [event] = passage.heard.told("circuit_breaker_tripped")
        assert event["until_ns"] == 61 * SECOND
        passage.send(passage.place(), cancel("o1"))
        await turns()
        assert passage.refused() == ["o4"]
        assert await passage.open_ids() == ["o2", "o3"]
        assert await passage.gate.cancel_all("linear", "BTCUSDT") == 2
        assert await passage.open_ids() == []

    opened(act)


def test_a_429_to_a_question_opens_the_breaker_for_orders() -> None:
    """The venue counts all of us: what it says to a read holds for places, for a minute of the clock that is given."""

    async def act(passage: Passage) -> None:
        passage.gate.on_facts([Overasked(reason="overloaded", why="GET /v5/order/realtime: 429")], passage.now)
        assert passage.gate.circuit_breaker_state == 1
        assert len(passage.heard.told("circuit_breaker_tripped")) == 1
        passage.send(passage.place())
        await turns()
        assert passage.refused() == ["o1"]
        passage.now += 60 * SECOND
        assert passage.gate.circuit_breaker_state == 0

    opened(act)


def test_after_a_minute_one_order_is_the_probe() -> None:
    """The link comes up; until the first order is answered no other leaves, and then the breaker is closed."""

    async def act(passage: Passage) -> None:
        overloaded(passage)
        passage.now += 60 * SECOND
        passage.gate._half_open()
        assert passage.heard.links[2:] == ["trade breaker down", "trade breaker up"]
        assert passage.gate.circuit_breaker_state == 0
        assert passage.refused() == []
        passage.gate.send([passage.place(), passage.place()])
        await turns()
        assert passage.refused() == ["o2"]
        assert "breaker" in passage.said()
        passage.venue.deliver()
        assert len(passage.heard.told("circuit_breaker_closed")) == 1
        passage.send(passage.place())
        assert await passage.open_ids() == ["o1", "o3"]

    opened(act)


def test_trouble_while_open_keeps_the_link_down_for_longer() -> None:
    """Its timer asks the breaker, not itself."""

    async def act(passage: Passage) -> None:
        overloaded(passage)
        passage.now += 30 * SECOND
        overloaded(passage)
        passage.now += 30 * SECOND
        passage.gate._half_open()
        assert passage.heard.links[2:] == ["trade breaker down"]
        assert len(passage.heard.told("circuit_breaker_tripped")) == 1

    opened(act)


@pytest.mark.parametrize("ahead_s", [1, 0, -1])
def test_a_breaker_that_an_earlier_run_left_open_holds_until_its_end(ahead_s: int) -> None:
    """Open until then: the link is down and a place is refused; from its end on the first order is the probe."""

    async def act(passage: Passage) -> None:
        kept: list[BreakerState] = []
        left = BreakerState(open_until_ns=passage.now + ahead_s * SECOND)
        passage.gate.resume(left, kept.append)
        is_open = ahead_s > 0
        assert passage.gate.circuit_breaker_state == is_open
        assert passage.heard.links[2:] == (["trade breaker down"] if is_open else [])
        for _ in range(2):
            passage.gate.send([passage.place()])
        await asyncio.sleep(0)
        refused = [fact for fact in passage.heard.facts if isinstance(fact, Refused)]
        assert len(refused) == (2 if is_open else 1)
        passage.venue.deliver()
        assert kept == ([] if is_open else [BreakerState()]), "the probe was answered"

    opened(act)


def test_what_the_breaker_becomes_is_given_to_who_keeps_it() -> None:
    """Each trouble; one of before somebody kept it is the newer word."""

    async def act(passage: Passage) -> None:
        kept: list[BreakerState] = []
        passage.gate.on_facts([Overasked(reason="overloaded", why="429")], passage.now)
        passage.gate.resume(BreakerState(), kept.append)
        passage.now += SECOND
        passage.gate.on_facts([Overasked(reason="overloaded", why="429")], passage.now)
        assert [state.open_until_ns for state in kept] == [
            60 * SECOND + passage.now - SECOND,
            60 * SECOND + passage.now,
        ]

    opened(act)


def test_the_breaker_comes_back_by_itself() -> None:
    """The loop's own timer ends the open time."""

    async def act(passage: Passage) -> None:
        overloaded(passage)
        passage.now += 2 * MS
        while passage.heard.links[-1] != "trade breaker up":
            await asyncio.sleep(0)

    opened(act, breaker=Breaker(open_s=0.001))


def test_three_refusals_of_the_venue_for_rate_trip_and_our_own_do_not() -> None:
    """Otherwise the throttle would trip the breaker."""

    async def act(passage: Passage) -> None:
        passage.send(*(passage.place() for _ in range(20)))
        await turns()
        assert len(passage.refused()) == 13
        assert passage.gate.circuit_breaker_state == 0
        passage.now += SECOND
        for _ in range(3):
            passage.venue.refuse("place", "rate_limited", 10006)
            passage.send(passage.place())
        assert passage.gate.circuit_breaker_state == 1

    opened(act)


def test_what_the_run_asks_and_hears_passes_unchanged() -> None:
    """Reads go to the session, its facts and links to the run."""

    async def act(passage: Passage) -> None:
        passage.send(passage.place())
        assert [type(fact).__name__ for fact in passage.heard.facts] == ["Acked", "OrderSeen"]
        gate, market = passage.gate, ("linear", "BTCUSDT")
        assert [seen.client_id for seen in await gate.open_orders(*market)] == ["o1"]
        assert isinstance((await gate.find(*market, "o1")).order, OrderSeen)
        assert await gate.executions_of(*market, "o1") == await gate.postings(0) == []
        assert await gate.executions(*market, 0) == []
        assert (await gate.position(*market)).qty == "0"
        assert [seen.coin for seen in await gate.wallet()] == ["USDT"]
        assert (await gate.attest()).faults == ()
        assert await gate.instrument(*market) == TERMS
        assert (await gate.fee_rates(*market)).maker == "0"
        assert passage.heard.links == ["private up", "trade up"]

    opened(act)


def test_a_gate_that_leads_nowhere_says_so() -> None:
    """Before a session is attached."""

    async def run() -> None:
        gate = OrderGate(Heard(), lambda: 0)
        with pytest.raises(VenueError, match="attach a session first"):
            await gate.start()

    asyncio.run(run())


@pytest.mark.parametrize(("age_ms", "leaves"), [(0, True), (250, True), (251, False), (-5, True), (-6, False)])
def test_what_was_decided_too_long_ago_does_not_leave(age_ms: int, leaves: bool) -> None:
    """A place and an amend speak of a market that is gone, or not there yet; a cancel is wanted at any age."""

    async def act(passage: Passage) -> None:
        passage.send(passage.place())
        passage.gate.decided = lambda: passage.now - age_ms * MS
        passage.gate.decision_age_ns = 250 * MS
        passage.send(passage.place(), AmendOrder(client_id="o1", category="linear", symbol="BTCUSDT", price="89.0"))
        await turns()
        assert passage.refused() == ([] if leaves else ["o2", "o1"])
        assert all("decided" in fact.message for fact in passage.heard.facts if isinstance(fact, Refused))
        passage.send(cancel("o1"))
        assert "o1" not in await passage.open_ids()

    opened(act)


def executed(name: str, *, maker: bool, qty: str) -> ExecutionSeen:
    """An execution at 90."""
    return ExecutionSeen(
        client_id="o1",
        venue_id="v1",
        execution_id=name,
        category="linear",
        symbol="BTCUSDT",
        kind="trade",
        side="buy",
        price="90",
        qty=qty,
        maker=maker,
        fee="0",
        fee_currency="USDT",
        ts_venue=1,
    )


def test_what_is_taken_stays_within_its_share() -> None:
    """Of 100 traded within 15 minutes 9 may be taken: the order that would make it more is refused, others pass."""

    async def act(passage: Passage) -> None:
        def taker(qty: str, **changed: object) -> PlaceOrder:
            return msgspec.structs.replace(passage.place(), qty=qty, tif="ioc", post_only=False, **changed)

        assert passage.refused() == []
        passage.send(taker("1"))
        await turns()
        assert "taker share" in passage.said()
        assert passage.refused() == ["o1"], "nothing was made yet, so all of it would be taken"
        made = executed("e1", maker=True, qty="91")
        passage.gate.on_facts([made, made], passage.now)
        passage.send(taker("9"), taker("9.1"))
        await turns()
        assert passage.refused() == ["o1", "o3"]
        passage.gate.on_facts([executed("e2", maker=False, qty="9")], passage.now)
        passage.send(taker("0.1"), passage.place(), taker("50", reduce_only=True))
        await turns()
        assert passage.refused() == ["o1", "o3", "o4"]
        assert {fact.reason for fact in passage.heard.facts if isinstance(fact, Refused) and fact.code == 0} == {
            "limit"
        }
        passage.now += 900 * SECOND
        passage.send(taker("0.1"))
        await turns()
        assert passage.refused()[-1] == "o7", "the window went on, and nothing in it was made"

    opened(act, taker_cap=TakerCap(), throttle=Throttle(max_calls=100))
