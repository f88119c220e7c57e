"""Grids, and what the best of many is worth: published figures, and what has no value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config import BacktestConfig, ConfigError
from mmbot.research.statistics import Measure
from mmbot.research.sweep import (
    axes,
    deflated_sharpe,
    expected_best_sharpe,
    grid,
    probabilistic_sharpe,
    sharpe_ratio,
)

CONFIG = BacktestConfig.model_validate(
    {
        "instruments": [{"tape": "sample:btcusdt", "limits": {"position": "1", "order": "1"}}],
        "strategy": {"name": "join_touch", "params": {"order_lots": 2}},
    }
)


def test_an_axis_is_read_as_json_or_as_text() -> None:
    """Numbers, truth and null keep their kind; other words stay words."""
    assert axes(["gamma=0.05, 1", "on=true,null", "model=glft,fixed"]) == {
        "gamma": (0.05, 1),
        "on": (True, None),
        "model": ("glft", "fixed"),
    }


@pytest.mark.parametrize("texts", [["gamma"], ["=1"], ["gamma=1,,2"], ["gamma=1", "gamma=2"]])
def test_an_axis_that_says_nothing_or_twice_is_refused(texts: list[str]) -> None:
    """A missing name, a missing value and a repeated axis are errors that name the axis."""
    with pytest.raises(ConfigError, match="grid: "):
        axes(texts)


def test_a_grid_is_every_combination_over_the_configured_parameters() -> None:
    """The last axis varies fastest, what is not varied stays as configured, and each build is a fresh strategy."""
    candidates = grid(CONFIG, {"cap_lots": [5, 6], "every_ms": [10, 20]})
    assert [one.name for one in candidates] == [f"cap_lots={cap} every_ms={ms}" for cap in (5, 6) for ms in (10, 20)]
    built = candidates[3].build()
    assert (built.config.order_lots, built.config.cap_lots, built.config.every_ms) == (2, 6, 20)
    assert candidates[3].build() is not built


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "no axis"),
        ({"cap_lots": []}, "at least one"),
        ({"cap_lots": [5, 5]}, "different values"),
        ({"cap_lot": [5]}, "did you mean 'cap_lots'"),
        ({"cap_lots": [1]}, "grid cap_lots=1"),
    ],
)
def test_a_grid_is_checked_before_anything_runs(wanted: dict[str, list[object]], said: str) -> None:
    """An empty axis, a repeated value, an unknown parameter and a refused value are answered by name."""
    with pytest.raises(ConfigError, match=said):
        grid(CONFIG, wanted)


def test_a_grid_needs_a_strategy_to_vary() -> None:
    """Without a configured strategy there are no parameters."""
    with pytest.raises(ConfigError, match="strategy: missing"):
        grid(CONFIG.model_copy(update={"strategy": None}), {"cap_lots": [5]})


def test_the_published_examples_come_out() -> None:
    """Bailey and López de Prado: PSR of 24 months (2012), hurdle and DSR of a daily strategy of 5 years (2014)."""
    monthly = 0.036 / 0.079
    assert probabilistic_sharpe(monthly, 0.1, samples=24, skew=-2.448, kurtosis=10.164) == pytest.approx(0.855361)
    hurdle = expected_best_sharpe(100, 0.5 / 250)
    assert hurdle == pytest.approx(0.1131720, abs=5e-8)
    daily = 2.5 / math.sqrt(250)
    assert probabilistic_sharpe(daily, hurdle, samples=1250, skew=-3, kurtosis=10) == pytest.approx(0.9003968, abs=5e-8)


def test_a_single_trial_is_not_deflated() -> None:
    """The best of one is itself: its hurdle is zero."""
    gains = np.sin(np.arange(100.0)) + 0.2
    alone = sharpe_ratio(gains)
    centred = (gains - gains.mean()) / gains.std()
    expected = probabilistic_sharpe(
        alone.value or 0.0, 0.0, samples=100, skew=(centred**3).mean(), kurtosis=(centred**4).mean()
    )
    assert expected_best_sharpe(1, 9.0) == 0.0
    assert deflated_sharpe(gains, [alone]).value == pytest.approx(expected, rel=1e-12)


@given(st.integers(2, 500), st.floats(1e-6, 1.0))
def test_more_trials_raise_the_hurdle(trials: int, variance: float) -> None:
    """Whoever tries more must show more."""
    assert expected_best_sharpe(trials + 1, variance) > expected_best_sharpe(trials, variance)


def test_what_cannot_be_deflated_says_why() -> None:
    """Too few gains, no risk, or no second trial to compare with: no value, and the reason."""
    known, unknown = Measure(0.1), Measure(None, "none")
    assert "needs 30" in deflated_sharpe(np.ones(5), [known, known]).note
    assert "straight line" in deflated_sharpe(np.ones(50), [known, known]).note
    assert "fewer than two trials" in deflated_sharpe(np.sin(np.arange(50.0)), [known, unknown]).note


@pytest.mark.parametrize(("trials", "variance"), [(0, 1.0), (2, -1.0), (2, math.nan)])
def test_a_hurdle_needs_trials_and_a_variance(trials: int, variance: float) -> None:
    """Nothing is expected of no trials, and a variance is not negative."""
    with pytest.raises(ValueError, match="expected at least one trial"):
        expected_best_sharpe(trials, variance)


def test_impossible_moments_are_refused() -> None:
    """A kurtosis below 1 + skew² belongs to no sample."""
    with pytest.raises(ValueError, match="kurtosis above"):
        probabilistic_sharpe(1.0, 0.0, samples=10, skew=3.0, kurtosis=1.0)
