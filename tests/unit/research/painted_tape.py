"""A small market over midnight, with funding, as a tape of any contract; and a strategy that makes and takes."""

import random

from mmbot._core import Instrument, TapeWriter
from mmbot.strategy import Strategy, Wake, quotes

MS, SECOND = 1_000_000, 1_000_000_000
MIDNIGHT = 1_700_006_400 * SECOND
START = MIDNIGHT - 60 * SECOND
SYMBOLS = {"linear": "BTCUSDT", "spot": "BTCUSDC", "inverse": "BTCUSD_PERP"}
FUNDING = ((MIDNIGHT, 12_345), (MIDNIGHT + 20 * SECOND, -54_321), (MIDNIGHT + 40 * SECOND, 7))
"""Settlement times and rates in 10^-8; positive: longs pay."""


def terms(kind, venue="test"):
    """Lots of 0.001 coins, or whole contracts of 100 USD."""
    lot, contract = ("1", "100") if kind == "inverse" else ("0.001", "1")
    return Instrument(venue=venue, symbol=SYMBOLS[kind], kind=kind, tick="0.1", lot=lot, contract=contract)


def paint(path, kind="linear", *, seed=7, seconds=120, venue="test", start=START):
    """Prices wander by ticks around 1,000.0; a trade at the touch every 200 ms, depth every 100 ms."""
    instrument, dice, bid = terms(kind, venue), random.Random(seed), 10_000
    writer, settlements = TapeWriter(path, instrument), list(FUNDING)
    for step in range(seconds * 10):
        now = start + step * 100 * MS
        bids = [(f"{(bid - level) / 10:.1f}", instrument.quantity(dice.randint(2, 40))) for level in range(10)]
        asks = [(f"{(bid + 2 + level) / 10:.1f}", instrument.quantity(dice.randint(2, 40))) for level in range(10)]
        writer.depth(now + MS, now, "snapshot", bids, asks)
        if settlements and settlements[0][0] <= now:
            at, rate = settlements.pop(0)
            writer.funding(at + 2 * MS, at, rate, bid + 1)
        if step % 2:
            side, price = dice.choice([("buy", asks[0][0]), ("sell", bids[0][0])])
            writer.trade(now + 50 * MS, now + 49 * MS, price, instrument.quantity(dice.randint(1, 60)), side)
        bid += dice.choice([-2, -1, 0, 0, 1, 2])
    writer.finish()
    return path


class MakeAndTake(Strategy):
    """Joins the touch, and crosses the spread at every seventh wake."""

    wake = Wake(every_ms=250)

    def __init__(self):
        self.asked = 0

    def decide(self, view):
        """Quote where there is room, lean against the position when crossing."""
        self.asked += 1
        wanted = quotes(view.bid if view.position < 20 else None, view.ask if view.position > -20 else None, 5)
        if self.asked % 7:
            return wanted
        if view.position > 0 or self.asked % 2:
            return wanted.and_order("sell", 3, view.bid - 1)
        return wanted.and_order("buy", 3, view.ask + 1)


FEES = {
    "rebate": {"maker_bps": -0.5, "taker_bps": 4.0},
    "tiers": {"tiers": [["0", 1.0, 5.0], ["1500", 0.2, 3.5], ["1000000", -0.5, 2.0]], "volume_before": "1000"},
    "inverse tiers": {"tiers": [["0", 1.0, 5.0], ["1.5", -0.1, 3.5]], "volume_before": "1"},
}


def settings(tape, kind="linear", fees="rebate", **venue):
    """A configuration of one instrument with room for everything the strategy wants."""
    lots = ("40", "20") if kind == "inverse" else ("0.040", "0.020")
    return {
        "instruments": [
            {
                "tape": str(tape),
                "limits": {"position": lots[0], "order": lots[1], "collar_bps": 500},
                "fees": FEES[fees],
                "venue": venue,
            }
        ],
        "sample_ms": 250,
    }
