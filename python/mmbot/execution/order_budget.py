"""How many orders may stand, how often they may change, and when a change is worth the place in the queue it costs.

    create    a free level on its side · create rate
    replace   edge after costs ≥ threshold · time in book · create rate · cancel rate
    cancel    time in book · cancel rate; always, while paused or when forced

A function of (state, order, now): nothing here fetches the time, and the state changes only for what is allowed. An
order counts until it is known to be gone, its cancel notwithstanding, so the budget holds in the worst case.

`force` is for safety: it waives what protects our place in a queue (edge, time in book), and lets a cancel pass its
rate. It waives no pause, no level and no rate of new orders, because those protect us from ourselves and the venue.

These are manners of one strategy, above the engine's hard limits, which hold whatever is allowed here.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.ruling import Denial, Ruling

__all__ = ["BudgetState", "OrderBudget", "ReplaceEdge", "WorkingSlot"]

_NS_PER_MS = 1_000_000
_SECOND_NS = 1_000_000_000
_ALLOWED = Ruling()


@dataclass(frozen=True, slots=True)
class ReplaceEdge:
    """What moving an order is expected to gain, bps of its price."""

    gain_bps: float
    """Edge at the new price over the edge at the old one."""
    fee_bps: float = 0.0
    """What the move makes the fill cost more; negative where it earns a rebate."""
    slippage_bps: float = 0.0
    """What is expected to be lost on the way: the price moves, the place in the queue is given up."""

    @property
    def net_bps(self) -> float:
        """Gain after fee and slippage, bps."""
        return self.gain_bps - self.fee_bps - self.slippage_bps


@dataclass(frozen=True, slots=True)
class WorkingSlot:
    """One order that is not known to be gone."""

    order_id: int
    side: Literal["buy", "sell"]
    since_ns: int
    """When it was sent, or last replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What the budget remembers. Start with `BudgetState()`."""

    working: tuple[WorkingSlot, ...] = ()
    creates_ns: tuple[int, ...] = ()
    """Creates and replaces of the last second, oldest first."""
    cancels_ns: tuple[int, ...] = ()
    """Cancels and replaces of the last second, oldest first."""
    paused: str | None = None
    """Why risk holds new orders back; None while it does not."""

    def gone(self, order_id: int) -> "BudgetState":
        """Forget an order that was filled, cancelled or refused; one not known changes nothing."""
        return dataclasses.replace(self, working=tuple(slot for slot in self.working if slot.order_id != order_id))

    def pause(self, why: str) -> "BudgetState":
        """Hold back creates and replaces until `resume`. Raises ValueError without a reason."""
        if not why:
            raise ValueError("a pause needs a reason that an operator can read, got an empty one")
        return dataclasses.replace(self, paused=why)

    def resume(self) -> "BudgetState":
        """Let creates and replaces pass again."""
        return dataclasses.replace(self, paused=None)

    def find(self, order_id: int) -> WorkingSlot | None:
        """Return the order, or None when it is not known here."""
        return next((slot for slot in self.working if slot.order_id == order_id), None)


class OrderBudget(Strict):
    """The numbers of the budget, and its three functions: (state, now, order) → (state, ruling).

    A rate counts any second that ends now, its beginning excluded. Times are ns since epoch and may not go back: each
    function raises ValueError if they do.
    """

    max_active_per_side: int = Field(default=3, ge=1)
    """Orders that may work on one side."""
    max_create_per_sec: int = Field(default=4, ge=1)
    """Creates and replaces within a second."""
    max_cancel_per_sec: int = Field(default=4, ge=1)
    """Cancels and replaces within a second."""
    min_time_in_book_ms: float = Field(default=500.0, ge=0)
    """How long an order stays before it is replaced or cancelled without force."""
    replace_threshold_bps: float = Field(default=3.0, ge=0)
    """Edge after fees and slippage from which on a replace is worth it."""

    def create(
        self, state: BudgetState, now_ns: int, order_id: int, side: Literal["buy", "sell"]
    ) -> tuple[BudgetState, Ruling]:
        """Ask for a new order. Raises ValueError for an id that is working already and for a side that is none."""
        if side not in ("buy", "sell"):
            raise ValueError(f"side is {side!r}; expected 'buy' or 'sell'")
        if state.find(order_id) is not None:
            raise ValueError(f"order {order_id} is working already; expected a new id for each order")
        state = _in_window(state, now_ns)
        active = sum(slot.side == side for slot in state.working)
        full = active >= self.max_active_per_side
        denial = (
            _paused(state)
            or (full and Ruling(Denial.ACTIVE_PER_SIDE, _over(f"{side} orders working", active, "cancel one first")))
            or _rate(Denial.CREATE_RATE, state.creates_ns, self.max_create_per_sec)
        )
        if denial:
            return state, denial
        working = (*state.working, WorkingSlot(order_id, side, now_ns))
        return dataclasses.replace(state, working=working, creates_ns=(*state.creates_ns, now_ns)), _ALLOWED

    def replace(
        self, state: BudgetState, now_ns: int, order_id: int, edge: ReplaceEdge, *, force: bool = False
    ) -> tuple[BudgetState, Ruling]:
        """Ask to move an order. It spends one create and one cancel, as a venue without amends would make it."""
        state = _in_window(state, now_ns)
        slot = state.find(order_id)
        if slot is None:
            return state, Ruling(Denial.NOT_WORKING, f"order {order_id} is not working; create it instead")
        denial = (
            _paused(state)
            or (not force and (self._worth(edge) or self._young(slot, now_ns)))
            or _rate(Denial.CREATE_RATE, state.creates_ns, self.max_create_per_sec)
            or _rate(Denial.CANCEL_RATE, state.cancels_ns, self.max_cancel_per_sec)
        )
        if denial:
            return state, denial
        moved = dataclasses.replace(slot, since_ns=now_ns)
        return dataclasses.replace(
            state,
            working=tuple(moved if each is slot else each for each in state.working),
            creates_ns=(*state.creates_ns, now_ns),
            cancels_ns=(*state.cancels_ns, now_ns),
        ), _ALLOWED

    def cancel(
        self, state: BudgetState, now_ns: int, order_id: int, *, force: bool = False
    ) -> tuple[BudgetState, Ruling]:
        """Ask to cancel an order. One that is not known here may be cancelled too: the venue knows better."""
        state = _in_window(state, now_ns)
        slot = state.find(order_id)
        if not force and state.paused is None:
            denial = (slot and self._young(slot, now_ns)) or _rate(
                Denial.CANCEL_RATE, state.cancels_ns, self.max_cancel_per_sec
            )
            if denial:
                return state, denial
        return dataclasses.replace(state, cancels_ns=(*state.cancels_ns, now_ns)), _ALLOWED

    def _worth(self, edge: ReplaceEdge) -> Ruling | None:
        # Not `net < threshold`: NaN has to be denied as well.
        if edge.net_bps >= self.replace_threshold_bps:
            return None
        expected = f"expected at least {self.replace_threshold_bps} bps after fees and slippage"
        return Ruling(Denial.EDGE, f"replacing is worth {edge.net_bps} bps; {expected}, so leave it standing")

    def _young(self, slot: WorkingSlot, now_ns: int) -> Ruling | None:
        old_enough_ns = slot.since_ns + round(self.min_time_in_book_ms * _NS_PER_MS)
        if now_ns >= old_enough_ns:
            return None
        age_ms = (now_ns - slot.since_ns) / _NS_PER_MS
        said = f"order {slot.order_id} stood for {age_ms} ms; expected {self.min_time_in_book_ms} ms, so wait"
        return Ruling(Denial.TIME_IN_BOOK, said, old_enough_ns)


def _in_window(state: BudgetState, now_ns: int) -> BudgetState:
    """Forget requests older than a second. Raises ValueError for a time before the last request."""
    last = max((*state.creates_ns[-1:], *state.cancels_ns[-1:]), default=now_ns)
    if now_ns < last:
        raise ValueError(f"now_ns is {now_ns}, before the last request at {last}; expected time to go on")
    start = now_ns - _SECOND_NS
    return dataclasses.replace(
        state,
        creates_ns=tuple(ns for ns in state.creates_ns if ns > start),
        cancels_ns=tuple(ns for ns in state.cancels_ns if ns > start),
    )


def _paused(state: BudgetState) -> Ruling | None:
    if state.paused is None:
        return None
    return Ruling(Denial.PAUSED, f"risk paused new orders: {state.paused}; cancels pass")


def _rate(denial: Denial, requests_ns: tuple[int, ...], most: int) -> Ruling | None:
    """Deny a request that would be one too many of this second."""
    if len(requests_ns) < most:
        return None
    said = _over("requests in the last second", len(requests_ns), "wait")
    return Ruling(denial, said, requests_ns[-most] + _SECOND_NS)


def _over(what: str, count: int, remedy: str) -> str:
    return f"{count} {what}, which is all that is allowed; {remedy}"
