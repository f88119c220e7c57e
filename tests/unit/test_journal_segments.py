"""Journals in segments, on full disks, held against anchors, and of the version before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mmbot import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION_1 = Path(__file__).parents[1] / "golden" / "journal" / "version-1.mmj"


def texts(journal: Path | bytes, anchors: Sequence[tuple[int, str]] = ()) -> list[str]:
    """Read what each entry says, held against anchors."""
    return [fields["text"] for _, _, _, fields in _core.JournalReader(journal, list(anchors))]


def segmented(folder: Path, notes: int = 10) -> tuple[Path, list[tuple[int, str]]]:
    """A journal of one start and some notes, four records a segment; and its head after each."""
    path = folder / "journal.mmj"
    journal = _core.Journal.create(path, 1, "{}", segment_records=4)
    heads = [journal.head()]
    for number in range(notes):
        journal.note(2 + number, "said", str(number))
        journal.sync()
        heads.append(journal.head())
    return path, heads


def test_a_journal_goes_on_in_a_second_file(tmp_path: Path) -> None:
    """Four records a segment: the files lie side by side and read as one, and every head is an anchor that fits."""
    path, heads = segmented(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["journal.1.mmj", "journal.2.mmj", "journal.mmj"]
    reader = _core.JournalReader(path, heads)
    assert [fields["text"] for *_, fields in reader] == ["{}", *map(str, range(10))]
    assert (reader.segment, reader.entries, reader.vouched, reader.torn) == (2, 11, 11, None)


def test_segments_follow_each_other_in_one_place_too() -> None:
    """A disk that is one run of bytes holds the same segments, and so do files that were put together."""
    disk = _core.SimDisk()
    journal = _core.Journal.on(disk, 1, "{}", segment_records=4)
    for number in range(10):
        journal.note(2 + number, "said", str(number))
    journal.sync()
    assert texts(disk.durable(), [journal.head()]) == ["{}", *map(str, range(10))]


@pytest.mark.parametrize("gone", ["journal.1.mmj", "journal.mmj"])
def test_a_missing_segment_is_named(tmp_path: Path, gone: str) -> None:
    """Without its first or a middle segment a journal is not read on."""
    path, _ = segmented(tmp_path)
    (tmp_path / gone).unlink()
    with pytest.raises((_core.JournalFault, OSError), match=r"segments are missing or swapped|No such file"):
        texts(path)


def test_swapped_segments_are_named(tmp_path: Path) -> None:
    """Two segments under each other's names are found at the first of them, with what was expected."""
    path, _ = segmented(tmp_path)
    one, two, aside = tmp_path / "journal.1.mmj", tmp_path / "journal.2.mmj", tmp_path / "aside"
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    with pytest.raises(_core.JournalFault, match="segment 2, which begins with entry 8, is here; expected segment 1"):
        texts(path)


def test_a_segment_of_another_journal_is_named(tmp_path: Path) -> None:
    """A segment with the right number and the right first entry, but of another chain, is refused."""
    path, _ = segmented(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    strange = _core.Journal.create(other / "journal.mmj", 1, '{"another": 1}', segment_records=4)
    for number in range(5):
        strange.note(2 + number, "said", str(number))
    strange.sync()
    (tmp_path / "journal.1.mmj").write_bytes((other / "journal.1.mmj").read_bytes())
    with pytest.raises(_core.JournalFault, match="follows another chain") as caught:
        texts(path)
    assert caught.value.place == (4, 1, 0)


def test_a_last_segment_that_is_gone_needs_an_anchor(tmp_path: Path) -> None:
    """A journal cut short at a whole record looks whole; who kept the head is told how many entries are missing."""
    path, heads = segmented(tmp_path)
    (tmp_path / "journal.2.mmj").unlink()
    assert len(texts(path)) == 8
    with pytest.raises(_core.JournalFault, match="11 entries were anchored and 8 are here") as caught:
        texts(path, heads)
    assert caught.value.place == (8, None, None)


def test_a_torn_end_is_cut_only_where_that_is_proven_safe(tmp_path: Path) -> None:
    """Without an anchor, or with one that covers what is torn, nothing is cut; with an older one, the torn bytes go."""
    path, heads = segmented(tmp_path, notes=5)
    last = tmp_path / "journal.1.mmj"
    whole = last.read_bytes()
    last.write_bytes(whole[:-3])
    with pytest.raises(_core.JournalFault, match="no anchor vouches"):
        _core.cut_torn_end(path, [])
    with pytest.raises(_core.JournalFault, match="6 entries were anchored and 5 are here"):
        _core.cut_torn_end(path, heads)
    assert last.read_bytes() == whole[:-3]
    assert _core.cut_torn_end(path, heads[:5]) is not None
    assert _core.cut_torn_end(path, heads[:5]) is None
    reader = _core.JournalReader(path)
    assert (len(list(reader)), reader.torn) == (5, None)


def test_a_segment_begun_by_half_is_a_torn_end(tmp_path: Path) -> None:
    """A crash while a segment is begun leaves part of a head: what is before it reads, and the rest is cut off."""
    path, heads = segmented(tmp_path, notes=3)
    (tmp_path / "journal.1.mmj").write_bytes(b"MMBOTJNL\x02")
    reader = _core.JournalReader(path)
    assert len(list(reader)) == 4
    assert reader.torn == (0, 9)
    assert _core.cut_torn_end(path, heads) == 9
    assert not (tmp_path / "journal.1.mmj").exists()


def test_the_version_before_is_read(tmp_path: Path) -> None:
    """A version 1 journal reads, with its own chain checked; a flipped bit of it is found, and an anchor of it fits."""
    reader = _core.JournalReader(VERSION_1)
    assert [fields["text"] for *_, fields in reader] == ['{"mode": "paper"}', *(f"note {n}" for n in range(5)), "{}"]
    assert len(reader.head) == 32
    assert len(texts(VERSION_1, [(7, reader.head)])) == 7
    harmed = bytearray(VERSION_1.read_bytes())
    harmed[150] ^= 4
    with pytest.raises(_core.JournalFault, match="damaged at entry 1"):
        texts(bytes(harmed))


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    """A head that is sound and says version 3 is not guessed at."""
    head = bytearray(_head())
    head[8] = 3
    with pytest.raises(_core.JournalFault, match="head is damaged"):
        texts(bytes(head))
    head[-4:] = _crc32c(bytes(head[:-4])).to_bytes(4, "little")
    with pytest.raises(_core.JournalFault, match=r"version 3 .* reads 1 to 2: read it with the mmbot that wrote it"):
        texts(bytes(head))


def _head() -> bytes:
    disk = _core.SimDisk()
    _core.Journal.on(disk).sync()
    return disk.durable()


def _crc32c(octets: bytes) -> int:
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_room_of_a_finished_run_is_given_back(tmp_path: Path) -> None:
    """The reserve is set aside on the disk without being part of the file, and given back at the end."""
    path = tmp_path / "journal.mmj"
    journal = _core.Journal.create(path, 1, "{}", reserve_bytes=2 << 20)
    assert path.stat().st_size < 1_000
    assert path.stat().st_blocks * 512 >= 2 << 20
    journal.end(2, "{}")
    assert path.stat().st_blocks * 512 < 1 << 20


def test_on_a_full_disk_the_way_out_is_still_written() -> None:
    """The disk is full when more room is asked for: facts and notes go on into the reserve, up to its end."""
    disk = _core.SimDisk()
    journal = _core.Journal.on(disk, 1, "{}", reserve_bytes=64 << 10)
    disk.fail("write", "ENOSPC")
    text = "x" * 10_000
    for number in range(13):
        journal.note(2 + number, "said", text)
        journal.sync()
    assert journal.full is not None
    assert journal.dead is None
    journal.note(200, "said", text)
    with pytest.raises(_core.JournalDead, match="No space"):
        journal.sync()
    assert len(texts(disk.durable(), [journal.head()])) == journal.head()[0] == 14


def test_the_head_counts_what_was_acknowledged_alone() -> None:
    """An entry that no flush or sync has left on the disk is not in an anchor: a crash may take it rightly."""
    journal = _core.Journal.on(_core.SimDisk(), 1, "{}")
    before = journal.head()
    journal.note(2, "said", "a")
    assert journal.head() == before
    journal.sync()
    assert journal.head()[0] == 2
