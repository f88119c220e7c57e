"""A recorded market, moved along by the wall clock.

    wall = start of the round + (venue time on the tape − its first) / speed

Server time stays real time, whatever the speed: SDKs check it, and every timestamp that is published is wall time. When
a tape ends it starts over with its first snapshot, and wall time goes on. What is due is played in venue order, in one
call of the core, however much it is: after a pause of the process one beat makes up for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mmbot._core import Tape
from mmbot.data.tape_records import records, sold
from mmbot.exchange.market import NS, Fill, Hit, Market, Side, printed

__all__ = ["SPEED_MAX", "SPEED_MIN", "Source", "TapeSource", "checked_speed"]

SPEED_MIN, SPEED_MAX = 0.1, 1000.0
_REST_NS = 1_000 * NS
"""Between the last event of a tape and its first one of the next round, in tape time."""


class Source(Protocol):
    """Where a market's public flow comes from."""

    rounds: int
    """How often it started over."""
    told: str
    """What it is, for a person."""

    def open(self, market: Market, now_ns: int) -> None:
        """Sets the first book."""

    def advance(self, market: Market, now_ns: int) -> None:
        """Lets everything happen that is due."""


def checked_speed(speed: float) -> float:
    """A speed in range, or ValueError."""
    if not SPEED_MIN <= speed <= SPEED_MAX:
        raise ValueError(f"speed {speed} is outside {SPEED_MIN} to {SPEED_MAX:g}")
    return speed


class TapeSource:
    """A tape, for ever."""

    def __init__(self, tape: Tape, *, speed: float = 1.0, name: str = "") -> None:
        span, depth = tape.span, int(tape.info()["depth"] or 0)  # type: ignore[arg-type]  # a count is a number
        if span is None or not depth:
            raise ValueError(f"{tape!r} holds no book, so it makes no market; record or import one with depth")
        self.rounds = 0
        self.told = f"recorded {name or tape.instrument.venue}"
        self._tape = tape
        self._speed = checked_speed(speed)
        self._depth_count, self._trade_count = depth, int(tape.info()["trades"] or 0)  # type: ignore[arg-type]
        first, last = (int(records(tape, "depth", at, at + 1)["ts_venue"][0]) for at in (0, depth - 1))
        if self._trade_count:
            last = max(last, int(records(tape, "trades", self._trade_count - 1)["ts_venue"][0]))
        self._first_ns, self._length_ns = first, last - first + _REST_NS
        self._start_ns = 0
        self._at = (0, 0)

    def open(self, market: Market, now_ns: int) -> None:
        """The tape's first messages, now; its trades from before the first book are left out."""
        self._start_ns = now_ns
        trades = records(self._tape, "trades")
        early = int(np.searchsorted(trades["ts_venue"], self._first_ns))
        self._at = (0, early)
        self._play(market, self._first_ns)

    def advance(self, market: Market, now_ns: int) -> None:
        """Everything up to now; at the end, from the start again."""
        until = self._first_ns + int((now_ns - self._start_ns) * self._speed)
        if until < self._first_ns + self._length_ns:
            self._play(market, until)
            return
        self._play(market, self._first_ns + self._length_ns)
        self.rounds += 1
        behind = until - self._first_ns - self._length_ns
        self.open(market, now_ns - int(behind % self._length_ns / self._speed))
        self._play(market, self._first_ns + behind % self._length_ns)

    def _play(self, market: Market, until_ns: int) -> None:
        depth, trade = self._at
        next_depth, next_trade, rows = market.floor.play(self._tape, depth, trade, until_ns)
        self._at = (next_depth, next_trade)
        if (depth, trade) == self._at:
            return
        by_trade: dict[int, list[Hit]] = {}
        events: list[tuple[int, list[tuple[Side, int, int]], list[Fill]]] = []
        for order_id, tick, lots, aggressor, ts_venue, cause in rows:
            if cause is None:
                side: Side = "buy" if aggressor == "buy" else "sell"
                events.append((ts_venue, [(side, tick, lots)], [(order_id, 0, tick, lots)]))
            else:
                by_trade.setdefault(cause, []).append((order_id, tick, lots, aggressor))
        played = records(self._tape, "trades", trade, next_trade)
        columns = zip(*(played[name].tolist() for name in ("ts_venue", "tick", "lots")), sold(played), strict=True)
        for index, (ts_venue, tick, lots, is_sell) in enumerate(columns, trade):
            side = "sell" if is_sell else "buy"
            hits = by_trade.get(index, ())
            prints = printed(side, tick, lots, hits) if hits else [(side, tick, lots)]
            events.append((ts_venue, prints, [(order_id, 0, price, qty) for order_id, price, qty, _ in hits]))
        events.sort(key=lambda event: event[0])
        self._tell(market, events)
        market.touched(self._wall(until_ns))

    def _tell(self, market: Market, events: Sequence[tuple[int, list[tuple[Side, int, int]], list[Fill]]]) -> None:
        for ts_venue, prints, fills in events:
            wall = self._wall(ts_venue)
            market.record(prints, wall)
            if fills:
                market.on_fills(fills, wall)

    def _wall(self, ts_venue: int) -> int:
        return self._start_ns + int((ts_venue - self._first_ns) / self._speed)
