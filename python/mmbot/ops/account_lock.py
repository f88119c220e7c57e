"""One run at a time on an account: a second one would take the first one's orders for leftovers, and cancel them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["alone_on"]


@contextmanager
def alone_on(environment: str, account: str, *, folder: Path | None = None) -> Iterator[None]:
    """Hold the account for this process; it is free again when the process ends, however it ends.

    folder: where the lock lies, the same for all runs of a user. Raises VenueError where another run holds it. Not
    handled: a run on another machine, or of another user; their orders show as orders that are not ours.
    """
    where = folder or Path(tempfile.gettempdir())
    path = where / f"mmbot-{os.getuid()}-{environment}-{account}.lock"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise VenueError(
                f"another run trades on account {account} ({environment}), process {file.read().strip() or '?'}: "
                "end it first, or give this one an account of its own"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
