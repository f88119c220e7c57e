"""The order budget under any sequence of requests, and what it refuses outright."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot.execution import BudgetState, Denial, OrderBudget, ReplaceEdge, Ruling

BUDGET = OrderBudget()
MS = 1_000_000
SECOND = 1_000 * MS
STEPS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["create", "replace", "cancel", "gone", "pause", "resume"]),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=60,
)


def asked(state: BudgetState, now_ns: int, what: str, order: int, force: bool) -> tuple[BudgetState, Ruling | None]:
    """One step, and the ruling on it; None for what asks nothing."""
    match what:
        case "create" if state.find(order) is None:
            return BUDGET.create(state, now_ns, order, "buy" if order % 2 else "sell")
        case "replace":
            return BUDGET.replace(state, now_ns, order, ReplaceEdge(4.0), force=force)
        case "cancel":
            return BUDGET.cancel(state, now_ns, order, force=force)
        case "gone":
            return state.gone(order), None
        case "pause":
            return state.pause("a test"), None
    return state.resume(), None


@given(STEPS)
def test_no_sequence_breaks_a_level_or_a_rate(steps: list[tuple[int, str, int, bool]]) -> None:
    """Whatever is asked: three orders a side, four new requests in any second, none while paused."""
    state, now_ns, news = BudgetState(), 0, []
    for pause_ms, what, order, force in steps:
        now_ns += pause_ms * MS
        state, ruling = asked(state, now_ns, what, order, force)
        if what in ("create", "replace") and ruling is not None and ruling.allowed:
            assert state.paused is None
            news.append(now_ns)
        assert sum(each > now_ns - SECOND for each in news) <= 4
        assert max(sum(slot.side == side for slot in state.working) for side in ("buy", "sell")) <= 3


@given(STEPS)
def test_a_cancel_passes_when_it_is_forced_or_risk_pauses(steps: list[tuple[int, str, int, bool]]) -> None:
    """And the others never exceed four in any second, the forced ones counted in."""
    state, now_ns, cancels = BudgetState(), 0, []
    for pause_ms, what, order, force in steps:
        now_ns += pause_ms * MS
        freely = force or state.paused is not None
        state, ruling = asked(state, now_ns, what, order, force)
        if what == "cancel" and ruling is not None:
            recent = [each for each in cancels if each > now_ns - SECOND]
            assert ruling.allowed or not freely
            assert freely or not ruling.allowed or len(recent) < 4
        if what in ("cancel", "replace") and ruling is not None and ruling.allowed:
            cancels.append(now_ns)


@given(STEPS, st.integers(0, 9))
def test_asking_again_at_the_time_told_is_worth_it(steps: list[tuple[int, str, int, bool]], order: int) -> None:
    """At the time of the retry, and not one nanosecond before, the denial that named it no longer holds."""
    state, now_ns = BudgetState(), 0
    for pause_ms, what, each, force in steps:
        now_ns += pause_ms * MS
        state, _ = asked(state, now_ns, what, each, force)
    _, ruling = BUDGET.replace(state, now_ns, order, ReplaceEdge(4.0))
    if ruling.retry_ns is not None:
        assert ruling.retry_ns > now_ns
        assert BUDGET.replace(state, ruling.retry_ns - 1, order, ReplaceEdge(4.0))[1].denial is ruling.denial
        assert BUDGET.replace(state, ruling.retry_ns, order, ReplaceEdge(4.0))[1].denial is not ruling.denial


@pytest.mark.parametrize(
    ("edge", "worth"),
    [
        (ReplaceEdge(3.0), True),
        (ReplaceEdge(2.999), False),
        (ReplaceEdge(5.0, fee_bps=1.0, slippage_bps=1.0), True),
        (ReplaceEdge(5.0, fee_bps=1.0, slippage_bps=1.001), False),
        (ReplaceEdge(2.5, fee_bps=-0.5), True),
        (ReplaceEdge(math.nan), False),
        (ReplaceEdge(9.0, slippage_bps=math.nan), False),
        (ReplaceEdge(math.inf, fee_bps=math.inf), False),
    ],
)
def test_a_replace_has_to_be_worth_it_after_costs(edge: ReplaceEdge, worth: bool) -> None:
    """Fee and slippage come off the gain, a rebate comes on top, and what is not known is not worth it."""
    state, _ = BUDGET.create(BudgetState(), 0, 1, "buy")
    for force in (False, True):
        _, ruling = BUDGET.replace(state, SECOND, 1, edge, force=force)
        assert ruling.allowed is (worth or force)
        assert ruling.denial in (None, Denial.EDGE)


def test_a_denial_leaves_no_trace() -> None:
    """Asking a hundred times in vain uses up nothing."""
    state = BudgetState()
    for order in range(3):
        state, _ = BUDGET.create(state, 0, order, "buy")
    before = state
    for _ in range(100):
        state, ruling = BUDGET.create(state, 1, 99, "buy")
        assert ruling.said == "3 buy orders working, which is all that is allowed; cancel one first"
    assert state == before


def test_a_replaced_order_starts_its_time_in_the_book_anew() -> None:
    """Its place in the queue is a new one."""
    state, _ = BUDGET.create(BudgetState(), 0, 1, "buy")
    state, _ = BUDGET.replace(state, 600 * MS, 1, ReplaceEdge(4.0))
    _, ruling = BUDGET.cancel(state, 1_000 * MS, 1)
    assert (ruling.denial, ruling.retry_ns) == (Denial.TIME_IN_BOOK, 1_100 * MS)
    assert ruling.said == "order 1 stood for 400.0 ms; expected 500.0 ms, so wait"


def test_a_pause_says_why() -> None:
    """The reason given with the pause is in every denial, and a pause without one is refused."""
    _, ruling = BUDGET.create(BudgetState().pause("volatility is hard"), 0, 1, "buy")
    assert ruling.said == "risk paused new orders: volatility is hard; cancels pass"
    with pytest.raises(ValueError, match="a pause needs a reason"):
        BudgetState().pause("")


def test_the_callers_mistakes_are_named() -> None:
    """An id used twice, a side that is none and a time that goes back raise instead of being budgeted."""
    state, _ = BUDGET.create(BudgetState(), 5, 1, "buy")
    with pytest.raises(ValueError, match="order 1 is working already; expected a new id"):
        BUDGET.create(state, 6, 1, "sell")
    with pytest.raises(ValueError, match="side is 'bid'; expected 'buy' or 'sell'"):
        BUDGET.create(state, 6, 2, "bid")
    with pytest.raises(ValueError, match="now_ns is 4, before the last request at 5"):
        BUDGET.cancel(state, 4, 1)
    state, _ = BUDGET.cancel(state, 9, 2)
    with pytest.raises(ValueError, match="now_ns is 8, before the last request at 9"):
        BUDGET.create(state, 8, 3, "buy")


@pytest.mark.parametrize(
    "told", [{"max_active_per_side": 0}, {"max_create_per_sec": 0}, {"min_time_in_book_ms": -1}, {"max_orders": 3}]
)
def test_a_budget_that_is_none_is_refused(told: dict[str, int]) -> None:
    """Zero orders, a negative time and unknown names are errors of the operator."""
    with pytest.raises(ValidationError, match=next(iter(told))):
        OrderBudget(**told)
