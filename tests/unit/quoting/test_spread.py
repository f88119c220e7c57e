"""The adaptive spread: what each score says, and how slowly the spread may follow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.quoting import AdaptiveSpread, SpreadMeasurements, SpreadState

SPREAD = AdaptiveSpread()
CALM = SpreadMeasurements(volatility_bps=0.0, depth_lots=100.0)
WILD = SpreadMeasurements(volatility_bps=50.0, depth_lots=0.0, latencies_ms=[900.0] * 5, pnl_z=-9.0)
TICK = 200_000_000

MEASUREMENTS = st.builds(
    SpreadMeasurements,
    volatility_bps=st.floats(0.0, 50.0),
    depth_lots=st.floats(0.0, 500.0),
    latencies_ms=st.lists(st.floats(0.0, 2000.0), max_size=8),
    pnl_z=st.floats(-6.0, 6.0),
)


@pytest.mark.parametrize(("measured", "score"), [(0.0, 0.0), (2.5, 0.5), (5.0, 1.0), (80.0, 1.0)])
def test_volatility_score(measured: float, score: float) -> None:
    """Linear up to the volatility at which it counts in full."""
    scores = SPREAD.scores(SpreadMeasurements(volatility_bps=measured, depth_lots=100.0), ())
    assert scores.volatility == score


@pytest.mark.parametrize(("lots", "score"), [(0.0, 1.0), (25.0, 0.75), (100.0, 0.0), (900.0, 0.0)])
def test_liquidity_score(lots: float, score: float) -> None:
    """An empty book counts in full, a full one not at all."""
    assert SPREAD.scores(SpreadMeasurements(volatility_bps=0.0, depth_lots=lots), ()).liquidity == score


@pytest.mark.parametrize(
    ("latencies", "score"),
    [
        ([900.0] * 4, 0.0),
        ([50.0] * 5, 0.0),
        ([175.0] * 5, 0.5),
        ([900.0] * 5, 1.0),
        ([10.0] * 95 + [900.0] * 5, 0.0),
        ([10.0] * 94 + [900.0] * 6, 1.0),
    ],
)
def test_latency_score(latencies: list[float], score: float) -> None:
    """The 95th percentile decides, and fewer than five round trips say nothing."""
    assert SPREAD.scores(CALM, latencies).latency == score


@pytest.mark.parametrize(("z", "score"), [(2.0, 0.0), (0.0, 0.0), (-1.25, 0.5), (-2.5, 1.0), (-9.0, 1.0)])
def test_pnl_score(z: float, score: float) -> None:
    """Winning does not narrow the spread; losing widens it."""
    assert SPREAD.scores(SpreadMeasurements(volatility_bps=0.0, depth_lots=100.0, pnl_z=z), ()).pnl == score


def test_target_weighs_the_scores() -> None:
    """One bp, half of the volatility and a quarter of the liquidity score: 1 + 0.6/2 + 0.4/4."""
    scores = SPREAD.scores(SpreadMeasurements(volatility_bps=2.5, depth_lots=75.0), ())
    assert SPREAD.target_bps(scores) == pytest.approx(1.4)
    worst = SPREAD.scores(WILD, [900.0] * 5)
    assert SPREAD.target_bps(worst) == 2.5


def test_a_shock_is_followed_in_steps_with_rests_between() -> None:
    """Each move is 0.2 bps at most, then 200 ms nothing; the top is 2.5 bps, and calm leads back to base."""
    state, path = SPREAD.start(), []
    for half_tick in range(24):
        state, spread = SPREAD.update(state, half_tick * TICK // 2, WILD)
        path.append(round(spread, 6))
    assert path[:6] == [1.2, 1.2, 1.4, 1.4, 1.6, 1.6]
    assert path[-1] == 2.5
    state = SpreadState(spread_bps=2.5, moved_ns=state.moved_ns)
    for tick in range(12, 24):
        state, spread = SPREAD.update(state, tick * TICK, CALM)
    assert spread == 1.0


def test_the_first_measurement_may_move_at_once_and_calm_rests() -> None:
    """There is no cool-off before the first move, and no move without a reason."""
    state, spread = SPREAD.update(SPREAD.start(), 5, CALM)
    assert (spread, state.moved_ns) == (1.0, None)
    state, spread = SPREAD.update(state, 6, WILD)
    assert (spread, state.moved_ns, state.half_spread_bps) == (1.2, 6, 0.6)


@given(measured=st.lists(st.tuples(MEASUREMENTS, st.integers(0, 300_000_000)), max_size=40))
def test_bounds_step_and_cool_off_hold_on_any_path(measured: list[tuple[SpreadMeasurements, int]]) -> None:
    """Whatever is measured, the spread stays in bounds, moves one step at most, and rests after it."""
    state, now, moved = SPREAD.start(), 0, None
    for measurements, elapsed in measured:
        now += elapsed
        before, (state, spread) = state, SPREAD.update(state, now, measurements)
        assert 0.6 <= spread <= 2.5
        assert abs(spread - before.spread_bps) <= 0.2 + 1e-12
        assert len(state.latencies_ms) <= 100
        if spread != before.spread_bps:
            assert moved is None or now - moved >= TICK
            moved = now


def test_only_the_last_hundred_round_trips_count() -> None:
    """Slow answers are forgotten once a hundred quick ones followed."""
    slow = SpreadMeasurements(volatility_bps=0.0, depth_lots=100.0, latencies_ms=[900.0] * 50)
    quick = SpreadMeasurements(volatility_bps=0.0, depth_lots=100.0, latencies_ms=[10.0] * 100)
    state, widened = SPREAD.update(SPREAD.start(), 0, slow)
    state, narrowed = SPREAD.update(state, TICK, quick)
    assert (widened, narrowed) == (1.2, 1.0)
    assert state.latencies_ms == (10.0,) * 100


def test_same_inputs_same_spread() -> None:
    """The state is not touched: updating twice from it gives the same answer."""
    state = SPREAD.start()
    assert SPREAD.update(state, 1, WILD) == SPREAD.update(state, 1, WILD)
    assert state == SPREAD.start()


def test_time_must_go_on() -> None:
    """A measurement from before the last move is refused."""
    with pytest.raises(ValueError, match="now_ns is 9, before the last move at 10"):
        SPREAD.update(SpreadState(spread_bps=1.0, moved_ns=10), 9, CALM)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"volatility_bps": math.nan}, "volatility_bps is nan"),
        ({"depth_lots": -1.0}, "depth_lots is -1.0"),
        ({"latencies_ms": [1.0, math.nan]}, "latencies_ms is nan"),
        ({"pnl_z": math.inf}, "pnl_z is inf"),
    ],
)
def test_refuses_measurements_that_are_none(wrong: dict[str, object], message: str) -> None:
    """A number that was not measured does not enter the spread."""
    with pytest.raises(ValueError, match=message):
        SpreadMeasurements(**({"volatility_bps": 1.0, "depth_lots": 1.0} | wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"base_bps": 3.0}, r"base_bps is 3.0; expected within \[0.6, 2.5\]"),
        ({"step_bps": 0.0}, "step_bps is 0.0; expected a finite number above zero"),
        ({"pnl_weight": -0.1}, "pnl_weight is -0.1"),
        ({"max_bps": math.nan}, "max_bps is nan"),
        ({"latency_ms_full": 50.0}, "latency_ms_full is 50.0; expected above 50.0"),
        ({"latency_samples_max": 4}, "latency_samples_max is 4; expected at least 5"),
    ],
)
def test_refuses_parameters_that_contradict(wrong: dict[str, float], message: str) -> None:
    """Relations between parameters are checked where they are built."""
    with pytest.raises(ValueError, match=message):
        AdaptiveSpread(**wrong)  # type: ignore[arg-type]
