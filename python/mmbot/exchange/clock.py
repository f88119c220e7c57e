"""The venue's clock: wall time, which SDKs compare with their own, and how far it is off."""

import time

__all__ = ["VenueClock"]


class VenueClock:
    """Wall time in ns, ahead of ours by `skew_ms`."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.skew_ms = skew_ms

    def __call__(self) -> int:
        """Ns since epoch."""
        return time.time_ns() + self.skew_ms * 1_000_000
