"""One instrument at the exchange: its floor, its prices, its funding, and what it tells the others.

    playback ─▶ [ Market: floor · prices · klines · prints ] ─▶ publisher (books, prints, tickers, klines)
    accounts ─▶ place · amend · cancel                       ─▶ on_fills, on_funding (accounts)

Everything happens in one thread. A request of a client acts at once; delays are the server's and the fault switches'.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from mmbot._core import Execution, Floor, Instrument
from mmbot.exchange.klines import Candle, Klines
from mmbot.exchange.money import Grid
from mmbot.exchange.prices import Prices
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.rules import Bounds, Category, Rules

__all__ = [
    "Clock",
    "Fill",
    "FundingPoint",
    "Hit",
    "Liquidation",
    "Market",
    "Print",
    "SelfTrade",
    "Side",
    "Status",
    "Tif",
]

Side: TypeAlias = Literal["buy", "sell"]
Tif: TypeAlias = Literal["gtc", "ioc", "fok"]
SelfTrade: TypeAlias = Literal["none", "cancel_maker", "cancel_taker", "cancel_both"]
Fill: TypeAlias = tuple[int, int, int, int]
"""(maker id, taker id, price in ticks, lots); the public's id is 0."""
Hit: TypeAlias = tuple[int, int, int, str]
"""(order id, price in ticks, lots, side of the public aggressor)."""

Status = Literal["Trading", "PreLaunch", "Delivering", "Closed", "Maintenance"]

NS = 1_000_000
"""Nanoseconds of a millisecond."""
SECOND_MS = 1_000
PRINTS_KEPT = 1_000
UNHEARD_MAX = 8_192
"""Prints that may wait for the publisher; a flood beyond that is in the statistics, and missing from the stream."""


class Clock(Protocol):
    """Wall time: SDKs compare the server's clock with their own, so no market time may stand in for it."""

    def __call__(self) -> int:
        """Ns since epoch."""


class Print(NamedTuple):
    """A public execution. `direction` is the venue's word for how the price moved."""

    number: int
    ts_ms: int
    side: Side
    tick: int
    lots: int
    seq: int
    direction: str


class Liquidation(NamedTuple):
    """A position closed by force; `side` is that of the position's order: "buy" closes a short."""

    ts_ms: int
    side: Side
    tick: int
    lots: int


class FundingPoint(NamedTuple):
    """A settlement: rate in 10^-8, mark price in ticks."""

    ts_ms: int
    rate: int
    mark: int


def _nobody_hears_fills(fills: list[Fill], ts_ns: int) -> None:
    """Without accounts, public trades have no clients to hit."""


def _nobody_pays_funding(rate_units: int, mark_ticks: int, ts_ms: int) -> None:
    """Without accounts, nobody has a position."""


class Market:
    """One instrument. Prices are ticks, quantities lots, times ns unless a name says ms."""

    def __init__(self, rules: Rules, clock: Clock, switches: PublicSwitches | None = None) -> None:
        self.rules = rules
        self.category: Category = rules.category
        self.symbol = rules.symbol
        self.instrument: Instrument = rules.instrument()
        self.bounds = Bounds.of(rules, self.instrument)
        self.switches = switches or PublicSwitches()
        self.floor = Floor(cancels=self.switches.cancels, show_clients=self.switches.show_clients)
        self.status: Status = "Trading"
        self.last = 0
        """Price of the last print."""
        self.seq = 0
        """The cross sequence: grows with whatever happens."""
        self.event_ns = 0
        """Wall time of the newest event in the book."""
        self.on_fills: Callable[[list[Fill], int], None] = _nobody_hears_fills
        """Public flow met clients' resting orders: fills (all makers) and the wall time."""
        self.on_funding: Callable[[int, int, int], None] = _nobody_pays_funding
        """A settlement: rate in 10^-8, mark in ticks, the settlement time in ms."""
        self.prints: deque[Print] = deque(maxlen=PRINTS_KEPT)
        """The latest prints, oldest first."""
        self.unheard: deque[Print] = deque(maxlen=UNHEARD_MAX)
        """Prints that the publisher has not taken yet."""
        self.liquidations: deque[Liquidation] = deque(maxlen=PRINTS_KEPT)
        """Likewise."""
        self.fundings: deque[FundingPoint] = deque(maxlen=PRINTS_KEPT)
        self.klines, self.mark_klines, self.index_klines, self.premium_klines = Klines(), Klines(), Klines(), Klines()
        self._prices = Prices(rules, self.bounds, self.switches)
        self._clock = clock
        self._printed = 0
        self._direction = "ZeroPlusTick"
        self._next_second_ms = 0
        self._next_funding_ms = self._prices.next_funding_ms(self.now_ms())
        self.grid = Grid(self.instrument)

    # --- time and prices ---

    def now_ns(self) -> int:
        """Wall time."""
        return self._clock()

    def now_ms(self) -> int:
        """Wall time in ms."""
        return self._clock() // NS

    @property
    def mark(self) -> int:
        """Mark price in ticks; 0 before the book had both sides."""
        return self._prices.mark

    @property
    def index(self) -> int:
        """Index price in ticks; 0 before the book had both sides."""
        return self._prices.index

    @property
    def funding_rate(self) -> int:
        """The rate that the next settlement would use, in 10^-8; positive: longs pay."""
        return 0 if self.rules.is_spot else self._prices.funding_rate

    @property
    def next_funding_ms(self) -> int:
        """When the next settlement is."""
        return self._next_funding_ms

    def price_limits(self) -> tuple[int, int]:
        """Highest buy and lowest sell price that is taken now, in ticks."""
        return self._prices.limits()

    def worth(self, tick: int, lots: int) -> int:
        """Turnover of a trade in 10^-12 of the quote coin; of the base coin for an inverse contract."""
        return self.grid.value(tick, lots)

    # --- clients ---

    def place(
        self,
        order_id: int,
        side: Side,
        tick: int,
        lots: int,
        owner: int,
        *,
        tif: Tif = "gtc",
        post_only: bool = False,
        stp: SelfTrade = "none",
    ) -> Execution:
        """A client's order: trades what it can and rests or drops the rest; see `_core.Floor.place`.

        A market order is an "ioc" at the worst price it may pay. Raises ValueError for terms that no book takes.
        """
        done = self.floor.place(order_id, side, tick, lots, owner, tif=tif, post_only=post_only, stp=stp)
        self._record_taker(side, done)
        return done

    def amend(
        self, order_id: int, tick: int, lots: int, *, post_only: bool = False, stp: SelfTrade = "none"
    ) -> Execution:
        """New price and open lots of a resting order; see `_core.Floor.amend`. Raises KeyError for an unknown one."""
        before = self.floor.order(order_id)
        done = self.floor.amend(order_id, tick, lots, post_only=post_only, stp=stp)
        if before is not None:
            self._record_taker("buy" if before[0] == "buy" else "sell", done)
        return done

    def cancel(self, order_id: int) -> int:
        """Takes an order out and returns the lots it had left. Raises KeyError for an unknown one."""
        lots = self.floor.cancel(order_id)
        self._happened(self.now_ns())
        return lots

    def _record_taker(self, side: Side, done: Execution) -> None:
        now = self.now_ns()
        self._happened(now)
        fills = done.fills
        if fills:
            self.record([(side, tick, lots) for _, _, tick, lots in fills], now)

    # --- the public ---

    def public_depth(
        self, kind: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], ts_ns: int
    ) -> None:
        """Public liquidity changed; see `_core.Floor.public_depth`."""
        hits = self.floor.public_depth(kind, bids, asks)
        self._happened(ts_ns)
        for _, tick, lots, aggressor in hits:
            self.record([("buy" if aggressor == "buy" else "sell", tick, lots)], ts_ns)
        if hits:  # all at once: the floor has done them all, and what follows from a fill must not meet half of them
            self.on_fills([(order_id, 0, tick, lots) for order_id, tick, lots, _ in hits], ts_ns)

    def public_trade(self, side: Side, tick: int, lots: int, ts_ns: int) -> None:
        """Somebody of the public took `lots`; see `_core.Floor.public_trade`."""
        hits = self.floor.public_trade(side, tick, lots)
        self._happened(ts_ns)
        self.record(printed(side, tick, lots, hits), ts_ns)
        if hits:
            self.on_fills([(order_id, 0, price, qty) for order_id, price, qty, _ in hits], ts_ns)

    def liquidated(self, side: Side, tick: int, lots: int, ts_ns: int) -> None:
        """A position was closed by force."""
        self.liquidations.append(Liquidation(ts_ns // NS, side, tick, lots))

    def record(self, executions: Sequence[tuple[Side, int, int]], ts_ns: int) -> None:
        """Prints of one moment: (aggressor, tick, lots)."""
        ts_ms = ts_ns // NS
        batch: Candle | None = None
        for side, tick, lots in executions:
            self.seq += 1
            self._printed += 1
            if self.last:
                self._direction = _direction(self._direction, tick - self.last)
            self.last = tick
            told = Print(self._printed, ts_ms, side, tick, lots, self.seq, self._direction)
            self.prints.append(told)
            self.unheard.append(told)
            worth = self.worth(tick, lots)
            if batch is None:
                batch = Candle(ts_ms, tick, tick, tick, tick, lots, worth)
            else:
                batch.high, batch.low, batch.close = max(batch.high, tick), min(batch.low, tick), tick
                batch.volume += lots
                batch.turnover += worth
        if batch is not None:
            self.klines.add(batch)

    def _happened(self, ts_ns: int) -> None:
        self.seq += 1
        self.event_ns = max(self.event_ns, ts_ns)

    def touched(self, ts_ns: int) -> None:
        """Someone moved the floor directly."""
        self._happened(ts_ns)

    # --- the clock ---

    def settle(self, now_ms: int) -> None:
        """Lets time pass: prices follow the book, candles close, funding is due."""
        bid, ask = self.floor.touch()
        self._prices.move(bid, ask, self.last, now_ms)
        if now_ms >= self._next_second_ms:
            self._next_second_ms = now_ms - now_ms % SECOND_MS + SECOND_MS
            self._sample(now_ms)
        if now_ms >= self._next_funding_ms:
            self._fund(self._next_funding_ms)
            self._next_funding_ms = self._prices.next_funding_ms(now_ms)

    def _sample(self, now_ms: int) -> None:
        self.klines.roll(now_ms)
        if self.mark and not self.rules.is_spot:
            self.mark_klines.point(self.mark, now_ms)
            self.index_klines.point(self.index, now_ms)
            self.premium_klines.point(self._prices.premium, now_ms)

    def _fund(self, due_ms: int) -> None:
        if self.rules.is_spot or not self.mark:
            return
        point = FundingPoint(due_ms, self.funding_rate, self.mark)
        self.fundings.append(point)
        self.on_funding(point.rate, point.mark, point.ts_ms)


def printed(side: Side, tick: int, lots: int, hits: Sequence[Hit]) -> list[tuple[Side, int, int]]:
    """What a public trade printed: clients at better prices at their prices, the rest at its own."""
    through: list[tuple[Side, int, int]] = [(side, price, qty) for _, price, qty, _ in hits if price != tick]
    rest = lots - sum(qty for _, _, qty in through)
    return [*through, (side, tick, rest)] if rest > 0 else through


def _direction(before: str, move: int) -> str:
    if move:
        return "PlusTick" if move > 0 else "MinusTick"
    return "ZeroPlusTick" if "Plus" in before else "ZeroMinusTick"
