"""Executes risk_guards.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.risk import GuardLevel, Halt, RiskGuard, RiskGuardsConfig, RiskMeasurements, assess

*SITUATIONS, HALT = tables(Path(__file__).with_name("risk_guards.md"))
CONFIG = RiskGuardsConfig()
CALM = {"volatility": 5.0, "latency": 100.0, "P&L": 0.0, "inventory": 1.0, "taker fills": 0.0}
MS = 1_000_000


def measured(row: dict[str, str]) -> RiskMeasurements:
    """The measurements of a row."""
    told = {
        name: calm if not row.get(name) else None if row[name] == "?" else float(row[name])
        for name, calm in CALM.items()
    }
    return RiskMeasurements(
        volatility_bps=told["volatility"],
        latency_p95_ms=told["latency"],
        pnl_z=told["P&L"],
        inventory_pct=told["inventory"],
        taker_fills=told["taker fills"],
    )


@pytest.mark.parametrize(
    ("table", "row"),
    [(table, row) for table in SITUATIONS for row in table.rows],
    ids=lambda it: it["what happens"] if isinstance(it, dict) else "",
)
def test_one_look_at_the_measurements(table: Table, row: dict[str, str]) -> None:
    """In this situation exactly these guards speak up, and this follows."""
    _, verdict = assess(CONFIG, None, measured(row), now_ns=0)
    said = [f"{trigger.guard} {trigger.level.name.lower()}" for trigger in verdict.triggers]
    assert ", ".join(said) == row["triggers"], f"risk_guards.md:{table.line}"
    worst = max((trigger.level for trigger in verdict.triggers), default=GuardLevel.NONE)
    assert verdict.level is worst
    assert verdict.size_factor == float(row["size"])
    assert verdict.widen_bps == pytest.approx(float(row["wider"]), abs=1e-5)
    assert verdict.quotes is (verdict.size_factor > 0)
    assert verdict.cancel_all is (worst is GuardLevel.HARD)
    assert len(verdict.reasons) == len(verdict.triggers)


def test_a_halt_goes_as_the_table_says() -> None:
    """Cancelled once, out for two seconds whatever comes, then judged anew."""
    halt: Halt | None = None
    for row in HALT.rows:
        halt, verdict = assess(CONFIG, halt, measured(row), int(row["ms"]) * MS)
        assert verdict.level.name.lower() == row["level"], row
        assert verdict.cancel_all is (row["cancel all"] == "yes"), row
        assert verdict.halted_until_ns == (int(row["until"]) * MS if row["until"] else None), row


def test_every_guard_is_in_the_tables_at_both_levels() -> None:
    """No guard and no level escapes the spec."""
    told = {word for table in SITUATIONS for row in table.rows for word in row["triggers"].split(", ")} - {""}
    assert told == {f"{guard} {level}" for guard in RiskGuard for level in ("soft", "hard")}
