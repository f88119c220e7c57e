"""The waits between attempts, walked by a clock of the test's own."""

import pytest
from pydantic import ValidationError

from mmbot.execution import ORDER_CALLS, Backoff

SECOND = 1_000_000_000


def test_exponential_backoff_on_retries() -> None:
    """A cancel that fails every time is tried at 0, 4, 12 and 28 s, and then given up."""
    now_ns, attempts, failures = 0, [0], 0
    while True:
        failures += 1
        due_ns = ORDER_CALLS.next_ns("cancel", failures, now_ns)
        if due_ns is None:
            break
        now_ns = due_ns
        attempts.append(now_ns // SECOND)
    assert attempts == [0, 4, 12, 28]


@pytest.mark.parametrize("endless", [False, True])
def test_a_create_is_never_retried(endless: bool) -> None:
    """Not even by a plan without an end."""
    assert Backoff(endless=endless).next_ns("place", 1, 0) is None


def test_there_is_no_wait_without_a_failure() -> None:
    """Asked before anything failed, the caller has miscounted."""
    with pytest.raises(ValueError, match="expected at least the one that happened"):
        ORDER_CALLS.next_ns("cancel", 0, 0)


def test_a_plan_has_a_delay() -> None:
    """An empty list of delays is a slip of the pen."""
    with pytest.raises(ValidationError, match="delays_s"):
        Backoff(delays_s=())
