"""The call that a user makes, on the rules of rules.md: python -m benches.public_run X12.tape --rounds 5.

`mmbot.backtest` with all of its defaults: map and verify the tape, replay it under mmbot's own laws with everything
recorded, keep the books, build the frames of the result. The report is not written. Prints one JSON line.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import mmbot
from benches.mmbot_run import JoinTheTouch
from benches.peers.measure import mapped_mb, warm
from benches.peers.rules import RULES
from mmbot._core import Tape
from mmbot.config import BacktestConfig, FeesConfig, InstrumentConfig, LimitsConfig


def config_of(path: Path, tape: Tape) -> BacktestConfig:
    """The rules' numbers in mmbot's own configuration; everything that rules.md leaves open stays at its default."""
    instrument = tape.instrument
    limits = LimitsConfig(
        position=instrument.quantity(10 * RULES.position_lots_max),
        order=instrument.quantity(RULES.order_lots),
        requests_per_second=1_000,
    )
    fees = FeesConfig(maker_bps=RULES.maker_fee * 10_000, taker_bps=RULES.taker_fee * 10_000)
    return BacktestConfig(instruments=[InstrumentConfig(tape=str(path), limits=limits, fees=fees)])


def run(config: BacktestConfig) -> dict[str, Any]:
    """One call, from the path of the tape to the frames."""
    result = mmbot.backtest(config, strategy=JoinTheTouch(RULES.order_lots, RULES.position_lots_max, 0))
    return {"submits": len(result.orders), "fills": len(result.fills)}


def main() -> None:
    """Measure it warm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tape", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after one warm-up")
    options = parser.parse_args()
    tape = Tape.open(options.tape)
    config = config_of(options.tape, tape)
    row = {
        "engine": "mmbot",
        "version": mmbot.__version__,
        "case": "mmbot.backtest",
        "state": "warm",
        "events": tape.events,
        **warm(lambda: config, run, options.rounds).as_row(),
        "mapped_mb": mapped_mb(options.tape),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
