"""One trader on an account, at a venue that knows nothing of leases: the venue's own window for a request's age fences.

    old leader   ts ─ check ─ sign with ts ─ pause of any length ─ send          refused by the venue after ts + R
                     └ refused from expiry − guard on
    lease        ──────────────────── expiry
    new leader                           │ take ── R + 2ε + M after expiry ── first create

A lease alone does not do it: whoever holds one may be stopped between looking at it and sending. So the time of the
request is read first, then it is compared with the lease, then the request is signed with that very time. However late
it leaves, the venue refuses it once it is older than R, its receive window; and the new leader waits for that long.

**Why the lease's end is kept in the venue's time**, as it was estimated when the renewal was asked for, and compared
with the request's own time, and not with a clock of this machine: a suspended machine stops all of its clocks. Its
requests then carry an old time, which the venue refuses; once its clock is measured anew the comparison refuses them.

**What it leans on.** The estimate of the venue's time is off by at most ε on either side; clocks run at the same speed
to within M over one lease; M ≥ ε. An old create is accepted before expiry + ε + R, a new one after expiry + R + M.

**Who may take it.** Only who saw the row of the lease unchanged for its whole time, by a clock of his own that does not
go back. So neither a server whose clock jumps nor one that came back with an older row hands out a lease that is held.

Source: Kleppmann on Redlock; docs/reliability.md. Not handled: a venue without a receive window, which leaves one host,
its lock, and the revocation of its key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

__all__ = ["NEVER_NS", "FenceTerms", "LeaseFence", "LeaseRow", "Watched", "watch"]

NEVER_NS = 1 << 62
"""The end of what does not end, ns since epoch."""
_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceTerms:
    """What the arithmetic leans on, ns. Raises ValueError where the margin does not cover the clock's error."""

    recv_window_ns: int = 2_000 * _MS
    """R: the venue refuses a request that is older."""
    clock_error_ns: int = 250 * _MS
    """ε: how far the estimate of the venue's time may be off; nothing is sent while it may be off by more."""
    margin_ns: int = 500 * _MS
    """M: for clocks of different speed, and the third ε."""
    guard_ns: int = 50 * _MS
    """Nothing is signed so close to the end of the lease."""

    def __post_init__(self) -> None:
        if min(self.recv_window_ns, self.clock_error_ns, self.guard_ns) < 0 or self.margin_ns < self.clock_error_ns:
            raise ValueError(f"{self}: expected times of at least 0 and a margin that covers the clock's error")

    @property
    def handover_ns(self) -> int:
        """From the end of a lease to the first create of the next holder: R + 2ε + M."""
        return self.recv_window_ns + 2 * self.clock_error_ns + self.margin_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseFence:
    """What one holder of the lease may sign. Times are the venue's, ns since epoch."""

    epoch: int
    """Grows with every holder; names of orders, guardian and gateway carry it."""
    first_ns: int = 0
    """No create before: the former holder's may still arrive."""
    until_ns: int = NEVER_NS
    """The end of the lease; `NEVER_NS` where it ends with the process."""
    terms: FenceTerms = dataclasses.field(default_factory=FenceTerms)

    def why_not(self, ts_ns: int) -> str:
        """Say why a create or an amend signed with this time may not leave; "" where it may.

        Call it after the time was read, and sign with that time and no other. Cancels are not asked about: they pass.
        """
        if ts_ns < self.first_ns:
            wait_s = (self.first_ns - ts_ns) / 1e9
            return f"epoch {self.epoch} begins in {wait_s:.2f} s, when the former leader's requests have expired"
        if self.until_ns <= ts_ns + self.terms.guard_ns:
            late_s = (ts_ns - self.until_ns) / 1e9
            return f"the lease of epoch {self.epoch} was not renewed: over by {late_s:.2f} s; cancels pass"
        return ""

    def turns_ns(self, ts_ns: int) -> int:
        """When `why_not` says something else than it says at this time, if nobody renews."""
        return self.first_ns if ts_ns < self.first_ns else self.until_ns - self.terms.guard_ns

    def renewed(self, asked_ns: int, ttl_ns: int) -> LeaseFence:
        """The fence after a renewal that was asked for at this time, read before the request left."""
        return dataclasses.replace(self, until_ns=max(self.until_ns, asked_ns + ttl_ns))

    @classmethod
    def taken(  # noqa: PLR0917 the moments of one hand-over, in their order
        cls, epoch: int, asked_ns: int, heard_ns: int, ttl_ns: int, over_for_ns: int | None, terms: FenceTerms
    ) -> LeaseFence:
        """The fence of a lease that was just taken.

        asked_ns, heard_ns: the venue's time before the request and after its answer. over_for_ns: for how long the
        former lease was over by then, at least; None where nobody ever held it.
        """
        first_ns = 0 if over_for_ns is None else heard_ns - max(0, over_for_ns) + terms.handover_ns
        return cls(epoch=epoch, first_ns=first_ns, until_ns=asked_ns + ttl_ns, terms=terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRow:
    """What the keeper of leases says of one account."""

    epoch: int
    beat: int
    """Grows with every take and renewal."""
    holder: str
    """Who holds it, for people; "" where it was given back."""
    ttl_ns: int
    left_ns: int
    """Until it ends by the keeper's own clock; negative where it is over."""
    build: str = ""
    """Hash of the program that may hold it; "" where nobody held it yet."""
    config: str = ""
    """Hash of the configuration that it runs."""

    @property
    def free(self) -> bool:
        """Nobody holds it: nobody ever did, or it was given back."""
        return not self.holder


@dataclass(frozen=True, slots=True)
class Watched:
    """What a candidate saw: one state of the row, and since when, by its own clock."""

    epoch: int = -1
    beat: int = -1
    since_ns: int = 0

    def over_for_ns(self, row: LeaseRow, now_ns: int) -> int:
        """For how long the lease is over for certain: the keeper's word, and no more than we saw ourselves."""
        seen_ns = now_ns - self.since_ns - row.ttl_ns if (row.epoch, row.beat) == (self.epoch, self.beat) else 0
        return max(0, min(-row.left_ns, seen_ns))


def watch(seen: Watched, row: LeaseRow, now_ns: int) -> tuple[Watched, bool]:
    """Look at the row; say whether a candidate may try to take it.

    now_ns: a clock of this process that does not go back. It may where the lease is free, or over by the keeper's clock
    and unchanged for its whole time by ours.
    """
    if (row.epoch, row.beat) != (seen.epoch, seen.beat):
        seen = Watched(row.epoch, row.beat, now_ns)
    return seen, row.free or (row.left_ns <= 0 and now_ns - seen.since_ns >= row.ttl_ns)
