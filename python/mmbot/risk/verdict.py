"""What five measurements say: go on, step back, or get out. A function of (halt, measurements, now), and no history.

    guard         soft    hard    of
    volatility    15      25      bps over one minute
    latency       300     450     ms, 95th percentile of the round trips of the last minute
    P&L           -1.5    -2.5    standard deviations, over 60 minutes
    inventory     6       10      % of the largest position
    taker fills   12      20      within 15 minutes

A threshold that is reached counts. SOFT: half the size, and wider by 0.2 bps at a soft threshold up to 0.4 bps at a
hard one. HARD: cancel all, stay out for 2,000 ms, then look again. Any HARD wins, and every trigger is told.

**Bps over which time?** "15 bps" means nothing without it: 15 bps over a second would be 842 % a year, over a minute
109 %. Here it is one minute, so the soft threshold is 1.94 bps/√s. Annualised figures are for display and are never
compared with these thresholds: a calm market of 50 % a year is 5,000 of those bps, and would be halted for ever.

**What is not known is not safe.** NaN, a negative number where there is none, and a measurement that is missing are
HARD. Two may be missing (None): latency and P&L come from our own trading, and a guard that asked for them first would
never let the first order out.

Not handled: the way out of a position. Inventory at its hard threshold stays there while nothing may be quoted, until
an operator or an unwind closes it.
"""

import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from pydantic import Field, model_validator

from mmbot.config import Strict

__all__ = [
    "GuardLevel",
    "GuardVerdict",
    "Halt",
    "RiskGuard",
    "RiskGuardsConfig",
    "RiskMeasurements",
    "Trigger",
    "assess",
]

_NS_PER_MS = 1_000_000


class GuardLevel(IntEnum):
    """How bad it is; the number is what the gauge shows."""

    NONE = 0
    SOFT = 1
    HARD = 2


class RiskGuard(StrEnum):
    """What is watched; the value is the label that metrics use."""

    VOLATILITY = "volatility"
    LATENCY = "latency"
    PNL = "pnl"
    INVENTORY = "inventory"
    TAKER_FILLS = "taker_fills"


class RiskGuardsConfig(Strict):
    """Thresholds of the guards, what they are measured over, and what follows."""

    volatility_soft_bps: float = Field(default=15.0, gt=0)
    """Bps over `volatility_interval_s`."""
    volatility_hard_bps: float = Field(default=25.0, gt=0)
    """Likewise."""
    volatility_interval_s: float = Field(default=60.0, gt=0)
    """Seconds that the two thresholds speak of."""
    volatility_window: int = Field(default=20, ge=2, le=99)
    """Latest returns that one volatility is computed from."""
    price_stale_ms: float = Field(default=10_000.0, gt=0)
    """Age from which on the volatility is not known any more, ms."""
    latency_soft_ms: float = Field(default=300.0, gt=0)
    """95th percentile of order round trips."""
    latency_hard_ms: float = Field(default=450.0, gt=0)
    """Likewise."""
    latency_window_s: float = Field(default=60.0, gt=0)
    """How long a round trip counts. While nothing is sent nothing is measured, so they have to be forgotten."""
    latency_samples_min: int = Field(default=5, ge=1, le=100)
    """Fewer round trips say nothing: their percentile is only the worst of them."""
    pnl_soft_z: float = Field(default=-1.5, lt=0)
    """P&L of the window in standard deviations of what chance alone would make."""
    pnl_hard_z: float = Field(default=-2.5, lt=0)
    """Likewise."""
    pnl_window_s: float = Field(default=3600.0, gt=0)
    """Seconds of P&L that are looked at."""
    pnl_sample_s: float = Field(default=10.0, gt=0)
    """Least time between two samples of the P&L."""
    pnl_samples_min: int = Field(default=30, ge=2)
    """Fewer changes of the P&L say nothing."""
    inventory_soft_pct: float = Field(default=6.0, gt=0)
    """Position, percent of the largest allowed."""
    inventory_hard_pct: float = Field(default=10.0, gt=0)
    """Likewise."""
    taker_fills_soft: int = Field(default=12, ge=1)
    """Fills that we took, within the window."""
    taker_fills_hard: int = Field(default=20, ge=1)
    """Likewise."""
    taker_window_s: float = Field(default=900.0, gt=0)
    """How long a taker fill counts."""
    soft_size: float = Field(default=0.5, gt=0, le=1)
    """Share of the size that is quoted under SOFT."""
    soft_widen_min_bps: float = Field(default=0.2, ge=0)
    """By how much each quote steps back at a soft threshold."""
    soft_widen_max_bps: float = Field(default=0.4, ge=0)
    """By how much just before a hard one; in proportion between them, for the worst guard."""
    halt_ms: float = Field(default=2_000.0, gt=0)
    """How long HARD keeps us out before the measurements are looked at again."""

    def thresholds(self, guard: RiskGuard) -> tuple[float, float]:
        """Return the soft and the hard threshold of a guard."""
        match guard:
            case RiskGuard.VOLATILITY:
                return self.volatility_soft_bps, self.volatility_hard_bps
            case RiskGuard.LATENCY:
                return self.latency_soft_ms, self.latency_hard_ms
            case RiskGuard.PNL:
                return self.pnl_soft_z, self.pnl_hard_z
            case RiskGuard.INVENTORY:
                return self.inventory_soft_pct, self.inventory_hard_pct
            case RiskGuard.TAKER_FILLS:
                return self.taker_fills_soft, self.taker_fills_hard

    @model_validator(mode="after")
    def _check_relations(self) -> "RiskGuardsConfig":
        """Raise ValueError where a hard threshold is not beyond its soft one, or a window cannot fill."""
        for guard in RiskGuard:
            soft, hard = self.thresholds(guard)
            if not abs(soft) < abs(hard):
                raise ValueError(f"{guard}: soft is {soft} and hard is {hard}; expected hard to lie beyond soft")
        if self.soft_widen_min_bps > self.soft_widen_max_bps:
            raise ValueError(
                f"soft_widen_min_bps is {self.soft_widen_min_bps}; expected at most {self.soft_widen_max_bps}, the max"
            )
        if self.pnl_samples_min * self.pnl_sample_s >= self.pnl_window_s:
            raise ValueError(
                f"pnl_samples_min {self.pnl_samples_min} at one per {self.pnl_sample_s} s never fit into pnl_window_s "
                f"{self.pnl_window_s}, so this guard could not trigger; shorten pnl_sample_s"
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskMeasurements:
    """What is known at one moment. None: it could not be measured; see the module for what that means."""

    volatility_bps: float | None
    """Over `volatility_interval_s`."""
    inventory_pct: float | None
    """Size of the position, percent of the largest allowed."""
    taker_fills: float | None
    """Fills that we took within the window."""
    latency_p95_ms: float | None = None
    """Round trips of orders; None while there are too few."""
    pnl_z: float | None = None
    """Standard deviations; negative is losing; None while there are too few samples."""

    def of(self, guard: RiskGuard) -> float | None:
        """Return what a guard looks at."""
        match guard:
            case RiskGuard.VOLATILITY:
                return self.volatility_bps
            case RiskGuard.LATENCY:
                return self.latency_p95_ms
            case RiskGuard.PNL:
                return self.pnl_z
            case RiskGuard.INVENTORY:
                return self.inventory_pct
            case RiskGuard.TAKER_FILLS:
                return self.taker_fills


@dataclass(frozen=True, slots=True)
class Trigger:
    """One guard that is not content."""

    guard: RiskGuard
    level: GuardLevel
    measured: float | None
    """None or NaN: not known."""
    soft: float
    hard: float

    @property
    def severity(self) -> float:
        """How far from the soft (0) to the hard threshold (1), and 1 beyond it."""
        if self.level is GuardLevel.HARD or self.measured is None:
            return 1.0
        return (self.measured - self.soft) / (self.hard - self.soft)

    def __str__(self) -> str:
        """Say what was measured and what the thresholds are."""
        known = self.measured is not None and not math.isnan(self.measured)
        said = f"is {self.measured:g}" if known else "is not known"
        return f"{self.level.name} {self.guard}: {said}; soft {self.soft:g}, hard {self.hard:g}"


@dataclass(frozen=True, slots=True)
class Halt:
    """Out of the market until a time, and why."""

    until_ns: int
    triggers: tuple[Trigger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """What the guards ask for now."""

    level: GuardLevel
    triggers: tuple[Trigger, ...]
    """Every guard that is not content; within a halt, those that began it."""
    size_factor: float
    """What to multiply quoted sizes with; 0 when nothing may be quoted."""
    widen_bps: float
    """By how much each quote steps away from the fair price."""
    cancel_all: bool
    """Cancel everything now. True once at the start of each halt."""
    halted_until_ns: int | None = None
    """When the measurements are looked at again, ns since epoch; None while there is no halt."""

    @property
    def quotes(self) -> bool:
        """Whether anything may be quoted."""
        return self.level is not GuardLevel.HARD

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every trigger in words."""
        return tuple(str(trigger) for trigger in self.triggers)


def assess(
    config: RiskGuardsConfig, halt: Halt | None, measured: RiskMeasurements, now_ns: int
) -> tuple[Halt | None, GuardVerdict]:
    """Return the next halt and the verdict.

    A halt runs to its end whatever is measured meanwhile, so that quotes do not flicker around a threshold. At its end
    the measurements decide: a new halt, or back into the market.
    """
    if halt is not None and now_ns < halt.until_ns:
        return halt, _out(halt, cancel_all=False)
    triggers = tuple(filter(None, (_look(config, guard, measured) for guard in RiskGuard)))
    level = max((trigger.level for trigger in triggers), default=GuardLevel.NONE)
    if level is GuardLevel.HARD:
        halt = Halt(now_ns + round(config.halt_ms * _NS_PER_MS), triggers)
        return halt, _out(halt, cancel_all=True)
    size, widen = 1.0, 0.0
    if level is GuardLevel.SOFT:
        worst = max(trigger.severity for trigger in triggers)
        least, most = config.soft_widen_min_bps, config.soft_widen_max_bps
        size, widen = config.soft_size, least + worst * (most - least)
    return None, GuardVerdict(level=level, triggers=triggers, size_factor=size, widen_bps=widen, cancel_all=False)


def _out(halt: Halt, *, cancel_all: bool) -> GuardVerdict:
    return GuardVerdict(
        level=GuardLevel.HARD,
        triggers=halt.triggers,
        size_factor=0.0,
        widen_bps=0.0,
        cancel_all=cancel_all,
        halted_until_ns=halt.until_ns,
    )


_MAY_BE_MISSING = (RiskGuard.LATENCY, RiskGuard.PNL)


def _look(config: RiskGuardsConfig, guard: RiskGuard, measurements: RiskMeasurements) -> Trigger | None:
    """Hold one measurement against its thresholds; None when the guard is content."""
    measured, (soft, hard) = measurements.of(guard), config.thresholds(guard)
    if measured is None:
        return None if guard in _MAY_BE_MISSING else Trigger(guard, GuardLevel.HARD, None, soft, hard)
    bad = -measured if guard is RiskGuard.PNL else measured
    nonsense = math.isnan(measured) or (guard is not RiskGuard.PNL and measured < 0.0)
    if nonsense or bad >= abs(hard):
        return Trigger(guard, GuardLevel.HARD, measured, soft, hard)
    return Trigger(guard, GuardLevel.SOFT, measured, soft, hard) if bad >= abs(soft) else None
