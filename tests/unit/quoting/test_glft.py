"""GLFT against published output, reference tables, an independent solver and its own identities."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from mmbot.quoting import glft, glft_table

G1 = {"sigma": 0.3, "A": 0.9, "kappa": 0.3, "gamma": 0.01}
G2 = G1 | {"sigma": 0.4}
G3 = {"sigma": 1.0, "A": 0.2, "kappa": 0.3, "gamma": 0.01}
G4 = {"sigma": 10.69, "A": 2.986162360812285, "kappa": 0.04235741115084049, "gamma": 0.05}

REFERENCE = [
    # set, position, exact bid, exact ask, closed bid, closed ask, printed to
    (G1, 0, 3.313045, 3.313045, 3.312915, 3.312915, 1e-6),
    (G1, 1, 3.381168, 3.244919, 3.380781, 3.245049, 1e-6),
    (G1, 5, 3.653480, 2.972522, 3.652244, 2.973586, 1e-6),
    (G1, 10, 3.992933, 2.632802, 3.991574, 2.634257, 1e-6),
    (G2, 0, 3.324458, 3.324458, 3.324226, 3.324226, 1e-6),
    (G2, 5, 3.778746, 2.869957, 3.776665, 2.871787, 1e-6),
    (G3, 0, 3.525651, 3.525651, 3.518924, 3.518924, 1e-6),
    (G3, 5, 5.918517, 1.100245, 5.918344, 1.119505, 1e-6),
    (G3, 10, 8.022747, -1.072185, 8.317763, -1.279915, 1e-6),
    (G4, 0, 20.896, 20.896, 20.472, 20.472, 1e-3),
    (G4, 2, 40.696, -0.009, 39.999, 0.946, 1e-3),
    (G4, 5, 63.637, -25.674, 69.288, -28.344, 1e-3),
    (G4, 10, 88.835, -53.491, 118.105, -77.161, 1e-3),
]

MODELS = st.fixed_dictionaries(
    {
        "sigma": st.floats(0.05, 3.0),
        "A": st.floats(0.05, 5.0),
        "kappa": st.floats(0.05, 3.0),
        "gamma": st.floats(0.001, 0.5),
    }
)
LIMITS = st.integers(1, 12)


def depths_by_scipy(model: dict[str, float], limit: int, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Return bids and asks from the dense matrix exponential of scipy: the obvious twin."""
    gamma, sigma, A, kappa = (model[name] for name in ("gamma", "sigma", "A", "kappa"))
    states = np.arange(-limit, limit + 1)
    eta = A * (1 + gamma / kappa) ** -(1 + kappa / gamma)
    neighbours = np.eye(states.size, k=1) + np.eye(states.size, k=-1)
    value = expm(-horizon * (np.diag(0.5 * kappa * gamma * sigma**2 * states**2) - eta * neighbours)).sum(axis=1)
    step = np.log(value[:-1] / value[1:]) / kappa
    c1 = math.log1p(gamma / kappa) / gamma
    return c1 + step, c1 - step


@pytest.mark.parametrize(("model", "position", "bid", "ask", "closed_bid", "closed_ask", "digits"), REFERENCE)
def test_reference_table(
    model: dict[str, float],
    position: int,
    bid: float,
    ask: float,
    closed_bid: float,
    closed_ask: float,
    digits: float,
) -> None:
    """Closed form and ground state give the reference to the digits printed, ten minutes to the horizon to the last."""
    half_a_digit = 0.51 * digits
    assert glft(position, **model) == pytest.approx((closed_bid, closed_ask), abs=half_a_digit)
    assert glft(position, position_limit=30, **model) == pytest.approx((bid, ask), abs=half_a_digit)
    assert glft(position, position_limit=30, horizon=600, **model) == pytest.approx((bid, ask), abs=digits)


def test_published_hftbacktest_numbers() -> None:
    """Half-spread and skew of the hftbacktest notebook, to every digit it prints."""
    flat, long = glft(0, **G4), glft(1, **G4)
    assert flat.bid == pytest.approx(20.47208533844371, abs=1e-12)
    assert flat.ask == pytest.approx(20.47208533844371, abs=1e-12)
    assert long.bid - flat.bid == pytest.approx(9.76326865029227, abs=1e-12)
    assert flat.ask - long.ask == pytest.approx(9.76326865029227, abs=1e-12)


@given(model=MODELS, limit=st.integers(1, 4), horizon=st.floats(0.0, 20.0))
def test_finite_horizon_is_the_matrix_exponential(model: dict[str, float], limit: int, horizon: float) -> None:
    """The scaled and squared exponential agrees with scipy where scipy keeps its relative precision."""
    table = glft_table(position_limit=limit, horizon=horizon, **model)
    bid, ask = depths_by_scipy(model, limit, horizon)
    assert table.bid[:-1] == pytest.approx(bid, rel=1e-7, abs=1e-7)
    assert table.ask[1:] == pytest.approx(ask, rel=1e-7, abs=1e-7)


@given(model=MODELS, limit=LIMITS)
def test_ground_state_is_an_eigenvector(model: dict[str, float], limit: int) -> None:
    """Every state satisfies d(q) − η·(e^(−κδb') + e^(−κδa')) = λ with one λ, the lowest eigenvalue numpy finds."""
    gamma, sigma, A, kappa = (model[name] for name in ("gamma", "sigma", "A", "kappa"))
    table = glft_table(position_limit=limit, **model)
    eta = A * (1 + gamma / kappa) ** -(1 + kappa / gamma)
    c1 = math.log1p(gamma / kappa) / gamma
    states = np.arange(-limit, limit + 1)
    costs = 0.5 * kappa * gamma * sigma**2 * states**2
    flow = sum(np.exp(-kappa * (np.array(side) - c1)) for side in (table.bid, table.ask))
    neighbours = np.eye(states.size, k=1) + np.eye(states.size, k=-1)
    lowest = np.linalg.eigvalsh(np.diag(costs) - eta * neighbours)[0]
    assert costs - eta * flow == pytest.approx(np.full(states.size, lowest), abs=1e-10 * (costs.max() + eta))


@given(sigma=st.floats(0.01, 100.0))
def test_one_order_each_way_is_solved_by_hand(sigma: float) -> None:
    """Three states: λ = (α − √(α² + 8η²))/2 and v(0)/v(1) = (α − λ)/η, however calm or wild the market."""
    A, kappa, gamma = 0.9, 0.3, 0.01
    alpha = 0.5 * kappa * gamma * sigma**2
    eta = A * (1 + gamma / kappa) ** -(1 + kappa / gamma)
    step = math.log((alpha + math.hypot(alpha, math.sqrt(8) * eta)) / (2 * eta)) / kappa
    c1 = math.log1p(gamma / kappa) / gamma
    model = {"sigma": sigma, "A": A, "kappa": kappa, "gamma": gamma, "position_limit": 1}
    assert glft(0, **model) == pytest.approx((c1 + step, c1 + step), rel=1e-12)
    assert glft(1, **model).ask == pytest.approx(c1 - step, rel=1e-12, abs=1e-12)


@given(model=MODELS, limit=LIMITS)
def test_a_far_horizon_is_the_stationary_quote(model: dict[str, float], limit: int) -> None:
    """A horizon of months is forgotten, even at the positions that are almost never reached."""
    far = glft_table(position_limit=limit, horizon=1e7, **model)
    stationary = glft_table(position_limit=limit, **model)
    assert far.bid[:-1] == pytest.approx(stationary.bid[:-1], rel=1e-6, abs=1e-6)


@given(model=MODELS, fee=st.floats(-0.5, 0.5), position=st.integers(-5, 5))
@pytest.mark.parametrize("regime", [{}, {"position_limit": 6}, {"position_limit": 6, "horizon": 3.0}])
def test_fee_shift_identity(model: dict[str, float], fee: float, position: int, regime: dict[str, float]) -> None:
    """δ*(q; A, f) = f + δ*(q; A·e^(−κf), 0): a fee widens the quote and thins the flow, in every regime."""
    charged = glft(position, maker_fee=fee, **model, **regime)
    thinned = glft(position, **(model | {"A": model["A"] * math.exp(-model["kappa"] * fee)}), **regime)
    assert charged == pytest.approx((fee + thinned.bid, fee + thinned.ask), rel=1e-8, abs=1e-8)


def test_fee_reference_values() -> None:
    """A fee of half a price unit and the same rebate: depths and skew of set G1 with ten units."""
    for fee, exact, closed, skew in [
        (0.5, 3.82515451, 3.81555803, 0.07315151),
        (-0.5, 2.82216322, 2.81046332, 0.06296208),
    ]:
        assert glft(0, maker_fee=fee, position_limit=10, **G1).bid == pytest.approx(exact, abs=1e-8)
        assert glft(0, maker_fee=fee, **G1).bid == pytest.approx(closed, abs=1e-8)
        lean = glft(1, maker_fee=fee, **G1).bid - glft(0, maker_fee=fee, **G1).bid
        assert lean == pytest.approx(skew, abs=1e-8)


def test_drift_leans_the_quotes_with_the_move() -> None:
    """An expected rise brings the bid nearer; closed form and ground state give their reference depths."""
    assert glft(0, drift=0.01, **G1).bid == pytest.approx(2.5589, abs=1e-4)
    assert glft(0, drift=0.01, position_limit=30, **G1).bid == pytest.approx(2.5576, abs=1e-4)


@given(model=MODELS, limit=LIMITS, drift=st.floats(-0.2, 0.2))
def test_buying_and_selling_are_mirror_images(model: dict[str, float], limit: int, drift: float) -> None:
    """Short in a falling market is long in a rising one, seen from the other side."""
    table = glft_table(position_limit=limit, drift=drift, **model)
    mirror = glft_table(position_limit=limit, drift=-drift, **model)
    assert table.bid == pytest.approx(tuple(reversed(mirror.ask)), rel=1e-7, abs=1e-7)


@given(model=MODELS, limit=LIMITS)
def test_more_inventory_lowers_both_quotes(model: dict[str, float], limit: int) -> None:
    """The longer we are, the deeper the bid and the nearer the ask, at every state."""
    table = glft_table(position_limit=limit, **model)
    assert all(low < high for low, high in zip(table.bid, table.bid[1:], strict=False))
    assert all(low > high for low, high in zip(table.ask, table.ask[1:], strict=False))


@pytest.mark.parametrize("horizon", [None, 5.0])
def test_at_the_limit_one_side_is_silent(horizon: float | None) -> None:
    """At ±limit, and with less than one order of room, the side that would exceed it is +inf; the other quotes."""
    model = G1 | {"position_limit": 6, "order_size": 2, "horizon": horizon}
    assert glft(6, **model).bid == math.inf
    assert glft(-6, **model).ask == math.inf
    assert glft(5, **model).bid == math.inf
    assert glft(-5, **model).ask == math.inf
    assert all(math.isfinite(glft(q, **model).ask) for q in (6, 5, -4))
    assert all(math.isfinite(glft(q, **model).bid) for q in (-6, -5, 4))


def test_beyond_the_limit_the_reducing_side_still_quotes() -> None:
    """A late fill can carry us over the limit: we then quote as at the limit, never nothing."""
    assert glft(7.5, position_limit=6, **G1) == glft(6, position_limit=6, **G1)
    assert glft(-99, position_limit=6, **G1) == glft(-6, position_limit=6, **G1)


def test_between_states_the_depths_are_interpolated() -> None:
    """Half-way through an order the depths lie half-way; float noise in a position is not a partial fill."""
    low, middle, high = (glft(q, position_limit=6, **G1) for q in (2, 2.5, 3))
    assert middle == pytest.approx(((low.bid + high.bid) / 2, (low.ask + high.ask) / 2))
    tenth = G1 | {"order_size": 0.1, "position_limit": 0.7}
    assert glft(0.1 + 0.2, **tenth) == glft(0.3, **tenth)


@given(model=MODELS, size=st.floats(0.1, 10.0), position=st.integers(-4, 4))
def test_order_size_is_only_a_unit(model: dict[str, float], size: float, position: int) -> None:
    """Counting in orders of Δ units is counting in units with γ·Δ: same problem, same depths."""
    in_units = model | {"gamma": model["gamma"] * size}
    for limit in (None, 5):
        scaled = glft(position * size, order_size=size, position_limit=limit and limit * size, **model)
        assert scaled == pytest.approx(glft(position, position_limit=limit, **in_units), rel=1e-7, abs=1e-7)


@given(model=MODELS, position=st.integers(-5, 5))
@pytest.mark.parametrize("limit", [None, 6])
def test_vanishing_xi_is_its_limit(model: dict[str, float], position: int, limit: int | None) -> None:
    """ξ → 0 runs smoothly into ξ = 0, the running-penalty model, where the first term is 1/κ."""
    nearly, zero = (glft(position, xi=xi, position_limit=limit, **model) for xi in (1e-12, 0.0))
    assert nearly == pytest.approx(zero, rel=1e-8, abs=1e-8)
    if limit is None:
        skew = model["sigma"] * math.sqrt(model["gamma"] * math.e / (2 * model["A"] * model["kappa"]))
        assert (zero.bid + zero.ask) / 2 == pytest.approx(1 / model["kappa"] + skew / 2, rel=1e-12)


@pytest.mark.parametrize("gamma", [1e-2, 1e-4, 1e-6])
def test_closed_form_is_the_limit_of_small_risk(gamma: float) -> None:
    """The error of the closed form shrinks in proportion to the risk aversion."""
    model = G1 | {"gamma": gamma}
    exact, closed = glft(5, position_limit=300, **model), glft(5, **model)
    assert closed == pytest.approx((exact.bid, exact.ask), abs=0.15 * gamma)


@pytest.mark.parametrize("name", ["gamma", "sigma", "A", "kappa", "order_size"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
@pytest.mark.parametrize("limit", [None, 5])
def test_refuses_parameters_out_of_range(name: str, value: float, limit: int | None) -> None:
    """The refusal names the parameter and its value, in the closed form and in the table."""
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; expected a finite number above zero"):
        glft(0, position_limit=limit, **(G1 | {name: value}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"horizon": 600.0}, "horizon is 600.0 but position_limit is None; expected a position_limit"),
        ({"position_limit": 5, "horizon": -1.0}, "horizon is -1.0; expected a finite number, zero or above"),
        ({"position_limit": 2.5}, "position_limit is 2.5 with order_size 1.0; expected a whole number of orders"),
        ({"position_limit": 0.5, "order_size": 1}, "position_limit is 0.5"),
        ({"position_limit": 1e9}, "expected a whole number of orders from 1 to 1000"),
        ({"position_limit": math.nan}, "position_limit is nan"),
        ({"xi": -0.1}, "xi is -0.1"),
        ({"maker_fee": math.nan}, "maker_fee is nan"),
        ({"maker_fee": -1e6}, r"maker_fee .* is -1000000.0 .* expected price units per unit, not bps"),
        ({"drift": math.inf}, "drift is inf"),
        ({"sigma": 1e200, "gamma": 1e200}, "half_spread is inf; expected a finite number"),
        ({"sigma": 1e200, "position_limit": 5}, "the value steps by e.nan between two positions; expected parameters"),
        ({"A": 5e-324}, "fills_at_best_depth is 0.0; expected a finite number above zero"),
        ({"position_limit": 1e300, "order_size": 1e-300}, "expected a whole number of orders"),
        ({"position_limit": 90, "horizon": 600.0, "sigma": 90.0}, "underflows to zero; expected a smaller"),
    ],
)
def test_refuses_what_it_cannot_solve(wrong: dict[str, float], message: str) -> None:
    """Every refusal says what was wrong and what was expected."""
    with pytest.raises(ValueError, match=message):
        glft(0, **(G1 | wrong))


@pytest.mark.parametrize("limit", [None, 5])
def test_refuses_a_nan_position(limit: int | None) -> None:
    """A position that is not known is never quoted around."""
    with pytest.raises(ValueError, match="position is nan"):
        glft(math.nan, position_limit=limit, **G1)


def test_depths_become_prices_around_a_mid() -> None:
    """The bid lies below the mid by its depth, the ask above it by its own."""
    depths = glft(2, **G1)
    assert depths.around(100.0) == (100.0 - depths.bid, 100.0 + depths.ask)
