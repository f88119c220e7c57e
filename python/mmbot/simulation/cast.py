"""Who plays: instruments, limits and the strategy. Drawn from the seed, or a user's own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot import _core
from mmbot.simulation.strategy import Restless
from mmbot.venues.port import InstrumentTerms

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from mmbot.config import RiskConfig
    from mmbot.strategy import Strategy

__all__ = ["Cast", "Role"]

CASH_UNITS = 10**12


@dataclass(frozen=True, kw_only=True)
class Role:
    """One instrument and what may be done with it."""

    symbol: str
    tick: str
    lot: str
    position_max: int
    """Largest position either way, worst case, in lots."""
    order_max: int
    """Largest order, in lots."""
    touch: tuple[int, int] = (10_000, 10_002)
    """Bid and ask at the start, in ticks."""

    @property
    def instrument(self) -> _core.Instrument:
        """The instrument, for the engine and for the venue's arithmetic."""
        return _core.Instrument(venue="bybit-linear", symbol=self.symbol, kind="linear", tick=self.tick, lot=self.lot)

    @property
    def units(self) -> int:
        """Cash units, 10^-12 of the settlement coin, of one lot times one tick."""
        return int(Decimal(self.tick) * Decimal(self.lot) * CASH_UNITS)

    @property
    def terms(self) -> InstrumentTerms:
        """The venue's rules."""
        return InstrumentTerms(
            category="linear",
            symbol=self.symbol,
            kind="linear",
            tradable=True,
            base=self.symbol.removesuffix("USDT"),
            quote="USDT",
            settle="USDT",
            tick=self.tick,
            lot=self.lot,
            min_qty=self.lot,
            max_qty=None,
            min_notional=None,
            funding_interval_s=28_800,
        )


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Instruments, and who trades them."""

    roles: tuple[Role, ...]
    strategy: Callable[[random.Random], Strategy]
    """Makes the strategy of one life of the engine; what it draws from the stream is the same in every play."""
    amends: bool = False
    """Orders are moved by amends."""
    risk: RiskConfig | None = None
    """The controls above the core's own; none: those of the profile, which let it lose what it wants."""
    guarded: bool = False
    """A guardian watches, whether or not anything happens to it."""
    config: str = ""
    """The configuration that it is made of, as a path; empty where it is drawn."""
    mood: str = ""
    """How the market is (`mmbot.simulation.markets.MOODS`); drawn from the seed where it is empty."""

    @classmethod
    def drawn(cls, rng: random.Random) -> Cast:
        """One instrument or two, and a strategy that wants more than it may."""
        symbols = ("BTCUSDT", "ETHUSDT")[: rng.choice((1, 1, 2))]
        every_ms, most = rng.choice((1_000.0, 3_000.0, 5_000.0)), rng.choice((10, 20, 40))
        roles = tuple(
            Role(symbol=symbol, tick="0.1", lot="0.001", position_max=most, order_max=most) for symbol in symbols
        )
        return cls(
            roles=roles,
            strategy=lambda stream: Restless(stream, every_ms, most, len(roles)),
            amends=rng.random() < 0.5,
        )
