"""Makes the proofs that a live run needs: a cancel-all that empties a venue, and an alarm that reaches a person."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from mmbot.ops.account_state import AccountState
from mmbot.ops.alarm_log import AlarmLog
from mmbot.ops.cancel_proof import ORDERS, cancelled
from mmbot.ops.launch import ALARM_ROUTE, CANCEL_ALL, NS_PER_S, forget_proof, keep_proof
from mmbot.risk.alarms import UNSEEN_NS, Alarm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from mmbot.ops.cancel_proof import Took

__all__ = ["ALARM_S", "CANCEL_ALL_S", "NotProvenError", "acknowledge", "prove_alarms", "prove_cancel_all"]

CANCEL_ALL_S: Final = {"healthy": 2.0, "rest blackholed": 10.0}
"""Within so many seconds nothing may be open, as the cancel-all has proven."""
TIMES: Final = 3
ALARM_S: Final = UNSEEN_NS / NS_PER_S
"""Within so many seconds an alarm has to be acknowledged: later, a run would have frozen."""
LOOK_S: Final = 0.2


class NotProvenError(ValueError):
    """What was to be proven is not so. The message says what was seen and what is expected."""


async def prove_cancel_all(
    runs: Path, clock: Callable[[], int], measured: Callable[..., Awaitable[list[Took]]] = cancelled
) -> str:
    """Do it, healthy and with REST gone, and keep the proof; returns what was seen.

    Raises NotProvenError where it took too long, VenueError where orders were left; an earlier proof is gone then.
    """
    forget_proof(runs, CANCEL_ALL)
    slowest = {}
    for how, limit_s in CANCEL_ALL_S.items():
        took = max(one.proven for one in await measured(TIMES, blackholed=how != "healthy"))
        if took > limit_s:
            raise NotProvenError(f"{how}: zero open orders took {took:.2f} s to prove; expected at most {limit_s:g} s")
        slowest[how] = took
    seen = ", ".join(f"{how} {took:.2f} s" for how, took in slowest.items())
    said = f"{TIMES} times {ORDERS} orders to zero, slowest {seen}"
    keep_proof(runs, CANCEL_ALL, clock(), said, slowest_s=slowest)
    return said


async def prove_alarms(
    runs: Path,
    clock: Callable[[], int],
    told: Callable[[dict[str, object]], None],
    *,
    within_s: float = ALARM_S,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> str:
    """Raise an alarm as a run does, and wait until somebody acknowledges it; returns who did.

    told: where a run's events go. The id leaves by there alone: who acknowledges it has heard it by that route.
    Raises NotProvenError where nobody did in time; an earlier proof is gone then.
    """
    forget_proof(runs, ALARM_ROUTE)
    log, began = _alarms(runs), clock()
    log.refresh()
    for old in log.board.open:  # of a test that nobody answered
        log.acknowledge(old.alarm_id, "a later test")
    alarm = Alarm.raised(ALARM_ROUTE, "a test before launch, not an emergency", began)
    if not log.raise_alarm(alarm) or log.trouble:
        raise NotProvenError(log.trouble or "another test is under way; wait for its end")
    words = {"id": alarm.alarm_id, "level": "P1", "name": alarm.name, "why": alarm.said}
    told({"event": "alarm", **words, "ack": f"mmbot launch seen {alarm.alarm_id} --by YOU"})
    while clock() - began <= within_s * NS_PER_S:
        log.refresh()
        [known] = [one for one in log.board.every if one.alarm_id == alarm.alarm_id]
        if not known.open:
            took_s = (clock() - began) / NS_PER_S
            said = f"{known.by} acknowledged a test alarm after {took_s:.1f} s"
            keep_proof(runs, ALARM_ROUTE, clock(), said, by=known.by, took_s=took_s)
            return said
        await pause(LOOK_S)
    raise NotProvenError(
        f"nobody acknowledged the alarm within {within_s:g} s: it does not reach a person in time. Send what "
        "`mmbot run --json` prints to whoever watches, and prove it again"
    )


def acknowledge(runs: Path, alarm_id: str, by: str) -> None:
    """A person has heard the test alarm. Raises NotProvenError for one that is not open, ValueError without a name."""
    if not by.strip():
        raise ValueError("--by: who acknowledges it? expected a person's name")
    log = _alarms(runs)
    log.refresh()
    if alarm_id not in [alarm.alarm_id for alarm in log.board.open]:
        raise NotProvenError(f"no test alarm {alarm_id!r} is open below {runs}; expected the id as it was told")
    log.acknowledge(alarm_id, by)


def _alarms(runs: Path) -> AlarmLog:
    """The log of test alarms: beside the proofs, for it is no account's."""
    return AlarmLog(AccountState.at(runs / "proofs"))
