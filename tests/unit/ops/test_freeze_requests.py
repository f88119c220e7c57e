"""A signed lowering that is handed in to a run: judged once, whatever the disk does."""

from __future__ import annotations

import asyncio
import errno
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.ops import hatch
from mmbot.ops.account_state import AccountState, write_durably
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.freeze_requests import apply_override
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Override, Reconciled
from mmbot.risk.freeze_log import override_words
from mmbot.risk.override import signed

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.runtime.runner import Runner

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)


class Running:
    """As much of a run as judges a lowering: its books agree."""

    freezing = None

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.reconciled = Reconciled(clean=True, ts=NOW + SECOND, said="compared")

    def told(self, event: dict[str, Any]) -> None:
        """Keep it."""
        self.events.append(event)

    def compare_soon(self) -> None:
        """They agree already."""


def _frozen(folder: Path) -> tuple[AccountState, FreezeLatch]:
    state = AccountState.of(folder, "demo", "7")
    key = KEY.public_key().public_bytes_raw().hex()
    state.operators.write_text(f'[[operator]]\nidentity = "ada"\ndevice = "a"\nkey = "{key}"\n', encoding="utf-8")
    latch = FreezeLatch(state, lambda: NOW)
    latch.ask(FreezeAsked(FreezeLevel.NO_NEW, FIRM, "operator", "out", NOW))
    latch.refresh(NOW)
    [frozen] = latch.board.frozen
    token = Override(
        freeze_id=frozen.freeze_id,
        from_level=frozen.level,
        to=FreezeLevel.NORMAL,
        scope=FIRM,
        reason="looked at",
        expiry=NOW + 300 * SECOND,
        nonce="n" * 16,
        head_hash=latch.head,
    )
    token = replace(token, signatures=(signed(token, KEY),))
    write_durably(state.override, json.dumps(override_words(token)).encode())
    return state, latch


def test_an_answer_that_cannot_be_written_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The freeze is lifted as two signed for it; the disk takes no answer; what is handed in next is judged again."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story() -> None:
        (state, latch), run = _frozen(tmp_path), Running()
        runner: Runner = run  # type: ignore[assignment]
        again = state.override.read_bytes()
        with monkeypatch.context() as broken:
            broken.setattr(hatch, "write_durably", full)
            await apply_override(state, latch, runner, lambda: NOW + SECOND)
        assert latch.board.frozen == ()
        [event] = run.events
        assert (event["event"], event["lowered"]) == ("override", True)
        assert "No space left" in event["trouble"]
        assert not state.override.exists()
        state.override.write_bytes(again)
        await apply_override(state, latch, runner, lambda: NOW + SECOND)
        answer = json.loads(state.override_answer.read_bytes())
        assert (answer["lowered"], "is not frozen" in answer["why"]) == (False, True)

    asyncio.run(story())


def test_a_log_that_cannot_be_written_refuses_and_leaves_it_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer says so, and the board is as it was."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def story() -> None:
        (state, latch), run = _frozen(tmp_path), Running()
        runner: Runner = run  # type: ignore[assignment]
        with monkeypatch.context() as broken:
            broken.setattr("mmbot.ops.freeze_latch.os.write", full)
            await apply_override(state, latch, runner, lambda: NOW + SECOND)
        answer = json.loads(state.override_answer.read_bytes())
        assert (answer["lowered"], "No space left" in answer["why"]) == (False, True)
        assert latch.board.level(FIRM) is FreezeLevel.NO_NEW

    asyncio.run(story())
