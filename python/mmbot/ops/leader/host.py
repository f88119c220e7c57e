"""The lease of one machine: a lock of the system's, which is gone when its process is, however it ended.

The epoch is kept in the account's folder, on the disk before anything is traded with it. It is never below the start
second, so it grows also where that folder was lost, as long as this machine's clock does.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from mmbot.execution.lease import NEVER_NS, LeaseRow
from mmbot.ops.leader.lease import LeaseRefusedError, Taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.ops.leader.epochs import EpochFile

__all__ = ["HostLease"]

_SECOND: Final = 1_000_000_000


@dataclass
class HostLease:
    """Holds an account for this process; it is free again when the process ends.

    Not handled: a run on another machine, or of another user; their orders show as orders that are not ours.
    """

    environment: str
    account: str
    epoch_file: EpochFile
    folder: Path | None = None
    """Where the lock lies, the same for all runs of a user; the system's place for temporary files if not given."""
    wall: Callable[[], int] = time.time_ns
    epoch: int = 0
    _lock: TextIO | None = field(default=None, init=False, repr=False)

    @property
    def lock(self) -> Path:
        """The file that is locked."""
        where = self.folder or Path(tempfile.gettempdir())
        return where / f"mmbot-{os.getuid()}-{self.environment}-{self.account}.lock"

    async def read(self) -> LeaseRow:
        """Lock the account. Raises LeaseRefusedError, which names the process that has it."""
        if self._lock is None:
            file = self.lock.open("a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                other = file.read().strip() or "?"
                file.close()
                raise LeaseRefusedError(
                    f"another run trades on account {self.account} ({self.environment}), process {other}: "
                    "end it first, or give this one an account of its own"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            self._lock = file
        return LeaseRow(epoch=self.epoch_file.read()[0], beat=0, holder="", ttl_ns=NEVER_NS, left_ns=0)

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Raise the epoch on the disk. Raises OSError, ValueError."""
        former, quiet = self.epoch_file.read()
        self.epoch = max(former + 1, self.wall() // _SECOND)
        self.epoch_file.write(self.epoch, quiet=False)
        return Taken(self.epoch, None if quiet else 0)  # the former process is dead by now, its last bytes may travel

    async def renew(self) -> None:
        """Nothing to do: it ends with the process."""

    async def release(self, *, clean: bool) -> None:
        """Unlock; what an orderly end proved is kept, so that the next run need not wait. Raises OSError."""
        if self._lock is None:
            return
        try:
            if self.epoch and clean:
                self.epoch_file.write(self.epoch, quiet=True)
        finally:
            self._lock.close()
            self._lock = None
