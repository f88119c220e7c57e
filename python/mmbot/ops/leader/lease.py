"""What a keeper of leases is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from mmbot.execution.lease import LeaseRow

__all__ = ["DeposedError", "Lease", "LeaseRefusedError", "LeaseUnreachableError", "Taken"]


class LeaseRefusedError(VenueError):
    """This process may not lead here: another does for good, or it is not what the fleet runs."""


class DeposedError(VenueError):
    """Another process took the lease, or an operator took it away: this one never leads again."""


class LeaseUnreachableError(VenueError):
    """The keeper did not answer in time: nothing is known. Whoever leads goes on until the lease is over."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease that was just taken."""

    epoch: int
    over_for_ns: int | None
    """For how long the former one was over, by the keeper's clock; None where no former holder's request can arrive."""


class Lease(Protocol):
    """A keeper of one account's lease, as one candidate sees it. Every call ends within a bounded time."""

    async def read(self) -> LeaseRow:
        """The row as it is. Raises LeaseUnreachableError, LeaseRefusedError."""

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Take what was seen to be free or over; None where somebody was faster. Raises as above."""

    async def renew(self) -> None:
        """Keep it. Raises DeposedError, LeaseUnreachableError."""

    async def release(self, *, clean: bool) -> None:
        """Give it back; clean: the venue has no order of ours, and no request of ours can arrive any more."""
