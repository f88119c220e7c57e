"""What a run was and what it came to, as typed records: the page that every view of a result is made from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot.research import statistics

SIGNIFICANT_DIGITS = 9
"""Precision of floats in JSON: far beyond any meaning, and short of where the order of a summation shows."""


@dataclass(frozen=True, kw_only=True)
class InstrumentFacts:
    """One traded instrument. `symbol` is its name in every frame; tick and lot as the venue writes them."""

    symbol: str
    venue: str
    kind: str
    tick: str
    lot: str
    base: str
    quote: str

    @property
    def inverse(self) -> bool:
        """Settled in the coin it is about, and counted in the currency its price is in."""
        return self.kind.lower() == "inverse"

    @property
    def currency(self) -> str:
        """What it settles in: all money of this instrument."""
        return self.base if self.inverse else self.quote

    @property
    def unit(self) -> str:
        """What its quantities count."""
        return self.quote if self.inverse else self.base


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What names a run and lets somebody repeat it.

    `laws` says by which rules the simulated venue worked (queue model, latencies, fees, ...), `limitations` what
    those rules leave out. `markout_horizon` is the column of later mids by which the ledger splits adverse selection
    from inventory. `strategy` is who decided, with its settings.
    """

    run_id: str
    mode: str
    version: str
    config_hash: str
    code_hash: str
    tape_hashes: tuple[str, ...]
    seed: int
    commands_hash: str
    state_hash: str
    venue: str
    instruments: tuple[InstrumentFacts, ...]
    start_ns: int
    span_ns: int
    events: int
    wakes: int
    laws: Mapping[str, str]
    limitations: tuple[str, ...] = ()
    strategy: str = ""
    days_per_year: int = 365
    markout_horizon: str = "mid_5s"

    @property
    def inverse(self) -> frozenset[str]:
        """Symbols of the inverse contracts."""
        return frozenset(one.symbol for one in self.instruments if one.inverse)


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Every measure, for one instrument or for the whole run."""

    pnl: statistics.PnlSplit
    fills: statistics.FillCounts
    orders: statistics.OrderCounts
    markouts_maker: tuple[statistics.Markout, ...]
    markouts_taker: tuple[statistics.Markout, ...]
    queue: tuple[statistics.QueueBin, ...]
    inventory: statistics.Inventory
    quoting: statistics.Quoting
    performance: statistics.Performance


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of a run. The total's inventory is a net value in `currency`, an instrument's is in its base."""

    run: RunFacts
    currency: str
    total: Breakdown
    instruments: Mapping[str, Breakdown]

    @property
    def detail(self) -> Breakdown:
        """What to show in detail: the whole run, or its only instrument, whose inventory has a unit of its own."""
        return self.total if len(self.instruments) > 1 else next(iter(self.instruments.values()))

    def as_json(self, *, utc: str) -> str:
        """This summary as JSON: sorted keys, ASCII, LF, final newline, floats of 9 significant digits.

        `utc` is the time of writing (`report.utc_now`), kept apart under `runtime` from what the run itself says.
        """
        document = {**asdict(self), "runtime": {"utc": utc, "version": self.run.version}}
        return json.dumps(rounded(document), sort_keys=True, indent=2, allow_nan=False) + "\n"


def rounded(value: object) -> object:
    """The same tree with floats of fixed precision, so that the last bit of a sum cannot change a file."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return value
