"""The fit of the fill intensity."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import fit_intensity


@given(A=st.floats(0.01, 100.0), kappa=st.floats(0.01, 10.0))
def test_recovers_the_intensity_that_made_the_rates(A: float, kappa: float) -> None:
    """Rates on the exponential give back its two numbers."""
    depths = [0.5 * step for step in range(10)]
    fitted = fit_intensity(depths, [A * math.exp(-kappa * depth) for depth in depths])
    assert fitted == pytest.approx((A, kappa), rel=1e-8)


def test_matches_a_fit_by_hand() -> None:
    """ln λ = 0, −1, −3 at depths 0, 1, 2: slope −3/2, intercept 1/6."""
    fitted = fit_intensity([0.0, 1.0, 2.0], [1.0, math.exp(-1.0), math.exp(-3.0)])
    assert fitted == pytest.approx((math.exp(1 / 6), 1.5))


def test_depths_beyond_the_quoted_range_do_not_count() -> None:
    """A flat tail that is never quoted, empty buckets included, leaves the fit alone."""
    near = fit_intensity([0.0, 1.0], [1.0, 0.5])
    assert fit_intensity([0.0, 1.0, 50.0, 60.0], [1.0, 0.5, 0.4, 0.0], max_depth=1.0) == near


@pytest.mark.parametrize(
    ("depths", "rates", "message"),
    [
        ([0.0, 1.0], [1.0], "got 2 depths and 1 rates; expected one rate per depth"),
        ([0.0, 1.0], [1.0, 0.0], r"rates\[1\] is 0.0; expected a finite number above zero"),
        ([0.0, math.nan], [1.0, 0.5], r"depths\[1\] is nan"),
        ([0.0, -1.0], [1.0, 0.5], r"depths\[1\] is -1.0"),
        ([1.0, 1.0], [1.0, 0.5], "expected two distinct depths or more"),
        ([], [], "got 0 observations"),
        ([0.0, 1.0], [0.5, 1.0], "expected them to fall"),
        ([0.0, 1.0], [0.5, 0.5], "expected them to fall"),
    ],
)
def test_refuses_what_is_no_decay(depths: list[float], rates: list[float], message: str) -> None:
    """Each refusal names the observation and what was expected of it."""
    with pytest.raises(ValueError, match=message):
        fit_intensity(depths, rates)
