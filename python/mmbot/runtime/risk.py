"""Between a run and its controls: facts, fills and prices go to the watches, what these ask for to the freeze board.

    fact ─▶ RiskWatch ─▶ FreezeAsked ─▶ asked: the freeze board, which latches, tells the core and acts
    mids ─▶ Boldness ─▶ core.temper, or all quotes out for a while
    marks ─▶ core.reference

It asks again as long as a reason holds, so that nothing lapses meanwhile. `keep` is given the state that a restart must
not forget whenever it changed. What people lowered is measured anew (`lifted`).

Not handled: what a run cannot measure. Pegs and unhedged legs come from whoever knows them, through `watch`.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mmbot.runtime.second_price import SecondPrices
from mmbot.runtime.worth import value
from mmbot.venues.port import Acked, PositionSeen, Refused, Unanswered, WalletSeen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.risk.levels import FreezeAsked, Scope
    from mmbot.risk.watch import RiskWatch
    from mmbot.runtime.boldness import Boldness
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import ExecutionSeen, Fact, Heard

__all__ = ["LOOK_S", "RiskDesk", "RiskEnds"]

LOOK_S = 1.0
"""How often the controls look beside what they are told."""
_MARKOUT_NS = 5_000_000_000
_MARKOUTS = 10_000
_UNITS = 10**12
_RATE_OF_A_BP = 10_000
"""Rates of an instrument are in 10^-8."""
_KEPT_SHARE = 100
"""Equity is kept whenever it moved by a hundredth of the smallest loss that matters."""


def _deaf(_: object) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class RiskEnds:
    """Where what the controls find goes."""

    asked: Callable[[FreezeAsked], None] = _deaf
    """Takes every freeze that is asked for, each time."""
    keep: Callable[[str], None] = _deaf
    """Takes the state, as JSON."""
    hold: Callable[[str], None] = _deaf
    """All quotes out for a while, and why; "" lets them back."""
    share: Callable[[int], Fraction] = lambda _: Fraction(1)
    """The share of the limits that holds at a time."""


class RiskDesk:
    """The controls of one run."""

    def __init__(
        self,
        watch: RiskWatch,
        core: _core.Live,
        listed: Sequence[Listed],
        ends: RiskEnds | None = None,
        *,
        boldness: Boldness | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self._look_ns = round(look_s * 1e9)
        self.watch, self.boldness = watch, boldness
        self._core, self._listed, self._ends = core, listed, ends or RiskEnds()
        self._index = {f"{each.category} {each.symbol}": at for at, each in enumerate(listed)}
        self._prices = SecondPrices(listed)
        self._found: list[FreezeAsked] = []
        self._due = 0
        self._kept = ""
        self._base = 0
        """What earlier runs of the account made, so that a new one does not begin the day without their loss; 10^-12.
        """
        self._equity = 0
        """The equity that is kept."""
        self._markouts: deque[tuple[int, int, int, float]] = deque(maxlen=_MARKOUTS)
        self._edges: list[deque[float]] = [deque(maxlen=watch.config.markout_fills) for _ in listed]
        self._entries: dict[str, float] = {}
        self._margin: tuple[float, float] | None = None
        self._derivatives = any(each.category != "spot" for each in listed)

    # ---- over restarts

    def begin(self, now: int, state: dict[str, Any] | None = None, *, goes_on: bool = False) -> None:
        """At a start: what is latched still holds. goes_on: the books hold what the run before made already.

        Raises ValueError for a state that cannot be read.
        """
        if state is not None:
            self.watch.restore(state)
            self._base = int(state.get("base" if goes_on else "equity", 0))
            self._equity = self._base
        self._found += self.watch.again(now)

    def lifted(self, scope: Scope) -> None:
        """People lowered a freeze of this scope: what led to it is measured anew."""
        self.watch.lifted(scope)
        index = self._index.get(scope.name)
        if scope.kind == "symbol" and index is not None:
            self._edges[index].clear()

    def _keep(self, now: int) -> None:
        limits = self.watch.losses.limits
        equity = self._measured()
        step = min(limits.minute, limits.hour, limits.day, limits.drawdown) // _KEPT_SHARE
        if equity is not None and abs(equity - self._equity) >= max(step, 1):
            self._equity = equity
        state = {**self.watch.state(), "base": self._base, "equity": self._equity}
        words = json.dumps(state, sort_keys=True)
        if words != self._kept:
            self._kept = words
            self._ends.keep(json.dumps({**state, "at": now}, sort_keys=True))

    # ---- what happened: noted, and acted on at the next tick, for the core takes one input at a time

    def market(self, category: str, record: Heard, ts_recv: int) -> None:
        """Take what the market said."""
        self._prices.heard(category, record, ts_recv)

    def answered(self, ns: int, now: int) -> None:
        """Take how long the venue took to answer a request."""
        if self.boldness is not None:
            self.boldness.answered(ns, now)

    def hear(self, facts: Sequence[Fact], now: int) -> None:
        """Take what the venue said of our requests and of the account."""
        for fact in facts:
            match fact:
                case Acked():
                    self.watch.answered()
                case Refused(held_back=False, request="place"):
                    self._found += self.watch.refused(now)
                case Unanswered():
                    self._found += self.watch.unanswered(now)
                case PositionSeen():
                    self._entries[f"{fact.category} {fact.symbol}"] = float(fact.entry_price)
                case WalletSeen(margin=str(margin), margin_used=str(used)):
                    self._margin = (float(margin) - float(used), float(margin))
                case _:
                    pass

    def filled(self, fact: ExecutionSeen, now: int) -> None:
        """Take one execution of ours that was booked."""
        symbol = f"{fact.category} {fact.symbol}"
        index = self._index.get(symbol)
        if index is None or fact.kind != "trade":
            return
        each = self._listed[index]
        price, lots = float(fact.price), each.instrument.lots(fact.qty)
        worth, fee = value(each.instrument, lots, price), _fee(fact, each)
        # A spot fee in the coin bought is rounded by the venue to that coin's own grid: it is measured, not checked.
        same = fact.category != "spot"
        self._found += self.watch.filled(
            symbol,
            fact.side,
            now,
            notional=Decimal(repr(worth)) if same else None,
            fee=fee if same else None,
            rate_bps=(each.instrument.maker if fact.maker else each.instrument.taker) / _RATE_OF_A_BP,
        )
        sign = 1 if fact.side == "buy" else -1
        self._markouts.append((now, index, sign, price))
        mid = self._mid(index)
        earned = 0.0 if mid is None else sign * (mid - price) / price * 1e4  # without a mid a fill earned nothing
        paid = float(fee) / abs(worth) * 1e4 if worth else 0.0
        self._edges[index].append(earned - paid)
        if len(self._edges[index]) == self._edges[index].maxlen:
            self._found += self.watch.edge(symbol, sum(self._edges[index]) / len(self._edges[index]), now)
        if self.boldness is not None and not fact.maker:
            self.boldness.taken(now)

    # ---- acting

    def tick(self, clock: Callable[[], int]) -> None:
        """Look once in `look_s`, and act on what was found at any time. clock: a fresh time for each core input."""
        self._prices.tell(self._core, clock)
        now = clock()
        if now < self._due and not self._found:
            return
        if now >= self._due:
            self._due = now + self._look_ns
            self._look(now)
            if self.boldness is not None:
                self._ends.hold(self.boldness.look(clock, self._pnl(), self._ends.share(now)))
                if self.boldness.until:
                    self._due = min(self._due, self.boldness.until)
        found, self._found = self._found, []
        for one in found:
            self._ends.asked(one)
        self._keep(now)

    def _look(self, now: int) -> None:
        self._found += self.watch.equity(self._measured(), now)
        self._found += self._due_markouts(now)
        if self._derivatives and self._margin is not None:
            self._found += self.watch.margin(*self._margin, now)
        for index, each in enumerate(self._listed):
            symbol = f"{each.category} {each.symbol}"
            lots, mid = self._core.books(0, index)["position_lots"], self._mid(index)
            if mid is not None:
                self._found += self.watch.stop(symbol, float(lots), self._entries.get(symbol, 0.0), mid, now)

    def _mid(self, index: int) -> float | None:
        books = self._core.books(0, index)
        if books["bid"] is None or books["ask"] is None:
            return None
        return float((books["bid"] + books["ask"]) / 2 * self._listed[index].instrument.tick_size)

    def _measured(self) -> int | None:
        """Equity of the account, as far as mmbot's runs made it."""
        own = self._own()
        return None if own is None else self._base + own

    def _pnl(self) -> float | None:
        own = self._own()
        return None if own is None else own / _UNITS

    def _own(self) -> int | None:
        """Cash and positions, in the quote currency; None while something that is held has no price.

        A position is worth the less of mid and second price: a book alone can be pushed.
        """
        total = 0.0
        for index, each in enumerate(self._listed):
            books, mid = self._core.books(0, index), self._mid(index)
            lots = books["position_lots"]
            if not lots and not books["cash_units"]:
                continue
            if mid is None:
                return None
            second = self._prices.of(index, self._core.now)
            prices = [mid] if second is None else [mid, second]
            worth = books["cash_units"] / _UNITS + min(value(each.instrument, lots, price) for price in prices)
            total += worth * mid if each.instrument.kind == "inverse" else worth
        return round(total * _UNITS)

    def _due_markouts(self, now: int) -> list[FreezeAsked]:
        """Markouts of the fills that are old enough, where there is a mid to measure by."""
        found: list[FreezeAsked] = []
        while self._markouts and self._markouts[0][0] + _MARKOUT_NS <= now:
            _, index, sign, price = self._markouts.popleft()
            mid, each = self._mid(index), self._listed[index]
            if mid is not None:
                found += self.watch.markout(f"{each.category} {each.symbol}", sign * (mid - price) / price * 1e4, now)
        return found


def _fee(fact: ExecutionSeen, listed: Listed) -> Decimal:
    """The fee in the settlement currency; one in the coin that was bought counts at the execution's own price."""
    fee, terms = Decimal(fact.fee or "0"), listed.terms
    in_base = fact.fee_currency == terms.base != (terms.settle or terms.quote)
    return fee * Decimal(fact.price) if in_base else fee
