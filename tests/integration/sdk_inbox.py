"""What pybit's callbacks are called with, from whatever thread, and sockets that are closed at the end."""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

WAIT_S = 10


@contextmanager
def socket(made: Any) -> Iterator[Any]:
    """Close one of pybit's sockets at the end."""
    try:
        yield made
    finally:
        made.exit()


class Inbox:
    """A callback that keeps what it is called with."""

    def __init__(self) -> None:
        self._came: queue.Queue[Any] = queue.Queue()
        self.seen: list[Any] = []

    def __call__(self, message: Any) -> None:
        """Be the callback."""
        self._came.put(message)

    def soon(self, wanted: Callable[[dict], bool], wait_s: float) -> dict | None:
        """The next row, or message without rows, of the kind; None if there is none in time."""
        end = time.monotonic() + wait_s
        while (left_s := end - time.monotonic()) > 0:
            try:
                message = self._came.get(timeout=left_s)
            except queue.Empty:
                return None
            rows = message["data"] if isinstance(message.get("data"), list) else [message]
            self.seen.extend(rows)
            for row in rows:
                if wanted(row):
                    return row
        return None

    def until(self, wanted: Callable[[dict], bool]) -> dict:
        """The next one of the kind; fails with what came instead."""
        found = self.soon(wanted, WAIT_S)
        assert found is not None, f"nothing of the kind among {self.seen[-20:]}"
        return found
