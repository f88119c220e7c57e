"""How messages travel: late, in order or not, twice, or never.

Each way of each connection is a link of its own, so a partition can be one-sided. A link keeps order as TCP does, but
for messages that a fault parks in a proxy, or doubles. What is lost is lost for good: its connection died with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from mmbot.simulation.world import NodeLoop, World

__all__ = ["Link", "Weather"]

MS = 1_000_000
TAIL = 0.01
"""How many messages take much longer than the others: the heavy tail of every network."""


@dataclass(slots=True)
class Weather:
    """What a fault does to a link for a while. Chances are per message, times in ns."""

    rng: random.Random
    until: int
    lose: float = 0.0
    double: float = 0.0
    extra: int = 0
    """Later by up to so much."""
    park: int = 0
    """Taken out of the line and delivered so much later, alone."""
    park_chance: float = 1.0

    def hits(self, chance: float) -> bool:
        """Whether it strikes this message. What cannot happen draws nothing."""
        return chance > 0 and self.rng.random() < chance


class Link:
    """One way. Delays in ns."""

    def __init__(
        self, world: World, name: str, rng: random.Random, *, least: int = 2 * MS, most: int = 20 * MS
    ) -> None:
        self.name = name
        self._world, self._rng = world, rng
        self._least, self._span = least, most - least
        self._weather: list[Weather] = []
        self._last = 0
        self.lost = self.doubled = self.parked = 0

    def suffer(self, weather: Weather) -> None:
        """A fault begins."""
        self._weather.append(weather)

    def send(self, deliver: Callable[[], object], to: NodeLoop | None = None) -> int:
        """Carry one message; `to` a process, which hears it when it comes to that. Returns its arrival, 0 for never."""
        world = self._world
        drawn = self._rng.random()
        delay = self._least + int(drawn * self._span)
        if drawn < TAIL:
            delay += self._rng.randrange(300 * MS)
        if not self._weather:
            when = world.now + delay
            self._last = when = when if when > self._last else self._last + 1
            world.deliver(when, to, deliver)
            return when
        times, parked = 1, 0
        self._weather = [each for each in self._weather if each.until > world.now]
        for each in self._weather:
            if each.hits(each.lose):
                self.lost += 1
                return 0
            times += each.hits(each.double)
            delay += each.rng.randrange(each.extra) if each.extra else 0
            parked = max(parked, each.park if each.hits(each.park_chance) else 0)
        self.doubled += times > 1
        self.parked += parked > 0
        if parked:
            when = world.now + delay + parked
        else:
            when = self._last = max(world.now + delay, self._last + 1)
        for _ in range(1 if parked else times):
            world.deliver(when, to, deliver)
        return when
