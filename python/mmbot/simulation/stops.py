"""P7: what was stopped stays stopped, is taken out of the market, and comes back only by signatures that count.

What was raised and lowered is kept here a second time, from what people and controls said, and never read from the
product's own board but to hold that against it:

    sent       nothing that grows a position leaves once a level holds: at once for the process that raised it, 50 ms
               later for one that hears of it by the log, and at once again for one that was stopped meanwhile
    look       2 s after CANCEL_ALL (10 s with one way to the venue ill) no order of the scope is open at the venue, and
               none comes to be after zero was proven; under FLATTEN the position goes to zero
    met        a board in a process that starts, or runs, is not below what was said
    unseen     an alarm that nobody acknowledged for a minute has stopped the account
    lowered    only a valid token, which was handed in, lowers
    changed    after that, a tenth of the limits
    resumed    and, with nothing else wrong, orders leave again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.simulation.reasons import Reasons
from mmbot.simulation.venue import MS, NS_PER_S
from mmbot.venues.port import AmendOrder, PlaceOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot.ops.freeze_latch import FreezeLatch
    from mmbot.risk.alarms import Alarm
    from mmbot.simulation.engine import Life
    from mmbot.simulation.faults import Fault
    from mmbot.simulation.scene import Scene
    from mmbot.simulation.venue import ModelMarket
    from mmbot.venues.port import OrderRequest

__all__ = ["ACCOUNT", "STOP_MARKS", "STRATEGY", "Stops"]

ACCOUNT, STRATEGY = "model", "sim"
HOLDS_NS = 50 * MS
"""What another process wrote holds after so long."""
LOOK_NS = 1 * NS_PER_S
HEALTHY_NS, ONE_WAY_NS = 2 * NS_PER_S, 10 * NS_PER_S
FLAT_NS = 40 * NS_PER_S
GRACE_NS = 15 * NS_PER_S
"""After a fault, or a start, until everything counts as healthy again."""
CANARY_SHARE = 10
UNDER_WAY_NS = 5 * NS_PER_S
RESUMES_NS = 30 * NS_PER_S
LIFTED_NS = 45 * NS_PER_S
"""In which people lift what can be lifted."""

HARMLESS = frozenset(
    {
        *("private link down", "public link down", "private late", "fills late", "told again", "venue lag"),
        *("rate limited", "overloaded", "funding", "deleveraged", "foreign order", "book gap", "frozen feed", "burst"),
        "books apart",
        *(
            "frozen by a person",
            "frozen by a signal",
            "flattened by a person",
            "a token that does not count",
        ),
        *("half a line in the freeze log", "nobody looks at alarms"),
    }
)
"""Faults that keep no cancel from the venue."""
TRADE = frozenset(
    {
        *("requests lost", "answers lost", "requests parked", "requests doubled", "answers late", "requests late"),
        *("trade link down", "venue restart", "slow disk", "frozen with an order under way"),
    }
)
REST = frozenset({"rest dark", "maintenance"})
EXCUSED = ("", "not_reconciled")
"""What a token that counts may be refused for in the end."""
HELD_BY_BOOKS = ("stray", "risen", "reconcile")
"""Pauses that a run has said the reason of, and keeps until it is started again."""


STOP_MARKS = (
    *(f"stopped: {level.name}" for level in FreezeLevel if level > FreezeLevel.NORMAL),
    *("stopped: nothing open", "stopped: nothing open, one way ill", "stopped: position worked off"),
    *("stopped: a reducing order left", "stopped: a way out left", "stopped: over a restart"),
    *("stopped: by an alarm that nobody looked at", "stop lifted", "canary: an order", "trades again after a stop"),
    *("killed: zero proven", "stood in a sync", "frozen with an order under way"),
    *("token: taken", "token: too_few_signatures", "token: same_identity", "token: same_device", "token: not_enrolled"),
    *("token: bad_signature", "token: expired", "token: expiry_too_far", "token: no_reason", "token: wrong_head"),
    *("token: weak_nonce", "token: unknown_freeze", "token: wrong_level", "token: replayed_nonce"),
    "token: not_reconciled",
)
"""What has to happen in a campaign for P7 to have been tried."""


class Stops:
    """What is stopped in one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.reasons = Reasons(scene)
        self._held: dict[Scope, dict[FreezeLevel, int]] = {}
        """Since when each level of a scope holds."""
        self._valid: dict[str, tuple[Scope, FreezeLevel]] = {}
        """What valid tokens that were handed in are for, by the freeze that they name."""
        self._ill = {"all": 0, "trade": 0, "rest": 0}
        """Until when faults, or their traces, keep cancels from the venue."""
        self._looks = False
        self._ticks = 0
        self._alarmed_at = 0
        """When something was stopped for an alarm last."""
        self.lifted_at = self.sent_at = 0

    # ---- what was said

    def wanted(self, scope: Scope, level: FreezeLevel, *, outside: bool = False) -> None:
        """A person stops a scope; `outside` the process that trades."""
        self.reasons.wanted(scope, level)
        self._raised(scope, level, outside=outside)

    def _raised(self, scope: Scope, level: FreezeLevel, *, outside: bool = False) -> None:
        now = self._scene.world.now
        held = self._held.setdefault(scope, {})
        for each in FreezeLevel:
            if FreezeLevel.NORMAL < each <= level:
                held.setdefault(each, now + HOLDS_NS * outside)
        self._scene.mark(f"stopped: {level.name}")
        if level.cancels_all and not self._looks:
            self._looks = True
            self._scene.world.after(LOOK_NS, self._look)

    def handed_in(self, freeze_id: str, scope: Scope, to: FreezeLevel) -> None:
        """Enough people signed for this."""
        self._valid[freeze_id] = (scope, to)

    def said(self, event: Mapping[str, object]) -> None:
        """Hear what a board says of itself."""
        kind, name, _, rest = event["change"], *str(event["scope"]).partition(" ")
        scope = Scope(name, rest)  # type: ignore[arg-type]
        if event["control"] == "alarm":
            self._alarmed_at = self._scene.world.now
        if kind in ("raised", "noted"):
            level, why = FreezeLevel[str(event["level"])], str(event["why"])
            self.reasons.froze(str(event["control"]), scope, level, why, noted=kind == "noted")
        if kind == "raised" and event["control"] != "operator":
            self._raised(scope, FreezeLevel[str(event["level"])])
            self._scene.people.noticed(scope)
        elif kind in ("lowered", "lapsed"):
            self.lowered(str(event["freeze_id"]), scope, FreezeLevel[str(event["level"])])

    def lowered(self, freeze_id: str, scope: Scope, to: FreezeLevel) -> None:
        """A scope is at a lower level."""
        if self._valid.get(freeze_id) != (scope, to):
            self._fail(f"{scope} was lowered to {to.name}, and nobody signed enough for that")
        held = self._held.get(scope, {})
        for each in [each for each in held if each > to]:
            del held[each]
        if not held:
            self._held.pop(scope, None)
        self.lifted_at = self._scene.world.now
        self._scene.mark("stop lifted")
        if self._scene.guard is not None:
            self._scene.guard.lifted()

    @property
    def held(self) -> dict[Scope, FreezeLevel]:
        """What was said and not lowered."""
        return {scope: max(levels) for scope, levels in self._held.items()}

    def killed(self) -> bool:
        """Nothing may run."""
        return FreezeLevel.KILL in self.held.values()

    def _since(self, symbol: str, level: FreezeLevel) -> int | None:
        scopes = (FIRM, Scope("account", ACCOUNT), Scope("strategy", STRATEGY), Scope("symbol", f"linear {symbol}"))
        times = [self._held[scope][level] for scope in scopes if level in self._held.get(scope, ())]
        return min(times, default=None)

    # ---- what goes wrong beside it

    def struck(self, fault: Fault) -> None:
        """A fault begins."""
        self.reasons.struck(fault)
        if fault.kind in HARMLESS:
            return
        way = "trade" if fault.kind in TRADE else "rest" if fault.kind in REST else "all"
        self.disturbed(fault.for_ms * MS, way)

    def disturbed(self, for_ns: int = 0, way: str = "all") -> None:
        """Something keeps cancels from the venue, over one way or all, for so long and a little longer."""
        self._ill[way] = max(self._ill[way], self._scene.world.now + for_ns + GRACE_NS)

    @property
    def ill_until(self) -> int:
        """Until then something may keep a cancel from the venue."""
        return max(self._ill.values())

    # ---- what is judged

    def _fail(self, said: str) -> None:
        self._scene.checks.fail("P7", said)

    def sent(self, request: OrderRequest, life: Life) -> None:
        """A place or an amend is about to leave."""
        if not isinstance(request, PlaceOrder | AmendOrder):
            return
        self.sent_at = self._scene.world.now
        if isinstance(request, PlaceOrder):
            self._scene.people.saw(request)
        level = self._level(request.symbol) if self._held else FreezeLevel.NORMAL
        if level is FreezeLevel.NORMAL:
            return
        if level is FreezeLevel.REDUCE_ONLY:
            allowed = self._reduces(request, life.position(request.symbol))
            self._scene.mark("stopped: a reducing order left")
        else:
            flat = self._since(request.symbol, FreezeLevel.FLATTEN) is not None and level is not FreezeLevel.KILL
            allowed = flat and isinstance(request, PlaceOrder) and request.reduce_only and request.tif == "ioc"
            self._scene.mark("stopped: a way out left")
        if not allowed:
            self._fail(f"{type(request).__name__} {request.client_id} of {request.symbol} leaves under {level.name}")

    def _level(self, symbol: str) -> FreezeLevel:
        """What holds for a new order now."""
        since = ((level, self._since(symbol, level)) for level in FreezeLevel)
        holds = [level for level, at in since if at is not None and at <= self._scene.world.now]
        return max(holds, default=FreezeLevel.NORMAL)

    def _reduces(self, request: PlaceOrder | AmendOrder, position: int) -> bool:
        order = self._scene.venue.orders.get(request.client_id)
        buys = request.side == "buy" if isinstance(request, PlaceOrder) else order is not None and order.buys
        return position != 0 and buys == (position < 0)

    def changed(self, market: ModelMarket, why: str) -> None:
        """An order was taken in at the venue."""
        if why != "placed" or market.foreign:
            return
        order = next(reversed(self._scene.venue.orders.values()))
        empty = self._held and market.symbol in self._scene.engine.proven_empty()
        if empty and not order.reduce_only and self._since(market.symbol, FreezeLevel.CANCEL_ALL) is not None:
            self._fail(f"{order.client_id} comes to be after it was proven that nothing of {market.symbol} is open")
        if self.lifted_at and self._scene.world.now > self.lifted_at + UNDER_WAY_NS:
            long, short = self._scene.venue.worst(market.symbol)
            worst, limit = (long if order.buys else -short), market.role.position_max // CANARY_SHARE
            self._scene.mark("canary: an order")
            if worst > limit and not order.reduce_only:
                self._fail(
                    f"{market.symbol}: {worst} lots {'long' if order.buys else 'short'} are possible after "
                    f"{order.client_id}; people lifted a stop, and the limit is {limit} since"
                )

    def _look(self) -> None:
        """Once a second, as long as anything has to be out of the market."""
        scene, held = self._scene, self.held.values()
        self._looks = any(level.cancels_all for level in held)
        if not self._looks:
            return
        scene.world.after(LOOK_NS, self._look)
        self._ticks += 1
        if FreezeLevel.FLATTEN in held or self._ticks % 4 == 0:
            scene.engine.look_soon()
        if not scene.engine.runs():
            if not self.killed():
                self.disturbed()
        elif self._ill["all"] <= scene.world.now:
            self.met(scene.engine.latch, HOLDS_NS * 2)
            for market in scene.venue.markets.values():
                self._judge_open(market)

    def _judge_open(self, market: ModelMarket) -> None:
        scene, now, symbol = self._scene, self._scene.world.now, market.symbol
        asked = self._since(symbol, FreezeLevel.CANCEL_ALL)
        if asked is None:
            return
        since = max(asked, self._ill["all"])
        ill = [until for until in (self._ill["trade"], self._ill["rest"]) if until > since]
        if len(ill) == 2:
            since = min(ill)
        if now < since + (ONE_WAY_NS if ill else HEALTHY_NS):
            return
        ours = [each.client_id for each in scene.venue.open_now() if each.symbol == symbol and scene.is_ours(each)]
        if ours:
            after = (now - since) / NS_PER_S
            self._fail(f"{len(ours)} orders of {symbol} are open {after:.1f} s after CANCEL_ALL: {ours[:3]}")
        scene.mark("stopped: nothing open, one way ill" if ill else "stopped: nothing open")
        if not self.killed() and not market.foreign:
            self._judge_flat(market, since)

    def _judge_flat(self, market: ModelMarket, since: int) -> None:
        flat, now = self._since(market.symbol, FreezeLevel.FLATTEN), self._scene.world.now
        if flat is None or now < max(flat, since, *self._ill.values()) + FLAT_NS:
            return
        self._scene.mark("stopped: position worked off")
        if market.position:
            after = (now - flat) / NS_PER_S
            self._fail(f"{market.position} lots of {market.symbol} are held {after:.0f} s after FLATTEN")

    def met(self, latch: FreezeLatch | None, after_ns: int = 0) -> None:
        """A board is at least at what was said, `after_ns` ago."""
        if latch is None:
            return
        now = self._scene.world.now
        for scope, levels in self._held.items():
            said = max((level for level, at in levels.items() if at + after_ns <= now + HOLDS_NS), default=None)
            if said is not None and latch.level(scope) < said:
                self._fail(f"{scope} is at {latch.level(scope).name} on the board of the engine; {said.name} was said")

    def unseen(self, alarm: Alarm, life: Life) -> None:
        """Row 78: nobody acknowledged an alarm, for longer than a minute and a look."""
        scene, account = self._scene, Scope("account", ACCOUNT)
        if scene.engine.life is not life or not scene.engine.runs() or self._ill["all"] > scene.world.now:
            return
        if self._alarmed_at > alarm.since or self.held.get(account, FreezeLevel.NORMAL).cancels_all:
            scene.mark("stopped: by an alarm that nobody looked at")
        else:
            self._fail(f"nobody acknowledged {alarm.name} ({alarm.alarm_id}), and the account trades on")

    def begun(self, life: Life) -> None:
        """A process begins."""
        self.disturbed()
        if self.killed():
            self._fail("an engine starts on an account that was killed")
        if self._held:
            self._scene.mark("stopped: over a restart")
        self.met(life.latch)

    def resumed(self) -> None:
        """Long after the last fault: who was let go trades again, or has said why not."""
        scene, now = self._scene, self._scene.world.now
        if scene.engine.runs() and not scene.checks.books_apart:  # who is down for good compares nothing
            self._judge_lifted(now)
        if self._held or now < self.lifted_at + RESUMES_NS or self._waits_for_a_person():
            return
        scene.mark("trades again after a stop" if self.lifted_at else "trades again")
        if self.sent_at < now - RESUMES_NS and not any(scene.is_ours(each) for each in scene.venue.open_now()):
            why = "the stop was lifted" if self.lifted_at else "nothing stops it"
            self._fail(f"nothing left for {(now - self.sent_at) / NS_PER_S:.0f} s, and {why}; {scene.engine.pauses()}")

    def _judge_lifted(self, now: int) -> None:
        refused = self._scene.people.refused
        long_held = [str(scope) for scope, levels in self._held.items() if max(levels.values()) + LIFTED_NS < now]
        if long_held and refused.partition(":")[0] not in EXCUSED:
            self._fail(f"{', '.join(long_held)} cannot be lifted: {refused}")

    def _waits_for_a_person(self) -> bool:
        """It does not run, or waits to be started again; or others, or a small limit, leave it nothing to do."""
        scene, pauses = self._scene, self._scene.engine.pauses()
        held = any(name.startswith(HELD_BY_BOOKS) or name == "trade breaker" for name in pauses)
        small = min(role.position_max for role in scene.cast.roles) < CANARY_SHARE
        others = any(market.foreign for market in scene.venue.markets.values())
        shrunk = self.lifted_at != 0 and (small or not scene.engine.has_desk())
        return held or shrunk or others or not scene.engine.runs()
