"""The engine's process in the world: it is started, killed, paused and started again; its disk is what it remembers."""

from __future__ import annotations

import asyncio
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from mmbot import _core
from mmbot.config import RiskConfig
from mmbot.execution.client_ids import ClientIds
from mmbot.execution.flatten import FlattenTerms
from mmbot.execution.throttle import Throttle
from mmbot.ops.account_state import AccountState
from mmbot.ops.alarm_log import AlarmLog
from mmbot.ops.controls import risk_desk
from mmbot.ops.estate import left_on
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.freeze_requests import apply_override
from mmbot.research.desks import bounds, controls
from mmbot.risk.alarms import P1_CONTROLS, P1_EVENTS, alarm_of
from mmbot.risk.freeze import FreezePolicy
from mmbot.risk.levels import FreezeLevel
from mmbot.runtime.bridge import Listed
from mmbot.runtime.clock import RunClock
from mmbot.runtime.flattening import Flattening
from mmbot.runtime.freezing import Freezing
from mmbot.runtime.gate import OrderGate
from mmbot.runtime.market import RunMarket
from mmbot.runtime.runner import RunFailedError, Runner
from mmbot.simulation.guard import Presence
from mmbot.simulation.planted import BUGS
from mmbot.simulation.ports import SimFeed, SimOrders
from mmbot.simulation.stops import ACCOUNT, STRATEGY
from mmbot.simulation.venue import NS_PER_S
from mmbot.simulation.world import NodeLoop
from mmbot.strategy import View
from mmbot.venues.port import Acked, CancelOrder, ExecutionSeen, PlaceOrder, VenueError
from mmbot.venues.records import BookLost

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from mmbot.risk.levels import FreezeAsked
    from mmbot.simulation.links import Link
    from mmbot.simulation.scene import Scene
    from mmbot.venues.port import Fact, OrderRequest
    from mmbot.venues.records import BookUpdate

__all__ = ["EngineNode", "Life"]


RESERVE_BYTES = 32 << 10
"""Small, so that a full disk reaches its end."""
CALLS_PER_SECOND = 20
DECISION_AGE_NS = 250_000_000
EPOCH_S = 1_700_000_000
LAST_LIFE_NS = 20 * NS_PER_S
LOST_BYTES = (500, 5_000, 200_000)
"""A disk that lied loses up to so much: a part of the last entries, some, or all since it began to."""
LIVES_MAX = 30
"""A process that failed so often is not started again."""
WATCH_S = 10.0
"""How often the freeze board is looked at. Who writes there has the engine look as soon as a real one would."""
DESK_S = 5.0
"""How often controls look beside what they are told; a real run's every second."""
DESKS = ("mixed", "guardian", "people", "operators")
"""Profiles whose runs have the controls above the core's own: they cost a tenth of a seed."""
ALARMING = frozenset({"freeze", *P1_EVENTS})
BOOKS_DIFFER = P1_CONTROLS - {"unhedged"} | {"unknown_order", "crash_loop"}
"""Controls that stop a run because it does not know its books, or says that they differ."""


@lru_cache(maxsize=2)
def _controls(*, strict: bool) -> RiskConfig:
    """Controls of a run that may lose what it wants. strict: what the venue refuses, or does not answer, stops it."""
    return RiskConfig(
        capital_usd="10000000",
        max_total_notional_usd="10000000",
        max_firm_notional_usd="10000000",
        cap_gross_usd="10000000",
        loss_minute_pct=100.0,
        loss_hour_pct=100.0,
        loss_day_pct=100.0,
        drawdown_pct=100.0,
        executions_max=0,
        markout_freeze_bps=-999.0,
        edge_freeze_threshold_bps=-99.0,
        fee_tolerance_bps=99.0,
        guards=False,
        rejects_in_a_row=10 if strict else 0,
        unknowns_in_a_row=3 if strict else 0,
        one_sided_fills=25 if strict else 0,
    )


def _held_against(scene: Scene) -> tuple[_core.Bounds | None, _core.Controls]:
    """What the core holds everything together against, and each order."""
    risk = scene.cast.risk
    if risk is None:
        return None, _core.Controls(maker=True, self_match=True, book_age_ns=scene.silence_max)
    return bounds(risk, CALLS_PER_SECOND, derivatives=True), controls(risk)


class WatchedJournal:
    """A journal that knows how much of it was synced, so that somebody can see what leaves before that."""

    def __init__(self, journal: _core.Journal, wait: Callable[[], None]) -> None:
        self._journal, self._wait = journal, wait
        self.synced = journal.entries

    def __getattr__(self, name: str) -> object:
        return getattr(self._journal, name)

    def sync(self) -> None:
        """As the journal's own, in its time."""
        self._wait()
        self._journal.sync()
        self.synced = self._journal.entries


class Life:
    """One process: from a boot to a kill."""

    def __init__(self, scene: Scene, number: int, node: EngineNode) -> None:  # noqa: PLR0915  its parts, in order
        self.scene, self.number, self._node = scene, number, node
        world = scene.world
        self.loop = NodeLoop(world, number, node.complain)  # type: ignore[abstract]
        self.clock = RunClock(wall=lambda: world.now + node.wall_offset, monotonic=lambda: world.now)
        self.strategy = scene.cast.strategy(scene.dice.of(f"strategy.{number}"))
        self.listed = []
        tapes = {}
        for role in scene.cast.roles:
            symbol, instrument = role.symbol, role.instrument
            self.listed.append(Listed(category="linear", symbol=symbol, instrument=instrument, terms=role.terms))
            tapes["linear", symbol] = _core.LiveTape(scene.folder / f"{number}-{symbol}.live", instrument)
        self.ids = ClientIds(env="s", epoch_s=EPOCH_S + number, strategy="sim")
        self.run = scene.folder / "runs" / f"{number}"
        self.run.mkdir(parents=True)
        self.disk = _core.SimDisk()
        self.born = world.now
        self.left = left = left_on(node.state, self.listed, self.clock(), ACCOUNT)
        self.journal = _core.Journal.on(self.disk, self.clock(), self._start(), reserve_bytes=RESERVE_BYTES)
        self.watched = WatchedJournal(self.journal, self._stand_still)
        wake = self.strategy.wake
        together, held_against = _held_against(scene)
        desks = [
            _core.Desk(
                position_max=role.position_max,
                order_max=role.order_max,
                amend=scene.cast.amends,
                post_only=True,
                controls=held_against,
            )
            for role in scene.cast.roles
        ]
        self.core = _core.Live(
            [tape.tape for tape in tapes.values()],
            _core.Seat(
                desks,
                every_ns=wake.every_ns,
                touch=wake.touch,
                fill=wake.fill,
                trade=wake.trade,
                message=wake.message,
                bounds=together,
            ),
            instruments=[each.instrument for each in self.listed],
            signals=list(self.strategy.signals),
            queues=[("risk_averse", None)] * len(self.listed),
            journal=self.journal,
            sample_ns=60 * NS_PER_S,
        )
        if left is not None:
            left.open(self.core, self.clock)
        self.latch = FreezeLatch(node.state, self.clock.peek, FreezePolicy(shadow_s=5.0))
        self.freezing = Freezing(
            self.latch,
            strategy=STRATEGY,
            account=ACCOUNT,
            markets=[(each.category, each.symbol) for each in self.listed],
            clock=self.clock.peek,
            told=self.told,
            watch_s=WATCH_S,
        )
        self.alarms = AlarmLog(node.state, ACCOUNT, self.clock.peek())
        self._alarmed: asyncio.Task[None] | None = None
        windows: list[View] = []
        windows.extend(View(self.core, index, each.instrument, windows) for index, each in enumerate(self.listed))
        self.runner = Runner(
            core=self.core,
            journal=cast("_core.Journal", self.watched),
            market=RunMarket(tapes),
            listed=self.listed,
            ids=self.ids,
            clock=self.clock,
            strategy=self.strategy,
            windows=windows,
            sync=True,
            reconcile_s=20.0,
            settle_s=10.0,
            told=self.told,
            freezing=self.freezing,
            account=ACCOUNT,
            estate=None if left is None else left.estate,
        )
        began = self.clock.peek() if left is None else left.estate.began
        self.journal.note(self.clock(), "chain", json.dumps({"runs": self.runner.chain.words(), "began": began}))
        if left is not None and left.estate.custody is not None:
            self.journal.note(self.clock(), "custody", json.dumps(left.estate.custody))
        self.watched.sync()
        self.runner.begins = lambda: node.state.run_begins(self.run)
        self.gate = OrderGate(self.runner, self.clock.peek, throttle=Throttle.of(CALLS_PER_SECOND), told=self.told)
        self._obey()
        self.gate.decided, self.gate.decision_age_ns = (lambda: self.core.now), DECISION_AGE_NS
        self.orders = SimOrders(
            world,
            scene.venue,
            scene.paths,
            self.loop,
            self.gate,
            clock=self.signing_clock,
            sent=self.sent,
            met=self.met,
        )
        self.feed = SimFeed(
            world, scene.paths, self.loop, self.runner, clock=self.clock, symbols=scene.symbols, snapshot=scene.snapshot
        )
        self._stood = 0
        """How often it stood in a sync."""
        self._stood_turn = 0
        """The callback in which it stood last."""
        self._watch_cancels()
        self._judging = False
        self.lies = False
        """Its disk forgets what it said was safe."""
        self.planted = 0
        """Counts for a planted bug that needs to."""
        self.presence = None if scene.guard is None else Presence(self, scene.guard)
        """What its guardian sees of it, where there is one."""
        for bug in scene.bugs:
            BUGS[bug].plant(self)
        scene.checks.begun()
        scene.stops.begun(self)
        self._begin()

    def _begin(self) -> None:
        """Everything is made: go."""
        self.task = self.loop.create_task(self._main())
        if self._node.state.override.exists():
            self.judge()
        if self._node.state.alarms.exists():
            self._watch_alarms()

    def _obey(self) -> None:
        """Give the run what stops it, as `mmbot.ops.trade` does."""
        self.gate.frozen = self.runner.frozen
        self.runner.flattening = Flattening(
            self.runner, [FlattenTerms(order_max=role.order_max) for role in self.scene.cast.roles]
        )
        risk = self.scene.cast.risk
        if risk is not None or self.scene.profile in DESKS:
            risk_desk(
                risk or _controls(strict=self.scene.profile == "operators"),
                self.runner,
                [role.position_max for role in self.scene.cast.roles],
                strategy=STRATEGY,
                account=ACCOUNT,
                folder=self._node.state,
                goes_on=self.left is not None,
                look_s=DESK_S,
            )

    def _start(self) -> str:
        """What a journal has to say for the next life to take over."""
        terms = ("venue", "symbol", "kind", "tick", "lot", "contract", "maker", "taker")
        return json.dumps(
            {
                "epoch_s": self.ids.epoch_s,
                "client_ids": {"env": self.ids.env, "strategy": self.ids.strategy},
                "instruments": [
                    {name: getattr(each.instrument, name) for name in terms} | {"tape": ""} for each in self.listed
                ],
            }
        )

    def die(self, lost: int) -> None:
        """Leave on the disk what a death leaves there: all that was written, but for the last `lost` bytes that a
        lying disk had not kept.
        """
        self.disk.crash(lost)
        (self.run / "journal.mmj").write_bytes(self.disk.durable())

    def signing_clock(self) -> int:
        """The wall clock of this machine, which somebody may set."""
        return self.scene.world.now + self._node.wall_offset

    def told(self, event: dict[str, Any]) -> None:
        """Count and note what the runner says."""
        if self.loop.dead:
            return
        name = event["event"]
        self.scene.marks[f"said: {name}"] += 1
        if name == "freeze":
            self.scene.stops.said(event)
        alarm = alarm_of(event, self.clock.peek()) if name in ALARMING else None
        if alarm is not None and self.alarms.raise_alarm(alarm) and alarm.level == "P1":
            self.scene.people.alarmed(alarm)
            self._watch_alarms()
        if name == "refused" and event["request"] == "place" and event["reason"] != "duplicate":
            self.scene.checks.declared_dead(event["correlation_id"], "refused")
        elif name == "never placed":
            self.scene.checks.declared_dead(event["correlation_id"], "never placed")
        if name not in ("request", "fill"):
            self.scene.note(f"engine {self.number}: {event}")

    def sent(self, request: OrderRequest) -> None:
        """A request is about to leave."""
        written = self.watched.synced == self.journal.entries
        self.scene.checks.sent(request, self, written=written)
        self.scene.stops.sent(request, self)
        point = "place" if isinstance(request, PlaceOrder) else "replace"
        if point in self.scene.traps:
            self.scene.world.after(0, lambda: self.scene.sprung(point))

    def met(self, fact: Fact) -> bool:
        """A fact is about to be heard; True where the process dies just before."""
        if not self.scene.traps:
            return False
        if isinstance(fact, ExecutionSeen):
            return self.scene.sprung("fill")
        return isinstance(fact, Acked) and self.scene.sprung("ack")

    # ---- a disk that takes its time

    def _stand_still(self) -> None:
        """A sync: the process stands in it, and the world goes on."""
        takes = self._node.sync_takes()
        if takes and asyncio._get_running_loop() is self.loop:
            self._stood += 1
            self.scene.mark("stood in a sync")
            self.scene.world.stand_still(self.loop, self.scene.world.now + takes)
            self._stood_turn = self.scene.world.turns

    def _watch_cancels(self) -> None:
        """P7: no cancel stands behind a sync, from the decision to the gate."""
        act, send, stood = self.runner.send, self.gate.send, 0

        def decided(commands: Sequence[tuple[Any, ...]]) -> int:
            nonlocal stood
            stood = self._stood
            return act(commands)

        def handed(leaving: Sequence[OrderRequest]) -> None:
            waited = stood != self._stood and self.scene.world.turns == self._stood_turn
            if waited and any(isinstance(each, CancelOrder) for each in leaving):
                self.scene.checks.fail("P7", "a cancel waited for the disk")
            send(leaving)

        self.runner.send = decided  # type: ignore[method-assign]
        self.gate.send = handed  # type: ignore[method-assign,assignment]

    # ---- what people do

    def judge(self) -> None:
        """Look at the token that was handed in."""
        if not self._judging:
            self._judging = True
            self.loop.create_task(self._judge())

    async def _judge(self) -> None:
        try:
            while self._node.state.override.exists():
                await apply_override(self._node.state, self.latch, self.runner, self.clock.peek)
        finally:
            self._judging = False

    def freeze(self, asked: FreezeAsked) -> None:
        """A signal arrives."""
        self.scene.stops.wanted(asked.scope, asked.level)
        self.runner.freeze(asked)

    def _watch_alarms(self) -> None:
        if self._alarmed is None:
            self._alarmed = self.loop.create_task(self.alarms.watch(self.runner.freeze, self.clock.peek, DESK_S))

    def position(self, symbol: str) -> int:
        """Lots that it believes to hold."""
        return int(self.core.books(0, self.scene.symbols.index(symbol))["position_lots"])

    async def _main(self) -> None:
        try:
            self.gate.attach(self.orders)
            await self.gate.start()
            attestation = await self.gate.attest()
            self.clock.correct(attestation.clock_offset)
            if self.presence is not None:
                await self.presence.meet()
                self.presence.begin()
            await self.runner.run(self.feed, self.gate)
            self._node.ended("in order")
        except (VenueError, RunFailedError) as error:
            self._node.ended(f"{type(error).__name__}: {error}")
        finally:
            if self.presence is not None:
                self.presence.leave(left=self.runner.left, why=self._node.end)
            await self.gate.stop()


class EngineNode:
    """The engine's place in the world, over all its lives."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._life: Life | None = None
        self.state = AccountState.at(scene.folder / "account")
        self.lives = 0
        self.wall_offset = 0
        self.end = "never started"
        self.stopping = False
        """The day is over: who is started now ends soon."""
        self.ended_at = 0
        """When it ended by itself; 0 while it runs."""
        self._said_why = False
        self._back_ns = 0
        """After how long it comes back that was asked to end."""
        self._slow = (0, 0)
        """How long a sync takes, and until when, ns."""

    # ---- life and death

    def boot(self) -> None:
        """Start it, unless it lives."""
        if self._life is None:
            if self._is_killed():
                self.end = "killed by a person"
                return
            self.lives += 1
            self._life = Life(self._scene, self.lives, self)
            self.end, self.ended_at, self._said_why = "running", 0, False
            if self._life.left is not None and self._life.left.estate.lost:
                self._scene.mark("quarantined")
            if self.stopping:
                self._scene.world.after(LAST_LIFE_NS, self.stop)

    def kill(self, rng: random.Random) -> None:
        """SIGKILL, if it lives."""
        life, self._life = self._life, None
        if life is not None:
            life.orders.cut()
            life.feed.cut()
            life.loop.kill()
            if self._scene.guard is not None and life.presence is not None:
                self._scene.guard.died(life.presence)
            life.die(rng.randrange(1, rng.choice(LOST_BYTES)) if life.lies else 0)
            self.end = "killed"

    def ended(self, how: str) -> None:
        """The process ended by itself."""
        self.end, self.ended_at = how, self._scene.world.now
        self._said_why = how != "in order"
        if self._said_why:
            self._scene.stops.reasons.ended(how)
        self._scene.note(f"engine ended: {how}")
        if how == "in order":
            self._scene.checks.left()
            if not self.stopping:
                self._scene.world.after(self._back_ns, self._come_back)
        if self._said_why and self.lives < LIVES_MAX:
            self._scene.world.after(2 * NS_PER_S, self._revive)

    def _revive(self) -> None:
        """Whoever watches processes starts one that failed again."""
        if self._life is not None and self._said_why:
            self.kill(self._scene.dice.of("revive"))
            self._scene.mark("started again")
            self.boot()

    def leave(self, back_ns: int) -> None:
        """SIGTERM: it ends in order, or says what it could not do; then it is started again."""
        if self.runs():
            self._back_ns = back_ns
            self._scene.mark("asked to end")
            assert self._life is not None  # it runs
            self._life.loop.call_soon(self._life.runner.ended.set)

    def _come_back(self) -> None:
        if self.end == "in order" and not self.stopping:
            self.kill(self._scene.dice.of("revive"))
            self.boot()

    def pause(self) -> None:
        """SIGSTOP."""
        if self._life is not None:
            self._life.loop.pause()

    def resume(self) -> None:
        """SIGCONT."""
        if self._life is not None:
            self._life.loop.resume()

    def set_back(self, step: int) -> None:
        """The wall clock is set right again."""
        self.wall_offset -= step

    def heal(self) -> None:
        """No more faults: it runs, and goes on."""
        self._scene.traps.clear()
        self._slow = (0, 0)
        self.resume()
        if self._life is not None and self.end != "running":
            self.kill(self._scene.dice.of("heal"))
        self.boot()

    def stop(self) -> None:
        """Trading stops in order; who comes back after that compares, and stops too."""
        self.stopping = True
        if self._life is not None:
            self._life.loop.call_soon(self._life.runner.ended.set)

    def complain(self, context: dict[str, Any]) -> None:
        """An exception that nobody caught."""
        self._scene.checks.fail("H0", f"{context.get('message')}: {context.get('exception')!r}")

    def _is_killed(self) -> bool:
        """A kill is latched: nothing starts."""
        if not self.state.freeze.exists() or b"KILL" not in self.state.freeze.read_bytes():
            return False
        board = FreezeLatch(self.state, lambda: self._scene.world.now).board
        return any(each.level is FreezeLevel.KILL for each in board.frozen)

    async def goes(self, seconds: float) -> None:
        """Wait until it has ended by itself, no longer than so."""
        for _ in range(round(seconds / 0.1)):
            if self._life is None or self.end != "running":
                return
            await asyncio.sleep(0.1)

    # ---- what people do

    def look_soon(self) -> None:
        """Its next look at the freeze board is due."""
        if self._life is not None:
            self._life.loop.call_soon(self._life.freezing.look_soon)

    def judge(self) -> None:
        """Its next look for a token is due."""
        if self._life is not None:
            self._life.loop.call_soon(self._life.judge)

    def freeze(self, asked: FreezeAsked) -> None:
        """A signal that freezes."""
        if self._life is not None:
            self._life.loop.call_soon(self._life.freeze, asked)

    def acknowledge(self, alarm_id: str) -> None:
        """A person has seen an alarm."""
        AlarmLog(self.state).acknowledge(alarm_id, "ada")

    @property
    def latch(self) -> FreezeLatch | None:
        """The board of the process that is there."""
        return None if self._life is None else self._life.latch

    def runs(self) -> bool:
        """A process is there, goes, and has not ended."""
        life = self._life
        stands = life is None or life.loop.paused or life.loop.blocked or life.runner.stopping
        return self.end == "running" and not stands

    def pauses(self) -> dict[str, str]:
        """Why it does not quote."""
        return {} if self._life is None else self._life.runner.pauses

    def has_desk(self) -> bool:
        """Its quotes shrink with its limits."""
        return self._life is not None and self._life.runner.risk is not None

    def wants_out(self, client_id: str) -> bool:
        """Whether a cancel of it is under way, as it believes."""
        life = self._life
        number = None if life is None else life.runner.bridge.number_of(client_id)
        rows = [] if life is None else [row for index in range(len(life.listed)) for row in life.core.order_rows(index)]
        return any(row[0] == number and row[8] == "cancel" for row in rows)

    def takes_for_over(self, client_ids: Sequence[str]) -> list[str]:
        """Which of these orders it knows and counts no more."""
        if self._life is None or not client_ids:
            return []
        bridge = self._life.runner.bridge
        numbers = {name: bridge.number_of(name) for name in client_ids}
        over = bridge.over(number for number in numbers.values() if number is not None)
        return [name for name, number in numbers.items() if number in over]

    def inputs(self) -> tuple[int, int]:
        """Its life, and how much was written down in it: while that stands, so do its books."""
        return self.lives, 0 if self._life is None else self._life.journal.entries

    def proven_empty(self) -> list[str]:
        """Symbols of which it says that nothing is open."""
        return [] if self._life is None else [symbol for _, symbol in self._life.freezing.proven]

    @property
    def said_why(self) -> bool:
        """It has said, frozen or ended, what does not agree."""
        if self._said_why or self._life is None:
            return self._said_why or self._is_killed()
        frozen = self._life.latch.board.frozen
        return any(control in BOOKS_DIFFER for each in frozen for control in (each.control, *each.noted))

    # ---- what reaches it

    def hear(self, fact: Fact, path: Link) -> None:
        """The private stream."""
        if self._life is not None:
            self._life.orders.hear(fact, path)

    def publish(self, record: BookUpdate) -> None:
        """The public stream."""
        if self._life is not None:
            self._life.feed.publish(record)

    def drop(self, link: str, *, noticed: bool, back: int) -> None:
        """One of its connections dies."""
        if self._life is None:
            self._scene.paths.down[link] = back
        elif link == "public":
            self._life.feed.drop(noticed=noticed, back=back)
        else:
            self._life.orders.drop(link, noticed=noticed, back=back)

    def lose_book(self, symbol: str) -> None:
        """Its feed finds a gap, and asks for the book anew."""
        life = self._life
        if life is not None and life.feed.open:
            lost = BookLost(symbol=symbol, why="a gap")
            life.loop.call_soon(life.runner.on_records, "linear", [lost], life.clock.peek())
            self._scene.world.after(300_000_000, lambda: life.feed.resync("linear", symbol, "a gap"))

    # ---- what is read of it

    @property
    def life(self) -> Life | None:
        """The process that is there."""
        return self._life

    @property
    def alive(self) -> bool:
        """A process is there."""
        return self._life is not None

    def heard_ago(self) -> int:
        """How long ago it heard the market."""
        return 0 if self._life is None else self._scene.world.now - self._life.feed.last

    def position(self, symbol: str) -> int:
        """Lots that it believes to hold."""
        return self._book(symbol, "position_lots")

    def cash(self, symbol: str) -> int:
        """Cash that it has booked."""
        return self._book(symbol, "cash_units")

    def _book(self, symbol: str, what: str) -> int:
        if self._life is None:
            return 0
        return int(self._life.core.books(0, self._scene.symbols.index(symbol))[what])

    def digest(self) -> int:
        """One number for its state."""
        return 0 if self._life is None else hash((self._life.core.state_hash(0), self._life.journal.entries))

    # ---- disks: see SimDisk

    def disk_takes(self, ns: int, until: int) -> None:
        """A sync takes so long."""
        self._slow = (ns, until)

    def sync_takes(self) -> int:
        """How long a sync takes now, in ns."""
        takes, until = self._slow
        return takes if self._scene.world.now < until else 0

    def disk_fails(self, what: str, why: str) -> None:
        """Its disk refuses the next call, and all later ones."""
        if self._life is not None:
            self._life.disk.fail(what, why)  # type: ignore[arg-type]

    def disk_lies(self) -> None:
        """Its disk says that all is safe, and will have forgotten it when the power goes."""
        if self._life is not None:
            self._life.lies = True
            self._life.disk.lie(True)
