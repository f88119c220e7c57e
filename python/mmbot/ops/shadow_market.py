"""The market of a shadow run, written down as it is heard: one growing tape for each instrument.

    records of a live feed ┐
    ticks of Redis         ├─▶ ShadowMarket ─▶ LiveTape ─▶ the replay that shadows, and the recording that is left
    tapes, played          ┘

What becomes of a record is the scribe's law (`mmbot.data.scribe`), so shadow run and dry run know the same.
"""

from __future__ import annotations

import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from mmbot import _core
from mmbot.data.scribe import Scribe
from mmbot.venues.records import BookUpdate, PublicTrade, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mmbot.data.scribe import Counted
    from mmbot.ops.counters import Counters
    from mmbot.ops.ticks import Tick
    from mmbot.venues.port import Heard, Market
    from mmbot.venues.records import Levels

__all__ = ["Kind", "ShadowMarket", "Times"]

Kind: TypeAlias = Literal["snapshot", "delta", "gap"]
SLOWEST_NS_MAX: Final = 60_000_000_000
END_OF_TIME: Final = 2**63 - 1


class Times(NamedTuple):
    """When a message was heard, and when its venue sent it: ns since epoch."""

    recv: int
    venue: int


class ShadowMarket:
    """Takes in what is heard of some instruments, and gives the tapes that grow by it."""

    def __init__(self, folder: Path, instruments: Mapping[Market, _core.Instrument], counters: Counters) -> None:
        """Begin empty tapes in `folder`; what an earlier run left there is replaced. Raises OSError, TapeFault."""
        self.folder, self.counters = folder, counters
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob("*.live"):
            shutil.rmtree(left)
        for left in folder.glob("*.tape"):
            left.unlink()
        self.tapes = {
            market: _core.LiveTape(folder / f"{_name(market)}.live", instrument)
            for market, instrument in instruments.items()
        }
        self._views = {market: tape.tape for market, tape in self.tapes.items()}
        self._scribes = {market: Scribe(self.tapes[market], one) for market, one in instruments.items()}
        self.resync: Callable[[str, str, str], None] | None = None
        """Asks the source for a new book (category, symbol, why) when a message of one cannot be used."""
        self.slowest_ns = 0
        """Longest that a message was under way so far, by the two clocks, if it was not longer than a minute."""

    @property
    def started_ns(self) -> int | None:
        """Receive time of the first message on any tape; None before it."""
        return min((view.span[0] for view in self._views.values() if view.span), default=None)

    # ---- what is heard (PublicSink, but for the raw frames, which nobody here keeps)

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Take in what one frame says. News of other instruments is passed by. Raises OSError."""
        for record in records:
            if isinstance(record, Skipped):
                continue
            scribe = self._scribes.get((category, record.symbol))
            if scribe is None:
                continue
            match record:
                case BookUpdate(ts_venue=int(ts_venue)) | PublicTrade(ts_venue=ts_venue, off_book=False):
                    self._clock(ts_recv, ts_venue)
            why = scribe.take(record, ts_recv)
            if why and isinstance(record, BookUpdate) and record.kind == "delta" and self.resync is not None:
                self.resync(category, record.symbol, why)  # another snapshot would be off the same grid

    def on_tick(self, market: Market, tick: Tick, ts_recv: int, *, after_gap: bool) -> None:
        """Take in the best prices as a book of one level, and the trade where the tick says all of it."""
        if after_gap:
            self._scribes[market].lose(ts_recv)
        times = Times(ts_recv, tick.ts_venue)
        self.book(market, times, "snapshot", [(tick.bid, tick.bid_size)], [(tick.ask, tick.ask_size)])
        if tick.last_price is not None and tick.last_side is not None and Decimal(tick.last_qty) > 0:
            self.trade(market, times, tick.last_price, tick.last_qty, tick.last_side)

    def book(self, market: Market, times: Times, kind: Kind, bids: Levels, asks: Levels) -> None:
        """Write one book message. Raises OSError."""
        self._clock(*times)
        if kind == "gap":
            self._scribes[market].lose(*times)
        else:
            self._scribes[market].book(*times, kind, bids, asks)

    def trade(self, market: Market, times: Times, price: str, qty: str, aggressor: Literal["buy", "sell"]) -> None:
        """Write one trade. Raises OSError."""
        self._clock(*times)
        self._scribes[market].trade(*times, price, qty, aggressor)

    def funding(self, market: Market, times: Times, rate: int, mark: int) -> None:
        """Write one settlement: rate in 10^-8, mark in ticks. Raises OSError."""
        self._scribes[market].funding(*times, rate, mark)

    def _clock(self, recv: int, venue: int) -> None:
        if self.slowest_ns < recv - venue <= SLOWEST_NS_MAX:
            self.slowest_ns = recv - venue

    # ---- what becomes of it

    def settle(self, ts_venue: int) -> None:
        """Say that everything up to a venue time has come: the replay may go there. What comes later moves behind."""
        for tape in self.tapes.values():
            tape.settle(ts_venue)

    def seal(self) -> dict[Market, Path]:
        """Make ordinary tapes of what was heard; where they are. The growing ones stay readable. Raises OSError."""
        self.settle(END_OF_TIME)
        sealed = {}
        for market, tape in self.tapes.items():
            self._count(market[1], tape.late, self._scribes[market].counted)
            sealed[market] = self.folder / f"{_name(market)}.tape"
            tape.seal(sealed[market])
        return sealed

    def _count(self, symbol: str, late: int, counted: Counted) -> None:
        for name, value in (
            ("late_messages", late),
            ("messages_refused", sum(counted.quarantined.values())),
            ("books_lost", counted.gaps),
            ("off_book_trades", counted.trades_off_book),
        ):
            self.counters.set(f"shadow_{name}_total", value, symbol=symbol)


def _name(market: Market) -> str:
    return "-".join(market)
