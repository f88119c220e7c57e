"""The KPIs of a window: what a run earned, risked and how late it heard, computed from what happened.

Signs are the edge audit's: profit is positive for makers and takers alike (a maker who buys below the mid has a
positive `gross_bps`), costs are positive when they cost. bps are of turnover at mid:

    edge_bps = gross_bps − adverse_bps − slippage_bps          what fills were worth one horizon later, before fees
    net_bps  = edge_bps − fees_eff_bps                         inventory_bps stands apart, and funding is in neither

What is not known is None and never zero: no fills have no edge, and a window without takers has no slippage.
Every p95 is the nearest rank (`statistics.nearest_rank`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import polars as pl

from mmbot.ledger import Attribution, attribution, combine
from mmbot.research.statistics import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.research.statistics import Floats, Integers

__all__ = ["KPI_UNITS", "Delays", "Fills", "Kpis", "kpis", "risk_ratio"]

BPS: Final = 1e4
NS_PER_MS: Final = 1e6
NS_PER_SECOND: Final = 1_000_000_000
DRIFT_WEIGHT: Final = 0.05
"""Weight of the newest second in `clock_drift_ms`."""
P95: Final = 0.95

KPI_UNITS: Final = {
    "maker_count": "fills",
    "taker_count": "fills",
    "maker_taker_ratio": "share",
    "edge_bps": "bps",
    "net_bps": "bps",
    "gross_bps": "bps",
    "adverse_bps": "bps",
    "slippage_bps": "bps",
    "fees_eff_bps": "bps",
    "inventory_bps": "bps",
    "slippage_bps_p95": "bps",
    "adverse_bps_p95": "bps",
    "p95_latency_ms": "ms",
    "risk_ratio": "share",
    "clock_drift_ms": "ms",
    "turnover": "currency",
    "unmarked_count": "fills",
    "message_count": "messages",
}
"""Unit of each field of `Kpis`."""


class Kpis(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of one window, of one symbol or of all together. None: not known, for a reason given at the field.

    All together means money and fills added first and divided then, never a mean of bps.
    """

    maker_count: int | None = None
    """Fills in which we rested."""
    taker_count: int | None = None
    """Fills in which we crossed the spread."""
    maker_taker_ratio: float | None = None
    """A share, maker / (maker + taker), whatever its name says; None without fills."""
    edge_bps: float | None = None
    """Gross less adverse selection and slippage, before fees; None without fills, as all bps here."""
    net_bps: float | None = None
    """Edge less effective fees: what trading itself earned."""
    gross_bps: float | None = None
    """What resting away from the mid earned."""
    adverse_bps: float | None = None
    """What the mid did to us between a fill and its markout horizon."""
    slippage_bps: float | None = None
    """What crossing the spread cost."""
    fees_eff_bps: float | None = None
    """Fees less rebates; negative when the rebates are larger."""
    inventory_bps: float | None = None
    """What the mid did to the position beyond the horizons, position held before included; profit positive."""
    slippage_bps_p95: float | None = None
    """p95 over taker fills of what each paid against the mid; None without taker fills."""
    adverse_bps_p95: float | None = None
    """p95 over fills of each one's adverse move; None while no fill has reached its horizon."""
    p95_latency_ms: float | None = None
    """p95 over market messages from the venue's matching engine to when the bot could decide on them: the feed's delay
    and both clocks' error. None without messages, and where the configuration draws the delays of a feed."""
    risk_ratio: float | None = None
    """p95 over samples of |position| / position limit (all together: notional / largest notional)."""
    clock_drift_ms: float | None = None
    """EWMA, weight 0.05 a second, of each second's least delay, since the start of the run: our clock's offset and the
    fastest way through the network, which public messages cannot tell apart."""
    turnover: float | None = None
    """Σ quantity × mid, in the settlement currency."""
    unmarked_count: int | None = None
    """Fills whose horizon lies beyond the recording; the last mid of the window stands in for theirs."""
    message_count: int | None = None
    """Book messages and trades heard."""


class Fills:
    """One symbol's fills in a window, and their attribution. Columns as in `research.frames.FILLS_SCHEMA`."""

    def __init__(
        self,
        rows: pl.DataFrame,
        *,
        markout: str,
        mid_start: float,
        mid_end: float,
        initial_position: float,
        inverse: bool,
    ) -> None:
        """`markout` names the column of later mids; `mid_start` and `mid_end` value what is held at the edges."""
        self.maker = rows["maker"].to_numpy()
        later = rows[markout].to_numpy().astype(np.float64)
        self.unmarked = int(np.isnan(later).sum())
        side, price, mid = (rows[name].to_numpy().astype(np.float64) for name in ("side", "price", "mid"))
        self.slippage_bps: Floats = (side * (price - mid) / mid * BPS)[~self.maker]
        self.adverse_bps: Floats = (side * (mid - later) / mid * BPS)[~np.isnan(later)]
        self.attribution = attribution(
            rows.with_columns(mid_after=pl.col(markout)),
            mid_start=mid_start,
            mid_end=mid_end,
            initial_position=initial_position,
            contract="inverse" if inverse else "linear",
        )


def kpis(
    fills: Sequence[Fills], *, latency_ms: float | None, risk: float | None, drift_ms: float | None, messages: int
) -> Kpis:
    """The KPIs of some symbols' fills together; one symbol is a list of one."""
    maker = sum(int(one.maker.sum()) for one in fills)
    taker = sum(len(one.maker) for one in fills) - maker
    split = combine(one.attribution for one in fills)
    return Kpis(
        maker_count=maker,
        taker_count=taker,
        maker_taker_ratio=maker / (maker + taker) if maker + taker else None,
        **_edge(split),
        slippage_bps_p95=_p95([one.slippage_bps for one in fills]),
        adverse_bps_p95=_p95([one.adverse_bps for one in fills]),
        p95_latency_ms=latency_ms,
        risk_ratio=risk,
        clock_drift_ms=drift_ms,
        turnover=split.turnover,
        unmarked_count=sum(one.unmarked for one in fills),
        message_count=messages,
    )


def _edge(split: Attribution) -> dict[str, float]:
    if not split.turnover > 0:
        return {}
    edge = split.edge_bps()
    return {
        "edge_bps": edge["gross_bps"] - edge["adverse_bps"] - edge["slippage_bps"],
        **{
            name: edge[name]
            for name in ("net_bps", "gross_bps", "adverse_bps", "slippage_bps", "fees_eff_bps", "inventory_bps")
        },
    }


def _p95(parts: Sequence[Floats]) -> float | None:
    return nearest_rank(np.concatenate(parts), P95) if parts else None


def risk_ratio(used: Floats) -> float | None:
    """p95 of shares of a limit in use, one for each sample."""
    return nearest_rank(used, P95)


class Delays:
    """How late market messages came, window after window; the smoothed clock offset is carried from one to the next."""

    def __init__(self) -> None:
        self._drift_ns: float | None = None

    def window(self, heard: Integers, delay_ns: Integers) -> tuple[float | None, float | None]:
        """(p95 latency, clock drift) in ms of the next window's messages; `heard` in ns, in any order."""
        for least in _least_by_second(heard, delay_ns):
            before = self._drift_ns
            self._drift_ns = least if before is None else before + DRIFT_WEIGHT * (least - before)
        p95 = nearest_rank(delay_ns.astype(np.float64), P95)
        drift = self._drift_ns
        return (None if p95 is None else p95 / NS_PER_MS), (None if drift is None else drift / NS_PER_MS)


def _least_by_second(heard: Integers, delay_ns: Integers) -> list[float]:
    if not heard.size:
        return []
    order = np.argsort(heard, kind="stable")
    seconds = heard[order] // NS_PER_SECOND
    starts = np.flatnonzero(np.concatenate(([True], seconds[1:] != seconds[:-1])))
    return [float(least) for least in np.minimum.reduceat(delay_ns[order], starts)]
