"""A machine takes in the freeze log of another: on its disk, and for every process that reads there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mmbot.ops import freeze_latch
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch, board_of
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.freeze_log import encode

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000 * 1_000_000_000
KILL = FreezeAsked(FreezeLevel.KILL, FIRM, "operator", "over there", NOW)
SLOW = FreezeAsked(FreezeLevel.NO_NEW, Scope("symbol", "linear BTCUSDT"), "drift", "here", NOW + 1)
EDGE = FreezeAsked(FreezeLevel.REDUCE_ONLY, Scope("account", "7"), "edge", "here", NOW + 2)


def _latch(state: AccountState) -> FreezeLatch:
    return FreezeLatch(state, lambda: NOW + 9)


def _stands(state: AccountState) -> dict[Scope, FreezeLevel]:
    return {one.scope: one.level for one in board_of(state, NOW + 9).frozen}


@pytest.mark.parametrize("own", [[], [KILL], [SLOW], [SLOW, EDGE]])
def test_what_stands_over_there_stands_here_too(tmp_path: Path, own: list[FreezeAsked]) -> None:
    """Whether ours is older, another one or the same; and nothing is wrong with the log afterwards."""
    state = AccountState.of(tmp_path, "demo", "7")
    latch = _latch(state)
    for one in own:
        latch.ask(one)
    latch.join(encode(KILL))
    wanted = {one.scope: one.level for one in (*own, KILL)}
    assert _stands(state) == {one.scope: one.level for one in latch.board.frozen} == wanted
    assert latch.raw.startswith(encode(KILL))
    assert not _latch(state).trouble
    before = state.freeze.read_bytes()
    latch.join(encode(KILL))
    assert state.freeze.read_bytes() == before
    latch.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("strategy", "J"), "late", "", NOW + 3))
    assert _latch(state).board.level(Scope("strategy", "J")) is FreezeLevel.CANCEL_ALL


def test_a_freeze_of_another_process_in_that_moment_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wrote into the log that is replaced just then: taken over by who replaces it, or written again by itself."""
    state = AccountState.of(tmp_path, "demo", "7")
    latch, other = _latch(state), _latch(state)
    latch.ask(SLOW)
    real = freeze_latch.write_durably

    def meanwhile(path: Path, content: bytes, mode: int = 0o666) -> None:
        if path == state.freeze:
            monkeypatch.setattr(freeze_latch, "write_durably", real)
            other.ask(EDGE)
        real(path, content, mode)

    monkeypatch.setattr(freeze_latch, "write_durably", meanwhile)
    latch.join(encode(KILL))
    assert _stands(state) == {one.scope: one.level for one in (SLOW, EDGE, KILL)}

    synced = freeze_latch.os.fsync
    late = _latch(state)

    def replaced(file: int) -> None:
        monkeypatch.setattr(freeze_latch.os, "fsync", synced)
        real(state.freeze, state.freeze.read_bytes())  # another inode, without the line that is being synced
        raw = state.freeze.read_bytes()
        state.freeze.write_bytes(raw[: raw.rstrip(b"\n").rfind(b"\n") + 1])
        synced(file)

    monkeypatch.setattr(freeze_latch, "write_durably", lambda *_: None)  # what is remembered is not the question here
    monkeypatch.setattr(freeze_latch.os, "fsync", replaced)
    late.ask(FreezeAsked(FreezeLevel.KILL, Scope("account", "7"), "late", "", NOW + 4))
    assert state.freeze.read_bytes().count(b'"late"') == 1


def test_a_crash_between_memory_and_log_lifts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stood on either side stands."""
    state = AccountState.of(tmp_path, "demo", "7")
    latch = _latch(state)
    latch.ask(SLOW)
    real = freeze_latch.write_durably

    def dies(path: Path, content: bytes, mode: int = 0o666) -> None:
        if path == state.freeze:
            raise KeyboardInterrupt
        real(path, content, mode)

    monkeypatch.setattr(freeze_latch, "write_durably", dies)
    with pytest.raises(KeyboardInterrupt):
        latch.join(encode(KILL))
    stands = _stands(state)
    assert stands[FIRM] is FreezeLevel.KILL
    assert stands[SLOW.scope] is FreezeLevel.NO_NEW


def test_nothing_is_lowered_that_the_log_elsewhere_does_not_have(tmp_path: Path) -> None:
    """The trouble is told with the latch's own."""
    latch = _latch(AccountState.of(tmp_path, "demo", "7"))
    latch.elsewhere("the fleet does not have it")
    assert latch.trouble == "the fleet does not have it"
    with pytest.raises(OSError, match="does not have it"):
        latch.join(encode(KILL))
    latch.elsewhere("")
    assert not latch.trouble
