"""Losses: within a minute, an hour, a day of UTC, and from the highest equity ever seen.

    watch.seen(equity, now) -> what to freeze

Equity is in units of 10^-12 of the settlement currency, realised and marked. A loss that reaches its limit counts. The
day begins anew at midnight UTC, the minute and the hour slide; the peak never sinks, and neither does a restart forget
day or peak: `state` goes into the account's folder. A gain is no loss, however large.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from mmbot.risk.controls import asked
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["LossLimits", "LossWatch"]

_SECOND = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60 * _SECOND, 3_600 * _SECOND, 86_400 * _SECOND
_STEP = _SECOND


@dataclass(frozen=True, kw_only=True)
class LossLimits:
    """Each positive, in units of 10^-12."""

    minute: int
    hour: int
    day: int
    drawdown: int


class LossWatch:
    """Remembers one equity a second for an hour, the equity of midnight, and the peak."""

    def __init__(self, limits: LossLimits, scope: Scope) -> None:
        self.limits, self.scope = limits, scope
        self._past: deque[tuple[int, int]] = deque()
        self._day, self._opening = -1, 0
        self.peak: int | None = None
        """Highest equity ever seen."""

    def seen(self, equity: int | None, now: int) -> list[FreezeAsked]:
        """Take the equity at a time, and return every limit that is reached. None: it is not known."""
        if equity is None:
            return [asked("equity", self.scope, "equity is not known; expected realised and marked", now)]
        day = now // _DAY
        if day != self._day:
            self._day, self._opening = day, equity
        self.peak = equity if self.peak is None else max(self.peak, equity)
        while self._past and self._past[0][0] <= now - _HOUR:
            self._past.popleft()
        minute = [value for at, value in self._past if at > now - _MINUTE]
        limits = self.limits
        falls = (
            ("loss_minute", max(minute, default=equity) - equity, limits.minute),
            ("loss_hour", max((value for _, value in self._past), default=equity) - equity, limits.hour),
            ("loss_day", self._opening - equity, limits.day),
            ("drawdown", self.peak - equity, limits.drawdown),
        )
        if not self._past or now - self._past[-1][0] >= _STEP:
            self._past.append((now, equity))
        return [
            asked(control, self.scope, f"lost {fall / 1e12:.2f}; limit {limit / 1e12:.2f}", now)
            for control, fall, limit in falls
            if fall >= limit
        ]

    def forgive(self) -> None:
        """People have looked: day, peak and windows begin anew with the next equity."""
        self._day, self.peak = -1, None
        self._past.clear()

    def state(self) -> dict[str, Any]:
        """What a restart must not forget."""
        return {"day": self._day, "opening": self._opening, "peak": self.peak}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError or TypeError for one that is none."""
        self._day, self._opening = int(state["day"]), int(state["opening"])
        self.peak = None if state["peak"] is None else int(state["peak"])
