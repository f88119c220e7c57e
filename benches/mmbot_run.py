"""mmbot on the rules of rules.md: python -m benches.mmbot_run X1.tape --mode mm --rounds 5.

    feed     the replay alone: no wake, no order
    native   the strategy in Rust: what a wake costs without Python
    mm       the strategy in Python, woken every 100 ms
    sweep    64 configurations of it (8 offsets × 8 caps) in one pass, in Python
    sweep-native  the same in Rust

Prints one JSON line. Under `--laws parity` the venue's laws are set to what hftbacktest can do too: risk-averse queue,
whole fills, and liquidity that we took is there again. `--laws own` are mmbot's defaults (power queue with n = 2,
partial fills, liquidity that we took stays taken), with all orders, fills and one sample per second recorded.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benches.peers.measure import cold, mapped_mb, warm
from benches.peers.rules import RULES
from mmbot import _core
from mmbot._core import Desk, Instrument, Latency, Listing, Replay, Seat, Tape
from mmbot.strategy import Intent, Strategy, View, Wake, quotes

RATE = 100_000_000  # a fee rate's unit is 10^-8
CASH = 10**12  # a cash unit is 10^-12
SAMPLE_NS = 1_000_000_000  # how often the public call samples position, cash and quotes
SWEEP = [(offset, cap) for offset in range(8) for cap in range(20, 180, 20)]
LOG = np.dtype([("ts", "i8"), ("side", "i8"), ("tick", "i8"), ("lots", "i8"), ("order_id", "i8")])


class JoinTheTouch(Strategy):
    """The rules' strategy, `offset` ticks behind the touch."""

    wake = Wake(every_ms=RULES.interval_ns / 1_000_000)

    def __init__(self, lots: int, cap: int, offset: int) -> None:
        self.lots, self.cap, self.offset = lots, cap, offset

    def decide(self, view: View) -> Intent | None:
        """Join both sides of the touch, one side only beyond the cap."""
        bid, ask, position = view.bid, view.ask, view.position
        if bid is None or ask is None:
            return None
        wanted_bid = bid - self.offset if position < self.cap else None
        wanted_ask = ask + self.offset if position > -self.cap else None
        return quotes(wanted_bid, wanted_ask, self.lots)


def instrument_of(tape: Tape) -> Instrument:
    """The tape's instrument with the rules' fees."""
    own = tape.instrument
    return Instrument(
        venue=own.venue,
        symbol=own.symbol,
        kind=own.kind,
        tick=own.tick,
        lot=own.lot,
        contract=own.contract,
        maker=round(RULES.maker_fee * RATE),
        taker=round(RULES.taker_fee * RATE),
    )


def replay_of(tape: Tape, options: argparse.Namespace, *, record: bool = False) -> Replay:
    """A fresh replay under the chosen laws; its hard limits are set wide, so that only the strategy's cap acts."""
    own = options.laws == "own"
    risk_averse = options.queue == "risk"
    listing = Listing(
        tape,
        instrument=instrument_of(tape),
        queue="risk_averse" if risk_averse else "power",
        queue_n=None if risk_averse else 2.0,
        entry=Latency.constant(RULES.entry_ns),
        response=Latency.constant(RULES.response_ns),
        whole_fills=not own,
        consume_liquidity=own,
        full_book=options.full_book,
    )
    desk = Desk(position_max=10 * RULES.position_lots_max, order_max=RULES.order_lots, requests_per_second_max=1_000)
    asked = options.mode != "feed"
    seats = len(SWEEP) if options.mode.startswith("sweep") else 1
    seat = Seat(
        [desk],
        every_ns=RULES.interval_ns if asked and options.wake == "interval" else None,
        touch=asked and options.wake == "touch",
        message=asked and options.wake == "message",
        record=record or own,
    )
    return Replay([listing], [seat] * seats, sample_ns=SAMPLE_NS if own else None)


def run(replay: Replay, tape: Tape, mode: str) -> dict[str, Any]:
    """Replay to the end, and say what the first strategy did."""
    makers = SWEEP if mode.startswith("sweep") else [(0, RULES.position_lots_max)]
    if mode in ("native", "sweep-native"):
        replay.run_join_touch([(RULES.order_lots, cap, offset) for offset, cap in makers])
    else:
        strategies = [JoinTheTouch(RULES.order_lots, cap, offset) for offset, cap in makers]
        replay.run([strategy.decide for strategy in strategies], [View(replay, 0, tape.instrument, [])])
    books, instrument = replay.books(0, 0), tape.instrument
    return {
        "wakes": sum(replay.wakes(seat) for seat in range(len(makers))),
        "submits": replay.orders_named(0),
        "fills": books["maker_fills"] + books["taker_fills"],
        "position": round(books["position_lots"] * instrument.lot_size, 9),
        "balance": (books["cash_units"] + books["fee_units"]) / CASH,
        "fee": books["fee_units"] / CASH,
        "bid": round(books["bid"] * instrument.tick_size, 10),
        "ask": round(books["ask"] * instrument.tick_size, 10),
        "commands_hash": replay.commands_hash(0),
    }


def write_log(replay: Replay, path: Path) -> None:
    """Submits and fills of the first strategy, for diff_fills.py."""
    orders, filled = replay.order_log(0), replay.fills(0)
    submits = np.zeros(len(orders["order_id"]), LOG)
    fills = np.zeros(len(filled["order_id"]), LOG)
    for records, columns, ts in ((submits, orders, "ts_decided"), (fills, filled, "ts_venue")):
        for name, column in (
            ("ts", ts),
            ("side", "side"),
            ("tick", "price_ticks"),
            ("lots", "qty_lots"),
            ("order_id", "order_id"),
        ):
            records[name] = columns[column]
    np.savez(path, submits=submits, fills=fills)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tape", type=Path)
    parser.add_argument("--mode", choices=("feed", "native", "mm", "sweep", "sweep-native"), default="mm")
    parser.add_argument("--queue", choices=("risk", "prob"), help="default: risk; prob under --laws own")
    parser.add_argument("--laws", choices=("parity", "own"), default="parity", help="whose laws the venue follows")
    parser.add_argument("--wake", choices=("interval", "touch", "message"), default="interval")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after one warm-up")
    parser.add_argument("--cold", action="store_true", help="measure this process from its start instead")
    parser.add_argument("--full-book", action="store_true", help="two full books: the oracle of the thin venue view")
    parser.add_argument("--log", type=Path, help="write submits and fills to this .npz")
    options = parser.parse_args()
    options.queue = options.queue or ("prob" if options.laws == "own" else "risk")
    return options


def case(options: argparse.Namespace) -> str:
    """What is measured, in the words of the result table."""
    if options.mode == "feed":
        return "feed"
    words = [options.mode, "own laws" if options.laws == "own" else options.queue]
    if options.wake != "interval":
        words.append(f"by {options.wake}")
    if options.full_book:
        words.append("full book")
    return " ".join(words)


def main() -> None:
    """Measure one configuration."""
    options = parse()
    cpu_from, wall_from = time.process_time(), time.perf_counter()
    tape = Tape.open(options.tape)
    load_cpu_s, load_wall_s = time.process_time() - cpu_from, time.perf_counter() - wall_from

    def prepare() -> Replay:
        return replay_of(tape, options)

    def replay(built: Replay) -> dict[str, Any]:
        return run(built, tape, options.mode)

    timing = cold(prepare, replay, load_cpu_s, load_wall_s) if options.cold else warm(prepare, replay, options.rounds)
    row = {
        "engine": "mmbot",
        "version": _core.__version__,
        "case": case(options),
        "state": "cold" if options.cold else "warm",
        "events": tape.events,
        "load_cpu_s": round(load_cpu_s, 4),
        **timing.as_row(),
        "mapped_mb": mapped_mb(options.tape),
    }
    if options.log:
        logged = replay_of(tape, options, record=True)
        run(logged, tape, options.mode)
        write_log(logged, options.log)
    print(json.dumps(row))


if __name__ == "__main__":
    main()
