"""The coins of the account: what they were when they last agreed, what moved them since, and whether that explains what
there is now, to the last unit.

    proven balance ── posting, posting, posting ──▶ balance          each posting's own sum is checked
        trade, funding   explained by an execution that we heard
        transfer         explained by a person, who moved coins: told, and counted
        other            explained by nobody: a break

The balance is read first and the postings after it, so a posting may be newer than the balance: what there is has to
be the proven balance or the balance after one of the postings. What does not fit yet may be late, so it is looked at
again; the same difference twice is a break. Nothing is corrected here.

Amounts are whole 10^-12 of a coin. Sans I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mmbot.execution.reconcile import Break, BreakKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["CashReport", "Custody", "Moved"]

OVERLAP_NS = 60_000_000_000
"""Postings are asked for from this long before the newest that was counted: the venue may list them late, and its clock
may be set back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One change of one coin, as the venue's statement has it."""

    posting_id: str
    coin: str
    kind: Literal["trade", "funding", "transfer", "other"]
    said: str
    """The venue's own word."""
    change: int
    balance: int
    """What was there afterwards."""
    execution_id: str
    ts_venue: int


@dataclass(frozen=True, kw_only=True)
class CashReport:
    """What one look at the coins found."""

    breaks: tuple[Break, ...] = ()
    """What nothing explains, seen twice."""
    deferred: tuple[Break, ...] = ()
    """What is not explained yet: looked at again."""
    transfers: tuple[Moved, ...] = ()
    """Coins that a person moved: no break, and worth telling."""
    compared: int = 0

    @property
    def clean(self) -> bool:
        """Everything is explained."""
        return not self.breaks and not self.deferred


@dataclass(slots=True)
class Custody:
    """Coins in our care, by their last proven balance."""

    proven: dict[str, int]
    since: int
    """Venue time of the newest posting that was counted, or when custody began. ns since epoch."""
    began: dict[str, int]
    """Balances when custody began."""
    transferred: dict[str, int] = field(default_factory=dict)
    """What people moved in and out since."""
    _counted: dict[str, int] = field(default_factory=dict)
    """Postings that were counted and may be told again, with their times."""
    _before: tuple[Break, ...] = ()

    @classmethod
    def begin(cls, balances: Mapping[str, int], postings: Sequence[Moved], now: int) -> Custody:
        """Take care of coins from now on.

        postings: the latest ones, read after the balances. Those up to the one that left the balance are in it; which
        they are is told by that balance, not by a time, for two clocks are two clocks.
        """
        counted: dict[str, int] = {}
        for coin in sorted({one.coin for one in postings}):
            older = [one for one in postings if one.coin == coin]
            while older and older[-1].balance != balances.get(coin, 0):
                older.pop()
            counted |= {one.posting_id: one.ts_venue for one in older}
        return cls(dict(balances), now, dict(balances), {}, counted)

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Custody:
        """Read what `words` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        amounts = [{str(k): int(v) for k, v in words[name].items()} for name in ("proven", "transferred", "began")]
        counted = {str(k): int(v) for k, v in words["counted"].items()}
        proven, transferred, began = amounts
        return cls(proven, int(words["since"]), began, transferred, counted)

    def words(self) -> dict[str, Any]:
        """What is known, for a journal."""
        return {
            "proven": self.proven,
            "since": self.since,
            "transferred": self.transferred,
            "began": self.began,
            "counted": self._counted,
        }

    @property
    def asks_since(self) -> int:
        """From when on postings are asked for."""
        return self.since - OVERLAP_NS

    def look(self, balances: Mapping[str, int], postings: Sequence[Moved], known: Callable[[str], bool]) -> CashReport:
        """Compare, and count what was explained if everything was.

        balances: read before the postings. postings: from `asks_since` on, oldest first. known: tells the executions
        that we heard.
        """
        fresh = [one for one in postings if one.posting_id not in self._counted]
        found = [one for one in map(self._unexplained(known), fresh) if one is not None]
        found += self._differences(balances, fresh)
        compared = len({*self.proven, *balances})
        if found:
            sure = tuple(one for one in found if any(one.repeats(before) for before in self._before))
            self._before = tuple(found)
            return CashReport(breaks=sure, deferred=tuple(one for one in found if one not in sure), compared=compared)
        self._count(fresh)
        return CashReport(transfers=tuple(one for one in fresh if one.kind == "transfer"), compared=compared)

    def _count(self, fresh: Sequence[Moved]) -> None:
        for one in fresh:
            self.proven[one.coin] = self.proven.get(one.coin, 0) + one.change
            self._counted[one.posting_id] = one.ts_venue
            self.since = max(self.since, one.ts_venue)
            if one.kind == "transfer":
                self.transferred[one.coin] = self.transferred.get(one.coin, 0) + one.change
        self._counted = {name: ts for name, ts in self._counted.items() if ts >= self.asks_since}
        self._before = ()

    @staticmethod
    def _unexplained(known: Callable[[str], bool]) -> Callable[[Moved], Break | None]:
        def judge(one: Moved) -> Break | None:
            explained = one.kind == "transfer" or (
                one.kind in ("trade", "funding") and (known(one.execution_id) or not one.execution_id)
            )
            name = f"{one.coin} {one.said} {one.execution_id or one.posting_id}"
            return None if explained else Break(BreakKind.CASH, name, "", None, one.change)

        return judge

    def _differences(self, balances: Mapping[str, int], fresh: Sequence[Moved]) -> list[Break]:
        found = []
        for coin in sorted({*self.proven, *balances, *(one.coin for one in fresh)}):
            total = self.proven.get(coin, 0)
            path = [total]
            for one in fresh:
                if one.coin == coin:
                    total += one.change
                    path.append(total)
                    if one.balance != total:
                        found.append(Break(BreakKind.CASH, coin, "", total, one.balance))
                        break
            if balances.get(coin, 0) not in path:
                found.append(Break(BreakKind.CASH, coin, "", path[-1], balances.get(coin, 0)))
        return found
