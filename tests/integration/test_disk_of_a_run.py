"""A disk that fills up, refuses or is slow under a real bot: its orders leave, and it says why."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from killed_run import Bot, Rig
from stricken import descriptors, fill, small_disk, strace, traced_bot

if TYPE_CHECKING:
    from exchange_server import Exchange

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def _gone(rig: Rig, seconds: float) -> float:
    """Wait until the exchange has no order of ours; how long that took."""
    began = time.monotonic()
    while rig.open_orders():
        assert time.monotonic() - began < seconds, f"orders are left: {rig.open_orders()}"
    return time.monotonic() - began


def _ended(rig: Rig, bot: Bot, seconds: float = 40) -> str:
    """Wait until a bot ends by itself; what it complained of."""
    assert bot.process.wait(seconds) != 0
    return (rig.folder / "bot.err").read_text(errors="replace")


def test_a_full_disk_takes_the_orders_out(exchange: Exchange, tmp_path: Path) -> None:
    """The disk of journal and tapes fills up while the bot quotes: no order is left, and the reason is told."""
    with small_disk(tmp_path / "runs", "8m"):
        rig = Rig(exchange, tmp_path)
        with rig.bot() as bot:
            bot.until("fill", times=2)
            fill(rig.runs)
            assert "No space left" in _ended(rig, bot)
        assert rig.open_orders() == {}


def test_an_error_of_a_sync_is_never_tried_again(exchange: Exchange, tmp_path: Path) -> None:
    """EIO once: no second sync says that all is well; what was out is cancelled, and the bot ends with the reason."""
    rig = Rig(exchange, tmp_path)
    with rig.bot(prefix=strace("-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=14")) as bot:
        bot.until("quoting")
        said = _ended(rig, bot)
        asked = [event["request"] for event in bot.events if event["event"] == "request"]
    assert "Input/output error" in said
    assert "fdatasync" in said or "journal" in said
    assert asked[-1:] != ["place"]
    assert rig.open_orders() == {}


def test_cancels_behind_a_slow_disk_are_bounded(exchange: Exchange, tmp_path: Path) -> None:
    """Every sync takes a second: what was decided before it is too old to leave, and the end takes every order out."""
    rig = Rig(exchange, tmp_path)
    slow = "inject=fdatasync:delay_enter=1000000:when=14+"
    with rig.bot(prefix=strace("-e", "trace=fdatasync", "-e", slow)) as bot:
        bot.until("fill", times=2)
        os.kill(traced_bot(bot.process.pid), signal.SIGTERM)
        took = _gone(rig, 15)
        bot.process.wait(40)
    assert took < 10


def test_a_bot_without_descriptors_takes_its_orders_out(exchange: Exchange, tmp_path: Path) -> None:
    """No file or socket can be opened, and a link is cut: quotes leave over what is still open, nothing new comes."""
    rig = Rig(exchange, tmp_path)
    with rig.bot() as bot:
        bot.until("fill", times=2)
        pid = bot.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(descriptors(pid), 16), hard))
        exchange.admin("POST", "disconnect", link="private", uid=rig.account.uid, how="abort")
        bot.until("paused")
        assert _gone(rig, 10) < 10
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        bot.until("quoting")
        assert bot.end() == 0
    assert rig.open_orders() == {}
    rig.agree()
