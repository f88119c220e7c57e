"""The engine's side: it freezes without a guardian, and once."""

from msgspec import structs

from mmbot.guardian.link import Answered, Closed, GuardianLink, Lifted, Opened, Pulse, Reading, Send
from mmbot.guardian.words import PROTOCOL, Beat, GuardianBeat, Head, Hello, TurnedAway, Welcome
from mmbot.risk.levels import FreezeAsked, FreezeLevel

NS = 1_000_000_000
HELLO = Hello(protocol=PROTOCOL, environment="simulator", account="1", epoch=1, journal="j")
READING = Reading(
    head=Head(journal="j", seq=1, chain="c"),
    positions={},
    open_orders=0,
    ready=True,
    linked=True,
    level=FreezeLevel.NORMAL,
    lag_ns=0,
    unanswered_ns=0,
    unheard_ns=0,
)


def beat(heard: int, *, acting: bool = False, distrusts: bool = True, blind: int = 0) -> Answered:
    """What the guardian says."""
    said = GuardianBeat(heard=heard, acting=acting, why="because", distrusts=distrusts, zero=False, blind_ns=blind * NS)
    return Answered(said)


class Side:
    """One link on a clock of the test, with a guardian that answers while it is well."""

    def __init__(self) -> None:
        self.link, self.now, self.asked = GuardianLink(HELLO), 50 * NS, []
        self.well = True
        self.tell(Opened())
        self.tell(Answered(Welcome(protocol=PROTOCOL, pid=1, anchor=None)))

    def tell(self, event: object) -> None:
        """One step."""
        for command in self.link.step(event, self.now):
            if isinstance(command, FreezeAsked):
                self.asked.append(command)
            elif isinstance(command, Send) and isinstance(command.message, Beat) and self.well:
                self.tell(beat(command.message.seq))

    def go(self, seconds: float) -> None:
        """Pulses every 250 ms."""
        for _ in range(round(seconds * 4)):
            self.now += NS // 4
            self.tell(Pulse(READING))


def test_five_seconds_without_a_sign_freeze_once():
    """Answers stop: nothing at 4.75 s, one CANCEL_ALL of the account from 5 s on."""
    side = Side()
    side.go(3)
    side.well = False
    side.go(4.75)
    assert side.asked == []
    side.go(10)
    [asked] = side.asked
    assert (asked.level, asked.control, str(asked.scope)) == (FreezeLevel.CANCEL_ALL, "guardian_lost", "account 1")


def test_a_deaf_guardian_is_none():
    """It speaks and hears nothing: as good as gone."""
    side = Side()
    side.go(1)
    side.well = False
    for _ in range(24):
        side.go(0.25)
        side.tell(beat(2))
    assert [asked.control for asked in side.asked] == ["guardian_lost"]


def test_a_clock_that_jumps_freezes_nobody():
    """An hour forwards, an hour back: the guardian still answers."""
    side = Side()
    for jump in (3_600, -3_600, 86_400):
        side.now += jump * NS
        side.go(2)
    assert side.asked == []


def test_a_guardian_that_acts_or_is_blind_freezes():
    """What it says of itself and of the venue counts, each once."""
    side = Side()
    side.tell(beat(1, blind=29))
    side.tell(beat(1, blind=31))
    side.tell(beat(1, acting=True, blind=32))
    assert [(asked.control, asked.level) for asked in side.asked] == [
        ("guardian_blind", FreezeLevel.NO_NEW),
        ("guardian_acting", FreezeLevel.CANCEL_ALL),
    ]


def test_a_link_that_was_cut_says_hello_again():
    """Closed and opened: the same Hello, and beats only while it stands."""
    side = Side()
    side.tell(Closed("cut"))
    assert side.link.step(Pulse(READING), side.now) == []
    assert side.link.step(Opened(), side.now) == [Send(HELLO)]
    side.tell(Answered(TurnedAway(why="no")))
    assert side.link.refused == "no"


def test_a_guardian_that_acts_for_the_engine_before_freezes_nobody():
    """Until it heard a beat of ours it acts for whom we take over from; that it still acts after that counts."""
    side = Side()
    side.tell(beat(-1, acting=True))
    assert side.asked == []
    side.tell(beat(1, acting=True))
    assert [asked.control for asked in side.asked] == ["guardian_acting"]


def test_who_is_still_missed_when_people_lift_is_asked_for_again_at_once():
    """The freeze for a lost guardian was lifted, and it is still lost: in the same step it is frozen again."""
    side = Side()
    side.go(3)
    side.well = False
    side.go(6)
    side.tell(Lifted())
    assert [asked.control for asked in side.asked] == ["guardian_lost", "guardian_lost"]
    side.well = True
    side.go(1)
    side.tell(Lifted())
    assert len(side.asked) == 2


def test_a_guardian_that_acts_on_a_freeze_asks_for_no_second_one():
    """It cancels beside the engine, which is frozen already; once it distrusts the engine too, that is said."""
    side = Side()
    side.tell(beat(1, acting=True, distrusts=False))
    assert side.asked == []
    side.tell(beat(1, acting=True))
    assert [asked.control for asked in side.asked] == ["guardian_acting"]


def test_a_guardian_that_gives_the_engine_up_once_more_is_heard_once_more():
    """A freeze was lifted while it still acted; the engine slept meanwhile, and is given up for that."""
    side = Side()
    for given_up in (1, 1, 2, 2):
        side.tell(Answered(structs.replace(beat(1, acting=True).message, given_up=given_up)))
    assert [asked.control for asked in side.asked] == ["guardian_acting", "guardian_acting"]
