"""Losses: within a minute, an hour, a day of UTC, and from the highest equity ever seen.

    watch.seen(equity, now) -> what to freeze

Equity is in units of 10^-12 of the settlement currency, realised and marked. A loss that reaches its limit counts; a
gain is no loss, however large. The day begins anew at midnight UTC, minute and hour slide, the peak never sinks.

Time only goes forward: a clock that was set back ends no day and empties no window. Nor does a restart: `state` goes
into the account's folder. What fell is armed anew by people alone (`rearm`), from the equity that is seen next.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from mmbot.risk.controls import asked
from mmbot.risk.levels import FreezeAsked, Scope

__all__ = ["LossLimits", "LossWatch"]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_WINDOWS = {"loss_minute": 60 * _SECOND, "loss_hour": 3_600 * _SECOND}
_STEP = _SECOND


@dataclass(frozen=True, kw_only=True)
class LossLimits:
    """Each positive, in units of 10^-12."""

    minute: int
    hour: int
    day: int
    drawdown: int


class LossWatch:
    """Remembers the highs of the last hour, the equity with which the day began, and the peak."""

    def __init__(self, limits: LossLimits, scope: Scope) -> None:
        self.limits, self.scope = limits, scope
        self._at = 0
        """The latest time that was seen."""
        self._highs: deque[tuple[int, int]] = deque()
        """(time, equity) of an hour, one a second at most, each lower than the one before: what is before a higher one
        is the highest of no window any more.
        """
        self._since = dict.fromkeys(_WINDOWS, 0)
        """What was seen up to then counts no more in that window: people armed it anew."""
        self._day, self._opening = -1, 0
        self.peak: int | None = None
        """Highest equity ever seen."""
        self._fell: dict[str, None] = {}
        """Controls that asked since people lifted them last, in that order."""

    def seen(self, equity: int | None, now: int) -> list[FreezeAsked]:
        """Take the equity at a time, and return every limit that is reached. None: it is not known."""
        if equity is None:
            return [asked("equity", self.scope, "equity is not known; expected realised and marked", now)]
        self._at = now = max(now, self._at)
        if now // _DAY > self._day:
            self._day, self._opening = now // _DAY, equity
        self.peak = equity if self.peak is None else max(self.peak, equity)
        self._remember(equity, now)
        limits = self.limits
        falls = (
            ("loss_minute", self._high("loss_minute", equity), limits.minute),
            ("loss_hour", self._high("loss_hour", equity), limits.hour),
            ("loss_day", self._opening, limits.day),
            ("drawdown", self.peak, limits.drawdown),
        )
        found = [
            asked(control, self.scope, f"lost {(high - equity) / 1e12:.2f}; limit {limit / 1e12:.2f}", now)
            for control, high, limit in falls
            if high - equity >= limit
        ]
        self._fell.update(dict.fromkeys(one.control for one in found))
        return found

    def _remember(self, equity: int, now: int) -> None:
        while self._highs and self._highs[0][0] <= now - _WINDOWS["loss_hour"]:
            self._highs.popleft()
        while self._highs and self._highs[-1][1] <= equity:
            self._highs.pop()
        if not self._highs or now - self._highs[-1][0] >= _STEP:
            self._highs.append((now, equity))

    def _high(self, window: str, equity: int) -> int:
        """The highest equity of a window."""
        since = max(self._at - _WINDOWS[window], self._since[window])
        return next((high for at, high in self._highs if at > since), equity)

    def rearm(self) -> list[str]:
        """People lifted what fell: that, and nothing else, is measured from the equity that is seen next.

        Returns the controls that were armed anew.
        """
        rearmed, self._fell = list(self._fell), {}
        self._since.update((control, self._at) for control in rearmed if control in _WINDOWS)
        if "loss_day" in rearmed:
            self._day = -1
        if "drawdown" in rearmed:
            self.peak = None
        return rearmed

    def state(self) -> dict[str, Any]:
        """What a restart must not forget."""
        return {
            "at": self._at,
            "highs": list(self._highs),
            "since": self._since,
            "day": self._day,
            "opening": self._opening,
            "peak": self.peak,
            "fell": list(self._fell),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises KeyError, TypeError or ValueError for one that is none."""
        self._at, self._day, self._opening = int(state["at"]), int(state["day"]), int(state["opening"])
        self._highs = deque((int(at), int(high)) for at, high in state["highs"])
        self._since = {window: int(state["since"][window]) for window in _WINDOWS}
        self.peak = None if state["peak"] is None else int(state["peak"])
        self._fell = dict.fromkeys(str(control) for control in state["fell"])

    @staticmethod
    def of_before(state: dict[str, Any]) -> dict[str, Any]:
        """Return a state of version 1 as one of now: it had no windows, and a lift forgave everything.

        Raises KeyError or TypeError for one that is none.
        """
        unknown = {"at": 0, "highs": [], "since": dict.fromkeys(_WINDOWS, 0), "fell": ["loss_day", "drawdown"]}
        return {**unknown, **{name: state[name] for name in ("day", "opening", "peak")}}
