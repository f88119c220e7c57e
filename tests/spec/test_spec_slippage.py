"""Executes slippage.md."""

import re
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.execution import estimate

PAGE = Path(__file__).with_name("slippage.md")
TABLES = list(tables(PAGE))
BOOKS = [
    {
        name: [(float(price), float(quantity)) for quantity, price in re.findall(r"(\d+) @ ([\d.]*\d)", levels)]
        for name, levels in zip(("bids", "asks"), sentence, strict=True)
    }
    for sentence in re.findall(
        r"^The book is bids? (.*), asks? (.*), so the mid", PAGE.read_text(encoding="utf-8"), re.M
    )
]
CASES = [(table, book, row) for table, book in zip(TABLES, BOOKS, strict=True) for row in table.rows]


@pytest.mark.parametrize(
    ("table", "book", "row"), CASES, ids=[f"{row['side']}-{row['what happens']}" for _, _, row in CASES]
)
def test_an_order_costs_what_the_table_says(
    table: Table, book: dict[str, list[tuple[float, float]]], row: dict[str, str]
) -> None:
    """Average, worst price, cost and what could not be filled."""
    found = estimate(row["side"], float(row["quantity"]), **book)
    where = f"slippage.md:{table.line} {row}"
    assert found.average_price == pytest.approx(float(row["average"]), abs=5e-7), where
    assert found.worst_price == float(row["worst"]), where
    assert found.slippage_bps == pytest.approx(float(row["bps"]), abs=5e-6), where
    assert found.unfilled == float(row["unfilled"]), where
    assert found.filled == float(row["quantity"]) - float(row["unfilled"]), where
    assert found.complete is (row["unfilled"] == "0"), where


def test_the_books_are_read_whole() -> None:
    """Two books of five and four levels stand in the page."""
    assert [[len(book["bids"]), len(book["asks"])] for book in BOOKS] == [[1, 4], [3, 1]]
