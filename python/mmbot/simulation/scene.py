"""One world from one seed: a venue, its market, the paths to it, an engine that lives and dies, and what goes wrong.

outcome = play(seed)
outcome.violation          None, or which promise broke, when and how
outcome.digest             one number for all that happened: the same seed gives it again
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.execution.client_ids import parse
from mmbot.simulation.cast import Cast
from mmbot.simulation.checks import Checks, Violation
from mmbot.simulation.dice import Dice
from mmbot.simulation.engine import EngineNode
from mmbot.simulation.faults import GUARD_KINDS, KINDS, PROFILES, Fault, check_plan, draw_plan
from mmbot.simulation.guard import Guarded
from mmbot.simulation.lease import Pair
from mmbot.simulation.links import Link
from mmbot.simulation.markets import MOODS, Walk
from mmbot.simulation.people import People
from mmbot.simulation.ports import Paths
from mmbot.simulation.stops import Stops
from mmbot.simulation.venue import MS, NS_PER_S, ModelVenue
from mmbot.simulation.world import StuckError, World
from mmbot.venues.port import ExecutionSeen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.simulation.venue import ModelOrder
    from mmbot.venues.port import Fact
    from mmbot.venues.records import BookUpdate

__all__ = ["Outcome", "Scene", "play"]

START = 1_700_000_000 * NS_PER_S
LENGTH_S = 600
STORM_S = 480
"""Faults are over by then; then everything heals, and trading goes on."""
STOP_S = 545
"""Trading stops; by the end everything has to agree."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one seed."""

    seed: int
    profile: str
    plan: tuple[Fault, ...]
    violation: Violation | None
    digest: int
    turns: int
    orders: int
    fills: int
    marks: Counter[str] = field(default_factory=Counter)
    log: tuple[str, ...] = ()
    bugs: tuple[str, ...] = ()
    """Planted on purpose."""
    cast: Cast | None = None
    """A user's own; None where it was drawn from the seed."""


class Scene:
    """Everything of one seed. The engine's files lie in `folder`."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        plan: Sequence[Fault] | None = None,
        bugs: Sequence[str] = (),
        profile: str | None = None,
        cast: Cast | None = None,
    ) -> None:
        self.seed, self.folder, self.bugs = seed, folder, tuple(bugs)
        self.dice = Dice(seed)
        self.world = World(START)
        self.marks: Counter[str] = Counter()
        self.log: list[str] = []
        options = self.dice.of("options")
        self._own = cast
        self.cast = cast or Cast.drawn(self.dice.of("cast"))
        self.symbols = [role.symbol for role in self.cast.roles]
        drawn_mood = options.choice(MOODS)
        self.mood = self.cast.mood or drawn_mood
        self.step_ns = options.choice((1_000, 2_000, 2_000, 4_000)) * MS
        drawn_profile = options.choice(list(PROFILES))
        self.profile = profile or drawn_profile
        self.silence_max = 10 * NS_PER_S
        drawn = draw_plan(self.dice, self.profile, self.symbols, until_ms=STORM_S * 1_000)
        self.plan = list(drawn if plan is None else plan)
        check_plan(self.plan, self.symbols)
        self.paths = Paths(lambda name: Link(self.world, name, self.dice.of(f"link.{name}")))
        self.venue = ModelVenue(self.world, self.dice.of("venue"), self.cast.roles, self._said)
        self.checks = Checks(self)
        self.venue.on_change = self.checks.changed
        self._walks = {
            symbol: Walk(self.venue, symbol, self.mood, self.dice.of(f"market.{symbol}")) for symbol in self.symbols
        }
        self._recent: deque[Fact] = deque(maxlen=30)
        self._feed_frozen = 0
        self.traps: dict[str, int] = {}
        """Points at which the engine is killed next, and how long it stays dead, in ns."""
        self.stops, self.people = Stops(self), People(self)
        self.engine = EngineNode(self)
        guarded = self.cast.guarded or self.profile == "guardian"
        guarded = guarded or any(fault.kind in GUARD_KINDS for fault in self.plan)
        self.guard = Guarded(self) if guarded else None
        """The guardian, in scenes that have one."""
        self.people.enrol()
        self.undo = ExitStack()
        """Takes back what a planted bug changed outside of the scene."""
        self.pair = Pair(self, self.venue) if self.profile == "lease" else None
        """Two machines and their lease, in place of the one engine."""

    # ---- what the venue says

    def _said(self, fact: Fact) -> None:
        self._recent.append(fact)
        self.hear(fact)

    def hear(self, fact: Fact) -> None:
        """Let the private stream say something."""
        path = self.paths.execution_in if isinstance(fact, ExecutionSeen) else self.paths.private_in
        self.engine.hear(fact, path)

    def recent(self) -> list[Fact]:
        """What the private stream said last."""
        return list(self._recent)

    def snapshot(self, symbol: str) -> BookUpdate:
        """One book, whole."""
        return self._walks[symbol].snapshot()

    def step_market(self, symbol: str) -> None:
        """Let one market move and be told."""
        record = self._walks[symbol].step()
        if self.world.now >= self._feed_frozen:
            self.engine.publish(record)

    def _market(self) -> None:
        for symbol in self.symbols:
            self.step_market(symbol)
        self.world.after(self.step_ns, self._market)

    # ---- what faults do

    def drop(self, link: str, *, noticed: bool, back: int) -> None:
        """A connection of the engine's dies."""
        self.engine.drop(link, noticed=noticed, back=back)

    def sprung(self, point: str) -> bool:
        """The engine comes to a point at which a fault may wait for it: then it dies here."""
        dead_ns = self.traps.pop(point, None)
        if dead_ns is None:
            return False
        self.note(f"KILLED at {point}")
        self.mark(f"killed at {point}")
        self.engine.kill(self.dice.of("trap"))
        self.world.after(dead_ns, self.engine.boot)
        return True

    def lose_book(self, symbol: str) -> None:
        """The engine's feed finds that the book's chain is broken."""
        self.engine.lose_book(symbol)

    def freeze_feed(self, until: int) -> None:
        """Nothing is told of the market for a while."""
        self._feed_frozen = until

    def heard_ago(self) -> int:
        """How long ago the engine heard the market."""
        return self.engine.heard_ago()

    def is_ours(self, order: ModelOrder) -> bool:
        """Placed by some life of the engine."""
        return parse(order.client_id) is not None

    def mark(self, what: str) -> None:
        """Something worth counting happened: what never happens in many seeds is not tested by them."""
        self.marks[what] += 1

    def note(self, what: str) -> None:
        """Tell a reader of this seed what happened, the same whenever it is played: without the folder of this time."""
        said = what.replace(f"{self.folder}/", "")
        self.log.append(f"{(self.world.now - START) / NS_PER_S:9.3f} s  {said}")

    # ---- the play

    def play(self) -> Outcome:
        """Storm, calm, stop; then judge. A process that never comes to rest breaks H0."""
        try:
            with self.undo:
                self._story()
        except StuckError as error:
            self.checks.fail("H0", str(error))
        digest = hash((self.world.trace, self.world.turns, self.venue.cash, len(self.venue.executions), self._state()))
        self.engine.kill(self.dice.of("end"))
        if self.pair is not None:
            self.pair.kill()
        if self.guard is not None:
            self.guard.kill()
        return Outcome(
            seed=self.seed,
            profile=self.profile,
            plan=tuple(self.plan),
            violation=self.checks.violation,
            digest=digest,
            turns=self.world.turns,
            orders=len(self.venue.orders),
            fills=len(self.venue.executions),
            marks=self.marks,
            log=tuple(self.log),
            bugs=self.bugs,
            cast=self._own,
        )

    def _story(self) -> None:
        trader = self.pair or self.engine
        trader.boot()
        if self.pair is None:
            self.checks.watch()
        self._market()
        for fault in self.plan:
            self.world.at(START + fault.at_ms * MS, lambda f=fault: self._strike(f))  # type: ignore[misc]
        self.world.run_until(START + STORM_S * NS_PER_S)
        if not self.world.stopped:
            if self.guard is not None:
                self.guard.heal()
            trader.heal()
            self.people.heal()
            self.world.run_until(START + STOP_S * NS_PER_S)
        if not self.world.stopped:
            self.stops.resumed()
            trader.stop()
            self.world.run_until(START + LENGTH_S * NS_PER_S)
        if not self.world.stopped and self.pair is None:
            self.checks.settled()

    def _state(self) -> int:
        return self.engine.digest() if self.pair is None else self.pair.digest()

    def _strike(self, fault: Fault) -> None:
        self.mark(f"fault: {fault.kind}")
        self.note(f"FAULT {KINDS[fault.kind].said} ({fault})")
        self.stops.struck(fault)
        KINDS[fault.kind].strike(self, fault, self.dice.of(f"fault.{fault.number}"))


def play(
    seed: int,
    *,
    plan: Sequence[Fault] | None = None,
    bugs: Sequence[str] = (),
    profile: str | None = None,
    cast: Cast | None = None,
) -> Outcome:
    """Play one seed, its files in memory, and leave nothing behind. Raises PlanError."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of its own is made there
    folder = Path(tempfile.mkdtemp(prefix="mmbot-sim-", dir=memory if memory.is_dir() else None))
    try:
        return Scene(seed, folder, plan=plan, bugs=bugs, profile=profile, cast=cast).play()
    finally:
        shutil.rmtree(folder)
