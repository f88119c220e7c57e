"""What goes wrong, drawn before it happens: a plan is a list of faults, each a line that a person can read.

    plan = draw_plan(Dice(seed), profile)        [Fault("kill", at_ms=81_204, for_ms=3_100, size=0.7), …]

A fault's own chance comes from a stream named by its place in the plan, so taking one out leaves the others as they
were: that is what makes a failing plan shrink. Rows are those of the fault catalogue in docs/reliability.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mmbot.simulation import people
from mmbot.simulation.links import Weather
from mmbot.simulation.venue import MS, NS_PER_S

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.simulation.dice import Dice
    from mmbot.simulation.scene import Scene

__all__ = ["KINDS", "PROFILES", "Fault", "FaultKind", "PlanError", "check_plan", "draw_plan"]


class PlanError(ValueError):
    """A plan that this world cannot have. The message says which fault, and what was expected."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. Times in ms since the world began; `size` in 0 to 1 says how bad."""

    kind: str
    at_ms: int
    for_ms: int
    size: float
    number: int = 0
    """Its place in the plan that it was drawn in; names its stream of chance."""
    symbol: str = ""
    """The instrument that it is about; empty for those that are about all."""

    def __str__(self) -> str:
        about = f" of {self.symbol}" if self.symbol else ""
        return f"{self.at_ms / 1e3:8.3f} s  {self.kind}{about} for {self.for_ms / 1e3:.3f} s, size {self.size:.2f}"


LASTS = 0.1
"""So many of the faults end with the storm."""
LAGS_BEYOND = 0.9
"""From this size on the venue shows things later than anybody assumes."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A row, or several, of the catalogue."""

    rows: tuple[int, ...]
    said: str
    """What it is, in plain words."""
    strike: Callable[[Scene, Fault, random.Random], None]
    longest_s: float = 10.0
    shortest_s: float = 0.2
    of_symbol: bool = False
    """It is about one instrument."""


# ---- the network


def _weather(*names: str, **how: float) -> Callable[[Scene, Fault, random.Random], None]:
    """A fault that changes how links carry; a value of None in `how` is the fault's size."""

    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        for name in names:
            link = getattr(scene.paths, name)
            weather = Weather(rng=rng, until=scene.world.now + fault.for_ms * MS)
            for what, most in how.items():
                value = most * fault.size
                setattr(weather, what, round(value) if what in ("extra", "park") else value)
            link.suffer(weather)

    return strike


def _dark(*names: str) -> Callable[[Scene, Fault, random.Random], None]:
    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        for name in names:
            getattr(scene.paths, name).suffer(Weather(rng=rng, until=scene.world.now + fault.for_ms * MS, lose=1.0))

    return strike


def _drop(link: str) -> Callable[[Scene, Fault, random.Random], None]:
    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        scene.drop(link, noticed=rng.random() < 0.5, back=scene.world.now + fault.for_ms * MS)

    return strike


# ---- the venue


def _rate_limited(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.venue.refuse_until(scene.world.now + fault.for_ms * MS)


def _overloaded(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.venue.mumble_until(scene.world.now + fault.for_ms * MS)


def _maintenance(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.venue.maintenance = True
    scene.world.after(fault.for_ms * MS, lambda: setattr(scene.venue, "maintenance", False))


def _lag(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """Once in ten times beyond what a run takes for the most: V, two seconds. The proof of absence looks twice, V
    apart, and so bears it up to 4.5 s; what is shown later still nobody could tell from what is not there.
    """
    before, beyond = scene.venue.lag, fault.size - LAGS_BEYOND
    late_ms = 2_000 + 2_500 * beyond / (1 - LAGS_BEYOND) if beyond > 0 else 1_500 * fault.size
    scene.venue.lag = max(before, round(late_ms * MS))
    if beyond > 0:
        scene.mark("shown later than assumed")
        if scene.guard is not None:
            scene.guard.blinded(scene.world.now + fault.for_ms * MS + scene.venue.lag)
    scene.world.after(fault.for_ms * MS, lambda: setattr(scene.venue, "lag", before))


def _restart(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.venue.restart()
    for link in ("trade", "private", "public"):
        scene.drop(link, noticed=True, back=scene.world.now + fault.for_ms * MS)


def _funding(scene: Scene, fault: Fault, rng: random.Random) -> None:
    for symbol in scene.venue.markets:
        scene.venue.fund(symbol)


def _deleverage(scene: Scene, fault: Fault, rng: random.Random) -> None:
    if scene.venue.deleverage(fault.symbol):
        scene.mark("position moved without an order")


def _apart(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """Nothing that anybody is told explains it, and nothing takes it back."""
    if rng.random() < 0.5:
        scene.venue.cash -= 10**12
        scene.checks.apart("")
    else:
        market = scene.venue.markets[fault.symbol]
        market.foreign = True
        market.position += 1
        scene.checks.apart(fault.symbol)


def _foreign(scene: Scene, fault: Fault, rng: random.Random) -> None:
    market = scene.venue.markets[fault.symbol]
    buys = rng.random() < 0.5
    tick = market.bid - 60 if buys else market.ask + 60
    scene.venue.plant(fault.symbol, f"hand-{fault.number}", buys=buys, tick=tick, lots=rng.randint(1, 5))
    scene.mark("somebody else's order")


def _repeat(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """The private stream tells the last things again."""
    for fact in scene.recent():
        scene.hear(fact)
    scene.mark("facts told again")


# ---- processes, disks, clocks


def _kill(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.engine.kill(rng)
    scene.world.after(fault.for_ms * MS, scene.engine.boot)


def _ask_to_end(scene: Scene, fault: Fault, _: random.Random) -> None:
    scene.engine.leave(fault.for_ms * MS)


def _end_in_the_dark(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """Asked to end while nothing that it sends arrives: what it wants to leave with, it cannot ask for."""
    _dark("trade_out", "rest_out")(scene, fault, rng)
    scene.engine.leave(fault.for_ms * MS)


def _trap(point: str) -> Callable[[Scene, Fault, random.Random], None]:
    """Killed at the next time that something happens: just after a request left, or just before a fact is heard."""

    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        scene.traps[point] = fault.for_ms * MS

    return strike


def _kill_in_recovery(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """Killed, and killed again and again while it comes back."""
    scene.engine.kill(rng)
    when = 500 * MS
    for _ in range(1 + round(3 * fault.size)):
        scene.world.after(when, scene.engine.boot)
        when += rng.randrange(5 * MS, 4_000 * MS)
        scene.world.after(when, lambda: scene.engine.kill(rng))
        when += 200 * MS
    scene.world.after(when, scene.engine.boot)


def _pause(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.engine.pause()
    scene.world.after(fault.for_ms * MS, scene.engine.resume)


def _disk(what: str, why: str) -> Callable[[Scene, Fault, random.Random], None]:
    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        scene.engine.disk_fails(what, why)

    return strike


def _lie(scene: Scene, fault: Fault, rng: random.Random) -> None:
    """The disk says that all is safe, and is not; then the power goes."""
    scene.engine.disk_lies()
    scene.world.after(min(fault.for_ms, 3_000) * MS, lambda: scene.engine.kill(rng))
    scene.world.after((min(fault.for_ms, 3_000) + 1_000) * MS, scene.engine.boot)


def _slow_disk(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.engine.disk_takes(round(1_500 * MS * fault.size), scene.world.now + fault.for_ms * MS)


def _clock_step(scene: Scene, fault: Fault, rng: random.Random) -> None:
    step = round((fault.size - 0.5) * 10 * NS_PER_S)
    scene.engine.wall_offset += step
    scene.world.after(fault.for_ms * MS, lambda: scene.engine.set_back(step))


# ---- the feed


def _gap(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.lose_book(fault.symbol)


def _frozen(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.freeze_feed(scene.world.now + fault.for_ms * MS)


def _burst(scene: Scene, fault: Fault, rng: random.Random) -> None:
    for _ in range(round(100 * fault.size)):
        scene.step_market(fault.symbol)


# ---- the guardian


def _guard(rows: tuple[int, ...], said: str, longest_s: float = 40.0) -> FaultKind:
    """A fault of guardian, or of what is between it and engine or venue."""

    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        if scene.guard is not None:
            scene.guard.suffer(fault, rng)

    return FaultKind(rows, said, strike, longest_s=longest_s, shortest_s=1.0)


GUARD_KINDS: Mapping[str, FaultKind] = {
    "guardian killed": _guard((52,), "kill -9 of the guardian, and a restart"),
    "guardian paused": _guard((53,), "SIGSTOP of the guardian"),
    "guardian cut from the venue": _guard((7, 10), "the guardian does not reach the venue"),
    "beats lost": _guard((10,), "engine and guardian do not hear each other, or one does not"),
    "engine lies": _guard((56,), "the engine beats on, and its journal stands still"),
    "power lost": _guard((66, 68), "the power goes with an order under way, and the journal loses its end"),
}


# ---- people


def _away(scene: Scene, fault: Fault, rng: random.Random) -> None:
    scene.people.away_until = scene.world.now + fault.for_ms * MS


PEOPLE_KINDS: Mapping[str, FaultKind] = {
    "frozen by a person": FaultKind(
        (78,),
        "a person stops a symbol, a strategy, the account or everything",
        lambda scene, fault, rng: people.strike_freeze(scene, fault.symbol, fault.for_ms * MS, rng),
        longest_s=60,
        of_symbol=True,
    ),
    "frozen by a signal": FaultKind(
        (78,), "SIGUSR1", lambda scene, fault, _: people.strike_signal(scene, fault.for_ms * MS), longest_s=60
    ),
    "frozen with an order under way": FaultKind(
        (3, 78),
        "SIGUSR1 just after an order left, which arrives a second or two later",
        lambda scene, fault, rng: people.strike_pounce(scene, fault.for_ms * MS, rng),
        longest_s=60,
        shortest_s=20,
    ),
    "flattened by a person": FaultKind(
        (78,),
        "a person wants a position gone",
        lambda scene, fault, rng: people.strike_flatten(scene, fault.symbol, fault.for_ms * MS, rng),
        longest_s=120,
        of_symbol=True,
    ),
    "killed by a person": FaultKind(
        (72, 78),
        "a person kills the account from outside",
        lambda scene, fault, _: people.strike_kill(scene, fault.for_ms * MS),
        longest_s=60,
    ),
    "a token that does not count": FaultKind(
        (77,),
        "one person alone, or with a token that is not right, wants to lift a freeze",
        lambda scene, fault, rng: people.strike_bad_token(scene, fault.symbol, fault.for_ms * MS, rng),
        longest_s=120,
        shortest_s=60,
        of_symbol=True,
    ),
    "half a line in the freeze log": FaultKind(
        (66,),
        "who wrote to the freeze log died in the middle of it",
        lambda scene, fault, _: people.strike_torn_log(scene, fault.for_ms * MS),
        longest_s=60,
    ),
    "nobody looks at alarms": FaultKind((78,), "nobody looks at alarms", _away, longest_s=200, shortest_s=60),
}

# ---- two machines and their lease


def _lease(rows: tuple[int, ...], said: str, longest_s: float = 40.0) -> FaultKind:
    """A fault of a scene with two machines, which knows it by its name."""

    def strike(scene: Scene, fault: Fault, rng: random.Random) -> None:
        if scene.pair is not None:
            scene.pair.suffer(fault.kind, fault, rng)

    return FaultKind(rows, said, strike, longest_s=longest_s, shortest_s=2.0)


LEASE_KINDS: Mapping[str, FaultKind] = {
    "leader paused": _lease((53, 72), "SIGSTOP of who leads"),
    "leader paused in mid-send": _lease((53, 72), "SIGSTOP between the look at the lease and the sending"),
    "leader suspended": _lease((54, 72), "the machine of who leads sleeps, and its clocks with it"),
    "leader killed": _lease((52,), "kill -9 of who leads"),
    "leader leaves": _lease((52,), "who leads ends in order"),
    "leader cut from the database": _lease((7, 10), "who leads does not reach the lease"),
    "both cut from the database": _lease((7, 10), "nobody reaches the lease"),
    "database answers lost": _lease((2,), "the lease database's answers do not arrive"),
    "database down": _lease((7,), "the lease database answers nobody"),
    "database slow": _lease((11,), "the lease database answers 3 s late"),
    "database clock set": _lease((70,), "the lease database's clock is set, by up to 10 s"),
    "venue time misjudged": _lease((70, 71), "a machine's estimate of the venue's time is off by up to 250 ms"),
    "orders late": _lease((3, 11), "what a machine orders arrives up to 2.5 s late", 120.0),
}

KINDS: Mapping[str, FaultKind] = {
    "requests lost": FaultKind((1,), "requests do not arrive", _weather("trade_out", lose=0.9)),
    "answers lost": FaultKind((2,), "answers to requests do not arrive", _weather("trade_in", lose=0.9)),
    "requests parked": FaultKind(
        (3,), "requests are kept in a proxy and arrive later", _weather("trade_out", park=6_000 * MS)
    ),
    "requests doubled": FaultKind((4,), "requests arrive twice", _weather("trade_out", double=0.9)),
    "answers late": FaultKind((5, 11), "answers arrive seconds later", _weather("trade_in", extra=4_000 * MS)),
    "requests late": FaultKind((11,), "requests arrive seconds later", _weather("trade_out", extra=4_000 * MS)),
    "trade link down": FaultKind((6,), "the connection for orders dies", _drop("trade")),
    "private link down": FaultKind((8,), "the private stream dies, noticed or not", _drop("private"), longest_s=20),
    "public link down": FaultKind((8, 33), "the market data connection dies", _drop("public"), longest_s=20),
    "rest dark": FaultKind((7, 15), "nothing sent by REST arrives", _dark("rest_out"), longest_s=20),
    "deaf": FaultKind((9,), "we send and hear nothing", _dark("trade_in", "private_in", "execution_in", "rest_in")),
    "lossy": FaultKind(
        (10,),
        "every way loses some",
        _weather("trade_out", "trade_in", "rest_out", "rest_in", "public_in", lose=0.1),
        longest_s=30,
    ),
    "fills late": FaultKind(
        (20, 21, 24), "fills arrive after the orders' ends", _weather("execution_in", extra=5_000 * MS), longest_s=60
    ),
    "private late": FaultKind(
        (35, 48), "the private stream lags", _weather("private_in", extra=5_000 * MS), longest_s=60
    ),
    "rate limited": FaultKind((16, 17), "creates are refused: too many", _rate_limited),
    "overloaded": FaultKind((18,), "the venue answers nothing of use, and may have acted", _overloaded),
    "maintenance": FaultKind((33, 38), "cancels only, and no reads", _maintenance, longest_s=15),
    "venue lag": FaultKind((35, 40), "what REST shows is up to 1.5 s old, seldom 4.5 s", _lag, longest_s=30),
    "venue restart": FaultKind((34,), "the venue restarts and forgets closed orders", _restart),
    "funding": FaultKind((26,), "funding is paid", _funding),
    "deleveraged": FaultKind((27,), "the venue closes half of the position", _deleverage, of_symbol=True),
    "foreign order": FaultKind((43,), "somebody else places an order on the account", _foreign, of_symbol=True),
    "told again": FaultKind((22, 23), "the private stream repeats itself", _repeat),
    "kill": FaultKind((52,), "kill -9, and a restart", _kill, longest_s=20),
    "kill at place": FaultKind((52,), "kill -9 just after a new order left", _trap("place")),
    "kill at replace": FaultKind((52,), "kill -9 just after a cancel or an amend left", _trap("replace")),
    "kill at ack": FaultKind((52,), "kill -9 just before an answer is heard", _trap("ack")),
    "kill at fill": FaultKind((52,), "kill -9 just before a fill is heard", _trap("fill")),
    "asked to end": FaultKind((), "SIGTERM, and started again", _ask_to_end, longest_s=20),
    "asked to end in the dark": FaultKind((1, 7), "SIGTERM while nothing that is sent arrives", _end_in_the_dark),
    "kill in recovery": FaultKind((61,), "killed again while it recovers", _kill_in_recovery),
    "pause": FaultKind((53, 54, 72), "SIGSTOP", _pause, longest_s=60),
    "disk error": FaultKind((64,), "an fdatasync fails", _disk("sync", "EIO")),
    "disk full": FaultKind((65,), "no space is left", _disk("write", "ENOSPC")),
    "lying disk": FaultKind((66, 68), "synced bytes are lost with the power", _lie),
    "slow disk": FaultKind((69,), "a sync takes up to 1.5 s, in which the process stands still", _slow_disk),
    "clock step": FaultKind((70, 71), "the wall clock is set", _clock_step, longest_s=30),
    "book gap": FaultKind((45, 46), "the book's chain breaks", _gap, of_symbol=True),
    "frozen feed": FaultKind((47,), "market data stops without a word", _frozen),
    "burst": FaultKind((49,), "a hundred messages at once", _burst, of_symbol=True),
    **GUARD_KINDS,
    **PEOPLE_KINDS,
    **LEASE_KINDS,
    "books apart": FaultKind((), "a coin is gone, or a lot is there, that nothing explains", _apart, of_symbol=True),
}
"""Every fault that the simulator knows, by name."""

PROFILES: Mapping[str, tuple[str, ...]] = {
    "mixed": tuple(kind for kind in KINDS if kind not in LEASE_KINDS),
    "guardian": (
        *GUARD_KINDS,
        *("pause", "kill", "kill in recovery", "requests parked", "answers lost", "trade link down", "venue lag"),
        "lying disk",
    ),
    "lease": tuple(LEASE_KINDS),
    "network": (*list(KINDS)[:14], "asked to end", "asked to end in the dark"),
    "venue": ("rate limited", "overloaded", "maintenance", "venue lag", "venue restart", "funding", "told again"),
    "process": (
        *("kill", "kill at place", "kill at replace", "kill at ack", "kill at fill", "kill in recovery"),
        *("pause", "asked to end", "requests parked", "answers lost", "venue lag"),
    ),
    "disk": ("lying disk", "disk error", "disk full", "slow disk", "kill", "requests parked", "answers lost"),
    "clock": ("clock step", "pause", "requests late", "requests parked"),
    "people": ("foreign order", "deleveraged", "kill", "nobody looks at alarms", "books apart"),
    "operators": (
        *PEOPLE_KINDS,
        *("kill", "kill at place", "kill in recovery", "pause", "slow disk", "rest dark", "trade link down"),
        *("requests parked", "answers lost", "private late", "foreign order"),
    ),
    "stream": ("fills late", "private late", "private link down", "deaf", "venue lag", "requests late", "told again"),
    "quiet": (),
}
"""Which faults may strike together; a seed draws its profile, then a part of it."""


def check_plan(plan: Sequence[Fault], symbols: Sequence[str]) -> None:
    """Raise PlanError for a fault of an instrument that is not traded here."""
    for fault in plan:
        if fault.symbol not in (symbols if KINDS[fault.kind].of_symbol else ("", *symbols)):
            raise PlanError(
                f"{fault.kind} at {fault.at_ms} ms is of {fault.symbol or 'no symbol'!r}; "
                f"this world trades {', '.join(symbols)}"
            )


def draw_plan(dice: Dice, profile: str, symbols: Sequence[str], *, until_ms: int) -> list[Fault]:
    """Draw a plan: a part of the profile's faults, some of each, all over by `until_ms`; a few last until then.

    Of `mixed` the part is small more often than not: where everything breaks at once, nothing trades to go wrong.
    """
    rng = dice.of("plan")
    share = rng.choice((0.1, 0.2, 0.5)) if profile == "mixed" else 0.5
    kinds = [kind for kind in PROFILES[profile] if rng.random() < share]
    plan: list[Fault] = []
    for kind in kinds:
        law = KINDS[kind]
        for _ in range(rng.choice((1, 1, 2, 3))):
            longest = round(law.longest_s * 1_000)
            for_ms = rng.randrange(round(law.shortest_s * 1_000), longest)
            at_ms = rng.randrange(5_000, max(5_001, until_ms - for_ms))
            if rng.random() < LASTS:
                at_ms = until_ms - for_ms
            symbol = rng.choice(symbols) if law.of_symbol else ""
            plan.append(Fault(kind, at_ms, for_ms, round(rng.random(), 3), symbol=symbol))
    plan.sort(key=lambda fault: (fault.at_ms, fault.kind))
    return [replace(fault, number=number) for number, fault in enumerate(plan)]
