"""The guards of one strategy: they remember what happened, measure it, and say how boldly it may quote.

    guards = RiskGuards()
    guards.update_volatility("BTCUSDT", mid, now_ns)
    verdict = guards.assess("BTCUSDT", now_ns, position=position, position_max=limit)
    if verdict.cancel_all: ...

Thresholds and what follows are in `mmbot.risk.verdict`; here is the memory, all of it bounded: 100 prices a symbol, 100
round trips, an hour of P&L samples. Volatility, inventory and the halt belong to a symbol; latency, P&L and taker fills
to all symbols together. Times are ns since epoch and may not go back.

Known limitation: the moving average steps once per price, so it forgets faster where prices come faster.
"""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from mmbot.risk.verdict import GuardVerdict, Halt, RiskGuardsConfig, RiskMeasurements, assess
from mmbot.signals import percentile, realised_volatility

__all__ = ["RiskGuards", "pnl_z"]

_HISTORY = 100
_ALPHA = 0.1
_NS_PER_MS = 1_000_000
_NS_PER_SECOND = 1_000_000_000


class RiskGuards:
    """Five guards with a memory; see the module."""

    def __init__(self, config: RiskGuardsConfig | None = None) -> None:
        self.config = config if config is not None else RiskGuardsConfig()
        self._prices: dict[str, _PriceHistory] = {}
        self._latencies: deque[tuple[int, float]] = deque(maxlen=_HISTORY)
        self._pnl: deque[tuple[int, float]] = deque()
        self._pnl_known = True
        self._taker_fills: deque[tuple[int, float]] = deque()
        self._halts: dict[str, Halt] = {}

    @property
    def vol_ema_bps(self) -> dict[str, float]:
        """Exponential average (alpha 0.1, seeded with the first value) of the volatility per sample, bps, by symbol.

        To be shown: it is 0.0 before two returns are known, and it depends on how often prices come. The guards scale
        the same average to their own interval, and take what is not known for HARD.
        """
        return {symbol: history.ema_bps for symbol, history in self._prices.items()}

    def update_volatility(self, symbol: str, price: float, now_ns: int | None = None) -> float:
        """Take a price, best a mid, and return `vol_ema_bps` of the symbol.

        Without `now_ns`, prices are taken to be `volatility_interval_s` apart, so that bps per sample are what the
        thresholds speak of; such prices are never stale. A second price at one time replaces the first.

        A price that is not finite and positive is skipped, and the volatility is not known until the next good one.
        Raises ValueError for a time that goes back, and for a symbol with times now and then.
        """
        if symbol not in self._prices:
            self._prices[symbol] = _PriceHistory(self.config, timed=now_ns is not None)
        return self._prices[symbol].update(symbol, price, now_ns)

    def update_latency(self, now_ns: int, latency_ms: float) -> None:
        """Take the round trip of an order, ms. A NaN makes the latency unknown while it is in the window."""
        _append(self._latencies, now_ns, latency_ms, "latency")

    def update_pnl(self, now_ns: int, pnl: float) -> None:
        """Take the P&L so far, realised and marked, in one currency.

        Often is fine: one sample per `pnl_sample_s` is kept, and what happened between two is in the later one. What
        is not finite is not kept, and the P&L is not known until the next good one.
        """
        self._pnl_known = math.isfinite(pnl)
        if self._pnl and now_ns - self._pnl[-1][0] < self.config.pnl_sample_s * _NS_PER_SECOND:
            _check_time(now_ns, self._pnl[-1][0], "P&L")
        elif self._pnl_known:
            _append(self._pnl, now_ns, pnl, "P&L")
            _forget(self._pnl, now_ns, self.config.pnl_window_s)

    def on_taker_fill(self, now_ns: int) -> None:
        """Take note of a fill that took liquidity."""
        _append(self._taker_fills, now_ns, 1.0, "taker fill")
        _forget(self._taker_fills, now_ns, self.config.taker_window_s)

    def measure(self, symbol: str, now_ns: int, *, position: float | None, position_max: float) -> RiskMeasurements:
        """Return the five measurements of a symbol.

        position: signed, and position_max its largest size either way, in one unit. Raises ValueError for a largest
        position that is not above zero.
        """
        if not 0.0 < position_max < math.inf:
            raise ValueError(f"position_max is {position_max!r}; expected a finite number above zero")
        history = self._prices.get(symbol)
        _forget(self._latencies, now_ns, self.config.latency_window_s)
        _forget(self._pnl, now_ns, self.config.pnl_window_s)
        _forget(self._taker_fills, now_ns, self.config.taker_window_s)
        return RiskMeasurements(
            volatility_bps=None if history is None else history.volatility_bps(now_ns),
            inventory_pct=None if position is None else 100.0 * abs(position) / position_max,
            taker_fills=len(self._taker_fills),
            latency_p95_ms=self._latency_p95_ms(),
            pnl_z=self._pnl_z(),
        )

    def assess(self, symbol: str, now_ns: int, *, position: float | None, position_max: float) -> GuardVerdict:
        """Measure, and say what the guards ask for. The arguments are those of `measure`."""
        measured = self.measure(symbol, now_ns, position=position, position_max=position_max)
        halt, verdict = assess(self.config, self._halts.pop(symbol, None), measured, now_ns)
        if halt is not None:
            self._halts[symbol] = halt
        return verdict

    def _latency_p95_ms(self) -> float | None:
        latencies = [latency_ms for _, latency_ms in self._latencies]
        if any(math.isnan(latency_ms) for latency_ms in latencies):
            return math.nan
        return percentile(latencies, 95.0) if len(latencies) >= self.config.latency_samples_min else None

    def _pnl_z(self) -> float | None:
        if not self._pnl_known:
            return math.nan
        return pnl_z([pnl for _, pnl in self._pnl]) if len(self._pnl) > self.config.pnl_samples_min else None


def pnl_z(pnl: Sequence[float]) -> float:
    """Return how unlikely a run of P&L is for a strategy that makes nothing: z = Σx / (s·√n), of its n changes x.

    pnl: P&L so far at each sample, oldest first, evenly spaced, at least three. s is the sample standard deviation.
    One bad trade alone gives about -1; a loss that goes on gives more, and one without any pause −∞.

    Raises ValueError for fewer than three samples.
    """
    if len(pnl) < 3:
        raise ValueError(f"a z-score needs at least three samples of P&L, got {len(pnl)}")
    total = pnl[-1] - pnl[0]
    if total == 0.0:
        return 0.0
    chance = float(np.std(np.diff(pnl), ddof=1)) * math.sqrt(len(pnl) - 1)
    return total / chance if chance > 0.0 else math.copysign(math.inf, total)


class _PriceHistory:
    """The last prices of one symbol and what they say."""

    def __init__(self, config: RiskGuardsConfig, *, timed: bool) -> None:
        self._config = config
        self._timed = timed
        self._samples: deque[tuple[int, float]] = deque(maxlen=_HISTORY)
        self._ema_per_sqrt_second: float | None = None
        self._sound = True
        self.ema_bps = 0.0

    def update(self, symbol: str, price: float, now_ns: int | None) -> float:
        if (now_ns is not None) != self._timed:
            raise ValueError(f"prices of {symbol!r} came with and without now_ns; give it always or never")
        self._sound = 0.0 < price < math.inf
        if self._sound:
            self._keep(price, self._next_ns() if now_ns is None else now_ns)
            self._average()
        return self.ema_bps

    def volatility_bps(self, now_ns: int) -> float | None:
        """Return bps over the interval of the thresholds; None when not known."""
        if self._ema_per_sqrt_second is None or not self._sound:
            return None
        if self._timed and now_ns - self._samples[-1][0] >= self._config.price_stale_ms * _NS_PER_MS:
            return None
        return self._ema_per_sqrt_second * math.sqrt(self._config.volatility_interval_s)

    def _next_ns(self) -> int:
        interval_ns = round(self._config.volatility_interval_s * _NS_PER_SECOND)
        return self._samples[-1][0] + interval_ns if self._samples else 0

    def _keep(self, price: float, now_ns: int) -> None:
        if self._samples and self._samples[-1][0] == now_ns:
            self._samples.pop()
        _append(self._samples, now_ns, price, "price")

    def _average(self) -> None:
        latest = list(self._samples)[-self._config.volatility_window - 1 :]
        if len(latest) < 3:
            return
        times_ns, prices = zip(*latest, strict=True)
        now = realised_volatility(prices, times_ns)
        if self._ema_per_sqrt_second is None:
            self.ema_bps, self._ema_per_sqrt_second = now.bps_per_sample, now.bps_per_sqrt_second
        else:
            self.ema_bps += _ALPHA * (now.bps_per_sample - self.ema_bps)
            self._ema_per_sqrt_second += _ALPHA * (now.bps_per_sqrt_second - self._ema_per_sqrt_second)


def _append(samples: deque[tuple[int, float]], now_ns: int, value: float, what: str) -> None:
    if samples:
        _check_time(now_ns, samples[-1][0], what)
    samples.append((now_ns, value))


def _check_time(now_ns: int, last_ns: int, what: str) -> None:
    if now_ns < last_ns:
        raise ValueError(f"now_ns is {now_ns}, before the last {what} at {last_ns}; expected time to go on")


def _forget(samples: deque[tuple[int, float]], now_ns: int, window_s: float) -> None:
    """Drop what is older than the window, its beginning included."""
    start = now_ns - round(window_s * _NS_PER_SECOND)
    while samples and samples[0][0] <= start:
        samples.popleft()
