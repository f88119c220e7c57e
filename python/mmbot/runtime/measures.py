"""What watches measure by beside prices: the free margin of the account, and what positions were entered at.

The core is told as of when each is known, and lets nothing grow without (`margin_age`, `entry_age`): a stop that
nothing can be held against is none.

A derivative's entry price is the venue's. Of spot a venue tells none, so there it is the average of this run's own
fills; of what an earlier run bought nothing is known, and with a stop set that may only be sold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot.runtime.worth import number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.config import RiskConfig
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import PositionSeen, WalletSeen

__all__ = ["Measures"]

_EVERY_NS = 1_000_000_000
_RETELL = 4
"""What goes on being known is told again after this part of the age that it may have."""
_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class _Entry:
    price: float = 0.0
    """Of what is held; 0 while nothing is known."""
    at: int | None = None
    """As of when; None: not known."""
    lots: int = 0
    """Of spot: what this run's fills came to."""


class Measures:
    """What is known of one run's account."""

    def __init__(self, risk: RiskConfig, listed: Sequence[Listed]) -> None:
        self._listed = listed
        self._stops = risk.stops
        self._margins = risk.margin_headroom_pct > 0 and any(each.category != "spot" for each in listed)
        self._retell_ns = risk.account_age_ms * _NS_PER_MS // _RETELL
        self._index = {(each.category, each.symbol): at for at, each in enumerate(listed)}
        self._entries = [_Entry() for _ in listed]
        self._margin: tuple[float, float] | None = None
        self._margin_at: int | None = None
        self._told: dict[tuple[str, int | None], int | None] = {}
        self._due = 0

    def wallet(self, fact: WalletSeen, now: int) -> None:
        """Take the venue's word on the account; one without a margin says nothing about it."""
        if fact.margin is not None and fact.margin_used is not None:
            whole, used = number(fact.margin), number(fact.margin_used)
            self._margin, self._due = (whole - used, whole), 0
            self._margin_at = now if math.isfinite(whole - used) and whole > 0 else None

    def position(self, fact: PositionSeen, now: int) -> None:
        """Take the venue's word on a position."""
        index = self._index.get((fact.category, fact.symbol))
        if index is None or fact.category == "spot":
            return
        price = number(fact.entry_price)
        known = number(fact.qty) != 0 and math.isfinite(price) and price > 0
        self._entries[index] = _Entry(price if known else 0.0, now if known else None)
        self._due = 0

    def flat(self, index: int) -> None:
        """A position is over, and its entry price with it: the next one has its own."""
        if self._listed[index].category != "spot":
            self._entries[index] = _Entry()

    def filled(self, index: int, sign: int, lots: int, price: float, now: int) -> None:
        """Take one of our own fills: what spot was entered at."""
        self._due = 0
        if self._listed[index].category != "spot":
            return
        entry = self._entries[index]
        after = entry.lots + sign * lots
        if entry.lots * sign >= 0:
            entry.price = (entry.price * abs(entry.lots) + price * lots) / abs(after)
        elif after * sign > 0:  # it turned: what is held now was entered at this price
            entry.price = price
        entry.lots, entry.at = after, now

    @property
    def margin(self) -> tuple[float, float] | None:
        """Free margin and all of it, where the venue has told and the control is on."""
        return self._margin if self._margins else None

    def entry(self, index: int, lots: int) -> float:
        """What a position of so many lots was entered at; 0 where that is not known."""
        return 0.0 if self._as_of(index, lots, 0) is None else self._entries[index].price

    def _as_of(self, index: int, lots: int, now: int) -> int | None:
        entry = self._entries[index]
        if self._listed[index].category == "spot":
            return now if entry.lots == lots else None
        return entry.at

    def tell(self, core: _core.Live, clock: Callable[[], int]) -> None:
        """Tell the core what is new, at most once a second but for news; clock: a fresh time for each input."""
        now = clock()
        if now < self._due:
            return
        self._due = now + _EVERY_NS
        if self._margins:
            self._say(core, clock, "margin", None, self._margin_at)
        if self._stops:
            for index in range(len(self._listed)):
                lots = core.books(0, index)["position_lots"]
                self._say(core, clock, "entry", index, self._as_of(index, lots, now))

    def _say(self, core: _core.Live, clock: Callable[[], int], what: str, index: int | None, at: int | None) -> None:
        """Tell one thing, if it is news, or has been told long ago. What was never told is not known anyway."""
        before = self._told.get((what, index))
        if before is None and at is None:
            return
        if before is None or at is None or at - before >= self._retell_ns:
            self._told[what, index] = at
            core.measured(clock(), what, at, index)
