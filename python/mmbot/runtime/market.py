"""The market as a run hears it: one growing tape for each instrument, and which books are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.data.scribe import Scribe
from mmbot.venues.records import BookLost, BookUpdate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot import _core
    from mmbot.data.scribe import Written
    from mmbot.venues.port import Market

__all__ = ["RunMarket"]

LEAD_NS = 60_000_000_000
"""A venue's clock may be so far ahead of ours; one that is further is a mistake, and would take ours along."""


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
        lead = 0 if isinstance(record, BookLost) else (record.ts_venue or 0) - ts_recv
        if lead > LEAD_NS:
            if isinstance(record, BookUpdate):
                scribe.take(BookLost(symbol=record.symbol, why="a time that cannot be"), ts_recv)
            return f"its venue time is {lead / 1e9:.0f} s ahead of ours"
        why = scribe.take(record, ts_recv)
        span = view.span
        if span is not None and span[1] > self.last_recv:
            self.last_recv = span[1] - 1
        return why

    def silent(self, now: int, age_ns: int) -> list[str]:
        """Name the instruments of which nothing was heard for longer than that, or never."""
        spans = {market: view.span for market, (_, view) in self._lines.items()}
        return [
            f"{category} {symbol}"
            for (category, symbol), span in spans.items()
            if span is None or now - (span[1] - 1) > age_ns
        ]

    @property
    def complete(self) -> bool:
        """Every book is known."""
        return all(scribe.known for scribe, _ in self._lines.values())

    def missing(self) -> list[str]:
        """Name the instruments whose book is not known."""
        return [f"{category} {symbol}" for (category, symbol), (scribe, _) in self._lines.items() if not scribe.known]
