"""A market painted with a seed: a mid that walks, a touch that follows, trades that sweep a few ticks of it."""

import random
from pathlib import Path

from mmbot._core import Instrument, TapeWriter
from mmbot.config import BacktestConfig

MS = 1_000_000
START = 1_700_000_000_000 * MS
STEP_MS = 50


def painted(
    path: Path,
    *,
    seconds: int = 40,
    seed: int = 1,
    other_after: int | None = None,
    kind: str = "linear",
    symbol: str = "XYZUSDT",
) -> Path:
    """A tape of so many seconds; from `other_after` seconds on, what happens is drawn from another seed."""
    instrument = Instrument(venue="test", symbol=symbol, kind=kind, tick="0.5", lot="1", maker=-5_000, taker=40_000)
    writer, dice, mid = TapeWriter(path, instrument), random.Random(seed), 2_000
    book: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for step in range(seconds * 1000 // STEP_MS):
        ts = START + step * STEP_MS * MS
        if other_after is not None and step * STEP_MS == other_after * 1000:
            dice = random.Random(seed + 1_000)
        mid += dice.choice((-1, 0, 0, 0, 1))
        sides = {
            "bids": {f"{(mid - 1 - level) / 2:.1f}": str(dice.randint(2, 6)) for level in range(5)},
            "asks": {f"{(mid + 1 + level) / 2:.1f}": str(dice.randint(2, 6)) for level in range(5)},
        }
        gone = {side: {price: "0" for price in book[side] if price not in sides[side]} for side in sides}
        changes = {side: list({**gone[side], **sides[side]}.items()) for side in sides}
        writer.depth(ts, ts, "delta" if step else "snapshot", changes["bids"], changes["asks"])
        book = sides
        if dice.random() < 0.5:
            away, aggressor = dice.choice(((-2, "sell"), (2, "buy")))
            writer.trade(ts + MS, ts + MS, f"{(mid + away) / 2:.1f}", str(dice.randint(3, 12)), aggressor)
    writer.finish()
    return path


def config_of(*tapes: Path, **changes) -> BacktestConfig:
    """A maker at the touch of the painted market, quick to reach."""
    instrument = {
        "limits": {"position": "50", "order": "5"},
        "venue": {"entry": {"constant_ms": 2}, "response": {"constant_ms": 2}, "queue": "risk_averse"},
    }
    return BacktestConfig.model_validate(
        {
            "instruments": [{**instrument, "tape": str(tape)} for tape in tapes],
            "strategy": {"name": "join_touch", "params": {"order_lots": 1, "cap_lots": 3}},
            "sample_ms": 100,
            "markout": "1s",
            **changes,
        }
    )
