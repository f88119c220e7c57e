"""Executes order_budget.md."""

import re
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import BudgetState, Denial, OrderBudget, ReplaceEdge, Ruling

TABLES = list(tables(Path(__file__).with_name("order_budget.md")))
BUDGET = OrderBudget()
MS = 1_000_000


def edge(text: str) -> ReplaceEdge:
    """Read "5 fee 1.5 slip 1"."""
    gain, fee, slip = re.fullmatch(r"(\S+)(?: fee (\S+))?(?: slip (\S+))?", text).groups("0")
    return ReplaceEdge(float(gain), fee_bps=float(fee), slippage_bps=float(slip))


def step(state: BudgetState, now_ns: int, event: str) -> tuple[BudgetState, Ruling | None]:
    """One row: what happens, and what the budget says to it."""
    force = event.endswith(" forced")
    match event.removesuffix(" forced").split(" ", 3):
        case ["create", order, side]:
            return BUDGET.create(state, now_ns, int(order), side)
        case ["replace", order, "for", worth]:
            return BUDGET.replace(state, now_ns, int(order), edge(worth), force=force)
        case ["cancel", order]:
            return BUDGET.cancel(state, now_ns, int(order), force=force)
        case [order, "is", "gone"]:
            return state.gone(int(order)), None
        case ["risk", "pauses"]:
            return state.pause("a test"), None
        case ["risk", "resumes"]:
            return state.resume(), None
    raise ValueError(f"order_budget.md: no such event: {event!r}")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_the_budget_answers_as_the_table_says(table: Table) -> None:
    """Row by row, the answer and the time at which to ask again."""
    state = BudgetState()
    for row in table.rows:
        state, ruling = step(state, int(row["ms"]) * MS, row["what happens"])
        where = f"order_budget.md:{table.line} {row}"
        if ruling is not None:
            assert ("yes" if ruling.allowed else ruling.denial) == row["answer"], where
            assert ruling.retry_ns == (int(row["again"]) * MS if row["again"] else None), where
            assert bool(ruling.said) is not ruling.allowed, where


def test_every_denial_of_the_budget_is_in_the_tables() -> None:
    """No reason escapes the spec."""
    told = {row["answer"] for table in TABLES for row in table.rows} - {"yes", ""}
    assert told == {
        Denial.PAUSED,
        Denial.ACTIVE_PER_SIDE,
        Denial.CREATE_RATE,
        Denial.CANCEL_RATE,
        Denial.TIME_IN_BOOK,
        Denial.EDGE,
        Denial.NOT_WORKING,
    }
