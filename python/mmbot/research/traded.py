"""One instrument of a run, and how its whole numbers become prices and quantities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbot.data.tape_records import NO_ASK, NO_BID

if TYPE_CHECKING:
    from mmbot import _core
    from mmbot.config import InstrumentConfig


@dataclass(frozen=True)
class Traded:
    """One instrument of a run: what was configured, and what came of it."""

    config: InstrumentConfig
    tape: _core.Tape
    instrument: _core.Instrument
    symbol: str
    without_us: _core.Tape | None = None
    """The tape without our own orders, where it shows them: what a simulated venue matches against."""

    @property
    def price(self) -> tuple[int, int]:
        """A price in ticks times the first, divided by the second, is the correctly rounded price."""
        return _fraction(self.instrument.tick)

    @property
    def unit(self) -> tuple[int, int]:
        """Lots times the first, divided by the second, is the correctly rounded quantity, contract value included."""
        lot, contract = _fraction(self.instrument.lot), _fraction(self.instrument.contract)
        return lot[0] * contract[0], lot[1] * contract[1]

    def quantities(self, lots: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Lots as quantities: in the base for linear and spot, in the quote for inverse."""
        times, over = self.unit
        return lots * times / over

    def prices(self, ticks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Ticks as prices; NaN where a side of the touch was empty."""
        times, over = self.price
        missing = (ticks == NO_BID) | (ticks == NO_ASK)
        return np.where(missing, np.nan, ticks.astype(np.int64) * times / over)

    def mids(self, ts_venue: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Mid at venue times; NaN beyond the tape and where there was no two-sided market."""
        bid, ask = self.tape.touch_at(ts_venue)
        mid = (self.prices(bid) + self.prices(ask)) / 2
        span = self.tape.span
        return np.where(ts_venue < span[1], mid, np.nan) if span else np.full(len(ts_venue), np.nan)


def _fraction(step: str) -> tuple[int, int]:
    whole, _, decimals = step.partition(".")
    return int(whole + decimals), 10 ** len(decimals)
