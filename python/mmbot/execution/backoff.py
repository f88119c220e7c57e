"""How often something that failed is tried again, and after which waits.

    place, amend    never                   the venue may have it: it is asked for by its client id, as follows
    UNKNOWN_ORDERS  0.25, 0.5, 1, 2, 2 … s  what became of an order without an answer
    CANCELS         0.2, 0.4, 0.8, 1 s      one cancel; gone twice is gone once
    ORDER_CALLS     4, 8, 16 s              an order of a cancel-all for which every way to the venue failed
    FORCED_CALLS    1, 2, 4 s               the same by force
    READS           0.25, 0.5, 1 s          what is asked about orders and the account, while something waits for it
    LISTINGS        2, 5, 10 s              what is asked before anything trades

Tried again is what failed on the way: no answer, 5xx, a busy venue. What the venue refuses (4xx) is not, and 429 is the
breaker's. Delays are listed, not computed, so that what is waited is what is read here. They follow the failure, and
nothing sleeps: the time is an argument, and who asks waits by its own clock. Not handled: jitter, which a session adds
where many clients could come back at once.
"""

from pydantic import Field

from mmbot.config import Strict

__all__ = ["CANCELS", "FORCED_CALLS", "LISTINGS", "ORDER_CALLS", "READS", "UNKNOWN_ORDERS", "Backoff"]

_NS_PER_SECOND = 1_000_000_000


class Backoff(Strict):
    """The waits after the first failure, the second, and so on."""

    delays_s: tuple[float, ...] = Field(min_length=1)
    """Seconds after each failure."""
    endless: bool = False
    """Whether the last delay repeats; otherwise the failure after it is final."""

    def delay_s(self, failures: int) -> float | None:
        """Return the wait after so many failures in a row, seconds; None to give up.

        Raises ValueError for less than one failure.
        """
        if failures < 1:
            raise ValueError(f"failures is {failures}; expected at least the one that happened")
        if failures > len(self.delays_s) and not self.endless:
            return None
        return self.delays_s[min(failures, len(self.delays_s)) - 1]

    def next_ns(self, failures: int, now_ns: int) -> int | None:
        """Return when to try again after so many failures in a row, ns since epoch; None to give up.

        Raises ValueError for less than one failure.
        """
        delay_s = self.delay_s(failures)
        return None if delay_s is None else now_ns + round(delay_s * _NS_PER_SECOND)


ORDER_CALLS = Backoff(delays_s=(4.0, 8.0, 16.0))
"""An order of a cancel-all: after the fourth failure an operator has to know."""
FORCED_CALLS = Backoff(delays_s=(1.0, 2.0, 4.0))
"""The same, by force."""
CANCELS = Backoff(delays_s=(0.2, 0.4, 0.8, 1.0))
"""One cancel; after the last failure it is unanswered, and its order is asked about."""
READS = Backoff(delays_s=(0.25, 0.5, 1.0))
"""Anything about orders and the account that only asks."""
LISTINGS = Backoff(delays_s=(2.0, 5.0, 10.0))
"""Anything that is asked before anything trades."""
UNKNOWN_ORDERS = Backoff(delays_s=(0.25, 0.5, 1.0, 2.0), endless=True)
"""Asking for an order whose outcome is not known: until it is, because it counts as exposure all the while."""
