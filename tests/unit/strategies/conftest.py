"""A market that a test paints: the real window on a stub of the core."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from mmbot._core import Instrument
from mmbot.strategy import View

BPS_PER_ROOT_SECOND = 1e-4


@dataclass
class StubCore:
    """Answers what a window asks, as painted."""

    volatility: float = BPS_PER_ROOT_SECOND
    own: list[tuple[int, str, int, int, str, float]] = field(default_factory=list)
    displayed: int = 100
    at_touch: tuple[int, int] = (10, 10)

    def signal(self, instrument: int, index: int) -> float:
        """The one signal a maker asks for."""
        assert (instrument, index) == (0, 0)
        return self.volatility

    def orders(self, instrument: int) -> list[tuple[int, str, int, int, str, float]]:
        """Own orders."""
        assert instrument == 0
        return self.own

    def lots_at(self, instrument: int, side: str, tick: int) -> int:
        """The same at every price."""
        assert instrument == 0
        assert side in ("buy", "sell")
        assert tick > 0
        return self.displayed

    def touch_lots(self, instrument: int) -> tuple[int, int]:
        """Lots at the best bid and ask."""
        assert instrument == 0
        return self.at_touch

    def depth(self, instrument: int, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """As many levels as asked for, ten lots on each, around tick 100,000."""
        assert instrument == 0
        return [(99_950 - i, 10) for i in range(levels)], [(100_050 + i, 10) for i in range(levels)]


@pytest.fixture
def instrument() -> Callable[[int], Instrument]:
    """Terms with a tick of 0.1 and a lot of 0.01, for a maker rate in 10^-8."""

    def terms(maker: int = 0) -> Instrument:
        return Instrument(
            venue="test", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.01", maker=maker, taker=55_000
        )

    return terms


@pytest.fixture
def view(instrument: Callable[[int], Instrument]) -> View:
    """A calm market around 10,000.0: bid and ask ten bps apart, one lot of time gone, no position."""
    window = View(StubCore(), 0, instrument(0), [])
    window.now = 1_700_000_000_000_000_000
    window.bid, window.ask = 99_950, 100_050
    return window
