"""The promises, judged from the venue's truth; what the engine believes is only what is held against it.

Each check names the promise of docs/reliability.md that it holds up. The first breach stops the run: what follows one
is only its consequence.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmbot.simulation.venue import RECV_WINDOW
from mmbot.venues.port import CancelOrder, PlaceOrder

if TYPE_CHECKING:
    from mmbot.simulation.engine import Life
    from mmbot.simulation.scene import Scene
    from mmbot.simulation.venue import ModelMarket
    from mmbot.venues.port import OrderRequest

__all__ = ["Checks", "Violation"]

NS_PER_S = 1_000_000_000
AGE_MAX_NS = 300_000_000
"""What leaves was decided no longer ago: the gate's 250 ms, and a little."""
CREATES = 32
"""New orders that are remembered over a death."""
QUARANTINE_NS = 5 * NS_PER_S
"""R + 2ε + V + M: the window of a request, twice the clock's error, what the venue shows late, and a margin."""
EQUAL_NS = 30 * NS_PER_S
"""In which a process that was started has to be equal, or frozen and say why."""
APART_NS = 60 * NS_PER_S
"""Until nothing new leaves any more where venue and books differ for good: three looks at the coins, one every 20 s, of
which two follow the first at once."""
GONE_NS = 20 * NS_PER_S
"""Until an order is gone that somebody wanted out, with nothing wrong on the way."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which, when (ns since the world began), and what was seen."""

    promise: str
    at: int
    said: str

    def __str__(self) -> str:
        return f"{self.promise} broken at {self.at / NS_PER_S:.3f} s: {self.said}"


class Checks:
    """Watches one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.violation: Violation | None = None
        self.dead_words: dict[str, str] = {}
        """Orders that the engine declared dead, and by which verdict."""
        self._wanted_out: dict[str, int] = {}
        """Since when a cancel of an order has left, in this life of the engine."""
        self._creates: deque[tuple[int, str]] = deque(maxlen=CREATES)
        """New orders that left last, and when."""
        self._under_way: list[tuple[int, str]] = []
        """Those of them that had left just before this life of the engine began."""
        self.books_apart = False
        """Something happened that nothing explains: what stops for it is nobody's here to lift."""
        self._apart: tuple[int, str, int] | None = None
        """The life in which venue and books came apart for good, the symbol (empty: all of them), and when."""
        self._changes = 0
        """Of orders and positions at the venue, so far."""
        self._compared: tuple[int, tuple[int, int]] | None = None
        """What stood when the venue's open orders were held against the books last."""

    def begun(self) -> None:
        """A process begins: what it wants out, it will say; what the one before sent may still be under way."""
        self._wanted_out.clear()
        self._under_way = list(self._creates)

    def apart(self, symbol: str) -> None:
        """From now on venue and books differ, for who knew before that they agreed."""
        self.books_apart, life = True, self._scene.engine.life
        if self._apart is None and life is not None and life.runner.reconciler.custody is not None:
            self._apart = (life.number, symbol, self._scene.world.now)

    def fail(self, promise: str, said: str) -> None:
        """A promise is broken; the first one counts."""
        if self.violation is None:
            world = self._scene.world
            self.violation = Violation(promise, world.now - world.start, said)
            world.stopped = True

    # ---- at every instant

    def changed(self, market: ModelMarket, why: str) -> None:
        """P6: worst-case position at the venue within the limit. P5: no order lives that was declared dead."""
        self._changes += 1
        self._scene.stops.changed(market, why)
        if why == "placed" and self._scene.engine.end == "in order" and not market.foreign:
            self.fail("P4", f"an order of ours comes to be in {market.symbol} after the run ended in order")
        if why in ("placed", "amended") and not market.foreign:
            self._within(market, why)
        if self.dead_words:
            for order in self._scene.venue.open_now():
                verdict = self.dead_words.get(order.client_id)
                if verdict is not None:
                    self.fail("P5", f"{order.client_id} was declared {verdict} and is {order.status} at the venue")

    def _within(self, market: ModelMarket, why: str) -> None:
        limit, (long, short) = market.role.position_max, self._scene.venue.worst(market.symbol)
        if long > limit or short < -limit:
            self.fail(
                "P6",
                f"{market.symbol}: {long} lots long or {short} short are possible at the venue after one was {why}; "
                f"the limit is {limit}",
            )

    def watch(self) -> None:
        """P5, once a second: no order lives of which the books say that it is over. P4: none that was to leave."""
        scene = self._scene
        scene.world.after(NS_PER_S, self.watch)
        if scene.venue.maintenance or not scene.engine.runs():
            return
        live = {order.client_id: order for order in scene.venue.open_now()}
        for name in sorted(live.keys() & self._wanted_out.keys()):
            since = max(self._wanted_out[name], scene.stops.ill_until)
            if scene.world.now <= since + GONE_NS:
                continue
            if not scene.engine.wants_out(name):  # the venue refused, and by then it fitted again
                del self._wanted_out[name]
            else:
                after = (scene.world.now - since) / NS_PER_S
                self.fail("P4", f"{name} is open {after:.0f} s after it was to be cancelled, and nothing is in the way")
        compared = (self._changes, scene.engine.inputs())
        if compared != self._compared:  # as long as nothing changed at either side, the answer is the last one
            self._compared = compared
            for name in scene.engine.takes_for_over([*live]):
                self.fail("P5", f"{name} is over by the books and is {live[name].status} at the venue")

    def declared_dead(self, client_id: str, verdict: str) -> None:
        """P5, from the other side: the engine concludes that an order is dead."""
        self.dead_words[client_id] = verdict
        order = self._scene.venue.orders.get(client_id)
        if order is not None and (order.open or order.cum):
            self.fail("P5", f"{client_id} is declared {verdict} and is {order.status} with {order.cum} executed")

    def sent(self, request: OrderRequest, life: Life, *, written: bool) -> None:
        """P1: what leaves was on the disk before; a cancel may leave all the same, for safety goes first. P4: an order
        is cancelled that counts: one that was found is adopted first. P10: what is new was decided a moment ago, on a
        market that was heard.
        """
        if isinstance(request, CancelOrder):
            self._wanted_out.setdefault(request.client_id, self._scene.world.now)
            if not life.runner.bridge.holds(request.client_id):
                self.fail("P4", f"a cancel of {request.client_id} leaves, which the books do not count")
        elif not written:
            self.fail("P1", f"{type(request).__name__} {request.client_id} leaves and is not on the disk")
        if self._scene.guard is not None:
            self._scene.guard.sent(request)
        if isinstance(request, PlaceOrder):
            if not request.reduce_only:
                self._forgotten(life)
                self._traded_apart(request, life)
            self._creates.append((self._scene.world.now, request.client_id))
            age = self._scene.world.now - life.core.now
            if age > AGE_MAX_NS:
                self.fail("P10", f"{request.client_id} leaves {age / NS_PER_S:.3f} s after it was decided")
            silence = self._scene.heard_ago()
            if silence > self._scene.silence_max:
                self.fail(
                    "P10", f"{request.client_id} leaves {silence / NS_PER_S:.1f} s after the market was heard last"
                )

    def _traded_apart(self, request: PlaceOrder, life: Life) -> None:
        """P3: who has had the time to see that venue and books differ for good does not trade."""
        if self._apart is None or life.number != self._apart[0] or self._apart[1] not in ("", request.symbol):
            return
        since = max(self._apart[2], self._scene.stops.ill_until)
        if self._scene.world.now > since + APART_NS:
            after = (self._scene.world.now - since) / NS_PER_S
            self.fail("P3", f"{request.client_id} leaves {after:.0f} s after venue and books came apart for good")

    def _forgotten(self, life: Life) -> None:
        """P6: nothing new leaves while something may still arrive that an earlier process sent and nobody remembers;
        nor for as long as that is to be feared, where it was found that a journal has lost its end.
        """
        waited = self._scene.world.now - life.born
        if waited < QUARANTINE_NS and life.left is not None and life.left.estate.lost:
            self.fail("P6", f"an order leaves {waited / NS_PER_S:.1f} s after it was found: {life.left.estate.lost}")
        if not self._under_way:
            return
        valid, known = self._scene.world.now - RECV_WINDOW, self._scene.venue.orders
        self._under_way = [each for each in self._under_way if each[0] > valid and each[1] not in known]
        for at, name in self._under_way:
            if not life.runner.bridge.holds(name):
                ago = (self._scene.world.now - at) / NS_PER_S
                self.fail("P6", f"an order leaves, and {name}, sent {ago:.1f} s ago, may arrive and counts nowhere")

    # ---- at an end

    def left(self) -> None:
        """P4: who ended in order has left nothing, now and later."""
        ours = [order.client_id for order in self._scene.venue.open_now() if self._scene.is_ours(order)]
        if ours:
            self.fail("P4", f"it ended in order, and {len(ours)} orders of ours are open: {ours[:3]}")

    def settled(self) -> None:
        """P2, P3, P4: after the faults are healed and trading has stopped, everything agrees, frozen or not. Only who
        was killed by a person, or ended and has said why, has no books that could be held against the venue's.
        """
        scene, engine = self._scene, self._scene.engine
        if not engine.alive:
            if not engine.said_why:
                self.fail("P3", f"the engine is down and says nothing of it: {engine.end}")
            return
        if engine.said_why:
            scene.mark("ended frozen")
        life = engine.life
        if life is not None and life.runner.reconciled is None and scene.world.now - life.born < EQUAL_NS:
            return  # whoever watches processes started it a moment ago, and it has not compared once
        for symbol in scene.venue.markets:
            held, (position, _) = engine.position(symbol), self._truth(symbol)
            if held != position:
                self.fail("P3", f"{symbol}: the engine holds {held} lots, the venue {position}")
        ours = [order.client_id for order in scene.venue.open_now() if scene.is_ours(order)]
        if ours:
            self.fail("P4", f"{len(ours)} orders of ours are open after the end: {ours[:3]}")
        self._booked()

    def _booked(self) -> None:
        scene, engine = self._scene, self._scene.engine
        for symbol in scene.venue.markets:
            booked, (_, expected) = engine.cash(symbol), self._truth(symbol)
            if booked != expected:
                self.fail("P2", f"{symbol}: the books have cash {booked}, by the venue's executions it is {expected}")

    def _truth(self, symbol: str) -> tuple[int, int]:
        """Position in lots and cash flow (paid and got, fees, funding) of every execution until the engine ended."""
        position, cash, market = 0, 0, self._scene.venue.markets[symbol]
        until = self._scene.engine.ended_at or self._scene.world.now
        for _, seen in self._scene.venue.executions:
            if seen.symbol != symbol or seen.ts_venue > until:
                continue
            cash -= _units(seen.fee)
            if seen.kind != "funding":
                instrument, sign = market.instrument, 1 if seen.side == "buy" else -1
                lots = instrument.lots(seen.qty) * sign
                position += lots
                cash -= instrument.ticks(seen.price) * lots * market.role.units
        return position, cash


def _units(amount: str) -> int:
    whole, _, rest = amount.lstrip("-").partition(".")
    units = int(whole) * 10**12 + int((rest + "0" * 12)[:12])
    return -units if amount.startswith("-") else units
