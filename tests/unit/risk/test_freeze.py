"""The freeze board: up at once, down only by signatures of people who looked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mmbot.risk import FIRM, FreezeAsked, FreezeBoard, FreezeLevel, Operator, Override, Reconciled, Scope
from mmbot.risk.freeze import Lowering
from mmbot.risk.freeze_log import canonical, checksum, encode, read
from mmbot.risk.override import OverrideRefusal, OverrideRefusedError, Signature, signed

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
SYMBOL = Scope("symbol", "linear BTCUSDT")
ADA, BOB, EVE, ADA_TWO, BOB_SHARED = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 6))


def _operator(identity: str, device: str, key: Ed25519PrivateKey) -> Operator:
    return Operator(identity, device, key.public_key().public_bytes_raw())


OPERATORS = (
    _operator("ada", "token-1", ADA),
    _operator("bob", "token-2", BOB),
    _operator("ada", "laptop", ADA_TWO),
    _operator("bob", "token-1", BOB_SHARED),
)
CLEAN = Reconciled(clean=True, ts=NOW + SECOND, said="orders, position, cash")


def _ask(level: FreezeLevel, scope: Scope = FIRM, control: str = "drift", ts: int = NOW) -> FreezeAsked:
    return FreezeAsked(level, scope, control, f"position 3, venue 4 ({control})", ts)


def _frozen_at(level: FreezeLevel, scope: Scope = FIRM) -> FreezeBoard:
    board = FreezeBoard(OPERATORS)
    board.ask(_ask(level, scope))
    return board


def _token(
    board: FreezeBoard, *keys: Ed25519PrivateKey, to: FreezeLevel = FreezeLevel.NORMAL, **other: object
) -> Override:
    [frozen] = board.frozen
    words: dict[str, object] = {
        "freeze_id": frozen.freeze_id,
        "from_level": frozen.level,
        "to": to,
        "scope": frozen.scope,
        "reason": "the missing fill was booked",
        "expiry": NOW + 300 * SECOND,
        "nonce": "0123456789abcdef",
        "head_hash": "head",
        **other,
    }
    override = Override(**words)  # type: ignore[arg-type]
    return replace(override, signatures=tuple(signed(override, key) for key in keys))


def _lower(
    board: FreezeBoard, override: Override, *, reconciled: Reconciled = CLEAN, head: str = "head", after_s: int = 2
) -> None:
    board.lower(override, NOW + after_s * SECOND, reconciled=reconciled, head=head)


def _refused(board: FreezeBoard, override: Override, name: str, **how: object) -> None:
    before = board.frozen
    with pytest.raises(OverrideRefusedError) as refused:
        _lower(board, override, **how)  # type: ignore[arg-type]
    assert refused.value.name == name
    assert board.frozen == before


def test_a_higher_level_is_taken_at_once_and_told_with_its_reason() -> None:
    """Each raise is one change that says from where, to where, why and when."""
    board = FreezeBoard()
    board.ask(_ask(FreezeLevel.NO_NEW))
    [change] = board.ask(_ask(FreezeLevel.CANCEL_ALL, control="guardian", ts=NOW + 1))
    assert (change.kind, change.before, change.after) == ("raised", FreezeLevel.NO_NEW, FreezeLevel.CANCEL_ALL)
    assert (change.control, change.ts) == ("guardian", NOW + 1)
    assert board.last is not None
    assert board.last.noted == ("drift",)
    assert board.freeze_triggered_total == {"drift": 1, "guardian": 1}


def test_the_same_again_changes_nothing_and_a_lower_one_is_noted_once() -> None:
    """What asks for no more than holds never lowers, and fills no log by asking again."""
    board = _frozen_at(FreezeLevel.CANCEL_ALL)
    assert board.ask(_ask(FreezeLevel.CANCEL_ALL, ts=NOW + 1)) == []
    assert [one.kind for one in board.ask(_ask(FreezeLevel.NO_NEW, control="clock"))] == ["noted"]
    assert board.ask(_ask(FreezeLevel.NO_NEW, control="clock", ts=NOW + 5)) == []
    assert board.level(FIRM) is FreezeLevel.CANCEL_ALL
    assert board.mm_freeze_events_total == 2


def test_the_level_of_an_order_is_the_highest_of_its_scopes() -> None:
    """A symbol's freeze is the symbol's alone; the firm's is everybody's."""
    board = FreezeBoard()
    board.ask(_ask(FreezeLevel.NO_NEW, SYMBOL))
    board.ask(_ask(FreezeLevel.REDUCE_ONLY, Scope("strategy", "maker")))
    assert board.level_of("linear BTCUSDT", "maker", "1") is FreezeLevel.NO_NEW
    assert board.level_of("linear ETHUSDT", "maker", "1") is FreezeLevel.REDUCE_ONLY
    assert board.level_of("linear ETHUSDT", "taker", "1") is FreezeLevel.NORMAL
    board.ask(_ask(FreezeLevel.KILL, Scope("account", "1")))
    assert board.level_of("linear ETHUSDT", "taker", "1") is FreezeLevel.KILL


@pytest.mark.parametrize("level", [FreezeLevel.REDUCE_ONLY, FreezeLevel.NO_NEW])
def test_one_person_lowers_the_low_levels(level: FreezeLevel) -> None:
    """One enrolled signature is enough there, and launch limits hold for a while."""
    board = _frozen_at(level)
    _lower(board, _token(board, ADA))
    assert board.frozen == ()
    assert board.share(NOW + 1_801 * SECOND) == Fraction(1, 10)
    assert board.share(NOW + 1_803 * SECOND) == 1


@pytest.mark.parametrize("level", [FreezeLevel.CANCEL_ALL, FreezeLevel.FLATTEN, FreezeLevel.KILL])
def test_two_people_on_two_devices_lower_the_high_levels(level: FreezeLevel) -> None:
    """One person is not enough, whatever keys they hold; nor are two who share a device."""
    board = _frozen_at(level)
    _refused(board, _token(board, ADA), "too_few_signatures")
    _refused(board, _token(board, ADA, ADA), "too_few_signatures")
    _refused(board, _token(board, ADA, ADA_TWO), "same_identity")
    _refused(board, _token(board, ADA, BOB_SHARED), "same_device")
    _lower(board, _token(board, ADA, BOB))
    assert board.frozen == ()


def test_a_token_that_is_not_as_it_has_to_be_is_refused_by_name() -> None:
    """Each way in which a token may be wrong has its own name, and nothing moves."""
    board = _frozen_at(FreezeLevel.NO_NEW, SYMBOL)
    _refused(board, _token(board, EVE), "not_enrolled")
    _refused(board, _token(board, ADA, expiry=NOW + SECOND), "expired")
    _refused(board, _token(board, ADA, expiry=NOW + 603 * SECOND), "expiry_too_far")
    _refused(board, _token(board, ADA), "wrong_head", head="another")
    _refused(board, _token(board, ADA, reason=" "), "no_reason")
    _refused(board, _token(board, ADA, nonce="short"), "weak_nonce")
    _refused(board, _token(board, ADA, freeze_id="f" * 16), "unknown_freeze")
    _refused(board, _token(board, ADA, scope=FIRM), "unknown_freeze")
    _refused(board, _token(board, ADA, from_level=FreezeLevel.REDUCE_ONLY), "wrong_level")
    _refused(board, _token(board, ADA, to=FreezeLevel.NO_NEW), "wrong_level")
    forged = replace(_token(board, ADA), to=FreezeLevel.REDUCE_ONLY)
    _refused(board, forged, "bad_signature")
    key = ADA.public_key().public_bytes_raw()
    _refused(board, replace(_token(board), signatures=(Signature(key, b"\0" * 64),)), "bad_signature")


def test_a_nonce_counts_once() -> None:
    """A token that was applied is no use for the next freeze, even where all else fits."""
    board = _frozen_at(FreezeLevel.CANCEL_ALL)
    _lower(board, _token(board, ADA, BOB, to=FreezeLevel.NO_NEW))
    _refused(
        board,
        _token(board, ADA, from_level=FreezeLevel.NO_NEW),
        "replayed_nonce",
        reconciled=replace(CLEAN, ts=NOW + 2 * SECOND),
    )


def test_nothing_is_lowered_without_a_clean_reconciliation_of_after_the_freeze() -> None:
    """Books that differ, or a comparison from before, leave the freeze where it is."""
    board = _frozen_at(FreezeLevel.NO_NEW)
    _refused(
        board, _token(board, ADA), "not_reconciled", reconciled=Reconciled(clean=False, ts=NOW + SECOND, said="1 order")
    )
    _refused(board, _token(board, ADA), "not_reconciled", reconciled=replace(CLEAN, ts=NOW - 1))
    _refused(board, _token(board, ADA), "not_reconciled", reconciled=replace(CLEAN, ts=NOW + 10 * SECOND))


def test_a_raise_after_the_signing_is_not_lifted() -> None:
    """The token names the freeze that the signers saw."""
    board = _frozen_at(FreezeLevel.NO_NEW)
    token = _token(board, ADA)
    board.ask(_ask(FreezeLevel.CANCEL_ALL, control="disk"))
    _refused(board, token, "unknown_freeze")


def test_a_retired_key_signs_no_more() -> None:
    """What it lowered before holds; from its end on it is nobody's."""
    board = _frozen_at(FreezeLevel.NO_NEW)
    board.operators = tuple(replace(each, retired=NOW + SECOND) for each in OPERATORS)
    _refused(board, _token(board, ADA), "not_enrolled")


@pytest.mark.parametrize("level", [level for level in FreezeLevel if level is not FreezeLevel.NORMAL])
def test_nothing_ends_by_itself(level: FreezeLevel) -> None:
    """However long nobody asks again, and also where a log claims that it is over."""
    board = _frozen_at(level)
    assert board.refresh(NOW + 10_000_000 * SECOND) == []
    [frozen] = board.frozen
    said = canonical({"lapsed": {"freeze_id": frozen.freeze_id, "ts": NOW}})
    forged = f'{{"sum":"{checksum(said)}","said":{said}}}\n'.encode()
    board.rebuild(read(encode(_ask(level)) + forged)[0])
    assert board.level(FIRM) >= max(level, FreezeLevel.CANCEL_ALL)


@pytest.mark.parametrize(
    ("one", "other", "refused"),
    [
        (("ada", "mac"), ("Ada", "pc"), "same_identity"),
        (("ada", "mac"), (" ada ", "pc"), "same_identity"),
        (("ada l", "mac"), ("ada  L", "pc"), "same_identity"),
        (("ada", "mac"), ("\uff41da", "pc"), "same_identity"),
        (("stra\u00dfe", "mac"), ("STRASSE", "pc"), "same_identity"),
        (("ada", "Mac"), ("bob", "mac "), "same_device"),
    ],
)
def test_one_person_is_one_however_the_name_is_typed(
    one: tuple[str, str], other: tuple[str, str], refused: OverrideRefusal
) -> None:
    """Two keys make two people only where their names differ in more than case, spaces and width."""
    board = _frozen_at(FreezeLevel.CANCEL_ALL)
    pairs = zip(OPERATORS, (one, other), strict=False)
    board.operators = tuple(replace(each, identity=name, device=device) for each, (name, device) in pairs)
    _refused(board, _token(board, ADA, BOB), refused)


@pytest.mark.parametrize("level", [level for level in FreezeLevel if level])
def test_after_a_lift_nothing_grows_for_a_while_then_a_tenth_then_all(level: FreezeLevel) -> None:
    """Section 5.4: after a high level five minutes of deciding alone, then half an hour of launch limits; after a low
    one the launch limits at once.
    """
    board = _frozen_at(level)
    _lower(board, _token(board, ADA, BOB))
    lowered = board.lowered_at[FIRM]
    shadow = 300 * SECOND if level.cancels_all else 0
    canary = shadow + 1_800 * SECOND
    shares = {shadow: Fraction(1, 10), canary - 1: Fraction(1, 10), canary: Fraction(1)}
    shares |= {0: Fraction(0), shadow - 1: Fraction(0)} if shadow else {}
    assert {after: board.share(lowered + after) for after in shares} == shares


def test_what_is_lowered_in_steps_is_lifted_at_the_last_of_them() -> None:
    """Two people lower CANCEL_ALL to NO_NEW, an hour later one lowers that: the five minutes begin only then."""
    board = _frozen_at(FreezeLevel.CANCEL_ALL)
    _lower(board, _token(board, ADA, BOB, to=FreezeLevel.NO_NEW))
    assert board.shadow_until == 0
    later = NOW + 3_600 * SECOND
    token = _token(board, ADA, expiry=later + 60 * SECOND, nonce="another nonce 12")
    board.lower(token, later, reconciled=Reconciled(clean=True, ts=later, said="all"), head="head")
    assert (board.share(later), board.shadow_until, board.lifted_at) == (0, later + 300 * SECOND, later)


def test_a_lift_that_no_run_saw_is_followed_by_its_time_when_one_begins() -> None:
    """The five minutes and the half hour are of a run that looks, not of a machine that stands still."""
    board = _frozen_at(FreezeLevel.KILL)
    _lower(board, _token(board, ADA, BOB))
    a_day_later = board.lifted_at + 86_400 * SECOND
    assert board.share(a_day_later) == 1
    board.begins(a_day_later)
    board.rebuild([])
    shares = [board.share(a_day_later + after * SECOND) for after in (0, 299, 300, 2_099, 2_100)]
    assert shares == [0, 0, Fraction(1, 10), Fraction(1, 10), 1]


def test_a_log_of_inputs_makes_the_same_board_and_a_forged_lowering_freezes() -> None:
    """The board is a function of what it was told; a lowering that does not hold stops everything."""
    board = _frozen_at(FreezeLevel.CANCEL_ALL, SYMBOL)
    token = _token(board, ADA, BOB)
    _lower(board, token)
    applied = Lowering(override=token, ts=NOW + 2 * SECOND, reconciled=CLEAN, head="head")
    again = FreezeBoard(OPERATORS)
    again.rebuild([_ask(FreezeLevel.CANCEL_ALL, SYMBOL), applied])
    assert (again.frozen, again.canary_until, again.metrics()) == (board.frozen, board.canary_until, board.metrics())
    again.rebuild([_ask(FreezeLevel.CANCEL_ALL, SYMBOL), replace(applied, head="other")])
    assert again.level(SYMBOL) is FreezeLevel.CANCEL_ALL
    assert again.level(FIRM) is FreezeLevel.CANCEL_ALL


ASKS = st.builds(
    _ask,
    st.sampled_from(list(FreezeLevel)),
    st.sampled_from([FIRM, SYMBOL, Scope("account", "1")]),
    st.sampled_from(["drift", "clock", "edge"]),
    st.integers(NOW, NOW + SECOND),
)


@given(st.lists(ASKS, max_size=12), st.randoms(use_true_random=False))
def test_asks_never_lower_and_their_order_does_not_matter(asks: list[FreezeAsked], random: object) -> None:
    """The level of every scope is the highest that was asked for, in whatever order."""
    board = FreezeBoard()
    for asked in asks:
        before = {frozen.scope: frozen.level for frozen in board.frozen}
        board.ask(asked)
        assert all(board.level(scope) >= level for scope, level in before.items())
    shuffled = list(asks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = FreezeBoard()
    for asked in shuffled:
        other.ask(asked)
    assert [(one.scope, one.level) for one in board.frozen] == [(one.scope, one.level) for one in other.frozen]
