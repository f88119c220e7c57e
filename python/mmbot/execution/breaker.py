"""When the venue says that it is asked too much, we stop asking, all of us, and come back with one order first.

             trouble                   open_s later                the probe is answered
    CLOSED ───────────▶ OPEN ─────────────────────────▶ HALF_OPEN ───────────────────────▶ CLOSED
                          ▲                                 │
                          └──────── trouble again ──────────┘

Cancels pass in every phase: an open breaker must not hold an order at the venue. They are no probe either.

OPEN ends by the clock alone, which is an argument; nothing sleeps. Nothing that it holds is tried again by anybody:
places and amends are decided anew. Questions pass: they are how an order of unknown outcome is resolved.
"""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Call, Denial, Ruling

__all__ = ["Breaker", "BreakerEvent", "BreakerState", "Phase", "Trouble"]

_NS_PER_SECOND = 1_000_000_000
_ALLOWED = Ruling()


class Phase(StrEnum):
    """Where the breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Trouble(StrEnum):
    """What the venue said, beyond the order at hand. Bybit's words for it are in the brackets."""

    RATE_LIMITED = "rate_limited"
    """One call too many (10006). It happens; a burst of it trips."""
    OVERLOADED = "overloaded"
    """The venue protects itself (HTTP 429, 10429). Trips at once."""
    BANNED = "banned"
    """Our address asked too much (HTTP 403). Trips at once, and for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerState:
    """What the breaker remembers; plain numbers, so that it can be kept over a restart. Start with `BreakerState()`."""

    open_until_ns: int | None = None
    """End of OPEN, ns since epoch; None while closed."""
    probe_ns: int | None = None
    """When the probe was let through; None while there is none."""
    limited_ns: tuple[int, ...] = ()
    """Refusals for rate that may become a burst, oldest first."""

    def phase(self, now_ns: int) -> Phase:
        """Return where the breaker stands."""
        if self.open_until_ns is None:
            return Phase.CLOSED
        return Phase.OPEN if now_ns < self.open_until_ns else Phase.HALF_OPEN

    def gauge(self, now_ns: int) -> int:
        """Return the metric `circuit_breaker_state`: 1 while open, else 0."""
        return int(self.phase(now_ns) is Phase.OPEN)


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """The breaker moved: something for the log and an operator."""

    name: Literal["circuit_breaker_tripped", "circuit_breaker_closed"]
    said: str
    until_ns: int | None = None
    """End of OPEN, ns since epoch; None when it closed."""


class Breaker(Strict):
    """The numbers of the breaker, and its functions of (state, now, …). Times are ns since epoch."""

    open_s: float = Field(default=60.0, gt=0)
    """How long it stays open."""
    banned_s: float = Field(default=600.0, gt=0)
    """How long after a ban of our address; Bybit asks for ten minutes at least."""
    burst: int = Field(default=3, ge=1)
    """Refusals for rate that trip it."""
    burst_window_s: float = Field(default=5.0, gt=0)
    """Within how long."""
    probe_s: float = Field(default=5.0, gt=0)
    """How long a probe may go unanswered before another order may be one."""

    def ask(self, state: BreakerState, now_ns: int, call: Call) -> tuple[BreakerState, Ruling]:
        """Ask whether a call may go out now. In HALF_OPEN the first order that asks becomes the probe."""
        phase = state.phase(now_ns)
        if phase is Phase.CLOSED or call in ("cancel", "cancel_all"):
            return state, _ALLOWED
        if phase is Phase.OPEN:
            said = "the breaker is open because the venue was asked too much; wait, cancels pass"
            return state, Ruling(Denial.BREAKER_OPEN, said, state.open_until_ns)
        if state.probe_ns is not None:
            patience_ns = state.probe_ns + round(self.probe_s * _NS_PER_SECOND)
            if now_ns < patience_ns:
                said = "the breaker is half open and its probe is not answered; wait, cancels pass"
                return state, Ruling(Denial.BREAKER_OPEN, said, patience_ns)
        return dataclasses.replace(state, probe_ns=now_ns), _ALLOWED

    def troubled(self, state: BreakerState, now_ns: int, trouble: Trouble) -> tuple[BreakerState, BreakerEvent | None]:
        """Hear trouble, whatever call it answered. The event is None when the breaker stays where it was.

        Trouble while open moves the end on. In HALF_OPEN one refusal for rate is enough.
        """
        phase = state.phase(now_ns)
        if trouble is Trouble.RATE_LIMITED and phase is Phase.CLOSED:
            start = now_ns - round(self.burst_window_s * _NS_PER_SECOND)
            limited = (*(ns for ns in state.limited_ns if ns > start), now_ns)
            if len(limited) < self.burst:
                return dataclasses.replace(state, limited_ns=limited), None
        open_s = self.banned_s if trouble is Trouble.BANNED else self.open_s
        until_ns = max(state.open_until_ns or 0, now_ns + round(open_s * _NS_PER_SECOND))
        said = f"the venue says {trouble}: no places and no amends for {open_s:g} s, cancels pass"
        tripped = None if phase is Phase.OPEN else BreakerEvent("circuit_breaker_tripped", said, until_ns)
        return BreakerState(open_until_ns=until_ns), tripped

    def answered(self, state: BreakerState, now_ns: int) -> tuple[BreakerState, BreakerEvent | None]:
        """Hear an ordinary answer to a place or an amend, be it yes or no. It closes the breaker if a probe is out."""
        if state.probe_ns is None or state.phase(now_ns) is not Phase.HALF_OPEN:
            return state, None
        return BreakerState(), BreakerEvent("circuit_breaker_closed", "the venue answered the probe; orders pass again")
