"""A bot that stands still for any time, and one whose wall clock jumps: no stale order, and the books agree."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kill_matrix import differs
from killed_run import Bot, Rig
from stricken import ages, faked_clock, jump, stand_still

if TYPE_CHECKING:
    from exchange_server import Exchange

pytestmark = pytest.mark.slow
AGE_S, WAY_S = 0.25, 0.5
"""How old a decision may be that leaves; how long the way to the exchange and its turn may take on a busy machine."""


def _asks(bot: Bot, times: int) -> bool:
    """Wait until it asks something of the exchange again; False once it is frozen instead."""
    for _ in range(20):
        try:
            bot.until("request", times=times, seconds=3)
        except AssertionError:
            if bot.process.poll() is not None:
                raise
            if any(event["event"] == "freeze asked" for event in bot.events):
                return False
        else:
            return True
    raise AssertionError(f"neither quoting nor frozen within a minute: {[e['event'] for e in bot.events[-12:]]}")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("longest", [20, 60])
def test_a_bot_that_stood_still_sends_nothing_old(exchange: Exchange, tmp_path: Path, longest: int) -> None:
    """SIGSTOP at random for 0.1 s to 5 s, once for longer: no order comes later than its decision allows, all is equal.

    Where answers that came too late froze it, which is right, another one takes the stops that are left.
    """
    rng = random.Random(longest)
    stops = [longest, *(round(0.1 * 50 ** rng.random(), 2) for _ in range(12))]
    while stops:
        folder = tmp_path / str(len(stops))
        folder.mkdir()
        rig = Rig(exchange, folder)
        with rig.bot() as bot:
            bot.until("fill", seconds=60)
            while stops and _asks(bot, rng.randint(1, 4)):
                stand_still(bot.process.pid, stops.pop())
            _asks(bot, 1)
            assert bot.end() == 0
        late = {name: age for name, age in ages(rig).items() if age > AGE_S + WAY_S}
        assert late == {}
        assert differs(rig) == ""


@pytest.mark.timeout(180)
def test_a_wall_clock_that_jumps_moves_nothing(exchange: Exchange, tmp_path: Path) -> None:
    """Five seconds back, then five ahead, then right: no request is out of the venue's window, and it quotes on."""
    rig, file = Rig(exchange, tmp_path), tmp_path / "clock"
    with rig.bot(prefix=faked_clock(file)) as bot:
        bot.until("fill")
        for seconds in (-5, +5, 0):
            jump(file, seconds)
            bot.until("request", times=12, seconds=60)
            bot.until("fill", seconds=60)
        assert bot.end() == 0
    refused = [event for event in bot.events if event["event"] == "refused" and "clock" in str(event)]
    assert refused == []
    assert all(abs(age) < AGE_S + WAY_S for age in ages(rig).values())
    assert differs(rig) == ""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seconds", [-5, 5])
def test_a_bot_that_starts_with_a_wrong_clock_goes_by_the_venues(
    exchange: Exchange, tmp_path: Path, seconds: int
) -> None:
    """The clock is off from the start: it is measured, requests are corrected, and the journal has the venue's time."""
    rig, file = Rig(exchange, tmp_path), tmp_path / "clock"
    prefix = faked_clock(file)
    jump(file, seconds)
    with rig.bot(prefix=prefix) as bot:
        bot.until("fill", times=3)
        assert bot.end() == 0
    assert all(abs(age) < AGE_S + WAY_S for age in ages(rig).values())
    assert differs(rig) == ""
