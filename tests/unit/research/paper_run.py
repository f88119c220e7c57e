"""A live run on a recorded market against a venue that follows a script: late, doubled and unexpected facts."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot import _core, samples
from mmbot.config import BacktestConfig
from mmbot.research.desks import configured
from mmbot.research.facts import code_hash
from mmbot.research.journal import live_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENTRY_NS, RESPONSE_NS, TICK_NS = 3_000_000, 2_000_000, 5_000_000
CONFIG = {
    "instruments": [
        {
            "tape": "sample:btcusdt",
            "limits": {"position": "0.05", "order": "0.01"},
            "venue": {"queue": "risk_averse"},
        }
    ],
    # the scripted venue tells neither a second price nor margin, and no other account
    "risk": {"reference_age_ms": 0, "margin_headroom_pct": 0, "elsewhere_age_ms": 0},
    "strategy": {"name": "join_touch", "params": {"order_lots": 2, "cap_lots": 20, "every_ms": 100}},
    "sample_ms": 1000,
}


@dataclass
class Order:
    """An order as the scripted venue has it."""

    number: int
    side: str
    tick: int
    lots: int
    ahead: int
    cum: int = 0


@dataclass
class ScriptedVenue:
    """Takes commands after a while, fills by the trades of the tape in price-time order, and answers after a while.

    Every fifth fill is told twice, every seventh late, every fortieth order is refused, and facts about an order that
    nobody sent come now and then.
    """

    tape: _core.Tape
    live: _core.Live
    due: list[tuple[int, int, Callable[[int], object]]] = field(default_factory=list)
    orders: dict[int, Order] = field(default_factory=dict)
    said: int = 0
    fills: int = 0
    quarantined: int = 0
    entry_ns: int = ENTRY_NS
    response_ns: int = RESPONSE_NS

    def later(self, at: int, act: Callable[[int], object]) -> None:
        """Do something when the clock is there; in the order asked for at one time."""
        self.said += 1
        heapq.heappush(self.due, (at, self.said, act))

    def accept(self, command: tuple[Any, ...], now: int) -> None:
        """A command is on its way."""
        self.later(now + self.entry_ns, lambda at: self.arrive(command, at))

    def arrive(self, command: tuple[Any, ...], at: int) -> None:
        """A command is here."""
        number = command[1]
        if command[0] == "place":
            _, _, _, side, tick, lots, *_ = command
            if number % 40 == 0:
                self.answer(at, lambda now: self.live.rejected(now, number, "rate_limited", at))
                return
            self.orders[number] = Order(number, side, tick, lots, self.live.lots_at(0, side, tick))
            self.answer(at, lambda now: self.live.acked(now, number, at))
            self.answer(at, lambda now: self.live.accepted(now, number, at))
        elif (order := self.orders.pop(number, None)) is not None:
            self.answer(at, lambda now: self.live.canceled(now, number, order.cum, at))
        else:
            self.answer(at, lambda now: self.live.refused(now, number, command[0], "unknown_order", at))

    def answer(self, at: int, tell: Callable[[int], object], extra: int = 0) -> None:
        """Tell the engine, when the answer has come."""
        self.later(at + self.response_ns + extra, tell)

    def traded(self, at: int, tick: int, lots: int, aggressor: str) -> None:
        """Somebody traded: what goes past our place fills us."""
        side = "sell" if aggressor == "buy" else "buy"
        for order in list(self.orders.values()):
            through = tick < order.tick if side == "buy" else tick > order.tick
            if order.side != side or not (through or tick == order.tick):
                continue
            order.ahead -= order.ahead if through else lots
            filled = order.lots - order.cum if through else min(-order.ahead, order.lots - order.cum)
            if order.ahead < 0 or (through and filled > 0):
                order.ahead = 0
                self.fill(order, filled, at)

    def fill(self, order: Order, lots: int, at: int) -> None:
        """Execute, and tell: in time, twice, or late."""
        self.fills += 1
        order.cum += lots
        if order.cum == order.lots:
            del self.orders[order.number]
        name = f"exec-{self.fills:04d}"

        def tell(now: int) -> None:
            self.live.filled(now, order.number, name, order.tick, lots, True, -lots * 1_000_000, at)

        self.answer(at, lambda now: self.live.executed(now, order.number, order.cum, at))
        self.answer(at, tell, extra=40_000_000 if self.fills % 7 == 0 else 0)
        if self.fills % 5 == 0:
            self.answer(at, tell, extra=90_000_000)
        if self.fills % 11 == 0:
            self.answer(at, self.stray)

    def stray(self, now: int) -> None:
        """A fact about an order of somebody else."""
        try:
            self.live.canceled(now, 9_999_999, 0, now)
        except _core.Quarantine:
            self.quarantined += 1


def trades(tape: _core.Tape) -> list[tuple[int, int, int, str]]:
    """Receive time, price, lots and aggressor of the tape's trades."""
    from mmbot.data.tape import trades as frames  # noqa: PLC0415  Polars

    rows = []
    for frame in frames(tape):
        rows += frame.select("ts_recv", "tick", "lots", "aggressor").rows()
    return rows


@dataclass
class Recorded:
    """What a run left, and what it knew at its end."""

    journal: Path
    live: _core.Live
    venue: ScriptedVenue
    head: str


def record(
    folder: Path,
    *,
    seconds: float = 60.0,
    claims: dict[str, Any] = CONFIG,
    more: Mapping[str, str] | None = None,
    opening: bytes | None = None,
) -> Recorded:
    """Trade a shipped tape for a while, journal and tape in `folder`.

    claims: what the journal says it was told. more: what else its start says. opening: what it takes over.
    """
    read = BacktestConfig.model_validate(CONFIG)
    tape = samples.sample("btcusdt")
    (folder / "tapes").mkdir(parents=True)
    tape.save(folder / "tapes" / "btc.tape")
    strategy, instrument = configured(read), tape.instrument
    span = tape.span
    assert span is not None
    words = ("venue", "symbol", "kind", "tick", "lot", "contract", "maker", "taker")
    start = {
        "mode": "paper",
        "version": "test",
        "epoch_s": 1,
        "config": BacktestConfig.model_validate(claims).model_dump(mode="json"),
        "config_hash": read.hash(),
        "code_hash": code_hash(type(strategy)),
        "instruments": [{**{word: getattr(instrument, word) for word in words}, "tape": "tapes/btc.tape"}],
        **(more or {}),
    }
    path = folder / "journal.mmj"
    journal = _core.Journal.create(path, span[0] - 1, json.dumps(start))
    live, windows = live_engine(read, strategy, [instrument], [tape], journal=journal)
    if opening is not None:
        live.open(span[0] - 1, opening)
    venue = ScriptedVenue(tape, live)
    for ts, tick, lots, aggressor in trades(tape):
        if ts < span[0] + seconds * 1e9:
            venue.later(ts, lambda at, tick=tick, lots=lots, by=aggressor: venue.traded(at, tick, lots, by))
    now = run(live, strategy.decide, windows, venue, span[0], span[0] + int(seconds * 1e9))
    journal.note(now, "operator", '{"said": "enough"}')
    for command in live.halt(now + 1):
        venue.accept(command, now + 1)
    now = run(live, strategy.decide, windows, venue, now + 2, now + 1_000_000_000)
    live.finish(now + 1)
    journal.end(now + 2, "{}")
    return Recorded(path, live, venue, journal.head()[1])


def run(
    live: _core.Live, decide: Callable[..., Any], windows: list[Any], venue: ScriptedVenue, start: int, until: int
) -> int:
    """Let the clock tick: facts when they are due, then the strategy; return the last time given out."""
    now = start
    for tick in range(start, until, TICK_NS):
        while venue.due and venue.due[0][0] <= tick:
            at, _, act = heapq.heappop(venue.due)
            now = max(now + 1, at)
            act(now)
        now = max(now + 1, tick)
        for command in live.step(now, decide, windows):
            venue.accept(command, now)
    return now
