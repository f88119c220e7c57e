"""mmbot freeze, status and kill as they are typed: what would stop nothing is an error, never silence."""

import json
import os
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


@pytest.mark.parametrize("words", [["--symbol", "linear BTCUSDT"], ["--strategy", "JoinTouch"]])
def test_of_all_accounts_those_that_trade_it_are_frozen(words: list[str], tmp_path: Path):
    """One that does not trade it is told of, and is no failure; where no account does, that is one."""
    state, other = account(tmp_path), AccountState.of(tmp_path, "demo", "7")
    other.session.write_text(json.dumps({"markets": [["spot", "ETHUSDT"]], "strategy": "Other"}), encoding="utf-8")
    code, said = typed("freeze", "--all", "--runs", tmp_path, *words)
    assert (code, "demo-7: not frozen: demo-7 does not trade" in said) == (0, True)
    assert [bool(FreezeLatch(one, lambda: 1).board.frozen) for one in (state, other)] == [True, False]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("last-run", b"\xff\xfe"),
        ("last-run", b""),
        ("engine", b"\xff\xfe"),
        ("engine", b"12"),
        ("session.json", b"null"),
        ("session.json", b"\xff"),
        ("operators.toml", b"operator = 3"),
        ("operators.toml", b"[[operator]]"),
        ("metrics.json", b"null"),
        ("metrics.json", b"[]"),
        ("metrics.json", b"{}"),
        ("alarms.jsonl", b"null\n"),
        ("alarms.jsonl", b"\xff no log"),
    ],
)
def test_no_file_of_an_account_keeps_a_freeze_from_being_latched(name: str, content: bytes, tmp_path: Path):
    """Whatever one file holds: the freeze is in the log, and `status` tells it, in words and without a traceback."""
    state, other = account(tmp_path), AccountState.of(tmp_path, "demo", "7")
    (state.path / name).write_bytes(content)
    typed("freeze", "--all", "--runs", tmp_path, "--reason", "out")
    assert b"CANCEL_ALL" in state.freeze.read_bytes()
    assert FreezeLatch(other, lambda: 1).board.frozen
    code, said = typed("status", "--runs", tmp_path)
    assert ("simulator-1001: CANCEL_ALL" in said, "demo-7: CANCEL_ALL" in said) == (True, True)
    assert code == (name in ("last-run", "engine", "operators.toml", "alarms.jsonl")), said
    assert typed("status", "--json", "--runs", tmp_path)[0] == code


@pytest.mark.parametrize("command", ["freeze", "kill"])
def test_a_reason_in_another_language_stops_all_the_same(command: str, tmp_path: Path):
    """A terminal that speaks Latin-1: what is no UTF-8 becomes a sign, and everything is latched."""
    state = account(tmp_path)
    _, said = typed(command, "--runs", tmp_path, "--reason", os.fsdecode(b"f\xfcr den Fall"))
    [frozen] = FreezeLatch(state, lambda: 1).board.frozen
    assert (frozen.reason, "Traceback" in said) == ("f\ufffdr den Fall", False)


def test_a_question_writes_nothing(tmp_path: Path):
    """Neither on an account that nothing was ever done on, nor where something is wrong; nor does a token's maker."""
    state, cut = AccountState.of(tmp_path, "demo", "7"), account(tmp_path)
    FreezeLatch(cut, lambda: 1)
    cut.freeze.unlink()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, said = typed("status", "--runs", tmp_path)
    assert (code, "demo-7: NORMAL" in said, "simulator-1001: CANCEL_ALL" in said) == (0, True, True)
    typed("freeze", "report", "--all", "--runs", tmp_path)
    key, token = tmp_path / "ada.pem", tmp_path / "t.json"
    public = typed("keys", "new", key)[1].strip()
    typed("unfreeze", "--token", token, "--sign", key, "--reason", "r", "--account", "demo-7", "--runs", tmp_path)
    key.unlink()
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    who = ["--identity", "a", "--device", "d", "--account", "demo-7"]
    assert typed("keys", "enrol", public, *who, "--runs", tmp_path)[0] == 0
    assert not state.freeze.exists()


@pytest.mark.parametrize(("kind", "name"), [("symbol", "linear BTCUSDT"), ("strategy", "JoinTouch")])
def test_what_is_traded_is_frozen(kind: str, name: str, tmp_path: Path):
    """At the level that was asked for, and nothing else."""
    state = account(tmp_path)
    code, said = typed("freeze", "--runs", tmp_path, f"--{kind}", name, "--level", "NO_NEW")
    assert (code, "NO_NEW" in said) == (0, True)
    [frozen] = FreezeLatch(state, lambda: 1).board.frozen
    assert (frozen.scope.kind, frozen.scope.name) == (kind, name)
