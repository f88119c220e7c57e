"""People: they stop the bot, sign for letting it go on, look at alarms, and get it wrong.

They work as the commands do: another process that writes the account's freeze log, a token in the account's folder that
the engine judges, a kill with a session of its own. Their keys are made of their names.

Not modelled: two people who do things at the same moment; a person whose clock is not the machine's.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.ops.account_state import write_durably
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.freeze_requests import override_hatch
from mmbot.ops.killing import GOES_S, Killed, cancel_and_end
from mmbot.risk.alarms import UNSEEN_NS
from mmbot.risk.freeze_log import override_words
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.override import EXPIRY_MAX_NS, Override, OverrideRefusedError, Reconciled, Signature, signed
from mmbot.simulation.links import Link, Weather
from mmbot.simulation.ports import Paths, SimOrders
from mmbot.simulation.stops import ACCOUNT, STRATEGY
from mmbot.simulation.venue import MS, NS_PER_S
from mmbot.simulation.world import NodeLoop
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import ARRIVES_NS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from mmbot.risk.alarms import Alarm
    from mmbot.risk.freeze import Frozen
    from mmbot.simulation.scene import Scene
    from mmbot.venues.port import Fact, LinkEvent, PlaceOrder

__all__ = ["BAD_TOKENS", "People"]

POLL_NS = 25 * MS
"""A running engine sees what others wrote within this."""
ANSWER_NS = 1 * NS_PER_S
ANSWERS_MAX = 35
TRIES = 40
SET_MAX = 20 * NS_PER_S
"""More than any clock here is set by: what ended so long ago has ended by all of them."""
ENROLLED = {
    "ada": ("ada", "ada-laptop"),
    "bob": ("bob", "bob-laptop"),
    "ada-phone": ("ada", "ada-phone"),
    "guest": ("guest", "ada-laptop"),
}
"""Keys, whose they are, and on which device."""
UNSEEN_LOOK_NS = 12 * NS_PER_S
"""Until an alarm that is due was looked at."""
KILLER = 9_000
"""Numbers of the processes of people begin here."""


@cache
def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest())


@lru_cache(maxsize=1)
def _enrolled() -> bytes:
    lines = []
    for name, (identity, device) in ENROLLED.items():
        key = _key(name).public_key().public_bytes_raw().hex()
        lines.append(f'[[operator]]\nidentity = "{identity}"\ndevice = "{device}"\nkey = "{key}"\n')
    return "".join(lines).encode()


def _by(*names: str) -> Callable[[Override], Override]:
    return lambda token: replace(token, signatures=tuple(signed(token, _key(name)) for name in names))


def _then(change: Callable[[Override], Override]) -> Callable[[Override], Override]:
    """Signed by both, and changed afterwards."""
    return lambda token: change(_by("ada", "bob")(token))


def _before(change: Callable[[Override], Override]) -> Callable[[Override], Override]:
    """Signed by both, as it must not be."""
    return lambda token: _by("ada", "bob")(change(token))


BAD_TOKENS: dict[str, Callable[[Override], Override]] = {
    "one person": _by("ada"),
    "one person twice": _by("ada", "ada-phone"),
    "one device": _by("ada", "guest"),
    "one signature twice": _by("ada", "ada"),
    "a stranger": _by("ada", "mallory"),
    "nobody": _by(),
    "a copied signature": lambda token: replace(
        token, signatures=(sign := signed(token, _key("ada")), Signature(_raw("bob"), sign.signature))
    ),
    "another scope": _then(lambda token: replace(token, scope=Scope("strategy", "another"))),
    "another level": _then(lambda token: replace(token, from_level=FreezeLevel.REDUCE_ONLY)),
    "a longer life": _then(lambda token: replace(token, expiry=token.expiry + 1)),
    "expired": _before(lambda token: replace(token, expiry=token.expiry - EXPIRY_MAX_NS - SET_MAX)),
    "good for a day": _before(lambda token: replace(token, expiry=token.expiry + 86_400 * NS_PER_S)),
    "no reason": _before(lambda token: replace(token, reason=" ")),
    "an old look": _before(lambda token: replace(token, head_hash="0" * 64)),
    "a short nonce": _before(lambda token: replace(token, nonce="once")),
    "another freeze": _before(lambda token: replace(token, freeze_id="0" * 16)),
}
"""What is handed in and must not count, for a freeze that takes two people."""


def _raw(name: str) -> bytes:
    return _key(name).public_key().public_bytes_raw()


class _Deaf:
    """Hears nothing: a kill asks."""

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass over them."""

    def on_link(self, event: LinkEvent) -> None:
        """Links are the session's business here."""


class People:
    """Everybody who may say something to the engine of one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._rng = scene.dice.of("people")
        self._tokens = self._kills = 0
        self._spent: Override | None = None
        self._waits = False
        self._lifting: dict[Scope, None] = {}
        """What somebody is about to let go."""
        self._board: FreezeLatch | None = None
        self._paths: Paths | None = None
        self.pounces: random.Random | None = None
        """Somebody waits for the next order to leave, to freeze everything behind it."""
        self.away_until = 0
        """Until then nobody looks at alarms."""
        self.refused = ""
        """Why the last token that counts was refused."""

    def enrol(self) -> None:
        """Their keys count from the beginning."""
        self._scene.engine.state.operators.write_bytes(_enrolled())

    def _clock(self) -> int:
        """The machine's clock."""
        return self._scene.world.now + self._scene.engine.wall_offset

    def _latch(self) -> FreezeLatch:
        """The log as it is now."""
        if self._board is None:
            self._board = FreezeLatch(self._scene.engine.state, self._clock)
        else:
            self._board.refresh(self._clock())
        return self._board

    # ---- up

    def freeze(self, level: FreezeLevel, scope: Scope) -> None:
        """`mmbot freeze`: written by another process, seen by the engine when it looks next."""
        self._latch().ask(FreezeAsked(level, scope, "operator", f"by hand, {self._clock()}", self._clock()))
        self._scene.stops.wanted(scope, level, outside=True)
        self._seen_soon()

    def _seen_soon(self) -> None:
        self._scene.world.after(self._rng.randrange(POLL_NS), self._scene.engine.look_soon)

    def signal(self) -> None:
        """SIGUSR1."""
        self._scene.engine.freeze(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "operator", "SIGUSR1", self._clock()))

    def saw(self, _request: PlaceOrder) -> None:
        """An order leaves: somebody may have waited for it. It takes its time, and the signal does not."""
        waits, self.pounces = self.pounces, None
        if waits is not None:
            late = Weather(rng=waits, until=self._scene.world.now + 1, park=waits.randrange(NS_PER_S, 2 * NS_PER_S))
            self._scene.paths.trade_out.suffer(late)
            self._scene.stops.disturbed(way="trade")
            self._scene.mark("frozen with an order under way")
            self.signal()

    def tear(self) -> None:
        """A process that wrote to the log died in the middle of a line."""
        with self._scene.engine.state.freeze.open("ab") as log:
            log.write(b'{"sum":"0123')
        self._scene.stops.wanted(FIRM, FreezeLevel.CANCEL_ALL, outside=True)
        self._seen_soon()

    def noticed(self, scope: Scope) -> None:
        """A control stopped something, and somebody will look after it."""
        self.lift_after(self._rng.randrange(10, 40) * NS_PER_S, scope)

    def lift_after(self, ns: int, scope: Scope) -> None:
        """Somebody lets it go then, if nobody does before."""
        self._scene.world.after(ns, lambda: self._begin(scope))

    # ---- down

    def heal(self) -> None:
        """Everybody is there, and lets go what is stopped."""
        self.away_until = 0
        self._scene.world.after(3 * NS_PER_S, self._lift_all)

    def _lift_all(self) -> None:
        for scope in self._scene.stops.held:
            self._begin(scope)
        self._scene.world.after(5 * NS_PER_S, self._lift_all)

    def _begin(self, scope: Scope) -> None:
        if scope not in self._lifting:
            self._lifting[scope] = None
            self._lift(scope, TRIES)

    def _lift(self, scope: Scope, tries: int) -> None:
        """Sign for a freeze, enough of them, and hand it in; again where it was refused."""
        frozen = self._frozen(scope)
        if frozen is None or not tries or self._scene.engine.stopping:
            del self._lifting[scope]
            return

        def again() -> None:
            self._scene.world.after(self._rng.randrange(5, 15) * NS_PER_S, lambda: self._lift(scope, tries - 1))

        if self._waits:
            again()
            return
        names = ("ada", "bob") if frozen.level.cancels_all else (self._rng.choice(("ada", "bob")),)
        token = _by(*names)(self._token(frozen))
        self._scene.stops.handed_in(frozen.freeze_id, scope, FreezeLevel.NORMAL)
        self._hand_in(token, "", again)

    def try_bad(self, name: str) -> None:
        """Hand in what must not count, for the highest freeze there is."""
        found = max(self._latch().board.frozen, key=lambda each: each.level, default=None)
        if found is None or not found.level.cancels_all or self._waits:
            return
        if name == "a spent nonce":
            if self._spent is None:
                return
            token = _by("ada", "bob")(replace(self._token(found), nonce=self._spent.nonce))
        elif name == "a spent token":
            if self._spent is None:
                return
            token = self._spent
        else:
            token = BAD_TOKENS[name](self._token(found))
        self._hand_in(token, name, lambda: None)

    def _frozen(self, scope: Scope) -> Frozen | None:
        return next((each for each in self._latch().board.frozen if each.scope == scope), None)

    def _token(self, frozen: Frozen) -> Override:
        self._tokens += 1
        return Override(
            freeze_id=frozen.freeze_id,
            from_level=frozen.level,
            to=FreezeLevel.NORMAL,
            scope=frozen.scope,
            reason="looked at, and gone",
            expiry=self._clock() + EXPIRY_MAX_NS - NS_PER_S,
            nonce=f"{self._scene.seed:08d}-{self._tokens:012d}",
            head_hash=self._latch().head,
        )

    def _hand_in(self, token: Override, bad: str, again: Callable[[], None]) -> None:
        """By the engine that runs, else here; `bad`: why it must not count."""
        engine, state = self._scene.engine, self._scene.engine.state
        self._scene.note(f"token for {token.scope} handed in{bad and ': '}{bad}")
        if not engine.alive:
            self._apply(token, bad, again)
            return
        state.override_answer.unlink(missing_ok=True)
        write_durably(state.override, _word(token))
        self._waits = True
        self._scene.world.after(self._rng.randrange(100 * MS), engine.judge)
        self._await(token, bad, again, ANSWERS_MAX)

    def _await(self, token: Override, bad: str, again: Callable[[], None], left: int) -> None:
        state = self._scene.engine.state

        def look() -> None:
            said = override_hatch(state).answered(_word(token))
            if said is not None:
                self._answered(token, bad, again, "" if said["lowered"] else said["why"])
            elif left > 1:
                self._await(token, bad, again, left - 1)
            else:
                state.override.unlink(missing_ok=True)
                self._answered(token, bad, again, "no answer")

        self._scene.world.after(ANSWER_NS, look)

    def _apply(self, token: Override, bad: str, again: Callable[[], None]) -> None:
        """Nothing runs: what is open at the venue is looked at, and the log is written here."""
        left = self._scene.venue.open_now()
        reconciled = Reconciled(clean=not left, ts=self._clock(), said=f"no engine runs; {len(left)} open orders")
        try:
            change = self._latch().lower(token, self._clock(), reconciled)
        except OverrideRefusedError as refused:
            self._answered(token, bad, again, str(refused))
            return
        self._scene.stops.lowered(change.freeze_id, change.scope, change.after)
        self._answered(token, bad, again, "")
        self._scene.world.after(2 * NS_PER_S, self._scene.engine.boot)

    def _answered(self, token: Override, bad: str, again: Callable[[], None], refused: str) -> None:
        self._waits = False
        self._scene.note(f"token for {token.scope}: {refused or 'it is lowered'}")
        name = refused.partition(":")[0] or "taken"
        self._scene.mark(f"token: {name}")
        if bad and not refused:
            self._scene.checks.fail("P7", f"a token lowered {token.scope} that must not count: {bad}")
        if not bad:
            self.refused = refused
            if refused:
                again()
            else:
                self._spent = token
                del self._lifting[token.scope]

    # ---- the kill from outside

    def kill(self) -> None:
        """`mmbot kill`: latch, cancel over a session of its own, prove, end the process."""
        scene = self._scene
        self._latch().ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", f"no answer, {self._clock()}", self._clock()))
        scene.stops.wanted(FIRM, FreezeLevel.KILL, outside=True)
        self._seen_soon()
        self._kills += 1
        if self._paths is None:
            self._paths = Paths(lambda name: Link(scene.world, name, scene.dice.of(f"link.people.{name}")))
        loop = NodeLoop(scene.world, KILLER + self._kills, scene.engine.complain)  # type: ignore[abstract]
        loop.create_task(self._killing(loop, self._paths))

    async def _killing(self, loop: NodeLoop, paths: Paths) -> None:
        scene, outcome = self._scene, Killed(ACCOUNT)
        orders = SimOrders(scene.world, scene.venue, paths, loop, _Deaf(), clock=lambda: scene.world.now)
        markets = [("linear", symbol) for symbol in scene.symbols]
        await orders.start()
        cancelling = Cancelling(orders, markets, lambda: scene.world.now, told=lambda _: None)
        late = scene.world.now + ARRIVES_NS

        async def end(*, proven: bool) -> None:  # the worst of both: it is ended with its orders not proven gone
            await scene.engine.goes(GOES_S)
            scene.engine.kill(scene.dice.of("killed"))
            if not scene.stops.killed():  # people have let it go meanwhile, and see that it is down
                scene.world.after(2 * NS_PER_S, scene.engine.boot)

        await cancel_and_end(orders, cancelling, markets, late_until=late, end=end, outcome=outcome)
        await orders.stop()
        scene.note(f"mmbot kill: {outcome.done}")
        left = [each.client_id for each in scene.venue.open_now() if scene.is_ours(each)]
        scene.mark("killed: zero proven" if outcome.zero else "killed: not proven")
        if outcome.zero and left and scene.stops.killed():  # else people have let it go meanwhile
            scene.checks.fail("P7", f"the kill says that nothing is open, and {len(left)} orders are: {left[:3]}")

    # ---- alarms

    def alarmed(self, alarm: Alarm) -> None:
        """An alarm is raised; somebody sees it, unless nobody is there."""
        world = self._scene.world
        self._scene.mark("alarm raised")
        life = self._scene.engine.life
        if world.now < self.away_until and life is not None:
            self._scene.mark("alarm ignored")
            world.after(UNSEEN_NS + UNSEEN_LOOK_NS, lambda: self._scene.stops.unseen(alarm, life))
            return
        world.after(self._rng.randrange(5, 40) * NS_PER_S, lambda: self._scene.engine.acknowledge(alarm.alarm_id))


# ---- as faults


def strike_freeze(scene: Scene, symbol: str, for_ns: int, rng: random.Random) -> None:
    """A person stops a scope, and lets go later."""
    level = rng.choice((FreezeLevel.REDUCE_ONLY, FreezeLevel.NO_NEW, FreezeLevel.CANCEL_ALL))
    _freeze(scene, level, _scope(symbol, rng), for_ns)


def strike_signal(scene: Scene, for_ns: int) -> None:
    """SIGUSR1, and let go later."""
    scene.people.signal()
    scene.people.lift_after(for_ns, FIRM)


def strike_pounce(scene: Scene, for_ns: int, rng: random.Random) -> None:
    """SIGUSR1 just after the next order left, which arrives late; and let go later."""
    scene.people.pounces = rng
    scene.people.lift_after(for_ns, FIRM)


def strike_flatten(scene: Scene, symbol: str, for_ns: int, rng: random.Random) -> None:
    """A person wants a scope flat."""
    _freeze(scene, FreezeLevel.FLATTEN, _scope(symbol, rng), for_ns)


def strike_bad_token(scene: Scene, symbol: str, for_ns: int, rng: random.Random) -> None:
    """A freeze that takes two people, and tokens that do not count, one after the other."""
    _freeze(scene, FreezeLevel.CANCEL_ALL, _scope(symbol, rng), for_ns)
    names = rng.sample(sorted({*BAD_TOKENS, "a spent nonce", "a spent token"}), 3)
    for number, name in enumerate(names):
        scene.world.after(round(for_ns * (number + 0.5) / 3), partial(scene.people.try_bad, name))


def _word(token: Override) -> bytes:
    """What is handed in; the answer names it."""
    return json.dumps(override_words(token)).encode()


def strike_kill(scene: Scene, for_ns: int) -> None:
    """A person kills the account, and two let it go on."""
    scene.people.kill()
    scene.people.lift_after(for_ns, FIRM)


def strike_torn_log(scene: Scene, for_ns: int) -> None:
    """Half a line in the freeze log."""
    scene.people.tear()
    scene.people.lift_after(for_ns, FIRM)


def _freeze(scene: Scene, level: FreezeLevel, scope: Scope, for_ns: int) -> None:
    scene.people.freeze(level, scope)
    scene.people.lift_after(for_ns, scope)


def _scope(symbol: str, rng: random.Random) -> Scope:
    return rng.choice(
        (FIRM, Scope("account", ACCOUNT), Scope("strategy", STRATEGY), Scope("symbol", f"linear {symbol}"))
    )
