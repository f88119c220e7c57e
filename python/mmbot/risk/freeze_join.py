"""Two freeze logs of one account become one: what a leader's machine knows, and what the fleet's database does.

    one begins with the other     the longer one: nothing was said twice, and every signature is for where it stands
    neither                       the database's, and after it what stands here and was never said there

So whatever stands on either stands afterwards, unless the log that is kept has a signed lowering after it: what was
lowered on one machine is not undone by another's old log, and an old log lowers nothing. A lowering of ours that is
for a log which the database does not have is given up: its freeze stands again.

A freeze is known again by its name, which is of all that it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.risk.freeze import FreezeBoard, freeze_name
from mmbot.risk.freeze_log import encode, read
from mmbot.risk.freeze_memory import standing
from mmbot.risk.levels import FreezeAsked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mmbot.risk.override import Operators

__all__ = ["asked_since", "joined", "lacking", "unheard"]


def joined(mine: bytes, theirs: bytes, operators: Operators, asked: Sequence[FreezeAsked] = ()) -> bytes:
    """Return the log that holds for both, and for what was asked beside them. operators: who may have lowered."""
    if mine.startswith(theirs):
        return _with(mine, asked, operators)
    if theirs.startswith(mine):
        return _with(theirs, asked, operators)
    return _with(theirs, [*lacking(theirs, mine, operators), *asked], operators)


def lacking(theirs: bytes, mine: bytes, operators: Operators) -> list[FreezeAsked]:
    """Return what holds by our log and was never said in theirs."""
    return _held(mine, operators, _names(theirs))


def _held(log: bytes, operators: Operators, known: set[str]) -> list[FreezeAsked]:
    """What was asked for in a log and holds by it still, and what stands by it at a lower level than was asked for;
    but for what is known there.
    """
    board = FreezeBoard(operators)
    inputs = read(log)[0]
    board.rebuild(inputs)
    asked = [one for one in inputs if isinstance(one, FreezeAsked)]
    names = {freeze_name(one) for one in asked if one.level <= board.own_level(one.scope)}
    lowered = [one for one in board.own if one.freeze_id not in names | known]
    return [one for one in asked if freeze_name(one) in names - known] + list(standing(lowered))


def unheard(log: bytes, asked: Iterable[FreezeAsked]) -> list[FreezeAsked]:
    """Return those that a log never said, lowered since or not."""
    names = _names(log)
    return [one for one in asked if freeze_name(one) not in names]


def asked_since(log: bytes, size: int) -> list[FreezeAsked]:
    """Return what a log asks for after its first `size` bytes."""
    before = len(read(log[:size])[0])
    return [one for one in read(log)[0][before:] if isinstance(one, FreezeAsked)]


def _names(log: bytes) -> set[str]:
    return {freeze_name(one) for one in read(log)[0] if isinstance(one, FreezeAsked)}


def _with(log: bytes, asked: Sequence[FreezeAsked], operators: Operators) -> bytes:
    """A log, and what raises the board that it makes."""
    board = FreezeBoard(operators)
    board.rebuild(read(log)[0])
    for one in unheard(log, asked):
        if board.ask(one):
            log += (b"" if not log or log.endswith(b"\n") else b"\n") + encode(one)
    return log
