"""Joining the freeze logs of two machines: what stands on either is lost by a signature, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, Override, Reconciled, Scope
from mmbot.risk.freeze import FreezeBoard, Lowering, freeze_name
from mmbot.risk.freeze_join import asked_since, joined, unheard
from mmbot.risk.freeze_log import encode, read
from mmbot.risk.override import Operator, signed

NS = 1_000_000_000
T0 = 1_800_000_000 * NS
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
OPERATORS = tuple(Operator(f"p{n}", f"d{n}", key.public_key().public_bytes_raw()) for n, key in enumerate(KEYS))
SCOPES = (FIRM, Scope("account", "7"), Scope("symbol", "linear BTCUSDT"))

raises = st.tuples(st.sampled_from(list(FreezeLevel)[1:]), st.sampled_from(SCOPES), st.sampled_from(["a", "b"]))
steps = st.lists(st.one_of(raises, st.sampled_from(SCOPES), st.just(b'{"torn')), max_size=5)


def board_of(log: bytes) -> FreezeBoard:
    """What a log makes."""
    board = FreezeBoard(OPERATORS)
    board.rebuild(read(log)[0])
    return board


def lowering(log: bytes, scope: Scope, now: int, to: FreezeLevel = FreezeLevel.NORMAL) -> Lowering | None:
    """What two people sign for a scope that is frozen in this log."""
    found = [one for one in board_of(log).frozen if one.scope == scope]
    if not found:
        return None
    head = read(log)[1]
    override = Override(
        freeze_id=found[0].freeze_id,
        from_level=found[0].level,
        to=to,
        scope=scope,
        reason="booked",
        expiry=now + NS,
        nonce=f"{now:032d}",
        head_hash=head,
    )
    override = replace(override, signatures=tuple(signed(override, key) for key in KEYS))
    return Lowering(override=override, ts=now, reconciled=Reconciled(clean=True, ts=now, said=""), head=head)


def grown(log: bytes, told: list[object], start: int) -> bytes:
    """A log after some raises, signed lowerings and torn lines, each at a time of its own."""
    for n, one in enumerate(told):
        now = T0 + (start + n) * NS
        line = b""
        match one:
            case bytes():
                line = one
            case Scope():
                found = lowering(log, one, now)
                line = b"" if found is None else encode(found)
            case (level, scope, control):
                line = encode(FreezeAsked(level, scope, control, "seen", now))
        log += (b"\n" if line and log and not log.endswith(b"\n") else b"") + line
    return log


def lowered_after(log: bytes, asked: FreezeAsked) -> bool:
    """Whether the log says it, and people lowered its scope after that."""
    names = [freeze_name(one) if isinstance(one, FreezeAsked) else one for one in read(log)[0]]
    if freeze_name(asked) not in names:
        return False
    after = names[names.index(freeze_name(asked)) :]
    return any(isinstance(one, Lowering) and one.override.scope == asked.scope for one in after)


@settings(deadline=None)
@given(steps, steps, steps)
def test_what_stands_on_either_stands_afterwards_or_was_signed_for(
    shared: list[object], ours: list[object], others: list[object]
) -> None:
    """Each freeze of each board: its level is held, or the kept log has it and a lowering after it."""
    common = grown(b"", shared, 0)
    mine, theirs = grown(common, ours, 100), grown(common, others, 200)
    log = joined(mine, theirs, OPERATORS)
    after = board_of(log)
    for before in (mine, theirs):
        for one in [each for each in read(before)[0] if isinstance(each, FreezeAsked)]:
            if board_of(before).level(one.scope) >= one.level:
                assert after.level(one.scope) >= one.level or lowered_after(log, one)
    assert log.startswith(theirs) or log.startswith(mine)
    assert not [one for one in after.frozen if "does not hold" in one.reason], "every signature kept its place"


@settings(deadline=None)
@given(st.lists(raises, max_size=4), st.lists(raises, max_size=4))
def test_without_lowerings_no_scope_is_lower_than_on_either(ours: list[object], others: list[object]) -> None:
    """The stricter one wins, scope by scope."""
    mine, theirs = grown(b"", ours, 100), grown(b"", others, 200)
    after = board_of(joined(mine, theirs, OPERATORS))
    for scope in SCOPES:
        assert after.level(scope) == max(board_of(mine).level(scope), board_of(theirs).level(scope))


@settings(deadline=None)
@given(steps, steps)
def test_joining_again_changes_nothing_on_either_side(ours: list[object], others: list[object]) -> None:
    """What the database has after a join is what each machine has after it joined that."""
    mine, theirs = grown(b"", ours, 100), grown(b"", others, 200)
    log = joined(mine, theirs, OPERATORS)
    assert joined(log, log, OPERATORS) == joined(mine, log, OPERATORS) == joined(theirs, log, OPERATORS) == log


def test_an_old_log_neither_undoes_a_lowering_nor_lowers() -> None:
    """B's log of before the lowering stands nowhere afterwards; B's log of before the kill does not end it."""
    killed = grown(b"", [(FreezeLevel.KILL, FIRM, "operator")], 0)
    lifted = grown(killed, [FIRM], 10)
    assert board_of(lifted).highest is FreezeLevel.NORMAL
    assert joined(killed, lifted, OPERATORS) == lifted
    assert joined(b"", killed, OPERATORS) == killed
    symbol = grown(killed, [(FreezeLevel.NO_NEW, SCOPES[2], "a")], 20)
    assert [(one.scope, one.level) for one in board_of(joined(symbol, lifted, OPERATORS)).frozen] == [
        (SCOPES[2], FreezeLevel.NO_NEW)
    ]


def test_what_was_lowered_in_two_steps_stays_lowered_beside_news() -> None:
    """A machine that knows of the first step alone, and of another freeze, brings only that one."""
    common = grown(b"", [(FreezeLevel.KILL, FIRM, "operator")], 0)
    first = lowering(common, FIRM, T0 + 10 * NS, FreezeLevel.NO_NEW)
    assert first is not None
    common += encode(first)
    mine, theirs = grown(common, [(FreezeLevel.NO_NEW, SCOPES[2], "a")], 20), grown(common, [FIRM], 30)
    assert [one.scope for one in board_of(joined(mine, theirs, OPERATORS)).frozen] == [SCOPES[2]]
    alone = joined(mine, encode(FreezeAsked(FreezeLevel.REDUCE_ONLY, FIRM, "b", "", T0)), OPERATORS)
    assert board_of(alone).level(FIRM) is FreezeLevel.NO_NEW


def test_what_was_lowered_in_part_is_still_lifted_as_the_kill_that_it_was() -> None:
    """On the machine that takes it over, too, nothing grows for a while after the last step: over one more join."""
    common = grown(b"", [(FreezeLevel.KILL, FIRM, "operator")], 0)
    first = lowering(common, FIRM, T0 + 10 * NS, FreezeLevel.NO_NEW)
    assert first is not None
    elsewhere = encode(FreezeAsked(FreezeLevel.REDUCE_ONLY, FIRM, "b", "", T0))
    log = joined(common + encode(first), elsewhere, OPERATORS)
    again = joined(log, elsewhere + encode(FreezeAsked(FreezeLevel.NO_NEW, FIRM, "c", "", T0)), OPERATORS)
    for one in (log, again):
        assert [(frozen.level, frozen.worst) for frozen in board_of(one).frozen] == [
            (FreezeLevel.NO_NEW, FreezeLevel.KILL)
        ]
        lifted = board_of(grown(one, [FIRM], 20))
        assert lifted.highest is FreezeLevel.NORMAL
        assert lifted.shadow_until > T0 + 20 * NS


def test_a_lowering_for_a_log_that_went_on_elsewhere_is_given_up() -> None:
    """It was signed for another head: what it lifted stands again."""
    killed = grown(b"", [(FreezeLevel.KILL, FIRM, "operator")], 0)
    lifted, went_on = grown(killed, [FIRM], 10), grown(killed, [(FreezeLevel.NO_NEW, SCOPES[1], "a")], 20)
    assert joined(lifted, went_on, OPERATORS) == went_on
    assert board_of(went_on).highest is FreezeLevel.KILL


def test_a_signature_that_is_nobodys_here_lowers_nothing() -> None:
    """Keys are enrolled on each machine: a log whose lowering cannot be verified freezes the firm."""
    lifted = grown(grown(b"", [(FreezeLevel.KILL, FIRM, "operator")], 0), [FIRM], 10)
    board = FreezeBoard()
    board.rebuild(read(joined(b"", lifted, ()))[0])
    assert board.highest is FreezeLevel.KILL


def test_what_was_asked_beside_is_taken_once() -> None:
    """Also where it was lowered since: whoever asks again says so at another time."""
    asked = FreezeAsked(FreezeLevel.KILL, FIRM, "operator", "seen", T0)
    log = joined(b"", b"", OPERATORS, [asked, asked])
    assert read(log)[0] == [asked]
    lifted = grown(log, [FIRM], 10)
    assert joined(lifted, log, OPERATORS, [asked]) == lifted
    assert unheard(lifted, [asked]) == []
    assert asked_since(lifted, 0) == [asked]
    assert asked_since(lifted, len(log)) == []
