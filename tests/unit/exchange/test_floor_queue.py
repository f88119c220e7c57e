"""The exchange and the backtest agree about a lone order's place in line, on a recorded market."""

from collections.abc import Iterator

import numpy as np

from mmbot import samples
from mmbot._core import Floor, QueueTracker
from mmbot.data.tape_records import records

HORIZON = 150
"""Depth messages that an order is followed for."""
SOLD = 1 << 31

TAPE = samples.sample("btcusdt")
TRADES, DEPTH = records(TAPE, "trades"), records(TAPE, "depth")
RANKS = TRADES["depth_before_venue"] & (SOLD - 1)


def happenings(start: int) -> Iterator[tuple[str, int]]:
    """What follows a depth message, in venue order: ("trade" or "depth", index)."""
    trade = int(np.searchsorted(TRADES["ts_venue"], DEPTH["ts_venue"][start - 1], side="right"))
    for index in range(start, start + HORIZON):
        while trade < len(TRADES) and RANKS[trade] <= index:
            yield "trade", trade
            trade += 1
        yield "depth", index


def is_filled_by(floor: Floor, law: QueueTracker, bid: int, kind: str, index: int) -> bool:
    """Let one thing happen to both; says whether the law, or a price beyond ours, fills the order."""
    if kind == "trade":
        floor.apply_trade(TAPE, index)
        if TRADES["depth_before_venue"][index] < SOLD:
            return False
        tick = int(TRADES["tick"][index])
        if tick == bid:
            law.on_trade(int(TRADES["lots"][index]))
        return law.filled or tick < bid
    floor.apply(TAPE, index)
    if int(DEPTH["ask"][index]) <= bid:
        return True
    law.on_depth(floor.public_lots_at("buy", bid))
    return False


def follow(start: int) -> bool:
    """A bid joins the touch; after each event both say the same about it. Returns whether it was filled."""
    floor = Floor()
    floor.play(TAPE, 0, 0, int(DEPTH["ts_venue"][start - 1]))
    bid = floor.touch()[0] or 0
    floor.place(1, "buy", bid, 1, owner=1)
    law = QueueTracker("risk_averse", side="buy", ahead=floor.ahead(1))
    for kind, index in happenings(start):
        is_filled = is_filled_by(floor, law, bid, kind, index)
        assert (floor.order(1) is None) == is_filled
        if is_filled:
            return True
        assert floor.ahead(1) == law.ahead
    return False


def test_a_lone_order_stands_and_fills_as_the_pessimists_law_says():
    """From 38 moments of the Binance recording our bid's place equals `risk_averse` after every message and trade."""
    filled = sum(follow(start) for start in range(200, 6_000, 155))
    assert 5 < filled < 38
