"""A strategy that wants too much: it quotes near the touch, moves often, and leaves the limits to say no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.strategy import Intent, Strategy, View, Wake, quotes

if TYPE_CHECKING:
    import random

__all__ = ["Restless"]


class Restless(Strategy):
    """Random sizes and distances, from a stream of its own; up to `most` lots a side, whatever it holds."""

    def __init__(self, rng: random.Random, every_ms: float, most: int, instruments: int = 1) -> None:
        self._rng, self._most, self._instruments = rng, most, instruments
        self.wake = Wake(every_ms=every_ms, fill=True)

    def decide(self, view: View) -> list[Intent]:
        """Return a quote on each side, or on one, for every instrument."""
        return [self._quote(view[index], index) for index in range(self._instruments)]

    def _quote(self, view: View, index: int) -> Intent:
        if view.bid is None or view.ask is None:
            return quotes(None, None, 1, index)
        away, lots = self._rng.randrange(3), self._rng.randint(1, self._most)
        sides = self._rng.random()
        bid = None if sides < 0.1 else view.bid - away
        ask = None if sides > 0.9 else view.ask + away
        return quotes(bid, ask, lots, index)
