"""The firm's level of a run: whose words it reads, when it speaks, and what it does where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmbot.ops.account_state import AccountState
from mmbot.ops.firm import Firm, others_of, say
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.firm import WORD_BYTES_MAX, Coin, Other, Word

SECOND = 1_000_000_000
HELD = {"BTC": Coin(5, 5, 0)}


class Clock:
    """One that a test sets."""

    now = 100 * SECOND

    def __call__(self) -> int:
        """A fresh time."""
        self.now += 1
        return self.now

    def peek(self) -> int:
        """The time."""
        return self.now


class Run:
    """As much of a run as the firm's level sees: it is its own core, controls and holdings."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.core = self.risk = self.holdings = self
        self.held: dict[str, Coin] | None = HELD
        self.heard: list[tuple[Any, ...]] = []
        self.events: list[Any] = []
        self.told = self.events.append
        self.freezing: Any = None

    def obey(self, latch: FreezeLatch) -> FreezeLatch:
        """Be frozen by it."""
        self.freezing = SimpleNamespace(state=latch)
        return latch

    def on_freeze(self, asked: FreezeAsked) -> None:
        """As a runner."""
        self.freezing.state.ask(asked)

    def worst_by_coin(self) -> dict[str, Coin] | None:
        """What the test says."""
        return self.held

    def elsewhere(self, now: int, circle: str, gross: int | None, net: int | None, at: int) -> None:
        """Keep what the core is told."""
        assert (circle, now >= at) == ("firm", True)
        self.heard.append((gross, net, at))


def account(runs: Path, name: str, *, environment: str = "demo") -> AccountState:
    """One on which somebody traded."""
    state = AccountState.of(runs, environment, name)
    frozen(state)  # its log begins with it
    (state.path / "last-run").write_text("/nowhere\n")
    return state


def firm(state: AccountState, run: Run, most: int = 0) -> Firm:
    """The level of a run on an account; without a limit that leaves room nothing is claimed."""
    return Firm(state, run, 5_000, most)  # type: ignore[arg-type]  as much of a runner as is needed


def test_a_firm_is_the_accounts_of_one_environment_on_which_anybody_traded(tmp_path: Path) -> None:
    """Not oneself, not play money beside real money, not a folder that only holds keys, not an account inside a run."""
    mine = account(tmp_path, "1")
    AccountState.of(tmp_path, "demo", "keys-only")
    account(tmp_path, "3", environment="mainnet")
    AccountState.at(tmp_path / "20260101T000000Z-paper" / "account")
    there = account(tmp_path, "2")
    assert list(others_of(mine)) == [Other("demo-2", None, ended=True)]
    say(there, word := Word(7, HELD))
    there.trades_here()
    assert list(others_of(mine)) == [Other("demo-2", word, ended=False)]
    there.run_ends()
    assert list(others_of(mine)) == [Other("demo-2", word, ended=True)]
    assert list(others_of(AccountState.at(tmp_path / "alone" / "account"))) == []


@pytest.mark.parametrize("spoiled", [b"", b"{}\n", b"\xff\xfe", b" " * (WORD_BYTES_MAX + 1)])
def test_a_word_that_cannot_be_read_is_none(spoiled: bytes, tmp_path: Path) -> None:
    """Torn, empty, too long, no text; a folder in its place as well."""
    mine, there = account(tmp_path, "1"), account(tmp_path, "2")
    there.holds.write_bytes(spoiled)
    assert [one.word for one in others_of(mine)] == [None]
    there.holds.unlink()
    there.holds.mkdir()
    assert [one.word for one in others_of(mine)] == [None]


def test_a_run_says_and_hears_what_is_news_or_a_second_old(tmp_path: Path) -> None:
    """The core's inputs are in its journal: not ten a second of what it knows."""
    run, other = Run(), Run()
    mine, there = account(tmp_path, "1"), account(tmp_path, "2")
    level, beside = firm(mine, run), firm(there, other)
    there.trades_here()
    beside.look()
    level.look()
    assert run.heard == [(5, 5, other.clock.now - 1)]
    said = mine.holds.stat().st_mtime_ns, mine.holds.stat().st_ino
    run.clock.now += SECOND // 2
    level.look()
    assert len(run.heard) == 1
    assert (mine.holds.stat().st_mtime_ns, mine.holds.stat().st_ino) == said
    other.held = {"BTC": Coin(6, 6, -6)}
    other.clock.now = run.clock.now
    beside.look()
    level.look()
    assert run.heard[1:] == [(6, 6, run.clock.now - 1)]
    run.held = {}
    level.look()
    assert Word.decode(mine.holds.read_bytes()) == Word(run.clock.now, {}, 0)
    for _ in range(2):
        run.clock.now += SECOND
        other.clock.now = run.clock.now
        beside.look()
        level.look()
    assert len(run.heard) == 4
    run.clock.now += 6 * SECOND
    level.look()
    assert run.heard[-1][:2] == (None, None), "the other is silent"
    assert run.events == [{"event": "firm", "unknown": ["demo-2"]}]
    there.run_ends()
    level.look()
    assert run.heard[-1] == (6, 6, run.clock.now - 1), "it took leave: its last word holds"
    assert run.events[1:] == [{"event": "firm", "unknown": []}]


def test_the_core_is_kept_within_what_the_others_know_of(tmp_path: Path) -> None:
    """It is told so much of the others that its limit leaves it its claim; one that is stopped claims nothing."""
    run, other = Run(), Run()
    mine, there = account(tmp_path, "1"), account(tmp_path, "2")
    level, beside = firm(mine, run, 105), firm(there, other, 105)
    there.trades_here()
    level.look()
    assert run.heard[-1][:2] == (None, None), "the other has not spoken"
    beside.look()
    level.look()
    beside.look()
    for _ in range(3):
        level.look()
        beside.look()
    claims = [Word.decode(one.holds.read_bytes()).claim for one in (mine, there)]
    assert claims == [52, 52]
    assert (105 - run.heard[-1][0], 105 - other.heard[-1][0]) == (52, 52)
    run.obey(frozen(mine)).ask(FreezeAsked(FreezeLevel.NO_NEW, FIRM, "operator", "out", 1))
    level.look()
    beside.look()
    assert Word.decode(mine.holds.read_bytes()).claim is None
    assert 105 - other.heard[-1][0] == 100
    beside.leave()
    assert Word.decode(there.holds.read_bytes()).claim is None


def test_a_run_that_cannot_say_what_it_holds_does_not_grow(tmp_path: Path) -> None:
    """The others cannot count it."""
    run, mine = Run(), account(tmp_path, "1")
    mine.holds.mkdir()
    firm(mine, run).look()
    assert run.heard[0][:2] == (None, None)
    assert run.events[0]["unknown"][0].startswith("demo-1: ")
    mine.holds.rmdir()
    level = firm(mine, run)
    level.look()
    assert run.heard[-1][:2] == (0, 0)


def test_the_last_word_is_of_what_is_held_at_the_end(tmp_path: Path) -> None:
    """What has no price is not known, which a new run on the account mends."""
    run, mine = Run(), account(tmp_path, "1")
    level = firm(mine, run)
    level.look()
    run.held = {"BTC": Coin(1, -1, -1)}
    level.leave()
    assert Word.decode(mine.holds.read_bytes()).coins == run.held
    run.held = None
    level.leave()
    assert Word.decode(mine.holds.read_bytes()).coins is None


def frozen(state: AccountState) -> FreezeLatch:
    """The latch of an account."""
    return FreezeLatch(state, lambda: 9 * SECOND)


def test_what_a_control_raises_for_the_firm_is_raised_on_every_account(tmp_path: Path) -> None:
    """And latched there: it holds when the other's log is lifted, or lost. What is of one account stays there."""
    run, mine, there = Run(), account(tmp_path, "1"), account(tmp_path, "2")
    ours, theirs = run.obey(frozen(mine)), frozen(there)
    level = firm(mine, run)
    theirs.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("account", "2"), "loss_day", "lost", 1 * SECOND))
    theirs.ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", "no answer", 2 * SECOND))
    level.look()
    assert ours.board.highest is FreezeLevel.NORMAL
    account(tmp_path, "3").freeze.write_bytes(b"no log")
    third = account(tmp_path, "4")
    frozen(third).ask(FreezeAsked(FreezeLevel.REDUCE_ONLY, FIRM, "depeg", "USDC is at 0.9", 3 * SECOND))
    level.look()
    level.look()
    [one] = frozen(mine).board.frozen
    assert (one.level, one.scope, one.control, one.since) == (FreezeLevel.REDUCE_ONLY, FIRM, "depeg", 3 * SECOND)
    assert one.reason == "USDC is at 0.9 (on demo-4)"


def test_a_firms_freeze_is_lifted_on_each_account(tmp_path: Path) -> None:
    """What stood before people lifted ours does not come back from another account; what was raised since does."""
    run, mine, there = Run(), account(tmp_path, "1"), account(tmp_path, "2")
    theirs, ours = frozen(there), run.obey(frozen(mine))
    theirs.ask(FreezeAsked(FreezeLevel.REDUCE_ONLY, FIRM, "depeg", "off", 3 * SECOND))
    ours.board.lowered_at = {FIRM: 3 * SECOND}
    level = firm(mine, run)
    level.look()
    assert ours.level(FIRM) is FreezeLevel.NORMAL
    theirs.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "depeg", "off further", 4 * SECOND))
    level.look()
    assert ours.level(FIRM) is FreezeLevel.CANCEL_ALL


def test_a_freeze_that_is_lowered_in_steps_elsewhere_is_no_new_one(tmp_path: Path) -> None:
    """People lifted it here; that it goes down a step on another account raises nothing here."""
    run, mine, there = Run(), account(tmp_path, "1"), account(tmp_path, "2")
    theirs, ours = frozen(there), run.obey(frozen(mine))
    theirs.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "depeg", "off", 3 * SECOND))
    [stood] = theirs.board.frozen
    ours.board.lowered_at = {FIRM: 4 * SECOND}
    level = firm(mine, run)
    step = replace(stood, level=FreezeLevel.NO_NEW, since=5 * SECOND)
    level._frozen = lambda other, now: (step,)  # type: ignore[method-assign]
    level.look()
    assert ours.level(FIRM) is FreezeLevel.NORMAL


def test_a_freeze_log_that_cannot_be_read_denies_growth(tmp_path: Path) -> None:
    """Nobody knows what stands there."""
    run, mine, there = Run(), account(tmp_path, "1"), account(tmp_path, "2")
    run.obey(frozen(mine))
    say(there, Word(1, {}))
    there.freeze.unlink()
    there.freeze.mkdir()
    firm(mine, run).look()
    assert run.heard[-1][:2] == (None, None)
