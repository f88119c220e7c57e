"""The latch: what stops one process stops all, over restarts, and whatever happens to its file."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.ops import freeze_latch
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.freeze_report import days
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Override, OverrideRefusedError, Reconciled, Scope
from mmbot.risk.override import signed

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
CLEAN = Reconciled(clean=True, ts=NOW + 2 * SECOND, said="all compared")


def _state(folder: Path) -> AccountState:
    state = AccountState.of(folder, "demo", "7")
    entries = [
        f'[[operator]]\nidentity = "p{n}"\ndevice = "d{n}"\nkey = "{key.public_key().public_bytes_raw().hex()}"\n'
        for n, key in enumerate(KEYS)
    ]
    state.operators.write_text("".join(entries), encoding="utf-8")
    return state


def _latch(state: AccountState) -> FreezeLatch:
    return FreezeLatch(state, lambda: NOW + SECOND)


def _ask(level: FreezeLevel = FreezeLevel.CANCEL_ALL, scope: Scope = FIRM, control: str = "drift") -> FreezeAsked:
    return FreezeAsked(level, scope, control, "3 ≠ 4", NOW)


def _token(latch: FreezeLatch, count: int = 2) -> Override:
    [frozen] = latch.board.frozen
    override = Override(
        freeze_id=frozen.freeze_id,
        from_level=frozen.level,
        to=FreezeLevel.NORMAL,
        scope=frozen.scope,
        reason="booked",
        expiry=NOW + 300 * SECOND,
        nonce="n" * 16,
        head_hash=latch.head,
    )
    return replace(override, signatures=tuple(signed(override, key) for key in KEYS[:count]))


def test_a_freeze_is_seen_by_others_and_after_a_restart(tmp_path: Path) -> None:
    """Two processes on one file: each sees what the other asked for, and a third one that comes later sees both."""
    state = _state(tmp_path)
    one, other = _latch(state), _latch(state)
    one.ask(_ask(FreezeLevel.NO_NEW, Scope("symbol", "linear BTCUSDT")))
    other.ask(_ask(FreezeLevel.REDUCE_ONLY, control="edge"))
    assert [change.control for change in one.refresh(NOW)] == ["edge"]
    assert [change.control for change in other.refresh(NOW)] == ["drift"]
    assert one.refresh(NOW) == []
    later = _latch(state)
    assert later.board.frozen == one.board.frozen == other.board.frozen
    assert later.head == one.head == other.head


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[:-20],
        lambda raw: raw.replace(b"CANCEL_ALL", b"NO_NEW"),
        lambda raw: raw + b"\xff\xfe\n",
        lambda raw: raw.replace(b'"asked"', b'"thawed"'),
        lambda raw: b"[]\n" + raw,
    ],
)
def test_a_line_that_cannot_be_read_means_frozen(tmp_path: Path, spoil: object) -> None:
    """A log that was cut, changed or overwritten stops the firm; it never counts as nothing."""
    state = _state(tmp_path)
    _latch(state).ask(_ask(scope=Scope("symbol", "linear BTCUSDT")))
    state.freeze.write_bytes(spoil(state.freeze.read_bytes()))  # type: ignore[operator]
    latch = _latch(state)
    assert latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL
    assert [one.control for one in latch.board.frozen if one.scope == FIRM] == ["latch"]


def test_a_torn_line_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    """Who appends after a torn line begins a new one."""
    state = _state(tmp_path)
    latch = _latch(state)
    latch.ask(_ask(FreezeLevel.NO_NEW))
    with state.freeze.open("ab") as file:
        file.write(b'{"sum":"12')
    _latch(state).ask(_ask(FreezeLevel.KILL, control="operator"))
    assert _latch(state).board.level(FIRM) is FreezeLevel.KILL


def test_a_log_that_is_gone_means_frozen_where_there_was_a_run(tmp_path: Path) -> None:
    """It is there from the first run on, empty, so that a second run is free, and only its loss stops trading."""
    state = _state(tmp_path)
    assert _latch(state).board.highest is FreezeLevel.NORMAL
    state.run_begins(tmp_path)
    assert _latch(state).board.highest is FreezeLevel.NORMAL
    state.freeze.unlink()
    assert _latch(state).board.highest is FreezeLevel.CANCEL_ALL
    latch = _latch(state)
    state.freeze.unlink()
    latch.refresh(NOW)
    assert latch.board.highest is FreezeLevel.CANCEL_ALL
    assert _latch(state).board.highest is FreezeLevel.CANCEL_ALL


def test_a_log_that_cannot_be_written_freezes_this_process_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The freeze holds in memory, `trouble` says why, and it is written when the disk takes it again."""
    state = _state(tmp_path)
    latch = _latch(state)

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(freeze_latch.os, "fsync", full)
    assert [change.kind for change in latch.ask(_ask())] == ["raised"]
    assert "holds in this process alone" in latch.trouble
    assert latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL
    monkeypatch.undo()
    latch.refresh(NOW)
    assert latch.trouble == ""
    assert _latch(state).board.level(FIRM) is FreezeLevel.CANCEL_ALL


def test_a_log_that_cannot_be_opened_means_frozen(tmp_path: Path) -> None:
    """A folder in its place, as an example of what no program can read."""
    state = _state(tmp_path)
    state.freeze.mkdir()
    latch = _latch(state)
    assert latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL
    assert latch.trouble


def test_two_people_lower_it_for_everybody(tmp_path: Path) -> None:
    """One signature is refused; with two, every process sees NORMAL, and the report of the day names both."""
    state = _state(tmp_path)
    latch, other = _latch(state), _latch(state)
    latch.ask(_ask())
    latch.refresh(NOW)
    with pytest.raises(OverrideRefusedError, match="too_few_signatures"):
        latch.lower(_token(latch, 1), NOW + 3 * SECOND, CLEAN)
    latch.lower(_token(latch), NOW + 3 * SECOND, CLEAN)
    other.refresh(NOW)
    assert (latch.board.frozen, other.board.frozen, _latch(state).board.frozen) == ((), (), ())
    first, *lines = days(state, NOW + 3 * SECOND)
    assert first == "2027-01-15: 1 raised (drift 1), 1 lowered"
    assert lines[-1].endswith("booked by p0 and p1")
    assert days(state, NOW + 86_400 * SECOND)[-1] == "2027-01-16: nothing"


def test_a_freeze_between_signing_and_lowering_is_not_lifted(tmp_path: Path) -> None:
    """The head that was signed is not the log's any more."""
    state = _state(tmp_path)
    latch = _latch(state)
    latch.ask(_ask())
    latch.refresh(NOW)
    token = _token(latch)
    _latch(state).ask(_ask(FreezeLevel.NO_NEW, Scope("strategy", "maker"), control="edge"))
    with pytest.raises(OverrideRefusedError, match="wrong_head"):
        latch.lower(token, NOW + 3 * SECOND, CLEAN)
    assert latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL


def test_only_its_owner_and_its_group_may_read_the_log(tmp_path: Path) -> None:
    """Reasons hold numbers of positions; a gateway of another user is of the folder's group."""
    state = _state(tmp_path)
    _latch(state).ask(_ask())
    for path in (state.freeze, state.freeze_head):
        assert os.stat(path).st_mode & 0o777 in (0o640, 0o600)  # less what the umask takes
        assert os.stat(path).st_gid == os.stat(state.path).st_gid
