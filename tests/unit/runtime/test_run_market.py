"""What a run knows of its feed: which book is missing, and what has gone silent."""

from pathlib import Path

from trading_desk import Desk

SECOND = 1_000_000_000


def test_an_instrument_is_silent_when_nothing_was_heard_of_it_for_longer_than_that(tmp_path: Path) -> None:
    """Never counts too; exactly that long does not."""
    desk = Desk(tmp_path)
    market = desk.runner.market
    assert market.silent(desk.clock.peek(), 10 * SECOND) == ["linear BTCUSDT"]
    desk.book()
    heard = market.last_recv
    assert market.silent(heard + 10 * SECOND, 10 * SECOND) == []
    assert market.silent(heard + 10 * SECOND + 1, 10 * SECOND) == ["linear BTCUSDT"]
