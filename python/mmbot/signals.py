"""Market measures for a person, a notebook or a test; what also runs live is the core's own code.

Prices and quantities are floats here (the core takes whole ticks and lots). Times are nanoseconds since the epoch.
Volatilities are fractions unless the name says bps. Inputs are one-dimensional and finite: NaN is refused, never
skipped, because a NaN that gets this far is a fault of its source. Where a measure is undefined for good inputs the
answer is NaN, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mmbot._core import Signals, imbalance, microprice, order_flows, two_scale_variance

__all__ = [
    "Signals",
    "Volatility",
    "close_to_close",
    "effective_spread",
    "ewma_volatility",
    "garman_klass",
    "imbalance",
    "kyle_lambda",
    "microprice",
    "microprice_adjustment",
    "ofi",
    "parkinson",
    "percentile",
    "price_impact",
    "realised_spread",
    "realised_volatility",
    "rogers_satchell",
    "roll_spread",
    "tsrv",
    "vpin",
    "yang_zhang",
]

Array: TypeAlias = NDArray[np.float64]
BPS: Final = 1e4
SECONDS_PER_DAY: Final = 86_400.0
NANOS_PER_SECOND: Final = 1e9


def _array(values: ArrayLike, name: str) -> Array:
    """A finite, one-dimensional array of floats."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if not np.isfinite(array).all():
        i = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"{name}[{i}] must be finite, got {array[i]}")
    return array


def _arrays(**columns: ArrayLike) -> tuple[Array, ...]:
    """Finite arrays of one length."""
    arrays = tuple(_array(values, name) for name, values in columns.items())
    if len({len(array) for array in arrays}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in zip(columns, arrays, strict=True))
        raise ValueError(f"the columns must be equally long, got {lengths}")
    return arrays


def _nanos(times_ns: ArrayLike) -> NDArray[np.int64]:
    """Whole nanoseconds. Seconds given by mistake have a fraction, sooner or later."""
    given = np.asarray(times_ns)
    if not (np.isfinite(given) & (given == np.round(given))).all():
        raise ValueError("times_ns must be whole nanoseconds since the epoch, got fractions or NaN")
    return given.astype(np.int64)


def _positive(**columns: ArrayLike) -> tuple[Array, ...]:
    """Finite, positive arrays of one length."""
    arrays = _arrays(**columns)
    for name, array in zip(columns, arrays, strict=True):
        if not (array > 0.0).all():
            i = int(np.argmin(array > 0.0))
            raise ValueError(f"{name}[{i}] must be positive, got {array[i]}")
    return arrays


# --- volatility ---


@dataclass(frozen=True, kw_only=True)
class Volatility:
    """Volatility of log returns.

    per_sample: sample standard deviation (ddof 1) of one return, whatever time it spanned.
    per_sqrt_second: the same, divided by the square root of the mean time between samples in seconds.
    returns: how many it is measured from. Below two nothing was measured, and the zeros above mean "unknown".
    skipped: how many prices were no prices, zero or negative, and were left out.
    """

    per_sample: float
    per_sqrt_second: float
    returns: int
    skipped: int

    @property
    def bps_per_sample(self) -> float:
        """Standard deviation of one return in bps. Means nothing without the sampling interval."""
        return BPS * self.per_sample

    @property
    def bps_per_sqrt_second(self) -> float:
        """Bps per square root of a second: what is stored and compared."""
        return BPS * self.per_sqrt_second

    def annualised(self, days: float = 365) -> float:
        """Fraction per square root of a year of `days` trading days: 365 where trading never stops, 252 for equities.

        For 252, sample once per trading day and leave the closed days out of the times.
        """
        return self.per_sqrt_second * math.sqrt(days * SECONDS_PER_DAY)


def realised_volatility(prices: ArrayLike, times_ns: ArrayLike) -> Volatility:
    """Volatility of log returns between successive prices, scaled by the time that really passed.

    prices: mids, in any unit; zero or negative ones are skipped together with their times and counted in `skipped`, so
    a caller that expects none must look there. times_ns: when each was seen, in nanoseconds, not decreasing. Fewer than
    two returns make a volatility of zero, which then is no measurement: `returns` tells it from a price that stood.

    Raises ValueError for NaN or infinite prices, for times that decrease or do not pass at all, and for unequal
    lengths.
    """
    seen = _array(prices, "prices")
    times = _nanos(times_ns)
    if times.shape != seen.shape:
        raise ValueError(f"prices and times_ns must be equally long, got {len(seen)} and shape {times.shape}")
    skipped = int(np.count_nonzero(seen <= 0.0))
    seen, times = seen[seen > 0.0], times[seen > 0.0]
    if (np.diff(times) < 0).any():
        i = int(np.argmax(np.diff(times) < 0))
        raise ValueError(f"times_ns must not decrease, got {times[i]} then {times[i + 1]}")
    returns = np.diff(np.log(seen))
    if len(returns) < 2:
        return Volatility(per_sample=0.0, per_sqrt_second=0.0, returns=len(returns), skipped=skipped)
    elapsed = float(times[-1] - times[0]) / NANOS_PER_SECOND
    if elapsed <= 0.0:
        raise ValueError("times_ns must span some time: all prices were seen at once")
    per_sample = float(np.std(returns, ddof=1))
    return Volatility(
        per_sample=per_sample,
        per_sqrt_second=per_sample / math.sqrt(elapsed / len(returns)),
        returns=len(returns),
        skipped=skipped,
    )


def tsrv(log_prices: ArrayLike, subsamples: int, *, adjusted: bool = False) -> float:
    """Two-scale realised variance of the span, without the bounce of the touch (Zhang, Mykland, Ait-Sahalia 2005).

    subsamples: fast steps per slow step, at least 2. adjusted: with the small-sample factor. May come out below zero
    by chance.

    Raises ValueError for fewer than `subsamples + 1` prices.
    """
    logs = _array(log_prices, "log_prices")
    if subsamples < 2:
        raise ValueError(f"subsamples must be at least 2, got {subsamples}")
    if len(logs) <= subsamples:
        raise ValueError(
            f"log_prices must hold more than {subsamples} prices for {subsamples} subsamples, got {len(logs)}"
        )
    return two_scale_variance(logs, subsamples, adjusted=adjusted)


def close_to_close(close: ArrayLike) -> float:
    """Volatility per bar: sample standard deviation of log returns of the closes. NaN below two returns."""
    (closes,) = _positive(close=close)
    return float(np.std(np.diff(np.log(closes)), ddof=1)) if len(closes) > 2 else math.nan


def ewma_volatility(close: ArrayLike, decay: float = 0.94) -> float:
    """Volatility per bar, exponentially weighted (RiskMetrics), from the first squared return on. NaN without a return.

    Raises ValueError for a decay outside 0 to 1.
    """
    if not 0.0 <= decay < 1.0:
        raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
    (closes,) = _positive(close=close)
    squares = np.diff(np.log(closes)) ** 2
    if len(squares) == 0:
        return math.nan
    weights = decay ** np.arange(len(squares) - 1, -1, -1.0)
    weights[1:] *= 1.0 - decay
    return math.sqrt(float(weights @ squares))


def _bars(open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> tuple[Array, ...]:
    """Log open, and log high, low and close measured from it. Refuses bars that are none."""
    opens, highs, lows, closes = _positive(open=open_, high=high, low=low, close=close)
    sound = (lows <= np.minimum(opens, closes)) & (highs >= np.maximum(opens, closes))
    if not sound.all():
        i = int(np.argmin(sound))
        raise ValueError(
            f"bar {i}: high and low must enclose open and close, got {opens[i]} {highs[i]} {lows[i]} {closes[i]}"
        )
    if len(opens) == 0:
        raise ValueError("at least one bar is needed, got none")
    log_open = np.log(opens)
    return log_open, np.log(highs) - log_open, np.log(lows) - log_open, np.log(closes) - log_open


def parkinson(high: ArrayLike, low: ArrayLike) -> float:
    """Volatility per bar from the ranges (Parkinson 1980). Ranges of sparse ticks are biased low by 4 to 5 %."""
    highs, lows = _positive(high=high, low=low)
    return math.sqrt(float(np.mean(np.log(highs / lows) ** 2)) / (4.0 * math.log(2.0))) if len(highs) else math.nan


def garman_klass(open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> float:
    """Volatility per bar from range and close (Garman and Klass 1980). Assumes no drift."""
    _, up, down, end = _bars(open_, high, low, close)
    return math.sqrt(float(np.mean(0.5 * (up - down) ** 2 - (2.0 * math.log(2.0) - 1.0) * end**2)))


def rogers_satchell(open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> float:
    """Volatility per bar from range and close, whatever the drift (Rogers and Satchell 1991)."""
    _, up, down, end = _bars(open_, high, low, close)
    return math.sqrt(float(np.mean(up * (up - end) + down * (down - end))))


def yang_zhang(open_: ArrayLike, high: ArrayLike, low: ArrayLike, close: ArrayLike) -> float:
    """Volatility per bar with the gap between bars (Yang and Zhang 2000). NaN below three bars.

    The first bar only gives the close that the second opens from. Where trading never stops there is no gap: use
    Rogers-Satchell.
    """
    log_open, up, down, end = _bars(open_, high, low, close)
    n = len(log_open) - 1
    if n < 2:
        return math.nan
    gaps = log_open[1:] - (log_open + end)[:-1]
    weight = 0.34 / (1.34 + (n + 1) / (n - 1))
    satchell = np.mean((up * (up - end) + down * (down - end))[1:])
    return math.sqrt(float(np.var(gaps, ddof=1) + weight * np.var(end[1:], ddof=1) + (1.0 - weight) * satchell))


# --- the book ---


def ofi(bid: ArrayLike, bid_size: ArrayLike, ask: ArrayLike, ask_size: ArrayLike) -> Array:
    """Order-flow imbalance of each change of the touch, in the unit of the sizes (Cont, Kukanov, Stoikov 2014).

    One entry per touch; the answer has one fewer. It explains the move of its own interval and does not forecast the
    next one.
    """
    return order_flows(*_arrays(bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size))


def microprice_adjustment(
    Q: ArrayLike, R: ArrayLike, jumps: ArrayLike, landing_up: ArrayLike, landing_down: ArrayLike
) -> Array:
    """What to add to the mid in each state so that the result is a martingale (Stoikov 2018), in the unit of `jumps`.

    Q: n x n, probability of going from state to state while the mid stays. R: n x m, probability that the mid jumps,
    one column per entry of `jumps` (m signed sizes, none zero). landing_up, landing_down: distribution over the
    states after a jump up or down, one for all states (n) or one per state left (n x n). A state is usually a bucket
    of imbalance and spread.

        G1 = (I - Q)^-1 R jumps,   B = (I - Q)^-1 (sum over jumps of R's column times its landing),   G* = sum of B^i G1

    Raises ValueError for shapes that do not fit, for rows that are no probabilities, where the mid need not ever move
    (spectral radius of Q at or above 1), and where the sum has no limit: the data drift, and have to be made
    symmetric first.
    """
    stay: Array = np.asarray(Q, dtype=np.float64)
    move: Array = np.asarray(R, dtype=np.float64)
    sizes: Array = np.asarray(jumps, dtype=np.float64)
    n = len(stay)
    if stay.shape != (n, n) or sizes.ndim != 1 or move.shape != (n, len(sizes)):
        raise ValueError(
            f"Q must be n x n and R n x len(jumps), got Q {stay.shape}, R {move.shape}, jumps {sizes.shape}"
        )
    if not np.isfinite(sizes).all() or (sizes == 0.0).any():
        raise ValueError(f"jumps must be finite and not zero, got {sizes}")
    total = stay.sum(axis=1) + move.sum(axis=1)
    if not ((stay >= 0.0).all() and (move >= 0.0).all() and (total <= 1.0 + 1e-9).all()):
        raise ValueError(f"each row of Q and R together must be probabilities of at most 1 in all, got sums {total}")
    radius = float(np.abs(np.linalg.eigvals(stay)).max(initial=0.0))
    if radius >= 1.0 - 1e-12:
        raise ValueError(
            f"the mid must move sooner or later from every state, but the spectral radius of Q is {radius}"
        )

    landings = {1.0: _landing(landing_up, n, "landing_up"), -1.0: _landing(landing_down, n, "landing_down")}
    landed = sum((move[:, [j]] * landings[float(np.sign(size))] for j, size in enumerate(sizes)), np.zeros((n, n)))
    until_move: Array = np.linalg.inv(np.eye(n) - stay).astype(np.float64)
    return _neumann(until_move @ landed, until_move @ (move @ sizes))


def _landing(values: ArrayLike, n: int, name: str) -> Array:
    """A distribution per state left, as n x n."""
    landing = np.asarray(values, dtype=np.float64)
    if landing.shape not in ((n,), (n, n)):
        raise ValueError(f"{name} must have shape ({n},) or ({n}, {n}), got {landing.shape}")
    landing = np.broadcast_to(landing, (n, n))
    if not (landing >= 0.0).all() or not np.allclose(landing.sum(axis=1), 1.0, atol=1e-9):
        raise ValueError(f"{name} must be probabilities that sum to 1, got sums {landing.sum(axis=1)}")
    return landing


def _neumann(step: Array, first: Array) -> Array:
    """Sum of step^i first over all i, twice as many terms each round.

    `step` is stochastic when no probability is missing, so (I - step) has no inverse, and the sum still has a limit
    when the moves cancel in the long run.
    """
    total, power = first, step
    for _ in range(40):
        more = power @ total
        total, power = total + more, power @ power
        if np.abs(more).max(initial=0.0) <= 1e-12 * np.abs(total).max(initial=0.0):
            return total
    raise ValueError(
        "the adjustments have no limit: moves up and down do not cancel in the long run; make the data symmetric"
    )


# --- trades ---


def roll_spread(prices: ArrayLike) -> float:
    """Spread implied by the bounce of trade prices (Roll 1984): 2 sqrt(-cov of successive changes), in their unit.

    NaN where the covariance is positive, or with fewer than four prices: the model does not hold there.
    """
    changes = np.diff(_array(prices, "prices"))
    if len(changes) < 3:
        return math.nan
    covariance = float(np.cov(changes[1:], changes[:-1])[0, 1])
    return 2.0 * math.sqrt(-covariance) if covariance <= 0.0 else math.nan


def _sides(side: Array) -> Array:
    if not (np.abs(side) == 1.0).all():
        i = int(np.argmin(np.abs(side) == 1.0))
        raise ValueError(f"side[{i}] must be +1 (buyer crossed) or -1 (seller crossed), got {side[i]}")
    return side


def effective_spread(side: ArrayLike, price: ArrayLike, mid: ArrayLike) -> Array:
    """What each aggressor paid, in bps: 2 side (price - mid) / mid. Equals realised spread + price impact."""
    sides, prices, mids = _arrays(side=side, price=price, mid=mid)
    return BPS * 2.0 * _sides(sides) * (prices - mids) / mids


def realised_spread(side: ArrayLike, price: ArrayLike, mid: ArrayLike, mid_after: ArrayLike) -> Array:
    """What the resting side kept of each trade, in bps: 2 side (price - mid_after) / mid."""
    sides, prices, mids, after = _arrays(side=side, price=price, mid=mid, mid_after=mid_after)
    return BPS * 2.0 * _sides(sides) * (prices - after) / mids


def price_impact(side: ArrayLike, mid: ArrayLike, mid_after: ArrayLike) -> Array:
    """How far the mid followed each aggressor, in bps: 2 side (mid_after - mid) / mid."""
    sides, mids, after = _arrays(side=side, mid=mid, mid_after=mid_after)
    return BPS * 2.0 * _sides(sides) * (after - mids) / mids


def vpin(signed_volumes: ArrayLike, bucket: float) -> float:
    """Mean of |bought - sold| / bucket over buckets of equal volume (Easley, Lopez de Prado, O'Hara 2012), 0 to 1.

    signed_volumes: one per trade, positive where the buyer crossed; a trade that overflows its bucket is split. The
    last bucket counts only when full; NaN if none is. A monitor, not a gate: no forecast beyond volume and volatility
    is established.
    """
    if not bucket > 0.0:
        raise ValueError(f"bucket must be a positive volume, got {bucket}")
    volumes = _array(signed_volumes, "signed_volumes")
    ends = np.concatenate(([0.0], np.cumsum(np.abs(volumes))))
    # The bought volume grows along a line through the trades; read it off at the bucket borders.
    bought = np.concatenate(([0.0], np.cumsum(np.maximum(volumes, 0.0))))
    full = math.floor(ends[-1] / bucket * (1.0 + 1e-12))
    if full == 0:
        return math.nan
    per_bucket = np.diff(np.interp(bucket * np.arange(full + 1), ends, bought))
    return float(np.mean(np.abs(2.0 * per_bucket - bucket)) / bucket)


def kyle_lambda(signed_volumes: ArrayLike, mid_changes: ArrayLike) -> float:
    """Price impact per unit of signed volume: slope of the mid's changes on it (Kyle 1985). NaN for constant volume."""
    volumes, changes = _arrays(signed_volumes=signed_volumes, mid_changes=mid_changes)
    spread = volumes - volumes.mean() if len(volumes) else volumes
    variation = float(spread @ spread)
    return float(spread @ changes) / variation if variation > 0.0 else math.nan


# --- statistics ---


def percentile(values: Iterable[float], p: float) -> float:
    """The smallest value that at least `p` percent of all values do not exceed: nearest rank, rounded up.

    Raises ValueError without values, for NaN, and for a `p` outside 0 to 100.
    """
    if not 0.0 <= p <= 100.0:
        raise ValueError(f"p must be a percentage from 0 to 100, got {p}")
    ordered: Sequence[float] = sorted(values)
    if not ordered:
        raise ValueError("a percentile needs at least one value, got none")
    if any(math.isnan(value) for value in ordered):
        raise ValueError("a percentile of NaN has no meaning: drop or explain the NaN first")
    rank = math.ceil(round(p * len(ordered) / 100.0, 9))  # 99.9 % of 1000 is 999, not 999.0000000000001
    return ordered[max(rank, 1) - 1]
