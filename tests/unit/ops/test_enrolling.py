"""Enrolling keys: the file of operators can be read afterwards, whatever was typed, or is as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch, read_operators
from mmbot.ops.freeze_tokens import TokenError, enrol_key

KEYS = [bytes([n]) * 32 for n in (1, 2, 3)]


@pytest.mark.parametrize("name", ["", " ", "\t", "a\nb", "a\x00b", "a\x7fb", "a\u200bb", "a\udc80", "...", "a" * 65])
@pytest.mark.parametrize("what", ["identity", "device"])
def test_a_name_that_names_nobody_is_refused(name: str, what: str, tmp_path: Path) -> None:
    """Empty, too long, or with what no eye sees: nothing is written."""
    state = AccountState.of(tmp_path, "demo", "7")
    with pytest.raises(TokenError, match=f"--{what}"):
        enrol_key(state, KEYS[0].hex(), **{"identity": "ada", "device": "mac", what: name})
    assert not state.operators.exists()


@pytest.mark.parametrize("name", ["ada 😀", "Zoë", 'a"b\\c', "李雷", "a]#b"])
def test_whatever_can_be_seen_is_kept_and_read_back(name: str, tmp_path: Path) -> None:
    """Also beside what a person wrote there by hand, without an end of the last line."""
    state = AccountState.of(tmp_path, "demo", "7")
    state.operators.write_text(f'# by hand\n[[operator]]\nidentity="x"\ndevice="y"\nkey="{KEYS[0].hex()}"', "utf-8")
    enrol_key(state, KEYS[1].hex(), name, f"{name}'s")
    assert [(one.identity, one.key) for one in read_operators(state.operators)] == [("x", KEYS[0]), (name, KEYS[1])]
    assert "# by hand" in state.operators.read_text(encoding="utf-8")
    assert not FreezeLatch(state, lambda: 1).board.frozen


@pytest.mark.parametrize("content", ["operator = 3", "[[operator]]", "x = ", '[operator]\nidentity = "a"'])
def test_a_file_that_cannot_be_read_is_left_as_it_is(content: str, tmp_path: Path) -> None:
    """Who enrols is told, in words."""
    state = AccountState.of(tmp_path, "demo", "7")
    state.operators.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"operators.toml|is frozen"):
        enrol_key(state, KEYS[0].hex(), "ada", "mac")
    assert state.operators.read_text(encoding="utf-8") == content


@settings(max_examples=50, deadline=None)  # it waits for the disk
@given(identity=st.text(max_size=8), device=st.text(max_size=8))
def test_any_text_is_refused_or_enrolled(identity: str, device: str) -> None:
    """There is no third way: the file is good before and after."""
    with tempfile.TemporaryDirectory() as folder:
        state = AccountState.of(Path(folder), "demo", "7")
        enrol_key(state, KEYS[0].hex(), "ada", "mac")
        try:
            enrol_key(state, KEYS[1].hex(), identity, device)
        except TokenError:
            assert len(read_operators(state.operators)) == 1
        else:
            assert len(read_operators(state.operators)) == 2
