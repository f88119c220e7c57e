"""The time after a lift, over restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mmbot.ops.account_state import AccountState
from mmbot.ops.lift_memory import LiftMemory
from mmbot.risk.freeze import FreezeBoard

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
HOUR = 3_600 * S


def board(lifted_at: int) -> FreezeBoard:
    """One of which a high freeze was lifted then, as the log says."""
    made = FreezeBoard()
    made._lifted_at = lifted_at
    return made


def shares(state: AccountState, lifted_at: int, starts: list[int]) -> list[float]:
    """What a run may have of its limits at each start."""
    found = []
    for start in starts:
        one = board(lifted_at)
        LiftMemory(state, one, lambda _: None).begin(start)
        found.append(float(one.share(start)))
    return found


def test_a_restart_neither_ends_nor_prolongs_it(tmp_path: Path) -> None:
    """Nobody ran when it was lifted: the first run an hour later begins the five minutes, a crash does not end them."""
    state, first = AccountState(tmp_path), 10 * HOUR
    starts = [first, first + S, first + 299 * S, first + 300 * S, first + 2_100 * S, first + 90 * HOUR]
    assert shares(state, 9 * HOUR, starts) == [0, 0, 0, 0.1, 1, 1]


def test_a_run_that_saw_the_lift_takes_its_time_along(tmp_path: Path) -> None:
    """It was lifted while the run was there: the time is the lift's own, also for the next run."""
    state, running = AccountState(tmp_path), board(0)
    memory = LiftMemory(state, running, lambda _: None)
    memory.begin(8 * HOUR)
    running._lifted_at = 9 * HOUR
    memory.look()
    assert shares(state, 9 * HOUR, [9 * HOUR + 299 * S, 9 * HOUR + 300 * S, 10 * HOUR]) == [0, 0.1, 1]


@pytest.mark.parametrize("content", [b"", b"null", b"{", b'{"lifted_at": 1, "begun": 1}', b'{"lifted_at": NaN}'])
def test_what_is_not_known_begins_anew(content: bytes, tmp_path: Path) -> None:
    """A file that says nothing, or of another lift."""
    state = AccountState(tmp_path)
    state.lift.write_bytes(content)
    assert shares(state, 9 * HOUR, [10 * HOUR, 11 * HOUR]) == [0, 1]


def test_an_account_that_was_never_lifted_has_no_such_time(tmp_path: Path) -> None:
    """All of the limits, and no file."""
    state = AccountState(tmp_path)
    assert shares(state, 0, [HOUR]) == [1]
    assert not state.lift.exists()


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    """The run has its time all the same."""
    told: list[dict[str, object]] = []
    one = board(HOUR)
    LiftMemory(AccountState(tmp_path / "gone"), one, told.append).begin(2 * HOUR)
    assert (float(one.share(2 * HOUR)), [each["event"] for each in told]) == (0, ["lift"])
