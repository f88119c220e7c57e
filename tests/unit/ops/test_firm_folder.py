"""The firm's level of a run: whose words it reads, when it speaks, and what it does where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmbot.ops.account_state import AccountState
from mmbot.ops.firm import Firm, others_of, say
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
    (state.path / "last-run").write_text("/nowhere\n")
    return state


def firm(state: AccountState, run: Run) -> Firm:
    """The level of a run on an account."""
    return Firm(state, run, 5_000)  # type: ignore[arg-type]  as much of a runner as is needed


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
    assert Word.decode(mine.holds.read_bytes()) == Word(run.clock.now, {})
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
