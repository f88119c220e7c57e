"""What is remembered of a freeze log outside of it, so that a log that was cut, emptied or exchanged lifts nothing.

    {"sum": "<16 hex>", "said": {"size": 812, "log": "<sha256 of so many bytes>", "standing": [{"level": "KILL", …}]}}

Written twice for a raise, in this order:

    1. size and hash as before, `standing` with the raise in it       a crash here: the raise is in the log's place
    2. the line in the log                                            a crash here: the log is longer, and leads
    3. size, hash and `standing` of the log as it is now

and once for everything else: the line in the log, then 3. So the log always begins with what is remembered. Where it
does not, nobody lifted anything: everything that stood stands, and the firm is at CANCEL_ALL at least until people sign
for less.

Not handled: log and memory exchanged together for an older pair by somebody who may write to both, while nothing runs
that had read them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from mmbot.risk.freeze_log import asked_from, asked_words, canonical, checksum
from mmbot.risk.levels import FreezeAsked, FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmbot.risk.freeze import FreezeBoard, Frozen

__all__ = ["Remembered", "higher", "standing"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """How far a log went, and what stood then."""

    size: int
    """Bytes."""
    log: str
    """SHA-256 of them, hex."""
    standing: tuple[FreezeAsked, ...] = ()

    @classmethod
    def of(cls, raw: bytes, board: FreezeBoard) -> Remembered:
        """Remember a log, and the board that it makes."""
        return cls(len(raw), sha256(raw).hexdigest(), standing(board.own))

    def why_not(self, raw: bytes) -> str:
        """Say why a log cannot be the one that is remembered; "" where it can: it begins with that, and may go on."""
        if len(raw) < self.size:
            return f"the freeze log has {len(raw)} bytes and had {self.size}"
        if sha256(raw[: self.size]).hexdigest() != self.log:
            return f"the first {self.size} bytes of the freeze log are not what they were"
        return ""

    def unsaid(self, raw: bytes, board: FreezeBoard) -> list[FreezeAsked]:
        """Return what stood and is not on the board that this log makes; a log that went on since then leads."""
        if len(raw) > self.size and not self.why_not(raw):
            return []
        return higher(self.standing, board)

    def encode(self) -> bytes:
        """As the content of a file."""
        said = {"size": self.size, "log": self.log, "standing": [asked_words(one) for one in self.standing]}
        text = canonical(said)
        return f'{{"sum":"{checksum(text)}","said":{text}}}\n'.encode()

    @classmethod
    def decode(cls, content: bytes) -> Remembered:
        """Read it back. Raises ValueError, KeyError or TypeError for anything else."""
        words = json.loads(content)
        said = words["said"]
        if words["sum"] != checksum(canonical(said)):
            raise ValueError("its checksum is not of what it says")
        return cls(int(said["size"]), str(said["log"]), tuple(asked_from(one) for one in said["standing"]))


def standing(frozen: Iterable[Frozen]) -> tuple[FreezeAsked, ...]:
    """What stands, as it would be asked for anew."""
    return tuple(
        FreezeAsked(
            one.level,
            one.scope,
            one.control,
            one.reason,
            one.since,
            one.worst if one.worst > one.level else FreezeLevel.NORMAL,
        )
        for one in frozen
    )


def higher(asked: Iterable[FreezeAsked], board: FreezeBoard) -> list[FreezeAsked]:
    """Return those that would raise the board."""
    return [one for one in asked if one.level > board.own_level(one.scope)]
