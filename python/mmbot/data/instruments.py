"""Grids of recorded instruments whose recording does not say them, and fee profiles.

Fees are a choice of the backtest, not of the recording: the tape carries a default that a run may override.
"""

from dataclasses import dataclass
from decimal import Decimal

from mmbot._core import Instrument
from mmbot.venues.port import FeeRates, InstrumentTerms

RATE_PER_BP = 10_000
"""Fee rates are whole multiples of 10^-8 of the notional."""


@dataclass(frozen=True, kw_only=True)
class FeeProfile:
    """Maker and taker rates in 10^-8 of the notional; negative is a rebate."""

    maker: int
    taker: int

    @classmethod
    def of(cls, rates: FeeRates) -> "FeeProfile":
        """What an account pays, to the nearest 10^-8."""
        return cls(maker=_whole(rates.maker), taker=_whole(rates.taker))


def _whole(rate: str) -> int:
    return int((Decimal(rate) * 10**8).to_integral_value())


FEE_PROFILES = {
    "maker-rebate": FeeProfile(maker=-RATE_PER_BP // 2, taker=4 * RATE_PER_BP),  # a market-maker programme
    "binance-usdm-regular": FeeProfile(maker=2 * RATE_PER_BP, taker=5 * RATE_PER_BP),
    "bybit-linear-regular": FeeProfile(maker=2 * RATE_PER_BP, taker=55 * RATE_PER_BP // 10),
    "spot-regular": FeeProfile(maker=10 * RATE_PER_BP, taker=10 * RATE_PER_BP),
    "free": FeeProfile(maker=0, taker=0),
}
"""Public schedules as of 2025, lowest tier, and the project's default `maker-rebate`."""

BINANCE_GRIDS = {
    ("usdm", "BTCUSDT"): ("0.1", "0.001"),
    ("usdm", "ETHUSDT"): ("0.01", "0.001"),
    ("spot", "BTCUSDT"): ("0.01", "0.000001"),  # LOT_SIZE is 0.00001, but older orders still rest on a finer grid
}
"""Tick and lot by (market, symbol), from exchangeInfo of August 2024: captures do not carry them."""


def fee_profile(name: str) -> FeeProfile:
    """The profile of that name. Raises ValueError naming the known ones."""
    if name not in FEE_PROFILES:
        raise ValueError(f"unknown fee profile {name!r}; known: {', '.join(sorted(FEE_PROFILES))}")
    return FEE_PROFILES[name]


def binance(
    market: str, symbol: str, fees: FeeProfile, *, tick: str | None = None, lot: str | None = None
) -> Instrument:
    """A Binance instrument; `market` is "usdm" or "spot". Tick and lot are needed for symbols outside `BINANCE_GRIDS`.

    Raises ValueError for an unknown market, or an unknown symbol without a grid.
    """
    if market not in ("usdm", "spot"):
        raise ValueError(f"unknown Binance market {market!r}; expected usdm or spot")
    known_tick, known_lot = BINANCE_GRIDS.get((market, symbol), (None, None))
    tick, lot = tick or known_tick, lot or known_lot
    if tick is None or lot is None:
        raise ValueError(f"the grid of {symbol} on Binance {market} is not known; give its tick and lot")
    kind = "linear" if market == "usdm" else "spot"
    return Instrument(
        venue=f"binance-{market}", symbol=symbol, kind=kind, tick=tick, lot=lot, maker=fees.maker, taker=fees.taker
    )


def sse(symbol: str, fees: FeeProfile) -> Instrument:
    """A share at the Shanghai Stock Exchange, in CNY: tick 0.01, lot one share (odd rests of a board lot trade)."""
    return Instrument(venue="sse", symbol=symbol, kind="spot", tick="0.01", lot="1", maker=fees.maker, taker=fees.taker)


def bybit(terms: InstrumentTerms, fees: FeeProfile) -> Instrument:
    """An instrument on the grid that Bybit lists. An inverse contract is worth one USD."""
    return Instrument(
        venue=f"bybit-{terms.category}",
        symbol=terms.symbol,
        kind=terms.kind,
        tick=terms.tick,
        lot=terms.lot,
        maker=fees.maker,
        taker=fees.taker,
    )
