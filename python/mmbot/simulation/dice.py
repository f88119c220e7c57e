"""Chance, by name: each purpose has a stream of its own, so a draw added here moves nothing drawn there."""

from __future__ import annotations

import random

__all__ = ["Dice"]


class Dice:
    """Streams of one seed. The same seed and name give the same draws on every machine and Python."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, random.Random] = {}

    def of(self, name: str) -> random.Random:
        """The stream of that name."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random(f"{self.seed}:{name}")  # noqa: S311  chance to replay, no key
        return stream
