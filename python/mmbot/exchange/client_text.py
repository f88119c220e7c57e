"""What clients write, read within bounds: whatever it is, it is a value or a ValueError, and no other exception.

Both bounds keep what is read usable afterwards: Python writes no integer of more than 4,300 digits, and neither writes
nor compares what is nested some hundred levels deep.
"""

import msgspec

__all__ = ["read_json", "read_whole"]

DIGITS_MAX = 30
DEPTH_MAX = 32
"""Far more than any time in ns, and than any request of the protocol."""


def read_whole(text: str) -> int:
    """Read a whole number of ASCII digits, without a sign."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise ValueError(f"{text[:DIGITS_MAX]!r} is no whole number; expected at most {DIGITS_MAX} digits")
    return int(text)


def read_json(raw: str | bytes) -> object:
    """Read JSON."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error
    _check_depth(found, DEPTH_MAX)
    return found


def _check_depth(value: object, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if not left:
        raise ValueError(f"JSON nested too deeply; expected at most {DEPTH_MAX} levels")
    for inner in value.values() if isinstance(value, dict) else value:
        _check_depth(inner, left - 1)
