"""The engine's side of the watch: beats out, beats in, a freeze where nobody watches; a function of events and time.

It freezes the account, once for each loss, where for 5 s the guardian did not say that it heard a newer beat of ours;
where the guardian says that it acts because of us; and, a level lower, where the guardian has no answer from the venue
for long. Where it acts because of a freeze alone, that freeze is enough, and lifting it lifts everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mmbot.guardian.lived import LivedTime
from mmbot.guardian.words import PROTOCOL, Beat, FromGuardian, Goodbye, GuardianBeat, Hello, TurnedAway, Welcome
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from mmbot.guardian.words import Head

__all__ = [
    "Answered",
    "Closed",
    "GuardianLink",
    "Lifted",
    "LinkCommand",
    "LinkEvent",
    "LinkTerms",
    "Opened",
    "Pulse",
    "Reading",
    "Send",
]

SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkTerms:
    """How long the engine waits for its guardian, in ns."""

    lost_ns: int = 5 * SECOND
    """Without a sign that it hears us; then the account is frozen."""
    blind_ns: int = 30 * SECOND
    """It has no answer from the venue; then nothing new is ordered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the engine believes at one moment; the fields of `Beat`."""

    head: Head
    positions: dict[str, str]
    open_orders: int
    ready: bool
    linked: bool
    level: FreezeLevel
    lag_ns: int
    unanswered_ns: int
    unheard_ns: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection to the guardian stands."""


@dataclass(frozen=True, slots=True)
class Closed:
    """It is gone."""

    why: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The guardian said something."""

    message: FromGuardian


@dataclass(frozen=True, slots=True)
class Pulse:
    """It is time for a beat: comes from the engine's own loop every 250 ms, so that a loop that hangs is heard to."""

    reading: Reading


@dataclass(frozen=True, slots=True)
class Lifted:
    """People lowered a freeze: who is still missed is asked for again, before anything leaves."""


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message to the connection."""

    message: Hello | Beat | Goodbye


LinkEvent: TypeAlias = Opened | Closed | Answered | Pulse | Lifted
LinkCommand: TypeAlias = Send | FreezeAsked


class GuardianLink:
    """One engine's link to its guardian. `welcome` and `refused` are what the guardian said to our Hello."""

    def __init__(self, hello: Hello, terms: LinkTerms | None = None) -> None:
        self.hello = hello
        self.welcome: Welcome | None = None
        self.refused = ""
        """Why it does not watch us; "" while it does not say so."""
        self._terms = terms or LinkTerms()
        self._time = LivedTime()
        self._seq = 0
        self._heard, self._heard_at = -1, 0
        self._open = False
        self._asked: dict[str, bool] = {}
        self._given_up = 0

    def step(self, event: LinkEvent, now: int) -> list[LinkCommand]:
        """Take one event at the clock's `now` (ns since epoch) and return what is to be done, in order."""
        at = self._time.at(now)
        commands: list[LinkCommand] = []
        match event:
            case Opened():
                self._open = True
                commands.append(Send(self.hello))
            case Closed():
                self._open = False
            case Answered(message):
                commands += self._answered(message, at, now)
            case Pulse(reading):
                if self._open and self.welcome is not None:
                    commands.append(Send(self._beat(reading)))
            case Lifted():
                self._asked.pop("lost", None)
                self._asked.pop("blind", None)
        return commands + self._judged(at, now)

    def _beat(self, reading: Reading) -> Beat:
        self._seq += 1
        return Beat(
            seq=self._seq,
            epoch=self.hello.epoch,
            head=reading.head,
            positions=reading.positions,
            open_orders=reading.open_orders,
            ready=reading.ready,
            linked=reading.linked,
            level=reading.level,
            lag_ns=reading.lag_ns,
            unanswered_ns=reading.unanswered_ns,
            unheard_ns=reading.unheard_ns,
        )

    def _answered(self, message: FromGuardian, at: int, now: int) -> list[LinkCommand]:
        match message:
            case Welcome():
                if message.protocol != PROTOCOL:
                    self.refused = f"the guardian speaks protocol {message.protocol}, and this run {PROTOCOL}"
                    return []
                self.welcome, self.refused, self._heard_at = message, "", at
            case TurnedAway(why=why):
                self.refused = why
            case GuardianBeat():
                if message.heard > self._heard:
                    self._heard, self._heard_at = message.heard, at
                    self._asked.pop("lost", None)
                if message.given_up != self._given_up:
                    self._given_up = message.given_up
                    self._asked.pop("acting", None)
                # Before it heard a beat of ours it acts for the engine before us: our first beat takes over.
                acts = message.acting and message.distrusts and message.heard >= 0
                blind = message.blind_ns >= self._terms.blind_ns
                words = f"the guardian has no answer from the venue for {message.blind_ns / SECOND:.0f} s"
                return [
                    *self._ask("acting", acts, FreezeLevel.CANCEL_ALL, f"the guardian acts: {message.why}", now),
                    *self._ask("blind", blind, FreezeLevel.NO_NEW, words, now),
                ]
        return []

    def _judged(self, at: int, now: int) -> list[LinkCommand]:
        """Freeze where the guardian does not hear us. Before its first welcome a run has not begun."""
        if self.welcome is None:
            return []
        silent = at - self._heard_at
        why = f"no sign of the guardian for {silent / SECOND:.1f} s, at most {self._terms.lost_ns / SECOND:g}"
        return self._ask("lost", silent >= self._terms.lost_ns, FreezeLevel.CANCEL_ALL, why, now)

    def _ask(self, control: str, held: bool, level: FreezeLevel, reason: str, now: int) -> list[LinkCommand]:
        """Ask once for each time that it comes to be so."""
        if not held:
            self._asked.pop(control, None)
            return []
        if control in self._asked:
            return []
        self._asked[control] = True
        return [FreezeAsked(level, Scope("account", self.hello.account), f"guardian_{control}", reason, now)]
