"""How long each stage takes."""

import asyncio
from pathlib import Path

from trading_desk import Desk

from mmbot.runtime.latency import KEPT, Latencies
from mmbot.venues.records import BookLost


def test_quantiles_are_nearest_rank():
    """Of 1 to 100 the median is 50 and the 99th percentile 99; a stage without a value has none."""
    latencies = Latencies()
    for ns in range(100, 0, -1):
        latencies.add("decide", ns)
    spread = latencies.spread("decide")
    assert spread is not None
    assert (spread.count, spread.p50, spread.p99, spread.max) == (100, 50, 99, 100)
    assert latencies.spread("journal") is None
    assert list(latencies.all()) == ["decide"]


def test_memory_does_not_grow_and_the_latest_values_count():
    """After twice as many values as are kept, the quantiles are those of the second half."""
    latencies = Latencies()
    for ns in [1] * KEPT + [9] * KEPT:
        latencies.add("wire_to_wire", ns)
    spread = latencies.spread("wire_to_wire")
    assert spread is not None
    assert (spread.count, spread.p50, spread.max) == (2 * KEPT, 9, 9)


def test_decoding_is_measured_without_a_request_and_never_without_a_frame(tmp_path: Path):
    """Three frames that nobody decides on count three times; a book that is lost with its link is no frame."""
    desk = Desk(tmp_path)
    desk.strategy.bid = desk.strategy.ask = None  # type: ignore[attr-defined]
    asyncio.run(desk.open())
    for _ in range(3):
        desk.book()
    desk.runner.on_records("linear", [BookLost(symbol="BTCUSDT", why="link down")], desk.clock())
    latencies = desk.runner.latencies.all()
    assert list(latencies) == ["decode"]
    assert latencies["decode"].count == 3
