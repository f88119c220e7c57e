"""What is remembered of the freeze log beside it: no crash between the two lifts anything, or locks it for good."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.ops import freeze_latch
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch, board_of
from mmbot.ops.guarding import latch_reader
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Override, Reconciled, Scope
from mmbot.risk.freeze_log import encode
from mmbot.risk.freeze_memory import Remembered
from mmbot.risk.override import signed

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
BTC = Scope("symbol", "linear BTCUSDT")


class Account:
    """A folder of an account that has traded, its latch, and two people who may lift."""

    def __init__(self, folder: Path) -> None:
        self.state = AccountState.of(folder, "demo", "7")
        entries = [
            f'[[operator]]\nidentity = "p{n}"\ndevice = "d{n}"\nkey = "{key.public_key().public_bytes_raw().hex()}"\n'
            for n, key in enumerate(KEYS)
        ]
        self.state.operators.write_text("".join(entries), encoding="utf-8")
        self.now, self.nonces = NOW, 0
        self.latch = self.restarted()
        self.state.run_begins(folder)

    def restarted(self) -> FreezeLatch:
        """The board as the next process finds it."""
        self.now += SECOND
        self.latch = FreezeLatch(self.state, lambda: self.now)
        return self.latch

    def ask(self, level: FreezeLevel, scope: Scope = FIRM, control: str = "operator") -> None:
        """Freeze."""
        self.latch.ask(FreezeAsked(level, scope, control, "out", self.now))

    def lift_all(self) -> None:
        """Two people lift whatever there is, one after the other."""
        while self.latch.board.frozen:
            self.latch.refresh(self.now)
            frozen = self.latch.board.frozen[0]
            self.now += SECOND
            self.nonces += 1
            token = Override(
                freeze_id=frozen.freeze_id,
                from_level=frozen.level,
                to=FreezeLevel.NORMAL,
                scope=frozen.scope,
                reason="looked at",
                expiry=self.now + 300 * SECOND,
                nonce=f"{self.now}-{self.nonces}",
                head_hash=self.latch.head,
            )
            token = replace(token, signatures=tuple(signed(token, key) for key in KEYS))
            self.latch.lower(token, self.now, Reconciled(clean=True, ts=self.now, said="compared"))

    def files(self) -> tuple[bytes, bytes]:
        """The log, and what is remembered of it."""
        return self.state.freeze.read_bytes(), self.state.freeze_head.read_bytes()

    def put(self, log: bytes, head: bytes) -> None:
        """Both as some moment left them."""
        self.state.freeze.write_bytes(log)
        self.state.freeze_head.write_bytes(head)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account that has traded, on a disk that need not be waited for."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    return Account(tmp_path)


def test_every_shorter_log_keeps_a_kill_and_can_be_lifted(account: Account) -> None:
    """The log is cut after each of its bytes, in turn: KILL stands, and what two people lift stays lifted."""
    account.ask(FreezeLevel.NO_NEW, BTC, "drift")
    account.ask(FreezeLevel.KILL)
    log, head = account.files()
    for size in range(len(log)):
        account.put(log[:size], head)
        assert latch_reader(account.state)()[0] is FreezeLevel.KILL
        assert account.restarted().board.level(FIRM) is FreezeLevel.KILL, size
        assert account.latch.board.level(BTC) is FreezeLevel.NO_NEW
        assert account.latch.trouble == ""
        assert account.restarted().board.level(FIRM) is FreezeLevel.KILL
    account.lift_all()
    assert account.restarted().board.frozen == ()
    assert account.restarted().trouble == ""


def test_a_shorter_log_freezes_the_firm_also_where_nothing_stood(account: Account) -> None:
    """Everything was lifted, and then lines are missing: nobody knows why, so CANCEL_ALL until people sign."""
    account.ask(FreezeLevel.NO_NEW, BTC, "drift")
    account.lift_all()
    log, head = account.files()
    lines = log.splitlines(keepends=True)
    for kept in (b"", *(b"".join(lines[:n]) for n in range(1, len(lines)))):
        account.put(kept, head)
        assert account.restarted().board.level(FIRM) is FreezeLevel.CANCEL_ALL
        [named] = [one for one in account.latch.board.frozen if one.scope == FIRM]
        assert (named.control, "bytes and had" in named.reason) == ("latch", True)
        account.lift_all()
        assert account.restarted().board.frozen == ()


@pytest.mark.parametrize("gone", ["log", "head", "both"])
def test_a_file_that_is_gone_freezes_the_firm(account: Account, gone: str) -> None:
    """Of an account that has traded; a kill that is remembered, or in the log, stands."""
    account.ask(FreezeLevel.KILL)
    for path in (account.state.freeze, account.state.freeze_head):
        if gone == "both" or (path == account.state.freeze) is (gone == "log"):
            path.unlink()
    expected = FreezeLevel.CANCEL_ALL if gone == "both" else FreezeLevel.KILL
    assert account.restarted().board.level(FIRM) is expected
    account.lift_all()
    assert account.restarted().board.frozen == ()


def test_a_memory_that_cannot_be_read_freezes_the_firm(account: Account) -> None:
    """Cut after every third of its bytes: never less than CANCEL_ALL, and written anew."""
    log, head = account.files()
    for size in range(0, len(head) - 1, 3):
        account.put(log, head[:size])
        assert account.restarted().board.level(FIRM) is FreezeLevel.CANCEL_ALL, size
        account.lift_all()
        assert account.restarted().board.frozen == ()
        log, _ = account.files()


@pytest.mark.parametrize("before", [FreezeLevel.NORMAL, FreezeLevel.NO_NEW])
def test_a_crash_at_any_write_of_a_raise_lifts_nothing_and_can_be_lifted(account: Account, before: FreezeLevel) -> None:
    """As the disk is before, after each step, and after each byte of the line: what stood stands, what was asked for
    too once it is remembered, and people can lift it. A torn line counts as it does anywhere.
    """
    account.ask(before)
    log, head = account.files()
    foretold = Remembered.decode(head)
    account.ask(FreezeLevel.KILL)
    whole, last = account.files()
    [kill] = [one for one in Remembered.decode(last).standing if one.level is FreezeLevel.KILL]
    ahead, line = replace(foretold, standing=(kill,)).encode(), whole[len(log) :]
    assert line == encode(kill)
    torn = (FreezeLevel.CANCEL_ALL, FreezeLevel.KILL)
    moments = [(log, head, (before,)), (log, ahead, torn[1:])]
    moments += [(log + line[:size], ahead, torn) for size in range(1, len(line) - 1)]
    moments += [(log + line[:-1], ahead, torn[1:]), (whole, ahead, torn[1:]), (whole, last, torn[1:])]
    for number, (left, remembered, expected) in enumerate(moments):
        account.put(left, remembered)
        assert board_of(account.state, account.now).level(FIRM) in expected, number
        assert account.restarted().board.level(FIRM) in expected, number
        account.lift_all()
        assert account.restarted().board.frozen == ()
        assert account.restarted().trouble == ""


def test_a_crash_at_any_write_of_a_lowering_leaves_it_frozen_or_lowered(account: Account) -> None:
    """Before its line is whole it is frozen, after that it is lowered; never stuck."""
    account.ask(FreezeLevel.KILL)
    log, head = account.files()
    account.lift_all()
    whole, last = account.files()
    line = whole[len(log) :]
    for size in (*range(0, len(line), 4), len(line) - 2, len(line) - 1, len(line)):
        account.put(log + line[:size], head)
        lowered = size >= len(line) - 1  # the end of the line is not missed
        assert (account.restarted().board.highest is FreezeLevel.NORMAL) is lowered, size
        if size % 9 == 0:
            account.lift_all()
            assert account.restarted().board.frozen == ()
    account.put(whole, last)
    assert account.restarted().board.frozen == ()


def test_two_processes_that_write_at_once_agree_and_alarm_nobody(account: Account) -> None:
    """Each foretells and remembers in turn, the one with an older look: the log leads, and nothing is added to it."""
    one, other = account.latch, FreezeLatch(account.state, lambda: account.now)
    for turn in range(6):
        asker = (one, other)[turn % 2]
        scope = Scope("symbol", f"linear {turn}")
        asker.ask(FreezeAsked(FreezeLevel.NO_NEW, scope, "operator", "out", account.now + turn))
        if turn % 3 == 2:
            one.refresh(account.now)
    for latch in (one, other, account.restarted()):
        latch.refresh(account.now)
        assert len(latch.board.frozen) == 6
        assert latch.board.level(FIRM) is FreezeLevel.NORMAL
        assert latch.trouble == ""
    assert account.state.freeze.read_bytes().count(b"\n") == 6


def test_a_process_that_had_read_a_kill_keeps_it_whatever_both_files_become(account: Account) -> None:
    """An older pair put in place of both while it runs: what it knows is written back."""
    older = account.files()
    account.ask(FreezeLevel.KILL)
    running = account.latch
    account.put(*older)
    running.refresh(account.now)
    assert running.board.level(FIRM) is FreezeLevel.KILL
    assert account.restarted().board.level(FIRM) is FreezeLevel.KILL


def test_a_memory_that_cannot_be_written_is_told_and_the_freeze_is_latched(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk for the one file: the log has the freeze, `trouble` says what is missing, and it is made up for."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(freeze_latch, "write_durably", full)
        account.ask(FreezeLevel.KILL)
        assert "what remembers the freeze log cannot be written" in account.latch.trouble
        assert board_of(account.state, account.now).level(FIRM) is FreezeLevel.KILL
    account.latch.refresh(account.now)
    assert account.latch.trouble == ""
    assert Remembered.decode(account.files()[1]).standing[0].level is FreezeLevel.KILL


def test_a_lowering_that_is_not_durable_does_not_count(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line can be read, and fsync fails: who asked hears that nothing was lowered, and nothing is."""
    account.ask(FreezeLevel.KILL)

    def broken_disk(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(freeze_latch.os, "fsync", broken_disk)
        with pytest.raises(OSError, match="Input/output"):
            account.lift_all()
        assert account.latch.board.level(FIRM) is FreezeLevel.KILL
    account.latch.refresh(account.now)
    assert account.restarted().board.level(FIRM) is FreezeLevel.KILL
    account.lift_all()
    assert account.restarted().board.frozen == ()


def test_a_folder_that_was_copied_whole_is_as_it_was(account: Account, tmp_path: Path) -> None:
    """A restored account has both files, and is neither freer nor more frozen than its copy."""
    account.ask(FreezeLevel.NO_NEW, BTC, "drift")
    shutil.copytree(account.state.path, tmp_path / "copy" / "accounts" / "demo-7")
    copied = FreezeLatch(AccountState.at(tmp_path / "copy" / "accounts" / "demo-7"), lambda: account.now)
    assert [(one.scope, one.level) for one in copied.board.frozen] == [(BTC, FreezeLevel.NO_NEW)]
