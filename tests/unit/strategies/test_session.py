"""Shipped strategies, and the example, in a whole simulated session: tape, venue, engine, window, decision, fills."""

import random
from pathlib import Path

import numpy as np
import pytest

from mmbot._core import Desk, Instrument, Latency, Listing, Replay, Seat, Tape, TapeWriter
from mmbot.strategies import SHIPPED, find_strategy
from mmbot.strategy import Strategy, View

MS = 1_000_000
EXAMPLE = f"{Path(__file__).parents[3] / 'examples' / 'follow_the_flow.py'}:FollowTheFlow"
START = 1_700_000_000_000_000_000
MAKER, TAKER = -5_000, 55_000
SETTINGS = {
    "market_maker": {
        "order_amount": "0.1",
        "position_limit": "0.5",
        "spread_model": "glft",
        "gamma": 0.05,
        "kappa": 20.0,
        "A": 5.0,
        "volatility_half_life_ms": 5_000,
    },
    "join_touch": {"order_lots": 10, "cap_lots": 50},
    "grid": {"order_lots": 10, "cap_lots": 50, "step_ticks": 5, "levels": 2},
    EXAMPLE: {"order_lots": 10, "cap_lots": 50, "flow_lots": 200},
}


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    """Two minutes of a market that wanders by ticks around 1,000.0, with a trade at the touch every 200 ms."""
    path = tmp_path_factory.mktemp("tapes") / "wander.tape"
    instrument = Instrument(
        venue="test", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.01", maker=MAKER, taker=TAKER
    )
    writer, dice, bid = TapeWriter(path, instrument), random.Random(7), 10_000
    for step in range(1_200):
        now = START + step * 100 * MS
        bids = [(f"{(bid - level) / 10:.1f}", f"{dice.uniform(0.2, 1):.2f}") for level in range(10)]
        asks = [(f"{(bid + 2 + level) / 10:.1f}", f"{dice.uniform(0.2, 1):.2f}") for level in range(10)]
        writer.depth(now + MS, now, "snapshot", bids, asks)
        if step % 2:
            side, price = dice.choice([("buy", asks[0][0]), ("sell", bids[0][0])])
            writer.trade(now + 50 * MS, now + 49 * MS, price, "2.00", side)
        bid += dice.choice([-1, 0, 0, 1])
    writer.finish()
    return Tape.open(path)


def play(tape: Tape, strategy: Strategy) -> Replay:
    """Run one strategy over the tape, with ten milliseconds to the venue and back."""
    wake, latency = strategy.wake, Latency.constant(10 * MS)
    listing = Listing(tape, entry=latency, response=latency, signals=strategy.signals)
    desk = Desk(position_max=1_000, order_max=20, collar_bps=500)  # so wide that only the strategy holds it back
    seat = Seat([desk], every_ns=wake.every_ns, touch=wake.touch, fill=wake.fill, trade=wake.trade)
    replay, windows = Replay([listing], [seat]), []
    windows.append(View(replay, 0, tape.instrument, windows))
    replay.run([strategy.decide], windows)
    return replay


def session(tape: Tape, name: str) -> Replay:
    """Run a strategy as it is configured above."""
    return play(tape, find_strategy(name).build(SETTINGS[name]))


def test_every_shipped_strategy_has_a_session():
    """A strategy that ships is tested here, and so is the example."""
    assert set(SETTINGS) == {*SHIPPED, EXAMPLE}


@pytest.mark.parametrize("name", SETTINGS, ids=[name.rpartition(":")[2] for name in SETTINGS])
def test_a_session_quotes_both_sides_and_earns_as_maker(name: str, tape: Tape) -> None:
    """Two-sided post-only quotes rest and fill on both sides, and every fill is a maker's, paid its rebate."""
    replay = session(tape, name)
    orders, fills, books = replay.order_log(0), replay.fills(0), replay.books(0, 0)
    assert set(np.unique(orders["side"])) == set(np.unique(fills["side"]))
    assert len(np.unique(fills["side"])) == 2
    assert books["maker_fills"] > 20
    assert books["taker_fills"] == 0
    assert books["fee_units"] * 10**8 == books["turnover_units"] * MAKER
    replay.check_invariants()


@pytest.mark.parametrize("name", SETTINGS, ids=[name.rpartition(":")[2] for name in SETTINGS])
def test_a_session_replays_bit_for_bit(name: str, tape: Tape) -> None:
    """The same tape and settings give the same commands and the same state."""
    first, second = session(tape, name), session(tape, name)
    assert first.commands_hash(0) == second.commands_hash(0)
    assert first.state_hash(0) == second.state_hash(0)


@pytest.mark.parametrize("name", SETTINGS, ids=[name.rpartition(":")[2] for name in SETTINGS])
def test_a_session_stays_within_its_own_limit(name: str, tape: Tape) -> None:
    """The strategy keeps to its cap of 50 lots, give or take one order that filled while its cancel was under way."""
    fills = session(tape, name).fills(0)
    signed = np.where(fills["side"] > 0, fills["qty_lots"], -fills["qty_lots"])
    assert np.abs(np.cumsum(signed)).max() <= 60
