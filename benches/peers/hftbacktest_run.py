"""hftbacktest on the rules of ../rules.md: python -m benches.peers.hftbacktest_run EVENTS.npy --depth roi.

Runs in an environment of its own (requirements-hftbacktest.txt) and prints one JSON line.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import hftbacktest
import numpy as np
from hftbacktest import BacktestAsset, HashMapMarketDepthBacktest, ROIVectorMarketDepthBacktest
from hftbacktest.order import CANCELED, EXPIRED, FILLED, GTX, LIMIT
from hftbacktest.types import event_dtype
from numba import njit
from numpy.typing import NDArray

from benches.peers.measure import cold, warm
from benches.peers.rules import RULES
from benches.peers.tape_to_hft import DEPTH_CLEAR_EVENT, EVENT, EXCH

LOG = np.dtype([("ts", "i8"), ("side", "i8"), ("tick", "i8"), ("lots", "i8"), ("order_id", "i8")])
ROI_SHARE = 0.1  # the vector book drops levels further than this from the first price; the hash map keeps them all
FOREVER = 1 << 62
BID, ASK = 0, 1


@njit
def feed_only(hbt):
    """Apply the whole tape to both books."""
    hbt.elapse(FOREVER)


@njit
def note(log, row, ts, side, tick, lots, order_id):
    """Write one line of a log; returns the next row."""
    log[row].ts = ts
    log[row].side = side
    log[row].tick = tick
    log[row].lots = lots
    log[row].order_id = order_id
    return row + 1


@njit
def read_orders(hbt, lot, working, fills, n_fills):
    """Note each side's working order as (id, tick, answered), log new fills, and forget the dead orders."""
    working[:, :] = 0
    orders = hbt.orders(0).values()
    while orders.has_next():
        order = orders.get()
        if order.status == FILLED:
            lots = round(order.exec_qty / lot)
            n_fills = note(
                fills, n_fills, order.exch_timestamp, order.side, order.exec_price_tick, lots, order.order_id
            )
        elif order.status != CANCELED and order.status != EXPIRED:
            side = BID if order.side == 1 else ASK
            working[side, 0] = order.order_id
            working[side, 1] = order.price_tick
            working[side, 2] = order.cancellable
    hbt.clear_inactive_orders(0)
    return n_fills


@njit
def room(hbt, lot, cap_lots, float_position):
    """Whether the position leaves room for a bid, and for an ask; see rules.md, strategy rule 2."""
    if float_position:
        position, cap = hbt.position(0), cap_lots * lot
    else:
        position, cap = np.rint(hbt.position(0) / lot), float(cap_lots)
    return position < cap, position > -cap


@njit
def submit(hbt, order_id, side, price, qty):
    """Send one post-only limit order."""
    if side == BID:
        hbt.submit_buy_order(0, order_id, price, qty, GTX, LIMIT, False)
    else:
        hbt.submit_sell_order(0, order_id, price, qty, GTX, LIMIT, False)


@njit
def keeps_order(hbt, order, wants, price):
    """Cancel the working order of a side unless it is where it is wanted; returns (kept, cancels sent)."""
    if order[0] == 0:
        return False, 0
    if wants and order[1] == price:
        return True, 0
    if order[2] == 0:
        raise ValueError("a request is unanswered at a wake, which the rules exclude")
    hbt.cancel(0, order[0], False)
    return False, 1


@njit
def quote(hbt, first_wake, interval, tick, lot, order_lots, cap_lots, float_position, submits, fills):
    """Join the touch at every wake; returns (wakes, submits, cancels, logged fills)."""
    working = np.zeros((2, 3), np.int64)
    n_wakes, n_submits, n_cancels, n_fills = 0, 0, 0, 0
    hbt.elapse(0)
    step = first_wake - hbt.current_timestamp
    while hbt.elapse(step) == 0:
        step = interval
        n_wakes += 1
        n_fills = read_orders(hbt, lot, working, fills, n_fills)
        depth = hbt.depth(0)
        best = (depth.best_bid_tick, depth.best_ask_tick)
        if not -FOREVER < best[BID] < best[ASK] < FOREVER:
            continue
        has_room = room(hbt, lot, cap_lots, float_position)
        for side in range(2):
            kept, cancels = keeps_order(hbt, working[side], has_room[side], best[side])
            n_cancels += cancels
            if has_room[side] and not kept:
                sign = 1 if side == BID else -1
                n_submits = note(submits, n_submits, hbt.current_timestamp, sign, best[side], order_lots, n_submits + 1)
                submit(hbt, n_submits, side, best[side] * tick, order_lots * lot)
    n_fills = read_orders(hbt, lot, working, fills, n_fills)
    return n_wakes, n_submits, n_cancels, n_fills


def asset(events: NDArray[np.void], tick: float, lot: float, queue: str) -> BacktestAsset:
    """The simulated venue of the rules; `queue` is `risk` or `prob` (power law, n = 2)."""
    middle = float(np.nanmedian(events["px"][:1_000]))
    built = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(RULES.entry_ns, RULES.response_ns)
        .no_partial_fill_exchange()
        .trading_value_fee_model(RULES.maker_fee, RULES.taker_fee)
        .tick_size(tick)
        .lot_size(lot)
        .last_trades_capacity(0)
        .roi_lb(round(middle * (1 - ROI_SHARE) / tick) * tick)
        .roi_ub(round(middle * (1 + ROI_SHARE) / tick) * tick)
    )
    return built.risk_adverse_queue_model() if queue == "risk" else built.power_prob_queue_model(2.0)


class Replay:
    """One configuration that can be replayed again and again over the same events."""

    def __init__(self, events: NDArray[np.void], options: argparse.Namespace) -> None:
        self.events, self.options = events, options
        wakes = int(np.ptp(events["local_ts"])) // RULES.interval_ns + 2
        self.first_wake = int(events["exch_ts" if options.venue_wakes else "local_ts"][0]) + RULES.interval_ns
        self.submits = np.zeros(2 * wakes, LOG)  # at most one submit per side and wake, at most one fill per submit
        self.fills = np.zeros(2 * wakes, LOG)
        self.n_submits, self.n_fills = 0, 0

    def prepare(self) -> Any:
        """A fresh engine over the events."""
        options = self.options
        build = ROIVectorMarketDepthBacktest if options.depth == "roi" else HashMapMarketDepthBacktest
        return build([asset(self.events, options.tick, options.lot, options.queue)])

    def run(self, hbt: Any) -> dict[str, Any]:
        """Replay, and say what happened."""
        options = self.options
        wakes, submits, cancels = 0, 0, 0
        if options.mode == "feed":
            feed_only(hbt)
        else:
            wakes, submits, cancels, self.n_fills = quote(
                hbt,
                self.first_wake,
                RULES.interval_ns,
                options.tick,
                options.lot,
                RULES.order_lots,
                RULES.position_lots_max,
                options.float_position,
                self.submits,
                self.fills,
            )
            self.n_submits = submits
        state, depth = hbt.state_values(0), hbt.depth(0)
        outcome = {
            "wakes": wakes,
            "submits": submits,
            "cancels": cancels,
            "fills": int(state.num_trades),
            "position": float(state.position),
            "balance": float(state.balance),
            "fee": float(state.fee),
            "bid": round(depth.best_bid_tick * options.tick, 10),
            "ask": round(depth.best_ask_tick * options.tick, 10),
        }
        if hbt.close() != 0:
            raise RuntimeError("hftbacktest did not close its run cleanly")
        if options.mode == "mm" and outcome["fills"] != self.n_fills:
            raise RuntimeError(f"{outcome['fills']} fills booked but {self.n_fills} seen: the log is incomplete")
        return outcome


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("events", type=Path, help="array of tape_to_hft.py")
    parser.add_argument("--mode", choices=("feed", "mm"), default="mm")
    parser.add_argument("--depth", choices=("roi", "hash"), default="roi")
    parser.add_argument("--queue", choices=("risk", "prob"), default="risk")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after one warm-up")
    parser.add_argument("--cold", action="store_true", help="measure this process from its start instead")
    parser.add_argument("--tick", type=float, default=0.1)
    parser.add_argument("--lot", type=float, default=0.001)
    parser.add_argument("--venue-wakes", action="store_true", help="count wakes from the first venue time instead")
    parser.add_argument("--float-position", action="store_true", help="compare the cap with the accumulated float")
    parser.add_argument("--log", type=Path, help="write submits and fills to this .npz")
    return parser.parse_args()


def main() -> None:
    """Measure one configuration."""
    options = parse()
    cpu_from, wall_from = time.process_time(), time.perf_counter()
    events = np.load(options.events)
    load_cpu_s, load_wall_s = time.process_time() - cpu_from, time.perf_counter() - wall_from
    if events.dtype != EVENT or event_dtype != EVENT:
        raise SystemExit(f"{options.events}: records {events.dtype}, hftbacktest {event_dtype}, expected {EVENT}")
    replay = Replay(events, options)
    timing = (
        cold(replay.prepare, replay.run, load_cpu_s, load_wall_s)
        if options.cold
        else warm(replay.prepare, replay.run, options.rounds)
    )
    counted = (events["ev"] & EXCH != 0) & (events["ev"] & 0xFF != DEPTH_CLEAR_EVENT)
    row = {
        "engine": "hftbacktest",
        "version": hftbacktest.__version__,
        "case": f"{options.mode} {options.depth}" + (f" {options.queue}" if options.mode == "mm" else ""),
        "state": "cold" if options.cold else "warm",
        "events": int(np.count_nonzero(counted)),
        **timing.as_row(),
    }
    if options.log:
        np.savez(options.log, submits=replay.submits[: replay.n_submits], fills=replay.fills[: replay.n_fills])
    print(json.dumps(row))


if __name__ == "__main__":
    main()
