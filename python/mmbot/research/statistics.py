"""What a run did, in numbers that carry their own doubt.

Pure functions from the frames of a `Result` (schemas in `mmbot.research.frames`) to small frozen records. A number
that means nothing for this run is not zero: it is a `Measure` without a value, and its note says why.

Conventions: money in the settlement currency and signed so that profit is positive; 1 bp = 1e-4 of the traded value;
times in nanoseconds; shares between 0 and 1; intervals at 95 %. Several instruments are added in currency and then
divided, never averaged in bps. Values are |price| × quantity, so inverse contracts come as `Frames.in_worth`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

Z95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""

NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND

HORIZONS: dict[str, int] = {
    "mid_100ms": 100_000_000,
    "mid_1s": NS_PER_SECOND,
    "mid_5s": 5 * NS_PER_SECOND,
    "mid_30s": 30 * NS_PER_SECOND,
    "mid_300s": 300 * NS_PER_SECOND,
}
"""Column of `Result.fills` that holds the later mid, and how much later it is [ns]."""

QUEUE_EDGES: tuple[float, ...] = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, math.inf)
"""Upper edges of the queue bins, in multiples of the order's own quantity: fixed, so that two runs can be compared."""

ORDER_STATES = ("filled", "canceled", "rejected", "denied", "working")
"""How an order can stand at the end of a run."""

ANNUALISE_FROM_DAYS = 30
UNSAMPLED = "no samples of equity"
SAMPLES_MIN = 30
CLUSTERS_MIN = 30
CLUSTER_NS_MIN = NS_PER_SECOND


COMPONENTS: dict[str, str] = {
    "spread_capture": "spread capture",
    "rebates": "maker rebates",
    "adverse_selection": "adverse selection",
    "taker_slippage": "taker slippage",
    "fees": "fees",
    "inventory": "inventory",
    "initial_inventory": "initial inventory",
    "funding": "funding",
}
"""Field of `Attribution`, and what a person calls it; costs of trading first, then the market's part."""

NET_COMPONENTS = ("spread_capture", "rebates", "adverse_selection", "taker_slippage", "fees")
"""The components of `PnlSplit.net`."""


class Attribution(Protocol):
    """What the ledger knows about where a P&L came from: signed parts that add up to it, up to `residual`.

    Money in the settlement currency, profit positive (fees, adverse selection and slippage are usually negative);
    `turnover` is Σ quantity × mid at the fill and divides everything that is shown in bps.
    """

    @property
    def spread_capture(self) -> float:
        """Σ over maker fills of side × quantity × (mid − price): what quoting away from the mid earned."""

    @property
    def rebates(self) -> float:
        """Negative fees: what the venue paid us."""

    @property
    def adverse_selection(self) -> float:
        """Σ over all fills of side × quantity × (mid one horizon later − mid): usually a loss."""

    @property
    def taker_slippage(self) -> float:
        """The same sum as spread capture over taker fills: what crossing the spread cost, as a negative."""

    @property
    def fees(self) -> float:
        """Positive fees, as a negative."""

    @property
    def inventory(self) -> float:
        """What the market did to positions after the horizon of their fills."""

    @property
    def initial_inventory(self) -> float:
        """What the market did to the position that the run began with."""

    @property
    def funding(self) -> float:
        """Funding received, or paid as a negative."""

    @property
    def residual(self) -> float:
        """P&L minus the sum of all parts: rounding, or a mistake."""

    @property
    def turnover(self) -> float:
        """Σ quantity × mid at the fill, over all fills."""


@dataclass(frozen=True)
class Measure:
    """A number, or the reason why there is none; a note may also qualify a number that exists."""

    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, in the unit of what it surrounds."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Nearest-rank percentiles [ns]; all None when nothing was observed."""

    p50: float | None
    p90: float | None
    p99: float | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Component:
    """One signed part of the P&L; profit is positive."""

    name: str
    value: float
    bps: Measure


@dataclass(frozen=True, kw_only=True)
class PnlSplit:
    """P&L and its exact parts, in currency and in bps of the traded value.

    Two nets are published under two names, because both are in use: `pnl` holds everything, `net` is the edge after
    costs (spread + rebates + adverse selection + taker slippage + fees) without inventory and funding.
    """

    pnl: float
    pnl_bps: Measure
    net: float
    net_bps: Measure
    components: tuple[Component, ...]
    residual: float
    turnover: float


@dataclass(frozen=True, kw_only=True)
class FillCounts:
    """Our executions. `maker_share` is a share maker / (maker + taker), not a ratio maker / taker."""

    count: int
    buys: int
    sells: int
    maker: int
    taker: int
    maker_share: Measure
    maker_share_by_value: Measure
    value: float
    fees: float
    age_maker: Percentiles


@dataclass(frozen=True, kw_only=True)
class OrderCounts:
    """Our orders. *Placed* means the venue took it: denied, rejected and still travelling orders do not count."""

    total: int
    placed: int
    filled: int
    touched: int
    canceled: int
    rejected: int
    denied: int
    working: int
    amends: int
    cancels_sent: int
    fill_rate: Measure
    fill_rate_orders: Measure
    cancel_to_fill: Measure
    lifetime: Percentiles


@dataclass(frozen=True, kw_only=True)
class Markout:
    """Where the market went after our fills, seen from our side: positive moved in our favour.

    `move_bps` is mid to mid (adverse selection when negative); `edge_bps` starts at the fill price and so still holds
    the half-spread we earned, before fees. At horizon zero the move is zero by definition.
    """

    horizon_ns: int
    count: int
    move_bps: Measure
    interval: Interval | None
    edge_bps: Measure
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class QueueBin:
    """Orders that joined with `low < ahead / own quantity <= high` before them, and how many saw an execution."""

    low: float
    high: float | None
    orders: int
    filled: int
    probability: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Signed position over time, in `unit`; time-weighted values hold each sample until the next one."""

    unit: str
    mean: Measure
    time_weighted: Measure
    time_weighted_abs: Measure
    max_abs: Measure
    final: Measure
    flat_share: Measure
    turns: Measure


@dataclass(frozen=True, kw_only=True)
class Quoting:
    """Our presence in the book as shares of sampled time, and spreads averaged over time [bps of mid]."""

    two_sided: Measure
    bid_only: Measure
    ask_only: Measure
    absent: Measure
    bid_at_touch: Measure
    ask_at_touch: Measure
    spread_quoted_bps: Measure
    spread_market_bps: Measure


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Risk against reward of the sampled equity curve. Ratios use P&L per sample, so that no capital is invented.

    `sharpe` and `sortino` are per sampling interval; the `_annual` ones exist when the span is long enough for a
    year to be more than a wish. `t_statistic` asks how many standard errors the mean P&L is away from zero.
    """

    span_ns: int
    samples: int
    interval_ns: int
    pnl: Measure
    max_drawdown: Measure
    max_drawdown_share: Measure
    drawdown_ns_max: int | None
    sharpe: Measure
    sharpe_error: Measure
    t_statistic: Measure
    autocorrelation: Measure
    sharpe_annual: Measure
    sharpe_annual_error: Measure
    sortino: Measure
    sortino_annual: Measure
    calmar: Measure


# --- small tools, each a textbook line -------------------------------------------------------------------------------


def nearest_rank(values: Iterable[float] | Floats, share: float) -> float | None:
    """The smallest value with at least `share` of all values at or below it: rank ceil(share × n), counted from 1.

    None for no values. Raises ValueError for a share outside (0, 1]. The one definition of a percentile in mmbot.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must be within (0, 1], got {share}; for the 95th percentile pass 0.95")
    ordered = np.sort(np.asarray(list(values) if not isinstance(values, np.ndarray) else values, dtype=np.float64))
    if ordered.size == 0:
        return None
    # 0.07 × 100 is 7.000000000000001 in floating point, which must still be rank 7.
    rank = math.ceil(round(share * ordered.size, 9))
    return float(ordered[rank - 1])


def wilson(successes: int, trials: int) -> Interval:
    """95 % Wilson score interval of a proportion (Wilson 1927): honest at 0, at 1 and for few trials.

    Raises ValueError unless 0 <= successes <= trials and trials > 0.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"need 0 <= successes <= trials and trials > 0, got {successes} of {trials}")
    share = successes / trials
    z2 = Z95 * Z95 / trials
    centre = (share + z2 / 2) / (1 + z2)
    half = Z95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials)) / (1 + z2)
    # At the ends the exact bound is 0 or 1; only rounding could miss it.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(low, high)


def ratio_interval(ts: Integers, numerator: Floats, denominator: Floats, horizon_ns: int) -> Interval | None:
    """95 % interval of Σ numerator / Σ denominator for observations that overlap in time.

    Observations are summed in clusters as long as the horizon (one second at least), because fills of one burst share
    one future; what still spills over into later clusters is taken in by Newey–West (1987) with Bartlett weights and
    ⌊4 (n/100)^(2/9)⌋ lags, applied to the linearised ratio. No random numbers, so nothing to seed.

    None when fewer than `CLUSTERS_MIN` clusters hold a fill: a normal interval would be a promise nobody can keep.
    """
    total = float(denominator.sum())
    if ts.size == 0 or total <= 0.0:
        return None
    clusters, member = np.unique((ts - ts.min()) // max(horizon_ns, CLUSTER_NS_MIN), return_inverse=True)
    count = clusters.size
    if count < CLUSTERS_MIN:
        return None
    ratio = float(numerator.sum()) / total
    error = np.bincount(member, weights=numerator - ratio * denominator)
    lags = int(4 * (count / 100) ** (2 / 9))
    variance = float(error @ error)
    for lag in range(1, lags + 1):
        later = np.searchsorted(clusters, clusters + lag)
        paired = np.flatnonzero(later < count)
        paired = paired[clusters[later[paired]] == clusters[paired] + lag]  # empty clusters in between count as zero
        variance += 2 * (1 - lag / (lags + 1)) * float(error[paired] @ error[later[paired]])
    half = Z95 * math.sqrt(max(variance, 0.0) * count / (count - 1)) / total
    return Interval(ratio - half, ratio + half)


def sharpe_error(sharpe: float, samples: int) -> float:
    """Standard error of a per-period Sharpe ratio, √((1 + SR²/2) / T), for independent returns (Lo 2002, eq. 9)."""
    return math.sqrt((1 + sharpe * sharpe / 2) / samples)


def sharpe_scale(periods: int, autocorrelation: float) -> float:
    """Factor from a per-period Sharpe ratio to one over `periods` periods, for AR(1) returns (Lo 2002, eq. 20).

    √periods when returns are independent; less when gains follow gains, more when they alternate.
    """
    rho = autocorrelation
    drag = 2 * rho / (1 - rho) * (1 - (1 - rho**periods) / (periods * (1 - rho)))
    return math.sqrt(periods / (1 + drag))


def drawdown(equity: Floats) -> Floats:
    """How far equity stands below its highest value so far: zero or negative, same shape and unit."""
    return equity - np.maximum.accumulate(equity)


def percentiles(values: Floats) -> Percentiles:
    """Nearest-rank p50, p90 and p99 of durations [ns]."""
    return Percentiles(
        p50=nearest_rank(values, 0.50),
        p90=nearest_rank(values, 0.90),
        p99=nearest_rank(values, 0.99),
        count=int(values.size),
    )


def share(part: float, whole: float, reason: str) -> Measure:
    """part / whole, or no value and the reason when there is no whole."""
    return Measure(part / whole) if whole > 0 else Measure(None, reason)


# --- executions and orders -------------------------------------------------------------------------------------------


def fill_counts(fills: pl.DataFrame) -> FillCounts:
    """Counts, maker share, traded value, net fees paid, and how old our resting orders were when they traded."""
    maker = fills["maker"].to_numpy()
    value = np.abs(fills["price"].to_numpy()) * fills["qty"].to_numpy()
    count, makers = fills.height, int(maker.sum())
    return FillCounts(
        count=count,
        buys=int((fills["side"] == 1).sum()),
        sells=int((fills["side"] == -1).sum()),
        maker=makers,
        taker=count - makers,
        maker_share=share(makers, count, "no fills"),
        maker_share_by_value=share(float(value[maker].sum()), float(value.sum()), "no fills"),
        value=float(value.sum()),
        fees=float(fills["fee"].to_numpy().sum()),
        age_maker=percentiles(fills["order_age_ns"].to_numpy()[maker].astype(np.float64)),
    )


def placed_orders(orders: pl.DataFrame) -> pl.DataFrame:
    """The orders the venue took: accepted, or executed although the acknowledgement was never seen."""
    taken = pl.col("ts_accepted").is_not_null() | (pl.col("cum_qty") > 0)
    return orders.filter(taken & ~pl.col("state").is_in(["denied", "rejected"]))


def order_counts(orders: pl.DataFrame, fills_count: int) -> OrderCounts:
    """Life and death of our orders.

    `fill_rate` is filled over placed quantity. Across instruments quantities have different units, so there each is
    weighted by its order price. `cancel_to_fill` is cancel requests per execution.
    """
    placed = placed_orders(orders)
    weight = np.abs(placed["price"].to_numpy()) if placed["instrument"].n_unique() > 1 else np.ones(placed.height)
    states = {state: int((orders["state"] == state).sum()) for state in ORDER_STATES}
    held_back = int(((orders["state"] == "rejected") & (orders["reason"] == "held_back").fill_null(value=False)).sum())
    cancels = int(orders["cancels_sent"].sum())
    settled = placed.drop_nulls(["ts_accepted", "ts_done"])
    return OrderCounts(
        total=orders.height,
        placed=placed.height,
        filled=states["filled"],
        touched=int((placed["cum_qty"] > 0).sum()),
        canceled=states["canceled"],
        rejected=states["rejected"] - held_back,
        denied=states["denied"] + held_back,
        working=states["working"],
        amends=int(orders["amends"].sum()),
        cancels_sent=cancels,
        fill_rate=share(
            float(weight @ placed["cum_qty"].to_numpy()),
            float(weight @ placed["qty"].to_numpy()),
            "no order was placed",
        ),
        fill_rate_orders=share(states["filled"], placed.height, "no order was placed"),
        cancel_to_fill=share(cancels, fills_count, "no fills"),
        lifetime=percentiles((settled["ts_done"] - settled["ts_accepted"]).to_numpy().astype(np.float64)),
    )


def fill_probability(orders: pl.DataFrame) -> tuple[QueueBin, ...]:
    """How often an order was executed at all, by how much stood before it when it joined the queue.

    The position is `ahead_at_join` in multiples of the order's own quantity. Left out: orders that took liquidity
    (no queue) and orders still working without an execution (their outcome is unknown). Cancelled orders count as not
    filled, so this describes the strategy's patience as much as the queue.
    """
    known = placed_orders(orders).filter(
        pl.col("ahead_at_join").is_not_null() & ((pl.col("state") != "working") | (pl.col("cum_qty") > 0))
    )
    ahead = known["ahead_at_join"].to_numpy() / known["qty"].to_numpy()
    executed = known["cum_qty"].to_numpy() > 0
    index = np.searchsorted(np.asarray(QUEUE_EDGES), ahead, side="left")
    bins = []
    for position, high in enumerate(QUEUE_EDGES):
        inside = index == position
        trials, hits = int(inside.sum()), int(executed[inside].sum())
        if trials:
            bins.append(
                QueueBin(
                    low=QUEUE_EDGES[position - 1] if position else 0.0,
                    high=None if math.isinf(high) else high,
                    orders=trials,
                    filled=hits,
                    probability=hits / trials,
                    interval=wilson(hits, trials),
                )
            )
    return tuple(bins)


def markouts(fills: pl.DataFrame, *, maker: bool) -> tuple[Markout, ...]:
    """Markouts of our maker (or taker) fills at every horizon, weighted by value: 1e4 · Σ s·q·(m_h − m) / Σ q·|m|.

    Fills whose horizon lies beyond the end of the tape have no later mid and are left out of that horizon.
    """
    ours = fills.filter(pl.col("maker") == maker)
    return tuple(_markout(ours, column, horizon_ns) for column, horizon_ns in HORIZONS.items())


def _markout(fills: pl.DataFrame, column: str, horizon_ns: int) -> Markout:
    seen = fills.drop_nulls([column])
    value = seen["qty"].to_numpy() * np.abs(seen["mid"].to_numpy())
    signed = seen["side"].to_numpy() * seen["qty"].to_numpy()
    later = seen[column].to_numpy()
    move = signed * (later - seen["mid"].to_numpy()) * 1e4
    edge = signed * (later - seen["price"].to_numpy()) * 1e4
    reason = "no fills" if fills.is_empty() else "every fill is nearer to the end of the tape than this horizon"
    interval = ratio_interval(seen["ts_venue"].to_numpy(), move, value, horizon_ns)
    return Markout(
        horizon_ns=horizon_ns,
        count=seen.height,
        move_bps=share(float(move.sum()), float(value.sum()), reason),
        interval=interval,
        edge_bps=share(float(edge.sum()), float(value.sum()), reason),
        note="" if interval else f"no interval: fewer than {CLUSTERS_MIN} separate moments with fills",
    )


# --- position, presence, equity --------------------------------------------------------------------------------------


def holding_ns(ts: Integers) -> Floats:
    """How long each sample stood until the next one [ns]; the last one stood for no known time."""
    return np.diff(ts, append=ts[-1:]).astype(np.float64)


def position_extreme(equity: pl.DataFrame, fills: pl.DataFrame) -> Measure:
    """Largest absolute position of one instrument, looking between the samples too.

    The first sample gives the level, our fills after it (as we heard of them) give every step.
    """
    if equity.is_empty():
        return Measure(None, UNSAMPLED)
    first = equity["ts"].item(0)
    later = fills.filter(pl.col("ts_recv") > first).sort("ts_recv", maintain_order=True)
    steps = np.cumsum(later["side"].to_numpy() * later["qty"].to_numpy())
    path = equity["position"].item(0) + steps
    return Measure(float(max(np.abs(equity["position"].to_numpy()).max(), np.abs(path).max(initial=0.0))))


def largest(values: Floats) -> Measure:
    """Largest absolute sample."""
    return Measure(float(np.abs(values).max())) if values.size else Measure(None, UNSAMPLED)


def inventory(ts: Integers, position: Floats, *, unit: str, max_abs: Measure, traded: float) -> Inventory:
    """Size and balance of the position.

    `traded` is the quantity (or value) traded in `unit`; `turns` is traded over time-weighted absolute position.
    """
    held = holding_ns(ts)
    known = float(held.sum())
    reason = "needs two samples of equity"
    weighted_abs = share(float(held @ np.abs(position)), known, reason)
    return Inventory(
        unit=unit,
        mean=Measure(float(position.mean())) if position.size else Measure(None, UNSAMPLED),
        time_weighted=share(float(held @ position), known, reason),
        time_weighted_abs=weighted_abs,
        max_abs=max_abs,
        final=Measure(float(position[-1])) if position.size else Measure(None, UNSAMPLED),
        flat_share=share(float(held[position == 0.0].sum()), known, reason),
        turns=share(traded, weighted_abs.value or 0.0, "no position was held between samples"),
    )


def quoting(equity: pl.DataFrame) -> Quoting:
    """Presence in the book. Several instruments are pooled: each contributes its own sampled time."""
    rows = equity.sort("instrument", "ts", maintain_order=True)
    held = rows.select(
        (pl.col("ts").shift(-1).over("instrument") - pl.col("ts")).fill_null(0).cast(pl.Float64).alias("held")
    )["held"].to_numpy()
    bid, ask, mid, best_bid, best_ask = (
        rows[name].to_numpy() for name in ("quote_bid", "quote_ask", "mid", "bid", "ask")
    )
    has_bid, has_ask = ~np.isnan(bid), ~np.isnan(ask)
    both, market = has_bid & has_ask, ~np.isnan(best_bid) & ~np.isnan(best_ask)
    known = float(held.sum())

    def time_share(where: NDArray[np.bool_]) -> Measure:
        return share(float(held[where].sum()), known, "needs two samples of equity")

    def spread(where: NDArray[np.bool_], high: Floats, low: Floats, reason: str) -> Measure:
        bps = (high[where] - low[where]) / mid[where] * 1e4
        return share(float(held[where] @ bps), float(held[where].sum()), reason)

    return Quoting(
        two_sided=time_share(both),
        bid_only=time_share(has_bid & ~has_ask),
        ask_only=time_share(has_ask & ~has_bid),
        absent=time_share(~has_bid & ~has_ask),
        bid_at_touch=time_share(has_bid & (bid >= best_bid)),
        ask_at_touch=time_share(has_ask & (ask <= best_ask)),
        spread_quoted_bps=spread(both, ask, bid, "never quoted on both sides"),
        spread_market_bps=spread(market, best_ask, best_bid, "the market never had two sides"),
    )


def performance(
    ts: Integers, equity: Floats, *, annualised: bool | None = None, days_per_year: int = 365
) -> Performance:
    """Drawdown, Sharpe, Sortino and Calmar of an equity curve sampled at `ts` [ns, rising].

    Annual figures are given from `ANNUALISE_FROM_DAYS` on, or when `annualised` says so; before that their note says
    why not. `days_per_year` is 365 for markets that never close and 252 for equities.
    """
    if ts.size < 2:
        empty = Measure(None, f"needs {SAMPLES_MIN} samples of equity, there are {ts.size}")
        return Performance(
            span_ns=0, samples=int(ts.size), interval_ns=0, pnl=empty, max_drawdown=empty, max_drawdown_share=empty,
            drawdown_ns_max=None, sharpe=empty, sharpe_error=empty, t_statistic=empty, autocorrelation=empty,
            sharpe_annual=empty, sharpe_annual_error=empty, sortino=empty, sortino_annual=empty, calmar=empty,
        )  # fmt: skip
    below, gains, span_ns = drawdown(equity), np.diff(equity), int(ts[-1] - ts[0])
    pnl, deepest = float(equity[-1] - equity[0]), float(-below.min())
    sharpe, sortino, rho = _ratios(gains)
    error = _map(sharpe, lambda ratio: sharpe_error(ratio, gains.size))
    days = span_ns / NS_PER_DAY
    wanted = days >= ANNUALISE_FROM_DAYS if annualised is None else annualised
    periods = round(gains.size / days * days_per_year)
    refusal = Measure(None, f"not annualised: the run is shorter than {ANNUALISE_FROM_DAYS} days")

    def annual(ratio: Measure) -> Measure:
        return _map(ratio, lambda value: value * sharpe_scale(periods, rho.value or 0.0)) if wanted else refusal

    calmar = share(pnl / days * days_per_year, deepest, "equity never fell") if wanted else refusal
    return Performance(
        span_ns=span_ns,
        samples=int(ts.size),
        interval_ns=int(np.median(np.diff(ts))),
        pnl=Measure(pnl),
        max_drawdown=Measure(deepest),
        max_drawdown_share=_drawdown_share(equity, below),
        drawdown_ns_max=_longest_under_water(ts, below),
        sharpe=sharpe,
        sharpe_error=error,
        t_statistic=_map(sharpe, lambda ratio: ratio * math.sqrt(gains.size)),
        autocorrelation=rho,
        sharpe_annual=annual(sharpe),
        sharpe_annual_error=annual(error),
        sortino=sortino,
        sortino_annual=annual(sortino),
        calmar=calmar,
    )


def _ratios(gains: Floats) -> tuple[Measure, Measure, Measure]:
    """Sharpe and Sortino per sample, and the first autocorrelation of the gains."""
    if gains.size + 1 < SAMPLES_MIN:
        few = Measure(None, f"needs {SAMPLES_MIN} samples of equity, there are {gains.size + 1}")
        return few, few, few
    mean, deviation = float(gains.mean()), float(gains.std(ddof=1))
    # A constant drift leaves rounding noise, not risk: a ratio over it would be a number about floating point.
    if deviation <= 1e-12 * max(1.0, float(np.abs(gains).max())):
        still = Measure(None, "equity never deviated from a straight line")
        return still, still, still
    centred = gains - mean
    rho = float(centred[1:] @ centred[:-1]) / float(centred @ centred)
    downside = math.sqrt(float(np.minimum(gains, 0.0) @ np.minimum(gains, 0.0)) / gains.size)
    return Measure(mean / deviation), _signed_ratio(mean, downside, "no sample lost money"), Measure(rho)


def _signed_ratio(value: float, scale: float, reason: str) -> Measure:
    return Measure(value / scale) if scale > 0 else Measure(None, reason)


def _drawdown_share(equity: Floats, below: Floats) -> Measure:
    """Deepest fall as a share of the peak before it; without capital in the equity there is no such share."""
    peak = equity - below
    if float(equity[0]) <= 0.0:
        return Measure(None, "the run started without capital, so a percentage has no denominator")
    return Measure(float((-below / peak).max()))


def _longest_under_water(ts: Integers, below: Floats) -> int:
    """Longest time from a peak until equity was back at it, or until the end [ns]."""
    at_peak = np.flatnonzero(below >= 0.0)
    ends = np.append(at_peak[1:], ts.size - 1)
    # Two peaks in a row have nothing between them; the stretch after the last peak lasts until the end.
    under = (ends - at_peak > 1) | ((ends == ts.size - 1) & (below[ends] < 0.0))
    return int((ts[ends] - ts[at_peak])[under].max(initial=0))


def _map(measure: Measure, function: Callable[[float], float]) -> Measure:
    return measure if measure.value is None else Measure(function(measure.value), measure.note)


# --- attribution -----------------------------------------------------------------------------------------------------


def pnl_split(attribution: Attribution) -> PnlSplit:
    """The ledger's attribution as a table in currency and bps of its turnover."""
    turnover = attribution.turnover

    def bps(value: float) -> Measure:
        return _signed_ratio(value * 1e4, turnover, "nothing was traded")

    values = {name: float(getattr(attribution, name)) for name in COMPONENTS}
    net = sum(values[name] for name in NET_COMPONENTS)
    pnl = sum(values.values()) + attribution.residual
    return PnlSplit(
        pnl=pnl,
        pnl_bps=bps(pnl),
        net=net,
        net_bps=bps(net),
        components=tuple(Component(name=name, value=value, bps=bps(value)) for name, value in values.items()),
        residual=attribution.residual,
        turnover=turnover,
    )


PATH_COMPONENTS = ("spread_capture", "rebates", "adverse_selection", "taker_slippage", "fees", "inventory")
"""Lines of `attribution_path`; its `inventory` is all that trading itself did not earn, funding included."""


def attribution_path(ts: Integers, equity: Floats, mid: Floats, fills: pl.DataFrame, horizon: str) -> dict[str, Floats]:
    """Cumulative P&L of one instrument by component at every sample: what `pnl_split` says at the end, over time.

    A fill counts from the first sample at or after we heard of it, with its whole later move: the line of adverse
    selection knows the future by one horizon (`horizon` names the column). A fill without a later mid is judged by
    the last mid of the run. The components of each sample add up to its P&L exactly.
    """
    heard = fills.sort("ts_recv", maintain_order=True)
    signed = heard["side"].to_numpy() * heard["qty"].to_numpy()
    price, mid_then, fee = (heard[name].to_numpy() for name in ("price", "mid", "fee"))
    mid_later = heard[horizon].to_numpy()
    mid_later = np.where(np.isnan(mid_later), mid[-1] if mid.size else np.nan, mid_later)
    maker = heard["maker"].to_numpy()
    captured = signed * (mid_then - price)
    steps = {
        "spread_capture": np.where(maker, captured, 0.0),
        "rebates": np.maximum(-fee, 0.0),
        "adverse_selection": signed * (mid_later - mid_then),
        "taker_slippage": np.where(maker, 0.0, captured),
        "fees": -np.maximum(fee, 0.0),
    }
    upto = np.searchsorted(heard["ts_recv"].to_numpy(), ts, side="right")
    path = {}
    for name, step in steps.items():
        total = np.append(0.0, np.cumsum(step))[upto]
        path[name] = total - total[:1]
    path["inventory"] = (equity - equity[:1]) - np.sum(list(path.values()), axis=0)
    return path
