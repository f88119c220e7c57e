"""A journal on a real disk that refuses: errors injected by strace into the system calls of a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot import _core

PACKAGE = Path(_core.__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

WRITER = """
import sys
from mmbot import _core
journal = _core.Journal.create(sys.argv[1], 1, "{}", reserve_bytes=65536, segment_bytes=int(sys.argv[2]))
print("made", flush=True)
for number in range(200):
    try:
        journal.note(2 + number, "said", "x" * 2000)
        journal.sync()
    except _core.JournalDead as error:
        print("dead", number, error, flush=True)
print("full" if journal.full else "not full", *journal.head(), flush=True)
"""


def written(folder: Path, inject: str, *, segment_bytes: int = 1 << 26) -> tuple[list[str], str]:
    """What the writer said under an injected fault, and the system calls that it made of that sort."""
    log = folder / "strace.log"
    calls = inject.partition(":")[0]
    traced = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={inject}"]
    done = subprocess.run(
        [*traced, sys.executable, "-c", WRITER, str(folder / "journal.mmj"), str(segment_bytes)],
        capture_output=True,
        text=True,
        timeout=25,
        env={"PYTHONPATH": str(PACKAGE)},
        check=False,
    )
    return done.stdout.splitlines(), log.read_text("utf-8")


def test_a_sync_that_failed_is_never_asked_again(tmp_path: Path) -> None:
    """EIO from the fourth fdatasync: the journal is dead, makes no fifth, and what was acknowledged reads back."""
    said, calls = written(tmp_path, "fdatasync:error=EIO:when=4")
    deaths = [line for line in said if line.startswith("dead")]
    assert deaths
    assert all("fdatasync failed: Input/output error" in line for line in deaths)
    assert calls.count("fdatasync(") == 4
    _, entries, chain = said[-1].replace("not full", "not-full").split()
    reader = _core.JournalReader(tmp_path / "journal.mmj", [(int(entries), chain)])
    assert len(list(reader)) >= int(entries)


def test_no_room_for_more_leaves_the_reserve(tmp_path: Path) -> None:
    """ENOSPC when more is set aside: the journal says that it is full, and goes on into what was set aside before."""
    said, _ = written(tmp_path, "fallocate:error=ENOSPC:when=2+")
    assert said[0] == "made"
    word, entries, chain = said[-1].split()
    assert word == "full"
    reader = _core.JournalReader(tmp_path / "journal.mmj", [(int(entries), chain)])
    assert len(list(reader)) == 201


def test_no_room_for_a_segment_keeps_the_old_one(tmp_path: Path) -> None:
    """ENOSPC when the next segment is begun: nothing of it is left behind, and the old one's reserve serves on."""
    said, _ = written(tmp_path, "fallocate:error=ENOSPC:when=2+", segment_bytes=20_000)
    assert said[-1].split()[0] == "full"
    assert [path.name for path in tmp_path.glob("journal*")] == ["journal.mmj"]


def test_no_room_at_the_start_is_no_start(tmp_path: Path) -> None:
    """Without room for the reserve no run begins, and no file is left."""
    said, _ = written(tmp_path, "fallocate:error=ENOSPC")
    assert said == []
    assert not (tmp_path / "journal.mmj").exists()
