"""How numbers are said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.research import wording
from mmbot.research.statistics import Interval, Measure, QueueBin

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (None, "n/a"),
        (0, "0 ns"),
        (850_000, "850 µs"),
        (12_500_000, "12.5 ms"),
        (3_200_000_000, "3.2 s"),
        (300 * SECOND, "5m"),
        (250 * SECOND, "4m 10s"),
        (7_500 * SECOND, "2h 05m"),
        (86_400 * 3 * SECOND + 4 * 3600 * SECOND, "3d 4h"),
    ],
)
def test_durations_use_their_natural_unit(ns, said):
    """From nanoseconds to days, in at most two units."""
    assert wording.duration(ns) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(1234.5, "+1,234.50 X"), (-3.456, "-3.46 X"), (0.01234, "+0.0123 X"), (0.0, "0.00 X"), (-1e-12, "0.00000000 X")],
)
def test_amounts_are_signed_and_grouped(value, said):
    """Cents for anything above one, more digits below, and never a minus before zero."""
    assert wording.amount(value, "X", signed=True) == said


def test_amounts_in_one_column_share_their_decimals():
    """The largest amount of a column decides."""
    assert wording.amount(0.0123, scale=500.0) == "0.01"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.12, "0.12"), (0.0, "0"), (1234567.0, "1,234,567"), (-0.5, "-0.5"), (1e-9, "0"), (0.0001, "0.0001")],
)
def test_quantities_have_no_trailing_zeros(value, said):
    """As a trader would write a size."""
    assert wording.quantity(value) == said


@given(st.floats(-1e9, 1e9))
def test_amounts_can_be_read_back(value):
    """What is shown is the number, to the decimals shown."""
    shown = wording.amount(value)
    places = len(shown.split(".")[1])
    assert abs(float(shown.replace(",", "")) - value) <= 0.5000001 * 10**-places


def test_what_is_missing_is_said_to_be():
    """A measure or interval without a value is n/a in every form."""
    nothing = Measure(None, "why")
    assert {wording.percent(nothing), wording.bps(nothing), wording.measured(nothing), wording.between(None)} == {"n/a"}
    assert wording.half_width(None) == wording.money(nothing, "X") == wording.size(nothing, "X") == "n/a"
    assert wording.between(Interval(-1.0, 2.0)) == "[-1.000, +2.000]"
    assert wording.half_width(Interval(-1.0, 2.0)) == "1.500"


@pytest.mark.parametrize(("low", "high", "said"), [(0, 0.0, "first"), (1, 3.0, "1–3×"), (1000, None, "> 1,000×")])
def test_queue_positions_are_said_in_own_quantities(low, high, said):
    """At the front, within a range, or beyond the last edge."""
    assert wording.queue_range(QueueBin(low=low, high=high, orders=1, filled=0, probability=0, interval=None)) == said


def test_times_are_utc():
    """Nanoseconds since the epoch, to the second."""
    assert wording.instant(1_700_000_000 * SECOND + 999_999_999) == "2023-11-14 22:13:20 UTC"
