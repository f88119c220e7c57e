"""How an account is, for a person and for a machine: what is frozen, which alarms are open, and every number."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, TypeVar

from mmbot.ops.account_state import UNREADABLE
from mmbot.ops.alarm_log import AlarmLog
from mmbot.ops.counters import Counters
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.loose import OFF
from mmbot.ops.metrics import board_metrics, read_metrics
from mmbot.risk.freeze import FreezePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.ops.account_state import AccountState

T = TypeVar("T")

__all__ = ["board_lines", "controls_off", "read_policy", "status_lines", "status_words"]


def read_policy(state: AccountState) -> FreezePolicy:
    """Return what holds after a lift, as the account's run said it, or its last; the defaults where none did."""
    try:
        said = [float(one) for one in json.loads(state.session.read_bytes())["lift_s"]]
    except (OSError, *UNREADABLE):
        return FreezePolicy()
    if len(said) != 2 or not all(0 <= one < math.inf for one in said):
        return FreezePolicy()
    return FreezePolicy(shadow_s=said[0], canary_s=said[1])


def controls_off(state: AccountState) -> list[str] | None:
    """Return the keys of the controls that are off in the account's run, or its last; None where nobody said."""
    try:
        return [str(key) for key in json.loads(state.session.read_bytes())["controls_off"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def controls_loose(state: AccountState) -> dict[str, str] | None:
    """Return the keys of the controls that can never act in that run, and why; None where nobody said."""
    try:
        return {str(key): str(why) for key, why in json.loads(state.session.read_bytes())["controls_loose"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def board_lines(name: str, latch: FreezeLatch, now: int) -> list[str]:
    """What is frozen on an account, for a person."""
    board = latch.board
    lines = [f"{name}: {board.highest.name}"]
    lines += [
        f"  {one.freeze_id}  {one.level.name} of {one.scope} by {one.control}: {one.reason}"
        + (f" (also {', '.join(one.noted)})" if one.noted else "")
        + (", of the whole firm" if latch.of_firm(one.freeze_id) else "")
        for one in board.frozen
    ]
    if now < board.shadow_until:
        lines.append(f"  decides and lets nothing grow for another {(board.shadow_until - now) / 60e9:.0f} min")
    if now < board.canary_until:
        lines.append(f"  launch limits for another {(board.canary_until - now) / 60e9:.0f} min")
    if latch.trouble:
        lines.append(f"  {latch.trouble}")
    return lines


def status_lines(state: AccountState, now: int) -> list[str]:
    """An account for a person. Writes nothing."""
    lines = board_lines(state.name, FreezeLatch(state, lambda: now, read_policy(state), writes=False), now)
    alarms, trouble = _alarms(state), list[str]()
    engine, newest = _read(state.engine, trouble), _read(state.newest_run, trouble)
    for one in alarms.board.open:
        lines.append(f"  ALARM {one.level} {one.alarm_id}  {one.name}, {(now - one.since) / 1e9:.0f} s ago: {one.said}")
    lines += [f"  {said}" for said in (alarms.trouble, *trouble) if said]
    off = controls_off(state)
    lines += [f"  controls off: {', '.join(off)}"] if off else []
    for key, why in (controls_loose(state) or {}).items():
        if why != OFF:
            lines.append(f"  control as good as off: {key} {why}")
    if engine is not None or not trouble:
        lines.append(f"  {'no engine runs' if engine is None else f'engine {engine.pid}'}, last run {newest}")
    return lines


def status_words(state: AccountState, now: int) -> dict[str, object]:
    """An account for a machine. `metrics` are the running engine's, by `metrics_ts`; without one the board's alone.

    trouble: what cannot be read, so that the rest may not be all. Writes nothing.
    """
    latch, alarms = FreezeLatch(state, lambda: now, read_policy(state), writes=False), _alarms(state)
    trouble = list[str]()
    engine, newest = _read(state.engine, trouble), _read(state.newest_run, trouble)
    kept = _read(lambda: read_metrics(state), trouble)
    known = Counters()
    board_metrics(latch.board, known)
    alive = engine is not None and kept is not None and kept["pid"] == engine.pid
    return {
        "account": state.name,
        "level": latch.board.highest.name,
        "frozen": [
            {
                "freeze_id": one.freeze_id,
                "scope": str(one.scope),
                "level": one.level.name,
                "control": one.control,
                "why": one.reason,
                "also": list(one.noted),
                "since": one.since,
                "of_firm": latch.of_firm(one.freeze_id),
            }
            for one in latch.board.frozen
        ],
        "shadow_until": latch.board.shadow_until,
        "canary_until": latch.board.canary_until,
        "controls_off": controls_off(state),
        "controls_loose": controls_loose(state),
        "trouble": [said for said in (latch.trouble, alarms.trouble, *trouble) if said],
        "alarms": [
            {"id": one.alarm_id, "level": one.level, "name": one.name, "why": one.said, "since": one.since}
            for one in alarms.board.open
        ],
        "engine": None if engine is None else engine.pid,
        "last_run": None if newest is None else str(newest),
        "metrics_ts": kept["ts"] if alive and kept is not None else now,
        "metrics": kept["metrics"] if alive and kept is not None else known.all(),
    }


def _read(ask: Callable[[], T | None], trouble: list[str]) -> T | None:
    """What can be read; None where it cannot, and why."""
    try:
        return ask()
    except (OSError, ValueError) as error:
        trouble.append(str(error))
        return None


def _alarms(state: AccountState) -> AlarmLog:
    log = AlarmLog(state)
    log.refresh()
    if log.torn and not log.trouble:
        log.trouble = f"{state.alarms.name} ends within a line; if it still does, an alarm may be missing here"
    return log
