"""What the accounts of a firm may come to hold together: each says its own worst case, and adds up what others say.

    holdings ─▶ Word ─▶ the account's folder ─▶ the others' `together` ─▶ core, as `elsewhere` of the firm

So that two accounts that grow at the same moment pass no limit, each says a *claim* as well: what it may come to hold
before it speaks again. It grows within its claim alone, counts the others by theirs, and takes a larger claim only if,
after that was said, theirs leave room for it (`claimed`, `granted`).

    read ─ say a claim ─ read again ─ grow within what the others leave of it

Whoever of several said a claim last has read the others' claims after that. So all claims together were within the
limit then, and what is held is within the claims: the sum is never above the limit, at the prices of each account's
last look.

Money is in whole 10^-12 of the quote currency, times are ns since epoch. The gross sum is of worst cases. The net sum
is the farther of its two ends: what is out on both sides may trade on either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["LEAD_NS", "WORD_BYTES_MAX", "Coin", "Elsewhere", "Other", "Word", "claimed", "granted", "together"]

LEAD_NS: Final = 1_000_000_000
"""How far ahead of our clock another's may be: both follow the venue's, each by its own measure."""
WORD_BYTES_MAX: Final = 1 << 16
"""A longer one is none."""
_VERSION: Final = 1
_MOST: Final = 10**30
"""A million million millions; what is more is a mistake."""


@dataclass(frozen=True, slots=True)
class Coin:
    """What may come to be held of one coin."""

    gross: int
    """The worse side of each instrument, added up."""
    high: int
    """The whole position if everything bought traded, signed."""
    low: int
    """The same if everything sold did."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no worst case."""
        known = all(type(one) is int and abs(one) <= _MOST for one in (self.gross, self.high, self.low))
        if not known or not max(abs(self.high), abs(self.low)) <= self.gross or self.low > self.high:
            raise ValueError(f"{self}; expected whole numbers, low <= high, and gross no less than either")


@dataclass(frozen=True, slots=True)
class Word:
    """What one account says of itself."""

    at: int
    """When it was so."""
    coins: dict[str, Coin] | None
    """By coin; None while something that is held or quoted has no price."""
    claim: int | None = None
    """Up to what the gross sum may grow before the next word; None where the account does not grow."""

    @property
    def gross(self) -> int:
        """What may come to be held of all coins, by the orders that are out."""
        return sum(one.gross for one in (self.coins or {}).values())

    @property
    def ceiling(self) -> int:
        """What may come to be held before the next word."""
        return max(self.gross, self.claim or 0)

    def encode(self) -> bytes:
        """As it is written."""
        known = None if self.coins is None else sorted(self.coins.items())
        coins = known if known is None else {coin: [one.gross, one.high, one.low] for coin, one in known}
        said = {"version": _VERSION, "at": self.at, "coins": coins}
        return json.dumps(said if self.claim is None else {**said, "claim": self.claim}).encode() + b"\n"

    @classmethod
    def decode(cls, raw: bytes) -> Word:
        """Read one. Raises ValueError for anything else, cut off in the middle or of another version."""
        try:
            if len(raw) > WORD_BYTES_MAX or not raw.endswith(b"}\n"):
                raise ValueError(f"{len(raw)} bytes, torn or too long")
            said = json.loads(raw)
            if said["version"] != _VERSION or type(said["at"]) is not int:
                raise ValueError(f"of version {said['version']}, at {said['at']}; this mmbot reads {_VERSION}")
            coins, claim = said["coins"], said.get("claim")
            if claim is not None and (type(claim) is not int or not 0 <= claim <= _MOST):
                raise ValueError(f"a claim of {claim!r}; expected a whole number")
            known = None if coins is None else {coin: Coin(*one) for coin, one in coins.items()}
            return cls(said["at"], known, claim)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"what an account may hold cannot be read: {error!r}") from None


@dataclass(frozen=True, slots=True)
class Other:
    """Another account as it was found."""

    name: str
    word: Word | None
    """What it said last; None where nothing can be read."""
    ended: bool
    """Nobody trades on it: who did took leave in order, and its last word holds."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What all others hold."""

    gross: int
    """By their claims."""
    net: int
    at: int
    """As of when: the oldest word of those that trade."""
    unknown: tuple[str, ...]
    """Accounts of which it is not known, so that the sums are none."""
    held: int = 0
    """The gross sum without what is only claimed."""
    sharers: int = 0
    """Accounts that may grow."""

    def is_news(self, before: Elsewhere) -> bool:
        """Whether it says something else, whatever the time."""
        return (self.gross, self.net, self.unknown) != (before.gross, before.net, before.unknown)


def together(others: Iterable[Other], now: int, age_ns: int) -> Elsewhere:
    """Add up what others say. A word is good for `age_ns`, or for good where that is 0 or its account ended."""
    gross = high = low = held = sharers = 0
    at, unknown = now, []
    for other in others:
        word = other.word
        if word is None or word.coins is None or not (other.ended or _is_fresh(word, now, age_ns)):
            unknown.append(other.name)
            continue
        at = at if other.ended else min(at, word.at)
        gross += word.ceiling
        held += word.gross
        sharers += word.claim is not None
        high += sum(one.high for one in word.coins.values())
        low += sum(one.low for one in word.coins.values())
    net = high if abs(high) >= abs(low) else low
    return Elsewhere(gross, net, at, tuple(unknown), held, sharers)


def claimed(own: int, others: Elsewhere, most: int) -> int:
    """Return what an account that holds `own` at worst claims, as far as the others leave it: an even share of the room
    that is left below `most` for it and those that grow as well.
    """
    room = max(0, most - own - others.held)
    return granted(own, own + room // (others.sharers + 1), others, most)


def granted(own: int, claim: int, others: Elsewhere, most: int) -> int:
    """Return how much of a claim that was said holds, beside what the others had said by then; what is held, always."""
    return max(own, min(claim, most - others.gross))


def _is_fresh(word: Word, now: int, age_ns: int) -> bool:
    return word.at <= now + LEAD_NS and (not age_ns or now - word.at <= age_ns)
