"""From measurements to a verdict, where the tables of tests/spec/risk_guards.md leave off."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mmbot.risk import GuardLevel, Halt, RiskGuard, RiskGuardsConfig, RiskMeasurements, Trigger, assess

CONFIG = RiskGuardsConfig()
ANY = st.none() | st.floats()
MEASUREMENTS = st.builds(
    RiskMeasurements, volatility_bps=ANY, inventory_pct=ANY, taker_fills=ANY, latency_p95_ms=ANY, pnl_z=ANY
)
TWO_SECONDS = 2_000_000_000


def calm(**measured: float | None) -> RiskMeasurements:
    """Good measurements, save those told."""
    return RiskMeasurements(**{"volatility_bps": 5.0, "inventory_pct": 0.0, "taker_fills": 0, **measured})


def test_reasons_say_what_was_measured_and_what_the_thresholds_are() -> None:
    """An operator reads the guard, its level, the number and both thresholds."""
    _, verdict = assess(CONFIG, None, calm(volatility_bps=26.5, inventory_pct=math.nan, pnl_z=-2.0), 0)
    assert verdict.reasons == (
        "HARD volatility: is 26.5; soft 15, hard 25",
        "SOFT pnl: is -2; soft -1.5, hard -2.5",
        "HARD inventory: is not known; soft 6, hard 10",
    )


@given(MEASUREMENTS)
def test_only_good_measurements_let_anything_be_quoted(measured: RiskMeasurements) -> None:
    """Whatever comes in, quotes stand only if every guard was measured, or may be missing, and is below hard."""
    _, verdict = assess(CONFIG, None, measured, 0)
    safe = (
        measured.volatility_bps is not None
        and 0.0 <= measured.volatility_bps < 25.0
        and measured.inventory_pct is not None
        and 0.0 <= measured.inventory_pct < 10.0
        and measured.taker_fills is not None
        and 0.0 <= measured.taker_fills < 20
        and (measured.latency_p95_ms is None or 0.0 <= measured.latency_p95_ms < 450.0)
        and (measured.pnl_z is None or measured.pnl_z > -2.5)
    )
    assert verdict.quotes is safe
    assert verdict.cancel_all is not safe
    assert (verdict.level is GuardLevel.NONE) is (not verdict.triggers)


@given(MEASUREMENTS)
def test_what_follows_is_within_what_was_configured(measured: RiskMeasurements) -> None:
    """Sizes are whole, half or none, and quotes step back by 0.2 to 0.4 bps or not at all."""
    _, verdict = assess(CONFIG, None, measured, 0)
    match verdict.level:
        case GuardLevel.NONE:
            assert (verdict.size_factor, verdict.widen_bps, verdict.halted_until_ns) == (1.0, 0.0, None)
        case GuardLevel.SOFT:
            assert verdict.size_factor == 0.5
            assert 0.2 <= verdict.widen_bps <= 0.4
            assert verdict.halted_until_ns is None
        case GuardLevel.HARD:
            assert (verdict.size_factor, verdict.widen_bps, verdict.halted_until_ns) == (0.0, 0.0, TWO_SECONDS)


@given(st.floats(0, 30), st.floats(0, 30))
def test_more_volatility_is_never_judged_milder(some: float, more: float) -> None:
    """Level and widening, and the smaller size, follow the measurement."""
    some, more = sorted((some, more))
    (_, mild), (_, grave) = (assess(CONFIG, None, calm(volatility_bps=number), 0) for number in (some, more))
    assert mild.level <= grave.level
    assert mild.size_factor >= grave.size_factor
    assert mild.widen_bps <= grave.widen_bps or grave.level is GuardLevel.HARD


@given(st.lists(st.tuples(st.integers(0, 700_000_000), MEASUREMENTS), max_size=40))
def test_nothing_is_quoted_within_two_seconds_of_a_halt(steps: list[tuple[int, RiskMeasurements]]) -> None:
    """In any sequence, each halt cancels once at its start, and quotes return two seconds later at the earliest."""
    halt: Halt | None = None
    now_ns, out_until_ns = 0, 0
    for pause_ns, measured in steps:
        now_ns += pause_ns
        halt, verdict = assess(CONFIG, halt, measured, now_ns)
        assert verdict.cancel_all is (now_ns >= out_until_ns and verdict.level is GuardLevel.HARD)
        assert now_ns >= out_until_ns or not verdict.quotes
        out_until_ns = now_ns + TWO_SECONDS if verdict.cancel_all else out_until_ns
        assert (halt is None) is verdict.quotes


def test_a_halt_keeps_the_reasons_it_began_with() -> None:
    """Whoever looks in the middle of a halt learns why it is."""
    halt, first = assess(CONFIG, None, calm(volatility_bps=30.0), 0)
    _, later = assess(CONFIG, halt, calm(latency_p95_ms=999.0), 1)
    assert later.triggers == first.triggers
    assert [trigger.guard for trigger in later.triggers] == [RiskGuard.VOLATILITY]


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({"volatility_soft_bps": 25.0}, "volatility: soft is 25.0 and hard is 25.0; expected hard to lie beyond soft"),
        ({"latency_hard_ms": 200.0}, "latency: soft is 300.0 and hard is 200.0"),
        ({"pnl_hard_z": -1.0}, "pnl: soft is -1.5 and hard is -1.0"),
        ({"inventory_soft_pct": 11.0}, "inventory: soft is 11.0 and hard is 10.0"),
        ({"taker_fills_soft": 20}, "taker_fills: soft is 20 and hard is 20"),
        ({"soft_widen_min_bps": 0.5}, "soft_widen_min_bps is 0.5; expected at most 0.4"),
        ({"pnl_sample_s": 120.0}, "never fit into pnl_window_s"),
        ({"pnl_soft_z": 1.5}, "less than 0"),
        ({"volatility_hard_bps": math.nan}, "finite"),
        ({"vol_soft_bps": 15}, "'vol_soft_bps' is no key of RiskGuardsConfig; did you mean 'volatility_soft_bps'"),
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(told: dict[str, float], complaint: str) -> None:
    """A guard that could not trigger, or in the wrong order, is an error of the operator and is named."""
    with pytest.raises(ValidationError, match=complaint.replace("?", r"\?")):
        RiskGuardsConfig(**told)


def test_severity_runs_from_soft_to_hard() -> None:
    """Nought at the soft threshold, one at the hard one, in either direction."""
    falling = Trigger(RiskGuard.PNL, GuardLevel.SOFT, -1.75, -1.5, -2.5)
    rising = Trigger(RiskGuard.TAKER_FILLS, GuardLevel.SOFT, 18, 12, 20)
    assert (falling.severity, rising.severity) == (0.25, 0.75)
    for measured in (None, math.nan, 25.0, 99.0):
        assert Trigger(RiskGuard.VOLATILITY, GuardLevel.HARD, measured, 15, 25).severity == 1.0


def test_the_widening_may_be_one_number() -> None:
    """The same at both ends is no contradiction, and is what quotes step back by."""
    config = RiskGuardsConfig(soft_widen_min_bps=0.3, soft_widen_max_bps=0.3)
    _, verdict = assess(config, None, calm(volatility_bps=24.0), 0)
    assert verdict.widen_bps == pytest.approx(0.3)
