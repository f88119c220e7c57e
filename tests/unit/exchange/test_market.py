"""The floor and the market as Python sees them; the laws themselves are tested in crates/sim/tests/floor.rs."""

import pytest

from mmbot import samples
from mmbot._core import Floor
from mmbot.exchange import rules
from mmbot.exchange.market import Market


def opened() -> Floor:
    """Public bids 100: 5, 99: 8; public asks 102: 4."""
    floor = Floor()
    floor.public_depth("snapshot", [(100, 5), (99, 8)], [(102, 4)])
    return floor


def test_a_client_and_the_public_trade_under_price_time_priority():
    """A resting client stands behind the public; a taker of both names the public 0."""
    floor = opened()
    assert floor.place(1, "sell", 102, 2, owner=1).resting
    assert floor.ahead(1) == 4
    done = floor.place(2, "buy", 102, 9, owner=2, tif="ioc")
    assert (done.fills, done.remaining, done.resting) == ([(0, 2, 102, 4), (1, 2, 102, 2)], 3, False)
    assert floor.touch() == (100, None)
    assert len(floor) == 0


def test_what_the_market_decides_is_an_outcome_and_a_mistake_is_an_exception():
    """Post-only and fill-or-kill come back as refused; unknown ids and bad words raise."""
    floor = opened()
    assert floor.place(1, "buy", 102, 1, owner=1, post_only=True).refused == "would_cross"
    assert floor.place(1, "buy", 102, 5, owner=1, tif="fok").refused == "not_fillable"
    with pytest.raises(KeyError, match="order 7 is not in the book"):
        floor.cancel(7)
    with pytest.raises(ValueError, match='stp "allow" is none of none, cancel_maker'):
        floor.place(1, "buy", 99, 1, owner=1, stp="allow")
    with pytest.raises(ValueError, match="owner 0, which is the public"):
        floor.place(1, "buy", 99, 1, owner=0)
    with pytest.raises(ValueError, match="outside 1"):
        floor.public_depth("delta", [(0, 1)], [])


def test_playing_a_tape_is_applying_its_messages_one_by_one():
    """`play` in strides and single `apply` calls in venue order end in the same book and make the same fills."""
    tape = samples.sample("bybit-btcusdt")
    start, end = tape.span or (0, 0)
    whole, strides = Floor(), Floor()
    depth, trade, fills = whole.play(tape, 0, 0, end)
    assert (depth, trade, fills) == (tape.info()["depth"], tape.info()["trades"], [])
    at = (0, 0)
    for until in range(start, end + 10**9, 10**9):
        *at, _ = strides.play(tape, *at, until)
    assert strides.depth(200) == whole.depth(200)


def test_rules_become_whole_numbers():
    """Limits are exact in ticks, lots and 10^-12, and one that is off the grid is refused."""
    market = Market(rules.linear("BTC", "0.10", "0.001"), clock=lambda: 1_700_000_000_123_456_789)
    assert (market.bounds.lots_min, market.bounds.tick_min, market.bounds.notional_min) == (1, 1, 5 * 10**12)
    assert market.now_ms() == 1_700_000_000_123
    with pytest.raises(ValueError, match="quantity"):
        Market(rules.linear("BTC", "0.10", "7"), clock=lambda: 0)
