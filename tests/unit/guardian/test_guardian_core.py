"""The guardian's decisions, whatever comes in whatever order."""

import pytest
from guarded_world import FOREIGN, NS, OURS, STEP, World, watching
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot.guardian.core import (
    EPOCH_AHEAD_S,
    Blind,
    CancelEverything,
    Cut,
    GuardianCore,
    Heard,
    KeepAnchor,
    Latched,
    Tick,
)
from mmbot.guardian.words import PROTOCOL, GuardianBeat, Head, Hello, TurnedAway, Welcome
from mmbot.risk.levels import FreezeLevel

DISTURBANCES = st.lists(
    st.tuples(
        st.sampled_from(["run", "quiet", "jump", "back", "cut", "blind", "again"]),
        st.floats(0.05, 2.5),
    ),
    max_size=25,
)


def disturb(world: World, what: str, seconds: float) -> None:
    """One disturbance that a healthy engine survives."""
    match what:
        case "jump":
            world.now += round(seconds * 1_000) * NS
        case "back":
            world.now -= round(seconds) * NS
        case "cut":
            world.tell(Cut(1, False, "cut"))
            world.hello(7)
        case "blind":
            world.tell(Blind("no answer"))
        case "again":
            world.tell(Heard(1, world.beat()))
        case _:
            world.go(seconds)


@settings(max_examples=150, deadline=None)
@given(DISTURBANCES)
def test_a_healthy_engine_is_never_cancelled(disturbances: list[tuple[str, float]]):
    """Beats that come on, through clock jumps, lost connections and a venue that does not answer: no alarm."""
    world = watching()
    world.go(1)
    for what, seconds in disturbances:
        if what == "quiet":
            continue
        disturb(world, what, seconds)
        world.now -= world.now % STEP
        world.go(0.5)
    assert world.alarms == []
    assert world.all(CancelEverything) == []


@settings(max_examples=150, deadline=None)
@given(DISTURBANCES)
def test_three_silent_seconds_always_cancel(disturbances: list[tuple[str, float]]):
    """Whatever happened before, an engine that says nothing for three seconds has its orders cancelled."""
    world = watching()
    for what, seconds in disturbances:
        world.beating = what != "quiet"
        disturb(world, what, seconds)
        world.now -= world.now % STEP
    world.beating = False
    world.resting = (OURS,)
    world.go(3.2)
    assert world.core.state == "acting"
    assert world.all(CancelEverything)
    assert world.resting == ()


def test_what_appears_later_is_cancelled_and_others_are_left_alone():
    """After zero, orders of ours that arrive late leave; what a person places then stays."""
    world = watching()
    world.beating = False
    world.resting = (OURS, FOREIGN)
    world.go(12)
    assert world.core.zero
    world.resting = (OURS, FOREIGN)
    world.go(2)
    assert world.resting == (FOREIGN,)
    world.go(3)
    assert world.core.zero


def test_an_alarm_grows_louder_until_nothing_is_open():
    """Orders that will not leave: cancelled again and again, and a person is called every five seconds."""
    world = watching()
    world.beating, world.stubborn, world.resting = False, True, (OURS,)
    world.go(24)
    assert [alarm.times for alarm in world.alarms] == [1, 2, 3, 4, 5]
    assert len(world.all(CancelEverything)) > 20
    assert not world.core.zero


def test_who_does_not_fit_is_turned_away():
    """Another account, an older protocol, an epoch that was there before: said why, and not watched."""
    core = GuardianCore("simulator", "1", pid=9)
    fits = {"protocol": PROTOCOL, "environment": "simulator", "account": "1", "epoch": 3, "journal": "j"}
    for change in ({"account": "2"}, {"environment": "demo"}, {"protocol": 0}):
        [said] = [one.message for one in core.step(Heard(1, Hello(**{**fits, **change})), NS)[:1]]
        assert isinstance(said, TurnedAway)
    assert core.state == "waiting"
    assert isinstance(core.step(Heard(1, Hello(**fits)), NS)[0].message, Welcome)
    assert isinstance(core.step(Heard(2, Hello(**fits)), NS)[0].message, TurnedAway)


@pytest.mark.parametrize(("ahead_s", "fits"), [(EPOCH_AHEAD_S, True), (EPOCH_AHEAD_S + 1, False), (1 << 62, False)])
def test_an_epoch_that_no_lease_gives_locks_nobody_out(ahead_s: int, fits: bool):
    """A day above the wall clock is taken, a second more is not, and the next run is met as if it had not been said."""
    core, wall_s = GuardianCore("simulator", "1", pid=9), 1_800_000_000
    words = {"protocol": PROTOCOL, "environment": "simulator", "account": "1", "journal": "j"}
    said = core.step(Heard(1, Hello(**words, epoch=wall_s + ahead_s), wall_s), NS)[0].message
    assert isinstance(said, Welcome) is fits
    if not fits:
        assert "none that a lease gives" in said.why
    said = core.step(Heard(2, Hello(**words, epoch=wall_s), wall_s), NS)[0].message
    assert isinstance(said, TurnedAway if fits else Welcome)
    assert not fits or "end the guardian first" in said.why


def test_heads_are_kept_each_second_and_told_to_the_next_run():
    """One anchor a second while the journal moves, none while it stands, and a welcome has the last."""
    world = watching()
    world.go(5)
    assert 4 <= len(world.all(KeepAnchor)) <= 6
    world.moves = False
    world.go(1.2)
    before = len(world.all(KeepAnchor))
    world.go(5)
    assert len(world.all(KeepAnchor)) == before
    world.hello(8)
    assert world.said[-1].message.anchor == world.all(KeepAnchor)[-1].head or isinstance(
        world.said[-1].message, GuardianBeat
    )


def test_a_journal_that_is_shorter_than_its_anchor_is_not_believed():
    """An anchor from before a restart: the same journal comes back shorter, and everything is cancelled."""
    world = World(core=GuardianCore("simulator", "1", pid=1, kept=[Head(journal="j7", seq=99, chain="z")]))
    world.hello(7)
    world.go(0.6)
    assert world.core.state == "acting"
    assert "went back" in world.alarms[0].words


def test_a_hello_alone_takes_nothing_over():
    """A new run that never beats: what the old one left is still cancelled; its first beat takes over."""
    world = watching()
    world.beating = False
    world.go(4)
    world.hello(8)
    world.go(10)
    assert world.core.state == "acting"
    world.epoch, world.beating = 8, True
    world.go(0.5)
    assert world.core.state == "watching"


def test_a_run_that_reads_its_journal_has_a_minute():
    """From hello to the first beat nothing was sent; after a minute it is no run."""
    world = World()
    world.hello(7)
    world.beating = False
    world.go(58)
    assert world.core.state == "watching"
    world.go(3)
    assert world.core.state == "acting"


def test_nobody_comes_and_it_ends():
    """A guardian that no engine ever met ends after a minute."""
    core, now = GuardianCore("simulator", "1", pid=1), 0
    for _ in range(1_300):
        now += STEP
        core.step(Tick(), now)
    assert core.state == "over"


def test_a_guardian_that_heeds_a_freeze_says_that_the_engine_is_no_cause():
    """The latch alone: it acts, and trusts. The engine silent on top of it: it does not."""
    world = watching()
    world.tell(Latched(FreezeLevel.CANCEL_ALL, "operator: out"))
    world.go(1)
    assert world.core.state == "acting"
    beats = [one.message for one in world.said if isinstance(one.message, GuardianBeat)]
    assert (beats[-1].acting, beats[-1].distrusts) == (True, False)
    world.beating = False
    world.go(4)
    beats = [one.message for one in world.said if isinstance(one.message, GuardianBeat)]
    assert (beats[-1].acting, beats[-1].distrusts) == (True, True)


def test_who_hangs_at_the_moment_of_a_lift_is_given_up_anew():
    """The lift was for the silence before: it is no answer to this one, and the engine hears of it when it wakes."""
    world = watching()
    world.beating = False
    world.go(4)
    world.beating, world.level = True, FreezeLevel.CANCEL_ALL
    world.go(9)
    world.beating, world.level = False, FreezeLevel.NORMAL  # lifted, and stopped before it could say so
    world.go(20)
    world.beating = True
    world.go(2)
    beats = [one.message for one in world.said if isinstance(one.message, GuardianBeat)]
    assert (beats[-1].acting, beats[-1].distrusts, beats[-1].given_up) == (True, True, 2)
    world.level = FreezeLevel.CANCEL_ALL
    world.go(2)
    world.level = FreezeLevel.NORMAL  # people lifted once more
    world.go(2)
    assert world.core.state == "watching"


def test_who_lies_from_the_moment_of_a_lift_is_not_believed():
    """All was gone when people lifted, and the journal stands still: what rests since then was never written down."""
    world = watching()
    world.beating = False
    world.go(4)
    world.beating, world.level, world.moves = True, FreezeLevel.CANCEL_ALL, False
    world.go(9)
    world.level, world.resting, world.knows = FreezeLevel.NORMAL, (OURS,), 1
    cancelled = len(world.all(CancelEverything))
    world.go(8)
    assert len(world.all(CancelEverything)) > cancelled
    assert world.resting == ()
