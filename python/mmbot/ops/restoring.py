"""Brings an account back from a copy of its folder of runs, on a host that has nothing else.

    copy (rsync, every second or so)  ─▶  restore  ─▶  the next run takes over, and begins in quarantine

A copy is older than the venue's truth, by seconds or days, and nobody knows by how much. So what is brought back says
that it was: the run that takes it over lets nothing leave until nothing can arrive any more that the lost part sent,
adopts what the venue has of ours, and books every execution since the copy's last comparison. The copy's own journal
is held against the anchors in it; one that does not fit freezes the account, as at any start.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot.ops.account_state import AccountState, sync_folder, write_durably
from mmbot.ops.evidence import Believed, believed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["RestoreError", "Restored", "marked", "restore"]

KEPT = (
    "alarms.jsonl",
    "breaker.json",
    "epoch",
    "freeze.head",
    "freeze.jsonl",
    "metrics.json",
    "operators.toml",
    "recoveries",
    "risk.head",
    "risk.json",
    "session.json",
)
"""What an account is besides its journal. Not the guardian's key: whoever holds it can sign anchors."""
EVIDENCE = ("anchors.jsonl", "guardian.pub")
"""Kept beside, under another name: the guardian of the new host signs with a key of its own."""
MARK = "restored.json"


class RestoreError(ValueError):
    """Nothing can be brought back, or something is there already. The message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What was brought back."""

    account: str
    run: str
    """Name of the run's folder."""
    entries: int
    """Good entries of its journal."""
    lost: str
    """Why it is known to be old; more than that it is a copy, if the anchors say so."""
    differs: str
    """What of it is not as it was written; the account will be frozen. Empty where nothing is."""


def restore(copy: Path, runs: Path, account: str) -> Restored:
    """Bring one account back: its newest run's journal, freezes, operators, epoch. `account`: as its folder is called.

    Raises RestoreError, OSError, and JournalFault or ValueError for a copy of which nothing is good.
    """
    there = AccountState((copy / "accounts" / account).resolve())
    if not (there.path / "last-run").exists():
        known = ", ".join(sorted(each.name for each in (copy / "accounts").glob("*/"))) or "none"
        raise RestoreError(f"{there.path} is no account that has run; accounts in {copy}: {known}")
    if (runs / "accounts" / account).exists():
        raise RestoreError(
            f"{runs / 'accounts' / account} exists: a copy is not put over an account that has run here; where it is "
            "really gone, move that folder away first"
        )
    name = (there.path / "last-run").read_text(encoding="utf-8").strip().rpartition("/")[2]
    run = runs / name
    found = believed(there, copy / name)
    run.mkdir(parents=True)
    for segment in sorted((copy / name).glob("journal*.mmj")):
        _copied(segment, run / segment.name)
    here = AccountState.at(runs / "accounts" / account)
    for file in KEPT:
        if (there.path / file).exists():
            _copied(there.path / file, here.path / file)
    for file in EVIDENCE:
        if (there.path / file).exists():
            _copied(there.path / file, here.path / f"before-{file}")
    sync_folder(run)
    restored = _restored(account, name, found, copy)
    write_durably(here.path / MARK, json.dumps({"run": name, "lost": restored.lost, "differs": found.differs}).encode())
    write_durably(here.path / "last-run", f"{run.resolve()}\n".encode())
    return restored


def marked(state: AccountState, run: Path, found: Believed) -> Believed:
    """What can be believed of a run's journal, where that was brought back from a copy."""
    mark = state.path / MARK
    if not mark.exists():
        return found
    words = json.loads(mark.read_bytes())
    if words["run"] != run.name:
        return found  # a later run has begun since
    return Believed(
        recovered=found.recovered, lost=found.lost or words["lost"], differs=found.differs or words["differs"]
    )


def _restored(account: str, name: str, found: Believed, copy: Path) -> Restored:
    lost = found.lost or f"{name} was brought back from {copy}: what came after that copy is not in it"
    entries, _ = found.recovered.head
    return Restored(account=account, run=name, entries=entries, lost=lost, differs=found.differs)


def _copied(source: Path, target: Path) -> None:
    """Copy a file that may not be there yet, durably; the folder's name of it is the caller's to sync."""
    with source.open("rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())
