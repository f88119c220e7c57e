"""Executes throttle.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import Ruling, Throttle, ThrottleState

TABLES = list(tables(Path(__file__).with_name("throttle.md")))
THROTTLE = Throttle()
MS = 1_000_000


def step(state: ThrottleState, now_ns: int, event: str) -> tuple[ThrottleState, list[Ruling]]:
    """One row: what is asked, and every answer to it."""
    match event.split(" "):
        case [*count, call]:
            rulings = []
            for _ in range(int(count[0]) if count else 1):
                state, ruling = THROTTLE.ask(state, now_ns, call)
                rulings.append(ruling)
            return state, rulings
    raise ValueError(f"throttle.md: no such event: {event!r}")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_throttle_answers_as_the_table_says(table: Table) -> None:
    """Row by row, every answer and the time from which on there is room."""
    state = ThrottleState()
    for row in table.rows:
        state, rulings = step(state, int(row["ms"]) * MS, row["call"])
        where = f"throttle.md:{table.line} {row}"
        for ruling in rulings:
            assert ("yes" if ruling.allowed else "no") == row["answer"], where
            assert ruling.retry_ns == (int(row["again"]) * MS if row["again"] else None), where
            assert bool(ruling.said) is not ruling.allowed, where
