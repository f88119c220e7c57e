"""The table of tests/spec/market_maker.md, executed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mmbot._core import Instrument
from mmbot.strategies import MarketMaker, MarketMakerConfig
from mmbot.strategy import View

TABLE = Path(__file__).parents[2] / "spec" / "market_maker.md"
LINES = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES[2:]]


def tick(text: str) -> int | None:
    """Read a price, or none."""
    return None if text == "none" else int(text)


def quote(text: str) -> list[tuple[int, int]]:
    """Read "lots @ ticks", or none."""
    return [] if text == "none" else [tuple(int(number) for number in text.split("@"))]


def test_the_table_is_read_whole():
    """Fifteen situations are in the table, so that an unread file can not pass."""
    assert len(ROWS) == 15


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_one_cycle(row: list[str], view: View, instrument: Callable[[int], Instrument]):
    """In this situation the maker quotes exactly this."""
    _, position, volatility, fee, touch, bid, ask = row
    view.position = int(position)
    view._core.volatility = float(volatility) * 1e-4
    view.instrument = instrument(round(float(fee) * 10_000))
    view.bid, view.ask = map(tick, touch.split(" / "))
    config = MarketMakerConfig(
        order_amount="0.1", position_limit="1", spread_model="glft", gamma=0.05, kappa=1.0, A=0.5
    )
    quotes = MarketMaker(config).decide(view).quotes
    assert [(lots, price) for side, price, lots in quotes if side == "buy"] == quote(bid)
    assert [(lots, price) for side, price, lots in quotes if side == "sell"] == quote(ask)
