"""A small part of the kill matrix, and a recovery that is killed fifty times. The whole: docs/kill-matrix.md."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kill_matrix import Point, differs, intended, points, try_chain, twice
from killed_run import Rig
from stricken import strace

if TYPE_CHECKING:
    from exchange_server import Exchange

pytestmark = pytest.mark.slow


@pytest.mark.timeout(300)
@pytest.mark.parametrize("guardian", [False, True])
def test_a_bot_killed_at_any_system_call_is_taken_over(exchange: Exchange, tmp_path: Path, guardian: bool) -> None:
    """Four kills on one account, three of them of bots that recover: position, orders and cash are the exchange's."""
    strace()
    chain: list[Point] = points(8, seed=77)[guardian]
    try_chain(exchange, tmp_path, chain)
    assert [point.failed for point in chain] == [""] * len(chain)
    assert any(point.reached for point in chain)


@pytest.mark.timeout(900)
def test_fifty_kills_while_it_recovers_converge(exchange: Exchange, tmp_path: Path) -> None:
    """Fifty in a row: the bot after them has the exchange's books; frozen, for it was a crash loop, and says so."""
    rng = random.Random(50)
    rig = Rig(exchange, tmp_path)
    with rig.bot() as bot:
        bot.until("fill", times=4)
        bot.kill()
    for _ in range(50):
        with rig.bot() as bot:
            bot.until("recovering", seconds=60)
            with suppress(AssertionError):
                bot.until("quoting", seconds=rng.random())
            bot.kill()
        assert set(rig.open_orders()) <= intended(rig)
        assert twice(rig) == ""
    with rig.bot() as bot:
        assert bot.until("frozen")["control"] == "crash_loop"
        bot.until("reconcile", seconds=60)
        assert bot.end() == 0
    assert differs(rig) == ""
