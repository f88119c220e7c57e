"""Adjusting a position: two people sign that the venue's number is the true one, and at which price the rest is booked.

    {account, expiry, held, market, nonce, price, reason, told, what}   as canonical JSON, signed with Ed25519 by two

A position that differs from the venue's for good is a break that no look mends: an execution was lost, or somebody
acted beside us. Nothing is invented to make books match; what people answer for is booked as theirs, by name, in the
journal.

Source: reliability.md 4.6, step 8.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.risk.override import Operators, OverrideRefusedError, Signature, check_token, people

__all__ = ["Adjustment"]

_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What people sign for, and their signatures."""

    account: str
    """Which account, as `mmbot status` names it."""
    market: str
    """Category and symbol, as the break names it."""
    held: int
    """What our books hold, lots, signed."""
    told: int
    """What the venue says, lots, signed."""
    price: str
    """At which the difference is booked."""
    reason: str
    """What was looked at, and what it said."""
    expiry: int
    """ns since epoch; no more than ten minutes away."""
    nonce: str
    """Used once. At least 16 characters, drawn at random by who makes the token."""
    signatures: tuple[Signature, ...] = ()

    def canonical(self) -> bytes:
        """The bytes that are signed. `what` keeps a signature from being of anything else."""
        claims = {name: word for name, word in self.words().items() if name != "signatures"}
        return json.dumps({**claims, "what": "adjust"}, sort_keys=True, separators=(",", ":")).encode()

    def signed(self, key: Ed25519PrivateKey) -> Adjustment:
        """The same with one more signature."""
        signature = Signature(key.public_key().public_bytes_raw(), key.sign(self.canonical()))
        return replace(self, signatures=(*self.signatures, signature))

    def verified(self, account: str, operators: Operators, now: int) -> tuple[str, ...]:
        """Return who signed. Raises OverrideRefusedError."""
        if self.account != account:
            raise OverrideRefusedError("wrong_account", f"it was signed for {self.account}, this is {account}")
        check_token(self.reason, self.nonce, self.expiry, now)
        return people(self.canonical(), self.signatures, operators, now, wanted=2, what="an adjustment")

    def words(self) -> dict[str, object]:
        """As it goes through a file, and into the journal."""
        return {
            "account": self.account,
            "market": self.market,
            "held": self.held,
            "told": self.told,
            "price": self.price,
            "reason": self.reason,
            "expiry": self.expiry,
            "nonce": self.nonce,
            "signatures": [[one.key.hex(), one.signature.hex()] for one in self.signatures],
        }

    @classmethod
    def read(cls, raw: bytes) -> Adjustment:
        """Read what `words` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        words = json.loads(raw)
        if not _PRICE.fullmatch(words["price"]) or float(words["price"]) <= 0:
            raise ValueError(f"price is {words['price']!r}; expected plain decimal text above zero")
        signatures = tuple(Signature(bytes.fromhex(key), bytes.fromhex(word)) for key, word in words["signatures"])
        texts = {name: str(words[name]) for name in ("account", "market", "price", "reason", "nonce")}
        numbers = {name: int(words[name]) for name in ("held", "told", "expiry")}
        return cls(**texts, **numbers, signatures=signatures)  # type: ignore[arg-type]
