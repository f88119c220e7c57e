"""Typed stub of the native core; checked against the binary by stubtest."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from typing_extensions import disjoint_base

__version__: str
SOURCE_HASH: str
"""128-bit xxh3 over the Rust sources of the core, as hex."""

# --- ledger ---

@final
class Ledger:
    """Double-entry books of fills, fees and funding: prices in ticks, quantities in lots, money in whole 10^-12.

    Instruments are named by their place in the list. Raises IndexError for an unknown one, ValueError for a price or
    quantity that is not positive, OverflowError for a sum that does not fit; the books are then as they were.
    """

    def __new__(cls, instruments: Sequence[Instrument]) -> Ledger:
        """Empty books."""
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

    Raises ValueError for a spec that cannot be computed.
    """

    def __new__(cls, specs: Sequence[SignalSpec]) -> Signals:
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

# Tapes and instruments: crates/py/src/data.rs

class TapeFault(ValueError):  # noqa: N818 (a fault of the world, beside the wire errors)
    """A file that is no tape of ours, or a damaged one. The message names the file or the records, and what to do."""

@final
class Instrument:
    """One tradable thing at one venue: its grid, its contract, its fees.

    `kind` is "linear", "inverse" or "spot"; `tick`, `lot` and `contract` (value of one unit) are decimal strings;
    `maker` and `taker` are rates in 10^-8 of the notional (0.5 bp is 5_000, a rebate is negative), or `tiers` lists
    (30-day volume from, maker, taker) with the first at volume "0". Raises ValueError for terms that make no sense.
    """

    def __new__(
        cls,
        *,
        venue: str,
        symbol: str,
        kind: str,
        tick: str,
        lot: str,
        contract: str = "1",
        maker: int = 0,
        taker: int = 0,
        tiers: Sequence[tuple[str, int, int]] | None = None,
    ) -> Instrument: ...
    @property
    def venue(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def kind(self) -> Literal["linear", "inverse", "spot"]: ...
    @property
    def tick(self) -> str: ...
    @property
    def lot(self) -> str: ...
    @property
    def contract(self) -> str: ...
    @property
    def tick_size(self) -> float: ...
    @property
    def lot_size(self) -> float: ...
    @property
    def maker(self) -> int:
        """Maker rate of the first tier, in 10^-8."""
    @property
    def taker(self) -> int:
        """Taker rate of the first tier, in 10^-8."""
    def ticks(self, price: str) -> int:
        """Whole ticks of a decimal string. Raises ValueError when it is no decimal or off the grid."""
    def lots(self, qty: str) -> int:
        """Whole lots of a decimal string. Raises ValueError when it is no decimal or off the grid."""
    def price(self, ticks: int) -> str:
        """Exact decimal text of a price in ticks."""
    def quantity(self, lots: int) -> str:
        """Exact decimal text of a quantity in lots."""
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    __hash__ = None  # type: ignore[assignment]

@final
class Tape:
    """An open tape: immutable integer records, read in place. Each block is checked before its first use.

    That of a `LiveTape` grows: each call sees what is committed by then.
    """

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Tape:
        """Maps a `.tape`, or unpacks a `.tapez` into memory. Raises OSError or TapeFault."""
    @property
    def instrument(self) -> Instrument: ...
    @property
    def tape_hash(self) -> int:
        """64-bit xxh3 over the head, which holds the checksum of every block; 0 for a tape that is being written."""
    @property
    def events(self) -> int:
        """Level updates and trades."""
    @property
    def span(self) -> tuple[int, int] | None:
        """First receive time and one past the last, ns since epoch, over depth and trades; None for an empty tape."""
    def info(self) -> dict[str, str | int | tuple[int, int] | None]:
        """Instrument, hash, span and all counts."""
    def check(self) -> None:
        """Reads and checks everything. Raises TapeFault at the first fault."""
    def save(self, path: str | os.PathLike[str]) -> None:
        """Copies the tape in one step: packed if the name ends in `.tapez`, open otherwise.

        Raises TapeFault for a tape that is being written: `LiveTape.seal` makes a file of it.
        """
    @staticmethod
    def columns(name: str) -> list[tuple[str, str, int]]:
        """Name, NumPy format and byte offset of each column of a section: depth, levels, trades, funding, orders."""
    def bytes(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint8]:
        """Records start to stop of a section as a read-only view of the tape's memory. Raises TapeFault if damaged."""
    def touch_at(self, ts_venue: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Best bid and ask in ticks at venue times; -2^31 and 2^31 - 1 where a side is empty or unknown."""

@final
class TapeWriter:
    """Writes a tape in receive order, with bounded memory. Nothing exists under `path` before `finish`."""

    def __new__(cls, path: str | os.PathLike[str], instrument: Instrument) -> TapeWriter: ...
    def depth(
        self, ts_recv: int, ts_venue: int, kind: str, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]
    ) -> None:
        """Adds a "delta", "snapshot" or "gap" with (price, quantity) decimal strings; quantity zero deletes.

        Raises ValueError, and adds nothing, for a number off the instrument's grid, negative or too large.
        """
    def trade(self, ts_recv: int, ts_venue: int, price: str, qty: str, aggressor: str) -> None:
        """Adds a public trade; `aggressor` is "buy" or "sell". Raises ValueError as `depth`."""
    def funding(self, ts_recv: int, ts_venue: int, rate: int, mark: int) -> None:
        """Adds a funding settlement: rate in 10^-8 (positive: longs pay), mark price in ticks."""
    def order_snapshot(self, ts_recv: int, ts_venue: int, orders: Sequence[tuple[int, str, str, str]]) -> None:
        """Adds all orders that rest, as (id, "buy" or "sell", price, quantity), those of one price first in line first.

        It makes a tape by order: it comes first, and again after a gap. Raises ValueError as `depth`, for an id given
        twice, and on a tape that began with levels.
        """
    def add_order(self, ts_recv: int, ts_venue: int, order_id: int, side: str, price: str, qty: str) -> None:
        """Adds that a public order comes to rest at the back of its price, and the message of its level.

        This and the other changes of one order raise ValueError as `depth`, before a snapshot by order, for an order
        that does not rest (or, here, does), and for more than it holds.
        """
    def reduce_order(self, ts_recv: int, ts_venue: int, order_id: int, qty: str) -> None:
        """Adds that so much of an order is withdrawn; what is left keeps its place."""
    def remove_order(self, ts_recv: int, ts_venue: int, order_id: int) -> None:
        """Adds that an order is withdrawn."""
    def execute_order(self, ts_recv: int, ts_venue: int, order_id: int, qty: str) -> None:
        """Adds that so much of a resting order is executed, with its trade: the aggressor is of the other side."""
    def finish(self) -> None:
        """Joins, makes durable and names the tape. Raises OSError when the disk does not take it."""

@final
class LiveTape:
    """Writes a tape that can be read at once, and outlives its writer.

    A message is committed when its method returns: it survives `kill -9`. What was there when `sync` was called
    survives a power loss once that has returned. Where the disk is full the methods raise OSError and add nothing.
    All methods raise RuntimeError on a sealed tape.
    """

    def __new__(cls, directory: str | os.PathLike[str], instrument: Instrument) -> LiveTape:
        """An empty tape in a directory that this makes. Raises OSError, or TapeFault where the directory exists."""
    @staticmethod
    def recover(directory: str | os.PathLike[str]) -> LiveTape:
        """Takes over what a writer that is gone has left, to be written on or sealed; `dropped` says what is lost.

        Raises TapeFault for a directory that holds no tape, that somebody is writing, or whose records are damaged
        even before the last `sync`; it is left as it is then. Raises OSError as opening files does.
        """
    def depth(
        self, ts_recv: int, ts_venue: int, kind: str, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]
    ) -> None:
        """As `TapeWriter.depth`."""
    def trade(self, ts_recv: int, ts_venue: int, price: str, qty: str, aggressor: str) -> None:
        """As `TapeWriter.trade`."""
    def funding(self, ts_recv: int, ts_venue: int, rate: int, mark: int) -> None:
        """As `TapeWriter.funding`."""
    def settle(self, ts_venue: int) -> None:
        """Says that all that happened at the venue up to `ts_venue` (ns) has come: a simulated venue may run to there.

        Trades get their places among depth messages. What comes late all the same is moved behind, see `late`.
        """
    def sync(self) -> None:
        """Makes durable what is committed, which takes milliseconds; other threads may go on meanwhile."""
    def seal(self, path: str | os.PathLike[str]) -> None:
        """Joins it into an ordinary `.tape` or `.tapez`, durably, and removes the directory; `tape` stays readable.

        Raises OSError when the disk does not take it: then the directory is as it was, and `recover` opens it again.
        """
    @property
    def tape(self) -> Tape:
        """The tape as far as it is written; it grows. For a `Listing`, a `Replay`, or to look at."""
    def book(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]] | None:
        """Bids and asks after the last message as (price, quantity) decimal strings, ascending; None while unknown."""
    @property
    def bytes(self) -> int:
        """Bytes of records so far; the sealed tape has about as many."""
    @property
    def late(self) -> int:
        """Messages that came after their venue time had been settled."""
    @property
    def dropped(self) -> tuple[int, int, int, int]:
        """Records committed and lost before `recover`: depth, levels, trades, funding. After `kill -9`, none."""

# --- predict: crates/py/src/predict.rs ---

def predict(listing: Listing, arrived: Sequence[tuple[int, dict[str, Any]]], until_ns: int) -> list[dict[str, Any]]:
    """What the simulated venue answers to commands that arrive at known times, until `until_ns` of its own time.

    arrived: (ns, command as the journal tells it), in order; all are for this instrument, whatever index they name, and
    the listing's latencies do not count. Returns events as the journal tells them. Raises TapeFault for a damaged tape,
    KeyError and ValueError for a command that is none, or comes before the one in front of it.
    """

# --- replay: crates/py/src/replay.rs ---

@final
class SignalSpec:
    """A measure that the core keeps for a strategy; see `mmbot.signals`. Times in ns."""

    @staticmethod
    def microprice() -> SignalSpec: ...
    @staticmethod
    def imbalance() -> SignalSpec: ...
    @staticmethod
    def order_flow_imbalance(half_life_ns: int) -> SignalSpec: ...
    @staticmethod
    def trade_flow(half_life_ns: int) -> SignalSpec: ...
    @staticmethod
    def ewma_volatility(half_life_ns: int, sample_ns: int) -> SignalSpec:
        """Volatility of log returns per √second, weights halving every `half_life_ns`, sampled every `sample_ns`."""
    @staticmethod
    def realised_volatility(window_ns: int, sample_ns: int) -> SignalSpec: ...
    @staticmethod
    def two_scale_volatility(window_ns: int, sample_ns: int, subsamples: int) -> SignalSpec: ...
    @staticmethod
    def bar(interval_ns: int, field: str) -> SignalSpec: ...

@final
class Latency:
    """How long a message is under way. Raises ValueError for a negative, empty or unsorted model."""

    @staticmethod
    def constant(ns: int) -> Latency: ...
    @staticmethod
    def sampled(quantiles_ns: Sequence[int], seed: int) -> Latency:
        """Drawn from a distribution given by its equally spaced quantiles, minimum first."""
    @staticmethod
    def recorded(rows: Sequence[tuple[int, int]]) -> Latency:
        """(time of sending, latency) rows, both ns: the last row before the time of sending holds."""

@final
class Listing:
    """One instrument of a run: its recorded market and its simulated venue's laws.

    `queue`: risk_averse, power, power2, power3, log, log2, fifo (on a tape by order); `queue_n` its exponent. `entry`,
    `response`: to the venue and back. `feed`: a law for market data instead of the recorded times; `feed_extra_ns`
    delays those.
    `whole_fills`: a match fills the whole order (as most replay simulators do). `consume_liquidity`: what we took stays
    taken. `full_book`: the slow oracle with a second book. `volume_before`: notional before the run that counts for the
    fee tier. `instrument` may change terms and fees of the tape's, not its grid. `without_us`: for a tape that shows
    orders of our own, the same without them; the tape is then what is heard, and this what happens. Raises ValueError.
    """

    def __new__(
        cls,
        tape: Tape,
        *,
        instrument: Instrument | None = None,
        queue: str = "power",
        queue_n: float | None = None,
        entry: Latency,
        response: Latency,
        feed: Latency | None = None,
        feed_extra_ns: int = 0,
        whole_fills: bool = False,
        consume_liquidity: bool = True,
        full_book: bool = False,
        volume_before: str = "0",
        signals: Sequence[SignalSpec] = ...,
        without_us: Tape | None = None,
    ) -> Listing: ...

# --- controls: crates/py/src/controls.rs ---

def denial_table() -> list[tuple[int, str, str, str]]:
    """Every reason for which an order is denied: number, name, tier (order to firm), meaning."""

@final
class Controls:
    """What orders of one instrument are held against, beside the limits of its desk; what is left out is off.

    Money in units of 10^-12 of the quote currency, times in ns. Raises ValueError for an amount that is not positive
    or an age below zero.
    """

    def __new__(
        cls,
        *,
        allowed: bool = True,
        maker: bool = False,
        order_notional_max: int | None = None,
        unit_shift: bool = False,
        duplicate_ns: int = 0,
        self_match: bool = False,
        book_age_ns: int = 0,
        venue_age_ns: int = 0,
        reference_age_ns: int = 0,
        reference_collar_bps: int | None = None,
        entry_age_ns: int = 0,
        notional_max: int | None = None,
        orders_max: int | None = None,
        open_notional_max: int | None = None,
        orders_per_trade_max: int = 0,
        orders_free: int = 0,
    ) -> Controls: ...

@final
class Bounds:
    """What strategy, account and firm are held against: worst cases worth, in 10^-12 of the quote currency.

    Raises ValueError as `Controls`.
    """

    def __new__(
        cls,
        *,
        creates_per_second_max: int | None = None,
        requests_per_second_max: int | None = None,
        strategy_notional_max: int | None = None,
        account_gross_max: int | None = None,
        account_net_max: int | None = None,
        positions_max: int | None = None,
        firm_gross_max: int | None = None,
        firm_net_max: int | None = None,
        account_elsewhere_age_ns: int = 0,
        firm_elsewhere_age_ns: int = 0,
        margin_age_ns: int = 0,
        mark_age_ns: int = 0,
        order_worth_cap: int | None = None,
        gross_worth_cap: int | None = None,
    ) -> Bounds: ...
    @property
    def caps(self) -> tuple[int, int]:
        """The caps on one order and on the run's gross worst case that hold: those compiled in, or lower ones."""

@final
class Desk:
    """Hard limits of one strategy at one instrument (lots, bps, counts), and how intents become commands."""

    def __new__(
        cls,
        *,
        position_max: int,
        order_max: int,
        open_orders_max: int = 50,
        collar_bps: int = 100,
        requests_per_second_max: int = 50,
        keep_within: int = 0,
        refill_below_percent: int = 0,
        amend: bool = False,
        post_only: bool = True,
        controls: Controls | None = None,
    ) -> Desk: ...

@final
class Seat:
    """One strategy's place in a run: one desk per instrument, and when it is woken."""

    def __new__(
        cls,
        desks: Sequence[Desk],
        *,
        every_ns: int | None = None,
        touch: bool = False,
        fill: bool = False,
        trade: bool = False,
        message: bool = False,
        record: bool = True,
        bounds: Bounds | None = None,
    ) -> Seat: ...

@final
class Intent:
    """What a strategy wants for one instrument: the quotes that shall stand, and no others."""

    @property
    def instrument(self) -> int: ...
    @property
    def quotes(self) -> list[tuple[str, int, int]]:
        """(side, price in ticks, lots)."""
    def and_order(
        self, side: str, lots: int, limit: int, *, tif: str = "ioc", post_only: bool = False, reduce_only: bool = False
    ) -> Intent:
        """The same, and an order to send once beside the quotes. `tif`: gtc, ioc or fok."""
    def __eq__(self, other: object, /) -> bool: ...

def quotes(bid: int | None, ask: int | None, lots: int, instrument: int = 0) -> Intent:
    """One bid and one ask (ticks; None for none) of `lots` each. Raises ValueError unless positive and bid < ask."""

def ladder(bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]], instrument: int = 0) -> Intent:
    """Several (price in ticks, lots) per side. Raises ValueError unless positive and every bid is below every ask."""

@disjoint_base
class Run:
    """What a run can be asked, under way and afterwards. Seats and instruments are named by their index."""

    @property
    def now(self) -> int:
        """Time reached, ns since epoch; 0 before the first message or input."""
    def wakes(self, seat: int) -> int:
        """How often that strategy was asked."""
    def depth(self, instrument: int, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]: ...
    def touch_lots(self, instrument: int) -> tuple[int, int]:
        """Lots displayed at the best bid and at the best ask; 0 for an empty side."""
    def lots_at(self, instrument: int, side: str, tick: int) -> int: ...
    def signal(self, instrument: int, index: int) -> float: ...
    def last_trade(self, instrument: int) -> tuple[int, int, int]: ...
    def orders(self, instrument: int) -> list[tuple[int, str, int, int, str, float]]:
        """The strategy's own: (number, side, tick, lots left, life, lots ahead)."""
    def order_rows(self, instrument: int) -> list[tuple[int, str, int, int, int, int, int, str, str, str, bool]]:
        """Every order that is not settled, adopted ones included.

        (number, side, tick, lots, booked, cum, exposure, life, op, owner, reduce-only). exposure: lots that may still
        trade or were executed and are not booked. op: "idle", "cancel", "amend", or "amend_unknown" for one whose terms
        are in doubt. owner: "strategy", "orphan" or "foreign".
        """
    def open_orders(self) -> list[int]:
        """Numbers of every order that is not settled, instrument by instrument, adopted ones included."""
    def new_fills(self) -> list[tuple[int, int, str, int, int, bool, float]]: ...
    def fills(self, seat: int) -> dict[str, npt.NDArray[Any]]: ...
    def order_log(self, seat: int) -> dict[str, Any]: ...
    def samples(self, seat: int) -> dict[str, npt.NDArray[Any]]: ...
    def books(self, seat: int, instrument: int) -> dict[str, Any]:
        """Position in lots, cash, fees, funding and turnover in units of 10^-12, fill counts, last touch in ticks."""
    def opening(self, seat: int, instrument: int) -> dict[str, int] | None:
        """The books that the run took over from an earlier one, as in `books`; None if it began with nothing."""
    def denials(self, seat: int) -> list[tuple[str, int]]: ...
    def orders_named(self, seat: int) -> int: ...
    def commands_hash(self, seat: int) -> int: ...
    def state_hash(self, seat: int) -> int: ...
    def check_invariants(self) -> None: ...

@final
class Replay(Run):
    """A run over tapes: `run` once, then read what it left behind."""

    def __new__(cls, listings: Sequence[Listing], seats: Sequence[Seat], *, sample_ns: int | None = None) -> Replay: ...
    def run(
        self,
        strategies: Sequence[Callable[[Any], Any]],
        windows: Sequence[Any],
        progress: Callable[[float], object] | None = None,
    ) -> None:
        """To the end of the tapes: at each wake the windows' slots are renewed, then `strategies[seat](windows[0])`.

        `progress` hears the share done (0 to 1) about a hundred times. Raises TapeFault for a damaged tape,
        RuntimeError for a broken promise of the engine, and whatever a strategy raises.
        """
    def run_until(
        self, until_ns: int, strategies: Sequence[Callable[[Any], Any]], windows: Sequence[Any], last: bool = False
    ) -> None:
        """As `run`, but only to `until_ns`, on tapes that may still be written: the shadow mode.

        Call it again and again: however a run is cut, it ends as `run` does on the finished tapes, bit for bit. The
        last message known waits for one after it; with `last` nothing more comes, and the run goes to the end of the
        tapes whatever `until_ns`. Raises as `run`, and ValueError for a tape that is not settled up to there: see
        `LiveTape.settle`.
        """
    def run_join_touch(self, makers: Sequence[tuple[int, int, int]]) -> None:
        """As `run` with the native JoinTouch (lots, cap, offset in ticks) per seat: a wake without Python."""

# --- journal: crates/py/src/journal.rs ---

class JournalFault(ValueError):  # noqa: N818 (a fault of the world)
    """A file that is no journal, or a damaged one. The message names the first bad entry; those before it are good.

    `place` is (number of the first bad entry, segment, byte in it), the last two None where no place in a file is
    meant; it is None for a file that is no journal. `short`: nothing is bad, but entries that were anchored are missing
    at the end.
    """

    place: tuple[int, int | None, int | None] | None
    short: bool

class JournalDead(OSError):  # noqa: N818 (a state, not a mistake)
    """The disk refused once, and nothing more is written: send no more orders, cancel, start a new run elsewhere."""

class JournalFull(OSError):  # noqa: N818 (a state, not a mistake)
    """The disk is full: no strategy is woken any more, so that nothing new begins.

    Cancels, halts, facts and notes are still written down, into the room that was set aside for them.
    """

class JournalDiffers(RuntimeError):  # noqa: N818 (a finding)
    """A replay did something else than the journal says. The message says where, what was recorded and what was done.

    `difference` is (number of the entry, its time in ns, what was recorded, what the replay did), both in words.
    """

    difference: tuple[int, int, str, str]

@final
class SimDisk:
    """A disk in memory that fails on purpose: for tests and the simulator. Put a journal on it by `Journal.on`.

    What was synced is durable. Everything else lies in the system's cache: it survives a killed process, and a crash of
    the machine may lose any suffix of it.
    """

    def __new__(cls) -> SimDisk: ...
    def crash(self, lose: int) -> int:
        """The power goes: the last `lose` bytes that were not durable are gone (0: only the process was killed).

        What is left is durable; whoever still holds the disk gets errors. Returns how many bytes were lost.
        """
    def fail(self, call: Literal["write", "sync"], error: Literal["EIO", "ENOSPC"], after: int = 0) -> None:
        """After `after` more calls that succeed, every one fails.

        A full disk (a write, ENOSPC) still takes what fits into the room that the journal allocated before. A sync
        fails once, as the system's does; later ones say that all is well, and what was not durable by then never is.
        """
    def lie(self, lies: bool) -> None:
        """Whether a sync says yes and makes nothing durable."""
    def durable(self) -> bytes:
        """What a crash now would leave if it lost all that it can: a journal for `JournalReader` and others."""
    def written(self) -> bytes:
        """What a reader of the file sees now, durable or not."""

@final
class Journal:
    """The append-only record of a run, one writer. `check` makes one that compares instead of writing.

    Every method but `head`, `entries` and `dead` raises JournalDead once the disk has refused.
    """

    @staticmethod
    def create(
        path: str | os.PathLike[str],
        now: int,
        start: str,
        *,
        segment_bytes: int | None = None,
        segment_records: int | None = None,
        reserve_bytes: int | None = None,
    ) -> Journal:
        """A new file whose first entry, `start` (JSON that says what the run is), is durable on return.

        A segment that has `segment_bytes` (64 MiB) or `segment_records` (a million) is followed by the next, beside it:
        journal.mmj, journal.1.mmj, … `reserve_bytes` (4 MiB) are always set aside beyond what is written.

        Raises OSError if the file exists or cannot be made.
        """
    @staticmethod
    def on(
        disk: SimDisk,
        now: int = 0,
        start: str | None = None,
        *,
        segment_bytes: int | None = None,
        segment_records: int | None = None,
        reserve_bytes: int | None = None,
    ) -> Journal:
        """A new journal on a disk in memory; with `start`, as `create`, else with nothing in it yet."""
    @staticmethod
    def check(journal: str | os.PathLike[str] | bytes) -> Journal:
        """For `Live.replay`: each entry that the engine appends is compared with the next one recorded.

        Raises OSError or JournalFault.
        """
    def note(self, now: int, topic: str, text: str) -> None:
        """Append something to know (JSON): a link event, the operator, a raw fact. A replay passes it over."""
    def end(self, now: int, text: str) -> None:
        """Append the end of the run (JSON), and make everything durable."""
    def flush(self) -> None:
        """Hand what was appended to the system, by one write: it survives the process, not the machine."""
    def sync(self) -> None:
        """Flush, and return when it is durable: one fdatasync, without the interpreter's lock, while others append.

        It is never tried again after a failure: the journal is dead then.
        """
    def compared(self) -> list[tuple[str, int]]:
        """Kinds of entries compared so far, and how many of each; nothing that an engine writes may be left.

        Raises JournalDiffers or JournalFault.
        """
    @property
    def entries(self) -> int:
        """Entries appended, or compared, so far."""
    def head(self) -> tuple[int, str]:
        """An anchor: how many entries the last flush or sync left on the disk, and the hash of their chain, as hex.

        Who keeps it elsewhere can tell whether the journal was touched, or cut short.
        """
    @property
    def full(self) -> str | None:
        """Why no strategy is woken any more, once the disk was full."""
    @property
    def dead(self) -> str | None:
        """Why nothing more is written, once that is so."""

@final
class JournalReader:
    """Iterates over (number, time in ns, kind, fields) of a journal, each entry checked. Raises OSError, JournalFault.

    Kinds: run_start, event, wake, intent, command, denied, cancel_asked, halt, note, state_hash, run_end, opening,
    adopted, outside, ordered.
    """

    def __new__(
        cls, journal: str | os.PathLike[str] | bytes, anchors: Sequence[tuple[int, str]] = ...
    ) -> JournalReader:
        """`anchors`: (number of entries, chain value after them) as kept elsewhere; what does not fit is a fault."""
    def __iter__(self) -> JournalReader: ...
    def __next__(self) -> tuple[int, int, str, dict[str, Any]]: ...
    @property
    def torn(self) -> tuple[int, int] | None:
        """Known at the end: (offset, bytes) of a last entry that was cut off while it was written; None if whole."""
    @property
    def head(self) -> str:
        """The hash of the chain up to the last entry read."""
    @property
    def entries(self) -> int:
        """Entries read so far."""
    @property
    def segment(self) -> int:
        """Number of the segment that is being read."""
    @property
    def vouched(self) -> int:
        """Entries read so far that an anchor vouches for."""

def cut_torn_end(path: str | os.PathLike[str], anchors: Sequence[tuple[int, str]]) -> int | None:
    """Cut off the torn end of a journal where the anchors prove that nothing acknowledged is lost; return the bytes.

    None where the end is whole. Raises JournalFault, nothing changed, without an anchor, for one that does not fit, or
    where entries that were anchored are gone.
    """

# --- live: crates/py/src/live.rs ---

class Quarantine(ValueError):  # noqa: N818 (a place, not a mistake)
    """A fact that the books cannot take: about an order never sent or long gone, or with impossible numbers.

    Nothing changed. Keep the raw message, count it, and go on; what it told must come from reconciliation.
    """

@final
class Live(Run):
    """The engine of one strategy (seat 0) on live feeds, with a real venue at the other end. It owns no clock.

    Every input takes `now` first, strictly later than the one before, and hears what lies on the tapes with ts_recv up
    to then; the tapes may grow, but only with messages later than the last input. `queues`: law and exponent by which
    the place in line is estimated. What each input led to is in the journal, buffered, when the call returns.

    A fact may come late, twice, or in any order. Prices in ticks, quantities in lots, money in 10^-12, times in ns.
    Every input raises TapeFault for a market that cannot be read, JournalDead, RuntimeError for a time that does not
    rise, and a fact raises Quarantine if the books cannot take it.
    """

    def __new__(
        cls,
        tapes: Sequence[Tape],
        seat: Seat,
        *,
        instruments: Sequence[Instrument],
        signals: Sequence[SignalSpec] = ...,
        queues: Sequence[tuple[str, float | None]],
        journal: Journal | None = None,
        sample_ns: int | None = None,
    ) -> Live:
        """Nothing heard, nothing sent. Raises ValueError for parts that do not fit together."""
    def step(self, now: int, decide: Callable[[Any], Any], windows: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Hear, and if the wake rule holds, show the windows, ask `decide(windows[0])` and return what to send:

        ("place", order_id, instrument, side, tick, lots, tif, post_only, reduce_only),
        ("amend", order_id, instrument, tick, lots) or ("cancel", order_id, instrument).

        Flush the journal before any of it leaves. After `halt` nobody is asked. Raises what the strategy raises.
        """
    def look(self, now: int) -> None:
        """Hear the market without asking the strategy: its prices are as of now. Nothing is journaled."""
    def open(self, now: int, snapshot: bytes, names: Sequence[tuple[int, str]] = ...) -> None:
        """Begin with what an earlier run left (`recover(...).snapshot`): the first input of a run that takes over.

        Numbers of orders go on and executions stay booked. What was on its way, written down but perhaps not sent
        included, is unknown from now on. names: (number, client id) of orders that the earlier run named, for the
        journal. Raises ValueError for a run that has begun, other instruments, or a snapshot that cannot be read.
        """
    def snapshot(self) -> bytes:
        """What a run that takes over now would begin with."""
    def adopt(
        self,
        now: int,
        client_id: str,
        venue_id: str,
        instrument: int,
        side: str,
        tick: int,
        lots: int,
        cum: int,
        reduce_only: bool,
        owner: str,
        *,
        booked: int = 0,
    ) -> int:
        """An open order that the venue has and nobody here sent; returns the number by which facts about it are told.

        It counts in exposure and limits, and its executions are booked, but no strategy sees it. owner: "orphan" (one
        of ours that no journal knows: `halt` and `cancel` take it out) or "foreign" (nothing here moves it). cum: what
        was executed; booked: how much of that the books hold already, so that it will not be told. Told again under
        either name it keeps its number, and nothing changes. Raises ValueError for an order without a name.
        """
    def turned_away(self, now: int, order_id: int, reason: str, ts_venue: int) -> None:
        """The request for a new order was refused, or never left: there should be no order. `reason` as in `rejected`.

        `rejected` is the venue's word on an order that it had; this one is overridden by any such word (`take_risen`).
        """
    def never_placed(self, now: int, order_id: int) -> None:
        """It is proven that the order never reached the venue and no longer can: its exposure is free."""
    def expired_unproven(self, now: int, order_id: int) -> None:
        """A person gave the order up, its fate unproven: its exposure is free."""
    def take_risen(self) -> list[int]:
        """Orders since the last call that the venue spoke of although they were turned away, proven absent or given up.

        What may still trade of them counts again, whether or not they had settled: freeze, and find out why.
        """
    def moved(
        self,
        now: int,
        instrument: int,
        execution: str,
        kind: str,
        side: str,
        tick: int,
        lots: int,
        fee_units: int,
        ts_venue: int,
    ) -> bool:
        """An execution that moved the position and is of no order: a deleveraging, a bust, a settlement, a transfer.

        kind: the venue's one word for it. Booked once by its id, as `filled`; in `fills` its order is number 0.
        """
    def next_timer(self) -> int | None:
        """When the strategy's timer is due; None before the first message, without a timer, or after a halt."""
    def acked(self, now: int, order_id: int, ts_venue: int) -> None:
        """The venue answered the request for a new order; the order may never rest."""
    def unknown(self, now: int, order_id: int) -> None:
        """No answer came to what is in flight for the order. It stays exposure.

        A new order counts as live. An amend counts by the worse of both terms until the venue tells them, and it or a
        cancel is asked again when the strategy next speaks, if it is still wanted (at once: `cancel`).
        """
    def accepted(self, now: int, order_id: int, ts_venue: int) -> None:
        """The order rests."""
    def executed(self, now: int, order_id: int, cum: int, ts_venue: int) -> None:
        """The venue's word on how much was executed in all; what is not booked yet counts as exposure."""
    def rejected(self, now: int, order_id: int, reason: str, ts_venue: int) -> None:
        """The venue refused the order. `reason`: one of those in `order_log`, or the venue's own words."""
    def canceled(self, now: int, order_id: int, cum: int, ts_venue: int) -> None:
        """The order left the book; `cum` of it had been executed."""
    def amended(self, now: int, order_id: int, tick: int, lots: int, ts_venue: int) -> None:
        """The venue's word on the order's price and total quantity."""
    def refused(self, now: int, order_id: int, request: str, reason: str, ts_venue: int) -> None:
        """A request about a working order was refused: "amend" or "cancel".

        A refused cancel leaves an amend that is under way in the exposure. One refused of several amends without an
        answer leaves them all there, for nobody knows which it was; but "held_back" means the last.
        """
    def filled(
        self,
        now: int,
        order_id: int,
        execution: str,
        tick: int,
        lots: int,
        maker: bool,
        fee_units: int,
        ts_venue: int,
    ) -> bool:
        """Our execution, by the venue's own id; False if it was booked before: nothing changed.

        `fee_units`: paid; negative is a rebate.
        """
    def funded(self, now: int, instrument: int, amount_units: int, ts_venue: int) -> None:
        """Funding received (negative: paid), once per settlement time."""
    def restrict(self, now: int, scope: str, level: int, instrument: int | None = None) -> None:
        """Trading of a scope (symbol, strategy, account, firm) is stopped so far: `mmbot.risk.levels.FreezeLevel`.

        It holds from here on, also where market or journal fail. A lower level than before lowers it.
        """
    def reference(self, now: int, instrument: int, tick: int | None, at: int) -> None:
        """A second price, not of our book, as of `at`; None where it is not known."""
    def elsewhere(self, now: int, circle: str, gross_units: int | None, net_units: int | None, at: int) -> None:
        """What other runs of the account, or other accounts of the firm (`circle`), hold: worst cases, as of `at`.

        None where it is not known.
        """
    def measured(self, now: int, what: str, at: int | None, instrument: int | None = None) -> None:
        """As of when a control knows what it measures by; None where it does not.

        what: "margin", the free margin of the account, or "entry", what the position of an instrument was entered at.
        Raises ValueError for anything else.
        """
    def share(self, now: int, ppm: int) -> None:
        """So many millionths of every amount and size hold from here on; caps, counts and collars stay as they are."""
    def temper(self, now: int, instrument: int, *, size_ppm: int, back_ppm: int, least_lots: int) -> None:
        """How boldly an instrument is quoted from here on, whatever the strategy wants.

        Sizes shrink to so many millionths, but not below `least_lots`; prices step back by so many of theirs, rounded
        up. Orders beside the quotes are left as they are.
        """
    def way_out(self, now: int, instrument: int, side: str, lots: int, limit: int) -> list[tuple[Any, ...]]:
        """Ask for an order that no strategy wants: reduce-only, immediate or cancelled, at this limit or better.

        The limits judge it against the market as it is now; nothing is returned where they deny it.
        """
    def halt(self, now: int) -> list[tuple[Any, ...]]:
        """From now on no new orders; return cancels for everything open but foreign orders. Say it again to ask again.

        A dead journal does not keep them back.
        """
    def cancel(self, now: int, order_id: int) -> list[tuple[Any, ...]]:
        """Ask for one order to leave, again if need be; nothing for one that is done, foreign or unknown."""
    def finish(self, now: int) -> None:
        """The end: a last sample, and the state hash for the journal."""
    def replay(
        self,
        journal: str | os.PathLike[str] | bytes,
        decide: Callable[[Any], Any],
        windows: Sequence[Any],
        progress: Callable[[int], object] | None = None,
    ) -> None:
        """Do again what a journal tells, input by input. With `Journal.check` as journal, every entry is compared.

        `progress` hears the number of an entry now and then. Raises JournalDiffers at the first difference, and
        JournalFault.
        """
    @property
    def quarantined(self) -> int:
        """Facts that the books did not take so far."""
    @property
    def halted(self) -> bool:
        """No new orders any more."""

# --- recovery: crates/py/src/recovery.rs ---

@final
class Recovered:
    """What a run left, by its journal alone."""

    @property
    def snapshot(self) -> bytes:
        """What `Live.open` begins with."""
    @property
    def orders(self) -> list[tuple[Any, ...]]:
        """Orders that were not settled, oldest first:

        (number, client id, instrument, side, tick, lots, booked, cum, life, exposure, op, owner, reduce-only, venue id,
        when it was decided, ns)

        The names are empty where the journal does not say them: of the run's own orders, which follow from `start`.
        op: "idle", "cancel", "amend", or "amend_unknown" for one whose terms are in doubt.
        """
    @property
    def gone(self) -> list[tuple[Any, ...]]:
        """Settled orders that are remembered, in the order in which they settled; columns as in `orders`."""
    @property
    def positions(self) -> list[int]:
        """Lots, per instrument."""
    @property
    def cash_units(self) -> list[int]:
        """Cash that trading, fees and funding left, per instrument, 10^-12."""
    @property
    def instruments(self) -> list[tuple[str, str]]:
        """Venue and symbol of each."""
    @property
    def orders_named(self) -> int:
        """Number of the last order."""
    @property
    def state_hash(self) -> int:
        """Of the engine as the journal leaves it."""
    @property
    def ended(self) -> bool:
        """The run ended in order; otherwise it was killed, or is still going on."""
    @property
    def halted(self) -> bool:
        """It was told to place nothing more."""
    @property
    def last_time(self) -> int:
        """Time of the last entry, ns."""
    @property
    def start(self) -> str:
        """The first entry: what the run was, JSON."""
    @property
    def notes(self) -> list[tuple[int, str, str]]:
        """(time, topic, text) of each note."""
    @property
    def begins(self) -> int:
        """The first entry that was taken in: 0, or that of a snapshot. Of notes before it, the newest of each topic."""
    @property
    def torn(self) -> tuple[int, int] | None:
        """(offset, bytes) of a last entry that was cut off while it was written; nothing was done because of it."""
    @property
    def head(self) -> tuple[int, str]:
        """Number of entries, and the chain after the last."""

def recover(
    journal: str | os.PathLike[str] | bytes,
    instruments: Sequence[Instrument] | None = None,
    *,
    until: int | None = None,
) -> Recovered:
    """Take in what a journal says, without market and strategy, and check every state hash in it.

    instruments: what was traded, where the first entry does not say it (in `instruments`, as a run's does). until: so
    many entries and no more. Raises OSError, JournalFault for damage, JournalDiffers for a state that does not follow
    from the entries before it, and ValueError for a journal that does not say what was traded or that a later version
    wrote.
    """

def take_over(journal: str | os.PathLike[str], anchors: Sequence[tuple[int, str]]) -> Recovered:
    """As `recover`, beginning with the last snapshot that an anchor vouches for; with the last one if there is none.

    anchors: (number of entries, chain value after them); each is held against what is read. Entries before `begins` are
    not looked at: the time does not grow with the run. An anchor that fits covers them too, as far as they were made
    into the snapshot; whether their files are still good is what reading the whole journal says. Raises as `recover`.
    """

# --- matching ---

@final
class QueueTracker:
    """Where an order of ours stands in line, and when trades reach it; the very law the simulated venue uses.

    model: "risk_averse", "power", "power2", "power3", "log", "log2" or "fifo". Quantities are in any one unit;
    the log laws depend on which.
    """

    def __new__(
        cls, model: str, *, side: str | int, ahead: float, qty: float | None = None, n: float | None = None
    ) -> QueueTracker:
        """Join with `ahead` in front, bringing `qty` (default 1).

        n: exponent, above 0 to 16; default 2 for power and power2, 3 for power3.

        Raises ValueError for an unknown model or side, or a quantity that is no number, negative or above 1e15.
        """
    def on_trade(self, qty: float) -> None:
        """A public trade at our price: it eats from the front, and what goes past our place fills us."""
    def on_depth(self, new_level_qty: float) -> None:
        """The quantity now displayed at our price, ours not counted. What trades do not explain was cancelled."""
    def on_cancel(self, qty: float, ahead: bool) -> None:
        """A cancel whose place is known. Only for "fifo"; the next on_depth does not count it again."""
    @property
    def side(self) -> str:
        """ "buy" or "sell"."""
    @property
    def ahead(self) -> float:
        """Quantity in front of us; negative once trades went past our place."""
    @property
    def filled(self) -> bool:
        """Whether trades went past our place, by however little. Depth changes never fill."""
    @property
    def filled_qty(self) -> float:
        """How much went past, at most our quantity."""

@final
class MatchingBook:
    """Price-time matching: see mmbot.sim.MatchingBook. Fills are (maker id, taker id, price in ticks, lots)."""

    def __new__(cls, self_trade: str = "allow") -> MatchingBook:
        """An empty book."""
    def add(
        self,
        order_id: int,
        side: str | int,
        price_ticks: int,
        qty_lots: int,
        *,
        tif: str = "gtc",
        post_only: bool = False,
        owner: int = 0,
    ) -> list[tuple[int, int, int, int]]:
        """A limit order."""
    def market(self, side: str | int, qty_lots: int, *, owner: int = 0) -> list[tuple[int, int, int, int]]:
        """A market order."""
    def amend(
        self, order_id: int, price_ticks: int, qty_lots: int, *, post_only: bool = False
    ) -> list[tuple[int, int, int, int]]:
        """New price and open quantity of a resting order."""
    def cancel(self, order_id: int) -> int:
        """Take an order out; returns the lots it had left."""
    def ahead(self, order_id: int) -> int:
        """Lots in front of an order at its price."""
    def best(self) -> tuple[int | None, int | None]:
        """Best bid and ask in ticks."""
    def depth(self, side: str | int, levels: int | None = None) -> list[tuple[int, int]]:
        """(price in ticks, lots) from the touch outward."""
    def state_hash(self) -> int:
        """One number for all orders and their priority."""
    def __len__(self) -> int: ...
    def __contains__(self, order_id: int, /) -> bool: ...

# --- the exchange's floor: crates/py/src/floor.rs ---

@final
class Execution:
    """What one request did at a `Floor`."""

    @property
    def fills(self) -> list[tuple[int, int, int, int]]:
        """(maker id, taker id, price in ticks, lots) in the order they happened; the public's id is 0."""
    @property
    def withdrawn(self) -> list[tuple[int, int]]:
        """(order id, lots it had left) of resting orders that self-trade prevention took out."""
    @property
    def remaining(self) -> int:
        """Lots of the request that did not trade."""
    @property
    def resting(self) -> bool:
        """Whether they rest in the book now; otherwise they are gone."""
    @property
    def stopped(self) -> bool:
        """Whether self-trade prevention took out what was left of the request itself."""
    @property
    def refused(self) -> str | None:
        """None, or why nothing happened at all: "would_cross" (post-only) or "not_fillable" (fill or kill)."""

@final
class Floor:
    """One instrument's price-time book in which public liquidity and clients' orders rest together.

    Public liquidity is known by level only; where clients rest, it stands in line with them as it came. What happens
    to it is said by `public_depth` and `public_trade`, or by a tape. Ids of clients' orders are 1 to 2^63 - 1.

    cancels: where public lots that leave without a trade stood in line: "behind" clients first (the pessimist's rule),
    or "proportional" to what stands where. show_clients: whether clients' orders are part of the displayed book.
    """

    def __new__(cls, *, cancels: str = "behind", show_clients: bool = True) -> Floor: ...
    def public_depth(
        self, kind: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int, int, str]]:
        """Sets the public lots of levels, given as (tick, lots); "snapshot" replaces all, "delta" those named.

        Less leaves first, then more joins the back of its line. What joins at a price that a client's order reaches
        trades with it, at the client's price. Returns the clients' orders that were hit, as (order id, price in ticks,
        lots, side of the public aggressor). Raises ValueError, and changes nothing, for a level outside a book's range.
        """
    def public_trade(self, aggressor: str, tick: int, lots: int) -> list[tuple[int, int, int, str]]:
        """Somebody of the public took `lots` at `tick`. Returns the clients' orders that were hit.

        Clients at better prices come first, at their prices, and use up the print; public liquidity there is gone. At
        the print's own price the line decides.
        """
    def apply(self, tape: Tape, index: int) -> list[tuple[int, int, int, str]]:
        """The depth message at `index` of a tape, as `public_depth`. A gap changes nothing. Raises TapeFault."""
    def apply_trade(self, tape: Tape, index: int) -> list[tuple[int, int, int, str]]:
        """The trade at `index` of a tape, as `public_trade`. Raises TapeFault."""
    def play(
        self, tape: Tape, depth_next: int, trade_next: int, until_ns: int
    ) -> tuple[int, int, list[tuple[int, int, int, str, int, int | None]]]:
        """Everything on a tape from those records on whose venue time is at most `until_ns`, in venue order.

        Returns the next depth message and trade, and the clients' orders that were hit, each with the venue time of the
        cause, and the trade that was the cause, by index; None when liquidity came to rest across the order's price.
        """
    def place(
        self,
        order_id: int,
        side: str,
        tick: int,
        lots: int,
        owner: int,
        *,
        tif: str = "gtc",
        post_only: bool = False,
        stp: str = "none",
    ) -> Execution:
        """A client's order: it trades at `tick` or better, and what is left rests ("gtc") or is gone ("ioc", "fok").

        owner: 1 to 2^32 - 1. stp: what happens before it would trade with the same owner: "none" (it trades),
        "cancel_maker", "cancel_taker", "cancel_both". Raises ValueError for a live id or terms that no book takes.
        """
    def amend(self, order_id: int, tick: int, lots: int, *, post_only: bool = False, stp: str = "none") -> Execution:
        """New price and open lots. Fewer lots at the same price keep the place in line; otherwise it arrives anew.

        Raises KeyError for an order that does not rest, ValueError for terms that no book takes.
        """
    def cancel(self, order_id: int) -> int:
        """Takes a client's order out; returns the lots it had left. Raises KeyError for one that does not rest."""
    def ahead(self, order_id: int) -> int:
        """Lots in front of an order at its price. Raises KeyError."""
    def order(self, order_id: int) -> tuple[str, int, int] | None:
        """(side, price in ticks, lots) of a client's resting order; None for one that does not rest."""
    def touch(self) -> tuple[int | None, int | None]:
        """Best displayed bid and ask in ticks."""
    def lots_at(self, side: str, tick: int) -> int:
        """Lots displayed at a price."""
    def public_lots_at(self, side: str, tick: int) -> int:
        """The public's lots at a price."""
    def depth(self, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Displayed bids and asks as (tick, lots), from the touch outward."""
    def changes(self, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What of the best `levels` per side changed since the last call with as many, lots 0 for what left them.

        From the touch outward. A level is named as gone only if it was named as there before.
        """
    def published(self, levels: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The best `levels` as they were at the last call of `changes` with as many."""
    @property
    def version(self) -> int:
        """Grows whenever the book changes."""
    def __len__(self) -> int:
        """Clients' orders that rest."""
    def check_invariants(self) -> None:
        """Raises RuntimeError when the book contradicts itself."""
