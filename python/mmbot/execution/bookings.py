"""What our own books say that each execution moved, kept until the venue's statement has shown the same.

    booked ──▶ awaited, by execution ──▶ shown by the statement, for every coin it moved: forgotten

A contract moves coins only by its fee, its funding, and what closing it earned. That is no number of the ledger, which
books the whole value of every trade, so it follows from what the open lots were entered at (`Entry`), in the order of
the statement: pro rata, rounded half to even.

Amounts are whole 10^-12 of a coin. Sans I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BOOKINGS_MAX", "CASH_UNITS", "Booking", "Bookings", "Entry", "Sums", "flow_of"]

CASH_UNITS = 10**12
"""Amounts are whole parts of a coin, so many to one."""
BOOKINGS_MAX = 200_000
"""So many are awaited at most; of older ones the statement is a break."""


class Sums(NamedTuple):
    """What a ledger holds of one instrument, or what one booking added to it."""

    flow: int = 0
    """Paid for and got from trading; negative was paid."""
    fees: int = 0
    """Paid; negative is a rebate."""
    funding: int = 0
    """Received; negative was paid."""
    lots: int = 0
    """Signed position."""

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(one + another for one, another in zip(self, other, strict=True)))

    def less(self, other: Sums) -> Sums:
        """What is not in the other."""
        return Sums(*(one - another for one, another in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One execution, as our ledger booked it."""

    execution_id: str
    market: str
    """Category and symbol."""
    kind: Literal["trade", "funding"]
    coin: str
    """What it settles in; of a spot pair the one that is paid with."""
    sums: Sums
    """By how much the ledger changed."""
    base: str = ""
    """Of a spot pair, the coin that was traded; empty for a contract."""
    size: int = 0
    """How much was traded, signed: bought is positive. Of an inverse contract, which is no coin, 0."""
    base_fee: int | None = None
    """The fee, where it was taken in the traded coin."""
    ts_venue: int = 0
    booked_at: int = 0
    """By our clock."""
    earlier: bool = False
    """An earlier run booked it: its statement may have been counted already."""

    @property
    def coins(self) -> tuple[str, ...]:
        """Coins that it moves."""
        return (self.base, self.coin) if self.base else (self.coin,)


def flow_of(size: Fraction, price: Fraction, *, inverse: bool) -> int:
    """Return the cash that trading a signed size at a price moves, rounded as the ledger rounds."""
    return round(CASH_UNITS * (size / price if inverse else -size * price))


class Bookings:
    """Executions that the statement has not shown yet, and those that are not of our books."""

    def __init__(self) -> None:
        self._awaited: dict[str, Booking] = {}
        self._elsewhere: dict[str, None] = {}

    def book(self, booking: Booking) -> None:
        """Await one."""
        self._awaited[booking.execution_id] = booking
        _keep(self._awaited)

    def elsewhere(self, execution_id: str) -> None:
        """Note an execution of an instrument that this run does not trade: the account's, and in no book here."""
        self._elsewhere[execution_id] = None
        _keep(self._elsewhere)

    def is_elsewhere(self, execution_id: str) -> bool:
        """Tell an execution that is in no book here, and was heard."""
        return execution_id in self._elsewhere

    def get(self, execution_id: str) -> Booking | None:
        """Return what is awaited under that id."""
        return self._awaited.get(execution_id)

    def awaited(self) -> list[Booking]:
        """Everything that the statement has not shown yet, in the order in which it was booked."""
        return list(self._awaited.values())

    def forget(self, execution_ids: Iterable[str]) -> None:
        """The statement has shown them."""
        for name in execution_ids:
            self._awaited.pop(name, None)


def _keep(found: dict[str, Booking] | dict[str, None]) -> None:
    if len(found) > BOOKINGS_MAX:
        del found[next(iter(found))]


class Entry(NamedTuple):
    """The open lots of a contract, and the cash that flowed when they were opened; None where nobody here knows."""

    lots: int
    flow: int | None

    def traded(self, sums: Sums) -> tuple[int | None, Entry]:
        """Return what a trade earned by closing, and what is open after it.

        What lots of unknown origin earned is not known (None); from flat on everything is.
        """
        lots = self.lots + sums.lots
        if self.lots * sums.lots >= 0:
            return 0, Entry(lots, None if self.flow is None else self.flow + sums.flow)
        closed = min(abs(sums.lots), abs(self.lots))
        leaving = round(Fraction(sums.flow * closed, abs(sums.lots)))
        if closed == abs(self.lots):
            return None if self.flow is None else self.flow + leaving, Entry(lots, sums.flow - leaving)
        if self.flow is None:
            return None, Entry(lots, None)
        entered = round(Fraction(self.flow * closed, abs(self.lots)))
        return entered + leaving, Entry(lots, self.flow - entered)
