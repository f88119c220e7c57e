"""Books a position as two people signed for it, where books and venue differ by just that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.execution.reconcile import BreakKind
from mmbot.risk.levels import FreezeLevel
from mmbot.risk.override import OverrideRefusedError

if TYPE_CHECKING:
    from mmbot.execution.reconcile import ReconReport
    from mmbot.risk.adjusting import Adjustment
    from mmbot.runtime.runner import Runner

__all__ = ["adjust"]


async def adjust(run: Runner, asked: Adjustment, by: tuple[str, ...]) -> str:
    """Compare anew, book the difference in the journal first, and compare again soon; returns what was booked.

    Raises OverrideRefusedError where the difference is another one by now, or trading there is not stopped: a position
    that may still move is nobody's to sign for.
    """
    index = _index(run, asked.market)
    each = run.listed[index]
    if run.freezing is None or run.freezing.level(each.category, each.symbol) < FreezeLevel.NO_NEW:
        raise OverrideRefusedError("not_frozen", f"{each.name} is not frozen; freeze it first, so that nothing moves")
    _check(await run.look(None), asked)
    lots, now = asked.told - asked.held, run.clock()
    tick = round(float(asked.price) / each.instrument.tick_size)
    name, side = f"adjusted-{asked.nonce}", "buy" if lots > 0 else "sell"
    before = run.bridge.ledger(index)
    if not run.core.moved(now, index, name, "adjusted", side, tick, abs(lots), 0, now):
        raise OverrideRefusedError("replayed_nonce", f"{name} is booked already")
    run.note("adjusted position", {**asked.words(), "by": list(by)})
    run.reconciler.adjusted(each.name, run.bridge.ledger(index).less(before))
    run.note_custody()
    run.journal.sync()
    said = f"{each.name}: {side} {abs(lots)} lots at {asked.price} booked, for {' and '.join(by)}"
    run.told({"event": "adjusted position", "symbol": each.name, "said": said, "reason": asked.reason})
    run.compare_soon()
    return said


def _index(run: Runner, market: str) -> int:
    for index, each in enumerate(run.listed):
        if each.name == market:
            return index
    raise OverrideRefusedError("no_difference", f"{market!r} is not traded here")


def _check(report: ReconReport | None, asked: Adjustment) -> None:
    """Refuse what books and venue do not differ by."""
    if report is None:
        raise OverrideRefusedError("not_reconciled", "the venue could not be asked")
    found = [one for one in report.breaks if one.kind is BreakKind.POSITION and one.name == asked.market]
    if [(one.held, one.told) for one in found] != [(asked.held, asked.told)]:
        said = "; ".join(one.said for one in found) or "books and venue agree there, or moved in the last seconds"
        raise OverrideRefusedError("no_difference", f"signed was {asked.held} to {asked.told} lots, and now: {said}")
