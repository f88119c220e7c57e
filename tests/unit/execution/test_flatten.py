"""The next order on the way out of a position."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution.flatten import FlattenTerms, Held, WayOut, way_out

SECOND = 1_000_000_000
TERMS = FlattenTerms(order_max=40, least=2, slip_bps=20, participation=Fraction(1, 10))
LONG = Held(position=100, bid=10_000, ask=10_001, bid_lots=200, ask_lots=300, unsettled=False)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (LONG, WayOut("sell", 20, 9_980)),
        (LONG._replace(position=-100), WayOut("buy", 30, 10_021)),
        (LONG._replace(position=5), WayOut("sell", 5, 9_980)),
        (LONG._replace(position=1), WayOut("sell", 1, 9_980)),
        (LONG._replace(bid_lots=9), WayOut("sell", 2, 9_980)),
        (LONG._replace(bid_lots=0), WayOut("sell", 2, 9_980)),
        (LONG._replace(bid_lots=10_000), WayOut("sell", 40, 9_980)),
        (LONG._replace(bid=9_999, ask=10_000), WayOut("sell", 20, 9_980)),
        (LONG._replace(position=0), None),
        (LONG._replace(unsettled=True), None),
        (LONG._replace(bid=None), None),
        (LONG._replace(ask=None), None),
        (LONG._replace(bid=10_001), None),
    ],
)
def test_the_next_order(held: Held, expected: WayOut | None) -> None:
    """A tenth of what is displayed, within order and position, twenty basis points beyond the touch; else none."""
    assert way_out(held, TERMS, 0, SECOND) == expected


def test_one_a_second() -> None:
    """The next order comes a second after the last, not before."""
    assert way_out(LONG, TERMS, SECOND, 2 * SECOND - 1) is None
    assert way_out(LONG, TERMS, SECOND, 2 * SECOND) is not None


@given(
    st.integers(-(2**40), 2**40),
    st.integers(1, 2**30),
    st.integers(1, 1_000),
    st.integers(0, 2**40),
    st.integers(1, 1_000),
)
def test_it_only_ever_shrinks_the_position_inside_the_collar(
    position: int, bid: int, spread: int, shown: int, order_max: int
) -> None:
    """Whatever the market: never through zero, never more than one order, never beyond the slip."""
    terms = FlattenTerms(order_max=order_max)
    out = way_out(Held(position, bid, bid + spread, shown, shown, unsettled=False), terms, 0, SECOND)
    if not position:
        assert out is None
        return
    assert out is not None
    assert 0 < out.lots <= min(order_max, abs(position))
    assert out.side == ("sell" if position > 0 else "buy")
    if out.side == "sell":
        assert out.limit * 10_000 >= bid * (10_000 - terms.slip_bps)
    else:
        assert out.limit * 10_000 <= (bid + spread) * (10_000 + terms.slip_bps)
