"""The file of anchors: only grows, survives a torn line, and shows what was touched."""

import os
import re
from pathlib import Path

import pytest

from mmbot.guardian.anchors import AnchorFault, AnchorKeeper, are_gone, damaged, read_anchors
from mmbot.guardian.words import Head


def kept(folder: Path, count: int) -> Path:
    """A file with some anchors."""
    keeper = AnchorKeeper(folder / "anchors.jsonl")
    for seq in range(count):
        keeper.keep(Head(journal="j", seq=seq, chain=f"{seq:064x}"), seq * 10)
    keeper.close()
    return folder / "anchors.jsonl"


def test_anchors_are_read_back_as_they_were_kept(tmp_path: Path):
    """Signed, in order, and the next guardian knows the last of each journal; the key is for its user alone."""
    path = kept(tmp_path, 3)
    assert [anchor.seq for anchor in read_anchors(path)] == [0, 1, 2]
    assert [anchor.head.seq for anchor in AnchorKeeper(path).kept] == [2]
    assert (tmp_path / "guardian.key").stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["seq", "chain", "time", "journal", "sig"])
def test_a_changed_anchor_is_found(field: str, tmp_path: Path):
    """Any field of a line, by one character: the line is named."""
    path = kept(tmp_path, 2)
    text = path.read_text()
    path.write_text(re.sub(rf'("{field}":"?)(.)', lambda found: found[1] + ("7" if found[2] != "7" else "6"), text))
    with pytest.raises(AnchorFault, match=r"anchors\.jsonl:1"):
        list(read_anchors(path))


def test_a_torn_line_is_passed_over_and_cut_off(tmp_path: Path):
    """A guardian killed while it wrote: the rest is read, and the next one writes on after it."""
    path = kept(tmp_path, 2)
    path.write_bytes(path.read_bytes()[:-20])
    assert [anchor.seq for anchor in read_anchors(path)] == [0]
    keeper = AnchorKeeper(path)
    keeper.keep(Head(journal="j", seq=9, chain="a"), 1)
    assert [anchor.seq for anchor in read_anchors(path)] == [0, 9]


def test_a_damaged_file_is_set_aside_and_the_guardian_begins(tmp_path: Path):
    """What is good before the damage goes on; the file stays to be looked at, and is found."""
    path = tmp_path / "anchors.jsonl"
    keeper = AnchorKeeper(path)
    for seq in (1, 2, 3):
        keeper.keep(Head(journal="j", seq=seq, chain=f"c{seq}"), seq)
    keeper.close()
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + second[:40] + third)
    again = AnchorKeeper(path)
    assert "2: " in again.fault
    assert [anchor.seq for anchor in again.kept] == [1]
    again.keep(Head(journal="j", seq=4, chain="c4"), 4)
    again.close()
    assert [anchor.seq for anchor in read_anchors(path)] == [1, 4]
    assert [file.name for file in damaged(path)] == ["anchors.jsonl.damaged-1"]


def test_a_file_that_is_gone_leaves_a_note_that_it_was_there(tmp_path: Path):
    """The guardian begins, and an engine's start finds the note; a new account, or one without its key, has none."""
    path = kept(tmp_path, 2)
    assert not are_gone(path)
    path.unlink()
    assert are_gone(path)
    assert AnchorKeeper(path).kept == []
    assert [note.name for note in damaged(path)] == ["anchors.jsonl.damaged-1"]
    assert not are_gone(path)
    assert not are_gone(tmp_path / "new" / "anchors.jsonl")


def test_an_anchor_that_is_written_in_part_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The disk takes half a line: the next anchor must not end it."""
    path = tmp_path / "anchors.jsonl"
    keeper = AnchorKeeper(path)
    keeper.keep(Head(journal="j", seq=1, chain="c1"), 1)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[: len(line) // 2]))
        with pytest.raises(OSError, match="taken back"):
            keeper.keep(Head(journal="j", seq=2, chain="c2"), 2)
    keeper.keep(Head(journal="j", seq=3, chain="c3"), 3)
    keeper.close()
    assert [anchor.seq for anchor in read_anchors(path)] == [1, 3]


@pytest.mark.parametrize(("name", "left"), [("guardian.key", ""), ("guardian.pub", ""), ("guardian.pub", None)])
def test_a_key_that_a_power_loss_left_half_made_is_made_again(name: str, left: str | None, tmp_path: Path):
    """An empty key has signed nothing; its public half follows from it, whatever became of that."""
    AnchorKeeper(tmp_path / "anchors.jsonl").close()
    file = tmp_path / name
    file.unlink() if left is None else file.write_text(left)
    path = kept(tmp_path, 2)
    assert [anchor.seq for anchor in read_anchors(path)] == [0, 1]


def test_a_key_that_is_none_is_named_and_not_replaced(tmp_path: Path):
    """Anchors that it vouched for would be worth nothing: a person has to look."""
    kept(tmp_path, 1)
    (tmp_path / "guardian.key").write_text("no key")
    with pytest.raises(AnchorFault, match=r"guardian\.key: .*expected an Ed25519 private key, 64 hex digits"):
        AnchorKeeper(tmp_path / "anchors.jsonl")
    (tmp_path / "guardian.pub").write_text("no key")
    with pytest.raises(AnchorFault, match=r"guardian\.pub: .*64 hex digits"):
        list(read_anchors(tmp_path / "anchors.jsonl"))
