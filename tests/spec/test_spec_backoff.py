"""Executes backoff.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import backoff

TABLES = list(tables(Path(__file__).with_name("backoff.md")))


def ns(seconds: str) -> int:
    """Read "0.25"."""
    return round(float(seconds) * 1_000_000_000)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_waits_are_those_of_the_table(table: Table) -> None:
    """Row by row, when the next attempt is due."""
    for row in table.rows:
        plan: backoff.Backoff = getattr(backoff, row["plan"])
        due_ns = plan.next_ns(int(row["failures"]), ns(row["s"]))
        assert due_ns == (None if row["again"] == "never" else ns(row["again"])), f"backoff.md:{table.line} {row}"


def test_every_plan_is_in_a_table() -> None:
    """A plan that the tables do not know is one that nobody reads."""
    plans = {name for name in backoff.__all__ if isinstance(getattr(backoff, name), backoff.Backoff)}
    assert plans == {row["plan"] for table in TABLES for row in table.rows}
