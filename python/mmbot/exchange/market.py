"""One instrument at the exchange: its floor, its prices, its funding, and what it tells the others.

    playback ─▶ [ Market: floor · mark · index · funding ] ─▶ publisher (books, prints, tickers, klines)
    accounts ─▶ place · amend · cancel                     ─▶ on_fills, on_funding (accounts)

Everything happens in one thread. A request of a client acts at once; delays are the server's and the fault switches'.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from mmbot._core import Execution, Floor, Instrument
from mmbot.exchange.rules import Bounds, Category, Rules

Side: TypeAlias = Literal["buy", "sell"]
Tif: TypeAlias = Literal["gtc", "ioc", "fok"]
SelfTrade: TypeAlias = Literal["none", "cancel_maker", "cancel_taker", "cancel_both"]
Fill: TypeAlias = tuple[int, int, int, int]
"""(maker id, taker id, price in ticks, lots); the public's id is 0."""

Status = Literal["Trading", "PreLaunch", "Delivering", "Closed", "Maintenance"]

NS = 1_000_000
"""Nanoseconds of a millisecond."""


class Clock(Protocol):
    """Wall time: SDKs compare the server's clock with their own, so no market time may stand in for it."""

    def __call__(self) -> int:
        """Ns since epoch."""


def _nobody_hears_fills(fills: list[Fill], ts_ns: int) -> None:
    """Until accounts are there, public trades have no clients to hit."""


def _nobody_pays_funding(rate_units: int, mark_ticks: int, ts_ms: int) -> None:
    """Until accounts are there, nobody has a position."""


class Market:
    """One instrument. Prices are ticks, quantities lots, times ns unless a name says ms."""

    def __init__(self, rules: Rules, clock: Clock) -> None:
        self.rules = rules
        self.category: Category = rules.category
        self.symbol = rules.symbol
        self.instrument: Instrument = rules.instrument()
        self.bounds = Bounds.of(rules, self.instrument)
        self.floor = Floor()
        self.status: Status = "Trading"
        self.mark = 0
        self.index = 0
        self.last = 0
        self.funding_rate = 0
        """In 10^-8; positive: longs pay."""
        self.on_fills: Callable[[list[Fill], int], None] = _nobody_hears_fills
        """Public flow met clients' resting orders: fills (all makers) and the wall time."""
        self.on_funding: Callable[[int, int, int], None] = _nobody_pays_funding
        """A settlement: rate in 10^-8, mark in ticks, the settlement time in ms."""
        self._clock = clock

    def now_ns(self) -> int:
        """Wall time."""
        return self._clock()

    def now_ms(self) -> int:
        """Wall time in ms."""
        return self._clock() // NS

    def price_limits(self) -> tuple[int, int]:
        """Highest buy and lowest sell price that is taken now, in ticks."""
        return self.bounds.tick_max, self.bounds.tick_min

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
        return self.floor.place(order_id, side, tick, lots, owner, tif=tif, post_only=post_only, stp=stp)

    def amend(
        self, order_id: int, tick: int, lots: int, *, post_only: bool = False, stp: SelfTrade = "none"
    ) -> Execution:
        """New price and open lots of a resting order; see `_core.Floor.amend`. Raises KeyError for an unknown one."""
        return self.floor.amend(order_id, tick, lots, post_only=post_only, stp=stp)

    def cancel(self, order_id: int) -> int:
        """Takes an order out and returns the lots it had left. Raises KeyError for an unknown one."""
        return self.floor.cancel(order_id)
