"""What the guardian decides: a function of what it hears and of the time. It opens nothing and asks no clock.

    waiting ──an engine says Hello──▶ watching ──Goodbye──▶ over
       ▲                                 │ dead, or for 3 s silent or not to be believed; or frozen by a person
       └───────the latch was lowered──── acting ──▶ over: the engine gone, nothing open, and nobody came for ten minutes
                                         └──a higher epoch, or a person lifted the freeze──▶ watching

While it acts it cancels until the venue says that nothing is open, asks again and again, and cancels what still
appears: what was sent before may arrive late, and a stopped engine may wake up. What others than our runs placed is
cancelled with the rest at first, and left alone once nothing was open: that may be a person at work.

Time is lived through (`LivedTime`): neither a set clock nor a pause of this process raises or delays an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmbot.guardian.claims import SECOND, Claims, ClaimTerms, Resting
from mmbot.guardian.lived import LivedTime
from mmbot.guardian.words import (
    PROTOCOL,
    Beat,
    FromGuardian,
    Goodbye,
    GuardianBeat,
    Head,
    Hello,
    State,
    TurnedAway,
    Welcome,
)
from mmbot.risk.levels import FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Alarm",
    "Blind",
    "CancelEverything",
    "Cancelled",
    "Command",
    "Cut",
    "End",
    "Event",
    "GuardianCore",
    "GuardianTerms",
    "Heard",
    "KeepAnchor",
    "Latched",
    "Look",
    "Looked",
    "Said",
    "Say",
    "StopCancelling",
    "Tick",
]


EPOCH_AHEAD_S = 86_400
"""Epochs are near the seconds since 1970, or below: see `mmbot.gateway.server`, which holds them to the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardianTerms:
    """How long the guardian waits, in ns."""

    beat_ns: int = 250_000_000
    """Between two beats, either way."""
    silent_ns: int = 3 * SECOND
    """An engine that says nothing for so long is dead, hung or cut off."""
    begins_ns: int = 60 * SECOND
    """From an engine's hello to its first beat: it reads its journal meanwhile, and has sent nothing."""
    look_ns: int = 1_500_000_000
    """Between two questions to the venue."""
    anchor_ns: int = SECOND
    """Between two heads of the journal that are kept."""
    alarm_ns: int = 5 * SECOND
    """An alarm is repeated, louder, so often until nothing is open."""
    arrives_ns: int = 5 * SECOND
    """After this long nothing that was sent can still arrive: the venue's window for a request's age, clocks that
    differ, and the time in which it shows what it took in."""
    retry_ns: int = 250_000_000
    """From a cancelling that did not get everything to the next one."""
    again_ns: int = SECOND
    """Zero is two empty answers at least so far apart."""
    linger_ns: int = 600 * SECOND
    """How long it stays after a dead engine whose orders are gone."""
    first_ns: int = 60 * SECOND
    """How long it waits for a first engine."""
    life_ns: int = 86_400 * SECOND
    """How long after an engine's last word it ends whatever the venue says."""
    stays: bool = False
    """It was started by somebody who wants it to stay: it waits for engines, and ends only when told to."""
    claims: ClaimTerms = field(default_factory=ClaimTerms)


# ---- what happens


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went on."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A connection said something."""

    conn: int
    message: Hello | Beat | Goodbye
    wall_s: int | None = None
    """Seconds since 1970 when it did; None: nobody says, and an epoch is not held against it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection is gone; `dead`: and so is the process behind it."""

    conn: int
    dead: bool
    why: str


@dataclass(frozen=True, slots=True)
class Looked:
    """The venue answered `Look`: every open order, and positions by "category symbol" as decimal text."""

    resting: tuple[Resting, ...]
    positions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Blind:
    """The venue did not answer `Look`."""

    why: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """`CancelEverything` has ended. `zero`: the venue said that nothing is left."""

    zero: bool
    seen: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Latched:
    """How far trading on the account is frozen by the latch on disk."""

    level: FreezeLevel
    why: str = ""


Event: TypeAlias = Tick | Heard | Cut | Looked | Blind | Cancelled | Latched

# ---- what is to be done


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message on a connection."""

    conn: int
    message: FromGuardian


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the venue for open orders and positions; `Looked` or `Blind` answers it."""


@dataclass(frozen=True, slots=True)
class CancelEverything:
    """Cancel until the venue says that nothing is open; `Cancelled` answers it. `foreign`: others' orders too."""

    foreign: bool


@dataclass(frozen=True, slots=True)
class StopCancelling:
    """Whoever took over cancels for itself; `Cancelled` answers nothing any more."""


@dataclass(frozen=True, slots=True)
class KeepAnchor:
    """Keep a head of the journal, signed, on disk."""

    head: Head


@dataclass(frozen=True, slots=True)
class Alarm:
    """Call a person. `times`: how often this alarm was raised; the first is 1."""

    cause: str
    words: str
    times: int


@dataclass(frozen=True, slots=True)
class Said:
    """Worth a line in the log."""

    what: str
    words: str


@dataclass(frozen=True, slots=True)
class End:
    """The watch is over. `clean`: nothing of ours is known to be left."""

    clean: bool
    why: str


LOOK_LOST_NS = 10 * SECOND
"""A look that nobody answered by then is asked again."""

Command: TypeAlias = Say | Look | CancelEverything | StopCancelling | KeepAnchor | Alarm | Said | End
Cause: TypeAlias = Literal["engine", "latch"]


@dataclass(slots=True)
class _Watched:
    """The engine that is watched."""

    conn: int
    hello: Hello
    claims: Claims
    heard_at: int
    is_open: bool = True
    """Its connection stands."""
    beat: Beat | None = None


@dataclass(slots=True)
class _Acting:
    """Cancelling everything, since when and why."""

    causes: dict[Cause, str]
    since: int
    epoch: int
    """Of the engine that gave cause: a higher one takes over with its first beat."""
    zero_at: int | None = None
    """Since when zero is verified."""
    cleared: bool = False
    """It was verified at least once."""
    empty_at: int | None = None
    """Since when every look found nothing."""
    confirmed: bool = False
    """The engine said that it is frozen: what lowers its level after that is a person."""
    cancelling: bool = False
    cancel_at: int | None = None
    """When to cancel again."""
    parting: bool = False
    """The engine took its leave: nobody is waited for."""
    alarms: int = 0
    alarm_at: int = 0

    @property
    def why(self) -> str:
        return "; ".join(self.causes.values())


class GuardianCore:
    """One account's guardian. `pid`: its own, for who asks; `kept`: the last heads of journals, the latest last."""

    def __init__(
        self, environment: str, account: str, *, pid: int, terms: GuardianTerms | None = None, kept: Iterable[Head] = ()
    ) -> None:
        self._environment, self._account, self._pid = environment, account, pid
        self._terms = terms or GuardianTerms()
        self._time = LivedTime()
        self._kept = list(kept)
        self._watched: _Watched | None = None
        self._acting: _Acting | None = None
        self._epoch = -1  # the highest that was ever met
        self._latch = Latched(FreezeLevel.NORMAL)
        self._asked: int | None = None
        self._look_at = self._said_at = self._anchor_at = 0
        self._saw_at = self._last_word = 0
        self._over = False
        self._given_up = 0

    @property
    def state(self) -> State:
        """Where it stands."""
        if self._over:
            return "over"
        if self._acting is not None:
            return "acting"
        return "waiting" if self._watched is None else "watching"

    @property
    def zero(self) -> bool:
        """While acting: verified that nothing is open."""
        return self._acting is not None and self._acting.zero_at is not None

    def step(self, event: Event, now: int) -> list[Command]:
        """Take one event at the clock's `now` (ns, any clock that goes on) and return what is to be done, in order."""
        at = self._time.at(now)
        if self._over:
            return []
        commands: list[Command] = []
        match event:
            case Heard(conn, Hello() as hello, wall_s):
                commands += self._met(conn, hello, at, wall_s)
            case Heard(conn, Beat() as beat):
                commands += self._beaten(conn, beat, at)
            case Heard(conn, Goodbye() as goodbye):
                commands += self._left(conn, goodbye, at)
            case Cut():
                commands += self._cut(event, at)
            case Looked():
                commands += self._looked(event, at)
            case Blind(why):
                self._asked = None
                if self._acting is not None:
                    self._acting.empty_at = None
                commands.append(Said("blind", why))
            case Cancelled():
                commands += self._cancelled(event, at)
            case Latched():
                self._latch = event
            case Tick():
                pass
        return commands + self._judged(at) + self._due(at)

    # ---- what the engine says

    def _met(self, conn: int, hello: Hello, at: int, wall_s: int | None) -> list[Command]:
        why = self._objection(conn, hello, wall_s)
        if why:
            return [Say(conn, TurnedAway(why=why)), Said("turned away", why)]
        before = self._watched
        if before is not None and before.hello.epoch == hello.epoch:  # its connection was lost, and is back
            before.conn, before.is_open = conn, True
        else:
            self._watched = _Watched(conn, hello, Claims(self._terms.claims, self._kept), at)
        self._epoch, self._last_word = hello.epoch, at
        welcome = Welcome(protocol=PROTOCOL, pid=self._pid, anchor=self._kept[-1] if self._kept else None)
        return [Say(conn, welcome), Said("watching", f"epoch {hello.epoch}, journal {hello.journal}")]

    def _objection(self, conn: int, hello: Hello, wall_s: int | None) -> str:
        if hello.protocol != PROTOCOL:
            return f"it speaks protocol {hello.protocol}, and the guardian {PROTOCOL}: end the one that is older"
        ours = f"{self._account} ({self._environment})"
        if (hello.environment, hello.account) != (self._environment, self._account):
            return f"it trades on account {hello.account} ({hello.environment}), and the guardian watches {ours}"
        if wall_s is not None and hello.epoch > wall_s + EPOCH_AHEAD_S:
            return f"its epoch {hello.epoch} is none that a lease gives: {wall_s} seconds went by since 1970"
        watched = self._watched
        again = watched is not None and watched.hello == hello and not watched.is_open
        if hello.epoch <= self._epoch and not again:
            return (
                f"its epoch {hello.epoch} is not above {self._epoch}, which was met before: start the run again; if "
                "that was no run's, end the guardian first (guardian.pid), for the next one has met none"
            )
        return ""

    def _beaten(self, conn: int, beat: Beat, at: int) -> list[Command]:
        watched = self._watched
        if watched is None or watched.conn != conn or beat.epoch != watched.hello.epoch:
            return []  # of an engine that somebody took over from; it is told so by its silence
        watched.heard_at = self._last_word = at
        watched.claims.heard(beat, at)
        watched.beat = beat
        acting = self._acting
        if acting is None or "engine" not in acting.causes:
            return []
        if beat.epoch > acting.epoch:
            del acting.causes["engine"]
            return [Said("taken over", f"by epoch {beat.epoch}"), *self._released()]
        if beat.level >= FreezeLevel.CANCEL_ALL:
            acting.confirmed = True
            return []
        if not acting.confirmed or watched.claims.broken:
            return []
        del acting.causes["engine"]
        watched.claims = Claims(self._terms.claims, [*self._kept, beat.head], empty_at=at)
        watched.claims.heard(beat, at)
        return [Said("lifted", "the engine was frozen, and a person lifted it"), *self._released()]

    def _left(self, conn: int, goodbye: Goodbye, at: int) -> list[Command]:
        watched = self._watched
        if watched is None or watched.conn != conn:
            return []
        commands: list[Command] = [*self._anchored(watched), Said("goodbye", goodbye.why)]
        self._watched, self._last_word = None, at
        if not goodbye.left:
            commands += self._act("engine", f"the run ended and may have left orders: {goodbye.why}", at)
        if self._acting is not None:  # its word is not enough then
            self._acting.parting = True
            return commands
        return commands if self._terms.stays else [*commands, *self._ended(True, "the run is over")]

    def _cut(self, cut: Cut, at: int) -> list[Command]:
        watched = self._watched
        if watched is None or watched.conn != cut.conn:
            return []
        if not cut.dead:
            watched.is_open = False  # it has `silent_ns` to come back
            return [Said("cut", cut.why)]
        commands = self._anchored(watched)
        self._watched = None
        return commands + self._act("engine", f"the engine is dead: {cut.why}", at)

    # ---- what the venue says

    def _looked(self, looked: Looked, at: int) -> list[Command]:
        asked = at if self._asked is None else self._asked
        self._asked, self._saw_at = None, at
        if self._watched is not None:
            self._watched.claims.looked(looked.resting, looked.positions, asked, at)
        acting = self._acting
        if acting is None:
            return []
        if any(order.ours or not acting.cleared for order in looked.resting):
            acting.empty_at = acting.zero_at = None
            return [] if acting.cancelling else self._cancel(acting)
        if acting.empty_at is None:
            acting.empty_at = asked
        sure = at - acting.empty_at >= self._terms.again_ns and asked - acting.since >= self._terms.arrives_ns
        if acting.zero_at is None and sure:
            acting.zero_at, acting.cleared = at, True
            return [Said("zero", f"nothing is open, asked twice, {(at - acting.since) / SECOND:.1f} s after the alarm")]
        return []

    def _cancelled(self, done: Cancelled, at: int) -> list[Command]:
        acting = self._acting
        if acting is None:
            return []
        acting.cancelling = False
        if not done.zero:
            acting.cancel_at = at + self._terms.retry_ns
        return [Said("cancelled", f"{done.seen} seen, {'none' if done.zero else 'some may be'} left; {done.why}")]

    # ---- acting

    def _judged(self, at: int) -> list[Command]:
        """See whether there is a reason to act, or one less."""
        commands = [] if self._watched is None else self._judge_engine(self._watched, at)
        return commands + self._heeded(at)

    def _judge_engine(self, watched: _Watched, at: int) -> list[Command]:
        """Give an engine up; once more where it had said that it is frozen, for then it waits for a lift alone."""
        acting, standing = self._acting, self._is_engine_a_cause()
        if acting is not None and standing and not acting.confirmed:
            return []
        silent = at - watched.heard_at
        if silent >= (self._terms.begins_ns if watched.beat is None else self._terms.silent_ns):
            if acting is not None:
                acting.confirmed = False
            return self._act("engine", f"the engine said nothing for {silent / SECOND:.1f} s", at)
        lie = "" if standing else watched.claims.lie(at)
        return self._act("engine", f"the engine cannot be believed: {lie}", at) if lie else []

    def _heeded(self, at: int) -> list[Command]:
        """Act on the latch, and on a freeze that the engine tells of itself: it may not get its cancels out."""
        beat = self._watched.beat if self._watched is not None else None
        said = FreezeLevel(beat.level) if beat is not None else FreezeLevel.NORMAL
        level = max(self._latch.level, said)
        well = self._watched is not None and not self._is_engine_a_cause()
        # A healthy engine that flattens has orders out on purpose.
        if level.cancels_all and not (level is FreezeLevel.FLATTEN and well):
            if self._acting is None or "latch" not in self._acting.causes:
                return self._act("latch", f"frozen at {level.name}: {self._latch.why or 'as the engine says'}", at)
            return []
        if self._acting is None or self._acting.causes.pop("latch", None) is None:
            return []
        return [Said("lifted", f"the freeze is at {level.name}"), *self._released()]

    def _is_engine_a_cause(self) -> bool:
        return self._acting is not None and "engine" in self._acting.causes

    def _act(self, cause: Cause, why: str, at: int) -> list[Command]:
        before = self._acting
        acting = self._acting = before or _Acting({}, at, self._epoch, alarm_at=at)
        if cause == "engine":
            acting.epoch = self._epoch
            self._given_up += 1
        acting.causes[cause] = why
        commands: list[Command] = [Alarm(cause, why, 1) if before is None or cause == "engine" else Said(cause, why)]
        if not acting.cancelling:
            commands += self._cancel(acting)
        self._said_at = at - self._terms.beat_ns  # the engine hears of it at once
        return commands

    def _cancel(self, acting: _Acting) -> list[Command]:
        acting.cancelling, acting.cancel_at = True, None
        return [CancelEverything(foreign=not acting.cleared)]

    def _released(self) -> list[Command]:
        """Stop acting, if nothing is left to act for."""
        acting = self._acting
        if acting is None or acting.causes:
            return []
        self._acting = None
        return [StopCancelling()] if acting.cancelling else []

    # ---- by the clock

    def _due(self, at: int) -> list[Command]:
        if self._over:
            return []
        commands: list[Command] = []
        terms, watched, acting = self._terms, self._watched, self._acting
        if acting is not None:
            commands += self._insist(acting, at)
        answered = self._asked is None or at - self._asked >= LOOK_LOST_NS
        if answered and at - self._look_at >= self._look_every():
            self._asked = self._look_at = at
            commands.append(Look())
        if watched is not None and at - self._anchor_at >= terms.anchor_ns:
            self._anchor_at = at
            commands += self._anchored(watched)
        if watched is not None and watched.is_open and at - self._said_at >= terms.beat_ns:
            self._said_at = at
            commands.append(Say(watched.conn, self._beat(watched, at)))
        return commands + self._outlived(at)

    def _insist(self, acting: _Acting, at: int) -> list[Command]:
        """Cancel again what a cancelling left, and call louder while something may be open."""
        commands: list[Command] = []
        if acting.empty_at is not None:
            acting.alarms, acting.alarm_at = 0, at
        elif at - acting.alarm_at >= self._terms.alarm_ns:
            acting.alarms, acting.alarm_at = acting.alarms + 1, at
            commands.append(Alarm("not zero", f"orders may be open; {acting.why}", acting.alarms + 1))
        if acting.cancel_at is not None and at >= acting.cancel_at and not acting.cancelling:
            commands += self._cancel(acting)
        return commands

    def _look_every(self) -> int:
        """While it acts and is not done it asks more often."""
        hurried = self._acting is not None and self._acting.zero_at is None
        return min(self._terms.look_ns, SECOND // 2) if hurried else self._terms.look_ns

    def _beat(self, watched: _Watched, at: int) -> GuardianBeat:
        acting = self._acting
        return GuardianBeat(
            heard=-1 if watched.beat is None else watched.beat.seq,
            acting=acting is not None,
            why="" if acting is None else acting.why,
            distrusts=self._is_engine_a_cause(),
            zero=self.zero,
            blind_ns=at - self._saw_at,
            given_up=self._given_up,
        )

    def _anchored(self, watched: _Watched) -> list[Command]:
        """Keep the journal's head, if it moved and can be believed."""
        head = None if watched.beat is None or watched.claims.broken else watched.beat.head
        if head is None or (self._kept and self._kept[-1] == head):
            return []
        self._kept = [*(one for one in self._kept if one.journal != head.journal), head]
        return [KeepAnchor(head)]

    def _outlived(self, at: int) -> list[Command]:
        """End where nobody needs it any more: nobody came, or the engine is gone and nothing is open."""
        terms, acting = self._terms, self._acting
        if terms.stays or (self._watched is not None and self._watched.is_open):
            return []
        if at - self._last_word >= terms.life_ns:
            words = "nothing is open" if self.zero else "ORDERS MAY BE OPEN: look at the venue"
            return [
                Alarm("end of life", f"no engine for {terms.life_ns // SECOND} s; {words}", 1),
                *self._ended(self.zero or acting is None, "no engine came for as long as it may live"),
            ]
        if acting is not None:
            if acting.zero_at is not None and (acting.parting or at - acting.zero_at >= terms.linger_ns):
                return self._ended(True, "the engine is gone, nothing is open, and nobody took over")
            return []
        if self._watched is None and at - self._last_word >= (terms.first_ns if self._epoch < 0 else terms.linger_ns):
            return self._ended(True, "no engine came")
        return []

    def _ended(self, clean: bool, why: str) -> list[Command]:
        self._over = True
        return [End(clean, why)]
