"""Our own rate limit, below the venue's, so that the venue never has to refuse: a refusal costs more than a wait.

    of 10 calls a second that the venue takes
    |<------ place, amend: 7 ------>|<- cancel: 9 ->|<- cancel_all ->|

Places and amends leave a share free, so a cancel finds room even in the second in which they used up theirs. The last
call below the venue's limit is left for cancel-all, which is never denied.

Bybit counts each endpoint apart; here all count together, which is stricter. Not handled: the network, which may
deliver a second's calls in less than a second; and other programs that spend the same account's budget, unless the
venue's headers tell.

Source: https://bybit-exchange.github.io/docs/v5/rate-limit
"""

import dataclasses
from bisect import bisect_right
from dataclasses import dataclass

from pydantic import Field, model_validator

from mmbot.config import Strict
from mmbot.execution.ruling import Call, Denial, Ruling

__all__ = ["Throttle", "ThrottleState"]

_NS_PER_MS = 1_000_000
_ALLOWED = Ruling()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleState:
    """What the throttle remembers. Start with `ThrottleState()`."""

    calls_ns: tuple[int, ...] = ()
    """Calls within the window, oldest first, ns since epoch."""
    venue_limit: int | None = None
    """Calls per window that the venue last said it takes; None before it said so."""
    held_until_ns: int = 0
    """Until then the venue takes no place and no amend, ns since epoch."""


class Throttle(Strict):
    """The numbers of the throttle, and its two functions of (state, now, …).

    The window is any stretch of its length that ends now, its beginning excluded. Times are ns since epoch and may
    not go back: `ask` raises ValueError if they do.
    """

    max_calls: int = Field(default=9, ge=1)
    """Calls within the window, cancel-alls aside."""
    window_ms: float = Field(default=1_000.0, gt=0)
    """Its length."""
    reserved_for_cancels: int = Field(default=2, ge=0)
    """How many of the calls places and amends leave to cancels."""

    @model_validator(mode="after")
    def _leaves_room_for_orders(self) -> "Throttle":
        if self.reserved_for_cancels >= self.max_calls:
            told = f"reserved_for_cancels is {self.reserved_for_cancels} of max_calls {self.max_calls}"
            raise ValueError(f"{told}; expected fewer, or no order could be placed")
        return self

    @classmethod
    def of(cls, max_calls: int) -> "Throttle":
        """A throttle of so many calls a second that keeps about a fifth of them for cancels."""
        return cls(max_calls=max_calls, reserved_for_cancels=round(max_calls / 5))

    def ask(self, state: ThrottleState, now_ns: int, call: Call) -> tuple[ThrottleState, Ruling]:
        """Spend a call, if there is one. A denial says from when on there is."""
        if state.calls_ns and now_ns < state.calls_ns[-1]:
            raise ValueError(f"now_ns is {now_ns}, before the last call at {state.calls_ns[-1]}; time has to go on")
        start = now_ns - round(self.window_ms * _NS_PER_MS)
        calls = state.calls_ns[bisect_right(state.calls_ns, start) :]
        if call != "cancel_all":
            denial = self._deny(state, now_ns, calls, call)
            if denial:
                return dataclasses.replace(state, calls_ns=calls), denial
        spent = ThrottleState(
            calls_ns=(*calls, now_ns), venue_limit=state.venue_limit, held_until_ns=state.held_until_ns
        )
        return spent, _ALLOWED

    def heard(
        self, state: ThrottleState, *, limit: int | None = None, held_until_ns: int | None = None
    ) -> ThrottleState:
        """Take the venue's word, from the headers of an answer.

        limit: calls per window that it takes (`X-Bapi-Limit`). We stay one below it where that is less than our own
        number; a higher one raises nothing. held_until_ns: after a refusal, when it takes calls again
        (`X-Bapi-Limit-Reset-Timestamp`).
        """
        return dataclasses.replace(
            state,
            venue_limit=state.venue_limit if limit is None else limit,
            held_until_ns=max(state.held_until_ns, held_until_ns or 0),
        )

    def room(self, state: ThrottleState, call: Call) -> int:
        """Return how many calls of this kind fit into one window."""
        most = self.max_calls if state.venue_limit is None else max(1, min(self.max_calls, state.venue_limit - 1))
        return most if call == "cancel" else max(1, most - self.reserved_for_cancels)

    def _deny(self, state: ThrottleState, now_ns: int, calls: tuple[int, ...], call: Call) -> Ruling | None:
        if call != "cancel" and now_ns < state.held_until_ns:
            said = f"the venue refused for too many calls; {call} again when it takes them, cancels pass"
            return Ruling(Denial.THROTTLED, said, state.held_until_ns)
        most = self.room(state, call)
        if len(calls) < most:
            return None
        said = f"{len(calls)} calls in the last {self.window_ms:g} ms; expected fewer than {most} for a {call}, so wait"
        return Ruling(Denial.THROTTLED, said, calls[-most] + round(self.window_ms * _NS_PER_MS))
