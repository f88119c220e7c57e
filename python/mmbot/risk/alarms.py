"""Alarms that a person has to acknowledge: one that needs eyes now and gets none for a minute stops the account.

    raised ─▶ open ─┬─ acknowledged ─▶ done
                    └─ P1: 60 s ─▶ FreezeAsked CANCEL_ALL of the account

P1 needs eyes now: orders that are not proven gone, books that do not agree with the venue, something that moved our
position, a leg that stands alone, a guardian that is gone, everything cancelled for more than one symbol. Their number
is small on purpose; a person who gets 97 of them reads none. P2 is every other freeze that no person asked for: trading
stopped as far as it had to, and somebody has to know. Each freeze is one alarm for each control that asked for it, and
one only. It stays open when its cause is over: somebody has to have seen it.

A function of what it is told and of time, ns since epoch. Source: reliability.md row 78 (Knight Capital, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal

from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmbot.risk.freeze import Frozen

__all__ = [
    "LOUDER",
    "P1_CONTROLS",
    "P1_EVENTS",
    "UNSEEN_NS",
    "Alarm",
    "AlarmBoard",
    "AlarmLevel",
    "alarm_of",
    "alarms_of",
]

AlarmLevel = Literal["P1", "P2"]
UNSEEN_NS: Final = 60_000_000_000
"""So long an alarm of level P1 may stay unacknowledged."""

P1_CONTROLS: Final = frozenset(
    {
        "reconcile",
        "position_moved",
        "unknown_execution",
        "foreign_order",
        "risen_order",
        "guardian_lost",
        "guardian_acting",
        "guardian_blind",
        "latch",
        "unhedged",
    }
)
"""Controls whose freeze needs eyes now, however little it stops: what they saw is nobody's decision."""
_SEEN: Final = frozenset({"operator", "alarm"})
"""Who asks for these is a person, or an alarm: both were told already."""
P1_EVENTS: Final = {"cancel_all_alarm": "open", "freeze_not_carried": "why", "stray": "why"}
"""Events of a run that are one, and the word that says the most of each."""
LOUDER: Final = {"cancel_all_alarm": "step"}
"""Of these, the ones that are told again while nobody acknowledges them, and which word says how often (A-035)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm."""

    alarm_id: str
    name: str
    """What kind it is: the control that froze, or the event."""
    said: str
    since: int
    """When it was raised, ns since epoch."""
    by: str = ""
    """Who acknowledged it; "" while nobody has."""
    level: AlarmLevel = "P1"
    freeze_id: str = ""
    """The freeze that it is of; "" for one of none, of which kind only one is open at a time."""

    def __post_init__(self) -> None:
        """Raise ValueError for a level that is none: it could not be told whether it freezes."""
        if self.level not in ("P1", "P2"):
            raise ValueError(f"an alarm of level {self.level!r}; expected P1 or P2")

    @classmethod
    def raised(cls, name: str, said: str, now: int, *, level: AlarmLevel = "P1", freeze_id: str = "") -> Alarm:
        """Return one that is new, with an id of its own."""
        words = f"{now}\n{name}\n{said}" + (f"\n{freeze_id}" if freeze_id else "")
        alarm_id = sha256(words.encode(errors="surrogatepass")).hexdigest()[:8]
        return cls(alarm_id=alarm_id, name=name, said=said, since=now, level=level, freeze_id=freeze_id)

    @property
    def open(self) -> bool:
        """Nobody has acknowledged it."""
        return not self.by


def _level(control: str, level: FreezeLevel, scope_kind: str) -> AlarmLevel:
    """One symbol that is cancelled or worked off is what its control is for; more than that needs eyes now."""
    return "P1" if control in P1_CONTROLS or (level.cancels_all and scope_kind != "symbol") else "P2"


def alarm_of(event: Mapping[str, object], now: int) -> Alarm | None:
    """Return the alarm that an event of a run is; None for one that is none."""
    name = str(event["event"])
    if name == "freeze" and event["change"] in ("raised", "noted") and event["control"] not in _SEEN:
        control, level = str(event["control"]), FreezeLevel[str(event["level"])]
        return Alarm.raised(
            control,
            f"{level.name} of {event['scope']}: {event['why']}",
            now,
            level=_level(control, level, str(event["scope"]).partition(" ")[0]),
            freeze_id=str(event["freeze_id"]),
        )
    if name in P1_EVENTS:
        return Alarm.raised(name, str(event[P1_EVENTS[name]]), now)
    return None


def alarms_of(frozen: Iterable[Frozen], now: int) -> list[Alarm]:
    """Return the alarms of what stands frozen, each control's: of those that were raised, `AlarmBoard` takes none."""
    return [
        Alarm.raised(
            control,
            f"{one.level.name} of {one.scope} since before this run: {one.reason}",
            now,
            level=_level(control, one.level, one.scope.kind),
            freeze_id=one.freeze_id,
        )
        for one in frozen
        for control in (one.control, *one.noted)
        if control not in _SEEN
    ]


class AlarmBoard:
    """The alarms of one account, in the order in which they were raised.

    began: since when anybody counts; an alarm of before has its minute from then on.
    """

    def __init__(self, account: str, began: int = 0) -> None:
        self._account, self._began = account, began
        self._alarms: dict[str, Alarm] = {}
        self._asked: set[str] = set()
        self._looked: dict[str, int] = {}
        """When an alarm was looked at first: a clock that was ahead when it was raised puts nothing off."""

    @property
    def every(self) -> list[Alarm]:
        """Acknowledged or not."""
        return list(self._alarms.values())

    @property
    def open(self) -> list[Alarm]:
        """What nobody has acknowledged."""
        return [alarm for alarm in self._alarms.values() if alarm.open]

    def rise(self, alarm: Alarm) -> bool:
        """Take an alarm; False where its freeze has one by that control, or, of no freeze, one of its kind is open."""
        known = self.every if alarm.freeze_id else self.open
        alike = any((each.name, each.freeze_id) == (alarm.name, alarm.freeze_id) for each in known)
        if alarm.alarm_id in self._alarms or alike:
            return False
        self._alarms[alarm.alarm_id] = alarm
        return True

    def acknowledge(self, alarm_id: str, by: str) -> bool:
        """A person has seen it; False for one that is not open. Raises ValueError without a name."""
        if not by.strip():
            raise ValueError("who acknowledges it? expected a person's name")
        alarm = self._alarms.get(alarm_id)
        if alarm is None or not alarm.open:
            return False
        self._alarms[alarm_id] = replace(alarm, by=by)
        return True

    def due(self, now: int) -> list[FreezeAsked]:
        """Return what to freeze: once for each alarm of level P1 that was open for too long."""
        late = [
            alarm
            for alarm in self.open
            if alarm.level == "P1"
            and now - max(min(alarm.since, self._looked.setdefault(alarm.alarm_id, now)), self._began) >= UNSEEN_NS
            and alarm.alarm_id not in self._asked
        ]
        self._asked.update(alarm.alarm_id for alarm in late)
        scope = Scope("account", self._account)
        return [
            FreezeAsked(
                FreezeLevel.CANCEL_ALL,
                scope,
                "alarm",
                f"nobody acknowledged {alarm.name} ({alarm.alarm_id}) within {UNSEEN_NS // 10**9} s: {alarm.said}",
                now,
            )
            for alarm in late
        ]
