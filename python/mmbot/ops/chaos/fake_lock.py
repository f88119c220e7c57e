"""A lock with a time to live, in memory: what a key-value store offers, and no more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FakeKVLock"]


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass
class FakeKVLock:
    """One key. Raises ValueError for a time to live that is none."""

    ttl_ms: int
    now_ms: Callable[[], int] = _monotonic_ms
    epoch: int = 0
    """Grows with every holder."""
    _owner: str = ""
    _until_ms: int = 0

    def __post_init__(self) -> None:
        if self.ttl_ms < 1:
            raise ValueError(f"ttl_ms is {self.ttl_ms}; expected at least 1")

    @property
    def owner(self) -> str:
        """Who holds it now; "" for nobody."""
        return self._owner if self.now_ms() < self._until_ms else ""

    def try_acquire(self, owner: str) -> int | None:
        """Take it if nobody holds it, under a new epoch; None where somebody does, also where that is `owner`."""
        if self.owner:
            return None
        self.epoch += 1
        self._owner, self._until_ms = owner, self.now_ms() + self.ttl_ms
        return self.epoch

    def renew(self, owner: str, epoch: int) -> bool:
        """Hold it for another `ttl_ms`; False where it is over, or of another holder or epoch."""
        if self.owner != owner or epoch != self.epoch:
            return False
        self._until_ms = self.now_ms() + self.ttl_ms
        return True

    def release(self, owner: str, epoch: int) -> bool:
        """Give it back; False where it was not held any more."""
        if self.owner != owner or epoch != self.epoch:
            return False
        self._until_ms = self.now_ms()
        return True
