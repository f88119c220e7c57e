"""Market measures against published sequences, hand calculation and independent formulas."""

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise
from statistics import NormalDist, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot import signals

SECOND = 1_000_000_000
OPEN = [100, 101.2, 100.7, 102.4, 101.9, 103.3, 102.2, 101, 101.8, 102.9]
HIGH = [101.9, 102, 103.1, 103, 104.2, 103.9, 102.8, 102.5, 103.6, 104.4]
LOW = [99.1, 100.2, 100.3, 101.1, 101.5, 101.7, 100.4, 100.1, 101.2, 102.3]
CLOSE = [101, 100.9, 102.6, 101.7, 103.5, 102, 101.3, 101.6, 103.1, 103.8]


def test_volatility_uses_log_returns() -> None:
    """Per sample it is the sample standard deviation of log returns, in bps times ten thousand."""
    prices = [100.0, 101.0, 99.5, 100.2]
    volatility = signals.realised_volatility(prices, [0, SECOND, 2 * SECOND, 3 * SECOND])
    by_hand = stdev(math.log(b / a) for a, b in pairwise(prices))
    assert volatility.per_sample == pytest.approx(by_hand)
    assert volatility.bps_per_sample == pytest.approx(1e4 * by_hand)
    assert volatility.bps_per_sqrt_second == pytest.approx(1e4 * by_hand)


@pytest.mark.parametrize(
    ("seconds", "factor"), [(0.1, 17758.4), (1, 5615.69), (60, 724.983), (28_800, 33.091), (86_400, 19.105)]
)
def test_annualising_follows_the_sampling_interval(seconds: float, factor: float) -> None:
    """The factor from per sample to per year is that of the interval, not a constant root of 252."""
    times = [round(i * seconds * SECOND) for i in range(4)]
    volatility = signals.realised_volatility([100, 101, 100.5, 102], times)
    assert volatility.annualised() / volatility.per_sample == pytest.approx(factor, rel=1e-4)
    assert volatility.annualised(252) == pytest.approx(volatility.annualised() * math.sqrt(252 / 365))


def test_minute_returns_of_sixty_percent_come_out_near_sixty_percent() -> None:
    """A portable sequence of 1,440 one-minute returns gives the published deviation and annualised figure."""
    state, returns = 20240607, []
    for _ in range(1440):
        state = (6364136223846793005 * state + 1442695040888963407) % 2**64
        returns.append(NormalDist().inv_cdf(((state >> 11) + 0.5) / 2**53) * 0.6 * math.sqrt(60 / 31_536_000))
    prices = 30_000 * np.exp(np.concatenate(([0.0], np.cumsum(returns))))
    volatility = signals.realised_volatility(prices, np.arange(1441) * 60 * SECOND)
    assert volatility.bps_per_sample == pytest.approx(8.1336, abs=5e-5)
    assert volatility.annualised() == pytest.approx(0.58967, abs=5e-6)
    assert 30_000 * volatility.per_sqrt_second == pytest.approx(3.1501, abs=5e-5)


def test_prices_that_are_not_positive_are_skipped() -> None:
    """A zero or negative price is left out with its time, and the return spans the hole."""
    with_holes = signals.realised_volatility([0, 100, -5, 101, 100.5], [0, 1, 2, 3, 9])
    whole = signals.realised_volatility([100, 101, 100.5], [1, 3, 9])
    assert with_holes == dataclasses.replace(whole, skipped=2)
    assert (whole.returns, whole.skipped) == (2, 0)


@pytest.mark.parametrize("prices", [[], [100.0], [100.0, 101.0], [0.0, -1.0, 100.0, 101.0]])
def test_fewer_than_two_returns_make_no_volatility(prices: list[float]) -> None:
    """Without two returns the volatility is zero, and the count of returns says that it is no measurement."""
    volatility = signals.realised_volatility(prices, range(len(prices)))
    assert (volatility.per_sample, volatility.bps_per_sqrt_second, volatility.annualised()) == (0.0, 0.0, 0.0)
    assert volatility.returns < 2


@pytest.mark.parametrize(
    ("prices", "times", "words"),
    [
        ([1, math.nan, 2], [0, 1, 2], r"prices\[1\] must be finite, got nan"),
        ([1, 2, math.inf], [0, 1, 2], r"prices\[2\] must be finite, got inf"),
        ([1, 2, 3], [0, 2, 1], "times_ns must not decrease, got 2 then 1"),
        ([1, 2, 3], [5, 5, 5], "times_ns must span some time"),
        ([1, 2, 3], [0, 0.5, 1], "whole nanoseconds"),
        ([1, 2, 3], [0, 0.5, math.nan], "whole nanoseconds"),
        ([1, 2, 3], [0, 1], "equally long, got 3"),
        ([[1, 2]], [0, 1], "prices must be one-dimensional"),
    ],
)
def test_bad_prices_and_times_are_refused(prices: list, times: list, words: str) -> None:
    """NaN, infinite prices and times that make no sense are refused, saying where."""
    with pytest.raises(ValueError, match=words):
        signals.realised_volatility(prices, times)


def test_two_scale_variance_matches_the_worked_sums() -> None:
    """The worked sequence gives its published variance, plain and adjusted."""
    logs = 1e-4 * np.array([0, 3, 1, 4, 2, 6, 5, 9, 7, 8, 12, 10, 11])
    assert signals.tsrv(logs, 3) == pytest.approx(1.938889e-7, abs=5e-14)
    assert signals.tsrv(logs, 3, adjusted=True) == pytest.approx(2.684615e-7, abs=5e-14)


def test_two_scale_variance_sees_through_the_bounce() -> None:
    """On a noisy walk it stays near the true variance, where the plain sum is over ten times too large."""
    rng = np.random.default_rng(7)
    steps, noise = rng.normal(0, 1e-4, 100_000), rng.normal(0, 3e-4, 100_001)
    seen = np.concatenate(([0.0], np.cumsum(steps))) + noise
    truth = 100_000 * 1e-8
    assert signals.tsrv(seen, 300, adjusted=True) == pytest.approx(truth, rel=0.15)
    assert np.sum(np.diff(seen) ** 2) > 10 * truth


def test_two_scale_variance_refuses_one_scale() -> None:
    """It needs two scales and more prices than subsamples."""
    with pytest.raises(ValueError, match="subsamples must be at least 2, got 1"):
        signals.tsrv([0, 1, 2], 1)
    with pytest.raises(ValueError, match="more than 3 prices for 3 subsamples, got 3"):
        signals.tsrv([0, 1, 2], 3)


def test_range_estimators_match_their_reference() -> None:
    """Ten fixed bars give the reference volatility per bar of each estimator."""
    assert signals.close_to_close(CLOSE) == pytest.approx(0.0117917105, abs=5e-11)
    assert signals.parkinson(HIGH, LOW) == pytest.approx(0.0139906806, abs=5e-11)
    assert signals.garman_klass(OPEN, HIGH, LOW, CLOSE) == pytest.approx(0.0149255879, abs=5e-11)
    assert signals.rogers_satchell(OPEN, HIGH, LOW, CLOSE) == pytest.approx(0.0144874240, abs=5e-11)
    assert signals.yang_zhang(OPEN, HIGH, LOW, CLOSE) == pytest.approx(0.0138588567, abs=5e-11)
    assert signals.ewma_volatility(CLOSE) == pytest.approx(0.0074765720, abs=5e-11)


def test_bars_that_are_none_are_refused_and_too_few_are_unknown() -> None:
    """A close outside its range is named; too few bars answer NaN."""
    with pytest.raises(ValueError, match="bar 1: high and low must enclose open and close"):
        signals.garman_klass([1, 1], [2, 2], [0.5, 0.5], [1, 3])
    with pytest.raises(ValueError, match=r"low\[0\] must be positive, got 0"):
        signals.parkinson([1], [0])
    with pytest.raises(ValueError, match="at least one bar"):
        signals.rogers_satchell([], [], [], [])
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1, got 1"):
        signals.ewma_volatility(CLOSE, 1.0)
    unknown = [signals.close_to_close([1, 2]), signals.ewma_volatility([1]), signals.parkinson([], [])]
    assert all(map(math.isnan, [*unknown, signals.yang_zhang(OPEN[:2], HIGH[:2], LOW[:2], CLOSE[:2])]))


TOUCHES = [
    (100, 10, 100.1, 12),
    (100, 14, 100.1, 12),
    (100, 9, 100.1, 12),
    (100, 9, 100.1, 5),
    (100.1, 4, 100.2, 8),
    (100.1, 4, 100.2, 3),
    (100, 20, 100.2, 3),
    (100, 20, 100.1, 7),
    (99.9, 6, 100.1, 7),
]


def test_order_flow_imbalance_matches_the_published_sequence() -> None:
    """Nine touches give the eight published contributions."""
    flows = signals.ofi(*zip(*TOUCHES, strict=True))
    assert flows.tolist() == [4, -5, 7, 9, 5, -4, -7, -20]
    assert len(signals.ofi([1], [1], [2], [1])) == 0
    with pytest.raises(ValueError, match="equally long, got bid 2, bid_size 1, ask 2, ask_size 2"):
        signals.ofi([1, 1], [1], [2, 2], [1, 1])


def test_microprice_and_imbalance_lean_to_the_thin_side() -> None:
    """More size on the bid lifts both; an empty touch is unknown."""
    assert signals.microprice(100, 30, 101, 10) == 100.75
    assert signals.imbalance(30, 10) == 0.5
    assert math.isnan(signals.imbalance(0, 0))


STAY = np.array([[0.50, 0.20, 0.05, 0.03, 0.02], [0.20, 0.40, 0.20, 0.05, 0.03], [0.06, 0.20, 0.38, 0.20, 0.06]])
STAY = np.vstack([STAY, STAY[1::-1, ::-1]])
UP = np.array([0.02, 0.04, 0.05, 0.08, 0.18])
LANDING_UP = np.array([0.35, 0.30, 0.20, 0.10, 0.05])
MOVE = np.column_stack([UP[::-1], UP])
REFERENCE = [-0.31482639, -0.13638688, 0.0, 0.13638688, 0.31482639]


def test_microprice_adjustment_matches_its_reference() -> None:
    """The five-state example gives its reference, for either column order and for landings shared or per state."""
    shared = signals.microprice_adjustment(STAY, MOVE, [-1, 1], LANDING_UP, LANDING_UP[::-1])
    swapped = signals.microprice_adjustment(STAY, MOVE[:, ::-1], [1, -1], LANDING_UP, LANDING_UP[::-1])
    per_state = (np.tile(LANDING_UP, (5, 1)), np.tile(LANDING_UP[::-1], (5, 1)))
    assert shared == pytest.approx(REFERENCE, abs=5e-9)
    assert swapped == pytest.approx(REFERENCE, abs=5e-9)
    assert signals.microprice_adjustment(STAY, MOVE, [-1, 1], *per_state) == pytest.approx(REFERENCE, abs=5e-9)


def test_microprice_adjustment_makes_the_price_a_martingale() -> None:
    """One step ahead, the expected jump plus the adjustment of the next state is the adjustment of this one."""
    adjustment = signals.microprice_adjustment(STAY, MOVE, [-0.5, 0.5], LANDING_UP, LANDING_UP[::-1])
    down = MOVE[:, 0] * (-0.5 + LANDING_UP[::-1] @ adjustment)
    up = MOVE[:, 1] * (0.5 + LANDING_UP @ adjustment)
    assert STAY @ adjustment + down + up == pytest.approx(adjustment, abs=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Q": np.eye(5), "R": np.zeros((5, 2))}, "spectral radius of Q is 1"),
        ({"R": MOVE * [0.5, 1.5]}, "at most 1 in all"),
        ({"R": MOVE * [0.5, 1.0], "Q": STAY + np.diag(0.5 * UP[::-1])}, "make the data symmetric"),
        ({"R": MOVE.T}, r"Q must be n x n and R n x len\(jumps\), got Q \(5, 5\), R \(2, 5\)"),
        ({"jumps": [0, 1]}, "jumps must be finite and not zero"),
        ({"landing_up": LANDING_UP[:4]}, r"landing_up must have shape \(5,\) or \(5, 5\), got \(4,\)"),
        ({"landing_down": LANDING_UP * 2}, "landing_down must be probabilities that sum to 1"),
    ],
)
def test_a_chain_without_an_answer_is_refused(changes: dict, words: str) -> None:
    """Shapes, probabilities, a mid that never moves and moves that do not cancel are refused by name."""
    chain = {"Q": STAY, "R": MOVE, "jumps": [-1, 1], "landing_up": LANDING_UP, "landing_down": LANDING_UP[::-1]}
    with pytest.raises(ValueError, match=words):
        signals.microprice_adjustment(**{**chain, **changes})


def test_roll_spread_matches_its_reference_and_is_unknown_in_a_trend() -> None:
    """The bounce of ten prices gives the reference spread; trending prices give NaN, not zero."""
    prices = [100, 100.02, 100, 100.02, 100.02, 100, 100.03, 100.01, 100.03, 100.01]
    assert signals.roll_spread(prices) == pytest.approx(0.039731, abs=5e-7)
    assert math.isnan(signals.roll_spread([1, 2, 4, 7, 11]))
    assert math.isnan(signals.roll_spread([1, 2, 1]))


def test_effective_spread_is_realised_spread_plus_impact() -> None:
    """Four trades give the reference means in bps, and the identity holds trade by trade."""
    side, price = [1, -1, 1, -1], [100.02, 99.98, 100.04, 99.97]
    mid, after = [100, 100, 100.01, 99.99], [100.01, 99.97, 100.05, 99.985]
    effective = signals.effective_spread(side, price, mid)
    realised = signals.realised_spread(side, price, mid, after)
    impact = signals.price_impact(side, mid, after)
    assert effective.mean() == pytest.approx(4.49995, abs=5e-6)
    assert realised.mean() == pytest.approx(0.250125, abs=5e-7)
    assert impact.mean() == pytest.approx(4.249825, abs=5e-7)
    assert effective == pytest.approx(realised + impact)
    with pytest.raises(ValueError, match=r"side\[1\] must be \+1"):
        signals.effective_spread([1, 0], [1, 1], [1, 1])


def test_vpin_matches_its_reference() -> None:
    """Eight trades fill four buckets at 0.30; a bucket that is not full does not count."""
    trades = [60, -30, 50, -80, 20, -10, 90, -60]
    assert signals.vpin(trades, 100) == pytest.approx(0.30)
    assert signals.vpin([*trades, 99], 100) == pytest.approx(0.30)
    assert math.isnan(signals.vpin([60], 100))
    with pytest.raises(ValueError, match="bucket must be a positive volume, got 0"):
        signals.vpin(trades, 0)


@given(st.lists(st.integers(-50, 50), max_size=60), st.integers(1, 80))
def test_vpin_equals_filling_buckets_unit_by_unit(trades: list[int], bucket: int) -> None:
    """Splitting every trade into units and cutting the units into buckets is the obvious twin."""
    units = [1 if trade > 0 else -1 for trade in trades for _ in range(abs(trade))]
    full = [units[i : i + bucket] for i in range(0, len(units) - bucket + 1, bucket)]
    expected = sum(abs(sum(one)) for one in full) / (bucket * len(full)) if full else math.nan
    assert signals.vpin(trades, bucket) == pytest.approx(expected, nan_ok=True)


def test_kyle_lambda_is_the_slope() -> None:
    """An exact line gives its slope; constant volume has none."""
    assert signals.kyle_lambda([1, -2, 3], [0.102, 0.096, 0.106]) == pytest.approx(0.002)
    assert math.isnan(signals.kyle_lambda([5, 5], [1, 2]))
    assert math.isnan(signals.kyle_lambda([], []))


@pytest.mark.parametrize(("p", "expected"), [(0, 1), (5, 1), (50, 10), (95, 19), (95.1, 20), (100, 20)])
def test_percentile_is_the_nearest_rank_rounded_up(p: float, expected: int) -> None:
    """Of twenty ordered values the rank is the percentage of twenty, rounded up, at least one."""
    assert signals.percentile(range(20, 0, -1), p) == expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50), st.integers(1, 1000))
def test_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], per_mille: int) -> None:
    """At least p percent of the values do not exceed it, and it is the smallest such value."""
    found = signals.percentile(values, per_mille / 10)
    share = Fraction(per_mille, 1000)

    def covers(bound: float) -> bool:
        return Fraction(sum(value <= bound for value in values), len(values)) >= share

    assert found in values
    assert covers(found)
    assert not any(covers(value) for value in values if value < found)


def test_percentile_refuses_what_has_no_rank() -> None:
    """No values, NaN and percentages outside 0 to 100 are refused."""
    with pytest.raises(ValueError, match="at least one value"):
        signals.percentile([], 50)
    with pytest.raises(ValueError, match="NaN has no meaning"):
        signals.percentile([1.0, math.nan], 50)
    with pytest.raises(ValueError, match="from 0 to 100, got 101"):
        signals.percentile([1.0], 101)
