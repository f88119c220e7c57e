"""The bell that the tasks of a run wait for."""

from __future__ import annotations

from mmbot.runtime.bell import Bell
from mmbot.simulation.world import NodeLoop, World

S = 1_000_000_000


def test_a_bell_wakes_at_once_or_in_time_and_stays_rung_until_it_is_taken_down() -> None:
    """Whoever waits hears whether there is news, and when."""
    world = World(0)
    loop = NodeLoop(world, 1, lambda _: None)  # type: ignore[abstract]
    bell, heard = Bell(), []

    async def wait() -> None:
        heard.append((await bell.wait(5.0), world.now))
        heard.append((await bell.wait(5.0), world.now))
        heard.append((await bell.wait(5.0), world.now))
        bell.clear()
        bell.ring()  # between two waits: not missed
        heard.append((await bell.wait(5.0), world.now))

    task = loop.create_task(wait())
    world.at(7 * S, bell.ring)
    world.run_until(60 * S)
    assert heard == [(False, 5 * S), (True, 7 * S), (True, 7 * S), (True, 7 * S)]
    assert task.done()


def test_a_wait_that_is_cancelled_leaves_no_timer_and_no_waiter() -> None:
    """A run that ends takes its waits with it; the next one hears the bell again."""
    world = World(0)
    loop = NodeLoop(world, 1, lambda _: None)  # type: ignore[abstract]
    bell, heard = Bell(), []

    async def wait() -> None:
        heard.append(await bell.wait(5.0))

    first = loop.create_task(wait())
    world.at(1 * S, first.cancel)
    world.run_until(2 * S)
    assert first.cancelled()
    assert heard == []
    loop.create_task(wait())
    world.at(3 * S, bell.ring)
    world.run_until(4 * S)
    assert heard == [True]
