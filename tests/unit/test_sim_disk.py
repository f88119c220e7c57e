"""The simulator's disk: what a journal on it is worth after crashes, errors and lies."""

from __future__ import annotations

import pytest

from mmbot import _core


def on(disk: _core.SimDisk, *notes: str) -> _core.Journal:
    """A journal on the disk, with these notes in it."""
    """Start a journal with some notes, not flushed yet."""
    journal = _core.Journal.on(disk, 1, "{}")
    for note in notes:
        journal.note(2, "said", note)
    return journal


def heard(journal: bytes) -> tuple[list[str], tuple[int, int] | None]:
    """The texts of a journal, and its torn end."""
    reader = _core.JournalReader(journal)
    return [fields["text"] for _, _, _, fields in reader], reader.torn


def test_what_was_synced_survives_and_what_was_flushed_may_not() -> None:
    """A crash loses no byte that was synced, and as many of the others as it is told to, also half a record."""
    disk = _core.SimDisk()
    journal = on(disk, "a")
    journal.sync()
    assert disk.durable() == disk.written()
    journal.note(3, "said", "b")
    journal.flush()
    assert heard(disk.durable()) == (["{}", "a"], None)
    assert heard(disk.written()) == (["{}", "a", "b"], None)
    assert disk.crash(7) == 7
    texts, torn = heard(disk.durable())
    assert texts == ["{}", "a"]
    assert torn is not None
    with pytest.raises(_core.JournalDead):
        journal.sync()


def test_a_kill_of_the_process_alone_loses_what_was_never_handed_over() -> None:
    """After a crash that loses nothing, all that was flushed is there."""
    disk = _core.SimDisk()
    journal = on(disk, "a")
    journal.flush()
    journal.note(3, "said", "b")
    assert disk.crash(0) == 0
    assert heard(disk.durable()) == (["{}", "a"], None)


def test_a_lying_disk_says_yes_and_keeps_nothing() -> None:
    """The journal lives on, and a crash takes what was acknowledged."""
    disk = _core.SimDisk()
    journal = on(disk)
    disk.lie(True)
    journal.note(3, "said", "b")
    journal.sync()
    assert journal.dead is None
    assert journal.head()[0] == 2
    disk.crash(1 << 30)
    assert heard(disk.durable()) == (["{}"], None)


def test_a_failed_sync_kills_the_journal_and_the_hole_stays() -> None:
    """The sync fails once; the disk would say yes to the next, but nobody asks, and what was lost stays lost."""
    disk = _core.SimDisk()
    journal = on(disk)
    disk.fail("sync", "EIO", after=1)
    journal.sync()
    journal.note(3, "said", "b")
    for _ in range(2):
        with pytest.raises(_core.JournalDead, match="fdatasync failed"):
            journal.sync()
    assert heard(disk.durable()) == (["{}"], None)


def test_a_write_that_fails_leaves_whole_records() -> None:
    """After a write that failed, the journal is dead, and what is on the disk reads back."""
    disk = _core.SimDisk()
    journal = on(disk)
    disk.fail("write", "EIO")
    journal.note(3, "said", "b")
    with pytest.raises(_core.JournalDead, match="a write failed"):
        journal.flush()
    assert heard(disk.written()) == (["{}"], None)


def test_a_disk_is_asked_to_write_or_sync() -> None:
    """Other words are refused."""
    disk = _core.SimDisk()
    with pytest.raises(ValueError, match="to write or to sync"):
        disk.fail("read", "EIO")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="EIO or ENOSPC"):
        disk.fail("sync", "EPERM")  # type: ignore[arg-type]
