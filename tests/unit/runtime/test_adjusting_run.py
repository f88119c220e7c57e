"""A position that two people signed for, in a run whose books and venue differ."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from test_board_and_core import OPERATORS, asked, until
from test_runner import quoted, run_whole
from trading_desk import Desk

from mmbot.execution import BreakKind
from mmbot.risk import FreezeBoard, FreezeLevel
from mmbot.risk.adjusting import Adjustment, Gap
from mmbot.risk.override import OverrideRefusedError
from mmbot.runtime import reconciling
from mmbot.runtime.adjusting import adjust

if TYPE_CHECKING:
    from pathlib import Path

GAP = Gap(market="linear BTCUSDT", held=0, told=5, price="100.1")
WORD = Adjustment(account="7", position=GAP, reason="an execution is missing", expiry=0, nonce="0123456789abcdef")


async def refused(desk: Desk, word: Adjustment) -> str:
    """Why it is not booked."""
    with pytest.raises(OverrideRefusedError) as told:
        await adjust(desk.runner, word, ("ann", "bob"))
    return told.value.name


def test_just_the_difference_that_was_signed_is_booked_once_while_nothing_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue holds 5 lots that no execution told of. While it quotes, and for other numbers, nothing is booked; then
    it is, under both names in the journal, and once they have answered for the coins, books and venue agree.
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
        assert await refused(desk, replace(WORD, position=replace(GAP, told=6))) == "no_difference"
        assert await refused(desk, replace(WORD, position=replace(GAP, held=1))) == "no_difference"
        assert await refused(desk, replace(WORD, position=replace(GAP, market="linear ETHUSDT"))) == "no_difference"
        with pytest.raises(ValueError, match="was another unit meant"):
            await adjust(desk.runner, replace(WORD, position=replace(GAP, price="10010")), ("ann", "bob"))
        with pytest.raises(ValueError, match="not a whole multiple"):
            await adjust(desk.runner, replace(WORD, position=replace(GAP, price="100.149")), ("ann", "bob"))
        assert desk.position() == 0
        said = await adjust(desk.runner, WORD, ("ann", "bob"))
        assert said == "linear BTCUSDT: buy 5 lots at 100.1 booked, for ann and bob"
        assert desk.position() == 5
        report = await desk.runner.look(None)
        assert report is not None
        cash = tuple(one.said for one in report.breaks)  # what it cost is another number, of its own
        assert [one.kind for one in report.breaks] == [BreakKind.CASH] * len(cash) != []
        assert await refused(desk, WORD) == "no_difference"
        assert await refused(desk, replace(WORD, position=None, cash=("cash USDT: another",))) == "no_difference"
        desk.venue._pay("BTC", Fraction(1, 10))
        assert await refused(desk, replace(WORD, position=None, cash=cash)) == "no_difference"
        desk.venue._pay("BTC", Fraction(-1, 10))
        said = await adjust(desk.runner, replace(WORD, position=None, cash=cash), ("ann", "bob"))
        assert said == f"coins are counted anew, with {len(cash)} differences answered for, for ann and bob"
        report = await desk.runner.look(None)
        assert report is not None
        assert report.clean

    run_whole(desk, meanwhile=story)
    notes = [fields for kind, fields in desk.entries() if kind == "note" and fields["topic"] == "adjusted"]
    assert len(notes) == 2
    assert all('"by": ["ann", "bob"]' in note["text"] for note in notes)
