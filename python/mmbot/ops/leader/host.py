"""The lease of one machine: locks of the system's, which are gone when their process is, however it ended.

    /run/lock  /dev/shm  /tmp    mmbot-<environment>[-<host>-<port>]-<account>.lock     each that can be used
    <the account's folder>       leader.lock

None of these places follows an environment variable, the working directory or `session.folder`: runs that differ in
them find one another in the first three, by the venue's address and the account. Runs that reach one venue by
different addresses (a relay before it, say) find one another in the account's folder, if that is one.

A lock is taken in every place, in this order: whoever may not write to one of them, as in a hardened service, meets the
others in the next; a lock that another user made is opened for reading, which is enough to be locked out by it.

The epoch is kept in the account's folder, on the disk before anything is traded with it. It is never below the start
second, so it grows also where that folder was lost, as long as this machine's clock does.

Beside each lock lies `….folder`, which names the account's folder of the last run: an account that is stopped there
(CANCEL_ALL or higher) is not traded from another folder.

Not handled: another machine, or a container that shares none of the places (a lease in PostgreSQL is for both), and a
run by another address and in another folder. Any user of the machine can hold these locks, and so keep a run out.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn
from urllib.parse import urlsplit

from mmbot.execution.lease import NEVER_NS, LeaseRow
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import board_of
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError, Taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.ops.leader.epochs import EpochFile

__all__ = ["HOST_PLACES", "HostLease"]

_SECOND: Final = 1_000_000_000
HOST_PLACES: Final = (Path("/run/lock"), Path("/dev/shm"), Path("/tmp"))  # noqa: S108  the names cannot be led astray
"""Where every run of a machine looks."""
_UNUSABLE: Final = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EROFS)


@dataclass
class HostLease:
    """Holds an account for this process; it is free again when the process ends."""

    environment: str
    account: str
    epoch_file: EpochFile
    url: str | None = None
    """Address of a venue that has more than one."""
    places: tuple[Path, ...] = HOST_PLACES
    wall: Callable[[], int] = time.time_ns
    epoch: int = 0
    _held: dict[Path, int] = field(default_factory=dict, init=False, repr=False)
    """Locked files, and their descriptors."""

    @property
    def locks(self) -> list[Path]:
        """The files that are locked where they can be: those of the machine, then the account's own."""
        where = "" if self.url is None else f"-{_address(self.url)}"
        name = f"mmbot-{self.environment}{where}-{self.account}.lock"
        return [*(place / name for place in self.places), self.epoch_file.path.with_name("leader.lock")]

    async def read(self) -> LeaseRow:
        """Lock the account. Raises LeaseRefusedError, which names the process that has it."""
        if not self._held:
            try:
                self._lock_all()
                self._look_elsewhere()
            except BaseException:
                self._unlock()
                raise
        return LeaseRow(epoch=self.epoch_file.read()[0], beat=0, holder="", ttl_ns=NEVER_NS, left_ns=0)

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Raise the epoch on the disk. Raises OSError, ValueError."""
        former, quiet = self.epoch_file.read()
        self.epoch = max(former + 1, self.wall() // _SECOND)
        self.epoch_file.write(self.epoch, quiet=False)
        return Taken(self.epoch, None if quiet else 0)  # the former process is dead by now, its last bytes may travel

    async def renew(self) -> None:
        """It ends with the process; but a lock whose file was cleaned away keeps nobody out, and is taken again.

        Raises DeposedError where another process has it by then.
        """
        for path, file in list(self._held.items()):
            if not _names(path, file):
                os.close(self._held.pop(path))
                try:
                    self._lock(path)
                except LeaseRefusedError as error:
                    raise DeposedError(f"{path} was taken away, and now {error}") from error

    async def release(self, *, clean: bool) -> None:
        """Unlock; what an orderly end proved is kept, so that the next run need not wait. Raises OSError."""
        try:
            if self._held and self.epoch and clean:
                self.epoch_file.write(self.epoch, quiet=True)
        finally:
            self._unlock()

    # ---- the files

    def _lock_all(self) -> None:
        *host, own = self.locks
        own.parent.mkdir(parents=True, exist_ok=True)
        usable = [self._lock(path) for path in host]
        if not any(usable):
            raise LeaseRefusedError(
                f"none of {', '.join(map(str, self.places))} can hold a lock, so no other run of this machine would be "
                "seen; give this user one of them to write to, or lead by a lease in PostgreSQL (session.leader.kind)"
            )
        if not self._lock(own):
            raise LeaseRefusedError(f"{own} cannot be opened; the account's folder has to be this user's")

    def _look_elsewhere(self) -> None:
        """Refuse an account that is stopped in the folder in which it was traded last; remember ours."""
        own, notes = self.epoch_file.path.parent.resolve(), [path.with_suffix(".folder") for path in self.locks[:-1]]
        for note in notes:
            with suppress(OSError, UnicodeDecodeError):
                other = Path(note.read_text("utf-8").strip())
                if other != own and other.is_dir():
                    self._refuse_stopped(other)
        for note in notes:
            with suppress(OSError):  # another user's, or no place for us: the next one will do
                _write(note, f"{own}\n".encode())

    def _refuse_stopped(self, folder: Path) -> None:
        try:
            level = board_of(AccountState.at(folder), self.wall()).highest
        except (OSError, ValueError) as error:
            raise LeaseRefusedError(f"{folder}, where this account was traded last, cannot be read: {error}") from error
        if level.cancels_all:
            raise LeaseRefusedError(
                f"account {self.account} ({self.environment}) was traded last in {folder}, and is at {level.name} "
                "there; lift that first (`mmbot unfreeze`), or go on with that session.folder"
            )

    def _lock(self, path: Path) -> bool:
        """Lock one file, and make it where there is none; False where it cannot be opened."""
        while True:
            file = _opened(path)
            if file is None:
                return False
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._refuse(file)
            if _names(path, file):
                break
            os.close(file)  # whoever had it left, and took the name along
        self._held[path] = file
        with suppress(OSError):  # another user's: its name is not ours to write
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return True

    def _refuse(self, file: int) -> NoReturn:
        other = os.pread(file, 32, 0).decode(errors="replace").strip() or "?"
        os.close(file)
        raise LeaseRefusedError(
            f"another run trades on account {self.account} ({self.environment}), process {other}: "
            "end it first, or give this one an account of its own"
        )

    def _unlock(self) -> None:
        """Take the names away while they are locked, so that nobody waits for a file without one, and let go."""
        while self._held:
            path, file = self._held.popitem()
            with suppress(OSError):
                path.unlink()
            os.close(file)


def _opened(path: Path) -> int | None:
    """Open a lock's file, to write to if that is allowed; None where it cannot even be read."""
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDWR, os.O_RDONLY):
        try:
            return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise LeaseRefusedError(f"{path}: {error.strerror}; expected a lock's file, or none") from error
    return None


def _write(path: Path, text: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.write(file, text)
    finally:
        os.close(file)


def _names(path: Path, file: int) -> bool:
    """Whether a path is still the name of an open file."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(file))


def _address(url: str) -> str:
    """Host and port for a file's name; a machine has many names for itself."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        own = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        own = False
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{'loopback' if own else host.replace(':', '.')}-{port}"
