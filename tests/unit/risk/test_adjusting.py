"""Two people's word that a position is what the venue says: what counts, and what does not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.risk.adjusting import Adjustment, Gap
from mmbot.risk.override import Operator, OverrideRefusedError

NOW = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
ANN, BOB, EVE, ANNS_OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3, 4))
OPERATORS = tuple(
    Operator(name, device, key.public_key().public_bytes_raw())
    for name, device, key in (("ann", "laptop", ANN), ("bob", "desk", BOB), ("Ann ", "phone", ANNS_OTHER))
)
GAP = Gap(market="linear BTCUSDT", held=10, told=15, price="60000.5")
WORD = Adjustment(
    account="demo-7",
    position=GAP,
    reason="an execution of the 28th is missing",
    expiry=NOW + 60 * SECOND,
    nonce="0123456789abcdef",
)
BOTH = WORD.signed(ANN).signed(BOB)
COINS = replace(WORD, position=None, cash=("cash USDT: we hold 1, the venue says 2",)).signed(ANN).signed(BOB)


@pytest.mark.parametrize("word", [BOTH, COINS])
def test_two_enrolled_people_are_enough(word: Adjustment) -> None:
    """The word goes through a file and counts as what it was."""
    read = Adjustment.read(json.dumps(word.words()).encode())
    assert read == word
    assert read.verified("demo-7", OPERATORS, NOW) == ("ann", "bob")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (WORD, "too_few_signatures"),
        (WORD.signed(ANN), "too_few_signatures"),
        (WORD.signed(ANN).signed(ANN), "too_few_signatures"),
        (WORD.signed(ANN).signed(ANNS_OTHER), "same_identity"),
        (WORD.signed(ANN).signed(EVE), "not_enrolled"),
        (replace(BOTH, position=replace(GAP, told=16)), "bad_signature"),
        (replace(BOTH, position=replace(GAP, held=9)), "bad_signature"),
        (replace(BOTH, position=replace(GAP, price="6000.5")), "bad_signature"),
        (replace(BOTH, position=replace(GAP, market="linear ETHUSDT")), "bad_signature"),
        (replace(COINS, cash=("cash USDT: another",)), "bad_signature"),
        (replace(BOTH, position=None, cash=("cash USDT",)), "bad_signature"),
        (replace(WORD, account="demo-8").signed(ANN).signed(BOB), "wrong_account"),
        (replace(WORD, reason=" ").signed(ANN).signed(BOB), "no_reason"),
        (replace(WORD, nonce="short").signed(ANN).signed(BOB), "weak_nonce"),
        (replace(WORD, expiry=NOW - 1).signed(ANN).signed(BOB), "expired"),
        (replace(WORD, expiry=NOW + 601 * SECOND).signed(ANN).signed(BOB), "expiry_too_far"),
    ],
)
def test_what_is_not_two_peoples_word_adjusts_nothing(asked: Adjustment, why: str) -> None:
    """One person, however often; a stranger; a signature of something else; another account; too old, for too long."""
    with pytest.raises(OverrideRefusedError) as told:
        asked.verified("demo-7", OPERATORS, NOW)
    assert told.value.name == why


@pytest.mark.parametrize("price", ["", "0", "nan", "1e5", "-3", "inf"])
def test_a_price_that_is_none_is_no_word(price: str) -> None:
    """Nothing is booked at what is no price."""
    words = BOTH.words()
    words["position"]["price"] = price  # type: ignore[index]
    with pytest.raises(ValueError, match="expected plain decimal text above zero"):
        Adjustment.read(json.dumps(words).encode())


@pytest.mark.parametrize("changes", [{"position": None}, {"cash": ["cash USDT"]}])
def test_a_word_is_about_one_thing(changes: dict[str, object]) -> None:
    """Neither nothing, nor two things at once."""
    with pytest.raises(ValueError, match="expected a position, or breaks of the coins"):
        Adjustment.read(json.dumps({**BOTH.words(), **changes}).encode())
