"""mmbot freeze, status and kill as they are typed: what would stop nothing is an error, never silence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch


def account(runs: Path) -> AccountState:
    """An account that traded one symbol."""
    state = AccountState.of(runs, "simulator", "1001")
    state.session.write_text(
        json.dumps({"markets": [["linear", "BTCUSDT"]], "strategy": "JoinTouch"}), encoding="utf-8"
    )
    return state


def typed(*words: object) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("command", ["freeze", "kill"])
def test_a_folder_without_accounts_is_an_error(command: str, tmp_path: Path):
    """Everything of nothing would be said to be stopped; the folder is named instead, and what was expected."""
    code, said = typed(command, "--all", "--runs", tmp_path, "--reason", "out")
    assert code != 0
    assert "there is no account" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--symbol", "BTCUSDT"], "'linear BTCUSDT'"),
        (["--symbol", "linear BTCUSD"], "'linear BTCUSDT'"),
        (["--symbol", "linear BTCUSDT", "--strategy", "JoinTouch"], "expected one of them"),
        (["--reason", " "], "expected why"),
        (["--strategy", "join_touch"], "expected 'JoinTouch'"),
    ],
)
def test_a_freeze_of_what_is_not_traded_is_refused(words: list[str], expected: str, tmp_path: Path):
    """Nothing is latched, and what would have been right is said."""
    state = account(tmp_path)
    code, said = typed("freeze", "--runs", tmp_path, *words)
    assert code != 0
    assert expected in said
    assert not FreezeLatch(state, lambda: 1).board.frozen


@pytest.mark.parametrize(("kind", "name"), [("symbol", "linear BTCUSDT"), ("strategy", "JoinTouch")])
def test_what_is_traded_is_frozen(kind: str, name: str, tmp_path: Path):
    """At the level that was asked for, and nothing else."""
    state = account(tmp_path)
    code, said = typed("freeze", "--runs", tmp_path, f"--{kind}", name, "--level", "NO_NEW")
    assert (code, "NO_NEW" in said) == (0, True)
    [frozen] = FreezeLatch(state, lambda: 1).board.frozen
    assert (frozen.scope.kind, frozen.scope.name) == (kind, name)
