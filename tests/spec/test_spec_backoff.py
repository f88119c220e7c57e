"""Executes backoff.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import ORDER_CALLS, READS, UNKNOWN_ORDERS

TABLES = list(tables(Path(__file__).with_name("backoff.md")))
PLANS = {"read": (READS, "read"), "unknown": (UNKNOWN_ORDERS, "read")}


def ns(seconds: str) -> int:
    """Read "0.25"."""
    return round(float(seconds) * 1_000_000_000)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_waits_are_those_of_the_table(table: Table) -> None:
    """Row by row, when the next attempt is due."""
    for row in table.rows:
        plan, call = PLANS.get(row["call"], (ORDER_CALLS, row["call"]))
        open_until_ns = ns(row["open until"]) if row["open until"] else None
        due_ns = plan.next_ns(call, int(row["failures"]), ns(row["s"]), open_until_ns=open_until_ns)
        assert due_ns == (None if row["again"] == "never" else ns(row["again"])), f"backoff.md:{table.line} {row}"
