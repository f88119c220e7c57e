"""Between a run and its controls: what happens feeds the watches, what these ask for goes to the freeze board.

    feeds    market ─▶ prices, peg · hear, answered, filled ─▶ streaks, fees, edge, margin
    decides  look, once a second: equity · markouts · margin · stops · legs · peg · share of the limits ─▶ RiskWatch
    tells    marks ─▶ core.reference · margin, entry prices ─▶ core.measured, without which the core denies
    acts     found ─▶ asked: the freeze board latches it, tells the core and acts; boldness, peg ─▶ hold: quotes out
    keeps    `keep` is given what a restart must not forget: when something asked, when equity moved, every ten seconds

It asks again as long as a reason holds, so that what is lifted too early is frozen again; a stop asks once for each
position. What people lowered is measured anew from a base that is told (`lifted`). What is found between two looks is
acted on at the next tick, for the core takes one input at a time.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mmbot.runtime.fill_quality import FillQuality
from mmbot.runtime.holdings import UNITS, Holdings
from mmbot.runtime.measures import Measures
from mmbot.runtime.second_price import SecondPrices
from mmbot.runtime.worth import number, value
from mmbot.venues.port import Acked, PositionSeen, Refused, Unanswered, WalletSeen
from mmbot.venues.records import BookUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot import _core
    from mmbot.risk.levels import FreezeAsked, Scope
    from mmbot.risk.watch import RiskWatch
    from mmbot.runtime.boldness import Boldness
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.peg import Peg
    from mmbot.venues.port import ExecutionSeen, Fact, Heard

__all__ = ["KEEP_NS", "LOOK_S", "RiskDesk", "RiskEnds"]

LOOK_S = 1.0
"""How often the controls look beside what they are told."""
KEEP_NS = 10_000_000_000
"""What a killed process forgets at most, where less than a hundredth of a limit was lost meanwhile."""
_KEPT_SHARE = 100
_TIMES = 10
"""So many times more than what it is held against is a mistake."""


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
    implausible: Callable[[str], None] = _deaf
    """Takes what is wrong with a size at the first price of its instrument: nothing may be traded by it."""
    told: Callable[[Mapping[str, object]], None] = _deaf
    """Takes what a person or a journal should know."""


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
        peg: Peg | None = None,
        look_s: float = LOOK_S,
        positions_max: Sequence[int] = (),
    ) -> None:
        """positions_max: the largest position of each instrument, in lots, to be held against its first price."""
        self.watch, self.boldness, self._peg = watch, boldness, peg
        self._core, self._listed, self._ends = core, listed, ends or RiskEnds()
        self._symbols = [each.name for each in listed]
        self._prices = SecondPrices(listed, watch.config.reference_age_ms)
        self.holdings = Holdings(core, listed, self._prices)
        """What the run holds, and what that is worth."""
        self._quality = FillQuality(watch, self.holdings, listed)
        self._measures = Measures(watch.config, listed)
        self._unpriced = dict(enumerate(positions_max))
        self._found: list[FreezeAsked] = []
        self._look_ns, self._due = round(look_s * 1e9), 0
        self._base = 0
        """What earlier runs of the account made: a new one does not begin the day without their loss; 10^-12."""
        self._equity = 0
        """Equity as it was known last."""
        self._kept = 0
        """Equity as it was kept last, and what was asked for then."""
        self._asking: set[tuple[str, Scope]] = set()
        self._keep_due = 0

    # ---- over restarts

    def begin(self, now: int, state: dict[str, Any] | None = None, *, goes_on: bool = False) -> None:
        """At a start: what is latched still holds. goes_on: the books hold what the run before made already.

        Raises ValueError for a state that cannot be read.
        """
        if state is not None:
            self.watch.restore(state)
            self._base = self._equity = self._kept = int(state.get("base" if goes_on else "equity", 0))
        self._found += self.watch.again(now)

    def lifted(self, scope: Scope) -> None:
        """People lowered a freeze of this scope: what asked for it is measured anew, from what is seen next."""
        rearmed = self.watch.lifted(scope)
        if scope.kind == "symbol" and scope.name in self._symbols:
            self._quality.forget(self._symbols.index(scope.name))
        if rearmed:
            words = {"scope": str(scope), "controls": rearmed, "equity": self._equity / UNITS}
            self._ends.told({"event": "controls armed anew", **words})
        self._keep_due = self._due = 0

    def keep(self, now: int) -> None:
        """Give away what a restart must not forget, where something asked, equity moved, or ten seconds went by."""
        limits = self.watch.losses.limits
        step = max(1, min(limits.minute, limits.hour, limits.day, limits.drawdown) // _KEPT_SHARE)
        asking = {(one.control, one.scope) for one in self._found}
        if asking != self._asking or abs(self._equity - self._kept) >= step or now >= self._keep_due:
            self._kept, self._asking, self._keep_due = self._equity, asking, now + KEEP_NS
            state = {**self.watch.state(), "base": self._base, "equity": self._equity, "at": now}
            self._ends.keep(json.dumps(state, sort_keys=True))

    # ---- what feeds

    def market(self, category: str, record: Heard, ts_recv: int) -> None:
        """Take what the market said."""
        self._prices.heard(category, record, ts_recv)
        if self._unpriced and isinstance(record, BookUpdate) and record.bids and record.asks:
            self._hold_size(f"{category} {record.symbol}", record)
        if self._peg is not None and (category, getattr(record, "symbol", "")) == self._peg.market:
            self._peg.heard(record, ts_recv)

    def answered(self, ns: int, now: int) -> None:
        """Take how long the venue took to answer a request."""
        if self.boldness is not None:
            self.boldness.answered(ns, now)

    def hear(self, facts: Sequence[Fact], now: int) -> None:
        """Take what the venue said of our requests and of the account."""
        for fact in facts:
            match fact:
                case Acked():
                    self.watch.answered(cancel=fact.request == "cancel")
                case Refused(held_back=False, request="place"):
                    self._found += self.watch.refused(now)
                case Refused(held_back=False, request="amend") if fact.reason != "unknown_order":
                    self._found += self.watch.refused(now)  # an order that just ended refuses its change: no fault
                case Unanswered():
                    self._found += self.watch.unanswered(now)
                case PositionSeen():
                    self._measures.position(fact, now)
                case WalletSeen():
                    self._measures.wallet(fact, now)
                case _:
                    pass

    def filled(self, fact: ExecutionSeen, now: int) -> None:
        """Take one execution of ours that was booked."""
        symbol = f"{fact.category} {fact.symbol}"
        if symbol not in self._symbols:
            return
        index = self._symbols.index(symbol)
        self._holds(index)
        if fact.kind != "trade":
            return
        lots, price = self._listed[index].instrument.lots(fact.qty), float(fact.price)
        self._measures.filled(index, 1 if fact.side == "buy" else -1, lots, price, now)
        self._found += self._quality.filled(index, fact, now)
        if self.boldness is not None and not fact.maker:
            self.boldness.taken(now)

    def _holds(self, index: int) -> None:
        """A position that is flat now had its entry price and its stops: the next one begins without them."""
        symbol, lots = self._symbols[index], self.holdings.lots(index)
        self.watch.holds(symbol, lots)
        if not lots:
            self._measures.flat(index)

    # ---- what decides, and what acts

    def tick(self, clock: Callable[[], int]) -> None:
        """Look once in `look_s`, and act on what was found at any time. clock: a fresh time for each core input."""
        self._prices.tell(self._core, clock)
        self._measures.tell(self._core, clock)
        now = clock()
        if now < self._due and not self._found:
            return
        if now >= self._due:
            self._due = now + self._look_ns
            self._look(now)
            self._ends.hold(self._why_not(clock))
            if self.boldness is not None and self.boldness.until:
                self._due = min(self._due, self.boldness.until)
        for one in self._found:
            self._ends.asked(one)
        self.keep(now)
        self._found = []

    def _look(self, now: int) -> None:
        own = self.holdings.equity()
        if own is not None:
            self._equity = self._base + own
        self._found += self.watch.equity(None if own is None else self._equity, now)
        self._found += self._quality.look(now)
        if self._measures.margin is not None:
            self._found += self.watch.margin(*self._measures.margin, now)
        for index, symbol in enumerate(self._symbols):
            self._holds(index)
            mid = self.holdings.mid(index)
            if mid is not None:
                lots = self.holdings.lots(index)
                self._found += self.watch.stop(symbol, lots, self._measures.entry(index, lots), mid, now)
        self._found += self.watch.legs(*self.holdings.unhedged(), now)
        if self._peg is not None:
            price = self._peg.price(now)
            if price is not None or self._peg.is_late(now):
                self._found += self.watch.peg(self._peg.symbol, price, now)
        turned = self.watch.used(self.holdings.worst_case())
        if turned is not None:
            words = {"warns": turned, "p95": self.watch.ratio.p95, "line": self.watch.ratio.warn}
            self._ends.told({"event": "risk ratio", **words})

    def _hold_size(self, symbol: str, book: BookUpdate) -> None:
        """At the first book, before anybody is asked: a position limit that is worth ten times what the risk controls
        allow was meant in another unit.
        """
        index = self._symbols.index(symbol) if symbol in self._symbols else -1
        mid = (number(book.bids[0][0]) + number(book.asks[0][0])) / 2
        lots = (
            self._unpriced.pop(index, None) if 0 < mid < math.inf else None
        )  # one that is no price waits for the next
        if lots is None:
            return
        each, most = self._listed[index], float(self.watch.config.amount("max_inventory_usd"))
        coins = each.instrument.kind == "inverse"
        worth = abs(value(each.instrument, lots, mid)) * (mid if coins else 1.0)
        if worth > _TIMES * most:
            self._ends.implausible(
                f"limits.position of {each.name} is worth {worth:.0f} at {mid:g}; expected at most "
                f"{_TIMES} times risk.max_inventory_usd, which is {most:g}"
            )

    def _why_not(self, clock: Callable[[], int]) -> str:
        """Why no quote may stand now; "" where they may."""
        now, why = clock(), ""
        if self.boldness is not None:
            own = self.holdings.equity()
            why = self.boldness.look(clock, None if own is None else own / UNITS, self._ends.share(now))
        if self._peg is not None and self._peg.price(now) is None:
            why = "; ".join(filter(None, (f"no price of {self._peg.symbol}, which says what the coin is worth", why)))
        return why
