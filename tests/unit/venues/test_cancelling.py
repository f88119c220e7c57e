"""The shell of cancel-all, on a venue in memory."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from mmbot.execution.cancel_all import Target
from mmbot.simulation.world import NodeLoop, World
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import InstrumentTerms, PlaceOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from mmbot.venues.port import Fact, LinkEvent

SYMBOL = "BTCUSDT"
BTC = ("linear", SYMBOL)
TERMS = InstrumentTerms(
    category="linear",
    symbol=SYMBOL,
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.1",
    lot="0.001",
    min_qty="0.001",
    max_qty=None,
    min_notional=None,
    funding_interval_s=None,
)


LONG = 120_000_000_000


def played(scenario: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Play it to its end in a world of its own, whose seconds cost nothing and are never late."""
    world, complaints = World(1_700_000_000_000_000_000), []
    loop = NodeLoop(world, 1, complaints.append)  # type: ignore[abstract]
    task = loop.create_task(scenario(world))
    world.run_until(world.now + LONG)
    assert not complaints
    task.result()


class Listening:
    """Hands what the venue tells to the cancel-all under test."""

    cancelling: Cancelling | None = None

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass it on."""
        if self.cancelling is not None:
            self.cancelling.heard(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Nothing of interest here."""


class Desk:
    """A venue with orders, and a cancel-all on it."""

    def __init__(self, count: int, world: World) -> None:
        listening, clock = Listening(), lambda: world.now
        self.venue = FakeVenue([TERMS], listening, clock)
        self.told: list[dict[str, Any]] = []
        self.cancelling = listening.cancelling = Cancelling(
            self.venue,
            [BTC],
            clock,
            told=self._tell,
        )
        self.believed = [Target(*BTC, f"mm-{n}") for n in range(count)]

    def break_call(self, name: str, how: str, times: int) -> None:
        """Let the next calls of one kind go wrong: refused, silent, or by what nobody foresaw; done, or not."""
        real, left = getattr(self.venue, name), [times]

        async def broken(*words: Any) -> Any:
            if not left[0]:
                return await real(*words)
            left[0] -= 1
            if how.startswith("done, "):
                await real(*words)
            match how.removeprefix("done, "):
                case "refused":
                    raise VenueError("10016 internal error")
                case "silent":
                    raise TimeoutError
                case _:
                    raise KeyError(name)

        setattr(self.venue, name, broken)

    def _tell(self, event: dict[str, Any]) -> None:
        self.told.append(event)

    async def open(self) -> Desk:
        """Start it, with its orders resting."""
        await self.venue.start()
        self.venue.touch(SYMBOL, "100.0", "100.2")
        self.venue.send(
            [
                PlaceOrder(
                    client_id=one.client_id, category="linear", symbol=SYMBOL, side="buy", price="99.0", qty="0.001"
                )
                for one in self.believed
            ]
        )
        self.venue.deliver()
        return self


def deliver_often(desk: Desk, world: World) -> None:
    """Let the venue's stream tell what it has, a hundred times a second."""
    desk.venue.deliver()
    world.after(10_000_000, lambda: deliver_often(desk, world))


def test_everything_leaves_and_the_end_is_told() -> None:
    """Bulk first; what the events say is what became of the orders."""

    async def scenario(world: World) -> None:
        desk = await Desk(3, world).open()
        result = await desk.cancelling.run("edge", believed=desk.believed)
        assert result.as_dict() == {"canceled_count": 3, "failed": [], "method": "bulk"}
        assert await desk.venue.open_orders(*BTC) == []
        assert desk.told[-1] | {"took_s": 0} == {
            "event": "cancel_all_done",
            "trigger": "edge",
            "canceled": 3,
            "failed": [],
            "method": "bulk",
            "proof": "asked",
            "took_s": 0,
        }

    played(scenario)


def test_a_refused_bulk_cancel_is_told_and_each_order_leaves_by_itself() -> None:
    """The fallback needs no help from who asked."""

    async def scenario(world: World) -> None:
        desk = await Desk(3, world).open()
        desk.venue.refuse("cancel", "other")
        result = await desk.cancelling.run("edge", believed=desk.believed)
        assert result.as_dict() == {"canceled_count": 3, "failed": [], "method": "per_order_fallback"}
        assert [one["event"] for one in desk.told] == ["bulk_cancel_failed", "cancel_all_done"]

    played(scenario)


def test_with_rest_blocked_the_trade_link_and_the_stream_do_it() -> None:
    """The proof is the stream's word, and the result says so."""

    async def scenario(world: World) -> None:
        desk = await Desk(3, world).open()
        desk.venue.blocked.add("rest")
        deliver_often(desk, world)
        result = await desk.cancelling.run("edge", believed=desk.believed)
        assert (result.proof, result.canceled_count) == ("told", 3)

    played(scenario)


def test_alarms_are_told_at_each_step() -> None:
    """While nothing can be proven: four, each a step louder, and the orders are named."""

    async def scenario(world: World) -> None:
        desk = await Desk(1, world).open()
        desk.venue.drop_links()
        result = await desk.cancelling.run("edge", believed=desk.believed)
        assert (result.failed, result.proof) == (("mm-0",), "")
        alarms = [event for event in desk.told if event["event"] == "cancel_all_alarm"]
        assert [(event["step"], event["open"]) for event in alarms] == [(step, ["mm-0"]) for step in (1, 2, 3, 4)]

    played(scenario)


CALLS = ("cancel_bulk", "open_orders", "cancel_over")
HOWS = ("refused", "silent", "unforeseen", "done, refused", "done, silent")


@pytest.mark.parametrize(("calls", "how"), [*product([(one,) for one in CALLS], HOWS), (CALLS, "silent")])
@pytest.mark.parametrize("times", [1, 3, 1_000])
def test_a_fault_on_any_call_ends_with_nothing_open_or_with_a_failure_and_an_alarm(
    calls: tuple[str, ...], how: str, times: int
) -> None:
    """A-036: whichever call goes wrong, however, once or for good, and all of them at once: zero is claimed only where
    it is so, and where it is not proven, what may be left is named and somebody is called.
    """

    async def scenario(world: World) -> None:
        desk = await Desk(3, world).open()
        for name in calls:
            desk.break_call(name, how, times)
        result = await desk.cancelling.run("edge", believed=desk.believed)
        left = [order for order in desk.venue._orders.values() if order.leaves]
        names = [event["event"] for event in desk.told]
        assert names[-1] == "cancel_all_done"
        assert desk.told[-1]["failed"] == list(result.failed)
        if result.proof:
            assert (left, result.failed) == ([], ())
        else:
            assert result.failed
            assert "cancel_all_alarm" in names
        assert result.proof or times == 1_000
        if times == 1_000 and calls == CALLS:
            assert (len(left), result.failed) == (3, ("mm-0", "mm-1", "mm-2"))

    played(scenario)
