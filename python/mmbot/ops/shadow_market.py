"""The market of a shadow run, written down as it is heard: one growing tape for each instrument.

    records of a live feed ┐
    ticks of Redis         ├─▶ ShadowMarket ─▶ LiveTape ─▶ the replay that shadows, and the recording that is left
    tapes, played          ┘

What does not fit an instrument's grid is not traded on: it is counted, and leaves a gap, so that shadow run and dry run
both know nothing until the next whole book. Trades that took nothing from the public book are counted and left out, for
they cannot have reached an order that rests there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from mmbot import _core
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Ticker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mmbot.ops.counters import Counters
    from mmbot.ops.ticks import Tick
    from mmbot.venues.port import Heard
    from mmbot.venues.records import Levels

__all__ = ["Market", "ShadowMarket", "Times"]

Market: TypeAlias = tuple[str, str]
"""Category and symbol at the venue."""
RATE_STEP: Final = Decimal("0.00000001")
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
        self.slowest_ns = 0
        """Longest that a message was under way so far, by the two clocks, if it was not longer than a minute."""
        self._known: set[Market] = set()
        self._funding = {market: _Funding(instrument) for market, instrument in instruments.items()}

    @property
    def started_ns(self) -> int | None:
        """Receive time of the first message on any tape; None before it."""
        return min((view.span[0] for view in self._views.values() if view.span), default=None)

    # ---- what is heard (PublicSink, but for the raw frames, which nobody here keeps)

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Take in what one frame says. News of other instruments is passed by."""
        for record in records:
            if isinstance(record, BookUpdate | PublicTrade | Ticker | BookLost):
                market = (category, record.symbol)
                if market in self.tapes:
                    self._take(market, record, ts_recv)

    def _take(self, market: Market, record: BookUpdate | PublicTrade | Ticker | BookLost, ts_recv: int) -> None:
        match record:
            case BookUpdate():
                times = Times(ts_recv, ts_recv if record.ts_venue is None else record.ts_venue)
                self.book(market, times, record.kind, record.bids, record.asks)
            case PublicTrade(off_book=True):
                self.counters.add("shadow_off_book_trades_total", symbol=market[1])
            case PublicTrade():
                self.trade(market, Times(ts_recv, record.ts_venue), record.price, record.qty, record.aggressor)
            case BookLost():
                self.lose(market, ts_recv)
            case Ticker():
                settled = self._funding[market].seen(record)
                if settled is not None:
                    self.funding(market, Times(ts_recv, settled[0]), *settled[1:])

    def on_tick(self, market: Market, tick: Tick, ts_recv: int, *, after_gap: bool) -> None:
        """Take in the best prices as a book of one level, and the trade where the tick says all of it."""
        if after_gap:
            self.lose(market, ts_recv)
        times = Times(ts_recv, tick.ts_venue)
        self.book(market, times, "snapshot", [(tick.bid, tick.bid_size)], [(tick.ask, tick.ask_size)])
        if tick.last_price is not None and tick.last_side is not None and Decimal(tick.last_qty) > 0:
            self.trade(market, times, tick.last_price, tick.last_qty, tick.last_side)

    def book(self, market: Market, times: Times, kind: str, bids: Levels, asks: Levels) -> None:
        """Write one book message; one that cannot be is counted, and the book is lost. Raises OSError."""
        self._clock(times)
        try:
            self.tapes[market].depth(times.recv, times.venue, kind, bids, asks)
        except ValueError:
            self._refuse(market, times.recv)
        else:
            if kind == "snapshot":
                self._known.add(market)

    def trade(self, market: Market, times: Times, price: str, qty: str, aggressor: str) -> None:
        """Write one trade; one that cannot be is counted, and the book is lost. Raises OSError."""
        self._clock(times)
        try:
            self.tapes[market].trade(times.recv, times.venue, price, qty, aggressor)
        except ValueError:
            self._refuse(market, times.recv)

    def _clock(self, times: Times) -> None:
        delay = times.recv - times.venue
        if self.slowest_ns < delay <= SLOWEST_NS_MAX:
            self.slowest_ns = delay

    def funding(self, market: Market, times: Times, rate: int, mark: int) -> None:
        """Write one settlement: rate in 10^-8, mark in ticks. Raises OSError."""
        self.tapes[market].funding(times.recv, times.venue, rate, mark)

    def _refuse(self, market: Market, ts_recv: int) -> None:
        self.counters.add("shadow_messages_refused_total", symbol=market[1])
        self.lose(market, ts_recv)

    def lose(self, market: Market, ts_recv: int) -> None:
        """Say on the tape that the book is unknown, once until it is whole again. Raises OSError."""
        if market in self._known:
            self._known.remove(market)
            self.counters.add("shadow_books_lost_total", symbol=market[1])
            self.tapes[market].depth(ts_recv, 0, "gap", [], [])

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
            self.counters.set("shadow_late_messages_total", tape.late, symbol=market[1])
            sealed[market] = self.folder / f"{_name(market)}.tape"
            tape.seal(sealed[market])
        return sealed


def _name(market: Market) -> str:
    return "-".join(market)


@dataclass
class _Funding:
    """Sees a settlement when the ticker moves on to the next: at the rate and near the mark price known before."""

    instrument: _core.Instrument
    next_funding: int | None = None
    mark: str | None = None
    rate: str | None = None

    def seen(self, ticker: Ticker) -> tuple[int, int, int] | None:
        """(settlement time, rate in 10^-8, mark in ticks) if this ticker shows that one has passed."""
        due, settled = self.next_funding, None
        moved = due is not None and ticker.next_funding is not None and ticker.next_funding > due
        if moved and due is not None and self.rate is not None and self.mark is not None:
            tick = Decimal(self.instrument.tick)
            settled = due, _rounded(self.rate, RATE_STEP), _rounded(self.mark, tick)
        self.next_funding = ticker.next_funding or self.next_funding
        self.mark, self.rate = ticker.mark or self.mark, ticker.funding_rate or self.rate
        return settled


def _rounded(text: str, step: Decimal) -> int:
    """Whole steps nearest to a decimal, half to even: a mark price is an index and need not be on the grid."""
    return int((Decimal(text) / step).to_integral_value(ROUND_HALF_EVEN))
