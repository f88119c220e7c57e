"""What a run looks like at one moment: what the screen, the plain lines and the JSON events are made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.runtime.latency import Spread

__all__ = ["FillShown", "InstrumentShown", "OrderShown", "RunState", "Status"]

RunState: TypeAlias = Literal["starting", "quoting", "paused", "stopping", "stopped"]


@dataclass(frozen=True, kw_only=True)
class OrderShown:
    """One working order. `ahead`: quantity estimated in front of it; None while it does not rest."""

    side: str
    price: str
    leaves: str
    state: str
    ahead: float | None


@dataclass(frozen=True, kw_only=True)
class FillShown:
    """One own execution. `fee`: paid, in the settlement currency; negative is a rebate."""

    ts_venue: int
    symbol: str
    side: str
    price: str
    qty: str
    maker: bool
    fee: str
    fee_currency: str


@dataclass(frozen=True, kw_only=True)
class InstrumentShown:
    """One instrument: the book as heard (best first, price and quantity), ours, and what it came to so far.

    `pnl` is cash and position at the mid; `captured` what the fills earned against the mid they met, rebates and fees
    apart; `moved` is the rest: what the market did to the position. Settlement currency.
    """

    symbol: str
    category: str
    currency: str
    bids: Sequence[tuple[str, str]]
    asks: Sequence[tuple[str, str]]
    orders: Sequence[OrderShown]
    position: str
    position_max: str
    mid: float | None
    pnl: float | None
    captured: float
    fees: float
    moved: float | None
    maker_fills: int
    taker_fills: int
    turnover: float


@dataclass(frozen=True, kw_only=True)
class Status:
    """The whole run. `denials`: orders that a limit held back, by reason. `doubts`: orders nobody knows about.
    `metrics`: every number of the run, `name{label="value"}`.
    """

    ts: int
    mode: str
    environment: str
    state: RunState
    why: Sequence[str]
    strategy: str
    uptime_s: float
    instruments: Sequence[InstrumentShown]
    fills: Sequence[FillShown]
    links: Mapping[str, str]
    latencies: Mapping[str, Spread]
    denials: Mapping[str, int]
    counters: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def as_event(self) -> dict[str, Any]:
        """The status as one JSON object for machines."""
        return {"event": "status", **asdict(self)}
