"""Exact money: whole 10^-12 of a coin, and an instrument's arithmetic in ticks and lots.

    linear, spot   value = price × quantity            in the quote coin
    inverse        value = quantity × contract ÷ price  in the base coin

Rounded half to even where twelve decimals do not suffice, as the core does (`Instrument::notional`), so that a client
that keeps its books with the core and the venue agree to the last unit.
"""

from dataclasses import dataclass, field

from mmbot._core import Instrument

__all__ = ["UNIT", "Grid", "half_even", "text", "units"]

UNIT = 10**12
"""Units in one coin."""
_RATE = 10**8


def half_even(numerator: int, denominator: int) -> int:
    """Divide, rounding half to even. The denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole & 1):
        return whole + 1
    return whole


def text(amount: int) -> str:
    """Write units as the shortest decimal."""
    whole, part = divmod(abs(amount), UNIT)
    sign = "-" if amount < 0 else ""
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:012d}".rstrip("0")


def units(decimal: str) -> int:
    """Read a decimal with at most 30 digits before the point and 12 after it. Raises ValueError for anything else."""
    whole, _, part = decimal.removeprefix("-").partition(".")
    digits = whole + part
    if not (digits.isascii() and digits.isdigit() and len(whole) <= 30 and len(part) <= 12):
        raise ValueError(f"{decimal!r} is no amount; expected a decimal with at most 30 digits and 12 places")
    amount = int(whole or "0") * UNIT + int(part.ljust(12, "0"))
    return -amount if decimal.startswith("-") else amount


def _step(decimal: str) -> tuple[int, int]:
    """Split a decimal string into mantissa and number of decimals."""
    whole, _, part = decimal.partition(".")
    return int(whole + part), len(part)


@dataclass(frozen=True, slots=True)
class Grid:
    """The arithmetic of one instrument. Rates are in 10^-8."""

    instrument: Instrument
    inverse: bool = field(init=False)
    lot_units: int = field(init=False)
    """Units of the base coin (inverse: of contract value) in one lot."""
    _up: int = field(init=False)
    _down: int = field(init=False)

    def __post_init__(self) -> None:
        tick, tick_scale = _step(self.instrument.tick)
        lot, lot_scale = _step(self.instrument.lot)
        contract, contract_scale = _step(self.instrument.contract)
        inverse = self.instrument.kind == "inverse"
        # Both kinds reduce to one multiplication and one division of whole numbers.
        up, scale = lot * contract, 12 - lot_scale - contract_scale
        down = tick if inverse else 1
        up, scale = (up, scale + tick_scale) if inverse else (up * tick, scale - tick_scale)
        put = object.__setattr__
        put(self, "inverse", inverse)
        put(self, "lot_units", half_even(lot * contract * UNIT, 10 ** (lot_scale + contract_scale)))
        put(self, "_up", up * 10 ** max(scale, 0))
        put(self, "_down", down * 10 ** max(-scale, 0))

    def value(self, ticks: int, lots: int) -> int:
        """Units of the settlement coin that `lots` are worth at a price."""
        if self.inverse:
            return half_even(lots * self._up, ticks * self._down)
        return half_even(ticks * lots * self._up, self._down) if self._down != 1 else ticks * lots * self._up

    def average(self, value: int, lots: int) -> str:
        """Average price of `lots` that cost `value`, with up to ten decimals.

        The value of an inverse contract is rounded itself, so its price is the shortest that has this value.
        """
        size = lots * self.lot_units
        if not self.inverse:
            return text(half_even(value * UNIT, size * 100) * 100)
        if not value:
            return "0"
        price = half_even(size * UNIT, value)
        for coarse in (10**n for n in range(12, 1, -1)):
            shorter = half_even(price, coarse) * coarse
            if shorter and half_even(size * UNIT, shorter) == value:
                return text(shorter)
        return text(half_even(price, 100) * 100)

    def size(self, lots: int) -> int:
        """Units of the base coin (inverse: of contract value)."""
        return lots * self.lot_units

    @staticmethod
    def fee(value: int, rate: int) -> int:
        """Fee on a value at a rate; negative is a rebate."""
        return half_even(value * rate, _RATE)


def rate_text(rate: int) -> str:
    """Write a rate in 10^-8 as a decimal."""
    return text(rate * (UNIT // _RATE))


def rate_units(decimal: str) -> int:
    """Read a rate into 10^-8. Raises ValueError when it is finer than that."""
    whole, rest = divmod(units(decimal), UNIT // _RATE)
    if rest:
        raise ValueError(f"{decimal!r} is no fee rate; expected at most 8 decimals")
    return whole
