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

    Instruments are named by their place in the list. Raises IndexError for an unknown one, ValueError for a price or quantity
    that is not positive, OverflowError for a sum that does not fit; the books are then as they were.
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
        """Cash after trading the position away at half of `twice_mark` ticks, without a fee; inexact values round half to even."""
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

def microprice(bid: float, bid_size: float, ask: float, ask_size: float) -> float:
    """Size-weighted mid. NaN for an empty touch."""

def imbalance(bid_size: float, ask_size: float) -> float:
    """(bid_size - ask_size) / (bid_size + ask_size). NaN for an empty touch."""

def order_flows(
    bid: NDArray[np.float64], bid_size: NDArray[np.float64], ask: NDArray[np.float64], ask_size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Order-flow imbalance of each change of the touch: one fewer than there are touches."""

def realised_variance(log_prices: NDArray[np.float64], steps: int) -> float:
    """Sum of squared returns of `steps` samples, all overlapping ones."""

def two_scale_variance(log_prices: NDArray[np.float64], subsamples: int, *, adjusted: bool) -> float:
    """Two-scale realised variance; NaN when there are too few prices."""
