"""The answer of every check on an action: allowed, or denied with a reason, a sentence, and when to ask again."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["LEAD_NS", "Call", "Denial", "Ruling"]

LEAD_NS = 5_000_000
"""How far a decision's time may lie ahead of the clock of who checks its age: both read the clock of one machine, and
each input of the core takes a moment of its own."""

Call = Literal["place", "amend", "cancel", "cancel_all"]
"""What is asked of the venue. The first two may add risk, the last two only take it away."""


class Denial(StrEnum):
    """Why an action was denied; the value is the label that metrics use."""

    TAKER_SHARE = "taker_share"
    DECISION_AGE = "decision_age"
    THROTTLED = "throttled"
    BREAKER_OPEN = "breaker_open"
    MIN_QTY = "min_qty"
    CROSS_PRICE = "cross_price"
    RISK_LIMIT = "risk_limit"


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether an action may go ahead."""

    denial: Denial | None = None
    """None: it may."""
    said: str = ""
    """Measured, expected, and what to do, in a sentence."""
    retry_ns: int | None = None
    """Earliest time, ns since epoch, at which this denial alone no longer holds; None where waiting does not help."""

    @property
    def allowed(self) -> bool:
        """Whether the action may go ahead."""
        return self.denial is None
