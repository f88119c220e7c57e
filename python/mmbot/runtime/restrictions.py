"""Tells the core what the freeze board says, at a start and whenever it changes: each word is an input, in the journal.

    board ─▶ core.restrict(scope, level)      raised and lowered
          └▶ core.share(ppm)                  launch limits for a while after people lowered a freeze

The gate asks the board itself; the core is the second lock, and its journal shows which levels held for which decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mmbot.risk.levels import FIRM, FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

    from mmbot import _core
    from mmbot.runtime.bridge import Listed

__all__ = ["WHOLE_PPM", "BoardRead", "Restrictions"]

WHOLE_PPM = 1_000_000


class BoardRead(Protocol):
    """What is read of a freeze board."""

    def level(self, scope: Scope) -> FreezeLevel:
        """The level of one scope by itself."""

    def share(self, now: int) -> Fraction:
        """The share of the limits that holds."""


class Restrictions:
    """What one core was told. `clock`: a fresh time for each input.

    taken_over: the core began with what an earlier run had told it, so that everything is told anew.
    """

    def __init__(
        self,
        core: _core.Live,
        listed: Sequence[Listed],
        clock: Callable[[], int],
        *,
        strategy: str,
        account: str,
        taken_over: bool = False,
    ) -> None:
        self._core, self._clock = core, clock
        self._scopes: list[tuple[Scope, int | None]] = [
            (FIRM, None),
            (Scope("account", account), None),
            (Scope("strategy", strategy), None),
            *((Scope("symbol", each.name), index) for index, each in enumerate(listed)),
        ]
        known = None if taken_over else FreezeLevel.NORMAL
        self._levels: dict[Scope, FreezeLevel | None] = dict.fromkeys((scope for scope, _ in self._scopes), known)
        self._ppm = None if taken_over else WHOLE_PPM

    def follow(self, board: BoardRead, now: int) -> None:
        """Tell what is not told yet; the smaller limits before the lower level. Raises what the core raises, having
        told it: a level holds also where it cannot be written down.
        """
        ppm = int(board.share(now) * WHOLE_PPM)
        if ppm != self._ppm:
            self._ppm = ppm
            self._core.share(self._clock(), ppm)
        for scope, instrument in self._scopes:
            level = board.level(scope)
            if level is not self._levels[scope]:
                self._levels[scope] = level
                self._core.restrict(self._clock(), scope.kind, int(level), instrument)
