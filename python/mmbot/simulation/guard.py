"""The guardian as a process of its own in the world, the engine's link to it, and who judges both.

What decides is real on both sides: `GuardianCore`, its anchors and its cancelling, and the engine's `GuardianLink`. The
socket between them is two links that can be cut either way, and the guardian has a way to the venue of its own, which
can be cut as well. It is killed, stopped and started again apart from the engine.

P8 is judged from the venue: while the guardian lives and its way is open, an engine that is dead or hung has no order
there after `GONE_NS`, one that it does not hear none after `CUT_NS`; who woke up after that leaves none; and an engine
whose guardian has not heard it for 5 s places nothing new. Beats are a second apart here, and anchors 15 s.
Not modelled: the freeze latch that the guardian reads; a guardian that a new engine starts itself.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from mmbot.execution.client_ids import parse
from mmbot.guardian.anchors import AnchorKeeper
from mmbot.guardian.claims import Resting
from mmbot.guardian.core import (
    Alarm,
    Blind,
    CancelEverything,
    Cancelled,
    Cut,
    GuardianCore,
    GuardianTerms,
    Heard,
    KeepAnchor,
    Look,
    Looked,
    Said,
    Say,
    StopCancelling,
    Tick,
)
from mmbot.guardian.link import Answered, Closed, GuardianLink, Lifted, LinkTerms, Opened, Pulse, Send
from mmbot.guardian.venue import GuardedVenue, Seen
from mmbot.guardian.words import PROTOCOL, Beat, FromGuardian, Goodbye, GuardianBeat, Hello, Welcome
from mmbot.ops.guarding import reading
from mmbot.simulation.links import Link, Weather
from mmbot.simulation.ports import Paths, SimOrders
from mmbot.simulation.venue import MS, NS_PER_S
from mmbot.simulation.world import NodeLoop
from mmbot.venues.port import PlaceOrder, VenueError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.guardian.core import Command, Event
    from mmbot.guardian.link import LinkEvent
    from mmbot.guardian.words import Head
    from mmbot.risk.levels import FreezeAsked
    from mmbot.simulation.engine import Life
    from mmbot.simulation.faults import Fault
    from mmbot.simulation.scene import Scene
    from mmbot.venues.port import CancelAnswer, CancelPath, Fact, OrderRequest, OrderSeen
    from mmbot.venues.port import LinkEvent as VenueLink

__all__ = ["GUARD_BUGS", "GuardLife", "Guarded", "Presence"]

ENVIRONMENT, ACCOUNT = "simulator", "model"
BEAT_S = 1.0
TERMS = GuardianTerms(beat_ns=NS_PER_S, look_ns=4 * NS_PER_S, anchor_ns=15 * NS_PER_S, stays=True)
MEET_S = 20.0
WELCOME_NS = 2 * NS_PER_S
"""A hello without an answer for so long is said again, on another connection."""
LOOK_S = 4.0
PERSON_NS = 15 * NS_PER_S
"""After that a person starts an engine again that lies."""

GONE_NS = 8 * NS_PER_S
CUT_NS = 13 * NS_PER_S
"""Five seconds until the engine freezes, two in which what it sent may arrive, two for what the venue shows late, and
the cancelling."""
LIE_NS = 10 * NS_PER_S
STILL_NS = 11 * NS_PER_S
"""What appears later than this after a journal stood still cannot have been written down in it."""
SIGHT_NS = 9 * NS_PER_S
"""From the end of a blindness until it has looked: what it finds then may be older than the standing still."""
WOKEN_NS = 8 * NS_PER_S
"""An engine that was given up and woke has heard by then that its guardian acts."""
UNHEARD_NS = 7 * NS_PER_S


class _Nobody:
    """Hears the streams that a guardian does not have."""

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Nothing."""

    def on_link(self, event: VenueLink) -> None:
        """Nothing."""


class _Venue(GuardedVenue):
    """The guardian's own cancelling, over the model's REST."""

    def __init__(self, orders: SimOrders, markets: Sequence[tuple[str, str]], clock: Callable[[], int]) -> None:
        self._orders, self._markets, self._monotonic = orders, list(markets), clock

    async def look(self) -> Seen:
        """Ask for open orders and positions. Raises VenueError."""
        opened = [order for market in self._markets for order in await self.open_orders(*market)]
        positions = {f"{c} {s}": (await self._orders.position(c, s)).qty for c, s in self._markets}
        return Seen(tuple(Resting(f"{o.category} {o.symbol}", o.venue_id, o.client_id) for o in opened), positions)

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        return await self._orders.open_orders(category, symbol)

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        await self._orders.cancel_bulk(category, symbol)

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        return await self._orders.cancel_over("rest", orders)  # both of its ways are REST


class GuardLife:
    """One process of the guardian, from a start to a kill."""

    def __init__(self, guarded: Guarded, number: int) -> None:
        scene = guarded.scene
        self._guarded, self._world = guarded, scene.world
        self.loop = NodeLoop(scene.world, 1_000 + number, guarded.complain)  # type: ignore[abstract]
        self._keeper = AnchorKeeper(scene.engine.state.anchors)
        kept = [anchor.head for anchor in self._keeper.kept]
        self.core = GuardianCore(ENVIRONMENT, ACCOUNT, pid=number, terms=TERMS, kept=kept)
        now = lambda: scene.world.now  # noqa: E731
        self._orders = SimOrders(scene.world, scene.venue, guarded.paths, self.loop, _Nobody(), clock=now)
        self._venue = _Venue(self._orders, [("linear", symbol) for symbol in scene.symbols], now)
        self._cancelling: asyncio.Task[None] | None = None
        self.heard = 0
        """The newest epoch of which a beat came in."""
        self.acts = self.met = 0
        """Cancellings begun; since when it watches the engine: it cannot tell how long a journal stood still before."""
        for bug in scene.bugs:
            if bug in GUARD_BUGS:
                GUARD_BUGS[bug][3](self)
        self.loop.call_soon(self._tick)

    def end(self) -> None:
        """SIGKILL."""
        self._orders.cut()
        self.loop.kill()
        self._keeper.close()

    def soon(self, event: Event) -> None:
        """Let it hear something when its loop comes to it."""
        self.loop.call_soon(self._step, event)

    def _tick(self) -> None:
        self._step(Tick())
        self.loop.call_later(BEAT_S, self._tick)

    def _step(self, event: Event) -> None:
        if isinstance(event, Heard) and isinstance(event.message, Beat):
            self.heard = max(self.heard, event.message.epoch)
        for command in self.core.step(event, self._world.now):
            self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Say(conn, message):
                self._guarded.say(conn, message)
            case Look():
                self.loop.create_task(self._look())
            case CancelEverything(foreign):
                self.cancel(foreign=foreign)
            case StopCancelling():
                if self._cancelling is not None:
                    self._cancelling.cancel()
            case KeepAnchor(head):
                self._keeper.keep(head, self._world.now)
                self._guarded.kept(head)
            case Alarm(cause, words, times):
                self._guarded.scene.mark(f"guardian: alarm {cause}")
                self._guarded.scene.note(f"guardian: ALARM {times} {cause}: {words}")
            case Said(what, words):
                if what == "watching":
                    self.met = self._world.now
                self._guarded.scene.mark(f"guardian: {what}")
                self._guarded.scene.note(f"guardian: {what}: {words}")

    def cancel(self, *, foreign: bool) -> None:
        """Begin a cancelling."""
        self.acts += 1
        self._cancelling = self.loop.create_task(self._cancel(foreign))

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                seen = await self._venue.look()
        except (VenueError, TimeoutError) as error:
            self._step(Blind(str(error) or f"no answer within {LOOK_S:g} s"))
        else:
            self._step(Looked(seen.resting, seen.positions))

    async def _cancel(self, foreign: bool) -> None:
        outcome = await self._venue.cancel(foreign=foreign)
        self._step(Cancelled(outcome.zero, outcome.seen, outcome.why))


class Presence:
    """One life of the engine, as its guardian sees it: what `mmbot.ops.guarding` is over a socket."""

    def __init__(self, life: Life, guarded: Guarded) -> None:
        self.life, self._guarded = life, guarded
        self.name = f"{life.run.name}/journal.mmj"
        hello = Hello(protocol=PROTOCOL, environment=ENVIRONMENT, account=ACCOUNT, epoch=life.number, journal=self.name)
        lost = LinkTerms(lost_ns=1 << 62) if "guardian not missed" in life.scene.bugs else None
        self.link = GuardianLink(hello, lost)
        self.conn: int | None = None
        self.lies_since: int | None = None
        """Since when its head stands still, whatever it writes."""
        self.unheard = 0
        """Pulses since the guardian last heard something newer."""
        self._heard = -1
        self._stuck: Head | None = None
        self._answered = asyncio.Event()
        self._due = 0.0
        self._over = False
        self._opened_at = 0

    async def meet(self) -> None:
        """Say hello until it is answered. Raises VenueError if nobody will watch."""
        self._open()
        with suppress(TimeoutError):
            async with asyncio.timeout(MEET_S):
                await self._answered.wait()
        if self.link.welcome is None:
            raise VenueError(f"the guardian does not watch this run: {self.link.refused or 'it does not answer'}")

    def begin(self) -> None:
        """Beat from now on."""
        self._guarded.begun = self.life.number
        self.life.runner.lifted = lambda: self._step(Lifted())
        self._due = self.life.loop.time()
        self._pulse()

    def leave(self, *, left: bool, why: str) -> None:
        """Say goodbye, and nothing after it. Who was killed says nothing."""
        if self.life.loop.dead:
            return
        self._over = True
        self._send(Goodbye(left=left, why=why))
        self._guarded.left = self.life.number

    def closed(self, why: str) -> None:
        """The guardian's end of the connection is gone."""
        self.conn = None
        self._step(Closed(why))

    def hear(self, message: FromGuardian) -> None:
        """Take what the guardian said."""
        if isinstance(message, Welcome):
            self.unheard = 0
        if isinstance(message, GuardianBeat) and message.heard > self._heard:
            self._heard, self.unheard = message.heard, 0
        if isinstance(message, GuardianBeat) and "guardian not heeded" in self.life.scene.bugs:
            message = msgspec.structs.replace(message, acting=False)
        self._step(Answered(message))
        self._answered.set()

    def _open(self) -> None:
        """Open a connection, if there is none that is of use; again and again."""
        if self._over:
            return
        now = self._guarded.scene.world.now
        waits = self.conn is not None and self.link.welcome is None and now - self._opened_at >= WELCOME_NS
        if waits:
            self._guarded.hang_up(self)
            self.closed("no answer")
        if self.conn is None:
            self.conn = self._guarded.connect(self)
            if self.conn is not None:
                self._opened_at = now
                self._step(Opened())
        self.life.loop.call_later(BEAT_S, self._open)

    def _pulse(self) -> None:
        loop, life = self.life.loop, self.life
        if self._over:
            return
        late = max(0, round((loop.time() - self._due) * NS_PER_S))
        self._due = loop.time() + BEAT_S
        self.unheard += 1
        told = reading(life.runner, life.journal, self.name, late)
        if self.lies_since is not None:
            self._stuck = self._stuck or told.head
            told = replace(told, head=self._stuck)
        self._step(Pulse(told))
        loop.call_later(BEAT_S, self._pulse)

    def _step(self, event: LinkEvent) -> None:
        for command in self.link.step(event, self.life.clock.peek()):
            if isinstance(command, Send):
                self._send(command.message)
            else:
                self._freeze(command)

    def _send(self, message: Hello | Beat | Goodbye) -> None:
        if self.conn is not None:
            self._guarded.tell(self.conn, message)

    def _freeze(self, asked: FreezeAsked) -> None:
        scene = self._guarded.scene
        if not self.life.runner.freeze(asked):
            return
        scene.mark(f"frozen: {asked.control}")
        scene.note(f"engine {self.life.number}: frozen: {asked.control}: {asked.reason}")
        if self.lies_since is not None:
            scene.world.after(PERSON_NS, lambda: self._guarded.restarted(self.life))


class Guarded:
    """The guardian's place in the world, over all its lives, and its judge."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.paths = Paths(lambda name: Link(scene.world, f"g.{name}", scene.dice.of(f"link.guard.{name}")))
        self._up, self._down = (
            Link(scene.world, way, scene.dice.of(f"link.{way}"), least=MS // 10, most=MS)
            for way in ("wire.up", "wire.down")
        )
        self.life: GuardLife | None = None
        self._lives = self._conns = 0
        self._presence: dict[int, Presence] = {}
        self.begun = self.left = 0
        """The newest life of the engine that beat, and that took its leave."""
        self._blind_until = self._cut_until = self._asleep_until = 0
        self._since: int | None = None
        self._woken_at: int | None = None
        self._condemned = 0
        self._liar: Presence | None = None
        """The life that was looked at last: what one that was started since says is its own."""
        self._hung = False
        self._untrue_at: int | None = None
        self._waits_for: tuple[str, int, Callable[[], object]] | None = None
        """A journal, entries of it, and what happens when a head is kept that is further."""
        scene.world.after(NS_PER_S // 2, self._judge)
        self.boot()

    # ---- the process

    def boot(self) -> None:
        """Start it, unless it lives."""
        if self.life is None:
            self._lives += 1
            self.life = GuardLife(self, self._lives)

    def kill(self) -> None:
        """SIGKILL, if it lives; the engine's connection ends with it."""
        life, self.life = self.life, None
        if life is None:
            return
        life.end()
        gone, self._presence = self._presence, {}
        for presence in gone.values():
            presence.life.loop.call_soon(presence.closed, "the guardian is gone")

    def pause(self, ns: int) -> None:
        """SIGSTOP for so long."""
        if self.life is not None:
            loop = self.life.loop
            loop.pause()
            self.scene.world.after(ns, loop.resume)
            self._asleep_until = max(self._asleep_until, self.scene.world.now + ns)

    def heal(self) -> None:
        """Nothing is wrong with it any more."""
        self._waits_for = None
        if self.life is not None:
            self.life.loop.resume()
        self.boot()

    def complain(self, context: dict[str, Any]) -> None:
        """An exception that nobody caught."""
        self.scene.checks.fail("H0", f"guardian: {context.get('message')}: {context.get('exception')!r}")

    # ---- the wire

    def connect(self, presence: Presence) -> int | None:
        """A connection of the engine's; None where nobody listens."""
        if self.life is None:
            return None
        self._conns += 1
        self._presence[self._conns] = presence
        return self._conns

    def hang_up(self, presence: Presence) -> None:
        """The engine closes its connection."""
        self._end(presence, dead=False, why="it closed the connection")

    def died(self, presence: Presence) -> None:
        """The engine's process is gone, and the system says so."""
        self._end(presence, dead=True, why="killed")

    def _end(self, presence: Presence, *, dead: bool, why: str) -> None:
        for conn in [conn for conn, one in self._presence.items() if one is presence]:
            del self._presence[conn]
            if self.life is not None:
                self.life.soon(Cut(conn, dead, why))

    def tell(self, conn: int, message: Hello | Beat | Goodbye) -> None:
        """The engine says something."""
        life = self.life

        def arrive() -> None:
            if life is not None and life is self.life and conn in self._presence:
                life.soon(Heard(conn, message))

        self._up.send(arrive)

    def say(self, conn: int, message: FromGuardian) -> None:
        """The guardian says something."""

        def arrive() -> None:
            presence = self._presence.get(conn)
            if presence is not None and presence.conn == conn:
                presence.life.loop.call_soon(presence.hear, message)

        self._down.send(arrive)

    # ---- what goes wrong

    def suffer(self, fault: Fault, rng: random.Random) -> None:
        """A fault strikes."""
        ns = fault.for_ms * MS
        until = self.scene.world.now + ns
        match fault.kind:
            case "guardian killed":
                self.kill()
                self.scene.world.after(ns, self.boot)
            case "guardian paused":
                self.pause(ns)
            case "guardian cut from the venue":
                self.blinded(until)
                for link in self.paths.all():
                    link.suffer(Weather(rng=rng, until=until, lose=1.0))
            case "beats lost":
                self._cut_until = max(self._cut_until, until)
                ways = rng.choice(((self._up, self._down), (self._up,), (self._down,)))
                for link in ways:
                    link.suffer(Weather(rng=rng, until=until, lose=1.0))
                if ways == (self._down,):
                    self._cut_until = 0  # it is heard, and does not hear: it freezes by itself
            case "power lost":
                self._lose_power(fault, rng)
            case _:  # an engine that lies
                presence = self._newest()
                if presence is not None and presence.lies_since is None:
                    presence.lies_since = self.scene.world.now

    def _lose_power(self, fault: Fault, rng: random.Random) -> None:
        """The engine's disk keeps nothing from here on. Once an anchor was kept of what is not on it, requests are late
        for three seconds, and with the first order among them the power goes; the engine is back at once.
        """
        scene, presence = self.scene, self._newest()
        if presence is None:
            return

        def go() -> None:
            late = Weather(rng=rng, until=scene.world.now + 3 * NS_PER_S, park=round((1_600 + 350 * fault.size) * MS))
            scene.paths.trade_out.suffer(late)
            scene.traps["place"] = 20 * MS

        scene.engine.disk_lies()
        self._waits_for = (presence.name, presence.life.journal.head()[0], go)

    def blinded(self, until: int) -> None:
        """What it sees of the venue is of no use until then, for whoever judges it."""
        self._blind_until = max(self._blind_until, until)

    def kept(self, head: Head) -> None:
        """An anchor is on the guardian's disk."""
        if self._waits_for is None:
            return
        journal, seq, go = self._waits_for
        if head.journal == journal and head.seq > seq:
            self._waits_for = None
            go()

    def _newest(self) -> Presence | None:
        life = self.scene.engine.life
        return None if life is None else life.presence

    def lifted(self) -> None:
        """People let the engine go on: it is no longer given up."""
        self._condemned = 0
        self._untrue_at = None

    def restarted(self, life: Life) -> None:
        """A person saw the freeze, and starts the engine again."""
        engine = self.scene.engine
        if engine.life is life and not life.loop.paused and engine.end == "running" and not life.runner.stopping:
            self.scene.mark("restarted after a freeze")
            engine.kill(self.scene.dice.of("person"))
            engine.boot()

    # ---- the judge

    def sent(self, request: OrderRequest) -> None:
        """P8, the engine's side: who is not heard for 5 s places nothing new."""
        if self._hung and self._since is not None:
            self._since = self.scene.world.now  # it went again, if only between two looks
        presence = self._newest()
        if presence is None or not isinstance(request, PlaceOrder) or request.reduce_only:
            return
        unheard = round(presence.unheard * BEAT_S * NS_PER_S)
        if unheard > UNHEARD_NS:
            said = f"{request.client_id} leaves, and the guardian heard nothing for {unheard / NS_PER_S:.1f} s"
            self.scene.checks.fail("P8", said)

    def _judge(self) -> None:
        """P8, the guardian's side, looked at twice a second."""
        now, guardian, presence = self.scene.world.now, self.life, self._newest()
        self.scene.world.after(NS_PER_S // 2, self._judge)
        if guardian is None or guardian.heard < self.begun:  # it never heard of this engine
            self._condemned = 0
        elif not guardian.loop.paused and now >= self._blind_until and not self.scene.venue.maintenance:
            gone = presence is None or presence.life.loop.paused
            self._judge_gone(now, gone=gone)
            self._judge_woken(presence, now, hidden=gone or now < self._cut_until)
            self._judge_lie(presence, now, hidden=gone or now < self._cut_until)
            return
        self._since = self._woken_at = self._untrue_at = None

    def _judge_gone(self, now: int, *, gone: bool) -> None:
        cut = now < self._cut_until
        if self.left == self.begun or not (gone or cut):
            self._since = None
            return
        if self._hung and not gone:
            self._since = now  # it goes again, and cannot know yet that it is not heard
        self._hung = gone
        # People lift where it hears the guardian, whoever does not hear it; and it may have woken and died in between.
        self._since = max(self._since or now, self.scene.stops.sent_at if gone else self.scene.stops.lifted_at)
        silent = now - self._since
        if silent >= CUT_NS:
            self._condemned = self.begun
        if silent >= (CUT_NS if cut else GONE_NS):
            self.scene.mark("guardian judged: engine gone")
            self._none_open(0, f"{silent / NS_PER_S:.1f} s after the engine was heard last")

    def _judge_woken(self, presence: Presence | None, now: int, *, hidden: bool) -> None:
        woken = not hidden and presence is not None and presence.life.number == self._condemned
        self._woken_at = (self._woken_at or now) if woken else None
        if self._woken_at is not None and now - self._woken_at >= WOKEN_NS:
            self.scene.mark("guardian judged: engine woken")
            self._none_open(self._woken_at + WOKEN_NS, "and its engine was given up before it woke")

    def _judge_lie(self, presence: Presence | None, now: int, *, hidden: bool) -> None:
        since = None if presence is None else presence.lies_since
        before, self._liar = self._liar, presence
        if since is None or hidden or presence is not before:
            self._untrue_at = None
            return
        if self._untrue_at is None:
            # Who has just come, or slept, cannot tell how long a journal stood still before.
            still = max(since, 0 if self.life is None else self.life.met, self._asleep_until)
            seen_from, seen_to = max(still + STILL_NS, self._blind_until + SIGHT_NS), now - 3 * NS_PER_S
            untrue = [order for order in self._ours() if seen_from <= order.created <= seen_to]
            self._untrue_at = now if untrue else None
        elif now - self._untrue_at >= LIE_NS:
            self.scene.mark("guardian judged: engine lies")
            self._none_open(0, "and its journal stands still since before it was placed")

    def _ours(self) -> list[Any]:
        return [order for order in self.scene.venue.open_now() if parse(order.client_id) is not None]

    def _none_open(self, since: int, why: str) -> None:
        """Nothing of ours is open that came since then."""
        for order in self._ours():
            if order.created >= since:
                self.scene.checks.fail("P8", f"{order.client_id} is open at the venue {why}")
                return


# ---- planted


def _nothing(_life: GuardLife) -> None:
    """What is wrong is on the engine's side."""


def _believes(life: GuardLife) -> None:
    judged = life.core._judged

    def gullible(at: int) -> list[Command]:
        watched = life.core._watched
        if watched is not None:
            watched.claims.broken = ""
            watched.claims.lie = lambda at: ""  # type: ignore[method-assign]
        return judged(at)

    life.core._judged = gullible  # type: ignore[method-assign]


def _cancels_once(life: GuardLife) -> None:
    begin = life.cancel

    def cancel(*, foreign: bool) -> None:
        if not life.acts:
            begin(foreign=foreign)

    async def once(foreign: bool) -> None:
        with suppress(VenueError):
            for market in life._venue._markets:
                await life._venue.cancel_bulk(*market)
        life._step(Cancelled(True, 0))

    life.cancel, life._cancel = cancel, once  # type: ignore[method-assign]


def _silence_is_fine(life: GuardLife) -> None:
    step = life._step

    def patient(event: Event) -> None:
        if life.core._watched is not None:
            life.core._watched.heard_at = life.core._time.ns
        step(event)

    life._step = patient  # type: ignore[method-assign]


GUARD_BUGS: Mapping[str, tuple[str, str, int, Callable[[GuardLife], None]]] = {
    "any beat is believed": ("an engine is believed as long as it beats", "guardian", 200, _believes),
    "cancels once": ("the guardian cancels once, and does not ask again", "guardian", 200, _cancels_once),
    "guardian not heeded": ("the engine goes on although its guardian acts", "guardian", 200, _nothing),
    "silence is fine": ("an engine that says nothing is not missed", "guardian", 200, _silence_is_fine),
    "guardian not missed": ("the engine goes on without its guardian", "guardian", 200, _nothing),
}
"""What can be planted here: what it is, the faults that show it, seeds in which it has to be caught, and how."""
