"""A position that two people signed for, in a run whose books and venue differ."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from test_board_and_core import OPERATORS, asked, until
from test_runner import quoted, run_whole
from trading_desk import Desk

from mmbot.execution import BreakKind
from mmbot.risk import FreezeBoard, FreezeLevel
from mmbot.risk.adjusting import Adjustment
from mmbot.risk.override import OverrideRefusedError
from mmbot.runtime import reconciling
from mmbot.runtime.adjusting import adjust

if TYPE_CHECKING:
    from pathlib import Path

WORD = Adjustment(
    account="7",
    market="linear BTCUSDT",
    held=0,
    told=5,
    price="100.1",
    reason="an execution is missing",
    expiry=0,
    nonce="0123456789abcdef",
)


async def refused(desk: Desk, word: Adjustment) -> str:
    """Why it is not booked."""
    with pytest.raises(OverrideRefusedError) as told:
        await adjust(desk.runner, word, ("ann", "bob"))
    return told.value.name


def test_just_the_difference_that_was_signed_is_booked_once_while_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue holds 5 lots that no execution told of. While it quotes, and for other numbers, nothing is booked; then
    it is, under both names in the journal, and books and venue agree.
    """
    monkeypatch.setattr(reconciling, "AGREE_S", 0.001)
    desk = Desk(tmp_path, board=FreezeBoard(OPERATORS))

    async def story(desk: Desk) -> None:
        await quoted(desk)
        assert await refused(desk, WORD) == "not_frozen"
        desk.runner.on_freeze(asked(desk, FreezeLevel.CANCEL_ALL))
        await until(lambda: bool(desk.told("cancel_all_done")))
        assert await refused(desk, WORD) == "no_difference"
        desk.venue._book(desk.venue._market("BTCUSDT"), Decimal(100), Decimal("0.005"), maker=True)
        assert await refused(desk, replace(WORD, told=6)) == "no_difference"
        assert await refused(desk, replace(WORD, held=1)) == "no_difference"
        assert await refused(desk, replace(WORD, market="linear ETHUSDT")) == "no_difference"
        assert desk.position() == 0
        said = await adjust(desk.runner, WORD, ("ann", "bob"))
        assert said == "linear BTCUSDT: buy 5 lots at 100.1 booked, for ann and bob"
        assert desk.position() == 5
        report = await desk.runner.look(None)
        assert report is not None
        assert [one.kind for one in report.breaks] == [BreakKind.CASH]  # what it cost is another number, of its own
        assert await refused(desk, WORD) == "no_difference"

    run_whole(desk, meanwhile=story)
    notes = [fields for kind, fields in desk.entries() if kind == "note" and fields["topic"] == "adjusted position"]
    assert len(notes) == 1
    assert '"by": ["ann", "bob"]' in notes[0]["text"]
