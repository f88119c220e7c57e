"""The names we give our orders. The same order always gets the same name, so nothing is sent twice under two names.

    mm-s-tpaigw-mkr-0000001a-ig
       │ │      │   │        └ two check characters (ISO 7064, MOD 1271-36): no typing error passes for a name
       │ │      │   └ number of the order in this run, from the engine
       │ │      └ strategy
       │ └ start of the run, seconds since epoch: what an earlier run left behind is told apart
       └ environment

Digits are base 36, lower case: 27 characters of the 36 that Bybit allows. Nothing here is random and nothing reads a
clock: a restart that reads its journal knows the names of its orders.

Known limitation: two runs of one strategy on one account that start in the same second would share names.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["ENVIRONMENT_LETTERS", "ClientIds", "Named", "parse"]

ENVIRONMENT_LETTERS = {"simulator": "s", "demo": "d", "testnet": "t", "mainnet": "l"}
"""What a name says of where its order goes."""

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MODULUS = 1271
_EPOCH_DIGITS = 6
_SEQUENCE_DIGITS = 8
_SHAPE = re.compile(r"mm-([0-9a-z])-([0-9a-z]{6})-([0-9a-z]{3})-([0-9a-z]{8})-([0-9a-z]{2})")


@dataclass(frozen=True, slots=True)
class Named:
    """What a client order id says."""

    env: str
    epoch_s: int
    """Start of the run, seconds since epoch."""
    strategy: str
    sequence: int
    """The engine's number of the order."""


@dataclass(frozen=True, slots=True)
class ClientIds:
    """The names of one strategy's orders in one run.

    Raises ValueError for an environment that is not one character of a-z and 0-9, a strategy that is not three, and a
    start before 1970 or after 2038.
    """

    env: str
    """Where the orders go: see `ENVIRONMENT_LETTERS`."""
    epoch_s: int
    """Start of the run, seconds since epoch."""
    strategy: str
    """Three characters that tell the strategy from others on the account."""
    _prefix: str = field(init=False, repr=False, compare=False)
    _remainder: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, value, length in (("env", self.env, 1), ("strategy", self.strategy, 3)):
            if len(value) != length or any(digit not in _DIGITS for digit in value):
                raise ValueError(f"{name} is {value!r}; expected {length} of the characters a-z and 0-9")
        if not 0 <= self.epoch_s < len(_DIGITS) ** _EPOCH_DIGITS:
            raise ValueError(f"epoch_s is {self.epoch_s}; expected seconds since epoch, not ms or ns")
        prefix = f"mm-{self.env}-{_base36(self.epoch_s, _EPOCH_DIGITS)}-{self.strategy}-"
        object.__setattr__(self, "_prefix", prefix)
        object.__setattr__(self, "_remainder", _remainder(prefix))

    def name(self, sequence: int) -> str:
        """Return the client order id of the engine's order `sequence`. Raises ValueError beyond eight digits."""
        if not 0 <= sequence < len(_DIGITS) ** _SEQUENCE_DIGITS:
            raise ValueError(f"sequence is {sequence}; expected a number of at most {_SEQUENCE_DIGITS} base-36 digits")
        digits = _base36(sequence, _SEQUENCE_DIGITS)
        check = (1 - _remainder(digits, self._remainder) * 36 * 36) % _MODULUS
        return f"{self._prefix}{digits}-{_base36(check, 2)}"

    def sequence(self, client_id: str) -> int | None:
        """Return the engine's number of an order of this run and strategy; None for any other name."""
        if not client_id.startswith(self._prefix):
            return None
        named = parse(client_id)
        return None if named is None else named.sequence


@lru_cache(maxsize=1 << 13)
def parse(client_id: str) -> Named | None:
    """Read a name that some run of ours gave; None for any other text, a name with one wrong character included."""
    shape = _SHAPE.fullmatch(client_id)
    if shape is None or _remainder(client_id) != 1:
        return None
    env, epoch, strategy, sequence, _ = shape.groups()
    return Named(env, int(epoch, 36), strategy, int(sequence, 36))


def _base36(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _remainder(text: str, before: int = 0) -> int:
    """Return the text, read as one number after `before`, modulo 1271; dashes count for nothing."""
    digits = text.replace("-", "")
    return (before * pow(36, len(digits), _MODULUS) + int(digits, 36)) % _MODULUS
