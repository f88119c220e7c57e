"""Giving an order up: a person signs that nobody can prove any more what became of it.

    {account, expiry, order, reason, what}     as canonical JSON, signed with Ed25519 by one enrolled person

The venue forgets a cancelled order after a day. An order that was in doubt for longer counts in every limit for ever,
unless somebody looks at the venue's statement and answers for it. Nothing is concluded about the order's executions: a
later word of the venue brings it back.

Source: reliability.md §4.5, EXPIRED_UNPROVEN.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.risk.override import EXPIRY_MAX_NS, Operators, OverrideRefusedError, Signature, signer_of

__all__ = ["GivingUp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivingUp:
    """What a person signs for, and the signature."""

    account: str
    """Which account, as `mmbot status` names it."""
    order: str
    """The order's client id."""
    reason: str
    """What was looked at, and what it said."""
    expiry: int
    """ns since epoch; no more than ten minutes away."""
    signature: Signature | None = None

    def canonical(self) -> bytes:
        """The bytes that are signed. `what` keeps a signature from being of anything else."""
        claims = {
            "account": self.account,
            "expiry": self.expiry,
            "order": self.order,
            "reason": self.reason,
            "what": "expired_unproven",
        }
        return json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    def signed(self, key: Ed25519PrivateKey) -> GivingUp:
        """The same, signed."""
        signature = Signature(key.public_key().public_bytes_raw(), key.sign(self.canonical()))
        return replace(self, signature=signature)

    def verified(self, account: str, operators: Operators, now: int) -> str:
        """Return who signed. Raises OverrideRefusedError."""
        if self.account != account:
            raise OverrideRefusedError("wrong_account", f"it was signed for {self.account}, this is {account}")
        if not self.reason.strip():
            raise OverrideRefusedError("no_reason", "say what was looked at, and what it said")
        if now > self.expiry:
            raise OverrideRefusedError("expired", "the signature is too old; sign again")
        if self.expiry > now + EXPIRY_MAX_NS:
            raise OverrideRefusedError("expiry_too_far", "a signature holds for ten minutes at most")
        if self.signature is None:
            raise OverrideRefusedError("too_few_signatures", "one enrolled person has to sign")
        return signer_of(self.canonical(), self.signature, operators, now).identity

    def words(self) -> dict[str, object]:
        """As it goes through a file, and into the journal."""
        signature = self.signature or Signature(b"", b"")
        return {
            "account": self.account,
            "order": self.order,
            "reason": self.reason,
            "expiry": self.expiry,
            "key": signature.key.hex(),
            "signature": signature.signature.hex(),
        }

    @classmethod
    def read(cls, raw: bytes) -> GivingUp:
        """Read what `words` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        words = json.loads(raw)
        return cls(
            account=str(words["account"]),
            order=str(words["order"]),
            reason=str(words["reason"]),
            expiry=int(words["expiry"]),
            signature=Signature(bytes.fromhex(words["key"]), bytes.fromhex(words["signature"])),
        )
