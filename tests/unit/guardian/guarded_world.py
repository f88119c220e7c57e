"""A guardian core on a clock of the test: an engine that beats as told, a venue that shows what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmbot.execution.client_ids import ClientIds
from mmbot.guardian.claims import Resting
from mmbot.guardian.core import (
    Alarm,
    CancelEverything,
    Cancelled,
    Command,
    Event,
    GuardianCore,
    Heard,
    Look,
    Looked,
    Say,
    Tick,
)
from mmbot.guardian.words import PROTOCOL, Beat, Head, Hello

NS = 1_000_000_000
STEP = NS // 20
OURS = Resting("linear BTCUSDT", "v1", ClientIds("s", 7, "tst").name(1))
FOREIGN = Resting("linear BTCUSDT", "v2", "")


@dataclass
class World:
    """Steps of 50 ms. `beating`, `lag` … say how the engine is; `resting`, `position` what the venue has."""

    core: GuardianCore = field(default_factory=lambda: GuardianCore("simulator", "1", pid=1))
    now: int = 1_000 * NS
    beating: bool = True
    seq: int = 0
    head: int = 10
    chain: str = "c"
    moves: bool = True
    level: int = 0
    lag: float = 0.0
    unheard: float = 0.0
    position: str = "0"
    knows: int = 0
    resting: tuple[Resting, ...] = ()
    stubborn: bool = False
    epoch: int = 7
    commands: list[Command] = field(default_factory=list)

    def hello(self, epoch: int, conn: int = 1) -> None:
        """An engine says hello."""
        self.tell(
            Heard(
                conn,
                Hello(protocol=PROTOCOL, environment="simulator", account="1", epoch=epoch, journal=f"j{epoch}"),
            )
        )

    def beat(self) -> Beat:
        """What the engine says now."""
        self.seq += 1
        self.head += self.moves
        return Beat(
            seq=self.seq,
            epoch=self.epoch,
            head=Head(journal=f"j{self.epoch}", seq=self.head, chain=f"{self.chain}{self.head}"),
            positions={"linear BTCUSDT": "0"},
            open_orders=self.knows,
            ready=True,
            linked=True,
            level=self.level,
            lag_ns=round(self.lag * NS),
            unanswered_ns=round(self.unheard * NS),
            unheard_ns=round(self.unheard * NS),
        )

    def tell(self, event: Event) -> list[Command]:
        """One step of the core; the venue answers what it asks."""
        commands = self.core.step(event, self.now)
        self.commands += commands
        for command in commands:
            match command:
                case Look():
                    self.tell(Looked(self.resting, {"linear BTCUSDT": self.position}))
                case CancelEverything(foreign):
                    if not self.stubborn:
                        self.resting = tuple(one for one in self.resting if not (foreign or one.ours))
                    self.tell(Cancelled(not self.stubborn, 0))
        return commands

    def go(self, seconds: float) -> None:
        """Let time go on."""
        for _ in range(round(seconds * NS) // STEP):
            self.now += STEP
            if self.beating and self.now % (NS // 4) == 0:
                self.tell(Heard(1, self.beat()))
            self.tell(Tick())

    def all(self, kind: type) -> list:
        """Every command of a kind so far."""
        return [one for one in self.commands if isinstance(one, kind)]

    @property
    def alarms(self) -> list[Alarm]:
        """Every alarm so far."""
        return self.all(Alarm)

    @property
    def said(self) -> list[Say]:
        """Everything that was said to an engine."""
        return self.all(Say)


def watching() -> World:
    """A world in which the engine was welcomed, and has begun to beat."""
    world = World()
    world.hello(7)
    world.tell(Heard(1, world.beat()))
    return world
