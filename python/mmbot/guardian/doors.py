"""The unix socket between engine and guardian: its path however long, and who is at the other end."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Peer", "peer_of", "reachable"]

PATH_BYTES_MAX = 100
"""The system allows 107 for the path of a socket."""


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Name a socket so that the system takes it: a long path goes through the descriptor of its folder."""
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class Peer:
    """The process at the other end, as the kernel says: `pid`, `uid`."""

    def __init__(self, pid: int, uid: int) -> None:
        self.pid, self.uid = pid, uid


def peer_of(link: socket.socket) -> Peer:
    """Ask the kernel who opened this connection. Raises OSError."""
    pid, uid, _ = struct.unpack("3i", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return Peer(pid, uid)
