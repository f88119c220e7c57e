"""What the market does: a walk with moods, told as a feed tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.venues.records import BookUpdate

if TYPE_CHECKING:
    import random

    from mmbot.simulation.venue import ModelVenue

__all__ = ["MOODS", "Walk"]

SPREADS = (1, 1, 1, 2, 3)
CALM = (-1, -1, 0, 0, 1, 1)
MOODS = ("calm", "trend", "gap", "cascade")
"""calm: back and forth; trend: mostly one way; gap: jumps now and then; cascade: falls, fast, and comes back."""


class Walk:
    """One symbol's touch, step by step."""

    def __init__(self, venue: ModelVenue, symbol: str, mood: str, rng: random.Random) -> None:
        self._venue, self._symbol, self._mood, self._rng = venue, symbol, mood, rng
        self._start = venue.markets[symbol].bid
        self._unit = max(1, self._start // 10_000)
        """A step is a basis point, whatever the tick."""
        self._update = 0
        self._told: tuple[int, int] | None = None

    def step(self) -> BookUpdate:
        """Move the market, let it trade, and return what a feed says of it."""
        market, rng = self._venue.markets[self._symbol], self._rng
        spread = SPREADS[int(rng.random() * len(SPREADS))]
        middle = market.bid + self._move() * self._unit
        bid = min(max(middle, self._start // 5), self._start * 5)
        self._venue.trade(self._symbol, bid, bid + spread)
        return self.delta()

    def _move(self) -> int:
        rng = self._rng
        if self._mood == "trend":
            return rng.choice((-1, 0, 1, 1, 2))
        if self._mood == "gap" and rng.random() < 0.02:
            return rng.choice((-40, 40))
        if self._mood == "cascade" and rng.random() < 0.1:
            return rng.choice((-15, -10, 8))
        return CALM[int(rng.random() * len(CALM))]

    def delta(self) -> BookUpdate:
        """The change since the last message."""
        market = self._venue.markets[self._symbol]
        told = self._told
        if told is None:
            return self.snapshot()
        price = market.instrument.price
        bids = [(price(market.bid), "5")]
        asks = [(price(market.ask), "5")]
        if told[0] != market.bid:
            bids.append((price(told[0]), "0"))
        if told[1] != market.ask:
            asks.append((price(told[1]), "0"))
        return self._message("delta", bids, asks)

    def snapshot(self) -> BookUpdate:
        """The whole book."""
        market = self._venue.markets[self._symbol]
        price = market.instrument.price
        return self._message("snapshot", [(price(market.bid), "5")], [(price(market.ask), "5")])

    def _message(self, kind: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> BookUpdate:
        market = self._venue.markets[self._symbol]
        self._told = (market.bid, market.ask)
        self._update += 1
        return BookUpdate(
            symbol=self._symbol,
            kind=kind,  # type: ignore[arg-type]
            ts_venue=self._venue.world.now,
            previous_id=self._update - 1,
            last_id=self._update,
            bids=bids,
            asks=asks,
        )
