"""Risk controls of a run: on by default, with values that an ordinary account survives.

Money is in the quote currency (USD, USDT and USDC are taken as one) and written in quotes; 0 switches an age or a
count off where it says so, and `RiskConfig.off` names all that is. `launch` is the one switch for the first days: a
tenth of every amount, a daily loss of 3 % and at most five positions.

What cannot be meant is refused when the configuration is read. Every number has a bound so near to its default that a
slip of three digits is beyond it, and amounts are held against each other: order, instrument, account, firm, and the
caps that are compiled in. What only the account and the market know is looked at when a run starts
(`mmbot.ops.plausible`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from mmbot.config.strict import Strict, shown

__all__ = ["CAP_FIRM", "CAP_GROSS", "CAP_ORDER", "LAUNCH_SHARE", "RiskConfig"]

LAUNCH_SHARE = Decimal("0.1")
"""Share of every amount while `launch` is on."""
CAP_ORDER, CAP_GROSS = Decimal(1_000_000), Decimal(10_000_000)
"""What the core compiles in; a configuration may say less, never more."""
CAP_FIRM = 10 * CAP_GROSS
"""Most that a configuration may let all accounts have."""
_CAPITALS = 10
_LAUNCH_POSITIONS, _LAUNCH_LOSS_DAY_PCT = 5, 3.0
_DEPEG_BPS = 100.0
_OF_INSTRUMENT = re.compile(r"instruments\.[0-9]+\.limits\.collar_bps")
_MONEY = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def _money(given: object) -> object:
    """Take a positive plain decimal in quotes. Raises ValueError."""
    if not isinstance(given, str) or not _MONEY.fullmatch(given) or not Decimal(given):
        raise ValueError(
            f'is {shown(given)}; expected a positive plain decimal in quotes, such as "25000", '
            "with at most 12 digits before and after the point"
        )
    return given


Money = Annotated[str, BeforeValidator(_money)]
"""An amount of the quote currency above zero."""
Percent = Annotated[float, Field(gt=0, le=100)]
"""Of something, above zero."""
Minute = Annotated[int, Field(ge=0, le=60_000)]
"""A time up to a minute in ms; 0 is off."""
Hour = Annotated[int, Field(ge=0, le=3_600_000)]
"""A time up to an hour in ms; 0 is off."""
Few = Annotated[int, Field(ge=0, le=1_000)]
"""How many; 0 is off."""


class RiskConfig(Strict):
    """The controls, key by key; `docs/controls.md` says what each does and under which code it speaks."""

    foreign: ClassVar[dict[str, str]] = {
        "max_inventory_usd_per_symbol": "write max_inventory_usd",
        "max_total_notional": "write max_total_notional_usd",
        "enable_circuit_breaker": "the loss breakers are always on; set loss_day_pct",
    }

    launch: bool = False
    """First days: a tenth of every amount, 3 % daily loss, five positions."""
    capital_usd: Money = "10000"
    """What losses are percentages of."""
    lift_shadow_s: float = Field(default=300.0, ge=0, le=86_400)
    """After people lift a freeze at CANCEL_ALL or above: how long the strategy decides and nothing grows."""
    lift_canary_s: float = Field(default=1_800.0, ge=0, le=604_800)
    """After that, or after the lift of a lower freeze: how long a tenth of the limits holds."""

    max_order_notional_usd: Money = "25000"
    """Most that one order may be worth."""
    max_inventory_usd: Money = "50000"
    """Most that the worst-case position of one instrument may be worth."""
    max_open_notional_usd: Money = "100000"
    """Most that the open orders of one instrument may be worth."""
    max_total_notional_usd: Money = "100000"
    """Most that all worst-case positions of the account may be worth, longs and shorts added up."""
    max_net_notional_usd: Money = "100000"
    """Likewise, longs less shorts."""
    max_firm_notional_usd: Money = "200000"
    """Likewise, gross and net, for all accounts of an environment below one session folder."""
    max_open_positions: Annotated[int, Field(ge=1, le=1_000)] = 20
    """Most instruments with a position, worst case: one that is only quoted counts."""
    max_orders_per_symbol: Annotated[int, Field(ge=1, le=500)] = 100
    """Most orders of one instrument that are not settled; Bybit takes 500."""
    cap_order_usd: Money = "100000"
    """Attested cap on one order. The core lets nobody set it above a million."""
    cap_gross_usd: Money = "1000000"
    """Attested cap on all positions of the run. The core lets nobody set it above ten million."""

    unit_shift: bool = True
    """Refuse ten times the usual size, and a tenth or ten times the market's price."""
    duplicate_ms: Minute = 500
    """Refuse an order like one that was sent so recently, whatever became of it; a post-only one only like one that
    still stands.
    """
    self_match: bool = True
    """Refuse an order that would meet our own."""
    maker_only: bool = False
    """Refuse every order that may take, but for those that shrink a position. Quotes are post-only anyway."""
    book_age_ms: Minute = 250
    """Oldest message of an instrument by our clock. A thin market needs more: Bybit repeats a quiet book after 3 s."""
    venue_age_ms: Minute = 500
    """Oldest book by the venue's clock."""
    decision_age_ms: Annotated[int, Field(ge=1, le=60_000)] = 250
    """Oldest decision that may still leave."""
    mark_age_ms: Hour = 60_000
    """Oldest price by which a position may be valued."""
    reference_collar_bps: Annotated[int, Field(gt=0, lt=10_000)] = 300
    """How far beyond the second reference price a limit price may be."""
    reference_age_ms: Hour = 30_000
    """Oldest second reference price: the venue's mark, or the last trade where it has none. Without one nothing that
    grows leaves; 0: none is needed, and one that is there counts."""
    elsewhere_age_ms: Hour = 5_000
    """Oldest word of the firm's other accounts on what they hold. Without one nothing that grows leaves; 0: none is
    needed, and one that is there counts."""
    orders_per_trade: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Requests for one execution within a day of UTC; 0 is off."""
    orders_free: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Requests of a day before that ratio is looked at."""
    creates_pct: Percent = 50.0
    """Share of the session's calls per second that new orders may use."""
    requests_pct: Percent = 70.0
    """Share that new orders and amends may use together: the rest is for cancels and questions."""

    loss_minute_pct: Percent = 1.0
    """Loss within a minute, of capital_usd, from which on positions may only shrink."""
    loss_hour_pct: Percent = 3.0
    """Loss within an hour from which on nothing new leaves."""
    loss_day_pct: Percent = 5.0
    """Loss of a day of UTC from which on everything is cancelled."""
    drawdown_pct: Percent = 15.0
    """Fall from the highest equity ever seen, of capital_usd, likewise. Only a person forgets the peak."""
    rejects_in_a_row: Few = 10
    """Orders that the venue refused, one after the other; 0 is off."""
    unknowns_in_a_row: Few = 3
    """Requests without an answer, one after the other, within 10 s; 0 is off."""
    executions_max: Annotated[int, Field(ge=0, le=100_000)] = 500
    """Executions within a minute before a person has to look; 0 is off."""
    one_sided_fills: Few = 25
    """Fills on one side, one after the other; 0 is off."""
    markout_fills: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Fills that a markout or an edge is averaged over; fewer say nothing."""
    markout_freeze_bps: Annotated[float, Field(gt=-1_000, lt=0)] = -5.0
    """Average markout from which on positions may only shrink."""
    edge_freeze_threshold_bps: Annotated[float, Field(gt=-100, lt=100)] = 1.5
    """Edge below which nothing new leaves: what the last fills earned against the mid they met, fees paid."""
    margin_headroom_pct: Annotated[float, Field(ge=0, le=100)] = 20.0
    """Free share of the margin, worst case, below which positions may only shrink; 0 is off. Spot has no margin."""
    account_age_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 180_000
    """Oldest word of the venue on the margin, and on what a position with a stop was entered at; without one nothing
    that grows leaves."""
    fee_tolerance_bps: Annotated[float, Field(ge=0, lt=100)] = 0.1
    """How far a fee may be above the rate that the venue told."""
    depeg_pair: Annotated[str, Field(pattern=r"^(spot|linear) [A-Z0-9]+$")] | None = None
    """Two stable coins, as "spot USDCUSDT": heard beside the instruments, never traded. Live needs it."""
    depeg_bps: Annotated[float, Field(gt=0, lt=5_000)] | None = None
    """How far that pair may be from one; 100 where a pair is named and this is not."""
    stop_loss_pct: Percent | None = None
    """Loss of a position against its entry price at which it is worked off. While a stop is set, a position whose entry
    price is not known does not grow."""
    trailing_stop_pct: Percent | None = None
    """Fall from its best price, likewise."""
    unhedged_usd_s: Annotated[float, Field(gt=0, le=10_000_000)] | None = None
    """Amount times seconds for which legs of one coin may not cancel out: for a strategy with two of them."""
    guards: bool = True
    """Guards of A-022 on volatility, latency, P&L, inventory and taker fills: half size and wider, or out for 2 s."""
    guard_volatility_soft_bps: Annotated[float, Field(gt=0, lt=10_000)] = 15.0
    """Volatility over one minute from which on quotes are smaller and wider."""
    guard_volatility_hard_bps: Annotated[float, Field(gt=0, lt=10_000)] = 25.0
    """Likewise, out of the market."""
    guard_latency_soft_ms: Annotated[float, Field(gt=0, lt=60_000)] = 300.0
    """95th percentile of the round trips of a minute from which on quotes are smaller and wider."""
    guard_latency_hard_ms: Annotated[float, Field(gt=0, lt=60_000)] = 450.0
    """Likewise, out of the market."""
    guard_inventory_soft_pct: Annotated[float, Field(gt=0, lt=1_000)] = 60.0
    """Position, percent of the instrument's position limit, from which on quotes are smaller and wider."""
    guard_inventory_hard_pct: Annotated[float, Field(gt=0, lt=1_000)] = 110.0
    """Likewise, out of the market: beyond the limit, where no order of ours leads."""
    risk_ratio_warn: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """95th percentile of used to allowed notional above which to warn."""

    off_on_purpose: tuple[str, ...] = ()
    """Keys of controls that are off, or wider than the run can reach, because somebody wants it so; of an instrument as
    "instruments.0.limits.collar_bps". Live begins only where each is named; the start of a run tells which they are."""

    def amount(self, name: str) -> Decimal:
        """Return an amount as it holds: a tenth of what is configured while `launch` is on."""
        return Decimal(getattr(self, name)) * (LAUNCH_SHARE if self.launch else 1)

    @property
    def off(self) -> tuple[str, ...]:
        """The keys whose control is switched off."""
        return tuple(key for key in _SWITCHES if not getattr(self, key))

    @property
    def stops(self) -> bool:
        """Positions are held against what they were entered at."""
        return self.stop_loss_pct is not None or self.trailing_stop_pct is not None

    @property
    def positions(self) -> int:
        """Most instruments with a position, as it holds."""
        return min(self.max_open_positions, _LAUNCH_POSITIONS) if self.launch else self.max_open_positions

    @property
    def daily_loss_pct(self) -> float:
        """Daily loss as it holds."""
        return min(self.loss_day_pct, _LAUNCH_LOSS_DAY_PCT) if self.launch else self.loss_day_pct

    @property
    def peg_bps(self) -> float:
        """How far the pair may be from one, as it holds."""
        return _DEPEG_BPS if self.depeg_bps is None else self.depeg_bps

    @model_validator(mode="after")
    def _consistent(self) -> RiskConfig:
        """Raise ValueError where a wider net is tighter than a narrower one, or a cap would be lifted."""
        for name, cap in (
            ("cap_order_usd", CAP_ORDER),
            ("cap_gross_usd", CAP_GROSS),
            ("max_firm_notional_usd", CAP_FIRM),
        ):
            if Decimal(getattr(self, name)) > cap:
                raise ValueError(f"{name} is {getattr(self, name)}; no configuration lifts it above {cap}")
        unknown = [
            key
            for key in self.off_on_purpose
            if key not in type(self).model_fields and not _OF_INSTRUMENT.fullmatch(key)
        ]
        if unknown:
            raise ValueError(f"off_on_purpose names {', '.join(unknown)}; expected keys of risk, without `risk.`")
        rising = [
            ("max_order_notional_usd", "max_inventory_usd"),
            ("max_inventory_usd", "max_total_notional_usd"),
            ("max_net_notional_usd", "max_total_notional_usd"),
            ("max_order_notional_usd", "max_open_notional_usd"),
            ("max_open_notional_usd", "cap_gross_usd"),
            ("max_total_notional_usd", "max_firm_notional_usd"),
            ("max_order_notional_usd", "cap_order_usd"),
            ("cap_order_usd", "cap_gross_usd"),
            ("max_total_notional_usd", "cap_gross_usd"),
            ("loss_minute_pct", "loss_hour_pct"),
            ("loss_hour_pct", "loss_day_pct"),
            ("loss_day_pct", "drawdown_pct"),
            ("creates_pct", "requests_pct"),
            ("guard_volatility_soft_bps", "guard_volatility_hard_bps"),
            ("guard_latency_soft_ms", "guard_latency_hard_ms"),
            ("guard_inventory_soft_pct", "guard_inventory_hard_pct"),
        ]
        for less, more in rising:
            low, high = getattr(self, less), getattr(self, more)
            if Decimal(str(low)) > Decimal(str(high)):
                raise ValueError(f"{less} is {low}, above {more} {high}; expected it to be at most that")
        if self.depeg_bps is not None and self.depeg_pair is None:
            raise ValueError('depeg_bps has nothing to measure; name a pair too, such as depeg_pair = "spot USDCUSDT"')
        if Decimal(self.capital_usd) > _CAPITALS * Decimal(self.max_total_notional_usd):
            raise ValueError(
                f"capital_usd is {self.capital_usd}; expected at most {_CAPITALS} times max_total_notional_usd "
                f"{self.max_total_notional_usd}: losses are held against percentages of it, and that is never at stake"
            )
        return self


_SWITCHES = (
    "unit_shift",
    "duplicate_ms",
    "self_match",
    "book_age_ms",
    "venue_age_ms",
    "mark_age_ms",
    "reference_age_ms",
    "elsewhere_age_ms",
    "orders_per_trade",
    "rejects_in_a_row",
    "unknowns_in_a_row",
    "executions_max",
    "one_sided_fills",
    "margin_headroom_pct",
    "depeg_pair",
    "stop_loss_pct",
    "trailing_stop_pct",
    "unhedged_usd_s",
    "guards",
    "lift_shadow_s",
    "lift_canary_s",
)
"""Keys that switch their control off: false, 0, or not given."""
