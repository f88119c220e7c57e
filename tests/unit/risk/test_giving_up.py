"""A person's word that an order is given up: what counts, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.risk.giving_up import GivingUp
from mmbot.risk.override import Operator, OverrideRefusedError

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
OPERATORS = (Operator("ann", "laptop", KEY.public_key().public_bytes_raw()),)
WORD = GivingUp(account="demo-7", order="mm-s-abc", reason="statement of the 28th", expiry=NOW + 60 * SECOND)


def refused(asked: GivingUp, now: int = NOW) -> str:
    """Why it does not count."""
    with pytest.raises(OverrideRefusedError) as told:
        asked.verified("demo-7", OPERATORS, now)
    return told.value.name


def test_one_enrolled_person_is_enough() -> None:
    """The word goes through a file and counts as what it was."""
    read = GivingUp.read(json.dumps(WORD.signed(KEY).words()).encode())
    assert read == WORD.signed(KEY)
    assert read.verified("demo-7", OPERATORS, NOW) == "ann"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (WORD, "too_few_signatures"),
        (WORD.signed(OTHER), "not_enrolled"),
        (replace(WORD.signed(KEY), order="mm-s-abd"), "bad_signature"),
        (replace(WORD.signed(KEY), reason="another"), "bad_signature"),
        (replace(WORD, account="demo-8").signed(KEY), "wrong_account"),
        (replace(WORD, reason=" ").signed(KEY), "no_reason"),
        (replace(WORD, expiry=NOW - 1).signed(KEY), "expired"),
        (replace(WORD, expiry=NOW + 601 * SECOND).signed(KEY), "expiry_too_far"),
    ],
)
def test_what_does_not_count_is_refused_by_name(asked: GivingUp, why: str) -> None:
    """A stranger's signature, one of something else, of another account, too old, for too long."""
    assert refused(asked) == why
