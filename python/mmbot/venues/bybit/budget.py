"""How many requests may leave now: rolling one-second budgets that the venue's own headers teach.

    group        place 10/s        cancel 10/s        reads 50/s each        address 120/s: all over HTTP
                 ├──────────┤      ├───────┬──┤                              ├──────────────────┬──┤
                                   ordinary  └ kept for the last resort: cancels asked twice, cancel-all

Each group of paths has its own budget, as at the venue, and "group:part" one of its own again (spot is counted apart
from contracts, each read apart from others); a batch spends one for each of its orders. Before the first answer the
documented limits of an ordinary account hold. When the venue says that nothing is left, nothing leaves until its reset
time.
Source: Bybit v5 documents, "Rate limit rules".
"""

from collections import deque
from collections.abc import Mapping

__all__ = ["DOCUMENTED", "RateBudget"]

DOCUMENTED: Mapping[str, int] = {
    "place": 10,
    "amend": 10,
    "cancel": 10,
    "place-batch": 10,
    "amend-batch": 10,
    "cancel-batch": 10,
    "cancel-all": 10,
    "read": 50,
    "account": 5,
    "address": 120,
}
"""Requests per second of an ordinary account, by group: the smallest of its categories."""

_SECOND = 1_000_000_000
_FAR = 60 * _SECOND


class _Bucket:
    """One group's last second."""

    __slots__ = ("blocked_until", "limit", "spent", "total")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.spent: deque[tuple[int, int]] = deque()  # (when, weight), oldest first; no older than a second
        self.total = 0
        self.blocked_until = 0


class RateBudget:
    """Budgets of one account. Times are any clock's, ns, that does not run back."""

    def __init__(self, reserve: float = 0.2, limits: Mapping[str, int] = DOCUMENTED) -> None:
        """`reserve` is the share of the cancels' and the address's budgets that only urgent requests may spend."""
        if not 0 <= reserve < 1:
            raise ValueError(f"reserve {reserve} is no share; expected 0 up to, not including, 1")
        self._reserve = reserve
        self._limits = limits
        self._buckets: dict[str, _Bucket] = {}

    def _bucket(self, group: str) -> _Bucket:
        bucket = self._buckets.get(group)
        if bucket is None:
            bucket = self._buckets[group] = _Bucket(self._limits[group.partition(":")[0]])
        return bucket

    def take(self, group: str, now: int, weight: int = 1, *, urgent: bool = False) -> int:
        """Spend from a group. Returns 0, or how many ns to wait before asking again; then nothing was spent.

        A weight beyond the whole budget waits for an idle second and then passes: the venue says how much of it fits.
        """
        bucket = self._bucket(group)
        if now < bucket.blocked_until:
            return bucket.blocked_until - now
        spent = bucket.spent
        while spent and spent[0][0] <= now - _SECOND:
            bucket.total -= spent.popleft()[1]
        limit = bucket.limit
        if not urgent and group.startswith(("cancel", "address")):
            limit = max(1, int(limit * (1 - self._reserve)))
        if bucket.total + weight > limit and spent:
            return spent[0][0] + _SECOND - now
        self._spend(bucket, now, weight)
        return 0

    def count(self, group: str, now: int) -> None:
        """Spend from a group what leaves whether it is within the budget or not."""
        self._spend(self._bucket(group), now, 1)

    def _spend(self, bucket: _Bucket, now: int, weight: int) -> None:
        bucket.spent.append((now, weight))
        bucket.total += weight

    def learn(self, group: str, now: int, limit: int | None, remaining: int | None, reset: int | None) -> None:
        """Take over what an answer's headers say. `reset` is in the clock of `now`; it counts where nothing remains."""
        bucket = self._bucket(group)
        if limit is not None and limit > 0:
            bucket.limit = limit
        if remaining == 0 and reset is not None:
            bucket.blocked_until = max(bucket.blocked_until, min(reset, now + _FAR))

    def refused(self, group: str, now: int, reset: int | None) -> int:
        """The venue refused for the rate. Returns how many ns to leave this group alone."""
        bucket = self._bucket(group)
        until = now + _SECOND if reset is None or reset <= now else min(reset, now + _FAR)
        bucket.blocked_until = max(bucket.blocked_until, until)
        return bucket.blocked_until - now

    def limit(self, group: str) -> int:
        """What is believed to be allowed per second."""
        return self._bucket(group).limit
