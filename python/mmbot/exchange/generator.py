"""Markets that nobody recorded: a plausible book and trade flow from a seed, for hours, without a download.

One step is 50 ms of market time. In each the fair price moves, aggressors arrive, and the book is renewed around it:

    fair price   Brownian motion with the regime's volatility and drift; in `gap` also jumps (Merton 1976)
    aggressors   a Hawkes process with exponential memory, simulated by its intensity per step (Bacry et al. 2015,
                 "Hawkes processes in finance"); their signs repeat (Lillo and Farmer 2004), sizes are lognormal
    impact       each aggressor moves the fair price by a fraction of its size; in `cascade` enough to set off more
    book         targets by distance from the touch: hump-shaped (Bouchaud, Mézard and Potters 2002), and each step some
                 levels near the touch are drawn anew, more often the nearer (Cont, Stoikov and Talreja 2010)
    cascade      now and then a shock; while it lasts aggressors are mostly forced sellers (or buyers), each of which
                 is published as a liquidation

Everything follows from `seed` and the number of steps: wall time decides only how many are taken. The public does not
react to clients. Memory is two books of `LEVELS`. Not modelled: days and sessions, news, correlations of instruments.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import StrEnum

from mmbot.exchange.market import NS, Market, Side
from mmbot.exchange.playback import checked_speed

__all__ = ["LEVELS", "STEP_NS", "STRIDE_MAX", "Generator", "MarketKind", "Regime", "Step"]

LEVELS = 250
"""Levels per side."""
STEP_NS = 50 * NS
_STEP_S = 0.05
STRIDE_MAX = 20
"""Steps per call, a few milliseconds of work: with a beat of 10 ms a generated market runs at most 100 times as fast as
its clock, and a host that can not keep up falls behind instead of standing still."""
_ODD = 0x9E37_79B9_7F4A_7C15


class MarketKind(StrEnum):
    """Regimes."""

    CALM = "calm"
    TREND = "trend"
    GAP = "gap"
    CASCADE = "cascade"


@dataclass(frozen=True, kw_only=True)
class Regime:
    """Parameters of a market. Rates are per second, moves in basis points."""

    volatility_bps: float
    """Of the fair price, per √second."""
    drift_bps: float = 0.0
    """Per second; its sign turns at random about every `turn_s`."""
    turn_s: float = 600.0
    base_rate: float = 6.0
    """Aggressors per second when nothing is going on."""
    excitation: float = 0.5
    """Mean number of aggressors that one sets off; below 1, or the flow explodes."""
    memory_s: float = 1.5
    repeat: float = 0.68
    """Chance that an aggressor goes the way of the one before."""
    jump_rate: float = 0.0
    jump_bps: float = 0.0
    shock_rate: float = 0.0
    shock_s: float = 8.0
    """Mean length of a cascade."""
    home_s: float = 7_200.0
    """How slowly the fair price is pulled home: hours of market stay near where they began."""


REGIMES = {
    MarketKind.CALM: Regime(volatility_bps=0.25),
    MarketKind.TREND: Regime(volatility_bps=0.4, drift_bps=0.06, base_rate=9.0, repeat=0.74),
    MarketKind.GAP: Regime(volatility_bps=0.4, jump_rate=1 / 45, jump_bps=35.0),
    MarketKind.CASCADE: Regime(volatility_bps=0.5, excitation=0.7, shock_rate=1 / 60, base_rate=8.0, home_s=300.0),
}


@dataclass(frozen=True, slots=True)
class Step:
    """What 50 ms brought: aggressors as (side, tick, lots, forced), then levels as (tick, lots)."""

    trades: list[tuple[Side, int, int, bool]]
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class _SideBook:
    """One side of the public book: lots by tick, best first by `sign` (+1 asks, −1 bids)."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.lots: dict[int, int] = {}
        self.changed: dict[int, int] = {}

    def set(self, tick: int, lots: int) -> None:
        if lots > 0:
            self.lots[tick] = lots
        else:
            self.lots.pop(tick, None)
        self.changed[tick] = max(lots, 0)

    def best(self) -> int:
        return min(self.lots) if self.sign > 0 else max(self.lots)

    def worst(self) -> int:
        return max(self.lots) if self.sign > 0 else min(self.lots)

    def drain(self) -> list[tuple[int, int]]:
        changes = list(self.changed.items())
        self.changed = {}
        return changes


class Generator:
    """A seeded market. Use `first` once, then `step` for ever; or as the source of a `Market`."""

    def __init__(
        self, kind: MarketKind | str, *, seed: int, price_ticks: int, lot_unit: int, speed: float = 1.0
    ) -> None:
        """`lot_unit`: a typical order in lots. Raises ValueError for an unknown kind or an impossible price."""
        if price_ticks <= 4 * LEVELS:
            raise ValueError(f"a price of {price_ticks} ticks leaves no room for {LEVELS} levels; use a finer tick")
        if lot_unit < 1:
            raise ValueError(f"a typical order has at least 1 lot, got {lot_unit}")
        self.kind = MarketKind(kind)
        self.rounds = 0
        self.told = f"generated {self.kind}"
        self.steps = 0
        self._regime = REGIMES[self.kind]
        self._random = random.Random(seed * _ODD ^ price_ticks)  # noqa: S311  a market, not a secret
        self._fair = float(price_ticks)
        self._anchor = float(price_ticks)
        self._unit = lot_unit
        self._bps = price_ticks / 10_000
        self._excited = 0.0
        self._sign: Side = "buy"
        self._drift = 1.0 if self._random.random() < 0.5 else -1.0
        self._shock_left = 0
        self._shock_side: Side = "sell"
        self._bids, self._asks = _SideBook(-1), _SideBook(1)
        self._speed = checked_speed(speed)
        self._start_ns = 0

    # --- as a source ---

    def open(self, market: Market, now_ns: int) -> None:
        """Sets the first book."""
        self._start_ns = now_ns
        step = self.first()
        market.public_depth("snapshot", step.bids, step.asks, now_ns)

    def advance(self, market: Market, now_ns: int) -> None:
        """Takes the steps that are due; one that falls behind by more than a stride loses that time."""
        due = int((now_ns - self._start_ns) * self._speed) // STEP_NS
        if due - self.steps > STRIDE_MAX:
            self._start_ns += int((due - self.steps - STRIDE_MAX) * STEP_NS / self._speed)
            due = self.steps + STRIDE_MAX
        while self.steps < due:
            step = self.step()
            wall = min(self._start_ns + int(self.steps * STEP_NS / self._speed), now_ns)
            for side, tick, lots, forced in step.trades:
                market.public_trade(side, tick, lots, wall)
                if forced:
                    market.liquidated(side, tick, lots, wall)
            if step.bids or step.asks:
                market.public_depth("delta", step.bids, step.asks, wall)

    # --- the market ---

    def first(self) -> Step:
        """The opening book."""
        for book, start in ((self._bids, math.ceil(self._fair) - 1), (self._asks, math.ceil(self._fair))):
            tick = start
            for rank in range(LEVELS):
                book.set(tick, self._size(rank))
                tick += book.sign * self._spacing(rank)
        return Step([], self._bids.drain(), self._asks.drain())

    def step(self) -> Step:
        """The next 50 ms."""
        self.steps += 1
        self._move()
        trades: list[tuple[Side, int, int, bool]] = []
        for _ in range(self._arrivals()):
            trades.extend(self._aggress())
        self._requote()
        return Step(trades, self._bids.drain(), self._asks.drain())

    def _move(self) -> None:
        regime, rng = self._regime, self._random
        self._fair += rng.gauss(0.0, regime.volatility_bps * self._bps * math.sqrt(_STEP_S))
        if regime.drift_bps:
            if rng.random() < _STEP_S / regime.turn_s:
                self._drift = -self._drift
            self._fair += self._drift * regime.drift_bps * self._bps * _STEP_S
        if regime.jump_rate and rng.random() < regime.jump_rate * _STEP_S:
            self._fair += rng.gauss(0.0, 1.0) * regime.jump_bps * self._bps
        if self._shock_left:
            self._shock_left -= 1
        elif regime.shock_rate and rng.random() < regime.shock_rate * _STEP_S:
            self._shock_left = 1 + int(rng.expovariate(1.0) * regime.shock_s / _STEP_S)
            self._shock_side = "sell" if rng.random() < 0.6 else "buy"
        self._fair += (self._anchor - self._fair) * _STEP_S / regime.home_s
        self._fair = max(self._fair, 2.0 * LEVELS)

    def _arrivals(self) -> int:
        """How many aggressors come in this step: Poisson with the intensity that the past has left."""
        regime = self._regime
        self._excited *= math.exp(-_STEP_S / regime.memory_s)
        rate = regime.base_rate + self._excited + (30.0 if self._shock_left else 0.0)
        count, product, limit = 0, self._random.random(), math.exp(-min(rate * _STEP_S, 20.0))
        while product > limit:
            count += 1
            product *= self._random.random()
        self._excited += count * regime.excitation / regime.memory_s
        return count

    def _aggress(self) -> list[tuple[Side, int, int, bool]]:
        rng = self._random
        forced = self._shock_left > 0 and rng.random() < 0.8
        if forced:
            side = self._shock_side
        else:
            side = self._sign if rng.random() < self._regime.repeat else ("sell" if self._sign == "buy" else "buy")
            self._sign = side
        left = max(1, round(self._unit * rng.lognormvariate(-0.8, 1.2)))
        book = self._asks if side == "buy" else self._bids
        trades: list[tuple[Side, int, int, bool]] = []
        while left > 0 and len(book.lots) > LEVELS // 2:
            tick = book.best()
            lots = min(left, book.lots[tick])
            trades.append((side, tick, lots, forced))
            book.set(tick, book.lots[tick] - lots)
            left -= lots
        impact = sum(lots for _, _, lots, _ in trades) / self._unit * 0.02 * (4.0 if forced else 1.0)
        self._fair += book.sign * impact * self._bps
        return trades

    def _requote(self) -> None:
        """Brings both sides to the fair price: what is beyond it goes, what is missing comes, some are drawn anew."""
        rng = self._random
        half = 0.25 + (rng.random() * 12.0 if self._shock_left else 0.0)
        for book, limit in ((self._bids, math.floor(self._fair - half)), (self._asks, math.ceil(self._fair + half))):
            for tick in [tick for tick in book.lots if (limit - tick) * book.sign > 0]:
                book.set(tick, 0)
            best = book.best() if book.lots else limit + book.sign * LEVELS
            gap = min((best - limit) * book.sign, LEVELS)
            for rank in range(gap):
                if rank < 4 or rng.random() < 0.6:
                    book.set(limit + book.sign * rank, self._size(rank))
            for _ in range(6):
                rank = int(rng.expovariate(1 / 8))
                tick = limit + book.sign * rank
                if tick in book.lots:
                    book.set(tick, self._size(rank))
            self._trim(book)

    def _trim(self, book: _SideBook) -> None:
        ordered = sorted(book.lots, key=lambda tick: tick * book.sign)
        for tick in ordered[LEVELS:]:
            book.set(tick, 0)
        tick = book.worst()
        for rank in range(len(ordered), LEVELS):
            tick += book.sign * self._spacing(rank)
            if tick <= 0:
                return
            book.set(tick, self._size(rank))

    def _size(self, rank: int) -> int:
        hump = 1.0 + 3.0 * (rank / 12.0) * math.exp(1.0 - rank / 12.0) + rank / 60.0
        return max(1, round(self._unit * hump * self._random.lognormvariate(0.0, 0.7)))

    def _spacing(self, rank: int) -> int:
        return 1 + int(self._random.expovariate(1.0) * rank / 25.0)
