"""Adjusting the books: two people sign that the venue's number is the true one, where a difference stays for good.

    {account, cash, expiry, nonce, position, reason, what}      as canonical JSON, signed with Ed25519 by two
        position   {held, market, price, told}: the difference is booked at that price
        cash       breaks, word for word: the coins are counted anew from what there is

An execution was lost, or somebody acted beside us: no look mends that. Nothing is invented to make books match; what
people answer for is booked as theirs, by name, in the journal.

Source: reliability.md 4.6, steps 8 and 9.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.risk.override import Operators, OverrideRefusedError, Signature, check_token, people

__all__ = ["Adjustment", "Gap"]

_PRICE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A position that differs."""

    market: str
    """Category and symbol, as the break names it."""
    held: int
    """What our books hold, lots, signed."""
    told: int
    """What the venue says, lots, signed."""
    price: str
    """At which the difference is booked."""

    def __post_init__(self) -> None:
        if not _PRICE.fullmatch(self.price) or float(self.price) <= 0:
            raise ValueError(f"price is {self.price!r}; expected plain decimal text above zero")
        if self.held == self.told:
            raise ValueError(f"{self.market}: {self.held} and {self.told} lots do not differ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """What people sign for, and their signatures. Raises ValueError for nothing, and for both at once."""

    account: str
    """Which account, as `mmbot status` names it."""
    position: Gap | None = None
    cash: tuple[str, ...] = ()
    """Every break of the coins, as it is told."""
    reason: str
    """What was looked at, and what it said."""
    expiry: int
    """ns since epoch; no more than ten minutes away."""
    nonce: str
    """Used once. At least 16 characters, drawn at random by who makes the token."""
    signatures: tuple[Signature, ...] = ()

    def __post_init__(self) -> None:
        if (self.position is None) is not bool(self.cash):
            raise ValueError("expected a position, or breaks of the coins")

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
            "position": None if self.position is None else asdict(self.position),
            "cash": list(self.cash),
            "reason": self.reason,
            "expiry": self.expiry,
            "nonce": self.nonce,
            "signatures": [[one.key.hex(), one.signature.hex()] for one in self.signatures],
        }

    @classmethod
    def read(cls, raw: bytes) -> Adjustment:
        """Read what `words` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        words = json.loads(raw)
        gap = words["position"]
        if gap is not None:
            gap = Gap(market=str(gap["market"]), held=int(gap["held"]), told=int(gap["told"]), price=str(gap["price"]))
        return cls(
            account=str(words["account"]),
            position=gap,
            cash=tuple(map(str, words["cash"])),
            reason=str(words["reason"]),
            expiry=int(words["expiry"]),
            nonce=str(words["nonce"]),
            signatures=tuple(Signature(bytes.fromhex(key), bytes.fromhex(word)) for key, word in words["signatures"]),
        )
