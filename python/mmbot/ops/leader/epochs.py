"""What a machine remembers of an account's epochs, so that none is ever used twice."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mmbot.ops.account_state import write_durably

__all__ = ["EpochFile"]


@dataclass(frozen=True)
class EpochFile:
    """The newest epoch of an account on this machine, and whether its holder left in order."""

    path: Path

    def read(self) -> tuple[int, bool]:
        """The epoch, 0 before the first, and whether nothing of its holder can arrive any more. Raises ValueError."""
        try:
            raw = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return 0, True
        try:
            said = json.loads(raw)
            return int(said["epoch"]), bool(said["quiet"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{self.path}: {error!r}; expected {{"epoch": N, "quiet": true}}. If it cannot be restored, write an '
                "epoch that is not below any that was used, with quiet false"
            ) from error

    def write(self, epoch: int, *, quiet: bool) -> None:
        """Keep it: on the disk when this returns, whole or not at all. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        said = {"epoch": epoch, "quiet": quiet, "pid": os.getpid()}
        write_durably(self.path, f"{json.dumps(said)}\n".encode())
