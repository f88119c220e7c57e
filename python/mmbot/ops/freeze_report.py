"""What was frozen on an account, day by day: for the watch of a launch's first week, and for the review after it."""

from __future__ import annotations

import time
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

from mmbot.ops.freeze_latch import read_operators
from mmbot.risk.freeze import FreezeBoard
from mmbot.risk.freeze_log import read

if TYPE_CHECKING:
    from mmbot.ops.account_state import AccountState
    from mmbot.risk.freeze import FreezeChange

__all__ = ["days"]


def days(state: AccountState) -> list[str]:
    """One line for each day (UTC) with its counts, and one below it for each change. Raises OSError."""
    if not state.freeze.exists():
        return ["nothing was ever frozen"]
    board = FreezeBoard(read_operators(state.operators))
    changes = board.rebuild(read(state.freeze.read_bytes())[0])
    lines = []
    for day, group in groupby(changes, key=lambda change: _utc(change.ts, "%Y-%m-%d")):
        of_day = list(group)
        raised = Counter(change.control for change in of_day if change.kind == "raised")
        counts = ", ".join(f"{control} {count}" for control, count in raised.most_common()) or "none"
        lowered = sum(change.kind in ("lowered", "lapsed") for change in of_day)
        lines.append(f"{day}: {raised.total()} raised ({counts}), {lowered} lowered")
        lines += [f"  {_line(change)}" for change in of_day]
    return lines


def _line(change: FreezeChange) -> str:
    by = f" by {' and '.join(change.by)}" if change.by else ""
    levels = f"{change.before.name} → {change.after.name}"
    return (
        f"{_utc(change.ts, '%H:%M:%S')} {change.kind} {change.scope}: {levels}, {change.control}: {change.reason}{by}"
    )


def _utc(ts: int, how: str) -> str:
    return time.strftime(how, time.gmtime(ts // 1_000_000_000))
