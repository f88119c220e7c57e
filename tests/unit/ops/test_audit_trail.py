"""Who did what, dumped from the logs that record it, and every hand that touches a dump."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from mmbot import _core
from mmbot.cli import app
from mmbot.ops.account_state import AccountState
from mmbot.ops.audit_trail import BEGIN, acts, chained, dump, verify
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.risk.freeze import Lowering
from mmbot.risk.freeze_log import encode
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.override import Override, Reconciled, signed

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_764_288_000 * SECOND
"""2025-11-28T00:00:00 UTC."""


def ran(runs: Path, name: str, ts: int, *, spread: float, account: str = "testnet-7") -> None:
    """A run that began then, gave up an order, and ended."""
    (runs / name).mkdir()
    config = {"strategy": "JoinTouch", "limits": [{"position": "1"}], "spread": spread}
    start = {"mode": "paper", "account": account, "by": "uid 7", "config": config, "config_hash": f"{spread}"}
    journal = _core.Journal.create(runs / name / "journal.mmj", ts, json.dumps(start))
    journal.note(ts + 1, "link", "{}")
    journal.note(ts + 2, "given up", json.dumps({"order": "mm-1", "by": "ann", "reason": "two days old"}))
    journal.end(ts + 3 * SECOND, json.dumps({"left": [], "failure": None}))
    journal.sync()


@pytest.fixture
def state(tmp_path: Path) -> AccountState:
    """An account with two runs on two days, a freeze and a kill between them, and another account's run beside."""
    state = AccountState.of(tmp_path, "testnet", "7")
    ran(tmp_path, "20251128T000000Z-paper", START, spread=1.0)
    ran(tmp_path, "20251129T000000Z-paper", START + DAY, spread=2.0)
    ran(tmp_path, "20251129T010000Z-paper", START + DAY + SECOND, spread=9.0, account="testnet-8")
    latch = FreezeLatch(state, lambda: START + 5 * SECOND)
    asked = FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("symbol", "linear BTCUSDT"), "operator", "news", START + SECOND)
    latch.ask(asked)
    latch.ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", "stolen laptop", START + 4 * SECOND))
    return state


def test_the_logs_tell_who_did_what_and_in_which_order(state: AccountState) -> None:
    """Starts, freezes, kills, orders given up, ends, and what the second configuration says otherwise."""
    found = [(one.actor, one.act) for one in acts(state)]
    assert found == [
        ("uid 7", "started"),
        ("ann", "gave up an order"),
        ("operator", "froze"),
        ("run", "ended"),
        ("operator", "killed"),
        ("uid 7", "started"),
        ("uid 7", "changed the configuration"),
        ("ann", "gave up an order"),
        ("run", "ended"),
    ]
    changed = next(one for one in acts(state) if one.act == "changed the configuration")
    assert changed.words == {"spread": [1.0, 2.0]}
    assert [one.source for one in acts(state)][2] == "freeze.jsonl:1"


def test_a_dump_is_good_until_it_is_touched(state: AccountState, tmp_path: Path) -> None:
    """By itself, by the last hash, and by the logs that it is a view of."""
    path = tmp_path / "audit.jsonl"
    lines = dump(state, path)
    assert verify([path], head=lines[-1].hash, state=state).fault == ""
    assert len(lines) == 9


def test_each_day_has_a_file_that_follows_the_one_before(state: AccountState, tmp_path: Path) -> None:
    """The chain goes on from day to day, so a day that is left out is missed."""
    days = ["2025-11-28", "2025-11-29"]
    files = [tmp_path / f"audit-{day}.jsonl" for day in days]
    counts = [len(dump(state, path, day)) for path, day in zip(files, days, strict=True)]
    assert counts == [5, 4]
    assert verify(files, state=state).fault == ""
    assert verify(files[1:], state=state).fault == ""
    assert "does not follow" in verify(files[::-1]).fault


@pytest.mark.parametrize("at", range(9))
def test_a_touched_line_is_named(state: AccountState, tmp_path: Path, at: int) -> None:
    """Any field of any line changed, a line taken out, put in twice, or swapped with the next."""
    path = tmp_path / "audit.jsonl"
    dump(state, path)
    raw = path.read_bytes().splitlines(keepends=True)
    for name, word in json.loads(raw[at]).items():
        touched = {**json.loads(raw[at]), name: word + 1 if isinstance(word, int) else {"x": 1} if word == {} else "x"}
        path.write_bytes(b"".join([*raw[:at], json.dumps(touched).encode() + b"\n", *raw[at + 1 :]]))
        found = verify([path])
        assert found.lines == at, name
        assert f"audit.jsonl:{at + 1}: " in found.fault, name
    swapped = [*raw[:at], *raw[at : at + 2][::-1], *raw[at + 2 :]]
    for changed in ([*raw[:at], *raw[at + 1 :]], [*raw[: at + 1], *raw[at:]], swapped):
        if changed in (raw, raw[:-1]):
            continue
        path.write_bytes(b"".join(changed))
        found = verify([path])
        assert "does not follow" in found.fault or found.first == 1, "without its first line it begins with the second"


def test_one_that_is_cut_or_written_anew_fails_its_last_hash_and_the_logs(state: AccountState, tmp_path: Path) -> None:
    """The chain alone cannot know; the hash that was kept elsewhere does, and so do the logs."""
    path = tmp_path / "audit.jsonl"
    lines = dump(state, path)
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(raw[:-1]))
    assert verify([path]).fault == ""
    assert "the last hash is" in verify([path], head=lines[-1].hash).fault
    without_kill = [one for one in acts(state) if one.act != "killed"]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in chained(without_kill)))
    assert verify([path]).fault == ""
    assert "freeze.jsonl:2 says what no line does: killed by operator" in verify([path], state=state).fault
    softer = [type(one)(**{**json_of(one), "actor": "nobody"}) if one.act == "froze" else one for one in acts(state)]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in chained(softer)))
    assert "line 2 says what freeze.jsonl:1 does not: froze by nobody" in verify([path], state=state).fault


def test_what_is_put_in_beside_the_words_is_a_change(state: AccountState, tmp_path: Path) -> None:
    """No hash covers another key, a key that is there twice, or blanks: none of them is as a dump writes it."""
    path = tmp_path / "audit.jsonl"
    dump(state, path)
    first, *rest = path.read_bytes().splitlines(keepends=True)
    for touched in (
        first.replace(b"{", b'{"note":"approved by ada and bob",', 1),
        first.replace(b"{", b'{"actor":"mallory",', 1),
        first.replace(b"{", b"{ ", 1),
    ):
        path.write_bytes(b"".join([touched, *rest]))
        assert "audit.jsonl:1: line 0 is not as a dump writes it" in verify([path]).fault


def test_a_dump_of_nothing_is_good_only_where_something_says_so(state: AccountState, tmp_path: Path) -> None:
    """An empty file is what is left of a dump that was emptied, and the dump of a day without acts."""
    empty = tmp_path / "audit.jsonl"
    empty.write_bytes(b"")
    assert "no line in them" in verify([empty]).fault
    assert verify([empty], state=state).fault
    assert not verify([empty], head=BEGIN).fault
    assert not verify([empty], state=AccountState.of(tmp_path, "testnet", "none")).fault


def test_without_its_first_line_a_dump_is_not_what_the_logs_say(state: AccountState, tmp_path: Path) -> None:
    """A day begins with its first act; so a line that is missing before all others is missed as well."""
    path = tmp_path / "audit.jsonl"
    dump(state, path)
    raw = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(raw[1:]))
    assert "says what no line does" in verify([path], state=state).fault


def json_of(struct: object) -> dict[str, object]:
    """A struct as words."""
    return {name: getattr(struct, name) for name in type(struct).__struct_fields__}


def test_a_damaged_journal_is_an_act_of_its_own(state: AccountState, tmp_path: Path) -> None:
    """What it said before the damage stands, and that it cannot be read on is said."""
    journal = tmp_path / "20251128T000000Z-paper" / "journal.mmj"
    octets = bytearray(journal.read_bytes())
    octets[-1] ^= 1
    journal.write_bytes(octets)
    found = [one for one in acts(state) if one.act == "cannot be read on"]
    assert "damaged at entry 3" in found[0].words["fault"]


def test_who_lifted_is_named_and_a_lift_that_nobody_signed_for_is_told(tmp_path: Path) -> None:
    """Two people by their enrolled names; a line that somebody put into the log lifts nothing, and is an act too."""
    state, now = AccountState.of(tmp_path, "testnet", "7"), START
    keys = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
    people = [
        f'[[operator]]\nidentity = "{name}"\ndevice = "{name}"\nkey = "{key.public_key().public_bytes_raw().hex()}"'
        for name, key in zip(("ann", "bob"), keys, strict=True)
    ]
    state.operators.write_text("\n".join(people), encoding="utf-8")
    latch = FreezeLatch(state, lambda: now)
    latch.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "drift", "3 and 4", now))
    latch.refresh(now)
    [frozen] = latch.board.frozen
    token = Override(
        freeze_id=frozen.freeze_id,
        from_level=frozen.level,
        to=FreezeLevel.NORMAL,
        scope=FIRM,
        reason="booked",
        expiry=now + 300 * SECOND,
        nonce="n" * 16,
        head_hash=latch.head,
    )
    token = replace(token, signatures=tuple(signed(token, key) for key in keys))
    clean = Reconciled(clean=True, ts=now + 2 * SECOND, said="all compared")
    latch.lower(token, now + 3 * SECOND, clean)
    latch.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "drift", "5 and 6", now + 4 * SECOND))
    alone = Lowering(override=replace(token, signatures=()), ts=now + 5 * SECOND, reconciled=clean, head=latch.head)
    with state.freeze.open("ab") as log:
        log.write(encode(alone))
    (state.path / "restored.json").write_text('{"run": "x"}', encoding="utf-8")
    found = [(one.actor, one.act) for one in acts(state)]
    assert found == [
        ("drift", "froze"),
        ("ann and bob", "lifted"),
        ("drift", "froze"),
        ("nobody", "lift refused"),
        ("operator", "restored from a copy"),
    ]


def test_the_commands_dump_and_verify(state: AccountState, tmp_path: Path) -> None:
    """From the command line down, with the exit codes that a watch goes by."""

    def asked(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", *words, "--runs", str(tmp_path), "--account", state.name])
        return done.exit_code, done.output

    path = tmp_path / "out" / "audit.jsonl"
    code, said = asked("dump", "--out", str(path))
    assert (code, said.startswith("9 lines in ")) == (0, True)
    assert asked("verify", str(path), "--logs")[0] == 0
    assert "written anew" in asked("verify", str(path))[1]
    path.write_bytes(path.read_bytes().replace(b"stolen laptop", b"routine check"))
    code, said = asked("verify", str(path))
    assert code == 1
    assert "BAD      " in said
    assert "line 4 was changed" in said
    assert asked("dump", "--day", "yesterday")[0] == 1
