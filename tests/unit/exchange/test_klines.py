"""Candles over all intervals, and the prices that are derived."""

from datetime import UTC, datetime

import pytest
from exchange_markets import HandClock, still_market
from hypothesis import given
from hypothesis import strategies as st

from mmbot.exchange.klines import INTERVALS, KEPT, Candle, Klines, end_of, start_of
from mmbot.exchange.public_switches import PublicSwitches


def at(text: str) -> int:
    """Ms of an ISO time, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        ("1", "2026-02-11T13:37:00", "2026-02-11T13:37:59.999"),
        ("5", "2026-02-11T13:35:00", "2026-02-11T13:39:59.999"),
        ("240", "2026-02-11T12:00:00", "2026-02-11T15:59:59.999"),
        ("720", "2026-02-11T12:00:00", "2026-02-11T23:59:59.999"),
        ("D", "2026-02-11T00:00:00", "2026-02-11T23:59:59.999"),
        ("W", "2026-02-09T00:00:00", "2026-02-15T23:59:59.999"),
        ("M", "2026-02-01T00:00:00", "2026-02-28T23:59:59.999"),
    ],
)
def test_candles_begin_where_the_venues_do(interval: str, start: str, end: str):
    """Weeks begin on Monday, months on the first, all in UTC."""
    assert start_of(interval, at("2026-02-11T13:37:41.5")) == at(start)
    assert end_of(interval, at(start)) == at(end)


@given(st.sampled_from(INTERVALS), st.integers(0, 4_000_000_000_000))
def test_candles_tile_time(interval: str, ms: int):
    """Each moment lies in one candle, and the next one begins where it ends."""
    start = start_of(interval, ms)
    assert start <= ms <= end_of(interval, start)
    assert start_of(interval, end_of(interval, start) + 1) == end_of(interval, start) + 1


def test_a_minute_without_trades_is_flat_and_memory_is_bounded():
    """Quiet time makes flat candles, and only the last day of minutes is kept, with its volume."""
    klines = Klines()
    klines.add(Candle(at("2026-02-11T13:37:41"), 10, 12, 9, 11, 5, 55))
    klines.roll(at("2026-02-11T13:39:00"))
    assert [(c.open, c.close, c.volume) for c in klines["1"]] == [(11, 11, 0), (11, 11, 0), (10, 11, 5)]
    assert klines["1"].volume == 5
    klines.roll(at("2026-02-14T13:39:00"))
    assert (len(klines["1"].closed), klines["1"].volume) == (KEPT, 0)
    assert [(c.high, c.low, c.volume) for c in klines["W"]] == [(12, 9, 5)]


def test_the_limits_follow_the_documented_formula():
    """With mark, index and mid at one price a linear BTC may be bought up to 1 % above and sold down to 1 % below."""
    clock = HandClock()
    market = still_market(clock)
    market.public_depth("snapshot", [(99_999, 5)], [(100_001, 5)], clock())
    for _ in range(50):
        clock.pass_ms(100)
        market.settle(market.now_ms())
    assert (market.mark, market.index) == (100_000, 100_000)
    assert market.price_limits() == (101_000, 99_000)
    fixed = still_market(clock, PublicSwitches(mark_band=False))
    assert fixed.price_limits() == (fixed.bounds.tick_max, fixed.bounds.tick_min)


def test_funding_settles_at_its_boundary_once():
    """A settlement is told with rate, mark and the boundary's time; the next one is an interval later."""
    clock = HandClock()
    market = still_market(clock, PublicSwitches(funding_every_ms=60_000))
    told: list[tuple[int, int, int]] = []
    market.on_funding = lambda rate, mark, ts_ms: told.append((rate, mark, ts_ms))
    market.public_depth("snapshot", [(99_999, 5)], [(100_001, 5)], clock())
    due = market.next_funding_ms
    for _ in range(130):
        clock.pass_ms(500)
        market.settle(market.now_ms())
    assert told == [(10_000, 100_000, due)]
    assert market.next_funding_ms == due + 60_000
    assert market.fundings[-1].ts_ms == due


def test_spot_has_no_funding():
    """A spot market never settles."""
    clock = HandClock()
    market = still_market(clock, PublicSwitches(funding_every_ms=1_000), kind="spot")
    market.public_depth("snapshot", [(99_999, 5)], [(100_001, 5)], clock())
    clock.pass_ms(5_000)
    market.settle(market.now_ms())
    assert (market.funding_rate, len(market.fundings)) == (0, 0)
