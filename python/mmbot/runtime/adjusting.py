"""Books what two people signed for, where books and venue differ by just that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.execution.reconcile import BreakKind
from mmbot.risk.levels import FreezeLevel
from mmbot.risk.override import OverrideRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.execution.reconcile import Break, ReconReport
    from mmbot.risk.adjusting import Adjustment, Gap
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.runner import Runner

__all__ = ["adjust"]

_TIMES = 10
"""A price that is so many times the market's, or a part of it, was meant in another unit."""


async def adjust(run: Runner, asked: Adjustment, by: tuple[str, ...]) -> str:
    """Compare anew, book the difference in the journal first, and compare again soon; returns what was booked.

    Raises OverrideRefusedError where the difference is another one by now, or trading there is not stopped: what may
    still move is nobody's to sign for.
    """
    index = None if asked.position is None else _index(run, asked.position.market)
    _check_frozen(run, run.listed if index is None else [run.listed[index]])
    report = await run.look(None)
    if report is None:
        raise OverrideRefusedError("not_reconciled", "the venue could not be asked")
    if asked.position is None or index is None:
        said = _coins(run, asked, report)
    else:
        said = _position(run, index, asked.position, asked.nonce, report.breaks)
    said = f"{said}, for {' and '.join(by)}"
    run.note("adjusted", {**asked.words(), "by": list(by)})
    run.note_custody()
    run.journal.sync()
    run.told({"event": "adjusted", "said": said, "reason": asked.reason})
    run.compare_soon()
    return said


def _index(run: Runner, market: str) -> int:
    for index, each in enumerate(run.listed):
        if each.name == market:
            return index
    raise OverrideRefusedError("no_difference", f"{market!r} is not traded here")


def _check_frozen(run: Runner, listed: Sequence[Listed]) -> None:
    for each in listed:
        level = FreezeLevel.NORMAL if run.freezing is None else run.freezing.level(each.category, each.symbol)
        if level < FreezeLevel.NO_NEW or level is FreezeLevel.FLATTEN:
            why = f"{each.name} is at {level.name}, where it may still move; freeze it at NO_NEW or CANCEL_ALL first"
            raise OverrideRefusedError("not_frozen", why)


def _position(run: Runner, index: int, gap: Gap, nonce: str, breaks: Sequence[Break]) -> str:
    """Book what lies between: as moved by people's word, at their price."""
    each = run.listed[index]
    found = [one for one in breaks if one.kind is BreakKind.POSITION and one.name == gap.market]
    if [(one.held, one.told) for one in found] != [(gap.held, gap.told)]:
        said = _now(found)
        raise OverrideRefusedError("no_difference", f"signed was {gap.held} to {gap.told} lots, and now: {said}")
    lots, tick, now = gap.told - gap.held, each.instrument.ticks(gap.price), run.clock()
    bid = run.core.books(0, index)["bid"]
    if bid is not None and not bid / _TIMES < tick < bid * _TIMES:
        raise ValueError(f"price {gap.price}: the market is at {each.instrument.price(bid)}; was another unit meant?")
    name, side = f"adjusted-{nonce}", "buy" if lots > 0 else "sell"
    before = run.bridge.ledger(index)
    if not run.core.moved(now, index, name, "adjusted", side, tick, abs(lots), 0, now):
        raise OverrideRefusedError("replayed_nonce", f"{name} is booked already")
    run.reconciler.adjusted(each.name, run.bridge.ledger(index).less(before))
    return f"{each.name}: {side} {abs(lots)} lots at {gap.price} booked"


def _coins(run: Runner, asked: Adjustment, report: ReconReport) -> str:
    """Count the coins anew from what there is. No profit, fee or funding is booked: the ledger stays as it is.

    What differs for the first time would be swallowed with the rest, and nobody has signed for it.
    """
    found = [one for one in report.breaks if one.kind is BreakKind.CASH]
    fresh = [one for one in report.deferred if one.kind is BreakKind.CASH]
    if fresh:
        raise OverrideRefusedError("no_difference", f"nobody signed for what differs since: {_now(fresh)}")
    if sorted(one.said for one in found) != sorted(asked.cash):
        raise OverrideRefusedError("no_difference", f"signed was {'; '.join(asked.cash)}, and now: {_now(found)}")
    run.reconciler.vouched(run.clock.peek())
    return f"coins are counted anew, with {len(found)} differences answered for"


def _now(found: Sequence[Break]) -> str:
    return "; ".join(one.said for one in found) or "books and venue agree there, or moved in the last seconds"
