"""What of an earlier run's journal can be believed: its own chain, and the anchors that the guardian kept of it.

    fits            taken over from its last snapshot that an anchor vouches for
    cut short       all of it is taken over; what is missing is said, and no order leaves until nothing can arrive any
                    more that the lost part sent (`Estate.lost`); a torn end counts, for whole entries that a disk only
                    said were safe may have gone with it, and waiting a few seconds costs less than knowing
    does not fit    what is good and vouched for is taken over; the account freezes until a person has looked

A run that does not fit is begun all the same: it adopts and cancels what the venue has of ours, and says what differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot import _core
from mmbot.config import ConfigError
from mmbot.guardian.anchors import Anchor, AnchorFault, are_gone, damaged, read_anchors
from mmbot.ops.journal_check import FILE
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from pathlib import Path

    from mmbot.ops.account_state import AccountState

__all__ = ["Believed", "believed", "is_missing", "quarantine"]

NEWEST = 64
"""Anchors that a start is content with, one a second: each covers all before it, and older ones are read when one does
not fit."""


@dataclass(frozen=True, kw_only=True)
class Believed:
    """What can be believed of a journal."""

    recovered: _core.Recovered
    lost: str = ""
    """What is missing at its end; empty where nothing is known to be."""
    differs: str = ""
    """What is not as it was written; empty where everything is."""

    @property
    def whole(self) -> bool:
        """Whether nothing speaks against it."""
        return not (self.lost or self.differs)


def is_missing(state: AccountState, folder: Path) -> bool:
    """Whether the run at `folder` has no journal. Raises ConfigError where anchors prove that it had one, or are gone
    themselves.
    """
    if (folder / FILE).exists():
        return False
    anchors, fault = _anchors(state)
    if fault or any(anchor.journal == f"{folder.name}/{FILE}" for anchor in anchors):
        why = fault or "anchors were kept of it"
        raise ConfigError(
            f"{folder / FILE} is gone, and {why}: bring it back (`mmbot journal restore`, docs/journal.md), or, where "
            f"the account is known to hold nothing, remove {state.path / 'last-run'}"
        )
    return True


def believed(state: AccountState, folder: Path) -> Believed:
    """Take in the journal of the run at `folder`, as far as it can be believed.

    Raises OSError, JournalFault or ValueError where there is no good entry to begin with.
    """
    path, name = folder / FILE, f"{folder.name}/{FILE}"
    anchors, fault = _anchors(state, NEWEST)
    if anchors and anchors[-1].journal != name:
        anchors, fault = _anchors(state)
    try:
        recovered = _core.take_over(path, _heads(anchors, name))
    except (_core.JournalFault, _core.JournalDiffers):
        return _first_part(path, _heads(_anchors(state)[0], name))
    return Believed(recovered=recovered, lost=_later(anchors, name, recovered) or _torn(name, recovered), differs=fault)


def quarantine(found: Believed, now: int, account: str) -> FreezeAsked | None:
    """Ask for a freeze where a journal is not what was written."""
    if not found.differs:
        return None
    reason = f"the journal of the run before cannot be believed: {found.differs}; see `mmbot journal verify`"
    return FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("account", account), "journal_differs", reason, now)


def _first_part(path: Path, heads: list[tuple[int, str]]) -> Believed:
    """What is good of a journal that is not, and vouched for where it was rewritten."""
    try:
        return Believed(recovered=_core.take_over(path, heads), differs="it was repaired while it was read")
    except _core.JournalFault as error:
        if error.place is None:
            raise
        good, short, said = error.place[0], error.short, f"{path.parent.name}: {error}"
    except _core.JournalDiffers as error:
        good, short, said = error.difference[0], False, f"{path.parent.name}: {error}"
    # Not even the first anchor of one that was rewritten fits: what it says is what there is.
    recovered = _core.recover(path, until=good or None)
    return Believed(recovered=recovered, lost=said) if short else Believed(recovered=recovered, differs=said)


def _later(anchors: list[Anchor], name: str, recovered: _core.Recovered) -> str:
    """Say where a later run was anchored than the one that is here: an old backup was put back."""
    if not anchors or anchors[-1].journal == name or anchors[-1].time <= recovered.last_time:
        return ""
    return f"{name}: a later journal is missing, {anchors[-1].journal}, of which anchors were kept"


def _torn(name: str, recovered: _core.Recovered) -> str:
    """Say where the last entry is not whole, which a killed process leaves seldom and a power cut often."""
    if recovered.torn is None:
        return ""
    return f"{name}: its last entry is not whole, and others after it may have been lost (byte {recovered.torn[0]})"


def _heads(anchors: list[Anchor], name: str) -> list[tuple[int, str]]:
    return [(anchor.seq, anchor.chain) for anchor in anchors if anchor.journal == name]


def _anchors(state: AccountState, newest: int | None = None) -> tuple[list[Anchor], str]:
    """Anchors of the account up to the first that its guardian's key did not sign, and what is wrong with that one."""
    kept: list[Anchor] = []
    aside = damaged(state.anchors)
    fault = f"{aside[0]} was damaged: look at it, then take it away" if aside else ""
    if not state.anchors.exists():
        gone = are_gone(state.anchors)
        return kept, f"{state.anchors} is gone, and the key that signed it is there" if gone else fault
    try:
        kept.extend(read_anchors(state.anchors, newest=newest))
    except (AnchorFault, OSError, ValueError) as error:
        return kept, str(error)
    return kept, fault
