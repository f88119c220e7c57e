"""Between a tape of mmbot and the plain arrays that the peers are fed from."""

from pathlib import Path

import numpy as np

from benches.peers.capture import DELTA, DEPTH, LEVEL, SNAPSHOT, TRADE, Capture
from mmbot._core import Tape, TapeWriter

KINDS = {DELTA: "delta", SNAPSHOT: "snapshot"}


def to_capture(tape: Tape) -> Capture:
    """The records of `tape`, copied. Raises TapeFault when it is damaged."""
    depth, levels, trades = (
        tape.bytes(name).view(dtype).copy() for name, dtype in (("depth", DEPTH), ("levels", LEVEL), ("trades", TRADE))
    )
    instrument = tape.instrument
    return Capture(depth=depth, levels=levels, trades=trades, tick=instrument.tick_size, lot=instrument.lot_size)


def write_tape(capture: Capture, like: Tape, path: Path) -> Tape:
    """`capture` as a tape of the instrument of `like`, message by message in receive order, then opened.

    The writer finds ranks and touches anew, so the capture's own are checked against an independent derivation.
    """
    instrument = like.instrument
    writer = TapeWriter(path, instrument)
    price = {int(tick): instrument.price(int(tick)) for tick in np.unique(capture.levels["tick"])}
    qty = {int(lots): instrument.quantity(int(lots)) for lots in np.unique(capture.levels["lots"])}
    levels = [(price[tick], qty[lots]) for tick, lots in capture.levels.tolist()]
    for is_trade, index in capture.receive_order():
        if is_trade:
            trade = capture.trades[index]
            writer.trade(
                int(trade["ts_recv"]),
                int(trade["ts_venue"]),
                instrument.price(int(trade["tick"])),
                instrument.quantity(int(trade["lots"])),
                "sell" if capture.sold[index] else "buy",
            )
        else:
            message = capture.depth[index]
            first, n_bid, n = int(capture.first[index]), int(message["n_bid"]), int(capture.n_levels[index])
            writer.depth(
                int(message["ts_recv"]),
                int(message["ts_venue"]),
                KINDS.get(int(capture.kind[index]), "gap"),
                levels[first : first + n_bid],
                levels[first + n_bid : first + n],
            )
    writer.finish()
    return Tape.open(path)
