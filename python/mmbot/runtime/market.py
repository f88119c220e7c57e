"""The market as a run hears it: one growing tape for each instrument, and which books are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.data.scribe import Scribe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot import _core
    from mmbot.data.scribe import Written
    from mmbot.venues.port import Market

__all__ = ["RunMarket"]


class RunMarket:
    """Writes what is heard on the tapes; the engine reads it there.

    What cannot be written is not traded on: engine and backtest both know nothing of a book that was lost, until the
    next whole one.
    """

    def __init__(self, tapes: Mapping[Market, _core.LiveTape]) -> None:
        self._lines = {market: (Scribe(tape, tape.tape.instrument), tape.tape) for market, tape in tapes.items()}
        self.last_recv = 0
        """Receive time of the latest message on any tape, ns since epoch: not before the venue's own time."""

    def take(self, category: str, record: Written, ts_recv: int) -> str:
        """Write one record down. Returns "" or why it cannot be written; others' news is passed by."""
        line = self._lines.get((category, record.symbol))
        if line is None:
            return ""
        scribe, view = line
        why = scribe.take(record, ts_recv)
        span = view.span
        if span is not None and span[1] > self.last_recv:
            self.last_recv = span[1] - 1
        return why

    @property
    def complete(self) -> bool:
        """Every book is known."""
        return all(scribe.known for scribe, _ in self._lines.values())

    def missing(self) -> list[str]:
        """Name the instruments whose book is not known."""
        return [f"{category} {symbol}" for (category, symbol), (scribe, _) in self._lines.items() if not scribe.known]
