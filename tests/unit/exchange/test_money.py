"""Exact amounts, and an instrument's arithmetic that agrees with the core."""

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot._core import Instrument, Ledger
from mmbot.exchange.money import Grid, half_even, rate_text, rate_units, text, units

KINDS = ("linear", "inverse")


def instrument(kind: str) -> Instrument:
    """BTC in 0.10 steps; contracts of one USD for the inverse one."""
    return Instrument(venue="t", symbol="BTC", kind=kind, tick="0.10", lot="1" if kind == "inverse" else "0.001")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_division_rounds_half_to_even(numerator: int, denominator: int):
    """As fractions do it."""
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))
    assert [half_even(n, 2) for n in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]


@given(st.integers(-(10**24), 10**24))
def test_an_amount_reads_back_as_it_was_written(amount: int):
    """No float in between, no exponent, no trailing zero."""
    written = text(amount)
    assert units(written) == amount
    assert "E" not in written
    assert "." not in written or not written.endswith("0")


@pytest.mark.parametrize("bad", ["", "-", "1e3", "1.0000000000001", " 1", "１", "0x1", "1.2.3"])
def test_what_is_no_amount_is_refused(bad: str):
    """Whatever is not plain ASCII digits with one point."""
    with pytest.raises(ValueError, match="no amount"):
        units(bad)


@pytest.mark.parametrize("kind", KINDS)
@given(ticks=st.integers(1, 10**7), lots=st.integers(1, 10**7))
def test_values_are_the_core_s(kind: str, ticks: int, lots: int):
    """A fill's value here is the turnover that the core's ledger books, to the last unit."""
    made = instrument(kind)
    ledger = Ledger([made])
    ledger.book_fill(instrument=0, execution=1, side=1, price=ticks, qty=lots, maker=True, fee=0, ts=0)
    assert Grid(made).value(ticks, lots) == ledger.turnover(0)


@given(ticks=st.integers(1, 10**7), lots=st.integers(1, 10**7))
def test_the_average_of_one_fill_is_its_price(ticks: int, lots: int):
    """For a linear contract exactly; for an inverse one as near as twelve decimals of the coin carry."""
    linear, inverse = Grid(instrument("linear")), Grid(instrument("inverse"))
    assert Decimal(linear.average(linear.value(ticks, lots), lots)) == Decimal(ticks) / 10
    price = Decimal(ticks) / 10
    got = Decimal(inverse.average(inverse.value(ticks, lots), lots))
    assert abs(got - price) <= price * price * Decimal("1e-12") / lots + Decimal("1e-10")
    assert inverse.average(inverse.value(600_000, 1), 1) == "60000"


def test_rates_read_and_write_exactly():
    """A rate is whole 10^-8; finer ones are refused."""
    assert rate_units("-0.00005") == -5000
    assert rate_text(-5000) == "-0.00005"
    with pytest.raises(ValueError, match="fee rate"):
        rate_units("0.000000001")
    fee = Grid.fee(123_456_789, 40_000)
    assert fee == int((Decimal(123_456_789) * 40_000 / 10**8).to_integral_value(ROUND_HALF_EVEN))
