"""Two machines that may trade on one account, the database that keeps their lease, and who judges them.

The lease's own code is the real one: standing by, renewing, the fence that is asked before a request is signed, and the
hand-over (`mmbot.ops.leader.leadership`, `standby`, `mmbot.execution.lease`). The database is a model: one row, changed
in one place at a time, behind links that delay and lose, with a clock of its own. What each machine trades is a model
as well: it places an order each second and takes the one before out, which is enough to see who may.

The venue judges: it never takes a create of an older epoch after one of a newer (P9), and no epoch has two machines.
Not modelled: a database that forgets; what a machine knows of the orders of the one before it.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mmbot.execution import FencedError
from mmbot.execution.client_ids import ClientIds, parse
from mmbot.execution.lease import LeaseFence, LeaseRow
from mmbot.ops.leader.leadership import Leadership
from mmbot.ops.leader.lease import DeposedError, LeaseUnreachableError, Taken
from mmbot.simulation.links import Link, Weather
from mmbot.simulation.venue import MS, NS_PER_S, RECV_WINDOW
from mmbot.simulation.world import NodeLoop
from mmbot.venues.port import CancelOrder, PlaceOrder, VenueError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from mmbot.simulation.faults import Fault
    from mmbot.simulation.scene import Scene
    from mmbot.simulation.venue import ModelMarket, ModelVenue
    from mmbot.venues.port import OrderRequest

__all__ = ["LEASE_BUGS", "Contender", "ModelDatabase", "Pair"]

Answer = TypeVar("Answer")
TTL_S, RENEW_S = 15.0, 5.0
STEP_S = 1.0
MEASURE_S = 5.0
"""How often a machine asks the venue what time it is."""
EPOCH_S = 1_700_000_000
REVIVE_NS = 2 * NS_PER_S
LIVES_MAX = 200
QUIET_S = 3.0
"""After this long nothing that was signed before is taken in."""
AFTERWARDS_NS = 25 * NS_PER_S
"""Once nothing is wrong any more, the venue gets a create at least so often: a lease and its hand-over fit in."""


class ModelDatabase:
    """One row, and what may be done with it, each at once. `offset`: how its clock is off; somebody may set it."""

    def __init__(self, scene: Scene) -> None:
        self._world = scene.world
        self.offset = 0
        self.down_until = 0
        self.slow_until = 0
        self._row = LeaseRow(epoch=EPOCH_S, beat=0, holder="", ttl_ns=0, left_ns=0)
        self._until = 0
        self._quiet = True

    @property
    def _now(self) -> int:
        return self._world.now + self.offset

    def read(self) -> LeaseRow:
        """The row now."""
        return replace(self._row, left_ns=self._until - self._now)

    def take(self, seen: LeaseRow, holder: str, ttl_ns: int) -> Taken | None:
        """Give it to somebody with the next epoch, if it is as it was seen and free or over."""
        row = self.read()
        if (row.epoch, row.beat) != (seen.epoch, seen.beat) or not (row.free or row.left_ns <= 0):
            return None
        taken = Taken(row.epoch + 1, None if self._quiet else -row.left_ns)
        self._put(row.epoch + 1, holder, ttl_ns)
        return taken

    def take_blindly(self, epoch: int, holder: str, ttl_ns: int) -> None:
        """As a program would that looks, and then writes what it thought: for a planted bug."""
        self._put(epoch, holder, ttl_ns)

    def _put(self, epoch: int, holder: str, ttl_ns: int) -> None:
        self._row = LeaseRow(epoch=epoch, beat=self._row.beat + 1, holder=holder, ttl_ns=ttl_ns, left_ns=0)
        self._until, self._quiet = self._now + ttl_ns, False

    def renew(self, epoch: int, holder: str) -> bool:
        """Move its end on, for who holds it."""
        if (self._row.epoch, self._row.holder) != (epoch, holder):
            return False
        self._put(epoch, holder, self._row.ttl_ns)
        return True

    def release(self, epoch: int, holder: str, *, clean: bool) -> None:
        """Take it back from who holds it."""
        if (self._row.epoch, self._row.holder) == (epoch, holder):
            self._row = replace(self._row, holder="", beat=self._row.beat + 1)
            self._until, self._quiet = self._now, clean


class ModelLease:
    """Implements `mmbot.ops.leader.lease.Lease` over links to the model database."""

    def __init__(self, node: Contender, database: ModelDatabase, name: str) -> None:
        self._node, self._database, self._holder = node, database, name
        self._epoch = -1

    async def _ask(self, answer: Callable[[], Answer]) -> Answer:
        if self._node.lead is None:
            raise LeaseUnreachableError("the process is dead")
        future: asyncio.Future[Answer] = self._node.loop.create_future()
        node, database, world = self._node, self._database, self._node.world

        def arrive() -> None:
            if world.now >= database.down_until:
                told = answer()
                node.db_in.send(lambda: node.soon(partial(_settle, future, told)))

        def reach() -> None:
            if world.now < database.slow_until:
                world.after(3 * NS_PER_S, arrive)
            else:
                arrive()

        node.db_out.send(reach)
        try:
            async with asyncio.timeout(RENEW_S):
                return await future
        except TimeoutError:
            raise LeaseUnreachableError(f"the lease database gave no answer within {RENEW_S:g} s") from None

    async def read(self) -> LeaseRow:
        """The row as it is. Raises LeaseUnreachableError."""
        return await self._ask(self._database.read)

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Take it; None where somebody was faster. Raises LeaseUnreachableError."""
        ttl_ns = round(TTL_S * NS_PER_S)
        if "epoch apart" in self._node.bugs:
            row = await self.read()
            taken: Taken | None = Taken(row.epoch + 1, -row.left_ns) if row.free or row.left_ns <= 0 else None
            if taken is not None:
                await self._ask(partial(self._database.take_blindly, row.epoch + 1, self._holder, ttl_ns))
        else:
            taken = await self._ask(partial(self._database.take, seen, self._holder, ttl_ns))
        if taken is not None:
            self._epoch = taken.epoch
        return taken

    async def renew(self) -> None:
        """Keep it. Raises DeposedError, LeaseUnreachableError."""
        try:
            kept = await self._ask(partial(self._database.renew, self._epoch, self._holder))
        except LeaseUnreachableError:
            if "renewed locally" in self._node.bugs:
                return
            raise
        if not kept:
            raise DeposedError(f"{self._holder} does not hold the lease with epoch {self._epoch} any more")

    async def release(self, *, clean: bool) -> None:
        """Give it back. Raises LeaseUnreachableError."""
        await self._ask(partial(self._database.release, self._epoch, self._holder, clean=clean))


def _settle(future: asyncio.Future[Answer], told: Answer) -> None:
    if not future.done():
        future.set_result(told)


class Contender:
    """One machine, over all lives of the process on it."""

    def __init__(self, pair: Pair, name: str) -> None:
        scene = pair.scene
        self.name, self.world, self.bugs = name, scene.world, scene.bugs
        self._pair, self._scene = pair, scene
        self._rng = scene.dice.of(f"contender.{name}")
        self.db_out, self.db_in, self.venue_out = (
            Link(scene.world, f"{name}.{way}", scene.dice.of(f"link.{name}.{way}")) for way in ("db.o", "db.i", "trade")
        )
        self.lead: Leadership | None = None
        self.loop: NodeLoop
        self.trapped_for = 0
        """It is stopped for so long just after its next request was let through, ns."""
        self._off = 0
        """How its estimate of the venue's time is off."""
        self._behind = 0
        """How much of the time its clocks have slept through."""
        self._unmeasured = 0
        """How much of that came after it asked the venue for the time."""
        self._stopped_at: int | None = None
        self._slept_from: int | None = None
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # ---- its clocks

    def venue_ns(self) -> int:
        """The venue's time, as it thinks."""
        return self.world.now + self._off - self._unmeasured

    def monotonic(self) -> int:
        """A clock that stands still while the machine is suspended."""
        return self.world.now - self._behind

    def lead_of(self) -> LeaseFence | None:
        """What it believes to hold."""
        return None if self.lead is None else self.lead.fence

    # ---- life and death

    def boot(self) -> None:
        """Start the process, unless it lives."""
        if self.lead is not None or self._pair.ending or self._pair.lives >= LIVES_MAX:
            return
        self._pair.lives += 1
        self.loop = NodeLoop(self.world, 100 + self._pair.lives, self._pair.complain)  # type: ignore[abstract]
        self._off, self._unmeasured, self._slept_from = self._rng.randrange(-200, 200) * MS, 0, None
        self._stop = asyncio.Event()
        self.lead = lead = Leadership(self._told, self.venue_ns, monotonic=self.monotonic)
        for bug in self.bugs:
            if bug in LEASE_BUGS:
                LEASE_BUGS[bug][2](lead)
        self._task = self.loop.create_task(self._main(lead))

    def kill(self) -> None:
        """SIGKILL, if it lives."""
        if self.lead is not None and self._task is not None:
            self.lead = None
            self.loop.unwind(self._task)

    def pause(self, ns: int) -> None:
        """SIGSTOP for so long. Its clocks go on."""
        if self.lead is not None and not self.loop.paused:
            loop = self.loop
            loop.pause()
            self.world.after(ns, loop.resume)

    def suspend(self, ns: int) -> None:
        """The machine is suspended for so long, and its clocks with it."""
        if self.lead is not None and not self.loop.paused:
            loop, since = self.loop, self.world.now
            loop.pause()

            def wake() -> None:
                slept = self.world.now - since
                self._behind += slept
                if not loop.dead:
                    self._unmeasured += slept
                loop.resume()

            self.world.after(ns, wake)

    def leave(self) -> None:
        """End in order, and give the lease back."""
        if self.lead is not None and not self.loop.paused:
            self.loop.call_soon(self._stop.set)

    def soon(self, act: Callable[[], object]) -> None:
        """Let the process do something, if it lives."""
        if self.lead is not None and not self.loop.dead:
            self.loop.call_soon(act)

    def err(self, off: int) -> None:
        """Its estimate of the venue's time is off by so much."""
        self._off = off

    # ---- what it does

    def _told(self, event: dict[str, Any]) -> None:
        self._scene.marks[f"said: {event['event']}"] += 1
        if event["event"] != "standby":
            self._scene.note(f"{self.name}: {event}")

    async def _main(self, lead: Leadership) -> None:
        try:
            lease = ModelLease(self, self._pair.database, f"{self.name}-{self._pair.lives}")
            async with lead.held(lease, ttl_s=TTL_S, renew_s=RENEW_S, stop=self._stop) as epoch:
                await self._trade(lead, epoch)
        except VenueError as error:
            self._scene.note(f"{self.name} ended: {error}")
        if self.lead is not lead:
            return  # killed
        self.lead = None
        self.world.after(REVIVE_NS, self.boot)

    async def _trade(self, lead: Leadership, epoch: int) -> None:
        ids = ClientIds(env="s", epoch_s=epoch, strategy=self.name)
        over: list[VenueError] = []
        lead.listen(lambda _event: None, over.append)
        number, measured = 0, self.loop.time()
        while not over and not self._stop.is_set():
            number += 1
            self._place(lead, ids.name(number))
            if number > 1:
                self._cancel(ids.name(number - 1))
            await asyncio.sleep(STEP_S)
            if self.loop.time() - measured >= MEASURE_S:
                measured, self._unmeasured = self.loop.time(), 0
        self._cancel(ids.name(number or 1))
        if not over:
            await asyncio.sleep(QUIET_S)
            lead.quiet = True

    def _place(self, lead: Leadership, name: str) -> None:
        ts = self.venue_ns()
        try:
            lead.check(ts // MS)
        except FencedError:
            self._scene.mark("fenced")
            return
        market = self._pair.market
        request = PlaceOrder(
            client_id=name,
            category="linear",
            symbol=market.symbol,
            side="buy",
            price=market.instrument.price(market.bid - 500),
            qty=market.instrument.quantity(1),
            post_only=True,
            reduce_only=False,
            tif="gtc",
        )
        self.loop.call_soon(self._send, request, ts // MS * MS)
        if self.trapped_for:
            self._scene.mark("stopped between the check and the sending")
            ns, self.trapped_for = self.trapped_for, 0
            self.pause(ns)

    def _cancel(self, name: str) -> None:
        self._send(
            CancelOrder(client_id=name, category="linear", symbol=self._pair.market.symbol, venue_id=""),
            self.venue_ns(),
        )

    def _send(self, request: OrderRequest, signed: int) -> None:
        window = 60 * NS_PER_S if "window widened" in self.bugs else RECV_WINDOW
        self.venue_out.send(partial(self._pair.venue.take, request, signed, window))


class Pair:
    """Both machines and their database, where the one engine of other scenes stands."""

    def __init__(self, scene: Scene, venue: ModelVenue) -> None:
        self.scene, self.venue = scene, venue
        self.market: ModelMarket = next(iter(venue.markets.values()))
        self.database = ModelDatabase(scene)
        self.lives = 0
        self.ending = False
        self.nodes = tuple(Contender(self, name) for name in ("aaa", "bbb"))
        self._newest, self._of = 0, ""
        self._heard_at = scene.world.now
        """When the venue took a create in last."""
        self._calm_at: int | None = None
        venue.on_change = self._changed

    # ---- the judge

    def _changed(self, market: ModelMarket, why: str) -> None:
        """P9: creates come from one machine at a time, and never from one that was taken over from."""
        if why != "placed":
            return
        order = self.venue.open_now()[-1]
        named = parse(order.client_id)
        if named is None:
            return
        now, epoch = self.scene.world.now, named.epoch_s
        self._heard_at = now
        if epoch < self._newest:
            self.scene.checks.fail("P9", f"the venue took a create of epoch {epoch} after one of {self._newest}")
        elif epoch == self._newest and named.strategy != self._of:
            self.scene.checks.fail("P9", f"epoch {epoch} has two machines: {self._of} and {named.strategy}")
        elif epoch > self._newest:
            if self._newest:
                self.scene.mark("another machine trades" if named.strategy != self._of else "the same one again")
            self._newest, self._of = epoch, named.strategy

    def settled(self) -> None:
        """Once nothing was wrong any more, somebody traded."""
        silent = self._calm_at is not None and self._heard_at < self._calm_at - AFTERWARDS_NS
        if silent:
            self.scene.checks.fail("P9", "nobody trades although nothing is wrong any more")

    # ---- what goes wrong

    def suffer(self, kind: str, fault: Fault, rng: random.Random) -> None:
        """A fault strikes; which machine leads is as it believes itself."""
        leads = [node for node in self.nodes if node.lead_of() is not None]
        others = [node for node in self.nodes if node not in leads]
        node = rng.choice(leads or others)
        ns, until = fault.for_ms * MS, self.scene.world.now + fault.for_ms * MS
        database = self.database
        strikes: dict[str, Callable[[], object]] = {
            "leader paused": lambda: node.pause(ns),
            "leader paused in mid-send": lambda: setattr(node, "trapped_for", ns),
            "leader suspended": lambda: node.suspend(ns),
            "leader killed": lambda: self._kill(node, ns),
            "leader leaves": node.leave,
            "leader cut from the database": lambda: self._dark(until, rng, node),
            "both cut from the database": lambda: self._dark(until, rng, *self.nodes),
            "database answers lost": lambda: self._deaf(until, rng),
            "database down": lambda: setattr(database, "down_until", until),
            "database slow": lambda: setattr(database, "slow_until", until),
            "database clock set": lambda: self._set_database(fault),
            "venue time misjudged": lambda: node.err(round((fault.size - 0.5) * 500 * MS)),
            "orders late": lambda: node.venue_out.suffer(Weather(rng=rng, until=until, extra=2_500 * MS)),
        }
        strikes[kind]()

    def _kill(self, node: Contender, ns: int) -> None:
        node.kill()
        self.scene.world.after(ns, node.boot)

    def _deaf(self, until: int, rng: random.Random) -> None:
        for node in self.nodes:
            node.db_in.suffer(Weather(rng=rng, until=until, lose=0.7))

    def _dark(self, until: int, rng: random.Random, *nodes: Contender) -> None:
        for node in nodes:
            node.db_out.suffer(Weather(rng=rng, until=until, lose=1.0))
            node.db_in.suffer(Weather(rng=rng, until=until, lose=1.0))

    def _set_database(self, fault: Fault) -> None:
        step = round((fault.size - 0.5) * 20 * NS_PER_S)
        self.database.offset += step

    # ---- as an engine

    def boot(self) -> None:
        """Start both."""
        for node in self.nodes:
            node.boot()

    def heal(self) -> None:
        """Nothing is wrong any more."""
        for node in self.nodes:
            if node.lead is not None:
                node.loop.resume()
            node.boot()

    def stop(self) -> None:
        """The scene comes to its end."""
        self._calm_at = self.scene.world.now
        self.settled()
        self.ending = True
        for node in self.nodes:
            node.leave()

    def kill(self) -> None:
        """End both."""
        for node in self.nodes:
            node.kill()

    def complain(self, context: dict[str, Any]) -> None:
        """An exception that nobody caught."""
        self.scene.checks.fail("H0", f"{context.get('message')}: {context.get('exception')!r}")

    def digest(self) -> int:
        """One number for what came of it."""
        return hash((self._newest, self.lives, self.database.read().beat))


def _nothing(_lead: Leadership) -> None:
    """What is wrong is not in here."""


def _sends_all_the_same(lead: Leadership) -> None:
    lead.check = lambda ts_ms: None  # type: ignore[method-assign]


def _begins_at_once(lead: Leadership) -> None:
    ask = lead.why_not

    def why_not(ts_ns: int) -> str:
        if lead.fence is not None:
            lead.fence = replace(lead.fence, first_ns=0)
        return ask(ts_ns)

    lead.why_not = why_not  # type: ignore[method-assign]


LEASE_BUGS: Mapping[str, tuple[str, int, Callable[[Leadership], None]]] = {
    "renewed locally": ("a renewal without an answer counts as one", 200, _nothing),
    "window widened": ("requests are signed so that they are good for a minute", 200, _nothing),
    "epoch apart": ("the lease is looked at and taken in two steps", 200, _nothing),
    "woken leader sends": ("who leads is not asked again before a request leaves", 200, _sends_all_the_same),
    "hand-over not waited for": ("a new leader trades at once", 600, _begins_at_once),
}
"""What can be planted here: what it is, seeds in which it has to be caught, and how."""
