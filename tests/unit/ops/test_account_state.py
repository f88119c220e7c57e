"""The folder of an account: what lies in it, and which process trades."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mmbot.ops.account_state import AccountState, Running, write_durably

if TYPE_CHECKING:
    from pathlib import Path


def test_every_account_of_a_folder_of_runs_is_found(tmp_path: Path) -> None:
    """Accounts of a venue first, then those that live inside one run."""
    AccountState.of(tmp_path, "testnet", "1001")
    AccountState.of(tmp_path, "simulator", "7")
    AccountState.at(tmp_path / "20261128T000000Z-paper" / "account")
    names = [each.name for each in AccountState.every(tmp_path)]
    assert names == ["simulator-7", "testnet-1001", "20261128T000000Z-paper"]


@pytest.mark.parametrize("account", ["../7", "a b", "", "x/y"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, account: str) -> None:
    """An account's name is a name, not a path."""
    with pytest.raises(ValueError, match="expected letters"):
        AccountState.of(tmp_path, "." if not account else "demo", account)


def test_the_newest_run_and_the_process_that_trades_are_remembered(tmp_path: Path) -> None:
    """While the run lasts, this process trades; after it nobody does, and the run's folder is still known."""
    state = AccountState.of(tmp_path, "demo", "7")
    assert (state.newest_run(), state.engine()) == (None, None)
    state.run_begins(tmp_path / "run")
    assert state.newest_run() == tmp_path / "run"
    assert state.engine() == Running.of(os.getpid())
    state.run_ends()
    assert state.engine() is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"12", b"1 2 3", b"-1 2", b"9" * 5_000 + b" 1"])
def test_what_names_no_process_is_not_taken_for_nobody(tmp_path: Path, content: bytes) -> None:
    """An engine may run all the same; and a run that ends leaves such a file to who looks into it."""
    state = AccountState.of(tmp_path, "demo", "7")
    (state.path / "engine").write_bytes(content)
    with pytest.raises(ValueError, match="names no process"):
        state.engine()
    state.run_ends()
    assert not state.ended_in_order()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"runs/1", b"/runs/\0"])
def test_what_names_no_folder_is_not_taken_for_no_run(tmp_path: Path, content: bytes) -> None:
    """A run was there, whatever the file says; a path of any bytes is one."""
    state = AccountState.of(tmp_path, "demo", "7")
    (state.path / "last-run").write_bytes(content)
    with pytest.raises(ValueError, match="expected the whole path"):
        state.newest_run()
    assert state.has_run
    odd = tmp_path / os.fsdecode(b"\xff")
    state.run_begins(odd)
    assert state.newest_run() == odd


def test_a_number_that_another_process_has_by_now_is_not_the_engine(tmp_path: Path) -> None:
    """The start time tells processes apart that were given one number; the remains of one are nobody."""
    state = AccountState.of(tmp_path, "demo", "7")
    me = Running.of(os.getpid())
    assert me is not None
    write_durably(state.path / "engine", f"{me.pid} {me.started - 1}\n".encode())
    assert state.engine() is None
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Running.of(child.pid) is None
    child.wait(10)
