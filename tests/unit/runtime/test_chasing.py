"""Who asks the venue about orders in doubt, and when it begins to."""

from __future__ import annotations

from typing import Any

import pytest

from mmbot.execution.resolve import Resolver, ResolveTerms
from mmbot.runtime.bell import Bell
from mmbot.runtime.chasing import Chaser
from mmbot.simulation.world import NodeLoop, World
from mmbot.venues.port import Looked

S = 1_000_000_000


class OneOrder:
    """A bridge that holds one order, the venue, and who hears of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.taken_in: int | None = None
        self.doubts: dict[int, Any] = {}
        self.doubted = Bell()
        self.asked: list[float] = []
        self.waits = 0

    def oldest_unconfirmed(self) -> int | None:
        """Count how often the chaser looks."""
        self.waits += 1
        return self.taken_in

    def unconfirmed(self, by: int) -> list[int]:
        """The order, where it was taken in by then."""
        if self.taken_in is None or self.taken_in > by:
            return []
        self.taken_in = None
        return [7]

    def settle_doubts(self) -> None:
        """It stays open."""

    def place_of(self, _: int) -> tuple[str, str, str]:
        """Where it is."""
        return "linear", "BTCUSDT", "mm-7"

    def exists(self, _: int) -> bool:
        """The venue has not spoken of it."""
        return False

    def decided(self, _: int) -> int:
        """At the start."""
        return 0

    async def find(self, *_: str) -> Looked:
        """Nothing is found; note when it was asked."""
        self.asked.append(self.world.now / S)
        return Looked(order=None, source="", ts_venue=0)

    async def executions_of(self, *_: str) -> list[Any]:
        """Nothing was executed."""
        return []

    def on_looked(self) -> None:
        """The answer is all that counts here."""

    def on_aged(self, _: object) -> None:
        """As above."""

    def linked(self) -> bool:
        """All is up."""
        return True


def chased(taken_in_s: float | None, doubted_s: float | None, until_s: float) -> OneOrder:
    """Let time go by with an order that is taken in then and not shown, or comes into doubt then."""
    world = World(0)
    loop = NodeLoop(world, 1, lambda _: None)  # type: ignore[abstract]
    one: Any = OneOrder(world)
    resolver = Resolver(ResolveTerms(), "account")
    task = loop.create_task(Chaser(one, resolver, lambda: world.now, one).run(one))
    if taken_in_s is not None:
        world.at(round(taken_in_s * S), lambda: setattr(one, "taken_in", world.now))
    if doubted_s is not None:
        world.at(round(doubted_s * S), lambda: (one.doubts.update({7: "place"}), one.doubted.ring()))
    world.run_until(round(until_s * S))
    assert not task.done()
    return one


@pytest.mark.parametrize("taken_in_s", [0.0, 0.1, 1.0, 1.999, 2.0, 2.5, 7.3])
def test_an_order_that_is_taken_in_and_not_shown_is_asked_for_after_two_seconds(taken_in_s: float):
    """It is neither late nor early, whenever between two waits it came in: two seconds, and the chase's own turn."""
    first = chased(taken_in_s, None, 20).asked[0]
    assert taken_in_s + 2 <= first <= taken_in_s + 2 + 0.5


def test_a_doubt_is_asked_for_at_once():
    """Nobody waits for the two seconds of an order that was taken in."""
    assert chased(None, 5.2, 8).asked[0] == pytest.approx(5.45)  # a quarter second, in which the answer may still come


def test_a_quiet_run_looks_once_in_two_seconds():
    """With nothing on its way there is nothing to wake up for."""
    one = chased(None, None, 60)
    assert not one.asked
    assert one.waits <= 31
