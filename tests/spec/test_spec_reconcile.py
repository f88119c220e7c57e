"""Executes reconcile.md."""

import re
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import Account, BreakKind, OpenOrder, ReconTerms, compare

TABLES = list(tables(Path(__file__).with_name("reconcile.md")))
NOW_NS = 100_000_000_000
MS = 1_000_000


def account(table: Table, column: str) -> Account:
    """Read one side of a table."""
    orders, positions, cash = {}, {}, {}
    for row in table.rows:
        kind, name = row["what"].split(" ")
        if not row[column]:
            continue
        if kind == "order":
            tick, lots, cum = re.fullmatch(r"(\d+)×(\d+), (\d+)", row[column]).groups()
            orders[name] = OpenOrder(symbol="BTC", tick=int(tick), lots=int(lots), cum=int(cum))
        else:
            (positions if kind == "position" else cash)[name] = int(row[column])
    return Account(orders=orders, positions=positions, cash=cash)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_a_look_finds_what_the_table_says(table: Table) -> None:
    """Every row: the break, whether it is put off, and what it asks for."""
    ours, venue = account(table, "ours"), account(table, "venue")
    report = compare(
        ReconTerms(),
        ours,
        venue,
        NOW_NS,
        named_ours=frozenset(name for name in venue.orders if name.startswith("mm-")),
        touched_ns={row["what"].split(" ")[1]: NOW_NS - int(row["moved"]) * MS for row in table.rows if row["moved"]},
    )
    found = {broken.name: (broken.kind, broken.kind.remedy) for broken in report.breaks}
    found |= {broken.name: (f"({broken.kind})", "") for broken in report.deferred}
    expected = {row["what"].split(" ")[1]: (row["found"], row["to do"]) for row in table.rows if row["found"]}
    assert found == expected
    assert report.compared == len(table.rows)
    assert report.clean is not bool(expected)


def test_every_kind_of_break_is_in_the_tables() -> None:
    """No difference escapes the spec."""
    assert {row["found"] for table in TABLES for row in table.rows if row["to do"]} == set(BreakKind)
