"""The public face: one question before an order, by the names that users know."""

import logging
import math

import pytest

from mmbot.risk import RuntimeRiskMonitor

LIMITS = {"max_inventory_usd": 1_000.0, "max_total_notional": 1_500.0, "edge_freeze_threshold_bps": 1.5}


def monitor() -> RuntimeRiskMonitor:
    """Two symbols at 100 dollars."""
    made = RuntimeRiskMonitor(LIMITS)
    made.mark("A", 100.0)
    made.mark("B", 100.0)
    return made


@pytest.mark.parametrize(
    ("size", "reasons"), [(9.99, ()), (10.0, ()), (10.01, ("symbol_notional",)), (math.nan, ("malformed",))]
)
def test_inventory_at_its_boundary(size: float, reasons: tuple[str, ...]) -> None:
    """A symbol may hold 1,000 dollars, not a cent more."""
    made = monitor()
    assert made.check_before_order("A", "buy", size, 100.0) is (not reasons)
    assert made.reasons == reasons


def test_working_orders_count_and_an_exit_passes() -> None:
    """What may still trade is part of the worst case; what only shrinks a position is not held back."""
    made = monitor()
    made.working("1", "A", "buy", 6.0, 100.0)
    assert not made.check_before_order("A", "buy", 5.0, 100.0)
    made.done("1")
    made.position("A", 50.0)
    assert not made.check_before_order("A", "buy", 0.1, 100.0)
    assert made.check_before_order("A", "sell", 50.0, 100.0)
    assert not made.check_before_order("A", "sell", 61.0, 100.0), "through zero and beyond"


def test_the_total_is_over_symbols_at_real_prices() -> None:
    """900 of one and 600 of another is the limit; a symbol without a price denies."""
    made = monitor()
    made.position("A", -9.0)
    assert made.check_before_order("B", "buy", 6.0, 100.0)
    assert not made.check_before_order("B", "buy", 6.01, 100.0)
    assert made.reasons == ("account_gross",)
    made.position("C", 1.0)
    assert not made.check_before_order("B", "buy", 1.0, 100.0)
    assert made.reasons == ("unvalued",)
    assert made.counters["unvalued"] == 1


def test_a_stale_or_impossible_price_denies() -> None:
    """A mark lives for a minute, and a market order has no price at all."""
    made = monitor()
    made.mark("A", 100.0, 0)
    assert made.check_before_order("A", "buy", 1.0, 100.0, now=60_000_000_000)
    assert not made.check_before_order("A", "buy", 1.0, 100.0, now=60_000_000_001)
    assert not made.check_before_order("B", "buy", 1.0, None)
    assert made.reasons == ("naked_market",)
    made.mark("B", math.nan)
    assert not made.check_before_order("B", "buy", 1.0, 100.0)


@pytest.mark.parametrize(("edge", "frozen"), [(1.49, True), (1.50, False), (math.nan, True), (None, True)])
def test_an_edge_that_collapses_freezes(edge: float | None, frozen: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Below 1.5 bps, or unknown: a critical line, and every order is denied until a person looked."""
    made = monitor()
    with caplog.at_level(logging.CRITICAL):
        assert made.auto_freeze_on_edge_drop(edge) is frozen
    assert ("AUTO-FREEZE: Edge collapsed" in caplog.text) is frozen
    assert made.check_before_order("A", "buy", 1.0, 100.0) is not frozen
    if frozen:
        assert [one.control for one in made.asked] == ["edge"]
        with pytest.raises(ValueError, match="who"):
            made.unfreeze(" ")
        made.unfreeze("Ada")
        assert made.check_before_order("A", "buy", 1.0, 100.0)


def test_one_symbol_freezes_alone() -> None:
    """The edge of one symbol says nothing of another."""
    made = monitor()
    made.on_edge_update("A", 0.3)
    assert not made.check_before_order("A", "buy", 1.0, 100.0)
    assert made.check_before_order("B", "buy", 1.0, 100.0)


@pytest.mark.parametrize(
    "limits",
    [{"max_inventory_usd": 0.0}, {"max_inventory_usd": 10.0, "max_total_notional": 5.0}, {"max_invntory": 1.0}],
)
def test_bad_limits_do_not_start(limits: dict[str, float]) -> None:
    """Not positive, contradictory or unknown."""
    with pytest.raises(ValueError, match=r"expected|raise"):
        RuntimeRiskMonitor(limits)


def test_the_ratio_is_a_nearest_rank() -> None:
    """Of twenty ratios the nineteenth is the 95th percentile."""
    made = monitor()
    for lots in range(1, 21):
        made.position("A", float(lots))
        made.risk_ratio()
    assert made.risk_ratio_p95 == pytest.approx(19 * 100 / 1_500)
