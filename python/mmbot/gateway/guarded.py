"""An order session behind the gateway's rules: what has no objection goes through, and nothing else.

    engine ── requests ──▶ GatewayCore ──▶ session            refused: told at once, with every objection
    engine ◀── facts ────── heard first ◀── session
                              ▲
    own market feed ──────────┘         prices that the engine had no hand in

It is an `OrderEntry` for whoever trades and an `OrderSink` for the session, so it stands in a process with the engine
(paper, demo) as it stands in one of its own behind a socket (`mmbot.gateway.server`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec import structs

from mmbot.gateway.core import ask_reason
from mmbot.venues.port import (
    ARRIVES_NS,
    Attestation,
    LinkEvent,
    OrderSeen,
    Refused,
    TellsVenueTime,
    VenueError,
    kind_of,
)
from mmbot.venues.records import BookLost, BookUpdate, Ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from mmbot.gateway.core import GatewayCore, Market, Objection
    from mmbot.risk.levels import FreezeLevel
    from mmbot.venues.port import (
        CancelAnswer,
        CancelPath,
        Clock,
        ExecutionSeen,
        Fact,
        FeeRates,
        Heard,
        InstrumentTerms,
        Looked,
        OrderEntry,
        OrderRequest,
        OrderSink,
        PositionSeen,
        Posting,
        PublicFeed,
        WalletSeen,
    )

__all__ = ["GuardedOrders", "References"]

log = logging.getLogger(__name__)

LOOK_S = 10.0
ATTEST_S = 3_600.0
REFERENCE_S = 5.0
"""How long a start waits for the first reference of every instrument."""


class References:
    """Listens to the gateway's own market feed, and tells the core the touch and the mark price."""

    def __init__(self, core: GatewayCore, steady: Clock) -> None:
        self._core, self._steady = core, steady
        self.heard = asyncio.Event()
        """Every instrument has a reference."""

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Raw bytes are of no use here."""

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Take the touch of whole books of depth one, and mark prices."""
        now = self._steady()
        for record in records:
            match record:
                case BookUpdate(depth=1, bids=[(bid, _), *_], asks=[(ask, _), *_]):
                    self._core.refer((category, record.symbol), "touch", bid, ask, now)
                case BookUpdate(depth=1):
                    self._core.unrefer((category, record.symbol), "touch")  # a side is gone: there is no mid
                case BookLost():
                    self._core.unrefer((category, record.symbol), "touch")
                case Ticker(mark=str(mark)):
                    self._core.refer((category, record.symbol), "mark", mark, mark, now)
        if not self.heard.is_set() and all(self._core.has_reference(market) for market in self._core.markets):
            self.heard.set()

    def on_link(self, event: LinkEvent) -> None:
        """Nothing to do: a feed that is silent makes its references old, and old ones deny."""


class GuardedOrders:
    """See the module. `attach` a session before `start`.

    steady: ns of one clock of this machine that also counts sleep. wall: ns since epoch, for a session that does not
    tell the venue's time, by which requests are signed.
    levels: the freeze levels now, by "category symbol" and "" for all; asked before each decision, so it must be quick.
    decided_ago: ns since what an engine in this process sends now was decided. asked: hears what an operator must know.
    """

    def __init__(
        self,
        core: GatewayCore,
        sink: OrderSink,
        *,
        steady: Clock,
        wall: Clock,
        levels: Callable[[], Mapping[str, FreezeLevel]] = dict,
        decided_ago: Callable[[], int] = lambda: 0,
        look_s: float = LOOK_S,
        attest_s: float = ATTEST_S,
        told: Callable[[dict[str, object]], None] = lambda _: None,
    ) -> None:
        self.core = core
        self.attestation: Attestation | None = None
        """What the venue said of key and account last."""
        self._sink, self._steady, self._wall = sink, steady, wall
        self.levels = levels
        """Says the freeze levels now; see above."""
        self._ago, self._look_s, self._attest_s, self._told = decided_ago, look_s, attest_s, told
        self._session: OrderEntry | None = None
        self._feed: PublicFeed | None = None
        self.references = References(core, steady)
        """Listens to the gateway's own market feed."""
        self._tasks: list[asyncio.Task[None]] = []
        self._missed: dict[str, int] = {}

    def attach(self, session: OrderEntry, feed: PublicFeed) -> None:
        """Say who carries what passes, and where reference prices come from."""
        self._session, self._feed = session, feed

    def _through(self) -> OrderEntry:
        if self._session is None:
            raise VenueError("the gateway leads nowhere yet; attach a session first")
        return self._session

    def venue_ns(self) -> int:
        """The venue's time now, ns since epoch, as the session knows it."""
        session = self._through()
        return session.venue_ns() if isinstance(session, TellsVenueTime) else self._wall()

    async def attest_here(self) -> Attestation:
        """As `attest`, with `clock_offset` against the steady clock, which every process of this machine shares."""
        attestation = await self.attest()
        return structs.replace(attestation, clock_offset=self.venue_ns() - self._steady())

    # ---- out

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Let through what no rule objects to, in order: for an engine in this process, of the gateway's epoch."""
        self.pass_on(requests, self._steady() - self._ago(), self.core.epoch)

    def pass_on(self, requests: Sequence[OrderRequest], decided: int, epoch: int) -> None:
        """As `send`, for requests that were decided then, by the steady clock, by an engine of that epoch."""
        self.core.freeze(self.levels())
        signing = self.venue_ns()
        passing: list[OrderRequest] = []
        refused: list[Fact] = []
        for request in requests:
            said = self.core.judge(request, epoch=epoch, decided=decided, now=self._steady(), wall=signing)
            if said:
                refused.append(_no(request, said))
            else:
                passing.append(request)
        if passing:
            self._through().send(passing)
        if refused:  # heard after the caller is done, as any answer is
            asyncio.get_running_loop().call_soon(self._sink.on_facts, refused, self._wall())

    # ---- in

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Hear what facts say of the account, and pass them on."""
        now = self._steady()
        for fact in facts:
            self.core.hear(fact, now)
        self._sink.on_facts(facts, ts_recv)

    def on_link(self, event: LinkEvent) -> None:
        """Without the private link the account is not heard, and nothing new leaves."""
        if event.link == "private":
            self.core.deaf = "" if event.state == "up" else f"private link {event.state}: {event.why}"
        self._sink.on_link(event)

    # ---- life

    async def start(self) -> None:
        """Start the session, attest key and account, read the account, and wait a while for references.

        Raises VenueError where trading must not begin; then nothing stays open.
        """
        try:
            await self._through().start()
            await self.attest()
            for market in self.core.markets:
                await self._look(market)
            if self._feed is not None:
                await self._feed.start()
                await self._await_references()
        except BaseException:
            await self.stop()
            raise
        self._tasks = [
            asyncio.create_task(self._every(self._look_s, self._look_at_all)),
            asyncio.create_task(self._every(self._attest_s, self._attest_again)),
        ]

    async def _await_references(self) -> None:
        try:
            async with asyncio.timeout(REFERENCE_S):
                await self.references.heard.wait()
        except TimeoutError:
            log.warning(
                "no reference price of every instrument after %g s; orders without one are refused", REFERENCE_S
            )

    async def stop(self) -> None:
        """Stop looking, the feed and the session. Cancels nothing. Safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._feed is not None:
            await self._feed.stop()
        await self._through().stop()

    async def _every(self, seconds: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await act()
            except VenueError as error:  # what it would have found out is asked for again next time
                log.warning("the venue could not be asked: %s", error)

    async def _attest_again(self) -> None:
        await self.attest()

    async def _look_at_all(self) -> None:
        for market in self.core.markets:
            await self._look(market)

    async def _look(self, market: Market) -> None:
        """Ask for open orders and position, and about every order that the answer leaves open."""
        session, since = self._through(), self._steady()
        known = self.core.open_names(market)
        opened = await session.open_orders(*market)
        position = await session.position(*market)
        listed = {seen.client_id or seen.venue_id for seen in opened}
        self.core.looked(market, opened, position, since, self._steady())
        doubtful = {name for one, name in self.core.in_doubt(since - ARRIVES_NS) if one == market}
        for name in [*known, *doubtful]:
            if name not in listed and name in self.core.open_names(market):
                await self._ask(session, market, name, proven=name in doubtful)

    async def _ask(self, session: OrderEntry, market: Market, name: str, *, proven: bool) -> None:
        """Ask for one order. Twice nothing, of one that can arrive no more, proves that it never came to be."""
        looked = await session.find(*market, name)
        if looked.order is not None:
            self._missed.pop(name, None)
            self.core.hear(looked.order, self._steady())
            return
        if proven:
            self._missed[name] = self._missed.get(name, 0) + 1
            if self._missed[name] >= 2:
                del self._missed[name]
                self.core.absent(market, name)

    # ---- what is asked of the venue

    async def attest(self) -> Attestation:
        """What our key may do and how the account is set; with a fault nothing new leaves until it is gone."""
        attestation = await self._through().attest()
        account = self.core.limits.account
        if account is not None and attestation.account != account:
            wrong = f"the key is of account {attestation.account}; the limits are for {account}"
            attestation = _with_fault(attestation, wrong)
        before, self.core.faults, self.attestation = self.core.faults, attestation.faults, attestation
        if attestation.faults and attestation.faults != before:
            why = "key or account are not fit: " + "; ".join(attestation.faults)
            log.critical("%s", why)
            self._told({"event": "attestation", "faults": list(attestation.faults)})
            self._sink.on_link(LinkEvent(link="trade", state="stale", why=why, conn="attestation"))
        elif before and not attestation.faults:
            self._sink.on_link(LinkEvent(link="trade", state="up", why="key and account are fit", conn="attestation"))
        return attestation

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel everything of an instrument; no rule objects."""
        return await self._through().cancel_all(category, symbol)

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One request to cancel everything of an instrument; no rule objects."""
        await self._through().cancel_bulk(category, symbol)

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Cancel these over this very way; no rule objects."""
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

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """Ask the session."""
        return await self._through().instrument(category, symbol)

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """Ask the session."""
        return await self._through().fee_rates(category, symbol)


def _with_fault(attestation: Attestation, fault: str) -> Attestation:
    return structs.replace(attestation, faults=(*attestation.faults, fault))


def _no(request: OrderRequest, said: Sequence[Objection]) -> Refused:
    """A refusal of ours, named by the first objection and worded by all."""
    return Refused(
        client_id=request.client_id,
        request=kind_of(request),
        reason=ask_reason(said[0].rule),
        code=0,
        message="the gateway refuses: " + "; ".join(f"{one.rule}: {one.said}" for one in said),
        ts_venue=0,
    )
