"""The public face: one question before an order, by the names that users know."""

import logging
import math
from decimal import Decimal
from typing import Any

import pytest

from mmbot.risk import RuntimeRiskMonitor

LIMITS = {"max_inventory_usd": 1_000.0, "max_total_notional": 1_500.0, "edge_freeze_threshold_bps": 1.5}


def monitor() -> RuntimeRiskMonitor:
    """Two symbols at 100 dollars."""
    made = RuntimeRiskMonitor(LIMITS)
    made.mark("A", 100.0)
    made.mark("B", 100.0)
    return made


def test_a_mark_is_as_old_as_somebody_says() -> None:
    """It lives for a minute; where one of mark and question has no time, its age is not known."""
    made = monitor()
    assert made.check_before_order("A", "buy", 1.0, 100.0), "no time at all: who asks vouches for it"
    assert not made.check_before_order("A", "buy", 1.0, 100.0, now=1)
    assert made.reasons == ("unvalued",)
    made.mark("A", 100.0, 1)
    assert made.check_before_order("A", "buy", 1.0, 100.0, now=60_000_000_001)
    assert not made.check_before_order("A", "buy", 1.0, 100.0, now=60_000_000_002)
    assert not made.check_before_order("A", "buy", 1.0, 100.0, now=0), "from the future"
    assert not made.check_before_order("A", "buy", 1.0, 100.0)
    assert made.counters["unvalued"] == 4


def test_an_exit_by_an_old_mark_is_denied() -> None:
    """At a cent it would pass whatever collar there is: nothing is known that it could be held against."""
    made = monitor()
    made.position("A", 5.0)
    made.mark("A", 100.0, 1)
    assert made.check_before_order("A", "sell", 5.0, 100.0, now=60_000_000_001)
    assert not made.check_before_order("A", "sell", 5.0, 0.01, now=60_000_000_002)
    assert made.reasons == ("unvalued",)


@pytest.mark.parametrize("edge", ["1.0", Decimal("sNaN"), Decimal("Infinity"), 10**400, True, 2 + 0j, [2.5]])
def test_an_edge_that_is_no_number_freezes(edge: Any) -> None:
    """Of every type, and nothing is raised: what cannot be read is not known."""
    made = monitor()
    made.on_edge_update("A", edge)
    assert made.frozen == {"A": "edge is not known; limit 1.5 bps"}


def test_an_order_that_is_done_counts_no_more() -> None:
    """Until then it does."""
    made = monitor()
    made.working("1", "A", "buy", 6.0, 100.0)
    assert not made.check_before_order("A", "buy", 5.0, 100.0)
    made.done("1")
    assert made.check_before_order("A", "buy", 5.0, 100.0)


@pytest.mark.parametrize(
    ("edge", "frozen"), [(1.49, True), (1.50, False), (math.nan, True), (math.inf, True), (None, True)]
)
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
        with caplog.at_level(logging.WARNING):
            made.unfreeze("Ada")
        assert "ended by Ada" in caplog.text
        assert made.check_before_order("A", "buy", 1.0, 100.0)


def test_one_symbol_freezes_alone() -> None:
    """The edge of one symbol says nothing of another."""
    made = monitor()
    made.on_edge_update("A", 0.3)
    assert not made.check_before_order("A", "buy", 1.0, 100.0)
    assert made.check_before_order("B", "buy", 1.0, 100.0)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_inventory_usd": True},
        {"max_total_notional": math.inf},
        {"collar_bps": 0.0},
        {"max_inventory_usd": 0.0},
        {"max_inventory_usd": 10.0, "max_total_notional": 5.0},
        {"max_invntory": 1.0},
    ],
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
    assert made.risk_ratio_warns
