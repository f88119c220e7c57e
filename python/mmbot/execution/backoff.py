"""How long to wait before asking again, and what is never asked again.

    place       never       the venue may have it: ask for it by its client id (`UNKNOWN_ORDERS`), do not send it twice
    amend       never       what was wanted then is not what is wanted now: the strategy will say
    cancel      4, 8, 16 s  gone is gone, however often it is asked for; the breaker does not hold it
    cancel_all  4, 8, 16 s  likewise
    read        2, 5, 10 s  changes nothing

Delays are listed, not computed, so that what is waited is what is read here. They follow the failure; nothing sleeps.
Not handled: jitter, which the session adds where many clients could come back at once.
"""

from typing import Literal

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Call

__all__ = ["ORDER_CALLS", "READS", "UNKNOWN_ORDERS", "Backoff"]

_NS_PER_SECOND = 1_000_000_000


class Backoff(Strict):
    """The waits after the first failure, the second, and so on."""

    delays_s: tuple[float, ...] = Field(default=(4.0, 8.0, 16.0), min_length=1)
    """Seconds after each failure."""
    endless: bool = False
    """Whether the last delay repeats; otherwise the failure after it is final."""

    def next_ns(
        self, call: Call | Literal["read"], failures: int, now_ns: int, *, open_until_ns: int | None = None
    ) -> int | None:
        """Return when to try again after so many failures in a row, ns since epoch; None to give up.

        open_until_ns: end of an open breaker, which everything but a cancel waits for, so that no attempt is spent on
        a call that would not leave. Raises ValueError for less than one failure.
        """
        if failures < 1:
            raise ValueError(f"failures is {failures}; expected at least the one that happened")
        if call in ("place", "amend") or (failures > len(self.delays_s) and not self.endless):
            return None
        delay_s = self.delays_s[min(failures, len(self.delays_s)) - 1]
        due_ns = now_ns + round(delay_s * _NS_PER_SECOND)
        return due_ns if call in ("cancel", "cancel_all") else max(due_ns, open_until_ns or 0)


ORDER_CALLS = Backoff()
"""Cancels: 4, 8 and 16 s after a failure, then an operator has to know."""
READS = Backoff(delays_s=(2.0, 5.0, 10.0))
"""Anything that only asks."""
UNKNOWN_ORDERS = Backoff(delays_s=(0.25, 0.5, 1.0, 2.0), endless=True)
"""Asking for an order whose outcome is not known: until it is, because it counts as exposure all the while."""
