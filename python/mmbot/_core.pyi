"""Typed stub of the native core; checked against the binary by stubtest."""

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

__version__: str

# --- ledger ---

class _Terms(Protocol):
    """What the books need to know of an instrument."""

    @property
    def venue(self) -> str:
        """The venue's name: execution ids are unique within it."""
    @property
    def symbol(self) -> str:
        """The instrument's name."""
    @property
    def kind(self) -> str:
        """ "linear", "inverse" or "spot"."""
    @property
    def tick(self) -> str:
        """Minimum price step, as a decimal."""
    @property
    def lot(self) -> str:
        """Minimum size step, as a decimal."""
    @property
    def contract(self) -> str:
        """Value of one unit of quantity, as a decimal."""
    @property
    def fee_tiers(self) -> Sequence[tuple[int, int, int]]:
        """(30-day volume from, maker, taker): volume in units of 10^-12, rates in 10^-8; the first from 0, rising."""

@final
class Ledger:
    """Double-entry books of fills, fees and funding: prices in ticks, quantities in lots, money in whole 10^-12.

    Instruments are named by their place in the list. Raises IndexError for an unknown one, ValueError for a price or
    quantity that is not positive, OverflowError for a sum that does not fit; the books are then as they were.
    """

    def __new__(cls, instruments: Sequence[_Terms]) -> Ledger:
        """Empty books. Raises ValueError for terms that make no sense."""
    def book_fill(
        self, *, instrument: int, execution: int, side: int, price: int, qty: int, maker: bool, fee: int, ts: int
    ) -> bool:
        """Book an execution; False if its id was booked already, on this venue: nothing changed.

        side: +1 bought, -1 sold. fee: paid; negative is a rebate. ts: when the venue executed it, in ns.
        """
    def book_funding(self, *, instrument: int, settlement: int, amount: int) -> bool:
        """Book funding received (negative: paid); False if the settlement time (ns) was booked already."""
    def position(self, instrument: int) -> int:
        """Signed lots held."""
    def cash(self, instrument: int) -> int:
        """Cash that trading, fees and funding left, in the settlement currency."""
    def fees(self, instrument: int) -> int:
        """Fees paid; negative when rebates were larger."""
    def funding(self, instrument: int) -> int:
        """Funding received; negative: paid."""
    def turnover(self, instrument: int) -> int:
        """Traded notional, unsigned."""
    def maker_fills(self, instrument: int) -> int:
        """Executions in which we were resting."""
    def taker_fills(self, instrument: int) -> int:
        """Executions in which we crossed the spread."""
    def equity(self, instrument: int, twice_mark: int) -> int:
        """Cash after trading the position away at half of `twice_mark` ticks, without a fee.

        A value with more than twelve decimals is rounded half to even.
        """
    def volume_30d(self, instrument: int, now: int) -> int:
        """Traded notional of the hour of `now` (ns) and the 719 hours before it."""
    def fee_rates(self, instrument: int, now: int) -> tuple[int, int]:
        """(maker, taker) in 10^-8, of the tier that `volume_30d` has reached."""
    def check_invariants(self) -> None:
        """Panics if debits and credits do not balance."""
    def state_hash(self) -> int:
        """One number for all state."""
    def __len__(self) -> int: ...

# --- signals ---

@final
class Signals:
    """Market measures of one instrument, event by event: the very ones strategies read. Ticks, lots and ns in.

    Each spec is a name or name(key=value, ...), time spans written as 250ms, 1s, 5m, 1h:

        microprice, imbalance
        order_flow_imbalance(half_life=), trade_flow(half_life=)                        in lots
        ewma_volatility(half_life=, sample=), realised_volatility(window=, sample=),
        two_scale_volatility(window=, sample=, subsamples=)                             fraction per root of a second
        bar_open(interval=), bar_high(), bar_low(), bar_close(), bar_volume()           of the last finished bar

    Raises ValueError for a spec that cannot be read or computed.
    """

    def __new__(cls, specs: Sequence[str]) -> Signals:
        """Nothing is known yet."""
    def on_touch(self, *, ts: int, bid: int | None, bid_lots: int, ask: int | None, ask_lots: int) -> None:
        """The touch is now this; None where a side is empty."""
    def on_trade(self, *, ts: int, tick: int, lots: int, side: int) -> None:
        """Somebody traded; side is +1 where the buyer crossed, -1 where the seller did."""
    def advance(self, now: int) -> None:
        """Time has passed without news: flows fade, bars close."""
    def values(self) -> list[float]:
        """One number per spec; NaN while it is not known."""
    def state_hash(self) -> int:
        """One number for all state."""
    def __len__(self) -> int: ...

def microprice(bid: float, bid_size: float, ask: float, ask_size: float) -> float:
    """Size-weighted mid. NaN for an empty touch."""

def imbalance(bid_size: float, ask_size: float) -> float:
    """(bid_size - ask_size) / (bid_size + ask_size). NaN for an empty touch."""

def order_flows(
    bid: NDArray[np.float64], bid_size: NDArray[np.float64], ask: NDArray[np.float64], ask_size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Order-flow imbalance of each change of the touch: one fewer than there are touches."""

def two_scale_variance(log_prices: NDArray[np.float64], subsamples: int, *, adjusted: bool) -> float:
    """Two-scale realised variance; NaN when there are too few prices."""
