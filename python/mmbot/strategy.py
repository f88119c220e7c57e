"""The one page a strategist reads.

A strategy looks at a window on the market and says what it wants to be true:

    class JoinTouch(Strategy):
        wake = Wake(every_ms=100)

        def decide(self, view):
            bid = view.bid if view.position < 100 else None
            ask = view.ask if view.position > -100 else None
            return quotes(bid, ask, 10)

Prices are whole ticks, quantities whole lots. The engine compares what is wanted with the orders that stand, sends the
fewest commands that close the gap, and holds every one of them against the hard limits. The same class is replayed over
a tape, shadowed on a live feed and traded.

Why ``decide`` must not ask the clock, draw random numbers or do I/O: it is run again from the journal, and must decide
the same. ``view.now`` is the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mmbot._core import Intent, SignalSpec, ladder, quotes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot._core import Instrument, Run

__all__ = ["Fill", "Intent", "Level", "SignalSpec", "Strategy", "View", "Wake", "WorkingOrder", "ladder", "quotes"]


@dataclass(frozen=True, kw_only=True)
class Wake:
    """When a strategy is asked. Several rules may hold at once; with none it is never asked."""

    every_ms: float | None = None
    """Every so many milliseconds of feed time, counted from the first message."""
    touch: bool = False
    """When the best bid or ask price moved."""
    fill: bool = False
    """When one of its orders was filled."""
    trade: bool = False
    """When somebody traded."""
    message: bool = False
    """At every message of the feed: the expensive one."""

    def __post_init__(self) -> None:
        """Refuse an interval that no clock can keep."""
        if self.every_ms is not None and not self.every_ms >= 0.001:
            raise ValueError(f"every_ms must be at least 0.001 (a microsecond), got {self.every_ms!r}")

    @property
    def every_ns(self) -> int | None:
        """The interval in nanoseconds."""
        return None if self.every_ms is None else round(self.every_ms * 1_000_000)


class Level(NamedTuple):
    """One price level of the book."""

    tick: int
    lots: int


class WorkingOrder(NamedTuple):
    """One own order that is not settled."""

    order_id: int
    side: str
    """"buy" or "sell"."""
    tick: int
    leaves: int
    """Lots still open."""
    state: str
    """Its stage: sent, acked, live, partial, unknown."""
    ahead: float
    """Lots estimated in front of it in its queue; NaN while it does not rest."""


class Fill(NamedTuple):
    """One own execution."""

    instrument: int
    ts_venue: int
    side: str
    tick: int
    lots: int
    maker: bool
    fee: float
    """Paid, in the settlement currency; negative is a rebate."""


class View:
    """A window on one instrument and on this strategy's own state; true only while ``decide`` runs.

    The plain attributes are renewed by the core when they change; everything else is looked up when asked for.
    ``view[i]`` is the window on the run's i-th instrument.
    """

    __slots__ = ("_core", "_index", "_peers", "ask", "bid", "instrument", "now", "position")

    now: int
    """Time in ns since epoch: what has been heard, has been heard by then."""
    bid: int | None
    """Best bid in ticks; None while there is none, or while the book is crossed or unknown."""
    ask: int | None
    """Best ask in ticks, likewise."""
    position: int
    """Own signed position in lots, from executions heard."""
    instrument: Instrument
    """Terms: tick, lot, contract, fees."""

    def __init__(self, core: Run, index: int, instrument: Instrument, peers: list[View]) -> None:
        """Made by the engine."""
        self._core = core
        self._index = index
        self._peers = peers
        self.instrument = instrument
        self.now = self.position = 0
        self.bid = self.ask = None

    def __getitem__(self, index: int) -> View:
        """The window on another instrument of the run."""
        return self._peers[index]

    def __len__(self) -> int:
        """How many instruments the run has."""
        return len(self._peers)

    @property
    def mid(self) -> float | None:
        """Middle of the touch in ticks; may be a half."""
        return None if self.bid is None or self.ask is None else (self.bid + self.ask) / 2

    @property
    def spread(self) -> int | None:
        """Ask minus bid in ticks."""
        return None if self.bid is None or self.ask is None else self.ask - self.bid

    @property
    def bid_lots(self) -> int:
        """Lots displayed at the best bid."""
        return self._core.touch_lots(self._index)[0]

    @property
    def ask_lots(self) -> int:
        """Lots displayed at the best ask."""
        return self._core.touch_lots(self._index)[1]

    @property
    def imbalance(self) -> float:
        """(bid lots − ask lots) / (bid lots + ask lots) at the touch; 0 for an empty one."""
        bid_lots, ask_lots = self._core.touch_lots(self._index)
        total = bid_lots + ask_lots
        return (bid_lots - ask_lots) / total if total else 0.0

    @property
    def microprice(self) -> float | None:
        """The touch weighted by the size on the other side, in ticks (Gatheral, Oomen 2010)."""
        if self.bid is None or self.ask is None:
            return None
        bid_lots, ask_lots = self._core.touch_lots(self._index)
        return (self.bid * ask_lots + self.ask * bid_lots) / (bid_lots + ask_lots)

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """The first levels of both sides, from the touch outward. Costs microseconds for deep reads."""
        bids, asks = self._core.depth(self._index, levels)
        return [Level(*level) for level in bids], [Level(*level) for level in asks]

    def lots_at(self, side: str, tick: int) -> int:
        """Lots displayed at one price: side "buy" for bids, "sell" for asks."""
        return self._core.lots_at(self._index, side, tick)

    def signal(self, index: int) -> float:
        """The strategy's index-th signal of this instrument; NaN until it is warm."""
        return self._core.signal(self._index, index)

    def last_trade(self) -> tuple[int, int, int]:
        """Price of the last public trade in ticks (0 before the first), and lots aggressors bought and sold so far."""
        return self._core.last_trade(self._index)

    def orders(self) -> list[WorkingOrder]:
        """Own orders of this instrument that are not settled."""
        return [WorkingOrder(*order) for order in self._core.orders(self._index)]

    def fills(self) -> list[Fill]:
        """Own executions, of all instruments, since this was last asked."""
        return [Fill(*fill) for fill in self._core.new_fills()]


class Strategy:
    """What is asked. Subclass it, set ``wake``, write ``decide``."""

    wake: Wake = Wake(every_ms=100)
    """When it is asked."""
    signals: Sequence[SignalSpec] = ()
    """Measures that the core keeps for it, read by ``view.signal(i)``."""

    def decide(self, view: View) -> Intent | list[Intent] | None:
        """Say which quotes shall stand, per instrument; None leaves everything as it is.

        An ``Intent`` with no quotes takes all own quotes out. What is not mentioned (another instrument) is left alone.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it wants: write decide(self, view)")
