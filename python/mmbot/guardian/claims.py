"""What an engine claims, held against what the venue says and against what it claimed before.

A difference at one instant proves nothing: neither side is read at the same time. So a look is judged a second after it
was taken, against everything that was claimed from a little before it until then, and only what disagrees look after
look for its whole grace is a lie. A journal that went back, or goes on otherwise than it was kept, is one at once.

Not handled: an order that came while the guardian did not reach the venue, which may be older than a journal's standing
still (the next one is found out); a spot holding, which fees and transfers move; a wrong position that trading swings
through; and what an engine believes while it has no link to the venue, which it knows itself, and which is no danger
without an order there.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from mmbot.execution.client_ids import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mmbot.guardian.words import Beat, Head

__all__ = ["ClaimTerms", "Claims", "Resting"]

SECOND = 1_000_000_000
NAMES_KEPT = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimTerms:
    """How long what an engine says may differ from what is seen, in ns."""

    position_ns: int = 15 * SECOND
    """A position that the venue has otherwise; longer than the engine itself takes to compare and to fetch."""
    orders_ns: int = 5 * SECOND
    """More orders of ours at the venue than the engine knows of."""
    head_ns: int = 3 * SECOND
    """A journal that stands still although new orders of ours appear."""
    lag_ns: int = SECOND
    """The loop being late by so much in every beat …"""
    lagging_ns: int = 3 * SECOND
    """… for so long."""
    unlinked_ns: int = 3 * SECOND
    """Orders of ours at the venue that the engine has no way to cancel."""
    unheard_ns: int = 3 * SECOND
    """A request waiting while nothing at all comes from the venue."""
    unanswered_ns: int = 60 * SECOND
    """Any one request without an answer."""
    judged_ns: int = SECOND
    """How old a look has to be before it is judged."""
    window_ns: int = 2 * SECOND
    """From how long before a look the claims count for it: the venue may show things late."""
    arrives_ns: int = 5 * SECOND
    """How long after it was written down an order may first be seen."""


@dataclass(frozen=True, slots=True)
class Resting:
    """An open order that the venue listed."""

    market: str
    """"category symbol"."""
    venue_id: str
    client_id: str

    @property
    def ours(self) -> bool:
        """A run of ours named it."""
        return parse(self.client_id) is not None


@dataclass(frozen=True, slots=True)
class _Look:
    asked: int
    at: int
    ours: int
    positions: Mapping[str, Decimal]


class Claims:
    """The claims of one engine. Times are lived through (`LivedTime`).

    kept: heads of journals from before. empty_at: when nothing of ours was open, so that what is seen later is new.
    """

    def __init__(self, terms: ClaimTerms, kept: Iterable[Head] = (), empty_at: int | None = None) -> None:
        self._terms = terms
        self._heads = {head.journal: head for head in kept}
        self._beats: deque[tuple[int, Beat]] = deque()
        self._looks: deque[_Look] = deque()
        self._seen: dict[str, None] = {}
        self._looked_at = empty_at
        self._moved_at = 0
        self._doubts: dict[str, tuple[int, int | None, int, str]] = {}
        """Since when, until when it was seen (None: it holds until it is gone), its grace, and words."""
        self.broken = ""
        """What proves at once that it cannot be believed: a journal that is not the one that was kept, for one."""

    def heard(self, beat: Beat, at: int) -> None:
        """Take a beat."""
        self._follow(beat.head, at)
        self._read(beat.positions)
        self._beats.append((at, beat))
        while self._beats[0][0] < at - self._terms.window_ns - 2 * self._terms.judged_ns - 2 * SECOND:
            self._beats.popleft()
        terms = self._terms
        self._doubt("lag", at, beat.lag_ns > terms.lag_ns, terms.lagging_ns, f"its loop is late by {_s(beat.lag_ns)} s")
        self._age("unheard", at, beat.unheard_ns, terms.unheard_ns, "a request waits and nothing comes from the venue")
        self._age("unanswered", at, beat.unanswered_ns, terms.unanswered_ns, "a request is without an answer")
        self._judge_link(beat, at)

    def _judge_link(self, beat: Beat, at: int) -> None:
        resting = self._looks[-1].ours if self._looks else 0
        cut = beat.ready and not beat.linked and resting > 0
        self._doubt("unlinked", at, cut, self._terms.unlinked_ns, f"it has no link, and {resting} orders are open")

    def _age(self, name: str, at: int, age: int, most: int, words: str) -> None:
        """What the engine itself says is old enough needs no grace of ours."""
        self._doubt(name, at, age > most, 0, f"{words}, for {_s(age)} s")

    def _read(self, positions: Mapping[str, str]) -> None:
        try:
            unread = [name for name, qty in positions.items() if not Decimal(qty).is_finite()]
        except InvalidOperation:
            unread = list(positions)
        if unread:
            self.broken = f"its positions are no numbers: {unread[:5]}"

    def _follow(self, head: Head, at: int) -> None:
        before = self._heads.get(head.journal)
        self._heads[head.journal] = head
        if before is None or head.seq > before.seq:
            self._moved_at = at
            self._doubts.pop("head", None)
        elif head.seq < before.seq:
            self._heads[head.journal] = before
            self.broken = f"journal {head.journal} went back from entry {before.seq} to {head.seq}"
        elif head.chain != before.chain:
            self._heads[head.journal] = before
            self.broken = f"journal {head.journal} has another chain at entry {head.seq} than it had"

    def looked(self, resting: Iterable[Resting], positions: Mapping[str, str], asked: int, at: int) -> None:
        """Take what the venue answered to a question asked then."""
        ours = [order for order in resting if order.ours]
        fresh = [order for order in ours if order.venue_id not in self._seen]
        for order in fresh:
            self._seen[order.venue_id] = None
        while len(self._seen) > NAMES_KEPT:
            del self._seen[next(iter(self._seen))]
        still = self._looked_at is not None and self._moved_at < self._looked_at - self._terms.arrives_ns
        if fresh and still and self._beats:
            seq = self._beats[-1][1].head.seq
            said = f"{len(fresh)} new orders are at the venue, and its journal stands still at entry {seq}"
            self._doubts.setdefault("head", (at, None, self._terms.head_ns, said))
        self._looked_at = asked
        self._looks.append(_Look(asked, at, len(ours), {name: Decimal(qty) for name, qty in positions.items()}))

    def lie(self, at: int) -> str:
        """Return what can no longer be believed, in words; "" while there is nothing."""
        while self._looks and self._looks[0].at <= at - self._terms.judged_ns:
            self._judge(self._looks.popleft(), at)
        if self.broken:
            return self.broken
        for since, seen, grace, words in self._doubts.values():
            if (at if seen is None else seen) - since >= grace:
                return words
        return ""

    def _judge(self, look: _Look, at: int) -> None:
        told = [beat for when, beat in self._beats if when >= look.asked - self._terms.window_ns]
        if not told or not all(beat.ready and beat.linked for beat in told):
            return
        most = max(beat.open_orders for beat in told)
        words = f"{look.ours} orders of ours are at the venue, and it knows of {most}"
        self._doubt("orders", look.asked, look.ours > most, self._terms.orders_ns, words)
        for market, qty in look.positions.items():
            claimed = [Decimal(beat.positions[market]) for beat in told if market in beat.positions]
            wrong = bool(claimed) and not min(claimed) <= qty <= max(claimed)
            words = f"{market}: the venue has {qty}, and it says {claimed[-1] if claimed else 'nothing'}"
            self._doubt(f"position {market}", look.asked, wrong, self._terms.position_ns, words)

    def _doubt(self, name: str, seen: int, held: bool, grace: int, words: str) -> None:
        if not held:
            self._doubts.pop(name, None)
            return
        since = self._doubts[name][0] if name in self._doubts else seen
        self._doubts[name] = (since, seen, grace, words)


def _s(ns: int) -> str:
    return f"{ns / SECOND:.1f}"
