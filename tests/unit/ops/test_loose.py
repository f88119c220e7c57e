"""Controls that can never act are named; live begins only where each is named on purpose."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from test_plausible import LISTED, wallet
from typer.testing import CliRunner

from mmbot import _core
from mmbot.cli import app
from mmbot.config import BacktestConfig, ConfigError, SessionConfig
from mmbot.config.load import check
from mmbot.ops.launch import controls_finding
from mmbot.ops.loose import OFF, check_named, loose_controls

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_OFF = ["risk.depeg_pair", "risk.stop_loss_pct", "risk.trailing_stop_pct", "risk.unhedged_usd_s"]
PAIR = {"depeg_pair": "spot USDCUSDT"}
SMALL = {
    "max_order_notional_usd": "100",
    "max_inventory_usd": "100",
    "max_total_notional_usd": "1000",
    "max_net_notional_usd": "1000",
    "capital_usd": "1000",
}
CHARGED = dataclasses.replace(
    LISTED,
    instrument=_core.Instrument(
        venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001", maker=20_000, taker=55_000
    ),
)


def config(collar_bps: int = 100, **risk: Any) -> BacktestConfig:
    """A run of one instrument."""
    limits = {"position": "1000", "order": "1", "collar_bps": collar_bps}
    each = {"symbol": "BTCUSDT", "category": "linear", "limits": limits}
    return check(BacktestConfig, {"instruments": [each], "risk": risk}, "a.toml")


def loose(run: BacktestConfig, margin: str | None = "10000") -> dict[str, str]:
    """What is loose and not simply off."""
    found = loose_controls(run, SessionConfig(), [CHARGED], wallet(margin))
    return {key: why for key, why in found.items() if why != OFF}


def test_the_defaults_leave_four_off_and_none_loose() -> None:
    """On an account that has its capital."""
    assert loose(config()) == {}
    found = loose_controls(config(), SessionConfig(), [CHARGED], wallet("10000"))
    assert found == dict.fromkeys(DEFAULT_OFF, OFF)


@pytest.mark.parametrize(
    ("key", "reached", "never"),
    [
        ("executions_max", {"executions_max": 5_399}, {"executions_max": 5_400}),
        ("unknowns_in_a_row", {"unknowns_in_a_row": 89}, {"unknowns_in_a_row": 90}),
        ("orders_free", {"orders_free": 777_599}, {"orders_free": 777_600}),
        ("reference_collar_bps", {"reference_collar_bps": 8_999}, {"reference_collar_bps": 9_000}),
        ("markout_freeze_bps", {"markout_freeze_bps": -299.9}, {"markout_freeze_bps": -300.0}),
        (
            "depeg_bps",
            {"depeg_pair": "spot USDCUSDT", "depeg_bps": 999.0},
            {"depeg_pair": "spot USDCUSDT", "depeg_bps": 1_000.0},
        ),
        ("margin_headroom_pct", {"margin_headroom_pct": 1.0}, {"margin_headroom_pct": 0.99}),
        ("fee_tolerance_bps", {"fee_tolerance_bps": 3.49}, {"fee_tolerance_bps": 3.5}),
        ("stop_loss_pct", {"stop_loss_pct": 99.9}, {"stop_loss_pct": 100.0}),
        ("trailing_stop_pct", {"trailing_stop_pct": 99.9}, {"trailing_stop_pct": 100.0}),
        ("unhedged_usd_s", {**SMALL, "unhedged_usd_s": 3_599_999.0}, {**SMALL, "unhedged_usd_s": 3_600_000.0}),
        ("mark_age_ms", {"mark_age_ms": 600_000}, {"mark_age_ms": 600_001}),
        ("account_age_ms", {"account_age_ms": 600_000}, {"account_age_ms": 600_001}),
        ("book_age_ms", {"book_age_ms": 59_999}, {"book_age_ms": 60_000}),
        ("decision_age_ms", {"decision_age_ms": 59_999}, {"decision_age_ms": 60_000}),
        ("guard_volatility_hard_bps", {"guard_volatility_hard_bps": 299.0}, {"guard_volatility_hard_bps": 300.0}),
        ("guard_latency_hard_ms", {"guard_latency_hard_ms": 9_999.0}, {"guard_latency_hard_ms": 10_000.0}),
        ("guard_inventory_hard_pct", {"guard_inventory_hard_pct": 199.0}, {"guard_inventory_hard_pct": 200.0}),
    ],
)
def test_a_control_beyond_what_can_be_reached_is_named(
    key: str, reached: dict[str, Any], never: dict[str, Any]
) -> None:
    """Just within reach it is not; one step further it is, with what it was held against."""
    assert loose(config(**reached)) == {}
    found = loose(config(**never))
    assert list(found) == [f"risk.{key}"]
    assert found[f"risk.{key}"].startswith("is ")


@pytest.mark.parametrize(
    ("margin", "named"),
    [
        ("1500.01", False),  # the account has more than the 15 % of 10000
        ("1500", True),
        (None, False),
    ],
)
def test_a_drawdown_of_all_that_the_account_has_is_named(margin: str | None, named: bool) -> None:
    """The loss that it waits for cannot happen; an account that does not say is not held against."""
    assert ("risk.drawdown_pct" in loose(config(), margin)) is named


def test_a_loss_of_all_that_is_ever_held_is_named() -> None:
    """Whatever the account has: ten times the capital, and all positions together are a tenth of that."""
    wide = config(
        capital_usd="100000",
        max_order_notional_usd="10000",
        max_inventory_usd="10000",
        max_total_notional_usd="10000",
        max_net_notional_usd="10000",
        loss_minute_pct=9.99,
        loss_hour_pct=10.0,
        loss_day_pct=10.0,
    )
    assert [key for key in loose(wide, None) if "loss" in key] == ["risk.loss_hour_pct", "risk.loss_day_pct"]


def test_an_amount_beyond_what_the_account_can_borrow_is_named() -> None:
    """A hundred times what it has."""
    assert "risk.max_total_notional_usd" not in loose(config(), "1000.01")
    assert "risk.max_total_notional_usd" in loose(config(), "1000")


def test_the_collar_of_an_instrument_is_named_by_its_place() -> None:
    """As a configuration calls it."""
    assert loose(config(collar_bps=8_999)) == {}
    assert list(loose(config(collar_bps=9_000))) == ["instruments.0.limits.collar_bps"]


def test_live_demands_that_each_is_named() -> None:
    """What is off or loose and not named is refused by its key; named, it passes."""
    run = config(collar_bps=9_000, self_match=False)
    found = loose_controls(run, SessionConfig())
    with pytest.raises(ConfigError, match=r"risk\.self_match, .*instruments\.0\.limits\.collar_bps: off, or wider"):
        check_named(run.risk, found)
    named = [key.removeprefix("risk.") for key in found]
    run = config(collar_bps=9_000, self_match=False, off_on_purpose=named)
    check_named(run.risk, loose_controls(run, SessionConfig()))
    assert controls_finding(run).status == "PASS"
    assert "risk.self_match is off" in controls_finding(run).detail
    assert controls_finding(config()).status == "FAIL"


def test_launch_check_looks_at_a_configuration(tmp_path: Path) -> None:
    """Without it at the proofs alone; with it the controls that are off and not named fail, by their keys."""
    place = tmp_path / "a.toml"
    text = '[[instruments]]\nsymbol = "BTCUSDT"\ncategory = "linear"\nlimits = { position = "2", order = "1" }\n'
    place.write_text(text)
    words = ["launch", "check", "--runs", str(tmp_path)]
    assert "controls" not in CliRunner().invoke(app, words).output
    found = CliRunner().invoke(app, [*words, "--config", str(place)])
    assert found.exit_code == 1
    assert "risk.stop_loss_pct, risk.trailing_stop_pct" in found.output


def test_a_name_that_is_no_key_is_refused() -> None:
    """A slip in the list must not pass for a purpose."""
    with pytest.raises(ConfigError, match="off_on_purpose names self_mach"):
        config(off_on_purpose=["self_mach"])
