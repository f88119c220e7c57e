"""All watches together, over a restart, and what their configuration refuses."""

import json

import pytest
from pydantic import ValidationError

from mmbot.config import RiskConfig
from mmbot.risk import CONTROLS, FIRM, FreezeLevel, RiskWatch, Scope

UNITS, DAY = 10**12, 86_400_000_000_000


def test_day_peak_and_latch_survive_a_restart() -> None:
    """What was lost before counts after it."""
    watch = RiskWatch(RiskConfig(executions_max=2, capital_usd="10000"))
    watch.equity(1_000 * UNITS, 10 * DAY)
    watch.filled("linear BTC", "buy", 10 * DAY)
    assert [one.control for one in watch.filled("linear BTC", "sell", 10 * DAY)] == ["executions"]
    again = RiskWatch(RiskConfig(executions_max=2, capital_usd="10000"))
    again.restore(json.loads(json.dumps(watch.state())))
    assert [one.control for one in again.again(10 * DAY + 1)] == ["executions"]
    assert [one.control for one in again.equity(500 * UNITS, 10 * DAY + 1)][-1] == "loss_day"
    assert [one.control for one in again.equity(-500 * UNITS, 11 * DAY)] == ["drawdown"]
    again.streaks.enable()
    assert again.again(11 * DAY) == []


def test_minute_hour_and_trailing_peak_survive_a_restart() -> None:
    """What was lost within the hour, and the best price of a position, count after it."""
    config = RiskConfig(capital_usd="10000", trailing_stop_pct=1.5)
    watch, now = RiskWatch(config, account="7"), 10 * DAY + 7
    watch.equity(0, now)
    watch.stop("linear BTC", 1, 100.0, 110.0, now)
    again = RiskWatch(config, account="7")
    again.restore(json.loads(json.dumps(watch.state())))
    late = now + 59 * 10**9
    assert [one.control for one in again.equity(-100 * UNITS, late)] == ["loss_minute"]
    assert [one.control for one in again.equity(-299 * UNITS, now + 3_599 * 10**9)] == []
    again.restore(json.loads(json.dumps(watch.state())))
    assert [one.control for one in again.equity(-300 * UNITS, now + 3_599 * 10**9)] == ["loss_hour"]
    assert [one.control for one in again.stop("linear BTC", 1, 100.0, 108.35, late)] == ["trailing_stop"]
    third = RiskWatch(config, account="7")
    third.restore(json.loads(json.dumps(again.state())))
    assert third.stop("linear BTC", 1, 100.0, 100.0, late) == [], "it asked, before the restart"


def test_a_clock_that_is_set_back_at_a_restart_ends_no_day_and_empties_no_window() -> None:
    """Over midnight, by a day, to 1970: what was lost is still lost."""
    watch = RiskWatch(RiskConfig(capital_usd="10000"), account="7")
    watch.equity(0, 10 * DAY)
    watch.equity(-499 * UNITS, 10 * DAY + 3)
    for back in (1, DAY, 10 * DAY):
        again = RiskWatch(RiskConfig(capital_usd="10000"), account="7")
        again.restore(json.loads(json.dumps(watch.state())))
        found = [one.control for one in again.equity(-500 * UNITS, 10 * DAY - back)]
        assert found == ["loss_minute", "loss_hour", "loss_day"], back


def test_only_what_fell_is_armed_anew_and_only_by_its_own_scope() -> None:
    """A lift of something else forgives no loss, and a loss that was lifted counts again from where it was lifted."""
    watch, now = RiskWatch(RiskConfig(capital_usd="10000", stop_loss_pct=2.0), strategy="maker", account="7"), 10 * DAY
    watch.equity(0, now)
    watch.equity(-400 * UNITS, now + DAY // 2)
    assert watch.lifted(Scope("account", "7")) == [], "nothing had fallen"
    watch.equity(-390 * UNITS, now + DAY // 2 + 10**9)
    watch.equity(-490 * UNITS, now + DAY // 2 + 2 * 10**9)
    assert watch.lifted(Scope("account", "7")) == ["loss_minute"]
    assert watch.lifted(Scope("account", "7")) == []
    assert watch.lifted(FIRM) == []
    now += DAY // 2 + 3 * 10**9
    assert [one.control for one in watch.equity(-500 * UNITS, now)] == ["loss_day"]
    assert watch.lifted(Scope("strategy", "maker")) == []
    assert watch.lifted(Scope("account", "7")) == ["loss_day"]
    assert watch.equity(-500 * UNITS, now + 10**9) == []
    assert watch.equity(-599 * UNITS, now + 2 * 10**9) == []
    assert [one.control for one in watch.equity(-600 * UNITS, now + 3 * 10**9)] == ["loss_minute"]
    assert watch.equity(-898 * UNITS, now + 3_601 * 10**9) == []
    assert "loss_day" not in [one.control for one in watch.equity(-999 * UNITS, now + 3_602 * 10**9)]
    assert "loss_day" in [one.control for one in watch.equity(-1_000 * UNITS, now + 3_603 * 10**9)]


def test_a_state_of_the_version_before_is_read() -> None:
    """It had no windows; day and peak count, and a lift forgives both, as it did."""
    losses = {"day": 10, "opening": 0, "peak": 1_000 * UNITS}
    watch = RiskWatch(RiskConfig(capital_usd="10000"), account="7")
    watch.restore({"version": 1, "losses": losses, "streaks": {"latched": False}})
    assert [one.control for one in watch.equity(-500 * UNITS, 10 * DAY)] == ["loss_day", "drawdown"]
    assert watch.lifted(Scope("account", "7")) == ["loss_day", "drawdown"]
    assert watch.equity(-500 * UNITS, 10 * DAY + 1) == []


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"version": 3},
        {"version": 1, "losses": {}, "streaks": {}},
        {"version": 1},
        {"version": 2},
        {"version": 2, "losses": [], "streaks": {}, "stops": {}, "unhedged": {}},
        {**RiskWatch().state(), "stops": {"linear BTC": [1]}},
        {**RiskWatch().state(), "stops": []},
    ],
)
def test_a_state_that_cannot_be_read_is_refused(state: dict[str, object]) -> None:
    """A loss that is forgotten is no limit."""
    with pytest.raises(ValueError, match="risk state"):
        RiskWatch().restore(state)


def test_equity_that_is_not_known_freezes() -> None:
    """Losses cannot be measured then; an exit leaves all the same."""
    assert [one.level for one in RiskWatch().equity(None, 1)] == [FreezeLevel.REDUCE_ONLY]


def test_refusals_are_counted_over_restarts() -> None:
    """A run that is started again after each of them is refused as often; a state of before does not say."""
    watch = RiskWatch(RiskConfig(rejects_in_a_row=3))
    assert [*watch.refused(1), *watch.refused(2)] == []
    kept = watch.state()
    again = RiskWatch(RiskConfig(rejects_in_a_row=3))
    again.restore(kept)
    assert [one.control for one in again.refused(3)] == ["rejects_in_a_row"]
    again.restore({**kept, "streaks": {"latched": False}})
    assert again.refused(4) == []


def test_kinds_of_breakers_are_apart() -> None:
    """Each control counts under its own name and one of three kinds."""
    watch = RiskWatch()
    watch.equity(None, 1)
    assert watch.metrics()["equity", "loss"] == 1
    assert {kind for _, kind in watch.metrics()} == {"loss", "infrastructure", "market"}
    assert "api" not in {control.kind for control in CONTROLS.values()}


def test_launch_is_one_switch() -> None:
    """A tenth of every amount, 3 % a day, five positions."""
    plain, launch = RiskConfig(), RiskConfig(launch=True)
    assert launch.amount("max_order_notional_usd") * 10 == plain.amount("max_order_notional_usd")
    assert (plain.daily_loss_pct, launch.daily_loss_pct) == (5.0, 3.0)
    assert (plain.positions, launch.positions) == (20, 5)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"max_order_notional_usd": "0"}, "positive plain decimal"),
        ({"max_order_notional_usd": "-5"}, "positive plain decimal"),
        ({"max_order_notional_usd": 25_000}, "in quotes"),
        ({"max_order_notional_usd": "60000"}, "at most that"),
        ({"cap_order_usd": "1000000.01"}, "no configuration lifts it"),
        ({"loss_day_pct": 2.0}, "at most that"),
        ({"loss_minute_pct": float("nan")}, "finite"),
        ({"max_inventory": "5"}, "did you mean"),
        ({"max_order_notional_usd": "9" * 32}, "at most 12 digits"),
        ({"max_order_notional_usd": "0." + "9" * 32}, "at most 12 digits"),
        ({"max_firm_notional_usd": "100000000.01"}, "no configuration lifts it"),
        ({"max_open_notional_usd": "24999"}, "at most that"),
        ({"max_open_notional_usd": "1000001"}, "at most that"),
        ({"cap_order_usd": "1000000", "cap_gross_usd": "999999"}, "at most that"),
        ({"capital_usd": "1000000.01"}, "that is never at stake"),
        ({"decision_age_ms": 0}, "greater than or equal to 1"),
        ({"decision_age_ms": 60_001}, "less than or equal to 60000"),
        ({"depeg_bps": 50.0}, "name a pair too"),
        ({"depeg_pair": "USDCUSDT"}, "pattern"),
    ],
)
def test_bad_limits_refuse_to_start(claims: dict[str, object], said: str) -> None:
    """Not positive, of the wrong kind, inconsistent, or beyond what is compiled in."""
    with pytest.raises(ValidationError, match=said):
        RiskConfig.model_validate(claims)


def test_a_configuration_that_was_written_down_is_read_again() -> None:
    """A journal holds every key with its value: what was not set is not refused as if it were."""
    for config in (RiskConfig(), RiskConfig(depeg_pair="spot USDCUSDT", unhedged_usd_s=5.0)):
        assert RiskConfig.model_validate(config.model_dump(mode="json")) == config
    assert RiskConfig(depeg_pair="spot USDCUSDT").peg_bps == 100.0


SET_HERE = {
    "stop_loss_pct": 2.0,
    "trailing_stop_pct": 2.0,
    "unhedged_usd_s": 50_000.0,
    "depeg_bps": 100.0,
}
"""What has no value of its own to be mistyped."""


def a_thousand_times(name: str) -> object:
    """Three digits too many; None for what is no number."""
    given = SET_HERE.get(name, getattr(RiskConfig(), name))
    if given is None or isinstance(given, bool | tuple):
        return None
    return str(int(given) * 1_000) if isinstance(given, str) else given * 1_000


@pytest.mark.parametrize("name", [name for name in RiskConfig.model_fields if a_thousand_times(name) is not None])
def test_a_limit_with_three_digits_too_many_is_refused(name: str) -> None:
    """Every number of the risk table has a bound, or another limit to be held against, that near to its default."""
    with pytest.raises(ValidationError) as refused:
        RiskConfig.model_validate({name: a_thousand_times(name)})
    assert name in str(refused.value)


def test_what_is_switched_off_is_said() -> None:
    """By its key, and nothing else switches a control off."""
    assert RiskConfig().off == (*("depeg_pair", "stop_loss_pct", "trailing_stop_pct", "unhedged_usd_s"),)
    nothing = {name: 0 for name in RiskConfig.model_fields if name in OFF_BY_ZERO}
    assert RiskConfig(unit_shift=False, self_match=False, guards=False, **nothing).off == (
        *("unit_shift", "duplicate_ms", "self_match", "book_age_ms", "venue_age_ms", "mark_age_ms"),
        *("reference_age_ms", "elsewhere_age_ms", "orders_per_trade", "rejects_in_a_row", "unknowns_in_a_row"),
        *("executions_max", "one_sided_fills", "margin_headroom_pct", "depeg_pair", "stop_loss_pct"),
        *("trailing_stop_pct", "unhedged_usd_s", "guards", "lift_shadow_s", "lift_canary_s"),
    )


OFF_BY_ZERO = {
    *("duplicate_ms", "book_age_ms", "venue_age_ms", "mark_age_ms", "reference_age_ms", "elsewhere_age_ms"),
    *("orders_per_trade", "rejects_in_a_row", "unknowns_in_a_row", "executions_max", "one_sided_fills"),
    *("margin_headroom_pct", "lift_shadow_s", "lift_canary_s"),
}


@pytest.mark.parametrize("name", [name for name in RiskConfig.model_fields if a_thousand_times(name) is not None])
def test_zero_is_refused_or_said(name: str) -> None:
    """A number of zero either is no setting, or is a switch and named among what is off."""
    zero = "0" if isinstance(getattr(RiskConfig(), name), str) else 0
    try:
        config = RiskConfig.model_validate({name: zero})
    except ValidationError:
        assert name not in OFF_BY_ZERO
    else:
        assert name in config.off or name in {"fee_tolerance_bps", "edge_freeze_threshold_bps"}


def test_streaks_that_are_off_never_ask() -> None:
    """Two thousand refusals, silences and fills in a row."""
    watch = RiskWatch(RiskConfig(rejects_in_a_row=0, unknowns_in_a_row=0, executions_max=0, one_sided_fills=0))
    for now in range(2_000):
        assert not watch.refused(now)
        assert not watch.unanswered(now)
        assert not watch.filled("linear BTC", "buy", now)
