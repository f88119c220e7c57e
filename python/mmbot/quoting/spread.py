"""The adaptive spread: wider when the market is wild, thin, far away or has been taking our money.

Four scores between 0 (calm) and 1 (as bad as it counts) set a target, and the spread walks towards it:

    target = base · (1 + 0.6·volatility + 0.4·liquidity + 0.3·latency + 0.3·P&L), within [0.6, 2.5] bps

A step is at most 0.2 bps, and the spread rests for 200 ms after each step, so that one bad measurement cannot throw
the quotes across the book. All numbers are parameters. Time arrives with each measurement; nothing here fetches it.

Not handled: the tick grid and the venue's fees (see `ladder` and `break_even_half_spread`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot.quoting.checked import finite, non_negative, positive

__all__ = ["AdaptiveSpread", "SpreadMeasurements", "SpreadScores", "SpreadState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadMeasurements:
    """What is known of one instrument at one moment; the windows are the caller's.

    volatility_bps: σ of log returns over the last minute, bps per √second.
    depth_lots: lots resting on the thinner side, first five levels.
    latencies_ms: order round trips finished since the last update, milliseconds.
    pnl_z: the recent P&L in standard deviations from its mean; negative is losing.
    """

    volatility_bps: float
    depth_lots: float
    latencies_ms: Sequence[float] = ()
    pnl_z: float = 0.0

    def __post_init__(self) -> None:
        non_negative(volatility_bps=self.volatility_bps, depth_lots=self.depth_lots)
        finite(pnl_z=self.pnl_z)
        for latency in self.latencies_ms:
            non_negative(latencies_ms=latency)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadScores:
    """How bad each measure is, from 0 (calm) to 1."""

    volatility: float
    liquidity: float
    latency: float
    pnl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadState:
    """What the estimator remembers of one instrument: the spread, when it last moved, the latest round trips."""

    spread_bps: float
    moved_ns: int | None = None
    latencies_ms: tuple[float, ...] = ()

    @property
    def half_spread_bps(self) -> float:
        """Half the total spread: the distance of each quote from the centre, bps."""
        return 0.5 * self.spread_bps


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSpread:
    """The parameters of the estimator, and its only function: (state, now, measurements) → (state, spread).

    The `*_full` values are where a score reaches 1; latency counts from `latency_ms_calm` on.
    """

    base_bps: float = 1.0
    min_bps: float = 0.6
    max_bps: float = 2.5
    step_bps: float = 0.2
    cool_off_ns: int = 200_000_000
    volatility_weight: float = 0.6
    liquidity_weight: float = 0.4
    latency_weight: float = 0.3
    pnl_weight: float = 0.3
    volatility_bps_full: float = 5.0
    depth_lots_full: float = 100.0
    latency_ms_calm: float = 50.0
    latency_ms_full: float = 300.0
    pnl_z_full: float = 2.5
    latency_samples_min: int = 5
    latency_samples_max: int = 100

    def __post_init__(self) -> None:
        positive(
            base_bps=self.base_bps,
            min_bps=self.min_bps,
            step_bps=self.step_bps,
            volatility_bps_full=self.volatility_bps_full,
            depth_lots_full=self.depth_lots_full,
            pnl_z_full=self.pnl_z_full,
            latency_samples_min=self.latency_samples_min,
        )
        non_negative(
            cool_off_ns=self.cool_off_ns,
            volatility_weight=self.volatility_weight,
            liquidity_weight=self.liquidity_weight,
            latency_weight=self.latency_weight,
            pnl_weight=self.pnl_weight,
            latency_ms_calm=self.latency_ms_calm,
        )
        finite(max_bps=self.max_bps, latency_ms_full=self.latency_ms_full)
        if not self.min_bps <= self.base_bps <= self.max_bps:
            raise ValueError(f"base_bps is {self.base_bps!r}; expected within [{self.min_bps!r}, {self.max_bps!r}]")
        if not self.latency_ms_calm < self.latency_ms_full:
            raise ValueError(f"latency_ms_full is {self.latency_ms_full!r}; expected above {self.latency_ms_calm!r}")
        if not self.latency_samples_min <= self.latency_samples_max:
            raise ValueError(
                f"latency_samples_max is {self.latency_samples_max!r}; expected at least {self.latency_samples_min!r}"
            )

    def start(self) -> SpreadState:
        """Return the state before the first measurement: the base spread, free to move."""
        return SpreadState(spread_bps=self.base_bps)

    def update(self, state: SpreadState, now_ns: int, measurements: SpreadMeasurements) -> tuple[SpreadState, float]:
        """Return the next state and the total spread to quote, bps.

        Raises ValueError if `now_ns` lies before the last move.
        """
        if state.moved_ns is not None and now_ns < state.moved_ns:
            raise ValueError(f"now_ns is {now_ns}, before the last move at {state.moved_ns}; expected time to go on")
        latencies = (*state.latencies_ms, *measurements.latencies_ms)[-self.latency_samples_max :]
        state = replace(state, latencies_ms=latencies)
        if state.moved_ns is not None and now_ns - state.moved_ns < self.cool_off_ns:
            return state, state.spread_bps
        step = self.target_bps(self.scores(measurements, latencies)) - state.spread_bps
        if step != 0.0:
            spread = state.spread_bps + min(max(step, -self.step_bps), self.step_bps)
            spread = min(max(spread, self.min_bps), self.max_bps)
            state = replace(state, spread_bps=spread, moved_ns=now_ns)
        return state, state.spread_bps

    def scores(self, measurements: SpreadMeasurements, latencies_ms: Sequence[float]) -> SpreadScores:
        """Return the four scores; latency stays 0 until `latency_samples_min` round trips are known."""
        latency = 0.0
        if len(latencies_ms) >= self.latency_samples_min:
            excess = _percentile_95(latencies_ms) - self.latency_ms_calm
            latency = _unit(excess / (self.latency_ms_full - self.latency_ms_calm))
        return SpreadScores(
            volatility=_unit(measurements.volatility_bps / self.volatility_bps_full),
            liquidity=_unit(1.0 - measurements.depth_lots / self.depth_lots_full),
            latency=latency,
            pnl=_unit(-measurements.pnl_z / self.pnl_z_full),
        )

    def target_bps(self, scores: SpreadScores) -> float:
        """Return the total spread, bps, at which the estimator would rest under these scores."""
        widening = (
            self.volatility_weight * scores.volatility
            + self.liquidity_weight * scores.liquidity
            + self.latency_weight * scores.latency
            + self.pnl_weight * scores.pnl
        )
        return min(max(self.base_bps * (1.0 + widening), self.min_bps), self.max_bps)


def _unit(score: float) -> float:
    return min(max(score, 0.0), 1.0)


def _percentile_95(samples: Sequence[float]) -> float:
    """Return the smallest sample that at least 95 % do not exceed (nearest rank)."""
    return sorted(samples)[math.ceil(0.95 * len(samples)) - 1]
