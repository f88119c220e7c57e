"""A freeze of the whole firm: one log above the accounts, which every reader of theirs joins."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from mmbot.cli import app
from mmbot.ops.account_state import AccountState, FirmState, write_durably
from mmbot.ops.freeze_latch import FreezeLatch, board_of, board_reader
from mmbot.ops.freeze_requests import apply_override
from mmbot.ops.freeze_tokens import apply, enrol_key, fresh
from mmbot.ops.gateway_process import _Latched
from mmbot.ops.guarding import latch_reader
from mmbot.ops.status import status_words
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, OverrideRefusedError, Reconciled, Scope
from mmbot.risk.freeze_log import override_words
from mmbot.risk.override import signed

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.risk import Override

NOW = time.time_ns()
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
BTC = Scope("symbol", "linear BTCUSDT")


def clock() -> int:
    """The time, which stands still."""
    return NOW


def asked(level: FreezeLevel, scope: Scope = FIRM) -> FreezeAsked:
    """As a person asks."""
    return FreezeAsked(level, scope, "operator", "out", NOW - 1)


def account(runs: Path, number: int, environment: str = "demo") -> AccountState:
    """An account on which a run began."""
    state = AccountState.of(runs, environment, str(number))
    FreezeLatch(state, clock)
    state.run_begins(runs)
    state.run_ends()
    return state


def firm_of(state: AccountState, *people: int) -> FirmState:
    """Its firm, and who may lower there."""
    assert state.firm is not None
    state.firm.path.mkdir(parents=True, exist_ok=True)
    for n in people:
        enrol_key(state.firm, KEYS[n].public_key().public_bytes_raw().hex(), f"p{n}", f"d{n}")
    return state.firm


def seen_by(state: AccountState) -> set[FreezeLevel]:
    """What everything that reads an account's board says of it as a whole."""
    told: list[Any] = []
    return {
        FreezeLatch(state, clock).level_of(str(BTC.name), "Quoter", "1"),
        FreezeLatch(state, clock, writes=False).board.highest,
        board_of(state, NOW).highest,
        board_reader(state)(NOW).highest,
        latch_reader(state)()[0],
        _Latched(state, "1", [("linear", "BTCUSDT")], told.append)()[""],
        FreezeLevel[str(status_words(state, NOW)["level"])],
    }


def token_of(state: AccountState, people: int = 2) -> Override:
    """A token for the only freeze of a log, signed."""
    token = fresh(state, freeze_id=None, to="NORMAL", reason="booked")
    return replace(token, signatures=tuple(signed(token, key) for key in KEYS[:people]))


def test_it_holds_on_every_account_those_to_come_included(tmp_path: Path) -> None:
    """Of its own environment; not inside a run of an embedded exchange. A running latch sees it at its next look."""
    first, other = account(tmp_path, 1), account(tmp_path, 1, "testnet")
    latch = FreezeLatch(first, clock)
    assert seen_by(first) == {FreezeLevel.NORMAL}
    FreezeLatch(firm_of(first), clock).ask(asked(FreezeLevel.CANCEL_ALL))
    assert [(one.kind, one.scope, one.after) for one in latch.refresh(NOW)] == [
        ("raised", FIRM, FreezeLevel.CANCEL_ALL)
    ]
    assert latch.refresh(NOW) == []
    assert latch.board.own == ()
    for state in (first, account(tmp_path, 2)):
        assert seen_by(state) == {FreezeLevel.CANCEL_ALL}
    assert seen_by(other) == {FreezeLevel.NORMAL}
    assert FreezeLatch(AccountState.at(tmp_path / "run" / "account"), clock).board.highest is FreezeLevel.NORMAL


def test_a_symbol_of_the_whole_firm_is_frozen_where_it_is_traded(tmp_path: Path) -> None:
    """The stricter of both boards holds for each scope."""
    state = account(tmp_path, 1)
    FreezeLatch(firm_of(state), clock).ask(asked(FreezeLevel.NO_NEW, BTC))
    latch = FreezeLatch(state, clock)
    latch.ask(asked(FreezeLevel.REDUCE_ONLY, BTC))
    assert latch.level_of("linear BTCUSDT", "Quoter", "1") is FreezeLevel.NO_NEW
    assert latch.level_of("linear ETHUSDT", "Quoter", "1") is FreezeLevel.NORMAL
    assert [one.level for one in latch.board.frozen] == [FreezeLevel.REDUCE_ONLY, FreezeLevel.NO_NEW]


def test_two_people_lift_it_once_for_all_and_an_accounts_own_stays(tmp_path: Path) -> None:
    """By keys of the firm; an account's token and keys do not lift it. Launch limits hold on each account then."""
    one, two = account(tmp_path, 1), account(tmp_path, 2)
    firm = firm_of(one, 0, 1)
    FreezeLatch(two, clock).ask(asked(FreezeLevel.NO_NEW, BTC))
    FreezeLatch(firm, clock).ask(asked(FreezeLevel.KILL))
    with pytest.raises(ValueError, match="by --firm"):
        fresh(one, freeze_id=None, to="NORMAL", reason="booked")
    with pytest.raises(OverrideRefusedError, match="too_few"):
        asyncio.run(apply(firm, token_of(firm, people=1), {}))
    running = FreezeLatch(one, clock)
    assert "KILL → NORMAL" in asyncio.run(apply(firm, token_of(firm), {}))
    assert [change.kind for change in running.refresh(NOW)] == ["lowered"]
    assert seen_by(one) == {FreezeLevel.NORMAL}
    assert FreezeLatch(two, clock).board.highest is FreezeLevel.NO_NEW
    assert running.board.shadow_until > NOW
    assert running.share(NOW) == 0


def test_what_an_account_froze_is_lifted_under_a_frozen_firm(tmp_path: Path) -> None:
    """The firm's stays."""
    state = account(tmp_path, 1)
    firm_of(state)
    for n in (0, 1):
        enrol_key(state, KEYS[n].public_key().public_bytes_raw().hex(), f"p{n}", f"d{n}")
    latch = FreezeLatch(state, clock)
    latch.ask(asked(FreezeLevel.CANCEL_ALL))
    token = token_of(state)
    FreezeLatch(firm_of(state), clock).ask(asked(FreezeLevel.NO_NEW))
    latch.refresh(NOW)
    now = time.time_ns()
    latch.lower(token, now, Reconciled(clean=True, ts=now, said="all"))
    assert (latch.board.own, latch.board.highest) == ((), FreezeLevel.NO_NEW)


@pytest.mark.parametrize("spoil", ["cut", "emptied", "gone", "both gone", "folder", "operators", "head"])
def test_a_damaged_firms_log_stops_every_account(tmp_path: Path, spoil: str) -> None:
    """Whatever happened to it, and also where it says nothing any more; who comes new is stopped with the others."""
    state = account(tmp_path, 1)
    firm = firm_of(state)
    FreezeLatch(firm, clock).ask(asked(FreezeLevel.REDUCE_ONLY))
    running = FreezeLatch(state, clock)
    match spoil:
        case "cut":
            firm.freeze.write_bytes(firm.freeze.read_bytes()[:-9])
        case "emptied":
            firm.freeze.write_bytes(b"")
        case "gone":
            firm.freeze.unlink()
        case "both gone":
            firm.freeze.unlink()
            firm.freeze_head.unlink()
        case "folder":
            firm.path.rename(tmp_path / "away")
        case "operators":
            firm.operators.write_text("[[operator]]\nkey = 1\n", encoding="utf-8")
        case "head":
            firm.freeze_head.write_bytes(b"{}")
    assert running.refresh(NOW)
    assert running.board.highest is FreezeLevel.CANCEL_ALL
    with suppress(ValueError):
        assert board_of(state, NOW).highest is FreezeLevel.CANCEL_ALL
    for number in (1, 2):
        latch = FreezeLatch(account(tmp_path, number), clock)
        assert latch.board.highest is FreezeLevel.CANCEL_ALL


def test_a_run_lets_the_firm_lower_once_its_books_agree(tmp_path: Path) -> None:
    """The engine compares and answers; it lowers nothing of its own, and one that does not agree is named."""
    state = account(tmp_path, 1)
    firm = firm_of(state, 0, 1)
    FreezeLatch(firm, clock).ask(asked(FreezeLevel.CANCEL_ALL))
    latch, token = FreezeLatch(state, clock), token_of(firm)

    class Running:
        """As much of a run as judges a lowering."""

        freezing = None
        reconciled = Reconciled(clean=True, ts=NOW, said="compared")

        def told(self, event: object) -> None:
            """Nothing is told."""

        def compare_soon(self) -> None:
            """It did."""

    run = Running()
    for clean in (True, False):
        run.reconciled = Reconciled(clean=clean, ts=NOW, said="compared")
        write_durably(state.override, json.dumps(override_words(token)).encode())
        asyncio.run(apply_override(state, latch, run, clock))  # type: ignore[arg-type]
        answer = json.loads(state.override_answer.read_bytes())
        assert (answer["lowered"], answer.get("agrees", False)) == (False, clean)
    assert latch.board.highest is FreezeLevel.CANCEL_ALL

    async def lifted() -> str:
        state.trades_here()

        async def engine() -> None:
            while not state.override.exists():
                await asyncio.sleep(0)
            await apply_override(state, latch, run, clock)  # type: ignore[arg-type]

        said, _ = await asyncio.gather(apply(firm, token, {}), engine())
        return said

    with pytest.raises(ValueError, match="engine of demo-1 does not agree: not_reconciled"):
        asyncio.run(lifted())


def typed(*words: object) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split())


def test_people_freeze_the_firm_by_a_word(tmp_path: Path) -> None:
    """Without a symbol it is everything; status says that it is the whole firm's; without accounts there is no firm."""
    code, said = typed("freeze", "--firm", "--runs", tmp_path)
    assert (code, "there is no firm" in said) == (1, True)
    one, other = account(tmp_path, 1), account(tmp_path, 1, "testnet")
    code, said = typed("freeze", "--firm", "--account", "demo-1", "--reason", "odd", "--runs", tmp_path)
    assert (code, said.partition("; ")[0]) == (0, "firm demo: firm: NORMAL → CANCEL_ALL (operator: odd)")
    assert "nobody's key is enrolled here, so nobody can lift it" in said
    assert seen_by(one) == {FreezeLevel.CANCEL_ALL}
    assert seen_by(other) == {FreezeLevel.NORMAL}
    assert "odd, of the whole firm" in typed("status", "--runs", tmp_path)[1]
    code, said = typed("freeze", "--firm", "--level", "FLATTEN", "--runs", tmp_path)
    assert (code, seen_by(one), seen_by(other)) == (0, {FreezeLevel.FLATTEN}, {FreezeLevel.FLATTEN})
    assert "firm testnet" in typed("freeze", "report", "--firm", "--runs", tmp_path)[1]
    code, said = typed("unfreeze", "--firm", "--token", tmp_path / "t", "--runs", tmp_path)
    assert "which firm?" in said


def test_a_kill_of_the_firm_is_latched_for_accounts_to_come(tmp_path: Path) -> None:
    """Each account that is there is killed as by its name; where its key is missing that is said."""
    account(tmp_path, 1)
    code, said = typed("kill", "--firm", "--reason", "odd", "--runs", tmp_path)
    assert code == 1
    assert "firm demo: KILL is latched" in said
    assert "demo-1: NOT VERIFIED" in said
    assert board_of(account(tmp_path, 2), NOW).highest is FreezeLevel.KILL


def test_an_account_that_was_copied_without_its_firm_begins_with_a_new_one(tmp_path: Path) -> None:
    """Its mark names the folder that it knew, and that is not there to be missed."""
    state = account(tmp_path, 1)
    there = tmp_path / "there" / "accounts" / state.name
    there.parent.mkdir(parents=True)
    os.rename(state.path, there)
    assert FreezeLatch(AccountState(there.resolve()), clock).board.highest is FreezeLevel.NORMAL


def test_a_gateway_lets_nothing_new_out_before_a_run_began(tmp_path: Path) -> None:
    """There may be a freeze in another folder; what it may do is said once, and when a run begins it goes by that."""
    told: list[Any] = []
    state = AccountState.named(tmp_path, "demo", "1")
    levels = _Latched(state, "1", [("linear", "BTCUSDT")], told.append)
    assert levels()[""] is FreezeLevel.CANCEL_ALL
    assert not state.path.exists()
    assert [one["trouble"] for one in told] == ["none yet: no run of this account began here"]
    account(tmp_path, 1)
    assert levels()[""] is FreezeLevel.NORMAL
    assert [one["trouble"] for one in told][1:] == ["none"]
