"""Cartea–Jaimungal against reference values of two independent solvers, its identities and GLFT."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import cartea_jaimungal, cartea_jaimungal_value, glft

BOOK = {"lam": 1.0, "kappa": 100.0, "phi": 1e-5, "alpha": 1e-4, "position_limit": 3, "time_left": 30.0}


@pytest.mark.parametrize(
    ("changes", "position", "bid", "ask"),
    [
        ({}, 0, 0.01082224, 0.01082224),
        ({}, 1, 0.01275557, 0.00917776),
        ({}, 2, 0.01624113, 0.00724443),
        ({}, 3, math.inf, 0.00375887),
        ({}, -3, 0.00375887, math.inf),
        ({"phi": 1e-3}, 0, 0.01290891, 0.01290891),
        ({"phi": 1e-3}, 1, 0.01845356, 0.00709109),
        ({"maker_fee": 0.002}, 0, 0.01282888, 0.01282888),
        ({"maker_fee": -0.002}, 0, 0.00881674, 0.00881674),
        ({"adverse_selection": 0.001}, 0, 0.01182541, 0.01182541),
        ({"maker_fee": -0.003, "adverse_selection": 0.001}, 0, 0.00881674, 0.00881674),
    ],
)
def test_reference_depths(changes: dict[str, float], position: int, bid: float, ask: float) -> None:
    """Depths with penalties, fees, a rebate and adverse selection, to the digits printed."""
    assert cartea_jaimungal(position, **(BOOK | changes)) == pytest.approx((bid, ask), abs=1e-8)


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({}, 0.2053483021),
        ({"phi": 1e-3}, 0.1683003707),
        ({"maker_fee": 0.002}, 0.1683922924),
        ({"maker_fee": -0.002}, 0.2504901467),
        ({"adverse_selection": 0.001}, 0.1859467269),
        ({"maker_fee": -0.003, "adverse_selection": 0.001}, 0.2504901467),
    ],
)
def test_reference_value_of_being_flat(changes: dict[str, float], value: float) -> None:
    """h(0): what thirty seconds of quoting are worth."""
    assert cartea_jaimungal_value(0, **(BOOK | changes)) == pytest.approx(value, abs=1e-10)


def test_reference_simulation_parameters() -> None:
    """The parameters of the mbt_gym simulation, with a limit wide enough not to bind."""
    model = {"lam": 140.0, "kappa": 1.5, "phi": 0.01, "alpha": 0.001, "time_left": 1.0, "position_limit": 100}
    assert cartea_jaimungal_value(0, **model) == pytest.approx(68.25583476, abs=1e-8)
    assert cartea_jaimungal(0, **model).bid == pytest.approx(0.67213715, abs=1e-8)


@given(
    position=st.integers(-2, 2), phi=st.floats(0.0, 1e-2), alpha=st.floats(0.0, 1e-2), time_left=st.floats(0.0, 60.0)
)
def test_depths_are_differences_of_the_value(position: int, phi: float, alpha: float, time_left: float) -> None:
    """δ = 1/κ + h(q) − h(q ± 1): what a fill must pay is what it takes from the value of going on."""
    model = BOOK | {"phi": phi, "alpha": alpha, "time_left": time_left}
    down, here, up = (cartea_jaimungal_value(position + step, **model) for step in (-1, 0, 1))
    assert cartea_jaimungal(position, **model) == pytest.approx((0.01 + here - up, 0.01 + here - down), abs=1e-11)


@given(position=st.integers(-3, 3), fee=st.floats(-0.01, 0.01))
def test_fee_shift_identity(position: int, fee: float) -> None:
    """A fee is a shift of the depth and a thinning of the flow by e^(−κf)."""
    charged = cartea_jaimungal(position, maker_fee=fee, **BOOK)
    thinned = cartea_jaimungal(position, **(BOOK | {"lam": math.exp(-100.0 * fee)}))
    assert charged == pytest.approx((fee + thinned.bid, fee + thinned.ask), abs=1e-10)


@given(
    position=st.integers(-5, 5),
    ambiguity=st.floats(0.001, 0.5),
    sigma=st.floats(0.1, 2.0),
    horizon=st.floats(0.1, 30.0),
)
def test_ambiguity_about_drift_is_a_running_penalty(
    position: int, ambiguity: float, sigma: float, horizon: float
) -> None:
    """With φ = ½aσ² and nothing to pay at the end, the model is GLFT with γ = a and ξ = 0."""
    penalised = cartea_jaimungal(
        position,
        lam=0.9,
        kappa=0.3,
        phi=0.5 * ambiguity * sigma**2,
        alpha=0.0,
        position_limit=5,
        time_left=horizon,
    )
    averse = glft(position, gamma=ambiguity, sigma=sigma, A=0.9, kappa=0.3, xi=0.0, position_limit=5, horizon=horizon)
    assert penalised == pytest.approx(averse, rel=1e-9, abs=1e-9)


def test_at_the_horizon_the_value_is_the_cost_of_closing() -> None:
    """With no time left h(q) = −αq², and the depths follow from it alone."""
    model = BOOK | {"time_left": 0.0}
    assert cartea_jaimungal_value(2, **model) == pytest.approx(-1e-4 * 4)
    assert cartea_jaimungal(2, **model) == pytest.approx((0.01 + 1e-4 * (9 - 4), 0.01 - 1e-4 * (4 - 1)))


@pytest.mark.parametrize("name", ["lam", "kappa", "phi", "alpha", "time_left"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_refuses_parameters_out_of_range(name: str, value: float) -> None:
    """The refusal names the parameter and its value."""
    with pytest.raises(ValueError, match=rf"^{name} is {value!r}; expected"):
        cartea_jaimungal(0, **(BOOK | {name: value}))


@pytest.mark.parametrize("name", ["maker_fee", "adverse_selection"])
def test_refuses_an_unknown_cost(name: str) -> None:
    """A NaN cost never becomes a NaN quote; the name is the caller's."""
    with pytest.raises(ValueError, match=f"^{name} is nan"):
        cartea_jaimungal(0, **BOOK, **{name: math.nan})


@pytest.mark.parametrize("position", [4, -4, 0.5, math.nan])
def test_value_is_known_at_whole_positions_only(position: float) -> None:
    """There is no value beyond the limit or between two states."""
    with pytest.raises(ValueError, match="expected a whole number from -3 to 3"):
        cartea_jaimungal_value(position, **BOOK)
