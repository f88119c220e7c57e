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

_DAY = 86_400_000_000_000


def days(state: AccountState, now: int) -> list[str]:
    """One line for each day (UTC) until now with its counts, and one below it for each change; days without any are
    said to be so. Raises OSError.
    """
    changes = []
    if state.freeze.exists():
        board = FreezeBoard(read_operators(state.operators))
        changes = board.rebuild(read(state.freeze.read_bytes())[0])
    if not changes:
        return ["nothing was ever frozen"]
    lines: list[str] = []
    last = changes[0].ts // _DAY
    for day, group in groupby(changes, key=lambda change: change.ts // _DAY):
        of_day = list(group)
        lines += _quiet(last + 1, day)
        last = day
        raised = Counter(change.control for change in of_day if change.kind == "raised")
        counts = ", ".join(f"{control} {count}" for control, count in raised.most_common()) or "none"
        lowered = sum(change.kind == "lowered" for change in of_day)
        lines.append(f"{_utc(day * _DAY, '%Y-%m-%d')}: {raised.total()} raised ({counts}), {lowered} lowered")
        lines += [f"  {_line(change)}" for change in of_day]
    return lines + _quiet(last + 1, now // _DAY + 1)


def _quiet(first: int, end: int) -> list[str]:
    """Say that nothing was frozen from one day on until before another; nothing where there is none between."""
    if first >= end:
        return []
    days = [_utc(day * _DAY, "%Y-%m-%d") for day in (first, end - 1)]
    return [f"{' to '.join(dict.fromkeys(days))}: nothing"]


def _line(change: FreezeChange) -> str:
    by = f" by {' and '.join(change.by)}" if change.by else ""
    levels = f"{change.before.name} → {change.after.name}"
    return (
        f"{_utc(change.ts, '%H:%M:%S')} {change.kind} {change.scope}: {levels}, {change.control}: {change.reason}{by}"
    )


def _utc(ts: int, how: str) -> str:
    return time.strftime(how, time.gmtime(ts // 1_000_000_000))
