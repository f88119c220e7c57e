"""Lowering a freeze: who signed what, and whether that is enough.

    {freeze_id, from, to, scope, reason, expiry, nonce, head_hash}     as canonical JSON, signed with Ed25519
    REDUCE_ONLY, NO_NEW            one person
    CANCEL_ALL, FLATTEN, KILL      two: different keys, different identities, different devices

What is signed names the freeze and the head of the log, so a freeze raised after the signing is not lifted by it. A key
counts because it is enrolled with an identity and a device, by people who saw both (docs/freeze.md).

Source: reliability.md 5.1; RTS 6 Art. 15(6); the breaker that one employee lifted (SEC 34-75331).
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mmbot.risk.levels import FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EXPIRY_MAX_NS",
    "NO_OPERATORS",
    "Operator",
    "Operators",
    "Override",
    "OverrideRefusal",
    "OverrideRefusedError",
    "Reconciled",
    "Signature",
    "check_token",
    "people",
    "signed",
    "signer_of",
    "verified",
]

OverrideRefusal: TypeAlias = Literal[
    "unknown_freeze",
    "wrong_level",
    "wrong_head",
    "expired",
    "expiry_too_far",
    "no_reason",
    "not_enrolled",
    "bad_signature",
    "too_few_signatures",
    "same_identity",
    "same_device",
    "weak_nonce",
    "replayed_nonce",
    "not_reconciled",
    "wrong_account",
    "not_in_doubt",
    "too_young",
    "no_difference",
    "not_frozen",
]

EXPIRY_MAX_NS = 600_000_000_000
"""A token holds for ten minutes at most."""
NONCE_CHARACTERS_MIN = 16
NEVER = 2**63 - 1
RECONCILED_MAX_NS = 600_000_000_000
"""A reconciliation older than this says nothing about now."""
_TWO_PEOPLE = FreezeLevel.CANCEL_ALL


class OverrideRefusedError(Exception):
    """Everything stays as it is. `name` is the reason in one word."""

    def __init__(self, name: OverrideRefusal, said: str) -> None:
        super().__init__(f"{name}: {said}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Operator:
    """One enrolled key: of whom, and on which device it lies. `key` is the raw public key, 32 bytes."""

    identity: str
    device: str
    key: bytes
    retired: int = NEVER
    """From then on it counts no more, ns since epoch. What it lowered before stays lowered."""


Operators: TypeAlias = tuple[Operator, ...]
NO_OPERATORS: Operators = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature, and the public key that it is to be checked with."""

    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What people sign for, and their signatures."""

    freeze_id: str
    from_level: FreezeLevel
    to: FreezeLevel
    scope: Scope
    reason: str
    """The cause, and why it is gone."""
    expiry: int
    """ns since epoch; no more than ten minutes away."""
    nonce: str
    """Used once. At least 16 characters, drawn at random by who makes the token."""
    head_hash: str
    """Head of the freeze log that the signers looked at."""
    signatures: tuple[Signature, ...] = ()

    def canonical(self) -> bytes:
        """The bytes that are signed: JSON with sorted keys and no spaces."""
        return _canonical(self)


@lru_cache(maxsize=1_024)
def _canonical(override: Override) -> bytes:
    """Remembered, as `_signed_by`."""
    claims = {
        "expiry": override.expiry,
        "freeze_id": override.freeze_id,
        "from": override.from_level.name,
        "head_hash": override.head_hash,
        "nonce": override.nonce,
        "reason": override.reason,
        "scope": {"kind": override.scope.kind, "name": override.scope.name},
        "to": override.to.name,
    }
    return json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the comparison with the venue found. `said` names what was compared, or what differs."""

    clean: bool
    ts: int
    said: str

    def check(self, *, since: int, now: int) -> None:
        """Refuse one that is not clean, or not of the time after the freeze. Raises OverrideRefusedError."""
        if not self.clean:
            raise OverrideRefusedError("not_reconciled", f"the books and the venue differ: {self.said}")
        if not since <= self.ts <= now or now - self.ts > RECONCILED_MAX_NS:
            raise OverrideRefusedError(
                "not_reconciled",
                "the last clean comparison with the venue is not of the last ten minutes since the freeze",
            )


def signed(override: Override, key: Ed25519PrivateKey) -> Signature:
    """Sign what an override says."""
    return Signature(key.public_key().public_bytes_raw(), key.sign(override.canonical()))


def verified(override: Override, level: FreezeLevel, operators: Operators, *, now: int, head: str) -> tuple[str, ...]:
    """Return the identities whose signatures lower from `level`. Raises OverrideRefusedError."""
    _check_words(override, now, head)
    wanted = 2 if level >= _TWO_PEOPLE else 1
    what = f"lowering from {level.name}"
    return people(override.canonical(), override.signatures, operators, now, wanted=wanted, what=what)


def people(
    words: bytes, signatures: Iterable[Signature], operators: Operators, now: int, *, wanted: int, what: str
) -> tuple[str, ...]:
    """Return who signed these words: so many people, each with a key of their own on a device of their own.

    what: they sign for, to say so. Raises OverrideRefusedError.
    """
    signers = [signer_of(words, signature, operators, now) for signature in dict.fromkeys(signatures)]
    if len(signers) < wanted:
        raise OverrideRefusedError("too_few_signatures", f"{len(signers)} of {wanted} signatures that {what} takes")
    identities = tuple({_same(signer.identity): signer.identity for signer in reversed(signers)}.values())[::-1]
    if len(identities) < wanted:
        raise OverrideRefusedError("same_identity", f"every signature is of {identities[0]}; expected {wanted} people")
    if len({_same(signer.device) for signer in signers}) < wanted:
        raise OverrideRefusedError("same_device", f"every key lies on {signers[0].device}; expected {wanted} devices")
    return identities


def _same(name: str) -> str:
    """What two names have in common that are of one person or device, however they were typed."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def check_token(reason: str, nonce: str, expiry: int, now: int) -> None:
    """Refuse a token without a cause, that can be guessed, or whose time is over or too long. Raises
    OverrideRefusedError.
    """
    if not reason.strip():
        raise OverrideRefusedError("no_reason", "the cause has to be named")
    if len(nonce) < NONCE_CHARACTERS_MIN:
        raise OverrideRefusedError("weak_nonce", f"a nonce has at least {NONCE_CHARACTERS_MIN} characters")
    if now > expiry:
        raise OverrideRefusedError("expired", f"the token ended {(now - expiry) / 1e9:.0f} s ago; sign a fresh one")
    if expiry > now + EXPIRY_MAX_NS:
        raise OverrideRefusedError("expiry_too_far", "a token holds for ten minutes at most")


def _check_words(override: Override, now: int, head: str) -> None:
    check_token(override.reason, override.nonce, override.expiry, now)
    if override.head_hash != head:
        raise OverrideRefusedError(
            "wrong_head", "the freeze log moved since the token was made; look at it, and sign a fresh one"
        )


def signer_of(words: bytes, signature: Signature, operators: Operators, now: int) -> Operator:
    """Return whose signature of these words it is. Raises OverrideRefusedError."""
    signer = next((each for each in operators if each.key == signature.key), None)
    if signer is None:
        raise OverrideRefusedError("not_enrolled", f"key {signature.key.hex()[:16]}… is nobody's here; enrol it first")
    if now >= signer.retired:
        raise OverrideRefusedError("not_enrolled", f"that key of {signer.identity} is retired; sign with another")
    if not _signed_by(signer.key, signature.signature, words):
        raise OverrideRefusedError("bad_signature", f"the signature of {signer.identity} is not of what the token says")
    return signer


@lru_cache(maxsize=1_024)
def _signed_by(key: bytes, signature: bytes, words: bytes) -> bool:
    """Remembered, because a board is made of its whole log whenever that grew."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, words)
    except InvalidSignature:
        return False
    return True
