"""The market as a run hears it: one growing tape for each instrument, and which books are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.venues.records import BookUpdate, PublicTrade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot import _core
    from mmbot.venues.records import Ticker

__all__ = ["Recorded"]


class Recorded:
    """Writes what is heard on the tapes, as (category, symbol) → tape; the engine reads it there.

    What does not fit an instrument's grid is not traded on: it leaves a gap on the tape, so that engine and backtest
    both know nothing until the next whole book.
    """

    def __init__(self, tapes: Mapping[tuple[str, str], _core.LiveTape]) -> None:
        self._tapes = tapes
        self._views = {market: tape.tape for market, tape in tapes.items()}
        self._known: set[tuple[str, str]] = set()
        self.last_recv = 0
        """Receive time of the latest message on any tape, ns since epoch: not before the venue's own time."""

    def take(self, category: str, record: BookUpdate | PublicTrade | Ticker, ts_recv: int) -> bool:
        """Write one record down; False if it cannot be, and the book is unknown then. Others' news is passed by."""
        market = (category, record.symbol)
        tape = self._tapes.get(market)
        if tape is None:
            return True
        try:
            match record:
                case BookUpdate():
                    tape.depth(ts_recv, record.ts_venue or ts_recv, record.kind, record.bids, record.asks)
                    if record.kind == "snapshot":
                        self._known.add(market)
                case PublicTrade():
                    tape.trade(ts_recv, record.ts_venue, record.price, record.qty, record.aggressor)
        except ValueError:
            self.lose(category, record.symbol, ts_recv)
            return False
        self._follow(market)
        return True

    def _follow(self, market: tuple[str, str]) -> None:
        span = self._views[market].span
        if span is not None:
            self.last_recv = max(self.last_recv, span[1] - 1)

    def lose(self, category: str, symbol: str, ts_recv: int) -> None:
        """Say on the tape that the book is unknown, once until it is whole again."""
        market = (category, symbol)
        if market in self._known:
            self._known.remove(market)
            self._tapes[market].depth(ts_recv, 0, "gap", [], [])
            self._follow(market)

    @property
    def complete(self) -> bool:
        """Every book is known."""
        return len(self._known) == len(self._tapes)

    def missing(self) -> list[str]:
        """Name the instruments whose book is not known."""
        return [f"{category} {symbol}" for category, symbol in self._tapes if (category, symbol) not in self._known]
