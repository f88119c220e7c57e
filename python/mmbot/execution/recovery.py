"""What a run takes over from the one before, and when it may not trade yet: values and rules, no I/O.

    Chain        the runs whose orders one engine numbers: a number has one name for ever, and a name one number
    Estate       what the last journal says was left: orders, since when executions have to be asked for, coins
    owner_of     whose an order is that the venue lists and nobody here sent
    crash_loop   a process that has to recover again and again stops trading and waits for a person

An order's name holds the start of the run that sent it, so a journal that lost its tail (a disk that lied, an old
backup) gives no old name to a new order: names of lost orders have no number here, and their orders are orphans.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mmbot.execution.client_ids import ClientIds, parse
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["CRASH_LOOP", "OVERLAP_NS", "Chain", "Estate", "HeldOrder", "Owner", "crash_loop", "owner_of"]

SECOND = 1_000_000_000
OVERLAP_NS = 600 * SECOND
"""Executions are asked for from this long before the last look that agreed: the venue may list them late."""
CRASH_LOOP = (5, 600)
"""So many recoveries within so many seconds are a loop."""

Owner: TypeAlias = Literal["orphan", "foreign"]
"""An orphan bears a name that only a run of ours gives; anything else is somebody else's."""


def owner_of(client_id: str) -> Owner:
    """Tell whose an order is that the venue has and no journal knows. Only an orphan is ours to cancel."""
    return "foreign" if parse(client_id) is None else "orphan"


@dataclass(frozen=True, slots=True)
class Chain:
    """Runs that took over from one another, oldest first, each with the number of its first order."""

    runs: tuple[tuple[int, ClientIds], ...]

    @classmethod
    def of(cls, ids: ClientIds) -> Chain:
        """A run that takes over from nobody."""
        return cls(((1, ids),))

    @classmethod
    def read(cls, words: Iterable[Sequence[Any]]) -> Chain:
        """Read what `words` wrote. Raises ValueError or TypeError for anything else."""
        return cls(
            tuple((int(first), ClientIds(env=env, epoch_s=epoch, strategy=who)) for first, env, epoch, who in words)
        )

    def words(self) -> list[list[Any]]:
        """The chain for a journal."""
        return [[first, ids.env, ids.epoch_s, ids.strategy] for first, ids in self.runs]

    def then(self, first: int, ids: ClientIds) -> Chain:
        """The chain with one more run, whose orders are numbered from `first` on.

        A run that sent nothing needs no place in it.
        """
        return Chain((*(run for run in self.runs if run[0] < first), (first, ids)))

    def name(self, number: int) -> str:
        """Return the client id of an order. Raises ValueError for a number before the first."""
        for first, ids in reversed(self.runs):
            if number >= first:
                return ids.name(number)
        raise ValueError(f"order {number} is older than every run of the chain, which begins at {self.runs[0][0]}")

    def number(self, client_id: str) -> int | None:
        """Return the order of this name; None for a name that no run of the chain can have given."""
        upper: int | None = None
        for first, ids in reversed(self.runs):
            number = ids.sequence(client_id)
            if number is not None:
                return number if first <= number and (upper is None or number < upper) else None
            upper = first
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOrder:
    """One order that was not settled when the earlier run's journal ended."""

    number: int
    instrument: int
    client_id: str
    """Empty where somebody else placed it without one."""
    venue_id: str
    """The venue's own id, where the journal has it."""
    tick: int
    lots: int
    exists: bool
    """The venue has spoken of it: then it can be gone, but it cannot never have been there."""
    decided: int
    """When it was decided, ns since epoch: it was sent no earlier."""


@dataclass(frozen=True, kw_only=True)
class Estate:
    """What an earlier run left, as its own journal says; nothing in it has been compared with the venue yet."""

    journal: str
    """Where that journal lies, for people."""
    chain: Chain
    """Of all runs before this one."""
    next_number: int
    """The number of the next order."""
    began: int
    """When the first run of the chain began: executions before are not of its books. ns since epoch."""
    since: int
    """When the books last agreed with the venue's: executions are asked for from `OVERLAP_NS` before that."""
    orders: tuple[HeldOrder, ...] = ()
    custody: Mapping[str, Any] | None = None
    """What was known of the account's coins (`mmbot.execution.custody`)."""
    left_at: int = 0
    """Time of the journal's last entry."""
    ended: bool = False
    """The run ended in order."""
    lost: str = ""
    """What of the journal is missing, by an anchor that somebody else kept; empty where nothing is."""
    frozen: tuple[FreezeAsked, ...] = field(default=())
    """Reasons not to trade before anything else is looked at."""


def crash_loop(recoveries: Sequence[int], now: int, account: str) -> FreezeAsked | None:
    """Ask for a freeze where this recovery, the last of `recoveries`, is one too many. Times in ns since epoch."""
    times, span_s = CRASH_LOOP
    recent = [at for at in recoveries if at > now - span_s * SECOND]
    if len(recent) < times:
        return None
    reason = (
        f"{len(recent)} recoveries in {span_s} s, limit {times - 1}: the run dies again and again; read why in the "
        "journals of the last runs, mend it, then lift the freeze"
    )
    return FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("account", account), "crash_loop", reason, now)
