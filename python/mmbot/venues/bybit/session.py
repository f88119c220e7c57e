"""Our account at Bybit, live: orders out, facts in, and nobody left without an answer.

    send ─► budget ─► trade socket ─► answer ─► sink            one answer to each request, whatever happens
               │           └ link down, or demo: the same over HTTP, once
               └ spent: a place or amend is dropped and reported; a cancel waits for the reserve, never for long

    a cancel that found no answer      is sent again over HTTP: to cancel twice is to cancel once
    a place that found no answer       is never sent again; the venue is asked once whether it has it
    an order acknowledged, not shown   is asked for; if the venue has it, our private stream is deaf: a new one
    private stream back                open orders, executions since the last one, positions and coins are asked for

Nothing here decides what to trade, and nothing here forgets an order because nobody answered.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from itertools import groupby
from random import Random
from typing import Any

import msgspec

from mmbot.execution import FencedError
from mmbot.execution.backoff import CANCELS, Backoff
from mmbot.venues.bybit.account import BybitAccount
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.clock import ERROR_MAX
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import Banned, BybitHttp, HttpTiming
from mmbot.venues.bybit.link import LinkTiming
from mmbot.venues.bybit.orders_wire import BATCH_LEGS_MAX, TradeAnswer, answer_facts, body, path
from mmbot.venues.bybit.private import Login, PrivateStream
from mmbot.venues.bybit.trade import TradeSocket
from mmbot.venues.bybit.wire import NS_PER_MS
from mmbot.venues.port import (
    Acked,
    Attestation,
    CancelAnswer,
    CancelOrder,
    CancelPath,
    Clock,
    Credentials,
    ExecutionSeen,
    Fact,
    FeeRates,
    Fence,
    InstrumentTerms,
    LinkEvent,
    LinkState,
    Looked,
    OpenEverywhere,
    OrderRequest,
    OrderSeen,
    OrderSink,
    PlaceOrder,
    PositionSeen,
    Posting,
    Reason,
    Refused,
    TermsChanged,
    Unanswered,
    VenueError,
    WalletSeen,
    kind_of,
)

__all__ = ["BybitOrders", "OrdersTiming"]

log = logging.getLogger(__name__)


class OrdersTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for the venue, in seconds."""

    ready_s: float = 15.0
    ack_s: float = 1.0
    shown_s: float = 2.0  # from an acknowledgement to the order on the private stream
    ask_s: float = 0.25  # from an unanswered place to the question whether it exists
    cancels: Backoff = CANCELS
    cancel_all_s: float = 10.0
    cancel_all_look_s: float = 0.25
    overlap_s: float = 60.0  # executions are asked for from this long before the last one heard
    clock_s: float = 60.0
    terms_s: float = 600.0
    links: LinkTiming = LinkTiming(ping_s=5.0, pong_s=2.0)
    http: HttpTiming = HttpTiming()


class _Known(msgspec.Struct, gc=False):
    """An order of ours that may be open, and whether the private stream spoke of it since our last request."""

    category: str
    symbol: str
    shown: bool = False


class BybitOrders:
    """Order entry and private facts of one account, told to one sink between `start` and `stop`."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        sink: OrderSink,
        clock: Clock,
        *,
        instruments: Sequence[tuple[str, str]],
        timing: OrdersTiming | None = None,
        reserve: float = 0.3,
        random: Random | None = None,
        fence: Fence | None = None,
    ) -> None:
        """`instruments` are the (category, symbol) that are traded; `reserve` is kept of the cancel budgets.

        `fence` is asked before each place and amend is signed; what it holds back is refused, and nothing was sent.
        """
        self._sink = sink
        self._clock = clock
        self._timing = timing or OrdersTiming()
        self._instruments = list(dict.fromkeys(instruments))
        random = random or Random()  # noqa: S311 (spreads reconnects and names requests; guards nothing)
        self._budget = RateBudget(reserve)
        self._http = BybitHttp(
            endpoint, credentials, clock, self._budget, timing=self._timing.http, random=random, fence=fence
        )
        self._http.on_ban = self._banned
        self._http.on_overasked = lambda said: self._tell([said])
        self._account = BybitAccount(self._http)
        self._private = PrivateStream(
            endpoint,
            Login(credentials, self._http.venue_ms),
            clock,
            self._account.settle,
            told=self._told,
            moved=self._private_moved,
            unread=self._unread,
            dead_man=sorted({"dcp.spot" if category == "spot" else "dcp.future" for category, _ in instruments}),
            timing=self._timing.links,
            random=random,
        )
        self._trade: TradeSocket | None = None
        if endpoint.trade is not None:
            self._trade = TradeSocket(
                endpoint,
                endpoint.trade,
                Login(credentials, self._http.venue_ms),
                clock,
                answered=self._answered,
                moved=self._trade_moved,
                venue_ms=self._http.venue_ms,
                recv_window_ms=self._timing.http.recv_window_ms,
                ack_s=self._timing.ack_s,
                timing=self._timing.links,
                random=random,
                fence=fence,
            )
        self._terms: dict[tuple[str, str], InstrumentTerms] = {}
        self._known: dict[str, _Known] = {}
        self._over_http: dict[int, Sequence[OrderRequest]] = {}
        self._over_trade: dict[int, asyncio.Future[list[Fact]]] = {}
        self._adrift: dict[str, tuple[PlaceOrder, float]] = {}
        self._hindered: dict[str, str] = {}  # why nothing may be placed although the trade link is up
        self._watermark = 0
        self._ready = asyncio.Event()
        self._behind = False
        self._catching_up = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.attestation: Attestation | None = None

    # ------------------------------------------------------------------------------------------------- life

    async def start(self) -> None:
        """Learn the clock and the rules, attest key and account, open the links and catch up.

        Raises:
            VenueError: Trading must not begin: the message says why and what to do. Nothing stays open.
        """
        try:
            await self._http.start()
            self._http.offset.check()
            for category, symbol in self._instruments:
                self._terms[category, symbol] = await self._account.instrument(category, symbol)
            self.attestation = await self.attest()
            if self.attestation.faults:
                raise VenueError("the venue is not as trading needs it: " + "; ".join(self.attestation.faults))
            self._watermark = self._http.venue_ns()
            self._private.link.start()
            if self._trade:
                self._trade.link.start()
            await self._until_ready()
        except BaseException:
            await self.stop()
            raise
        self._spawn(self._keep_clock())
        self._spawn(self._keep_terms())

    async def _until_ready(self) -> None:
        try:
            async with asyncio.timeout(self._timing.ready_s):
                await self._ready.wait()
                if self._trade:
                    await self._trade.link.until_up()
        except TimeoutError:
            said = [self._private.link.last_why, self._trade.link.last_why if self._trade else ""]
            why = "; ".join(one for one in said if one) or "no answer"
            raise VenueError(f"the links are not up after {self._timing.ready_s:g} s: {why}") from None

    async def stop(self) -> None:
        """Answer every open request with Unanswered, close the links and wait for it. Safe to call twice."""
        self._stopping = True
        if self._trade:
            await self._trade.link.stop()
        await self._private.link.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for requests in list(self._over_http.values()):
            self._tell([_unanswered(request, "stopped before an answer") for request in requests])
        self._over_http.clear()
        await self._http.stop()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run to the end, or until `stop`; what it raises is told, loudly."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            if isinstance(error, VenueError):
                log.error("the venue could not be asked: %s", error)
            else:
                task.get_loop().call_exception_handler(
                    {"message": "Bybit session: our own mistake", "exception": error}
                )

    def venue_ns(self) -> int:
        """The venue's time now, as the clock was measured last."""
        return self._http.venue_ns()

    # ------------------------------------------------------------------------------------------------- send

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Hand requests on, in order, and return. Neighbours of one kind and category go out as one batch.

        Each is answered by a fact to the sink, never from inside this call.
        """
        for group in _batches(requests):
            for request in group:
                if isinstance(request, PlaceOrder):
                    self._known[request.client_id] = _Known(request.category, request.symbol)
                elif request.client_id in self._known:
                    self._known[request.client_id].shown = False
            self._dispatch(group)

    def _dispatch(self, group: Sequence[OrderRequest]) -> None:
        cancels = isinstance(group[0], CancelOrder)
        if not cancels and self._http.offset.error > ERROR_MAX:
            self._refuse(group, "clock", "the venue's clock is not known well enough; nothing was sent")
            return
        if not cancels and self._http.banned:
            self._refuse(group, "banned", "the venue wants silence from this address; nothing was sent")
            return
        name, now = _budget(group), self._clock()
        fit = 0
        while fit < len(group) and not self._budget.take(name, now):
            fit += 1
        if fit < len(group):
            if cancels:
                self._spawn_cancels(group[fit:])
            else:
                said = f"{self._budget.limit(name)} requests per second are spent; nothing was sent"
                self._refuse(group[fit:], "rate_limited", said)
        if not fit:
            return
        try:
            sent = self._trade is not None and self._trade.request(group[:fit])
        except FencedError as error:
            self._refuse(group[:fit], "fenced", f"{error}; nothing was sent")
            return
        if not sent:
            self._spawn(self._post(group[:fit]))

    def _refuse(self, group: Sequence[OrderRequest], reason: Reason, message: str) -> None:
        refused = [
            Refused(
                client_id=request.client_id,
                request=kind_of(request),
                reason=reason,
                code=0,
                message=message,
                ts_venue=0,
            )
            for request in group
        ]
        asyncio.get_running_loop().call_soon(self._tell, refused)

    async def _post(self, group: Sequence[OrderRequest]) -> None:
        """The same over HTTP, for which the budget is paid already. Sent once."""
        if isinstance(group[0], CancelOrder):
            self._spawn_cancels(group)
            return
        kind = kind_of(group[0])
        self._over_http[id(group)] = group
        try:
            answer = await self._http.send_once(path(kind, batch=len(group) > 1), body(group), _budget(group))
        except FencedError as error:
            self._refuse(group, "fenced", f"{error}; nothing was sent")
            facts: Sequence[Fact] = ()
        except Banned as error:
            self._refuse(group, "banned", str(error))
            facts = ()
        except VenueError as error:
            facts = [_unanswered(request, str(error)) for request in group]
        else:
            facts = answer_facts(group, answer)
        del self._over_http[id(group)]
        if facts:
            self._answered(group, facts, self._clock(), None)

    # ---------------------------------------------------------------------------------------------- answers

    def _answered(
        self, requests: Sequence[OrderRequest], facts: Sequence[Fact], ts_recv: int, answer: TradeAnswer | None
    ) -> None:
        """Answers to requests: tell them, and do what each calls for."""
        if answer is not None:
            self._learn(_budget(requests), answer)
        waits = self._over_trade.get(id(requests))
        if waits is not None and not waits.done():
            waits.set_result(list(facts))
            return
        again: list[OrderRequest] = []
        told: list[Fact] = []
        for request, fact in zip(requests, facts, strict=True):
            if isinstance(request, CancelOrder) and isinstance(fact, Refused) and fact.reason == "rate_limited":
                again.append(request)  # a cancel is not dropped: from the reserve, and answered then
                continue
            told.append(fact)
            self._follow_up(request, fact)
        if told:
            self._sink.on_facts(told, ts_recv)
        self._spawn_cancels(again)

    def _learn(self, name: str, answer: TradeAnswer) -> None:
        now = self._clock()
        reset = None if answer.reset_ms is None else answer.reset_ms * NS_PER_MS - self._http.offset.offset
        self._budget.learn(name, now, answer.limit, answer.remaining, reset)
        if answer.answer.code == 10006:
            self._budget.refused(name, now, reset)

    def _follow_up(self, request: OrderRequest, fact: Fact) -> None:
        if self._stopping:
            return
        match fact:
            case Acked():
                known = self._known.get(fact.client_id)
                if known is not None and not known.shown:
                    asyncio.get_running_loop().call_later(self._timing.shown_s, self._not_shown, fact.client_id)
            case Unanswered():
                if isinstance(request, PlaceOrder):
                    late = self._timing.http.recv_window_ms / 1_000 + 1.0  # after that the venue refuses it by its age
                    self._adrift[request.client_id] = (request, asyncio.get_running_loop().time() + late)
                self._spawn(self._cancel(request) if isinstance(request, CancelOrder) else self._ask(request))
            case Refused():
                if isinstance(request, PlaceOrder):
                    self._known.pop(fact.client_id, None)
                if fact.reason == "clock" and fact.code:
                    self._spawn(self._measure_clock())

    async def _ask(self, request: OrderRequest) -> None:
        """Ask the venue once about an order whose request found no answer; silence proves nothing and is not told."""
        await asyncio.sleep(self._timing.ask_s)
        found = (await self._account.find(request.category, request.symbol, request.client_id)).order
        if found is not None:
            self._tell([found])

    def _not_shown(self, client_id: str) -> None:
        known = self._known.get(client_id)
        if known is not None and not known.shown and not self._stopping:
            self._spawn(self._look_for(client_id, known))

    async def _look_for(self, client_id: str, known: _Known) -> None:
        """An order was acknowledged and has not shown: is it gone, or is our stream deaf?"""
        found = (await self._account.find(known.category, known.symbol, client_id)).order
        if known.shown or self._known.get(client_id) is not known:
            return  # it came while we asked
        if found is None:
            why = f"acknowledged, but not shown in {self._timing.shown_s:g} s, and the venue does not find it"
            self._tell([Unanswered(client_id=client_id, request="place", why=why)])
            return
        self._tell([found])
        self._link("private", "stale", f"{client_id} is at the venue, but the stream has not told it")
        self._private.link.restart("the stream is deaf")

    # ------------------------------------------------------------------------------------------------ facts

    def _told(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Facts of the stream, or of our own making: remember what they say of our orders, and pass them on."""
        for fact in facts:
            if isinstance(fact, OrderSeen):
                self._adrift.pop(fact.client_id, None)
                known = self._known.get(fact.client_id)
                if known is not None:
                    known.shown = True
                    if fact.status in ("filled", "canceled", "rejected"):
                        del self._known[fact.client_id]
            elif isinstance(fact, ExecutionSeen):
                self._watermark = max(self._watermark, fact.ts_venue)
        self._sink.on_facts(facts, ts_recv)

    def _tell(self, facts: Sequence[Fact]) -> None:
        """Facts that we asked for or made, rather than heard on a stream."""
        if facts:
            self._told(facts, self._clock())

    def _link(self, link: str, state: LinkState, why: str) -> None:
        self._sink.on_link(LinkEvent(link="trade" if link == "trade" else "private", state=state, why=why))

    def _private_moved(self, state: LinkState, why: str) -> None:
        if state == "up":
            self._fall_behind()
        else:
            self._ready.clear()
            self._link("private", state, why)

    def _unread(self, why: str) -> None:
        """A private message was lost on us: what it may have said is asked for."""
        self._fall_behind()

    def _fall_behind(self) -> None:
        self._behind = True
        if not self._catching_up and not self._stopping:
            self._catching_up = True
            self._spawn(self._catch_up())

    def _trade_moved(self, state: LinkState, why: str) -> None:
        if state == "up" and self._hindered:
            state, why = "stale", "; ".join(self._hindered.values())
        self._link("trade", state, why)

    def _hinder(self, what: str, why: str) -> None:
        """Until `_unhinder` of the same the trade link is stale, whatever else becomes of it."""
        known, self._hindered[what] = what in self._hindered, why
        if not known:
            self._link("trade", "stale", why)

    def _unhinder(self, what: str, why: str) -> None:
        known = self._hindered.pop(what, None)
        if known and not self._hindered and (self._trade is None or self._trade.link.is_up):
            self._link("trade", "up", why)

    def _banned(self, why: str) -> None:
        log.critical("%s", why)
        if "ban" not in self._hindered:
            self._spawn(self._sit_out())
        self._hinder("ban", why)

    async def _sit_out(self) -> None:
        while (left := self._http.silence_s) > 0:
            await asyncio.sleep(left)
        self._unhinder("ban", "the silence that the venue wanted is over")

    async def _catch_up(self) -> None:
        """Tell what the stream may have missed, then say that it is up. Facts repeat; they are joined."""
        try:
            while self._behind:
                self._behind = False
                for category, symbol in self._instruments:
                    await self._catch_up_with(category, symbol)
                self._tell(await self._account.wallet())
        except VenueError as error:
            self._link("private", "stale", f"catching up failed: {error}")
            self._private.link.restart("catching up failed")
            return
        finally:
            self._catching_up = False
        if self._private.link.is_up and not self._ready.is_set():
            self._ready.set()
            self._link("private", "up", "subscribed and caught up")

    async def _catch_up_with(self, category: str, symbol: str) -> None:
        since = self._watermark - int(self._timing.overlap_s * 1e9)
        believed = [name for name, one in self._known.items() if (one.category, one.symbol) == (category, symbol)]
        opened = await self._account.open_orders(category, symbol)
        self._tell(opened)
        listed = {order.client_id for order in opened}
        for client_id in believed:
            if client_id not in listed and client_id in self._known:
                found = (await self._account.find(category, symbol, client_id)).order
                if found is not None:
                    self._tell([found])
        executed = await self._account.executions(category, symbol, since)
        self._tell(executed)
        if category != "spot":
            self._tell([await self._account.position(category, symbol)])

    # ---------------------------------------------------------------------------------------------- cancels

    def _spawn_cancels(self, requests: Sequence[OrderRequest]) -> None:
        for request in requests:
            if isinstance(request, CancelOrder):
                self._spawn(self._cancel(request))

    async def _cancel(self, request: CancelOrder) -> None:
        """Cancel over HTTP from the reserve, again after silence and limits, and tell what came of it."""
        self._over_http[id(request)] = (request,)
        failures = 0
        while True:
            try:
                answer = await self._http.cancel(body([request]), _budget([request]))
            except VenueError as error:
                fact: Fact = _unanswered(request, str(error))
            else:
                [fact] = answer_facts([request], answer)
            again = isinstance(fact, Unanswered) or (
                isinstance(fact, Refused) and fact.reason in ("rate_limited", "busy")
            )
            failures += 1
            delay_s = self._timing.cancels.delay_s(failures) if again else None
            if delay_s is None:
                break
            await asyncio.sleep(delay_s)
        self._over_http.pop(id(request), None)
        self._tell([fact])

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel every order of an instrument, foreign ones too, until the venue, asked twice, knows none.

        First in bulk, then one by one, again and again; places that are under way are waited for. Returns how many
        orders were seen. Raises VenueError naming what is left after `OrdersTiming.cancel_all_s`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timing.cancel_all_s
        bulk = msgspec.json.encode({"category": category, "symbol": symbol})
        seen: set[str] = set()
        quiet, rounds, trouble = 0, 0, "none was seen, but places of ours are under way"
        while loop.time() < deadline:
            try:
                opened = await self._account.open_orders(category, symbol)
                self._tell(opened)
                seen |= {order.venue_id for order in opened}
                if rounds == 0:
                    await self._http.cancel_all(bulk)
                elif opened:
                    trouble = f"{len(opened)} were open when last asked"
                    await asyncio.gather(*(self._cancel_by_id(order) for order in opened))
            except VenueError as error:
                trouble = str(error)
            else:
                quiet = 0 if opened or self._places_under_way(category, symbol) else quiet + 1
                if quiet == 2:
                    return len(seen)
            rounds += 1
            await asyncio.sleep(self._timing.cancel_all_look_s)
        raise VenueError(
            f"{symbol}: orders may still be open after {self._timing.cancel_all_s:g} s: {trouble}; cancel by hand"
        )

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One bulk request, sent once; the venue takes 500 at most. Raises VenueError."""
        answer = await self._http.cancel_all(msgspec.json.encode({"category": category, "symbol": symbol}))
        if answer.code != 0:
            raise VenueError(f"{symbol}: the venue refuses to cancel all: {answer.code} {answer.message}")

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """Cancel orders of one category by one request over this way: see the port. A batch holds 20, of spot 10."""
        requests = [
            CancelOrder(client_id="", category=one.category, symbol=one.symbol, venue_id=one.venue_id)
            if one.venue_id
            else CancelOrder(client_id=one.client_id, category=one.category, symbol=one.symbol)
            for one in orders
        ]
        try:
            facts = await (self._cancel_rest(requests) if path == "rest" else self._cancel_trade(requests))
        except VenueError as error:
            facts = [_unanswered(request, str(error)) for request in requests]
        return [
            msgspec.structs.replace(fact, client_id=one.client_id)
            for one, fact in zip(orders, facts, strict=True)
            if isinstance(fact, Acked | Refused | Unanswered)
        ]

    async def _cancel_rest(self, requests: Sequence[OrderRequest]) -> list[Fact]:
        answer = await self._http.cancel(body(requests), _budget(requests), len(requests))
        return answer_facts(requests, answer)

    async def _cancel_trade(self, requests: Sequence[OrderRequest]) -> list[Fact]:
        """Over the trade socket or not at all. Raises VenueError."""
        waits = asyncio.get_running_loop().create_future()
        self._over_trade[id(requests)] = waits
        try:
            if self._trade is None or not self._trade.request(requests):
                raise VenueError("there is no trade link now")
            facts: list[Fact] = await waits
        finally:
            del self._over_trade[id(requests)]
        return facts

    def _places_under_way(self, category: str, symbol: str) -> bool:
        """Whether an order may still come to be there: sent and not answered, not even by its age."""
        now = asyncio.get_running_loop().time()
        self._adrift = {name: one for name, one in self._adrift.items() if one[1] > now}
        sent: list[OrderRequest] = [request for request, _ in self._adrift.values()]
        sent += [*(self._trade.under_way if self._trade else ())]
        sent += [request for group in self._over_http.values() for request in group]
        return any(
            isinstance(request, PlaceOrder) and (request.category, request.symbol) == (category, symbol)
            for request in sent
        )

    async def _cancel_by_id(self, order: OrderSeen) -> None:
        """One order by the venue's own name; its outcome is seen when the open orders are asked for again."""
        wanted = {"category": order.category, "symbol": order.symbol, "orderId": order.venue_id}
        try:
            await self._http.cancel(msgspec.json.encode(wanted), _budget_name("cancel", order.category))
        except VenueError as error:
            log.warning("cancel of %s: %s", order.venue_id, error)

    # ----------------------------------------------------------------------------------------------- asking

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, foreign ones too. Raises VenueError."""
        return await self._account.open_orders(category, symbol)

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order of the account, in whatever instrument; a part that cannot be looked at is named."""
        return await self._account.open_everywhere()

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """What the venue knows of one order, open or not; finding none proves nothing. Raises VenueError."""
        return await self._account.find(category, symbol, client_id)

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, oldest first. Raises VenueError."""
        return await self._account.executions(category, symbol, since_ns)

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order by its name, oldest first. Raises VenueError."""
        return await self._account.executions_of(category, symbol, client_id)

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position; for spot, what the account holds of the base coin. Raises VenueError."""
        return await self._account.position(category, symbol)

    async def wallet(self) -> list[WalletSeen]:
        """Every coin that the account holds. Raises VenueError."""
        return await self._account.wallet()

    async def postings(self, since_ns: int) -> list[Posting]:
        """Changes of the account's coins from then on, oldest first. Raises VenueError."""
        return await self._account.postings(since_ns)

    async def attest(self) -> Attestation:
        """What our key may do and how the account is set. Raises VenueError."""
        return await self._account.attest(self._instruments)

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules of one instrument, asked anew. Raises VenueError."""
        return await self._account.instrument(category, symbol)

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """What this account pays there. Raises VenueError."""
        return await self._account.fee_rates(category, symbol)

    # ------------------------------------------------------------------------------------------ housekeeping

    async def _measure_clock(self) -> None:
        await self._http.measure_clock()
        known = f"the venue's clock is known to ±{self._http.offset.error / 1e6:.0f} ms"
        if self._http.offset.error > ERROR_MAX:
            self._hinder("clock", f"{known} only")
        else:
            self._unhinder("clock", known)

    async def _keep_clock(self) -> None:
        while True:
            await asyncio.sleep(self._timing.clock_s)
            try:
                await self._measure_clock()
            except VenueError as error:
                log.warning("the venue's clock could not be asked: %s", error)

    async def _keep_terms(self) -> None:
        while True:
            await asyncio.sleep(self._timing.terms_s)
            for (category, symbol), before in list(self._terms.items()):
                try:
                    after = await self._account.instrument(category, symbol)
                except VenueError as error:
                    log.warning("the rules of %s could not be asked: %s", symbol, error)
                    continue
                if after != before:
                    self._terms[category, symbol] = after
                    self._tell([TermsChanged(before=before, after=after)])


def _unanswered(request: OrderRequest, why: str) -> Unanswered:
    return Unanswered(client_id=request.client_id, request=kind_of(request), why=why)


def _batches(requests: Sequence[OrderRequest]) -> Iterator[list[OrderRequest]]:
    """Neighbours of one kind and category, no more of them than one request carries."""
    for (_, category), group in groupby(requests, key=lambda one: (type(one), one.category)):
        alike = list(group)
        size = BATCH_LEGS_MAX.get(category, 1)
        for at in range(0, len(alike), size):
            yield alike[at : at + size]


def _budget(group: Sequence[OrderRequest]) -> str:
    """The rate budget that a request, or a batch of them, spends from."""
    kind = kind_of(group[0])
    return _budget_name(kind if len(group) == 1 else f"{kind}-batch", group[0].category)


def _budget_name(group: str, category: str) -> str:
    return f"{group}:spot" if category == "spot" else group
