"""Our own rate limit, below the venue's, so that the venue never has to refuse: a refusal costs more than a wait.

    of 10 calls a second that the venue takes
    |<------ place, amend: 7 ------>|<- cancel: 9 ->|<- cancel_all ->|

Places and amends leave a share free, so a cancel finds room even in the second in which they used up theirs. The last
call below the venue's limit is left for cancel-all, which is never denied.

Bybit counts each endpoint apart; here all count together, which is stricter. What the venue's headers say of its own
budgets is the session's (`mmbot.venues.bybit.budget`), which paces what passes here by them. Not handled: the network,
which may deliver a second's calls in less than a second.

Source: https://bybit-exchange.github.io/docs/v5/rate-limit
"""

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


class Throttle(Strict):
    """The numbers of the throttle, and its function of (state, now, call).

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
            denial = self._deny(calls, call)
            if denial:
                return ThrottleState(calls_ns=calls), denial
        return ThrottleState(calls_ns=(*calls, now_ns)), _ALLOWED

    def room(self, call: Call) -> int:
        """Return how many calls of this kind fit into one window."""
        return self.max_calls if call == "cancel" else self.max_calls - self.reserved_for_cancels

    def _deny(self, calls: tuple[int, ...], call: Call) -> Ruling | None:
        most = self.room(call)
        if len(calls) < most:
            return None
        said = f"{len(calls)} calls in the last {self.window_ms:g} ms; expected fewer than {most} for a {call}, so wait"
        return Ruling(Denial.THROTTLED, said, calls[-most] + round(self.window_ms * _NS_PER_MS))
