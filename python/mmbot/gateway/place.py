"""Where a gateway listens, and who is at the other end: sockets of this machine, and the kernel's word on users."""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["connected", "listening", "peer_uid"]

_CREDENTIALS = struct.Struct("3i")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the same place that fits into a socket address, which holds 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listening(path: Path, *, shared: bool = False) -> socket.socket:
    """Listen at a path that only its owner may open. A socket that nobody listens on any more is replaced.

    shared: any user may open it, and who listens has to ask `peer_uid` who that is.

    Raises VenueError where another gateway listens, or the path is something else; OSError where it cannot be made.
    """
    if path.exists() or path.is_symlink():
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise VenueError(f"{path} is there and is no socket; take it away, or let the gateway listen elsewhere")
        try:
            connected(path).close()
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        else:
            raise VenueError(f"a gateway listens at {path} already; end it first")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o111 if shared else 0o177)  # from the first moment on nobody else can open it
    try:
        with _short(path) as name:
            server.bind(name)
    except OSError:
        server.close()
        raise
    finally:
        os.umask(before)
    server.listen(16)
    server.setblocking(False)
    return server


def connected(path: Path) -> socket.socket:
    """Connect to who listens at a path. Raises OSError."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            client.connect(name)
    except OSError:
        client.close()
        raise
    client.setblocking(False)
    return client


def peer_uid(end: socket.socket) -> int:
    """The user at the other end, as the kernel says it."""
    _, uid, _ = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)
