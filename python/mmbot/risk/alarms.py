"""Alarms that a person has to acknowledge: one that nobody looks at for a minute stops the account.

    raised ─▶ open ─┬─ acknowledged ─▶ done
                    └─ 60 s ─▶ FreezeAsked CANCEL_ALL of the account

Only what needs eyes now is one of these (level P1): orders that are not proven gone, books that do not agree with the
venue, something that moved our position, a leg that stands alone, a guardian that is gone. Their number is small on
purpose; a person who gets 97 of them reads none. It stays open when its cause is over: somebody has to have seen it.

A function of what it is told and of time, ns since epoch. Source: reliability.md row 78 (Knight Capital, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["P1_CONTROLS", "P1_EVENTS", "UNSEEN_NS", "Alarm", "AlarmBoard", "alarm_of"]

UNSEEN_NS: Final = 60_000_000_000
"""So long an alarm may stay unacknowledged."""

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
"""Controls whose freeze is an alarm as well: what they saw is nobody's decision."""
P1_EVENTS: Final = {"cancel_all_alarm": "open", "stray": "why"}
"""Events of a run that are one, and the word that says the most of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm."""

    alarm_id: str
    name: str
    """What kind it is; of one kind only one is open at a time."""
    said: str
    since: int
    """When it was raised, ns since epoch."""
    by: str = ""
    """Who acknowledged it; "" while nobody has."""

    @classmethod
    def raised(cls, name: str, said: str, now: int) -> Alarm:
        """Return one that is new, with an id of its own."""
        return cls(alarm_id=sha256(f"{now}\n{name}\n{said}".encode()).hexdigest()[:8], name=name, said=said, since=now)

    @property
    def open(self) -> bool:
        """Nobody has acknowledged it."""
        return not self.by


def alarm_of(event: Mapping[str, object], now: int) -> Alarm | None:
    """Return the alarm that an event of a run is; None for one that is none."""
    name = str(event["event"])
    if name == "freeze" and event["change"] in ("raised", "noted") and event["control"] in P1_CONTROLS:
        return Alarm.raised(str(event["control"]), str(event["why"]), now)
    if name in P1_EVENTS:
        return Alarm.raised(name, str(event[P1_EVENTS[name]]), now)
    return None


class AlarmBoard:
    """The alarms of one account, in the order in which they were raised.

    began: since when anybody counts; an alarm of before has its minute from then on.
    """

    def __init__(self, account: str, began: int = 0) -> None:
        self._account, self._began = account, began
        self._alarms: dict[str, Alarm] = {}
        self._asked: set[str] = set()

    @property
    def every(self) -> list[Alarm]:
        """Acknowledged or not."""
        return list(self._alarms.values())

    @property
    def open(self) -> list[Alarm]:
        """What nobody has acknowledged."""
        return [alarm for alarm in self._alarms.values() if alarm.open]

    def rise(self, alarm: Alarm) -> bool:
        """Take an alarm; False where one of its kind is open, or it is known."""
        if alarm.alarm_id in self._alarms or any(each.name == alarm.name for each in self.open):
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
        """Return what to freeze: once for each alarm that was open for too long."""
        late = [
            alarm
            for alarm in self.open
            if now - max(alarm.since, self._began) >= UNSEEN_NS and alarm.alarm_id not in self._asked
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
