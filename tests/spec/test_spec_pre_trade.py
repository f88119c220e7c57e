"""Executes pre_trade.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.risk import FiveLevelRisk, RuntimeRiskMonitor
from mmbot.risk.five_levels import CODES as LEVELS
from mmbot.risk.monitor import CODES as REASONS

FIVE, MONITOR = tables(Path(__file__).with_name("pre_trade.md"))
NS_PER_DAY = 86_400_000_000_000
NOON = 20_000 * NS_PER_DAY + NS_PER_DAY // 2

Row = dict[str, str]


def priced(risk: FiveLevelRisk | RuntimeRiskMonitor, symbol: str, price: float, now: int) -> None:
    """A price by either name."""
    (risk.price if isinstance(risk, FiveLevelRisk) else risk.mark)(symbol, price, now)


def played(risk: FiveLevelRisk | RuntimeRiskMonitor, before: str) -> int:
    """Tell what was before; returns what time it is now."""
    now, prices = NOON, dict.fromkeys("ABCDEF", 10.0)
    for number, said in enumerate(each.strip() for each in before.split(";") if each.strip()):
        match said.split():
            case ["result", amount]:
                assert isinstance(risk, FiveLevelRisk)
                risk.result(float(amount), now)
            case ["day", days]:
                now += int(days) * NS_PER_DAY
            case [side, size, symbol, "at", price]:
                risk.working(str(number), symbol, side, float(size), float(price))
            case [symbol, "at", price]:
                prices[symbol] = float(price)
            case [symbol, size]:
                risk.position(symbol, float(size))
    for symbol, price in prices.items():
        priced(risk, symbol, price, now)
    return now


def asked(order: str) -> tuple[str, str, float, float | None]:
    """Symbol, side, size and limit."""
    side, size, symbol, *at = order.split()
    return symbol, side, float(size), float(at[1]) if at else None


def name(it: object) -> str:
    """Of a case: what is before, and what is asked."""
    return f"{it['before']} - {it['order']}" if isinstance(it, dict) else ""


@pytest.mark.parametrize("row", FIVE.rows, ids=name)
def test_five_levels(row: Row) -> None:
    """Every reason of the row, in its order, and each of them counted once."""
    risk = FiveLevelRisk()
    now = played(risk, row["before"])
    found = risk.check(*asked(row["order"]), now)
    assert list(found) == row["denied"].split()
    assert {code for code, count in risk.metrics().items() if count} == set(found)
    assert set(risk.metrics()) == set(LEVELS)


@pytest.mark.parametrize("row", MONITOR.rows, ids=name)
def test_runtime_risk_monitor(row: Row) -> None:
    """Likewise."""
    limits = {"max_inventory_usd": 1_000.0, "max_total_notional": 1_500.0}
    risk = RuntimeRiskMonitor(limits)
    now = played(risk, row["before"])
    assert risk.check_before_order(*asked(row["order"]), now=now) is not bool(row["denied"])
    assert list(risk.reasons) == row["denied"].split()
    assert {code for code, count in risk.metrics().items() if count} == set(risk.reasons)


@pytest.mark.parametrize(("table", "codes"), [(FIVE, LEVELS), (MONITOR, REASONS)], ids=["five levels", "monitor"])
def test_every_reason_is_in_the_tables(table: Table, codes: tuple[str, ...]) -> None:
    """No code escapes the spec, but for the freezes, which are in tests/unit/risk/test_risk_monitor.py."""
    told = {code for row in table.rows for code in row["denied"].split()}
    assert told == {code for code in codes if not code.startswith("frozen")}
