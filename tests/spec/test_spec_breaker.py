"""Executes breaker.md."""

from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import Breaker, BreakerEvent, BreakerState, Ruling, Trouble

TABLES = list(tables(Path(__file__).with_name("breaker.md")))
BREAKER = Breaker()


def ns(seconds: str) -> int:
    """Read "66.9"."""
    return round(float(seconds) * 1_000_000_000)


def step(state: BreakerState, now_ns: int, said: str) -> tuple[BreakerState, Ruling | None, BreakerEvent | None]:
    """One row: what happens, what is answered and what is logged."""
    if said == "nothing":
        return state, None, None
    if said == "answered":
        state, event = BREAKER.answered(state, now_ns)
        return state, None, event
    if said in set(Trouble):
        state, event = BREAKER.troubled(state, now_ns, Trouble(said))
        return state, None, event
    state, ruling = BREAKER.ask(state, now_ns, said)
    return state, ruling, None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_breaker_moves_as_the_table_says(table: Table) -> None:
    """Row by row: the answer, the phase, the gauge and the event."""
    state = BreakerState()
    for row in table.rows:
        now_ns = ns(row["s"])
        state, ruling, event = step(state, now_ns, row["what happens"])
        where = f"breaker.md:{table.line} {row}"
        assert state.phase(now_ns) == row["phase"], where
        assert state.gauge(now_ns) == int(row["gauge"]), where
        assert (event.name.removeprefix("circuit_breaker_") if event else "") == row["event"], where
        if ruling is not None:
            assert ruling.allowed is (row["answer"] == "yes"), where
            assert ruling.retry_ns == (None if ruling.allowed else ns(row["answer"])), where
