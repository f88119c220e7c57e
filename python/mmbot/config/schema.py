"""The configuration of a backtest, key by key.

Quantities are decimal strings in units of the instrument (``"0.1"`` BTC), because a binary float is no size; rates are
basis points; times are milliseconds. What does not fit the instrument's grid is refused when the run is built.
"""

from __future__ import annotations

import decimal
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mmbot.config.load import ConfigError
from mmbot.config.risk import RiskConfig
from mmbot.config.session import SessionConfig
from mmbot.config.strict import Strict, shown

Milliseconds = Annotated[float, Field(ge=0, le=86_400_000)]
"""A time up to a day."""
Bps = Annotated[float, Field(gt=-1_000, lt=1_000)]
"""A rate below ten per cent."""
Count = Annotated[int, Field(gt=0, lt=2**31)]
"""How many; at least one."""


def _plain_decimal(given: object) -> object:
    """Answer a number without quotes, or text that is no plain decimal, with what to write. Raises ValueError."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        raise ValueError(f'write it in quotes: "{shown(given)}"')
    if isinstance(given, str) and not PLAIN_DECIMAL.fullmatch(given):
        raise ValueError('must be a plain non-negative decimal, such as "0.2", of at most 18 digits either side')
    return given


PLAIN_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?")
Decimal = Annotated[str, BeforeValidator(_plain_decimal)]
"""A plain non-negative decimal number as text."""


class LatencyConfig(Strict):
    """How long a message is under way: exactly one of the three."""

    constant_ms: Milliseconds | None = None
    """Always the same, in ms."""
    quantiles_ms: list[Milliseconds] | None = None
    """Drawn from the distribution with these equally spaced quantiles, minimum first, in ms."""
    recorded: str | None = None
    """A CSV file with the columns ts_ns, latency_ns: the row before the time of sending holds, and rows of that very
    time are taken in turn. Its path is relative to the configuration file."""

    @field_validator("recorded")
    @classmethod
    def _beside_the_configuration(cls, recorded: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        return recorded if recorded is None or folder is None else str(Path(folder) / recorded)

    @model_validator(mode="after")
    def _exactly_one(self) -> LatencyConfig:
        given = [name for name in ("constant_ms", "quantiles_ms", "recorded") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of constant_ms, quantiles_ms, recorded; got {given or 'none'}")
        return self


class FeesConfig(Strict):
    """Rates in basis points of the notional; a negative maker rate is a rebate. What is not given is the tape's own."""

    maker_bps: Bps | None = None
    """For resting orders; absent: as the tape says."""
    taker_bps: Bps | None = None
    """For orders that take; absent: as the tape says."""
    tiers: list[tuple[Decimal, Bps, Bps]] | None = None
    """Instead: (30-day volume from, maker bps, taker bps), the first from "0"."""
    volume_before: Decimal = "0"
    """Notional traded before the run that counts for the tier."""

    @property
    def from_tape(self) -> bool:
        """Nothing is said about the rates, so they are the tape's own."""
        return self.maker_bps is None and self.taker_bps is None and self.tiers is None


class VenueConfig(Strict):
    """The laws of the simulated venue."""

    queue: Literal["risk_averse", "power", "power2", "power3", "log", "log2", "fifo"] = "power"
    """Where a resting order stands in line. `fifo` is exact and needs a tape by order; the others guess from levels."""
    queue_n: float | None = None
    """Exponent of the power laws."""
    entry: LatencyConfig = LatencyConfig(constant_ms=10.0)
    """From us to the venue."""
    response: LatencyConfig = LatencyConfig(constant_ms=10.0)
    """From the venue to us."""
    feed: LatencyConfig | None = None
    """Market data by this law instead of the recorded times."""
    feed_extra_ms: Milliseconds = 0.0
    """Market data later than recorded by so much."""
    whole_fills: bool = False
    """A match fills the whole order, whatever its size: what most replay simulators do."""
    consume_liquidity: bool = True
    """Displayed liquidity that we took stays taken."""
    full_book: bool = False
    """Replay with a second full book at the venue's time: the slow oracle of the default."""


class LimitsConfig(Strict):
    """Hard limits. What would breach one is denied and never retried."""

    position: Decimal
    """Largest position either way, worst case, in units of the instrument (contracts, if it is sold in contracts)."""
    order: Decimal
    """Largest order, likewise."""
    open_orders: Annotated[int, Field(gt=0, le=10_000)] = 50
    """Most orders that are not settled."""
    collar_bps: Annotated[int, Field(gt=0, lt=10_000)] = 100
    """How far beyond the touch a limit price may be on the aggressive side."""
    requests_per_second: Annotated[int, Field(gt=0, le=10_000)] = 50
    """New orders and amends."""

    @model_validator(mode="after")
    def _consistent(self) -> LimitsConfig:
        order, position = decimal.Decimal(self.order), decimal.Decimal(self.position)
        if not 0 < order <= position:
            raise ValueError(
                f"order is {self.order} and position {self.position}; expected an order above zero and within position"
            )
        return self


class OrdersConfig(Strict):
    """How what is wanted becomes commands."""

    keep_within_ticks: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """A standing order this near to where one is wanted keeps its place in the queue."""
    refill_below_percent: Annotated[int, Field(ge=0, le=100)] = 0
    """A partly filled order is replaced when less than this share of the wanted quantity is left."""
    amend: bool = False
    """Move orders by amends rather than by cancel and place."""


class InstrumentConfig(Strict):
    """One instrument of the run."""

    limits: LimitsConfig
    """Hard limits."""
    tape: str | None = None
    """A recorded market: a tape's path, or ``sample:NAME`` for one that comes with the package. A backtest needs it."""
    symbol: str | None = None
    """Its name at the venue of `mmbot run`; absent: as the tape says."""
    category: Literal["linear", "inverse", "spot"] | None = None
    """What it is at the venue of `mmbot run`; absent: as the tape says."""
    fees: FeesConfig = FeesConfig()
    """Fees; without them the tape's own."""
    venue: VenueConfig = VenueConfig()
    """Laws of the simulated venue."""
    orders: OrdersConfig = OrdersConfig()
    """Order handling."""
    base: str | None = None
    """Name of the traded unit; taken from the symbol if it can be."""
    quote: str | None = None
    """Name of the currency prices are in; likewise."""

    @model_validator(mode="after")
    def _says_which(self) -> InstrumentConfig:
        if self.tape is None and (self.symbol is None or self.category is None):
            raise ValueError("give its tape, or symbol and category, or all three")
        return self

    @property
    def recording(self) -> str:
        """The tape, where one is needed. Raises ConfigError if none is given."""
        if self.tape is None:
            raise ConfigError(f"instruments: {self.symbol} has no tape; give one (`tape = ...`) to replay its market")
        return self.tape


class StrategyConfig(Strict):
    """Which strategy, and its own parameters."""

    name: str
    """A shipped one by name, or your own as ``path/to/file.py:ClassName`` or ``package.module:ClassName``."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Its parameters; checked by the strategy's own model."""


class BacktestConfig(Strict):
    """A backtest."""

    instruments: Annotated[list[InstrumentConfig], Field(min_length=1)]
    """What is traded, in the order in which the strategy sees it."""
    strategy: StrategyConfig | None = None
    """Who decides; may be given as an object instead."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1
    """Seed of everything that is drawn."""
    sample_ms: Annotated[float, Field(ge=1, le=86_400_000)] = 1_000.0
    """How often position, cash and quotes are sampled for the report."""
    markout: Literal["100ms", "1s", "5s", "30s", "300s"] = "5s"
    """The horizon that splits adverse selection from inventory in the attribution."""
    risk: RiskConfig = RiskConfig()
    """Controls of `mmbot run`, on by default. A backtest does not read them."""
    session: SessionConfig | None = None
    """Where `mmbot run` trades it. A backtest does not read it."""

    @field_validator("instruments")
    @classmethod
    def _no_tape_twice(cls, instruments: list[InstrumentConfig]) -> list[InstrumentConfig]:
        tapes = [instrument.tape for instrument in instruments if instrument.tape is not None]
        if len(set(tapes)) != len(tapes):
            raise ValueError(f"a tape is given twice: {tapes}")
        return instruments

    @model_validator(mode="after")
    def _is_heard_in_time(self) -> BacktestConfig:
        """Raise ValueError where the account is asked about more seldom than what it says may be old."""
        if self.session is None or not (self.risk.margin_headroom_pct or self.risk.stops):
            return self
        for key in ("recon_interval_s", "positions_s"):
            every_s = getattr(self.session, key)
            if every_s * 2_000 > self.risk.account_age_ms:
                raise ValueError(
                    f"session.{key} is {every_s:g} and risk.account_age_ms {self.risk.account_age_ms}; expected the "
                    "account to be asked about at least twice within that age, or orders are denied in between"
                )
        return self

    def hash(self) -> str:
        """One name for this configuration: SHA-256 of its JSON with sorted keys, first 16 hex digits.

        A recorded latency counts by what its file holds, not by where it is; `session` does not count. Raises OSError
        if a file cannot be read.
        """
        words = self.model_dump(mode="json")
        del words["session"]  # the stage of a run: what passed its gate on paper goes live under the same name
        if self.risk == RiskConfig():
            del words["risk"]  # likewise what is not said
        for instrument in words["instruments"]:
            # What is not said has no part in the name, so that these keys leave the older names alone.
            for key in ("symbol", "category"):
                if instrument[key] is None:
                    del instrument[key]
            for law in ("entry", "response", "feed"):
                latency = instrument["venue"][law]
                if latency is not None and latency["recorded"] is not None:
                    latency["recorded"] = hashlib.sha256(Path(latency["recorded"]).read_bytes()).hexdigest()
        text = json.dumps(words, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
