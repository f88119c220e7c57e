"""Where a run leaves what it did: one folder, by the time it began.

runs/20261127T221500Z-paper/
    journal.mmj        what was heard, decided and sent: the truth
    tapes/             the market as it was heard, one tape for each instrument
    report/            the same report as a backtest's
    exchange.log       complaints of the embedded exchange, where there is one
"""

from __future__ import annotations

import fcntl
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """The places in one run's folder."""

    path: Path
    epoch_s: int
    """Start of the run, seconds since epoch; no other run in the same place has it, so names of orders made of it are
    unique."""

    @classmethod
    def create(cls, parent: Path, mode: str, epoch_s: int) -> RunFolder:
        """Make a folder for a run that begins now, or a second later where another run has that second.

        Raises OSError if it cannot be made.
        """
        parent.mkdir(parents=True, exist_ok=True)
        with (parent / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, also by a kill
            while any(parent.glob(f"{_stamp(epoch_s)}-*")):
                epoch_s += 1
            path = parent / f"{_stamp(epoch_s)}-{mode}"
            (path / "tapes").mkdir(parents=True)
        return cls(path, epoch_s)

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / "journal.mmj"

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.path / "report"

    @property
    def exchange_log(self) -> Path:
        """Complaints of the embedded exchange."""
        return self.path / "exchange.log"

    def live_tape(self, category: str, symbol: str) -> Path:
        """The tape of an instrument while it is being written: a directory."""
        return self.path / "tapes" / f"{category}-{symbol}.live"

    def tape(self, category: str, symbol: str) -> Path:
        """The finished tape of an instrument."""
        return self.path / "tapes" / f"{category}-{symbol}.tape"


def _stamp(epoch_s: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch_s))
