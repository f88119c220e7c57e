"""What became of an order whose answer never came: asked until it is known, or proven that it cannot come any more.

    D = sent + R + ε + V + M      the moment from which a create that the venue does not show was never placed
        R   the venue refuses a request that is older than this
        ε   our clock against the venue's
        V   the venue may show an order so long after it took it in: the larger of 2 s and 5 × the 99.9th percentile of
            what was measured in the last 5 minutes, from its answer to the order on the stream
        M   for what nobody thought of

    found among the recent orders, or in the history     ─▶ FOUND
    executions and no order                              ─▶ EXECUTED: book them
    venue's clock ≥ D, twice nothing in all three        ─▶ NEVER_PLACED
    sources, ≥ V and 1 s apart, venue well, and sent
    less than a day ago
    anything else                                        ─▶ ASK again, after 0.25, 0.5, 1 s and then every 2 s

Not found, however often, proves nothing before D: the request may be parked on the way and arrive later. And the clock
of the proof is the venue's, from its own answers, because it is the venue that refuses by age. `sent` is the time at
which the doubt arose, which is not before the request was signed: later is only more careful.

The two looks are V apart, because what somebody else cancelled just before the first one may show in the history only
so much later, and the venue loses its list of recent orders when it restarts.

An order that was sent a day ago, by a run that died then perhaps, is in no list of the venue's if it was cancelled at
once: its absence proves nothing any more, and a person has to sign for it.

Limit of the proof: R is checked at the venue's gateway, and a request could wait behind it. Hence V, hence the venue's
health, and hence any later word of the venue overrides the verdict. A venue without R (none here) has no such proof.

Sans I/O: times are ns since epoch and passed in; nothing is asked here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pydantic import Field

from mmbot.config import Strict
from mmbot.execution.backoff import UNKNOWN_ORDERS
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

__all__ = ["Finding", "ResolveTerms", "Resolver", "VenueLag"]

MS = 1_000_000
SECOND = 1_000_000_000
LAGS_KEPT = 20_000
CONTROL = "unknown_order"


class Finding(StrEnum):
    """What a look at the venue says of an order in doubt."""

    FOUND = "found"
    """The venue has or had it: its word on it is heard as any other."""
    EXECUTED = "executed"
    """It traded, and no list has it any more: its executions are booked."""
    NEVER_PLACED = "never_placed"
    """Proven: it is nowhere, and can no longer arrive."""
    ASK = "ask"
    """Not known. It stays exposure, and is asked for again."""


class ResolveTerms(Strict):
    """The numbers of the proof, and how long a doubt may last before trading stops."""

    window_ms: int = Field(default=2_000, gt=0)
    """R: a request older than this is refused by the venue. The session's own window."""
    clock_error_ms: int = Field(default=250, gt=0)
    """ε: beyond it the session places nothing."""
    margin_ms: int = Field(default=500, ge=0)
    """M."""
    lag_floor_ms: int = Field(default=2_000, gt=0)
    """V is not less than this."""
    lag_factor: int = Field(default=5, gt=0)
    """V is not less than so many times the measured 99.9th percentile."""
    lag_span_s: int = Field(default=300, gt=0)
    """What was measured so long ago does not count any more."""
    look_again_ms: int = Field(default=1_000, gt=0)
    """Between the two looks of the proof, and never less than V."""
    trouble_span_s: int = Field(default=60, gt=0)
    """The venue is not well for so long after a burst of trouble."""
    trouble_burst: int = Field(default=3, gt=0)
    """So many answers "overloaded" or "internal" within that span are a burst."""
    warn_s: int = Field(default=5, gt=0)
    """A doubt that is older is told."""
    symbol_s: int = Field(default=30, gt=0)
    """A doubt that is older freezes its symbol."""
    account_s: int = Field(default=120, gt=0)
    """A doubt that is older freezes the account."""
    expire_h: int = Field(default=24, gt=0)
    """The venue forgets cancelled orders by then: what is still in doubt is for a person to sign."""


class VenueLag:
    """How late the venue shows what it took in, and whether it is well enough for silence to mean something."""

    def __init__(self, terms: ResolveTerms) -> None:
        self._terms = terms
        self._lags: deque[tuple[int, int]] = deque(maxlen=LAGS_KEPT)
        self._troubles: deque[int] = deque(maxlen=terms.trouble_burst)

    def shown(self, now: int, lag_ns: int) -> None:
        """An order came on the stream so long after the answer to its request; at once, if it came before."""
        self._lags.append((now, max(lag_ns, 0)))

    def troubled(self, now: int) -> None:
        """The venue answered that it is overloaded, or that something inside it failed."""
        self._troubles.append(now)

    def bound(self, now: int) -> int:
        """V, in ns."""
        return max(
            self._terms.lag_floor_ms * MS, self._terms.lag_factor * self._p999(now - self._terms.lag_span_s * SECOND)
        )

    def well(self, now: int) -> bool:
        """Whether the venue is as it usually is: no burst of trouble, and the last minute no slower than V allows."""
        since = now - self._terms.trouble_span_s * SECOND
        burst = len(self._troubles) == self._terms.trouble_burst and self._troubles[0] > since
        return not burst and self._terms.lag_factor * self._p999(since) <= self.bound(now)

    def _p999(self, since: int) -> int:
        lags = sorted(lag for at, lag in self._lags if at > since)
        return lags[(len(lags) * 999 - 1) // 1000] if lags else 0


@dataclass(frozen=True, slots=True)
class _Doubt:
    """One order in doubt."""

    symbol: str
    """Category and symbol."""
    since: int
    due: int
    create: bool
    """Whether it is the order itself that may not exist; otherwise only an amend or a cancel of it is in doubt."""
    sent: int
    """The order was sent no earlier."""
    asked: int = 0
    empty_at: int | None = None
    """Our time of the first empty look after D; a second one, later enough, is the proof."""
    told: int = 0
    """How many of the ages were told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """A doubt that has lasted too long."""

    number: int
    age_s: float
    said: str
    freeze: FreezeAsked | None = None
    """What it stops; None for a first warning."""


@dataclass(slots=True)
class Resolver:
    """Orders in doubt, by number: when each is asked for, and what the answers prove."""

    terms: ResolveTerms
    account: str
    """Whose trading stops when a doubt is too old."""
    lag: VenueLag = field(init=False)
    _doubts: dict[int, _Doubt] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.lag = VenueLag(self.terms)

    def __contains__(self, number: int) -> bool:
        return number in self._doubts

    def __len__(self) -> int:
        return len(self._doubts)

    def doubt(self, number: int, symbol: str, now: int, *, create: bool, sent: int) -> None:
        """Something was asked of the order and nobody knows what came of it; said again, it changes nothing.

        sent: the order was sent no earlier, in an earlier run perhaps.
        A create in doubt is not forgotten because an amend of it came into doubt, and its clock starts once.
        """
        known = self._doubts.get(number)
        if known is None:
            self._doubts[number] = _Doubt(symbol, now, now, create, min(sent, now))
        elif create and not known.create:
            self._doubts[number] = replace(known, create=True, since=now, empty_at=None, told=0)

    def since(self, number: int) -> int | None:
        """Return when the doubt about the order arose, ns; None where nothing is in doubt."""
        doubt = self._doubts.get(number)
        return None if doubt is None else doubt.since

    def forget(self, number: int) -> None:
        """It is known what became of the order."""
        self._doubts.pop(number, None)

    def keep(self, numbers: frozenset[int]) -> None:
        """Forget all others: what is done needs no answer."""
        self._doubts = {number: doubt for number, doubt in self._doubts.items() if number in numbers}

    def due(self, now: int) -> list[int]:
        """Which orders to ask for now, in the order in which they came into doubt."""
        return [number for number, doubt in self._doubts.items() if doubt.due <= now]

    def deadline(self, since: int, now: int) -> int:
        """D of a create that was signed no later than `since`, by what is known of the venue now."""
        terms = self.terms
        return since + (terms.window_ms + terms.clock_error_ms + terms.margin_ms) * MS + self.lag.bound(now)

    def quarantine(self, since: int, now: int) -> int:
        """Until when orders may appear that nobody remembers sending: D, with the clock's error on both sides."""
        return self.deadline(since, now) + self.terms.clock_error_ms * MS

    def _remembered(self, sent: int, now: int) -> int:
        """Until when the venue surely still lists an order that was sent then, cancelled at once perhaps."""
        terms = self.terms
        careful = (terms.clock_error_ms + terms.margin_ms) * MS + self.lag.bound(now)
        return sent + terms.expire_h * 3_600 * SECOND - careful

    def failed(self, number: int, now: int) -> None:
        """The venue gave no answer about the order."""
        self._again(number, now)

    def looked(self, number: int, now: int, ts_venue: int, *, found: bool, executed: bool, linked: bool) -> Finding:
        """Judge one look at all three sources: recent orders and history (`found`), and executions.

        ts_venue: the venue's own time at the first answer; 0 where it said none, which proves nothing. linked: every
        private link is up. FOUND, EXECUTED and NEVER_PLACED end the doubt.
        """
        doubt = self._doubts.get(number)
        if doubt is None:
            return Finding.FOUND if found else Finding.ASK
        if found or executed:
            self.forget(number)
            return Finding.FOUND if found else Finding.EXECUTED
        self._again(number, now)
        timely = self.deadline(doubt.since, now) <= ts_venue < self._remembered(doubt.sent, now)
        if not doubt.create or not timely or not linked or not self.lag.well(now):
            self._doubts[number] = replace(self._doubts[number], empty_at=None)
            return Finding.ASK
        apart = max(self.terms.look_again_ms * MS, self.lag.bound(now))
        if doubt.empty_at is None:
            self._doubts[number] = replace(self._doubts[number], empty_at=now, due=now + apart)
            return Finding.ASK
        if now - doubt.empty_at < apart:
            return Finding.ASK
        self.forget(number)
        return Finding.NEVER_PLACED

    def _again(self, number: int, now: int) -> None:
        doubt = self._doubts.get(number)
        if doubt is not None:
            due = UNKNOWN_ORDERS.next_ns(doubt.asked + 1, now) or now
            self._doubts[number] = replace(doubt, asked=doubt.asked + 1, due=due)

    def aged(self, now: int) -> list[Aged]:
        """Tell each doubt that has become older than a bound, once for each bound."""
        found = []
        for number, doubt in list(self._doubts.items()):
            steps = self._steps(doubt.symbol)
            forgotten = now - doubt.sent >= self.terms.expire_h * 3_600 * SECOND
            age = now - (doubt.sent if forgotten else doubt.since)
            reached = sum(age >= after_s * SECOND for after_s, _, _ in steps)
            if reached > doubt.told:
                self._doubts[number] = replace(doubt, told=reached)
                _, level, scope = steps[reached - 1]
                said = self._said(number, doubt, age)
                freeze = None if level is None else FreezeAsked(level, scope, CONTROL, said, now)
                found.append(Aged(number=number, age_s=age / SECOND, said=said, freeze=freeze))
        return found

    def _steps(self, symbol: str) -> tuple[tuple[int, FreezeLevel | None, Scope], ...]:
        terms, here, all_of_it = self.terms, Scope("symbol", symbol), Scope("account", self.account)
        return (
            (terms.warn_s, None, here),
            (terms.symbol_s, FreezeLevel.CANCEL_ALL, here),
            (terms.account_s, FreezeLevel.CANCEL_ALL, all_of_it),
            (terms.expire_h * 3_600, FreezeLevel.CANCEL_ALL, all_of_it),
        )

    def _said(self, number: int, doubt: _Doubt, age: int) -> str:
        seconds = age // SECOND
        if seconds >= self.terms.expire_h * 3_600:
            return (
                f"order {number} ({doubt.symbol}) in doubt for {seconds // 3_600} h: the venue may have forgotten it "
                "(EXPIRED_UNPROVEN); look at the venue's statement, then sign that it is gone"
            )
        what = "its create" if doubt.create else "a change of it"
        return (
            f"order {number} ({doubt.symbol}) in doubt for {seconds} s: {what} had no answer and the venue does not "
            f"say; asked {doubt.asked} times, it stays exposure"
        )
