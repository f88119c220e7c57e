"""Whether a journal is what its run wrote: every record, every segment, and the anchors that somebody else kept.

    checked = check_journal("runs/20261127T221500Z-live", anchors=Path("anchors.jsonl"), key=Path("guardian.pub"))
    checked.fault      None, or the first thing that is wrong: which entry, where it lies, what was expected
    checked.torn       None, or a last record that is not whole: nobody knows whether it was ever more

Without anchors a journal that was cut at a whole entry, or written anew with a chain that fits, looks whole. Those that
the guardian of the run's account keeps beside the runs are found by themselves (`own_anchors`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mmbot import _core
from mmbot.guardian.anchors import AnchorFault, read_anchors
from mmbot.ops.account_state import AccountState

__all__ = ["Checked", "anchors_of", "check_journal", "cut_torn_end", "journal_file", "own_anchors", "why_not_read"]

FILE = "journal.mmj"
"""First file of a journal in a run's folder."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a journal is worth."""

    journal: str
    entries: int
    """Good entries from the beginning on."""
    segments: int
    head: str
    """Chain value after the last good entry, as hex."""
    anchors: int
    """Anchors that it was held against; 0 if there are none."""
    anchors_file: str | None
    """The file that they are of."""
    vouched: int
    """Entries that the anchors cover."""
    torn: tuple[int, int] | None
    """(byte in its segment, bytes) of a last record that is not whole, as a write that was not finished leaves it."""
    fault: str | None
    """The first thing that is wrong, in words; None if nothing is."""
    place: tuple[int, int | None, int | None] | None
    """(first bad entry, segment, byte in it), as far as there is such a place."""

    @property
    def verdict(self) -> Literal["good", "not proven", "bad"]:
        """What it is worth in a word. `not proven`: its end is torn, so that nobody can say that no more was there."""
        return "bad" if self.fault else "not proven" if self.torn else "good"

    @property
    def unproven(self) -> int:
        """Good entries after the last anchor that fits: whole and chained, and nobody vouches that they are all."""
        return self.entries - self.vouched

    def as_dict(self) -> dict[str, object]:
        """What it is worth, for programs."""
        return {"verdict": self.verdict, **asdict(self), "unproven": self.unproven}

    def __str__(self) -> str:
        lines = [f"{self.entries:,} sound entries in {self.segments} segments, head {self.head}"]
        if self.anchors and not self.vouched:
            lines.append(f"{self.anchors} anchors of {self.anchors_file}: not one vouches for any of them")
        elif self.anchors:
            after = (
                "all of them" if not self.unproven else f"not for the {self.unproven:,} entries after the last anchor"
            )
            lines.append(f"{self.anchors} anchors of {self.anchors_file}: they vouch for {self.vouched:,}, {after}")
        else:
            lines.append("no anchor: a journal cut short at a whole entry, or written anew, would look like this")
        match self.verdict, self.torn:
            case "bad", _:
                lines.append(f"BAD  {self.fault}")
                lines.append("nothing is proven of what comes after the sound entries")
            case "not proven", (byte, length):
                lines.append(
                    f"NOT PROVEN  1 record after the last good entry is not whole (byte {byte}, {length} bytes): an "
                    "unfinished write leaves this, and so does a cut"
                )
            case _ if self.unproven:
                lines.append(
                    f"good as far as it is here; nobody vouches for {self.unproven:,} of {self.entries:,} entries"
                )
            case _:
                lines.append("good, and nothing is missing up to the last anchor")
        return "\n".join(lines)


def journal_file(place: Path) -> Path:
    """The first file of the journal at `place`: a run's folder, or that file itself."""
    return place / FILE if place.is_dir() else place


def anchors_of(journal: Path, anchors: Path, key: Path | None = None) -> list[tuple[int, str]]:
    """The anchors of one journal in a file of them: (number of entries, chain value after them).

    key: the guardian's public key in hex; without it, the one beside the anchors. Every line is checked against it.
    Raises OSError, and AnchorFault for a line that is none, was not signed by it, or where no line is of this journal.
    """
    public = None if key is None else _public_key(key)
    name = f"{journal.resolve().parent.name}/{journal.name}"
    kept = [(anchor.seq, anchor.chain) for anchor in read_anchors(anchors, public) if anchor.journal == name]
    if not kept:
        raise AnchorFault(f"{anchors}: no anchor of {name}; a journal that was moved or exchanged has none of its own")
    return kept


def own_anchors(journal: Path) -> Path | None:
    """The anchors of the account whose run wrote this journal, where they lie beside its runs.

    They are looked for in `accounts/*/` of the folder of runs and in `account/` of the run, by the name of the journal;
    None where no file has one of it. Raises OSError, AnchorFault.
    """
    run = journal.resolve().parent
    name = f"{run.name}/{journal.name}"
    for state in AccountState.every(run.parent):
        if state.anchors.exists() and any(anchor.journal == name for anchor in read_anchors(state.anchors)):
            return state.anchors
    return None


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(path.read_text("ascii")))
    except ValueError as error:
        raise AnchorFault(f"{path}: {error}; expected an Ed25519 public key, 64 hex digits (guardian.pub)") from error


def check_journal(place: Path, anchors: Path | None = None, key: Path | None = None) -> Checked:
    """Read a journal from end to end and hold it against anchors; a fault of it is in what is returned.

    anchors: None: those of its own account, if there are any.
    Raises OSError for a file that cannot be read, AnchorFault for anchors that cannot be used.
    """
    path = journal_file(place)
    anchors = own_anchors(path) if anchors is None else anchors
    kept = [] if anchors is None else anchors_of(path, anchors, key)
    reader, fault, at = None, None, None
    try:
        reader = _core.JournalReader(path, kept)
        deque(reader, maxlen=0)
    except _core.JournalFault as error:
        fault, at = str(error), error.place
    return Checked(
        journal=str(path),
        entries=reader.entries if reader else 0,
        segments=reader.segment + 1 if reader else 0,
        head=reader.head if reader else "",
        anchors=len(kept),
        anchors_file=None if anchors is None else str(anchors),
        vouched=reader.vouched if reader else 0,
        torn=reader.torn if reader else None,
        fault=fault,
        place=at,
    )


def why_not_read(place: Path, error: Exception) -> str:
    """Say why a journal could not be looked at, and, where anchors of it were kept, that it was there."""
    path = journal_file(place)
    if path.exists():
        return str(error)
    try:
        kept = own_anchors(path)
    except (OSError, AnchorFault) as fault:
        return f"{path} is not there; nor can be said whether it was: {fault}"
    return f"{path} is not there" + (", and nothing says that it ever was" if kept is None else f", and was: {kept}")


def cut_torn_end(place: Path, anchors: Path, key: Path | None = None) -> int | None:
    """Cut off the torn end of a journal, where the anchors prove that nothing that was acknowledged goes with it.

    Returns how many bytes went, None where the end is whole. Raises JournalFault, nothing changed, where it is not
    proven; OSError, AnchorFault.
    """
    path = journal_file(place)
    return _core.cut_torn_end(path, anchors_of(path, anchors, key))
