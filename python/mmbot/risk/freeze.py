"""How far trading is stopped, for whom and why: raised by anything, lowered by people who sign for it.

    ask(FreezeAsked)         a higher level is taken at once; the same or a lower one changes nothing but is noted once
    lower(override, …)       named cause, clean reconciliation, enough signatures of different people and devices

Nothing lowers it by itself, however long nobody asks again (reliability.md 5.1).

The level that holds for an order is the highest of its symbol, its strategy, its account and the firm. What changed
the board is its input, so a log of inputs makes the same board again (`mmbot.ops.freeze_latch`).

Not handled: who may raise. Anybody may, at any time: stopping is always safe enough to be allowed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias

from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.override import NO_OPERATORS, Operators, Override, OverrideRefusedError, Reconciled, verified

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "FreezeBoard",
    "FreezeChange",
    "FreezeInput",
    "FreezePolicy",
    "Frozen",
    "Lowering",
    "changed_above",
    "freeze_name",
]

_NS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class FreezePolicy:
    """What holds for a while after people lowered a freeze: first nothing grows, then launch limits hold."""

    shadow_s: float = 300.0
    """How long nothing grows after a freeze at CANCEL_ALL or above was lowered: the strategy decides, and is denied."""
    canary_s: float = 1_800.0
    """How long launch limits hold after that, or after a lower freeze."""
    canary_share: Fraction = Fraction(1, 10)
    """Share of the limits in that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """One scope that is not NORMAL."""

    freeze_id: str
    """Names this freeze; a raise gives a new one, so that nobody lifts what they have not seen."""
    scope: Scope
    level: FreezeLevel
    control: str
    reason: str
    since: int
    """When this level was reached, ns since epoch."""
    noted: tuple[str, ...] = ()
    """Controls that asked since for no more than this."""
    raised: int = 0
    """When it was raised, to whatever level; a lowering in steps leaves this as it is. ns since epoch."""
    worst: FreezeLevel = FreezeLevel.NORMAL
    """The highest level since it was NORMAL: what was lowered in steps is none the less lifted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeChange:
    """Something moved on the board, for the log, the journal and whoever watches."""

    kind: Literal["raised", "noted", "lowered"]
    freeze_id: str
    scope: Scope
    before: FreezeLevel
    after: FreezeLevel
    control: str
    reason: str
    ts: int
    """ns since epoch."""
    by: tuple[str, ...] = ()
    """Who signed, where it was lowered."""

    def as_event(self) -> dict[str, object]:
        """The change as an event of a run."""
        return {
            "event": "freeze",
            "change": self.kind,
            "freeze_id": self.freeze_id,
            "scope": str(self.scope),
            "before": self.before.name,
            "level": self.after.name,
            "control": self.control,
            "why": self.reason,
            "ts": self.ts,
            **({"by": list(self.by)} if self.by else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowering:
    """An override that is applied: what was signed, when, on which reconciliation, and to which head of the log."""

    override: Override
    ts: int
    reconciled: Reconciled
    head: str


FreezeInput: TypeAlias = FreezeAsked | Lowering
"""What changes a board."""


class FreezeBoard:
    """The levels of every scope. Times are ns since epoch and come with what is said.

    `operators`: whose signatures count; without any, nobody can lower. What moved is returned and, for who did not ask,
    kept in `mm_freeze_events_total` and its neighbours.
    """

    def __init__(self, operators: Operators = NO_OPERATORS, policy: FreezePolicy | None = None) -> None:
        self.operators, self.policy = operators, policy or FreezePolicy()
        self.above: FreezeBoard | None = None
        """The board of the firm whose account this one is: what it says holds beside this, and is lowered there."""
        self._began_shadow_until = self._began_canary_until = 0
        self._forget()

    def _forget(self) -> None:
        self._frozen: dict[Scope, Frozen] = {}
        self._nonces: set[str] = set()
        self._shadow_until = self._canary_until = self._lifted_at = 0
        self.mm_freeze_events_total = 0
        """Every change of the board."""
        self.freeze_triggered_total: Counter[str] = Counter()
        """Raises, by the control that asked."""
        self.last: Frozen | None = None
        """The last raise, lifted since or not."""
        self.lowered_at: Mapping[Scope, int] = {}
        """When people lowered a scope last by this board alone, ns since epoch."""

    # ---- what holds

    def own_level(self, scope: Scope) -> FreezeLevel:
        """Return the level of one scope by this board alone."""
        found = self._frozen.get(scope)
        return FreezeLevel.NORMAL if found is None else found.level

    def level(self, scope: Scope) -> FreezeLevel:
        """Return the level of one scope by itself."""
        own = self.own_level(scope)
        return own if self.above is None else max(own, self.above.level(scope))

    def level_of(self, symbol: str, strategy: str, account: str) -> FreezeLevel:
        """Return what holds for an order: the highest of its four scopes. `symbol` is "category symbol"."""
        if not self._frozen and (self.above is None or not self.above.own):  # nearly always, and for every order
            return FreezeLevel.NORMAL
        scopes = (FIRM, Scope("account", account), Scope("strategy", strategy), Scope("symbol", symbol))
        return max(self.level(scope) for scope in scopes)

    @property
    def highest(self) -> FreezeLevel:
        """The highest level of any scope."""
        return max((each.level for each in self.frozen), default=FreezeLevel.NORMAL)

    @property
    def own(self) -> tuple[Frozen, ...]:
        """Every scope that is not NORMAL by this board alone, in the order of their names."""
        return tuple(self._frozen[scope] for scope in sorted(self._frozen))

    @property
    def frozen(self) -> tuple[Frozen, ...]:
        """The same, and then what stands above."""
        return self.own if self.above is None else self.own + self.above.frozen

    @property
    def shadow_until(self) -> int:
        """Until then nothing grows: people lifted a freeze. ns since epoch; 0: nobody did."""
        own = max(self._shadow_until, self._began_shadow_until)
        return own if self.above is None else max(own, self.above.shadow_until)

    @property
    def canary_until(self) -> int:
        """Until then launch limits hold; likewise."""
        own = max(self._canary_until, self._began_canary_until)
        return own if self.above is None else max(own, self.above.canary_until)

    @property
    def lifted_at(self) -> int:
        """When people last lifted what had been at CANCEL_ALL or above, ns since epoch; 0: nobody did."""
        return self._lifted_at if self.above is None else max(self._lifted_at, self.above.lifted_at)

    def begins(self, now: int) -> None:
        """The time after the lift began then, with a run that nobody had gone before since `lifted_at`."""
        self._began_shadow_until = now + round(self.policy.shadow_s * _NS_PER_SECOND)
        self._began_canary_until = self._began_shadow_until + round(self.policy.canary_s * _NS_PER_SECOND)

    def share(self, now: int) -> Fraction:
        """Return the share of the limits that holds: after a freeze was lowered none, then launch limits, then all."""
        if now < self.shadow_until:
            return Fraction(0)
        return self.policy.canary_share if now < self.canary_until else Fraction(1)

    def metrics(self) -> dict[str, int]:
        """The counters and the level, by their names."""
        return {
            "mm_freeze_events_total": self.mm_freeze_events_total,
            "freeze_triggered_total": self.freeze_triggered_total.total(),
            "freeze_level": int(self.highest),
        }

    # ---- up

    def ask(self, asked: FreezeAsked) -> list[FreezeChange]:
        """Take a freeze. Nothing is returned where nothing changed: NORMAL, or a control that is noted already."""
        if asked.level is FreezeLevel.NORMAL:
            return []
        before = self._frozen.get(asked.scope)
        worst = max(asked.level, asked.worst, FreezeLevel.NORMAL if before is None else before.worst)
        if before is not None and asked.level <= before.level:
            known = asked.control == before.control or asked.control in before.noted
            if known and worst == before.worst:
                return []
            self._frozen[asked.scope] = replace(
                before, noted=before.noted if known else (*before.noted, asked.control), worst=worst
            )
            return [self._changed("noted", before, before.level, before.level, asked)]
        self.last = Frozen(
            freeze_id=freeze_name(asked),
            scope=asked.scope,
            level=asked.level,
            control=asked.control,
            reason=asked.reason,
            since=asked.ts,
            noted=() if before is None else tuple(dict.fromkeys((before.control, *before.noted))),
            raised=asked.ts,
            worst=worst,
        )
        self._frozen[asked.scope] = self.last
        self.freeze_triggered_total[asked.control] += 1
        level = FreezeLevel.NORMAL if before is None else before.level
        return [self._changed("raised", self.last, level, asked.level, asked)]

    def _changed(
        self,
        kind: Literal["raised", "noted"],
        frozen: Frozen,
        before: FreezeLevel,
        after: FreezeLevel,
        asked: FreezeAsked,
    ) -> FreezeChange:
        self.mm_freeze_events_total += 1
        return FreezeChange(
            kind=kind,
            freeze_id=frozen.freeze_id,
            scope=frozen.scope,
            before=before,
            after=after,
            control=asked.control,
            reason=asked.reason,
            ts=asked.ts,
        )

    # ---- down

    def lower(self, override: Override, now: int, *, reconciled: Reconciled, head: str) -> FreezeChange:
        """Lower a scope as people signed for.

        reconciled: what the comparison with the venue said, after the freeze. head: of the log that the board is made
        of; the signatures are for that one. Raises OverrideRefusedError, which names why; nothing changed then.
        """
        frozen = self._named(override)
        by = verified(override, frozen.level, self.operators, now=now, head=head)
        if override.nonce in self._nonces:
            raise OverrideRefusedError("replayed_nonce", f"nonce {override.nonce} was used already; sign a fresh token")
        reconciled.check(since=frozen.since, now=now)
        self._nonces.add(override.nonce)
        grows = now
        if frozen.worst.cancels_all and override.to.allows_new_risk:
            grows += round(self.policy.shadow_s * _NS_PER_SECOND)
            self._shadow_until, self._lifted_at = max(self._shadow_until, grows), max(self._lifted_at, now)
        self._canary_until = max(self._canary_until, grows + round(self.policy.canary_s * _NS_PER_SECOND))
        self.lowered_at = {**self.lowered_at, frozen.scope: now}
        return self._down(frozen, override.to, now, override.reason, by)

    def _named(self, override: Override) -> Frozen:
        frozen = self._frozen.get(override.scope)
        if frozen is None or frozen.freeze_id != override.freeze_id:
            held = "is not frozen" if frozen is None else f"is held by {frozen.freeze_id}, {frozen.level.name}"
            raise OverrideRefusedError(
                "unknown_freeze",
                f"the token is for freeze {override.freeze_id}, and {override.scope} {held}; see `mmbot status`",
            )
        if override.from_level is not frozen.level or override.to >= frozen.level:
            raise OverrideRefusedError(
                "wrong_level",
                f"the token goes from {override.from_level.name} to {override.to.name}, and {override.scope} is at "
                f"{frozen.level.name}; expected from there to a lower one",
            )
        return frozen

    def _down(self, frozen: Frozen, to: FreezeLevel, now: int, reason: str, by: tuple[str, ...]) -> FreezeChange:
        if to is FreezeLevel.NORMAL:
            del self._frozen[frozen.scope]
        else:
            self._frozen[frozen.scope] = replace(frozen, level=to, since=now)
        self.mm_freeze_events_total += 1
        return FreezeChange(
            kind="lowered",
            freeze_id=frozen.freeze_id,
            scope=frozen.scope,
            before=frozen.level,
            after=to,
            control=frozen.control,
            reason=reason,
            ts=now,
            by=by,
        )

    def refresh(self, now: int) -> list[FreezeChange]:
        """Return what others changed since: of a board in memory alone, nothing."""
        return []

    # ---- from a log

    def rebuild(self, inputs: Iterable[FreezeInput]) -> list[FreezeChange]:
        """Become what these inputs make, in their order. A lowering that does not hold is left out: it stays frozen."""
        self._forget()
        changes: list[FreezeChange] = []
        for one in inputs:
            match one:
                case FreezeAsked():
                    changes += self.ask(one)
                case Lowering():
                    try:
                        changes.append(self.lower(one.override, one.ts, reconciled=one.reconciled, head=one.head))
                    except OverrideRefusedError as refused:
                        changes += self.ask(
                            FreezeAsked(
                                FreezeLevel.CANCEL_ALL,
                                FIRM,
                                "latch",
                                f"the log holds a lowering that does not hold ({refused})",
                                one.ts,
                            )
                        )
        return changes


def changed_above(before: FreezeBoard | None, after: FreezeBoard, now: int) -> list[FreezeChange]:
    """Return what moved on the firm's board, as its accounts are to hear it."""
    was = {} if before is None else {one.scope: one for one in before.own}
    stands = {one.scope: one for one in after.own}
    changes = []
    for scope in sorted({*was, *stands}):
        old, new = was.get(scope), stands.get(scope)
        one = new or old
        if one is None or old == new:
            continue
        levels = [FreezeLevel.NORMAL if each is None else each.level for each in (old, new)]
        changes.append(
            FreezeChange(
                kind="raised" if levels[1] >= levels[0] else "lowered",
                freeze_id=one.freeze_id,
                scope=scope,
                before=levels[0],
                after=levels[1],
                control=one.control,
                reason=one.reason,
                ts=now if new is None else new.since,
            )
        )
    return changes


def freeze_name(asked: FreezeAsked) -> str:
    """Name a freeze, by all that it says."""
    words = f"{asked.ts}\n{int(asked.level)}\n{asked.scope.kind}\n{asked.scope.name}\n{asked.control}\n{asked.reason}"
    return sha256(words.encode(errors="surrogatepass")).hexdigest()[:16]
