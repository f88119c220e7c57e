"""What a fill must pay before it earns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import break_even_half_spread, glft
from mmbot.quoting.fees import intensity_after_fee

COSTS = st.floats(-5.0, 5.0)


def test_break_even_adds_what_costs_and_takes_off_what_pays() -> None:
    """Fee 1, markout 0.8, rebate 0.5: the half-spread must pay 1.3."""
    assert break_even_half_spread(maker_fee=1.0, adverse_markout=0.8, rebate=0.5) == pytest.approx(1.3)


def test_a_rebate_above_the_markout_pays_for_quoting_inside() -> None:
    """With half a bp of rebate and little adverse selection the break-even is negative."""
    assert break_even_half_spread(maker_fee=-0.5, adverse_markout=0.2) == pytest.approx(-0.3)


@given(fee=COSTS, markout=COSTS, rebate=COSTS)
def test_a_rebate_is_a_negative_fee(fee: float, markout: float, rebate: float) -> None:
    """Naming the rebate or signing the fee is the same."""
    named = break_even_half_spread(maker_fee=fee, adverse_markout=markout, rebate=rebate)
    assert named == pytest.approx(break_even_half_spread(maker_fee=fee - rebate, adverse_markout=markout))


@given(fee=st.floats(-0.5, 0.5), markout=st.floats(0.0, 0.5))
def test_a_risk_neutral_quote_keeps_its_edge_above_break_even(fee: float, markout: float) -> None:
    """As risk aversion vanishes GLFT quotes 1/κ beyond the break-even: what it keeps per fill does not change."""
    cost = break_even_half_spread(maker_fee=fee, adverse_markout=markout)
    depths = glft(0, gamma=1e-12, sigma=0.3, A=0.9, kappa=2.0, maker_fee=cost)
    assert depths == pytest.approx((0.5 + cost, 0.5 + cost), abs=1e-5)


def test_a_half_bp_rebate_is_worth_28_percent() -> None:
    """With κ = 0.5 per bp, e^(0.25) more flow arrives at the same net edge."""
    assert intensity_after_fee(1.0, kappa=0.5, fee=-0.5) == pytest.approx(1.2840, abs=1e-4)


@pytest.mark.parametrize("name", ["maker_fee", "adverse_markout", "rebate"])
def test_refuses_an_unknown_cost(name: str) -> None:
    """A markout that was not measured is not zero."""
    costs = {"maker_fee": 1.0, "adverse_markout": 0.5, "rebate": 0.0} | {name: math.nan}
    with pytest.raises(ValueError, match=f"{name} is nan; expected a finite number"):
        break_even_half_spread(**costs)
