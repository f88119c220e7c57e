"""Takes an order out of the books that a person gave up, where it has been in doubt for so long that the venue may have
forgotten it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.risk.override import OverrideRefusedError

if TYPE_CHECKING:
    from mmbot.execution.recovery import Estate
    from mmbot.risk.giving_up import GivingUp
    from mmbot.runtime.runner import Runner

__all__ = ["give_up"]

HOUR = 3_600_000_000_000


def give_up(run: Runner, asked: GivingUp, by: str) -> int:
    """Free what the order counts for, in the journal first; returns its number. Raises OverrideRefusedError.

    Times are of the run's clock. An order of before a restart is in doubt since the earlier run's last entry at the
    latest, unless the venue has spoken of it since.
    """
    number = run.bridge.number_of(asked.order)
    since = None if number is None else run.resolver.since(number)
    if number is None or since is None:
        raise OverrideRefusedError("not_in_doubt", f"order {asked.order!r} is none that is in doubt")
    since = min(since, _left_at(run.estate, number, since))
    hours, wanted = (run.clock.peek() - since) / HOUR, run.resolver.terms.expire_h
    if hours < wanted:
        raise OverrideRefusedError(
            "too_young",
            f"order {number} is in doubt for {hours:.1f} h, and the venue still knows its orders of {wanted} h",
        )
    run.core.expired_unproven(run.clock(), number)
    run.note("given up", {**asked.words(), "number": number, "by": by, "in_doubt_h": round(hours, 1)})
    run.journal.sync()
    run.bridge.doubts.pop(number, None)
    run.resolver.forget(number)
    run.told({"event": "given up", "order": number, "correlation_id": asked.order, "by": by, "reason": asked.reason})
    return number


def _left_at(estate: Estate | None, number: int, otherwise: int) -> int:
    held = () if estate is None else estate.orders
    return estate.left_at if estate is not None and any(order.number == number for order in held) else otherwise
