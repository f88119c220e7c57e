"""Virtual time: the order of things, pauses, and what a kill ends."""

import asyncio

import pytest

from mmbot.simulation.world import KilledError, NodeLoop, StuckError, World

SECOND = 1_000_000_000


def node(world: World, number: int = 1) -> tuple[NodeLoop, list[dict]]:
    """A process, and what it complained of."""
    complaints: list[dict] = []
    return NodeLoop(world, number, complaints.append), complaints  # type: ignore[abstract]


async def ticks(world: World, heard: list[tuple[str, int]], name: str, times: int, every_s: float) -> None:
    """Note the time now and then."""
    for _ in range(times):
        await asyncio.sleep(every_s)
        heard.append((name, world.now))


def test_sleeping_takes_virtual_time_alone():
    """A sleep of an hour ends an hour later to the nanosecond, at once for whoever plays."""
    world, heard = World(5 * SECOND), []
    loop, _ = node(world)
    loop.create_task(ticks(world, heard, "a", 1, 3_600.0))
    world.run_until(world.start + 4_000 * SECOND)
    assert heard == [("a", 3_605 * SECOND)]


def test_processes_take_turns_in_one_order():
    """What is due at the same time runs in the order in which it was scheduled, twice the same."""

    def play() -> tuple[list[tuple[str, int]], int]:
        world, heard = World(0), []
        for number, name in enumerate("abc"):
            loop, _ = node(world, number)
            loop.create_task(ticks(world, heard, name, 3, 1.0))
        world.run_until(10 * SECOND)
        return heard, world.trace

    first, second = play(), play()
    assert first == second
    assert [name for name, _ in first[0]] == list("abcabcabc")


def test_a_paused_process_comes_late_and_loses_nothing():
    """What became due while it was stopped runs when it goes on."""
    world, heard = World(0), []
    loop, _ = node(world)
    loop.create_task(ticks(world, heard, "a", 2, 1.0))
    world.at(SECOND // 2, loop.pause)
    world.at(7 * SECOND, loop.resume)
    world.run_until(20 * SECOND)
    assert heard == [("a", 7 * SECOND), ("a", 8 * SECOND)]


def test_a_killed_process_does_nothing_more():
    """Neither its timers nor what it had just scheduled run; its coroutine is closed."""
    world, heard = World(0), []
    loop, complaints = node(world)
    task = loop.create_task(ticks(world, heard, "a", 5, 1.0))
    world.at(2 * SECOND + 1, loop.kill)
    world.run_until(20 * SECOND)
    assert heard == [("a", SECOND), ("a", 2 * SECOND)]
    assert task.get_coro().cr_frame is None
    assert complaints == []


def test_timeouts_and_errors_are_those_of_asyncio():
    """`asyncio.timeout` fires in virtual time; an exception that nobody caught is told."""
    world = World(0)
    loop, complaints = node(world)
    ended: list[int] = []

    async def waits() -> None:
        try:
            async with asyncio.timeout(2.5):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.append(world.now)

    loop.create_task(waits())
    loop.call_soon(lambda: 1 / 0)
    world.run_until(10 * SECOND)
    assert ended == [2_500_000_000]
    assert [type(each["exception"]) for each in complaints] == [ZeroDivisionError]


def test_a_loop_without_end_is_named():
    """A process that schedules itself for now, and again, is an error and no endless wait."""
    world = World(0)
    loop, _ = node(world)

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(StuckError, match="again"):
        world.run_until(SECOND)


@pytest.mark.parametrize("step_s", [0.0, 1e-9])
def test_a_timer_that_sets_itself_again_without_end_is_found(step_s: float, monkeypatch: pytest.MonkeyPatch):
    """At the same instant, or a nanosecond later each time: neither world ends by itself."""
    monkeypatch.setattr("mmbot.simulation.world.LIFE_TURNS_MAX", 30_000)
    world = World(0)
    loop, _ = node(world)

    def again() -> None:
        loop.call_later(step_s, again)

    again()
    with pytest.raises(StuckError, match="again"):
        world.run_until(SECOND)


def standing(world: World, loop: NodeLoop, heard: list[tuple[str, int]]) -> None:
    """A callback that stands in a call for five seconds."""
    heard.append(("in", world.now))
    world.stand_still(loop, world.now + 5 * SECOND)
    heard.append(("out", world.now))


def test_a_process_stands_in_a_call_and_the_world_goes_on():
    """Another ticks meanwhile; its own timers wait, and run late."""
    world, heard = World(0), []
    slow, _ = node(world, 1)
    other, _ = node(world, 2)
    slow.call_later(1.0, standing, world, slow, heard)
    slow.create_task(ticks(world, heard, "own", 1, 2.0))
    other.create_task(ticks(world, heard, "other", 2, 2.0))
    world.run_until(20 * SECOND)
    assert heard == [
        ("in", SECOND),
        ("other", 2 * SECOND),
        ("other", 4 * SECOND),
        ("out", 6 * SECOND),
        ("own", 6 * SECOND),
    ]


def test_who_is_stopped_in_a_call_comes_out_of_it_when_it_goes_on():
    """SIGSTOP within the call, SIGCONT long after it would have been over."""
    world, heard = World(0), []
    slow, _ = node(world)
    slow.call_later(1.0, standing, world, slow, heard)
    world.at(2 * SECOND, slow.pause)
    world.at(9 * SECOND, slow.resume)
    world.run_until(20 * SECOND)
    assert heard == [("in", SECOND), ("out", 9 * SECOND)]


def test_who_is_killed_in_a_call_does_nothing_more_and_complains_of_nothing():
    """What it was doing is unwound; no error handler of its own takes the kill for an error."""
    world, heard = World(0), []
    slow, complaints = node(world)

    async def cautious() -> None:
        try:
            standing(world, slow, heard)
        except Exception:  # noqa: BLE001  as careful code does
            heard.append(("handled", world.now))

    slow.create_task(cautious())
    world.at(2 * SECOND, slow.kill)
    world.run_until(20 * SECOND)
    assert heard == [("in", 0)]
    assert not complaints
    assert not issubclass(KilledError, Exception)
