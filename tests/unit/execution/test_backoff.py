"""The waits between attempts, walked by a clock of the test's own."""

import pytest
from pydantic import ValidationError

from mmbot.execution.backoff import ORDER_CALLS, Backoff
from mmbot.execution.cancel_all import Bulk, CancelAllPlan, CancelSome, Look, Target

SECOND = 1_000_000_000
MARKET = ("linear", "BTCUSDT")


def test_exponential_backoff_on_retries() -> None:
    """What fails every time is tried at 0, 4, 12 and 28 s, and then given up."""
    now_ns, attempts, failures = 0, [0], 0
    while True:
        failures += 1
        due_ns = ORDER_CALLS.next_ns(failures, now_ns)
        if due_ns is None:
            break
        now_ns = due_ns
        attempts.append(now_ns // SECOND)
    assert attempts == [0, 4, 12, 28]


def test_the_way_out_tries_at_these_times_by_the_clock_it_is_given() -> None:
    """A cancel-all whose bulk is refused and whose every cancel fails asks both ways at 0, 4, 12 and 28 s, no more."""
    order = Target(*MARKET, "mm-1")
    plan, now, asked = CancelAllPlan([MARKET], trigger="test", now=0, believed=[order]), 0, []
    while plan.result is None:
        steps = plan.steps(now)
        for step in steps:
            match step:
                case Bulk():
                    plan.bulk_answered(MARKET, "refused", now)
                case Look():
                    plan.looked(step, [order], "", now)
                case CancelSome():
                    asked.append((now // SECOND, step.path))
                    plan.cancels_answered(step, [("refused", "no")] * len(step.targets), now)
        now = now if steps else plan.due(now)
    assert asked == [(at, path) for at in (0, 4, 12, 28) for path in ("rest", "trade")]
    assert plan.result.failed == ("mm-1",)


def test_there_is_no_wait_without_a_failure() -> None:
    """Asked before anything failed, the caller has miscounted."""
    with pytest.raises(ValueError, match="expected at least the one that happened"):
        ORDER_CALLS.next_ns(0, 0)


def test_a_plan_has_a_delay() -> None:
    """An empty list of delays is a slip of the pen."""
    with pytest.raises(ValidationError, match="delays_s"):
        Backoff(delays_s=())
