"""How a position that two people signed for comes to the engine: the token that they sign, and what becomes of it."""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING

from mmbot.ops.account_state import UNREADABLE, write_durably
from mmbot.ops.freeze_latch import read_operators
from mmbot.ops.freeze_tokens import TokenError, answered
from mmbot.ops.hatch import Hatch
from mmbot.risk.adjusting import Adjustment
from mmbot.risk.override import EXPIRY_MAX_NS
from mmbot.runtime.adjusting import adjust

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mmbot.ops.account_state import AccountState
    from mmbot.risk.adjusting import Gap
    from mmbot.runtime.runner import Runner

__all__ = ["apply_adjustment", "fresh_adjustment", "hear_adjustments", "said", "sign_adjustment", "word_to_sign"]


def _hatch(state: AccountState) -> Hatch:
    return Hatch("adjusting", state.adjusting, state.adjusting_answer)


async def hear_adjustments(state: AccountState, runner: Runner, wall: Callable[[], int] = time.time_ns) -> None:
    """Judge each token that is handed in, as long as the run lasts. `wall`: the clock of who signs."""

    async def judge(raw: bytes) -> dict[str, object]:
        asked = Adjustment.read(raw)
        by = asked.verified(state.name, read_operators(state.operators), wall())
        return {"booked": await adjust(runner, asked, by)}

    await _hatch(state).hear(judge, runner.told)


def fresh_adjustment(state: AccountState, position: Gap | None, cash: Sequence[str], reason: str) -> Adjustment:
    """A token without signatures, good for ten minutes. cash: breaks as they are told. Raises ValueError."""
    if not reason.strip():
        raise ValueError("--reason: expected what was looked at, and what it said")
    return Adjustment(
        account=state.name,
        position=position,
        cash=tuple(cash),
        reason=reason,
        expiry=time.time_ns() + EXPIRY_MAX_NS - 1_000_000_000,
        nonce=secrets.token_hex(16),
    )


def word_to_sign(token: Path, asked: Adjustment | None) -> Adjustment:
    """The token's word as it stands in its file, or `asked`, which begins it. Raises TokenError, also where who signs
    asked for something else than stands there.
    """
    if not token.exists():
        if asked is None:
            raise TokenError(f"{token} is not there; begin it with --reason and --market … or --cash …")
        return asked
    word = _read(token.read_bytes(), str(token))
    if asked is not None and (asked.position, asked.cash) != (word.position, word.cash):
        raise TokenError(f"{token} says something else: {'; '.join(said(word))}")
    return word


def said(word: Adjustment) -> list[str]:
    """What is signed, for the eyes of who signs."""
    left = (word.expiry - time.time_ns()) / 1e9
    signed = f"for another {left:.0f} s, signed by {len(word.signatures)} so far"
    return [*_about(word), f"reason: {word.reason}", signed]


def sign_adjustment(token: Path, word: Adjustment, key: Ed25519PrivateKey) -> int:
    """Sign, and write the token's file; returns how many have signed. Raises OSError."""
    whole = word.signed(key)
    write_durably(token, json.dumps(whole.words(), indent=1).encode())
    return len(whole.signatures)


def _about(word: Adjustment) -> list[str]:
    gap = word.position
    if gap is None:
        return [f"{word.account}: the coins are counted anew, whatever these were:", *(f"  {one}" for one in word.cash)]
    return [f"{word.account}, {gap.market}: from {gap.held} to {gap.told} lots, the difference at {gap.price}"]


async def apply_adjustment(state: AccountState, token: Path) -> str:
    """Hand a signed token to the engine that runs, and return what it booked. Raises TokenError, OSError."""
    word = json.dumps(_read(token.read_bytes(), str(token)).words()).encode()
    return str((await answered(state, _hatch(state), word))["booked"])


def _read(raw: bytes, what: str) -> Adjustment:
    try:
        return Adjustment.read(raw)
    except UNREADABLE as error:
        raise TokenError(f"{what} is no adjustment: {type(error).__name__}: {error}") from error
