"""Tokens that lower a freeze, as files that go from one person to the next; and the keys that sign them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.ops.account_state import UNREADABLE, FirmState, write_durably
from mmbot.ops.freeze_latch import FreezeLatch, operators_in, read_operators
from mmbot.ops.freeze_requests import COMPARED_S, ask_engine, describe
from mmbot.ops.killing import look_for_orders
from mmbot.risk.freeze_log import override_from, override_words
from mmbot.risk.levels import FreezeLevel
from mmbot.risk.override import EXPIRY_MAX_NS, Operator, Override, Reconciled, signed, verified

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmbot.ops.account_state import AccountState
    from mmbot.ops.hatch import Hatch

__all__ = [
    "TokenError",
    "answered",
    "apply",
    "enrol_key",
    "fresh",
    "new_key",
    "read_key",
    "read_token",
    "with_signature",
    "words",
    "write_token",
]

_SILENT = (
    "the engine gave no answer in time; whether it still does what was signed is in its log. Look there and at "
    "`mmbot status` first; one that hangs is ended by `mmbot kill`"
)


NAME_MAX = 64
"""Characters of a person's or a device's name."""


class TokenError(ValueError):
    """A token or a key is not what it has to be."""


def new_key(path: Path) -> str:
    """Make a private key at `path`, readable by its owner alone; returns the public one. Raises TokenError."""
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise TokenError(f"{path}: {error.strerror}; a key is not written over another") from error
    with os.fdopen(file, "wb") as out:
        out.write(raw)
    return key.public_key().public_bytes_raw().hex()


def read_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key. Raises TokenError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TokenError(f"{path} holds no private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TokenError(f"{path} holds a key of another kind; expected Ed25519, as `mmbot keys new` makes")
    return key


def enrol_key(state: AccountState, key: str, identity: str, device: str) -> None:
    """Let a public key count for a person and a device.

    Raises TokenError: for a bad or known key, a name that names nobody, and while anything is frozen; OSError,
    ValueError where the file of operators cannot be read or written: then it is as it was.
    """
    if FreezeLatch(state, time.time_ns, writes=False).board.frozen:
        raise TokenError(f"{state.name} is frozen: whoever may lift that had to be enrolled before")
    try:
        raw = bytes.fromhex(key)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise TokenError(f"{key!r} is no public key; expected 64 hex digits, as `mmbot keys new` prints")
    new = Operator(_named("identity", identity), _named("device", device), raw)
    known = read_operators(state.operators)
    if any(each.key == raw for each in known):
        raise TokenError("that key is enrolled already")
    before = state.operators.read_text(encoding="utf-8") if state.operators.exists() else ""
    words = (f"{name} = {json.dumps(word, ensure_ascii=False)}" for name, word in _words_of(new))
    text = "\n".join([*before.splitlines(), "[[operator]]", *words, ""])
    if operators_in(text) != (*known, new):
        raise TokenError(f"{state.operators} would not say that afterwards; look into it")
    write_durably(state.operators, text.encode())


def _words_of(operator: Operator) -> list[tuple[str, str]]:
    return [("identity", operator.identity), ("device", operator.device), ("key", operator.key.hex())]


def _named(what: str, name: str) -> str:
    """A name as it is kept. Raises TokenError for one that cannot be told from nothing, or from another, by eye."""
    kept = " ".join(unicodedata.normalize("NFKC", name).split())
    strange = sorted({f"U+{ord(one):04X}" for one in name if unicodedata.category(one).startswith("C")})
    if strange or not any(one.isalnum() for one in kept) or len(kept) > NAME_MAX:
        raise TokenError(
            f"--{what} {name!r}: expected 1 to {NAME_MAX} characters, of them a letter or a digit"
            + (f", and none that cannot be seen: {', '.join(strange)}" if strange else "")
        )
    return kept


def fresh(state: AccountState, *, freeze_id: str | None, to: str, reason: str) -> Override:
    """A token without signatures for a freeze, good for ten minutes. Raises TokenError."""
    looked = FreezeLatch(state, time.time_ns, writes=False)  # of an account that is not frozen nothing is made
    latch = FreezeLatch(state, time.time_ns) if looked.board.own else looked
    frozen = [one for one in latch.board.own if freeze_id in (None, one.freeze_id)]
    if len(frozen) != 1:
        known = ", ".join(f"{one.freeze_id} ({one.scope})" for one in latch.board.own) or "nothing is frozen"
        if len(latch.board.own) < len(latch.board.frozen):
            known += "; what stands for the whole firm is lifted by --firm"
        raise TokenError(f"name the freeze by --freeze: {known}")
    if to not in FreezeLevel.__members__ or not reason.strip():
        raise TokenError(f"--to {to} --reason {reason!r}: expected a level and the cause")
    return Override(
        freeze_id=frozen[0].freeze_id,
        from_level=frozen[0].level,
        to=FreezeLevel[to],
        scope=frozen[0].scope,
        reason=reason,
        expiry=time.time_ns() + EXPIRY_MAX_NS - 1_000_000_000,
        nonce=secrets.token_hex(16),
        head_hash=latch.head,
    )


def words(override: Override) -> list[str]:
    """What is signed, for the eyes of who signs."""
    left = (override.expiry - time.time_ns()) / 1e9
    return [
        f"freeze {override.freeze_id}: {override.scope} from {override.from_level.name} to {override.to.name}",
        f"reason: {override.reason}",
        f"for another {left:.0f} s, at head {override.head_hash[:16]}…, signed by {len(override.signatures)} so far",
    ]


def with_signature(override: Override, key: Ed25519PrivateKey) -> Override:
    """Add a signature."""
    return replace(override, signatures=(*override.signatures, signed(override, key)))


def read_token(path: Path) -> Override:
    """Read a token. Raises TokenError."""
    try:
        return override_from(json.loads(path.read_bytes()))
    except (OSError, *UNREADABLE) as error:
        raise TokenError(f"{path} is no token: {type(error).__name__}: {error}") from error


def write_token(path: Path, override: Override) -> None:
    """Write a token, whole or not at all."""
    write_durably(path, json.dumps(override_words(override), indent=1).encode())


async def answered(state: AccountState, hatch: Hatch, word: bytes) -> dict[str, Any]:
    """What the engine that runs says to a signed word. Raises TokenError: none runs, it refuses, it is silent."""
    if state.engine() is None:
        raise TokenError(f"no engine runs on {state.name}: start it first, it has the books and asks the venue")
    try:
        answer = await hatch.ask(word, COMPARED_S + 10)
    except TimeoutError:
        raise TokenError(_SILENT) from None
    if "refused" in answer:
        raise TokenError(f"the engine refuses: {answer['refused']}")
    return answer


async def apply(state: AccountState, override: Override, environ: Mapping[str, str]) -> str:
    """Lower what a token is for: by the engine that runs, or here where none does. Returns what became of it.

    Raises OverrideRefusedError, VenueError, ConfigError, TokenError.
    """
    latch, now = FreezeLatch(state, time.time_ns), time.time_ns()
    level = latch.board.own_level(override.scope)
    verified(override, level, latch.board.operators, now=now, head=latch.head)  # before anybody is asked for books
    try:
        if isinstance(state, FirmState):
            agreed = await _agreed(state, override)
            return describe(latch.lower(override, time.time_ns(), agreed))
        if state.engine() is not None:
            answer = await ask_engine(state, override)
            if not answer["lowered"]:
                raise TokenError(f"the engine refuses: {answer['why']}")
            return f"lowered to {override.to.name}; launch limits hold for a while"
        reconciled = await look_for_orders(state, environ)
        return describe(latch.lower(override, time.time_ns(), reconciled))
    except TimeoutError:
        raise TokenError(_SILENT) from None
    except OSError as error:
        raise TokenError(f"the account's folder cannot be used: {error}") from error


async def _agreed(firm: FirmState, override: Override) -> Reconciled:
    """Have every engine of a firm compare its books with the venue's. Raises TokenError where one does not agree.

    An account on which none runs is compared by its next run, before that quotes.
    """
    running = [account for account in firm.accounts if account.engine() is not None]
    answers = await asyncio.gather(*(ask_engine(account, override) for account in running))
    for account, answer in zip(running, answers, strict=True):
        if not answer.get("agrees"):
            raise TokenError(f"the engine of {account.name} does not agree: {answer['why']}")
    compared = ", ".join(account.name for account in running) or "no engine runs"
    oldest = min((int(answer["ts"]) for answer in answers), default=time.time_ns())
    return Reconciled(clean=True, ts=oldest, said=f"compared: {compared}")
