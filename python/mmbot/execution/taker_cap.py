"""How much of what we trade may be taken: a maker that crosses the spread too often pays what it set out to earn.

    share = taken / (made + taken), over a rolling window, in percent

What many call the maker/taker ratio is a share too, made / (made + taken): the two add up to 100 %.
"""

import math
from dataclasses import dataclass, replace

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Denial, Ruling

__all__ = ["TakerCap", "TakerCapState"]

_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class TakerCapState:
    """Our fills within the window, oldest first: (ns since epoch, amount made, amount taken)."""

    fills: tuple[tuple[int, float, float], ...] = ()

    @property
    def share_pct(self) -> float | None:
        """Percent of the amount that was taken; None before the first fill."""
        return self.share_pct_with(0.0)

    def share_pct_with(self, taken: float) -> float | None:
        """Percent of the amount, if so much more was taken; None while there is nothing to share."""
        made = math.fsum(fill[1] for fill in self.fills)
        taken = math.fsum((taken, *(fill[2] for fill in self.fills)))
        return 100.0 * taken / (made + taken) if made + taken > 0.0 else None


class TakerCap(Strict):
    """The cap and its window. Amounts are notional in one currency, or 1 each to count fills; never both."""

    max_taker_share_pct: float = Field(default=9.0, ge=0, le=100)
    """Share up to which, itself included, taker actions are allowed, percent."""
    window_s: float = Field(default=900.0, gt=0)
    """How long a fill counts, seconds."""

    def fill(self, state: TakerCapState, now_ns: int, *, taker: bool, amount: float = 1.0) -> TakerCapState:
        """Remember a fill of ours. Raises ValueError for an amount not above zero and for a time that goes back."""
        if not 0.0 < amount < math.inf:
            raise ValueError(f"amount is {amount!r}; expected a finite number above zero")
        state = self._in_window(state, now_ns)
        booked = (now_ns, 0.0, amount) if taker else (now_ns, amount, 0.0)
        return replace(state, fills=(*state.fills, booked))

    def check(self, state: TakerCapState, now_ns: int, *, amount: float = 0.0) -> tuple[TakerCapState, Ruling]:
        """Ask whether an order may take now.

        amount: what it would take. At zero the past alone is judged, so one large order may jump over the cap and only
        the next one is denied; told the amount, the cap holds after it too.

        Raises ValueError for an amount that is negative or not finite, and for a time that goes back.
        """
        if not 0.0 <= amount < math.inf:
            raise ValueError(f"amount is {amount!r}; expected a finite number, zero or above")
        state = self._in_window(state, now_ns)
        share = state.share_pct_with(amount)
        if share is None or share <= self.max_taker_share_pct:
            return state, Ruling()
        said = f"taker share would be {share} %; expected at most {self.max_taker_share_pct} %, so rest instead"
        return state, Ruling(Denial.TAKER_SHARE, said if amount else said.replace("would be", "is"))

    def _in_window(self, state: TakerCapState, now_ns: int) -> TakerCapState:
        if state.fills and now_ns < state.fills[-1][0]:
            raise ValueError(f"now_ns is {now_ns}, before the last fill at {state.fills[-1][0]}; time has to go on")
        start = now_ns - round(self.window_s * _NS_PER_SECOND)
        return replace(state, fills=tuple(fill for fill in state.fills if fill[0] > start))
