"""Between a run and its order session: the throttle, the breaker, the taker cap, and what they hear.

    run ── requests ──▶ age ─ taker cap ─ breaker ─ throttle ──▶ session
    run ◀── facts ───── what they say of us ◀─────────────────── session

A place or an amend that may not leave now is refused at once, as a venue would: it is not kept, because what was wanted
then may not be wanted later. A cancel that finds no room is kept until there is some, less than a second later, and
cancel-all never waits. While the breaker is open the link "trade breaker" counts as down, so that the run takes its
quotes out and does not ask again and again; when it is up again, the first order is the probe.

Over a restart the breaker stands where it stood (`resume`). Throttle and taker cap begin anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from mmbot.execution import (
    Breaker,
    BreakerEvent,
    BreakerState,
    Denial,
    Phase,
    Ruling,
    TakerCap,
    TakerCapState,
    Throttle,
    ThrottleState,
    Trouble,
)
from mmbot.execution.ruling import LEAD_NS
from mmbot.venues.port import (
    Acked,
    CancelOrder,
    ExecutionSeen,
    LinkEvent,
    Overasked,
    PlaceOrder,
    Refused,
    Unanswered,
    VenueError,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot.venues.port import (
        AmendOrder,
        Attestation,
        CancelAnswer,
        CancelPath,
        Clock,
        Fact,
        FeeRates,
        InstrumentTerms,
        Looked,
        Market,
        OrderEntry,
        OrderRequest,
        OrderSeen,
        OrderSink,
        PositionSeen,
        Posting,
        Reason,
        RequestKind,
        WalletSeen,
    )

__all__ = ["OrderGate"]

_NS_PER_SECOND = 1_000_000_000
_TROUBLES: dict[Reason, Trouble] = {
    "rate_limited": Trouble.RATE_LIMITED,
    "overloaded": Trouble.OVERLOADED,
    "banned": Trouble.BANNED,
}
_EXECUTIONS_KEPT = 10_000
"""Names of executions that are remembered, so that one that is told again counts once."""


class OrderGate:
    """An `OrderEntry` for the run and an `OrderSink` for the session, which is given by `attach`.

    clock: must not go back, and is only read. told: hears of the breaker, as events for a log or an operator.
    """

    def __init__(
        self,
        sink: OrderSink,
        clock: Clock,
        *,
        throttle: Throttle | None = None,
        breaker: Breaker | None = None,
        taker_cap: TakerCap | None = None,
        told: Callable[[dict[str, object]], None] = lambda _: None,
    ) -> None:
        self._sink, self._clock, self._told = sink, clock, told
        self._throttle, self._breaker = throttle or Throttle(), breaker or Breaker()
        self._spent = ThrottleState()
        self._taker_cap = taker_cap
        self._taken: dict[Market, TakerCapState] = {}
        self._executions: dict[str, None] = {}
        self.breaker = BreakerState()
        """Where the breaker stands."""
        self.decided: Callable[[], int] | None = None
        """When the requests that come now were decided, ns since epoch; None: their age is not looked at."""
        self.decision_age_ns = 250_000_000
        """Oldest decision that may still leave."""
        self._keep: Callable[[BreakerState], None] = lambda _: None
        self._session: OrderEntry | None = None
        self._waiting: deque[CancelOrder] = deque()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.frozen: Callable[[OrderRequest], str] = lambda _: ""
        """Says why a place or an amend may not leave, "" where it may: the freeze board's word, asked last of all."""

    def attach(self, session: OrderEntry) -> None:
        """Say who carries what passes."""
        self._session = session

    def resume(self, left: BreakerState, keep: Callable[[BreakerState], None]) -> None:
        """Go on from where an earlier run left the breaker; `keep` is given what it becomes, but for its probes."""
        self._keep = keep
        if self.breaker != BreakerState():  # there was trouble already, and that is the newer word
            keep(self.breaker)
            return
        self.breaker = left
        if left.open_until_ns is not None and left.phase(self._clock()) is Phase.OPEN:
            self._at("breaker", left.open_until_ns, self._half_open)
            why = "the breaker is open since before this run because the venue was asked too much"
            self._tell(BreakerEvent("circuit_breaker_tripped", why, left.open_until_ns))

    @property
    def circuit_breaker_state(self) -> int:
        """The metric: 1 while the breaker is open, else 0."""
        return self.breaker.gauge(self._clock())

    # ---- out

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Let through what may leave now, in order; refuse or keep the rest."""
        passing: list[OrderRequest] = []
        refused: list[Fact] = []
        for request in requests:
            if isinstance(request, CancelOrder):
                self._waiting.append(request)
                passing += self._cancels()
                continue
            now = self._clock()
            stopped = self.frozen(request)
            if stopped:
                refused.append(_no(request, stopped, now, "frozen"))
                continue
            ruling = self._aged(now) or self._takes(request, now) or self._ask(kind_of(request), now)
            if ruling.allowed:
                passing.append(request)
            else:
                taker = ruling.denial is Denial.TAKER_SHARE
                refused.append(_no(request, ruling.said, now, "limit" if taker else "rate_limited"))
        if passing:
            self._through().send(passing)
        if refused:  # heard after the caller is done, as any answer is
            asyncio.get_running_loop().call_soon(self._sink.on_facts, refused, self._clock())

    def _aged(self, now: int) -> Ruling | None:
        """Refuse what was decided too long ago: a slow strategy, or a slow disk, speaks of a market that is gone."""
        age = 0 if self.decided is None else now - self.decided()
        if -LEAD_NS <= age <= self.decision_age_ns:
            return None
        said = f"decided {age / 1e6:.0f} ms ago; expected at most {self.decision_age_ns / 1e6:.0f} ms"
        return Ruling(Denial.DECISION_AGE, said)

    def _takes(self, request: PlaceOrder | AmendOrder, now: int) -> Ruling | None:
        """Refuse what may take liquidity beyond our share of it; what only reduces a position is never refused."""
        if self._taker_cap is None or not isinstance(request, PlaceOrder) or request.post_only or request.reduce_only:
            return None
        market = request.category, request.symbol
        amount = float(request.price) * float(request.qty)
        state, ruling = self._taker_cap.check(self._taken.get(market, TakerCapState()), now, amount=amount)
        self._taken[market] = state
        return None if ruling.allowed else ruling

    def _executed(self, fact: ExecutionSeen) -> None:
        if self._taker_cap is None or fact.kind != "trade" or fact.execution_id in self._executions:
            return
        self._executions[fact.execution_id] = None
        if len(self._executions) > _EXECUTIONS_KEPT:
            del self._executions[next(iter(self._executions))]
        market, amount = (fact.category, fact.symbol), float(fact.price) * float(fact.qty)
        self._taken[market] = self._taker_cap.fill(
            self._taken.get(market, TakerCapState()), self._clock(), taker=not fact.maker, amount=amount
        )

    def _ask(self, kind: RequestKind, now: int) -> Ruling:
        self.breaker, ruling = self._breaker.ask(self.breaker, now, kind)
        if ruling.allowed:
            self._spent, ruling = self._throttle.ask(self._spent, now, kind)
        return ruling

    def _cancels(self) -> list[CancelOrder]:
        """Take the waiting cancels for which there is room, the oldest first; the rest is asked for again in time."""
        leaving: list[CancelOrder] = []
        while self._waiting:
            self._spent, ruling = self._throttle.ask(self._spent, self._clock(), "cancel")
            if not ruling.allowed:
                self._at("cancels", ruling.retry_ns or self._clock(), self._send_cancels)
                break
            leaving.append(self._waiting.popleft())
        return leaving

    def _send_cancels(self) -> None:
        leaving = self._cancels()
        if leaving:
            self._through().send(leaving)

    def _at(self, name: str, due_ns: int, act: Callable[[], None]) -> None:
        """Act then; one timer of a name at a time."""
        earlier = self._timers.pop(name, None)
        if earlier is not None:
            earlier.cancel()
        delay = max(0, due_ns - self._clock()) / _NS_PER_SECOND
        self._timers[name] = asyncio.get_running_loop().call_later(delay, act)

    def _through(self) -> OrderEntry:
        if self._session is None:
            raise VenueError("the order gate leads nowhere yet; attach a session first")
        return self._session

    # ---- in

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Hear what facts say of our manners, and pass them on."""
        for fact in facts:
            match fact:
                case Acked() | Refused() | Unanswered():
                    self._judge(fact)
                case ExecutionSeen():
                    self._executed(fact)
                case Overasked():
                    self._troubled(_TROUBLES[fact.reason])
        self._sink.on_facts(facts, ts_recv)

    def on_link(self, event: LinkEvent) -> None:
        """Pass it on."""
        self._sink.on_link(event)

    def _judge(self, fact: Acked | Refused | Unanswered) -> None:
        trouble = None
        if not isinstance(fact, Acked):
            ours = isinstance(fact, Refused) and fact.held_back
            trouble = None if ours else _TROUBLES.get(fact.reason)
        if trouble is not None:
            self._troubled(trouble)
        elif fact.request != "cancel" and not isinstance(fact, Unanswered):
            self.breaker, event = self._breaker.answered(self.breaker, self._clock())
            if event is not None:
                self._keep(self.breaker)
                self._tell(event)

    def _troubled(self, trouble: Trouble) -> None:
        now = self._clock()
        self.breaker, event = self._breaker.troubled(self.breaker, now, trouble)
        self._at("breaker", self.breaker.open_until_ns or now, self._half_open)
        self._keep(self.breaker)
        if event is not None:
            self._tell(event)

    def _tell(self, event: BreakerEvent) -> None:
        self._told({"event": event.name, "why": event.said, "until_ns": event.until_ns})
        if event.name == "circuit_breaker_tripped":
            self._sink.on_link(LinkEvent(link="trade", state="down", why=event.said, conn="breaker"))

    def _half_open(self) -> None:
        now = self._clock()
        if self.breaker.phase(now) is Phase.OPEN:  # trouble while open moved the end on
            self._at("breaker", self.breaker.open_until_ns or now, self._half_open)
        elif self.breaker.phase(now) is Phase.HALF_OPEN:
            why = "the breaker is half open: the next order is its probe"
            self._sink.on_link(LinkEvent(link="trade", state="up", why=why, conn="breaker"))

    # ---- what passes as it is

    async def start(self) -> None:
        """Start the session."""
        await self._through().start()

    async def stop(self) -> None:
        """Send the cancels that wait, whatever the throttle says, and stop the session. Safe to call twice."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._waiting:
            self._through().send(list(self._waiting))
            self._waiting.clear()
        await self._through().stop()

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel everything: the throttle counts it and lets it pass."""
        self._spent, _ = self._throttle.ask(self._spent, self._clock(), "cancel_all")
        return await self._through().cancel_all(category, symbol)

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """Ask the session: nothing of ours holds it back, the throttle counts it."""
        self._spent, _ = self._throttle.ask(self._spent, self._clock(), "cancel_all")
        await self._through().cancel_bulk(category, symbol)

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Ask the session: nothing of ours holds it back."""
        return await self._through().cancel_over(path, orders)

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Ask the session."""
        return await self._through().open_orders(category, symbol)

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """Ask the session."""
        return await self._through().find(category, symbol, client_id)

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Ask the session."""
        return await self._through().executions(category, symbol, since_ns)

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Ask the session."""
        return await self._through().executions_of(category, symbol, client_id)

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """Ask the session."""
        return await self._through().position(category, symbol)

    async def wallet(self) -> list[WalletSeen]:
        """Ask the session."""
        return await self._through().wallet()

    async def postings(self, since_ns: int) -> list[Posting]:
        """Ask the session."""
        return await self._through().postings(since_ns)

    async def attest(self) -> Attestation:
        """Ask the session."""
        return await self._through().attest()

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """Ask the session."""
        return await self._through().instrument(category, symbol)

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """Ask the session."""
        return await self._through().fee_rates(category, symbol)


def _no(request: PlaceOrder | AmendOrder, said: str, now: int, reason: Reason) -> Refused:
    return Refused(
        client_id=request.client_id,
        request=kind_of(request),
        reason=reason,
        code=0,
        message=said,
        ts_venue=now,
    )
