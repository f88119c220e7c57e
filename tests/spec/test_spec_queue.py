"""Executes queue.md: every model of every table walks the same events."""

import re
from pathlib import Path

import pytest
from spec_tables import Table, tables

from mmbot.sim import QueueTracker

TABLES = list(tables(Path(__file__).with_name("queue.md")))
CASES = [(table, model) for table in TABLES for model in list(table.rows[0])[2:]]


def tracker(model: str, ahead: str) -> QueueTracker:
    """A tracker for a column heading such as "power(2)", joined behind what is displayed."""
    name, exponent = re.fullmatch(r"(\w+?)(?:\((\d+)\))?", model).groups()
    return QueueTracker(name, side="buy", ahead=float(ahead), n=exponent and float(exponent))


def step(place: QueueTracker, event: str, displayed: str) -> None:
    """One row: what happened, then what the feed displays."""
    match event.split():
        case ["trade", qty]:
            place.on_trade(float(qty))
        case [qty, "cancel", where, "us" | "of", *_]:
            place.on_cancel(float(qty), ahead=where == "ahead")
        case ["depth"] | [_, "join", "behind", "us"] | [_, "cancel"]:
            pass
        case _:
            raise ValueError(f"queue.md: no such event: {event!r}")
    if displayed:
        place.on_depth(float(displayed))


@pytest.mark.parametrize(("table", "model"), CASES, ids=[f"{table.title}-{model}" for table, model in CASES])
def test_the_place_in_line_is_as_the_table_says(table: Table, model: str) -> None:
    """After each row the model stands where its column says, and is filled where it says so."""
    first, *rest = table.rows
    place = tracker(model, first["displayed"])
    assert place.ahead == float(first[model])
    for row in rest:
        step(place, row["what happens"], row["displayed"])
        if expected := row[model]:
            where = f"queue.md:{table.line} {row}"
            assert place.filled is (expected == "filled"), where
            if expected != "filled":
                assert place.ahead == pytest.approx(float(expected), abs=5e-5), where


def test_every_model_is_in_the_tables() -> None:
    """No law escapes the spec."""
    models = {re.sub(r"\(.*", "", model) for _, model in CASES}
    assert models == {"risk_averse", "power", "power2", "power3", "log", "log2", "fifo"}


def test_a_row_that_does_not_fit_its_header_is_refused(tmp_path: Path) -> None:
    """A spec with a torn row fails loudly rather than being read askew."""
    page = tmp_path / "torn.md"
    page.write_text("| a | b |\n|---|---|\n| 1 |\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"torn.md:3: 1 cells under 2 columns"):
        list(tables(page))
