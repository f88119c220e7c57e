"""What happens again and again: refusals, silence, executions, fills on one side.

A streak ends with its opposite: an order that is taken ends the refusals (counted over restarts), an answer the
silence, a fill on the other side the one-sided fills. Executions do not end by themselves: once there were too many
within a minute the throttle is latched, over restarts too, until a person `enable`s the strategy again (RTS 6 Art.
15(3)).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from mmbot.risk.controls import asked
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["StreakLimits", "StreakWatch"]

_SECOND = 1_000_000_000
_UNKNOWN_WINDOW = 10 * _SECOND
_EXECUTION_WINDOW = 60 * _SECOND


@dataclass(frozen=True, kw_only=True)
class StreakLimits:
    """Each at least one; the one that reaches it freezes."""

    rejects: int
    unknowns: int
    executions: int
    one_sided: int


class StreakWatch:
    """Counts; see the module."""

    def __init__(self, limits: StreakLimits, scope: Scope) -> None:
        self.limits, self.scope = limits, scope
        self._rejects = 0
        self._unknowns: deque[int] = deque(maxlen=limits.unknowns)
        self._executions: deque[int] = deque(maxlen=limits.executions)
        self._sides: dict[str, tuple[str, int]] = {}
        self.latched = False
        """Too many executions, and no person has looked yet."""

    def rejected(self, now: int) -> list[FreezeAsked]:
        """The venue refused an order, or a change of one."""
        self._rejects += 1
        return self._if(self._rejects >= self.limits.rejects, "rejects_in_a_row", f"{self._rejects} refused", now)

    def taken(self) -> None:
        """The venue took an order."""
        self._rejects = 0
        self.heard()

    def heard(self) -> None:
        """The venue answers."""
        self._unknowns.clear()

    def unanswered(self, now: int) -> list[FreezeAsked]:
        """A request had no answer."""
        self._unknowns.append(now)
        full = len(self._unknowns) == self.limits.unknowns and now - self._unknowns[0] <= _UNKNOWN_WINDOW
        return self._if(full, "unknowns_in_a_row", f"{len(self._unknowns)} unanswered within 10 s", now)

    def filled(self, symbol: str, side: Literal["buy", "sell"], now: int) -> list[FreezeAsked]:
        """One of our orders was executed."""
        self._executions.append(now)
        full = len(self._executions) == self.limits.executions and now - self._executions[0] < _EXECUTION_WINDOW
        self.latched = self.latched or full
        last, count = self._sides.get(symbol, ("", 0))
        count = count + 1 if last == side else 1
        self._sides[symbol] = side, count
        found = self.check(now)
        if count >= self.limits.one_sided:
            reason = f"{count} fills in a row were {side}s; limit {self.limits.one_sided}"
            found.append(asked("one_sided", Scope("symbol", symbol), reason, now))
        return found

    def check(self, now: int) -> list[FreezeAsked]:
        """Say again what is latched: at a start, say."""
        return self._if(self.latched, "executions", f"{self.limits.executions} executions within a minute", now)

    def enable(self) -> None:
        """A person has looked."""
        self.latched = False
        self._executions.clear()
        self.taken()

    def forget(self, symbol: str) -> None:
        """A person has looked at an instrument's one-sided fills."""
        self._sides.pop(symbol, None)

    def _if(self, holds: bool, control: str, reason: str, now: int) -> list[FreezeAsked]:
        return [asked(control, self.scope, reason, now)] if holds else []

    def state(self) -> dict[str, Any]:
        """What a restart must not forget."""
        return {"latched": self.latched, "rejects": self._rejects}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError, TypeError or ValueError for one that is none."""
        self.latched, self._rejects = bool(state["latched"]), int(state.get("rejects", 0))  # older ones do not say
