"""Between a run and its controls: facts go to the watches, what they ask for goes to core and freeze board at once.

    fact ─▶ RiskWatch ─▶ FreezeAsked ─┬─▶ core.restrict: no order passes that the level forbids
                                      └─▶ asked: the freeze board, which latches and acts

A level that a watch found is only ever raised here. One that the core took over from an earlier run follows the board
down (`obey`). `keep` is given the state that a restart must not forget whenever it changed.

Not handled: what a run cannot measure. Edge, margin and pegs come from whoever knows them, through `watch`. A level
that a watch of this run found and a person lowered at the freeze board is lowered in the core from the next start on.
"""

from __future__ import annotations

import json
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.runtime.worth import value
from mmbot.venues.port import Acked, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.risk.levels import FreezeAsked
    from mmbot.risk.watch import RiskWatch
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import ExecutionSeen, Fact

__all__ = ["RiskDesk"]

_TICK_NS = 1_000_000_000
_MARKOUT_NS = 5_000_000_000
_MARKOUTS = 10_000
_UNITS = 10**12
_RATE_OF_A_BP = 10_000
"""Rates of an instrument are in 10^-8."""


class RiskDesk:
    """The controls of one run.

    asked: takes every freeze that is asked for, each time.
    """

    def __init__(
        self,
        watch: RiskWatch,
        core: _core.Live,
        listed: Sequence[Listed],
        *,
        asked: Callable[[FreezeAsked], None] = lambda _: None,
        keep: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.watch = watch
        self._core, self._listed, self._asked, self._keep = core, listed, asked, keep
        self._levels: dict[Scope, FreezeLevel] = {}
        self._left: dict[Scope, FreezeLevel] = {}
        self._board: Callable[[Scope], FreezeLevel] | None = None
        self._index = {f"{each.category} {each.symbol}": at for at, each in enumerate(listed)}
        self.why = ""
        """The last reason to raise a level."""
        self._found: list[FreezeAsked] = []
        self._due = 0
        self._kept = ""
        self._markouts: deque[tuple[int, int, int, float]] = deque(maxlen=_MARKOUTS)

    def begin(self, now: int) -> None:
        """At a start: what is latched still holds."""
        self._found += self.watch.again(now)

    def obey(self, board: Callable[[Scope], FreezeLevel], clock: Callable[[], int]) -> None:
        """The core took over what an earlier run's limits were told: whatever the board has lifted since is lifted."""
        scopes = [FIRM, self.watch.account, self.watch.strategy, *(Scope("symbol", name) for name in self._index)]
        self._board, self._left = board, dict.fromkeys(scopes, FreezeLevel.KILL)  # or anything below
        self._follow(clock)

    def _follow(self, clock: Callable[[], int]) -> None:
        """Lower in the core what the board has lowered of the earlier run's levels."""
        if self._board is None:
            return
        for scope, was in list(self._left.items()):
            level = self._board(scope)
            if level >= was:
                continue
            self._restrict(scope, max(level, self._levels.get(scope, FreezeLevel.NORMAL)), clock)
            self._left[scope] = level
            if level is FreezeLevel.NORMAL:
                del self._left[scope]

    def _restrict(self, scope: Scope, level: FreezeLevel, clock: Callable[[], int]) -> None:
        instrument = self._index.get(scope.name) if scope.kind == "symbol" else None
        self._core.restrict(clock(), scope.kind, int(level), instrument)

    # ---- what happened: noted, and acted on at the next tick, for the core takes one input at a time

    def hear(self, facts: Sequence[Fact], now: int) -> None:
        """Take what the venue said of our requests."""
        for fact in facts:
            match fact:
                case Acked():
                    self.watch.answered()
                case Refused(held_back=False, request="place"):
                    self._found += self.watch.refused(now)
                case Unanswered():
                    self._found += self.watch.unanswered(now)
                case _:
                    pass

    def filled(self, fact: ExecutionSeen, now: int) -> None:
        """Take one execution of ours that was booked."""
        symbol = f"{fact.category} {fact.symbol}"
        index = self._index.get(symbol)
        if index is None or fact.kind != "trade":
            return
        instrument = self._listed[index].instrument
        worth = value(instrument, instrument.lots(fact.qty), float(fact.price))
        # In the settlement currency, as the fee of a derivative is; a spot fee may be in the coin bought.
        same = fact.category != "spot"
        self._found += self.watch.filled(
            symbol,
            fact.side,
            now,
            notional=Decimal(repr(worth)) if same else None,
            fee=Decimal(fact.fee) if same else None,
            rate_bps=(instrument.maker if fact.maker else instrument.taker) / _RATE_OF_A_BP,
        )
        self._markouts.append((now, index, 1 if fact.side == "buy" else -1, float(fact.price)))

    # ---- acting

    def tick(self, clock: Callable[[], int]) -> FreezeLevel:
        """Look once a second, act on what was found at any time, and return the highest level that holds.

        clock: a fresh time for each input of the core.
        """
        now = clock()
        if now < self._due and not self._found:
            return max(self._levels.values(), default=FreezeLevel.NORMAL)
        if now >= self._due:
            self._due = now + _TICK_NS
            self._found += self.watch.equity(self._equity(), now)
            self._found += self._due_markouts(now)
        self._follow(clock)
        found, self._found = self._found, []
        for one in found:
            self._asked(one)
            if one.level > self._levels.get(one.scope, FreezeLevel.NORMAL):
                self._levels[one.scope], self.why = one.level, f"{one.control}: {one.reason}"
                self._restrict(one.scope, max(one.level, self._left.get(one.scope, FreezeLevel.NORMAL)), clock)
        state = json.dumps(self.watch.state(), sort_keys=True)
        if state != self._kept:
            self._kept = state
            self._keep(state)
        return max(self._levels.values(), default=FreezeLevel.NORMAL)

    def _equity(self) -> int | None:
        """Cash and positions at the mid, in the quote currency; None while something that is held has no price."""
        total = 0.0
        for index, each in enumerate(self._listed):
            books = self._core.books(0, index)
            lots, bid, ask = books["position_lots"], books["bid"], books["ask"]
            if not lots and not books["cash_units"]:
                continue
            if bid is None or ask is None:
                return None
            mid = (bid + ask) / 2 * each.instrument.tick_size
            worth = books["cash_units"] / _UNITS + value(each.instrument, lots, mid)
            total += worth * mid if each.instrument.kind == "inverse" else worth
        return round(total * _UNITS)

    def _due_markouts(self, now: int) -> list[FreezeAsked]:
        """Markouts of the fills that are old enough, where there is a mid to measure by."""
        found: list[FreezeAsked] = []
        while self._markouts and self._markouts[0][0] + _MARKOUT_NS <= now:
            _, index, sign, price = self._markouts.popleft()
            books, each = self._core.books(0, index), self._listed[index]
            if books["bid"] is None or books["ask"] is None:
                continue
            mid = (books["bid"] + books["ask"]) / 2 * each.instrument.tick_size
            found += self.watch.markout(f"{each.category} {each.symbol}", sign * (mid - price) / price * 1e4, now)
        return found
