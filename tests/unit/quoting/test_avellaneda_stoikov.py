"""Avellaneda–Stoikov against its formula, its published quick value and the exact population of its simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import avellaneda_stoikov

POSITIVE = st.floats(0.01, 10.0)
MODEL = {"gamma": 0.1, "sigma": 2.0, "kappa": 1.5, "time_left": 0.5}


def simulated_population(gamma: float, spread: str) -> tuple[float, float, float, float]:
    """Return mean and sd of the P&L, sd of the final position and mean fills of the 2008 simulation, exactly.

    A recursion on inventory replaces the sampling: 200 steps of 0.005, each side fills with probability A·e^(−κδ)·dt,
    then the mid moves by ±σ√dt. `gain` and `square` are the first two moments of what is still to come.
    """
    steps, dt, sigma, A, kappa, limit = 200, 0.005, 2.0, 140.0, 1.5, 90
    positions = np.arange(-limit, limit + 1)
    gain, square, fills = (np.zeros(positions.size) for _ in range(3))
    moments = np.zeros(positions.size)
    moments[:] = positions**2
    for step in reversed(range(steps)):
        quotes = [
            avellaneda_stoikov(
                0.0, int(q), gamma=gamma, sigma=sigma, kappa=kappa, time_left=1.0 - step * dt, spread=spread
            )
            for q in positions
        ]
        bid, ask = -np.array([quote.bid for quote in quotes]), np.array([quote.ask for quote in quotes])
        on_bid, on_ask = (np.minimum(1.0, A * np.exp(-kappa * depth) * dt) for depth in (bid, ask))
        outcomes = [
            (on_bid * on_ask, 0, bid + ask, 2),
            (on_bid * (1 - on_ask), 1, bid, 1),
            (on_ask * (1 - on_bid), -1, ask, 1),
            ((1 - on_bid) * (1 - on_ask), 0, 0.0, 0),
        ]
        after = {move: np.clip(positions + move, -limit, limit) + limit for move in (-1, 0, 1)}
        gain, square, fills, moments = (
            sum(p * (earned + gain[after[move]]) for p, move, earned, _ in outcomes),
            sum(
                p
                * (
                    np.square(earned)
                    + positions[after[move]] ** 2 * sigma**2 * dt
                    + 2 * earned * gain[after[move]]
                    + square[after[move]]
                )
                for p, move, earned, _ in outcomes
            ),
            sum(p * (count + fills[after[move]]) for p, move, _, count in outcomes),
            sum(p * moments[after[move]] for p, move, _, _ in outcomes),
        )
    flat = limit
    return gain[flat], math.sqrt(square[flat] - gain[flat] ** 2), math.sqrt(moments[flat]), fills[flat]


@pytest.mark.parametrize(
    ("gamma", "spread", "mean", "sd", "sd_position", "fills"),
    [
        (0.1, "full", 64.8925, 6.5432, 2.9268, 96.963),
        (0.1, "constant", 64.2203, 6.0480, 2.9263, 112.327),
        (0.01, "full", 68.3996, 8.9606, 5.2125, 102.21),
        (0.01, "constant", 68.3960, 8.9196, 5.2125, 103.76),
        (0.5, "full", 48.5681, 5.8981, 1.9558, 78.138),
        (0.5, "constant", 23.9007, 5.0686, 1.9533, 139.917),
    ],
)
def test_population_of_the_2008_simulation(
    gamma: float, spread: str, mean: float, sd: float, sd_position: float, fills: float
) -> None:
    """Trading our quotes in the 2008 simulation earns its exact population values, for both spread rules."""
    assert simulated_population(gamma, spread) == pytest.approx((mean, sd, sd_position, fills), rel=5e-5)


def test_quick_value() -> None:
    """The worked value: long two units, half-way to the horizon."""
    quote = avellaneda_stoikov(100.0, 2, **MODEL)
    assert quote == pytest.approx((98.85461478862429, 100.3453852113757), abs=1e-12)


@given(gamma=POSITIVE, sigma=POSITIVE, kappa=POSITIVE, time_left=POSITIVE, position=st.integers(-20, 20))
def test_constant_spread_drops_only_the_time_term(
    gamma: float, sigma: float, kappa: float, time_left: float, position: int
) -> None:
    """Both rules share the reservation price; the full one is wider by γσ²(T−t)."""
    model = {"gamma": gamma, "sigma": sigma, "kappa": kappa, "time_left": time_left}
    full = avellaneda_stoikov(100.0, position, **model)
    constant = avellaneda_stoikov(100.0, position, spread="constant", **model)
    risk = gamma * sigma**2 * time_left
    scale = abs(full.bid) + abs(full.ask)
    assert full.bid + full.ask == pytest.approx(constant.bid + constant.ask, abs=1e-12 * scale)
    assert (full.bid + full.ask) / 2 == pytest.approx(100.0 - position * risk, abs=1e-12 * scale)
    assert (full.ask - full.bid) - (constant.ask - constant.bid) == pytest.approx(risk, abs=1e-12 * scale)


@given(fee=st.floats(-0.5, 0.5), position=st.integers(-20, 20))
def test_fee_moves_each_side_out(fee: float, position: int) -> None:
    """A fee of f widens the total spread by 2f, a rebate narrows it, and neither moves the centre."""
    free, charged = (avellaneda_stoikov(100.0, position, maker_fee=f, **MODEL) for f in (0.0, fee))
    assert free.bid - charged.bid == pytest.approx(fee, abs=1e-12)
    assert charged.ask - free.ask == pytest.approx(fee, abs=1e-12)


def test_at_the_horizon_inventory_is_free() -> None:
    """With no time left the quotes are symmetric, however much we hold."""
    quote = avellaneda_stoikov(100.0, 50, gamma=0.1, sigma=2.0, kappa=1.5, time_left=0.0)
    assert quote.bid + quote.ask == pytest.approx(200.0)


@pytest.mark.parametrize("name", ["gamma", "sigma", "kappa", "time_left"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_refuses_parameters_out_of_range(name: str, value: float) -> None:
    """The refusal names the parameter and its value."""
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; expected"):
        avellaneda_stoikov(100.0, 0, **(MODEL | {name: value}))


@pytest.mark.parametrize("name", ["gamma", "sigma", "kappa"])
def test_refuses_zero_where_the_formula_divides_or_flattens(name: str) -> None:
    """Zero risk aversion, volatility or decay is a missing measurement, not a model."""
    with pytest.raises(ValueError, match=f"{name} is 0.0; expected a finite number above zero"):
        avellaneda_stoikov(100.0, 0, **(MODEL | {name: 0.0}))


def test_refuses_nan_market_and_unknown_spread() -> None:
    """A NaN mid or position never becomes a NaN quote, and a misspelt rule is not the other rule."""
    with pytest.raises(ValueError, match="mid is nan"):
        avellaneda_stoikov(math.nan, 0, **MODEL)
    with pytest.raises(ValueError, match="position is nan"):
        avellaneda_stoikov(100.0, math.nan, **MODEL)
    with pytest.raises(ValueError, match="spread is 'const'; expected 'full' or 'constant'"):
        avellaneda_stoikov(100.0, 0, spread="const", **MODEL)  # type: ignore[arg-type]


def test_refuses_a_quote_that_leaves_the_floats() -> None:
    """Parameters in the wrong unit end in a refusal, not in a NaN price."""
    with pytest.raises(ValueError, match="reservation_price is nan; expected a finite number"):
        avellaneda_stoikov(100.0, 0, **(MODEL | {"sigma": 1e200}))
