"""Stands between an engine and its guardian: passes on what they say, or nothing, or something else."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmbot.guardian.doors import reachable
from mmbot.guardian.words import Message, decode, encode

PIECE = 1 << 16
Change = Callable[[Message], Message]


class Relay:
    """A listener at the guardian's address; the guardian itself was moved to another one."""

    def __init__(self, place: Path, behind: Path) -> None:
        self._behind = behind
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        with reachable(place) as path:
            self._listener.bind(str(path))
        self._listener.listen()
        self.silent = False
        """Nothing passes any more; connections stay."""
        self.closed = False
        """Connections are cut, and new ones too."""
        self.change: Change = lambda message: message
        """What the guardian hears instead of what the engine says."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Close every connection, and each that is made from now on."""
        self.closed = True
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Listen no more."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                engine, _ = self._listener.accept()
                if self.closed:
                    engine.close()
                    continue
                guardian = socket.socket(socket.AF_UNIX)
                with reachable(self._behind) as path:
                    guardian.connect(str(path))
                self._open += [engine, guardian]
                threading.Thread(target=self._pass, args=(engine, guardian, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(guardian, engine, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, from_engine: bool) -> None:
        with suppress(OSError), source.makefile("rb") as lines:
            for line in lines:
                if not self.silent:
                    target.sendall(encode(self.change(decode(line))) if from_engine else line)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(place: Path) -> Iterator[Relay]:
    """Move a listening guardian away from its address, and stand there instead."""
    behind = place.with_name("moved.sock")
    place.rename(behind)
    relay = Relay(place, behind)
    try:
        yield relay
    finally:
        relay.stop()
