"""A leader dies on the simulated lock, a standby takes over, and the dead one wakes up.

    a leads ── renews ── killed │            lock runs out │ b leads: does the unconfirmed work again, by the same keys
                                └ alarm, once              └ a wakes and renews with its old epoch: refused

Everything happens on the lock's own clock: a virtual one in a dry run, which takes no time, the machine's otherwise.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mmbot.ops.chaos.fake_lock import FakeKVLock
from mmbot.ops.chaos.findings import Chaos

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Failover", "RealTime", "VirtualTime", "fail_over"]

TICK_MS = 10
WORK_MS = 50
CONFIRMED_MS = 250
"""The work done so far is confirmed so often; what came after is done again by the next leader."""
TAKEOVER_SLACK_MS = 200
ALERTS_MAX = 3
"""One for the leader that is gone, one for the one that came, one to spare; more is a storm."""


class VirtualTime:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self._now = 0

    def now_ms(self) -> int:
        """Milliseconds since the start."""
        return self._now

    def until(self, ms: int) -> None:
        """Let it be so late."""
        self._now = ms


class RealTime:
    """The machine's time, from now."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since the start."""
        return (time.monotonic_ns() - self._began) // 1_000_000

    def until(self, ms: int) -> None:
        """Wait until it is so late."""
        time.sleep(max(0, ms - self.now_ms()) / 1_000)


@dataclass(frozen=True, kw_only=True)
class Failover:
    """The exercise. Raises ValueError for times that cannot be."""

    ttl_ms: int = 1_500
    renew_ms: int = 500
    kill_at_ms: int = 3_000
    window_ms: int = 6_000

    def __post_init__(self) -> None:
        if min(self.ttl_ms, self.renew_ms, self.kill_at_ms, self.window_ms) < TICK_MS:
            raise ValueError(f"{self}: expected times of at least {TICK_MS} ms")
        if self.kill_at_ms >= self.window_ms:
            raise ValueError(f"kill_at_ms {self.kill_at_ms}: expected before the end, window_ms {self.window_ms}")

    @property
    def settings(self) -> dict[str, int]:
        """By name."""
        return {name: getattr(self, name) for name in ("ttl_ms", "renew_ms", "kill_at_ms", "window_ms")}


@dataclass
class _Node:
    name: str
    epoch: int = 0
    leads: bool = False
    dead: bool = False
    renewed_ms: int = 0
    next_work: int = 0


@dataclass
class _World:
    """Where work goes: each key is done once, however often it is asked for."""

    done: dict[str, int] = field(default_factory=dict)
    confirmed: int = 0
    hits: int = 0
    alerts: list[str] = field(default_factory=list)

    def put(self, number: int, epoch: int) -> None:
        if f"order-{number}" in self.done:
            self.hits += 1
        else:
            self.done[f"order-{number}"] = epoch

    def alert(self, what: str) -> bool:
        """Whether it is new."""
        if what in self.alerts:
            return False
        self.alerts.append(what)
        return True


class _Exercise:
    """Two nodes, one lock, and what is counted."""

    def __init__(self, asked: Failover, now_ms: Callable[[], int], chaos: Chaos) -> None:
        self.asked, self.chaos = asked, chaos
        self.lock, self.world = FakeKVLock(asked.ttl_ms, now_ms), _World()
        self.first, self.second = _Node("a"), _Node("b")
        self.dual, self.lost_alive, self.woken_refused, self.took_over_ms = 0, 0, True, -1

    def tick(self, now: int) -> None:
        """Kill if it is time, let both have their turn, look at what is."""
        first, second = self.first, self.second
        if not first.dead and now >= self.asked.kill_at_ms and self.took_over_ms < 0:
            first.dead = True
            self.chaos.say(now, "killed", node=first.name, epoch=first.epoch)
        for node in (first, second):
            if not node.dead:
                self._turn(node, now)
        if first.dead and now - first.renewed_ms > 2 * self.asked.renew_ms and self.world.alert("leader is silent"):
            self.chaos.say(now, "alert", what="leader_silent")
        self.dual += first.leads and second.leads and not first.dead
        if first.dead and second.leads:
            self._wake(now)

    def _turn(self, node: _Node, now: int) -> None:
        before = node.leads
        _turn(node, self.lock, self.world, self.asked, now)
        if node.leads and not before:
            self.chaos.say(now, "leads", node=node.name, epoch=node.epoch)
        if before and not node.leads:
            self.lost_alive += 1
            self.chaos.say(now, "lost", node=node.name, epoch=node.epoch)

    def _wake(self, now: int) -> None:
        """The dead leader is back, and renews as if nothing had been."""
        self.took_over_ms = now - self.asked.kill_at_ms
        self.woken_refused = not self.lock.renew(self.first.name, self.first.epoch)
        self.first.dead = self.first.leads = False
        self.world.alert("leader changed")
        words = "refused" if self.woken_refused else "ACCEPTED"
        self.chaos.say(now, "woken", node=self.first.name, stale_renewal=words)


def fail_over(asked: Failover, clock: VirtualTime | RealTime, tell: Callable[[str], None]) -> Chaos:
    """Do it; the numbers and what is found in them."""
    chaos = Chaos("fake", tell, asked.settings)
    exercise = _Exercise(asked, clock.now_ms, chaos)
    for tick in range(0, asked.window_ms + 1, TICK_MS):
        clock.until(tick)
        exercise.tick(clock.now_ms())
    world = exercise.world
    chaos.numbers = {
        "takeover_ms": exercise.took_over_ms,
        "dual_leader": exercise.dual,
        "idempotent_hits": world.hits,
        "alerts": len(world.alerts),
        "done": len(world.done),
        "lost_alive": exercise.lost_alive,
    }
    _judge(chaos, asked, woken_refused=exercise.woken_refused)
    return chaos


def _turn(node: _Node, lock: FakeKVLock, world: _World, asked: Failover, now: int) -> None:
    """One node's turn: renew or try to lead, then work."""
    if node.leads and now - node.renewed_ms >= asked.renew_ms:
        node.leads = lock.renew(node.name, node.epoch)
        node.renewed_ms = now
    elif not node.leads and (epoch := lock.try_acquire(node.name)) is not None:
        node.epoch, node.leads, node.renewed_ms = epoch, True, now
        node.next_work = world.confirmed
    if node.leads and now % WORK_MS < TICK_MS:
        world.put(node.next_work, node.epoch)
        node.next_work += 1
        if now % CONFIRMED_MS < TICK_MS:
            world.confirmed = node.next_work


def _judge(chaos: Chaos, asked: Failover, *, woken_refused: bool) -> None:
    numbers, limit = chaos.numbers, asked.ttl_ms + TAKEOVER_SLACK_MS
    took = numbers["takeover_ms"]
    chaos.expect(
        "takeover",
        f"{took:g} ms after the kill, at most {limit} expected" if took >= 0 else "nobody took over in the window",
        "lengthen --window-ms, or look at how often the standby looks",
        holds=0 <= took <= limit,
    )
    chaos.expect(
        "one leader", f"{numbers['dual_leader']:g} turns with two", "the lock", holds=not numbers["dual_leader"]
    )
    chaos.expect(
        "work done once",
        f"{numbers['idempotent_hits']:g} repeats were recognised by their key, more than 0 expected",
        "without a takeover nothing is repeated; kill between two confirmations",
        holds=numbers["idempotent_hits"] > 0,
    )
    chaos.expect(
        "no alert storm",
        f"{numbers['alerts']:g} alerts, at most {ALERTS_MAX}",
        "one alert for one cause",
        holds=numbers["alerts"] <= ALERTS_MAX,
    )
    chaos.expect(
        "a leader that lives keeps its lease",
        f"lost {numbers['lost_alive']:g} times",
        "--renew-ms well below --ttl-ms",
        holds=not numbers["lost_alive"],
    )
    chaos.expect("a woken leader is refused", "its renewal with the old epoch", "the lock's epoch", holds=woken_refused)
