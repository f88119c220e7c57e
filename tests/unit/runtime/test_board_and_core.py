"""What the freeze board says is what the core holds: at a start, when it rises, when people lower it, and for a while
after that.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_runner import quoted, run_whole
from trading_desk import Desk

from mmbot.config import RiskConfig
from mmbot.risk import FIRM, FreezeAsked, FreezeBoard, FreezeLevel, Operator, Override, Reconciled, Scope
from mmbot.risk.freeze import FreezePolicy
from mmbot.risk.override import signed
from mmbot.risk.watch import RiskWatch
from mmbot.runtime.restrictions import Restrictions
from mmbot.runtime.risk import RiskDesk, RiskEnds

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
OPERATORS = tuple(Operator(f"p{n}", f"d{n}", key.public_key().public_bytes_raw()) for n, key in enumerate(KEYS))
SYMBOL = Scope("symbol", "linear BTCUSDT")


def asked(desk: Desk, level: FreezeLevel, scope: Scope = FIRM, control: str = "drift") -> FreezeAsked:
    """Somebody's reason to stop."""
    return FreezeAsked(level, scope, control, "3 ≠ 4", desk.clock.peek())


def lifted(desk: Desk, board: FreezeBoard) -> None:
    """Two people sign, and the run hears of it."""
    [frozen] = board.frozen
    now = desk.clock.peek()
    override = Override(
        freeze_id=frozen.freeze_id,
        from_level=frozen.level,
        to=FreezeLevel.NORMAL,
        scope=frozen.scope,
        reason="booked",
        expiry=now + 300 * 10**9,
        nonce="n" * 16,
        head_hash="head",
    )
    override = replace(override, signatures=tuple(signed(override, key) for key in KEYS))
    clean = Reconciled(clean=True, ts=now, said="all compared")
    assert desk.runner.freezing is not None
    desk.runner.freezing.show([board.lower(override, now, reconciled=clean, head="head")])


def outside(desk: Desk) -> list[tuple[Any, ...]]:
    """What the core was told, as the journal has it."""
    told = [fields for kind, fields in desk.entries() if kind == "outside"]
    return [(one["scope"], one["level"]) if one["outside"] == "restrict" else ("share", one["ppm"]) for one in told]


async def until(held: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(5):
        while not held():
            await asyncio.sleep(0)


def test_a_freeze_that_is_latched_at_the_start_is_in_the_core_before_anything_is_asked(tmp_path: Path) -> None:
    """The journal has the level in front of the first wake, and no order ever leaves."""
    board = FreezeBoard(OPERATORS)
    desk = Desk(tmp_path, board=board)
    board.ask(asked(desk, FreezeLevel.NO_NEW))

    async def look(desk: Desk) -> None:
        await until(lambda: "freeze" in desk.runner.pauses)

    run_whole(desk, meanwhile=look)
    assert outside(desk) == [("firm", 2)]
    assert not desk.told("request")


@pytest.mark.parametrize(
    ("scope", "told"), [(FIRM, "firm"), (Scope("account", "7"), "account"), (Scope("strategy", "quoter"), "strategy")]
)
def test_a_run_goes_on_by_itself_after_people_lifted_a_freeze(scope: Scope, told: str, tmp_path: Path) -> None:
    """The quotes leave, all are proven gone, two people sign, and the quotes come back under a tenth of the limits."""
    board = FreezeBoard(OPERATORS, FreezePolicy(shadow_s=0))
    desk = Desk(tmp_path, board=board)

    async def story(desk: Desk) -> None:
        await quoted(desk)
        desk.runner.on_freeze(asked(desk, FreezeLevel.CANCEL_ALL, scope))
        desk.runner.on_freeze(asked(desk, FreezeLevel.CANCEL_ALL, scope))
        await until(lambda: bool(desk.told("cancel_all_done")))
        assert desk.told("cancel_all_done")[0]["proof"] == "asked"
        lifted(desk, board)
        desk.strategy.lots = 5  # type: ignore[attr-defined]
        await until(lambda: not desk.runner.pauses)
        desk.book()
        await until(lambda: [state for *_, state in desk.resting()] == ["live", "live"])

    run_whole(desk, meanwhile=story)
    assert outside(desk) == [(told, 3), ("share", 100_000), (told, 0)]
    assert len(desk.told("freeze asked")) == 1, "asked twice, told once"
    assert [fields["topic"] for kind, fields in desk.entries() if kind == "note"].count("freeze") == 2


def test_for_a_while_after_a_lift_an_order_above_a_tenth_of_the_limits_is_denied(tmp_path: Path) -> None:
    """The desk takes 50 lots; its canary takes 5, until half an hour has passed."""
    board = FreezeBoard(OPERATORS)
    desk = Desk(tmp_path, board=board)

    async def story(desk: Desk) -> None:
        desk.runner.on_freeze(asked(desk, FreezeLevel.CANCEL_ALL))
        await until(lambda: bool(desk.told("cancel_all_done")))
        desk.strategy.lots = 6  # type: ignore[attr-defined]
        lifted(desk, board)
        await until(lambda: not desk.runner.pauses)
        desk.book()
        assert dict(desk.core.denials(0))["order_size"] == 2
        assert not desk.resting()
        desk.strategy.lots = 5  # type: ignore[attr-defined]
        assert outside(desk)[-2:-1] == [("share", 0)]
        desk.book()
        assert not desk.resting(), "in its shadow nothing grows, however small"
        board._shadow_until = desk.clock.peek()
        await until(lambda: outside(desk)[-1] == ("share", 100_000))
        desk.strategy.lots = 6  # type: ignore[attr-defined]
        desk.book()
        assert not desk.resting()
        board._canary_until = desk.clock.peek()
        await until(lambda: outside(desk)[-1] == ("share", 1_000_000))
        desk.book()
        await until(lambda: [state for *_, state in desk.resting()] == ["live", "live"])

    run_whole(desk, meanwhile=story)


def test_a_control_that_asks_reaches_the_board_and_is_measured_anew_after_a_lift(tmp_path: Path) -> None:
    """A fall beyond the day's limit freezes at CANCEL_ALL; after the lift the same equity is where the day begins."""
    board = FreezeBoard(OPERATORS)
    desk = Desk(tmp_path, board=board)
    watch = RiskWatch(RiskConfig(capital_usd="1"), strategy="quoter", account="7")
    desk.runner.risk = RiskDesk(watch, desk.core, [desk.listed], RiskEnds(asked=desk.runner.on_freeze))

    async def story(desk: Desk) -> None:
        await quoted(desk)
        desk.print("100.0", "0.010", "sell")
        await until(lambda: desk.position() == 10)
        desk.book("80.0", "80.2")
        desk.runner.risk._due = 0  # type: ignore[union-attr]
        desk.book("80.0", "80.2")  # the core has heard the fall by now
        await until(lambda: bool(board.frozen))
        [frozen] = board.frozen
        assert (frozen.level, frozen.scope) == (FreezeLevel.CANCEL_ALL, Scope("account", "7"))
        assert {frozen.control, *frozen.noted} == {"loss_minute", "loss_hour", "loss_day", "drawdown"}
        await until(lambda: bool(desk.told("cancel_all_done")))
        lifted(desk, board)
        desk.book("80.0", "80.2")
        desk.runner.risk._due = 0  # type: ignore[union-attr]
        desk.book("80.0", "80.2")  # the core has heard the fall by now
        assert not board.frozen

    run_whole(desk, meanwhile=story)


def test_a_symbol_that_is_frozen_is_frozen_in_the_core_by_its_number(tmp_path: Path) -> None:
    """The scope of one instrument is told with it, and reducing orders may still pass where the level says so."""
    board = FreezeBoard(OPERATORS)
    desk = Desk(tmp_path, board=board)

    async def story(desk: Desk) -> None:
        await quoted(desk)
        desk.runner.on_freeze(asked(desk, FreezeLevel.REDUCE_ONLY, SYMBOL))
        await until(lambda: not desk.resting())
        desk.book()
        assert dict(desk.core.denials(0))["frozen_symbol"] == 2

    run_whole(desk, meanwhile=story)
    assert outside(desk) == [("symbol", 1)]


def test_a_core_that_was_taken_over_is_told_everything_anew(tmp_path: Path) -> None:
    """It may hold levels and a share of the earlier run that people have lifted since."""
    desk, board = Desk(tmp_path), FreezeBoard()
    board.ask(asked(desk, FreezeLevel.REDUCE_ONLY, SYMBOL))
    words = {"strategy": "quoter", "account": "7", "taken_over": True}
    restrictions = Restrictions(desk.core, [desk.listed], desk.clock, **words)  # type: ignore[arg-type]
    restrictions.follow(board, desk.clock.peek())
    restrictions.follow(board, desk.clock.peek())
    assert outside(desk) == [("share", 1_000_000), ("firm", 0), ("account", 0), ("strategy", 0), ("symbol", 1)]
