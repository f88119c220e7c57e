"""The engine's end of the gateway's socket: an `OrderEntry` that holds no key.

    send ─▶ socket ─▶ gateway ─▶ venue
    facts ◀─ socket ◀─ gateway            as the session tells them
    the gateway dies                      what was under way becomes Unanswered, the links are down, and it is asked for
                                          again until it is back

A place while the gateway is away is refused: nothing was sent. A cancel is unanswered: the order stays what it was.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import structs

from mmbot.gateway import wire
from mmbot.gateway.place import connected, peer_uid
from mmbot.venues.port import (
    Acked,
    Attestation,
    CancelAnswer,
    CancelOrder,
    ExecutionSeen,
    FeeRates,
    InstrumentTerms,
    LinkEvent,
    Looked,
    OrderSeen,
    PositionSeen,
    Posting,
    Refused,
    Unanswered,
    VenueError,
    WalletSeen,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mmbot.venues.port import CancelPath, Clock, Fact, OrderRequest, OrderSink, RequestKind

__all__ = ["GatewayOrders"]

log = logging.getLogger(__name__)

ANSWER_S = 30.0
"""How long a question may take: the venue is asked several times, and cancel-all asks until nothing is open."""
WELCOME_S = 5.0
AGAIN_S = (0.05, 2.0)
"""The first and the longest pause before the gateway is looked for again."""
CANCEL_ANSWERS: tuple[type[CancelAnswer], ...] = (Acked, Refused, Unanswered)
Found = TypeVar("Found")


class GatewayOrders:
    """Implements `mmbot.venues.port.OrderEntry`.

    clock: receive times of what it tells by itself. steady: ns of the clock that the gateway has as well. epoch: the
    leader's, 0 until it is known; until then it only listens. lease: from when and until when the engine may sign,
    venue time in ns; None without one. decided_ago: ns since what is sent now was decided.
    """

    def __init__(
        self,
        path: Path,
        sink: OrderSink,
        *,
        clock: Clock,
        steady: Clock,
        epoch: Callable[[], int] = lambda: 0,
        lease: Callable[[], tuple[int, int] | None] = lambda: None,
        decided_ago: Callable[[], int] = lambda: 0,
        role: wire.Role = "engine",
        gateway_uid: int | None = None,
    ) -> None:
        self._path, self._sink, self._clock, self._steady = path, sink, clock, steady
        self._epoch, self._lease, self._ago, self._role = epoch, lease, decided_ago, role
        self._engaged = False
        self._ahead = time.time_ns() - steady()
        """The venue's time against the steady clock; our own wall clock's before the venue was asked."""
        self._wall_ahead = self._ahead
        self._uids = {0, os.geteuid(), *([] if gateway_uid is None else [gateway_uid])}
        self._transport: asyncio.Transport | None = None
        self._welcomed: asyncio.Future[wire.Welcome] | None = None
        self._seq = 0
        self._under_way: dict[tuple[str, RequestKind], int] = {}
        self._questions: dict[int, asyncio.Future[wire.Answered]] = {}
        self._again: asyncio.Task[None] | None = None
        self._stopping = False

    # ---- life

    async def start(self) -> None:
        """Connect and shake hands. Raises VenueError."""
        self._stopping = False
        await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            end = connected(self._path)
        except OSError as error:
            raise VenueError(
                f"no gateway at {self._path}: {error.strerror or error}; start it: mmbot gateway LIMITS"
            ) from error
        uid = peer_uid(end)
        if uid not in self._uids:
            end.close()
            raise VenueError(f"{self._path}: user {uid} listens there; expected one of {sorted(self._uids)}")
        self._welcomed = loop.create_future()
        await loop.create_unix_connection(lambda: _Wire(self), sock=end)
        self._engaged = False
        self._greet()
        try:
            async with asyncio.timeout(WELCOME_S):
                await self._welcomed
        except TimeoutError:
            self._drop()
            raise VenueError(f"{self._path}: the gateway did not answer within {WELCOME_S:g} s") from None

    def _greet(self) -> None:
        """Say who we are: an engine once its epoch is known, and one that listens before."""
        epoch = self._epoch()
        self._engaged = self._role != "engine" or epoch > 0
        self._write(wire.Hello(version=wire.VERSION, role=self._role if self._engaged else "watcher", epoch=epoch))

    def venue_ns(self) -> int:
        """The venue's time, ns since epoch, as the gateway's session estimated it when it was last asked to attest."""
        return self._steady() + self._ahead

    async def stop(self) -> None:
        """Answer every open request with Unanswered and close. Cancels nothing. Safe to call twice."""
        self._stopping = True
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)
            self._again = None
        self._drop()
        self._give_up("stopped before an answer")

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    # ---- what the socket tells

    def made(self, transport: asyncio.Transport) -> None:
        """The socket is open."""
        self._transport, self._seq = transport, 0

    def lost(self, transport: asyncio.Transport, why: str) -> None:
        """The socket is closed: nobody will answer what is under way on it."""
        if self._welcomed is not None and not self._welcomed.done():
            self._welcomed.set_exception(VenueError(f"the gateway turned us away: {why}"))
        if self._transport is not transport:
            return  # we closed it
        self._transport = None
        self._give_up(f"the gateway is gone: {why}")
        for link in ("private", "trade"):
            self._sink.on_link(LinkEvent(link=link, state="down", why=f"the gateway is gone: {why}"))
        if not self._stopping and self._again is None:
            self._again = asyncio.get_running_loop().create_task(self._come_back())

    async def _come_back(self) -> None:
        pause, most = AGAIN_S
        while self._transport is None and not self._stopping:
            await asyncio.sleep(pause)
            pause = min(pause * 2, most)
            try:
                await self._connect()
            except VenueError as error:
                log.info("asking again: %s", error)
        self._again = None

    def _give_up(self, why: str) -> None:
        under_way, self._under_way = self._under_way, {}
        unanswered: list[Fact] = [
            Unanswered(client_id=client_id, request=request, why=why) for client_id, request in under_way
        ]
        if unanswered:
            self._sink.on_facts(unanswered, self._clock())
        questions, self._questions = self._questions, {}
        for question in questions.values():
            if not question.done():
                question.set_exception(VenueError(why))

    def heard(self, message: wire.FromGateway) -> str:
        """Take a message in. Returns why the connection must end, or ""."""
        match message:
            case wire.Told():
                facts = wire.facts_of(message.facts)
                for fact in facts:
                    if isinstance(fact, Acked | Refused | Unanswered):
                        self._under_way.pop((fact.client_id, fact.request), None)
                self._sink.on_facts(facts, message.ts_recv)
            case wire.Linked():
                self._sink.on_link(message.event)
            case wire.Answered() | wire.Failed():
                self._answered(message)
            case wire.Welcome():
                if self._welcomed is not None and not self._welcomed.done():
                    self._welcomed.set_result(message)
            case wire.Turned():
                return message.why
        return ""

    def _answered(self, message: wire.Answered | wire.Failed) -> None:
        question = self._questions.pop(message.seq, None)
        if question is None or question.done():
            return
        if isinstance(message, wire.Failed):
            question.set_exception(VenueError(message.why))
        else:
            question.set_result(message)

    # ---- out

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Hand requests to the gateway, in order, and return."""
        if not requests:
            return
        if self._transport is None:
            told = [_not_sent(request) for request in requests]
            asyncio.get_running_loop().call_soon(self._sink.on_facts, told, self._clock())
            return
        if not self._engaged:
            self._greet()
        now, decided = self._clock(), max(0, self._steady() - self._ago())
        for request in requests:
            self._under_way[request.client_id, kind_of(request)] = now
        for at in range(0, len(requests), wire.REQUESTS_MAX):
            some = requests[at : at + wire.REQUESTS_MAX]
            self._write(
                wire.Send(
                    seq=self._next(),
                    epoch=self._epoch(),
                    requests=wire.pack(some),
                    decided=decided,
                    lease=self._lease(),
                )
            )

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _write(self, message: wire.FromEngine) -> None:
        if self._transport is not None:
            self._transport.write(wire.encode(message))

    async def _ask(
        self,
        what: wire.Question,
        category: str = "",
        symbol: str = "",
        *,
        client_id: str = "",
        since_ns: int = 0,
        path: CancelPath | None = None,
        orders: Sequence[OrderSeen] = (),
    ) -> wire.Answered:
        if self._transport is None:
            raise VenueError(f"{what}: the gateway is not there; nothing was asked")
        seq = self._next()
        question: asyncio.Future[wire.Answered] = asyncio.get_running_loop().create_future()
        self._questions[seq] = question
        if what in wire.CANCELLING and not self._engaged:
            self._greet()
        self._write(
            wire.Ask(
                seq=seq,
                what=what,
                category=category,
                symbol=symbol,
                client_id=client_id,
                since_ns=since_ns,
                path=path,
                orders=wire.tag(orders),
            )
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await question
        except TimeoutError:
            raise VenueError(f"{what}: the gateway did not answer within {ANSWER_S:g} s") from None
        finally:
            self._questions.pop(seq, None)

    # ---- questions

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel until the venue, asked again, knows no open order. Raises VenueError."""
        return (await self._ask("cancel_all", category, symbol)).count

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One request to cancel every order of an instrument. Raises VenueError."""
        await self._ask("cancel_bulk", category, symbol)

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """One request over this very way to cancel these orders; Unanswered where there is no answer."""
        found: list[CancelAnswer] = []
        try:
            for at in range(0, len(orders), wire.REQUESTS_MAX):
                some = orders[at : at + wire.REQUESTS_MAX]
                answer = await self._ask("cancel_over", path=path, orders=some)
                found += _all(CANCEL_ANSWERS, answer)
        except VenueError as error:
            left = orders[len(found) :]
            found += [Unanswered(client_id=one.client_id, request="cancel", why=str(error)) for one in left]
        return found

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, foreign ones too. Raises VenueError."""
        return _all(OrderSeen, await self._ask("open_orders", category, symbol))

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """What the venue knows of one order. Raises VenueError."""
        return _one(Looked, await self._ask("find", category, symbol, client_id=client_id))

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, oldest first. Raises VenueError."""
        return _all(ExecutionSeen, await self._ask("executions", category, symbol, since_ns=max(0, since_ns)))

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order, oldest first. Raises VenueError."""
        return _all(ExecutionSeen, await self._ask("executions_of", category, symbol, client_id=client_id))

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position. Raises VenueError."""
        return _one(PositionSeen, await self._ask("position", category, symbol))

    async def wallet(self) -> list[WalletSeen]:
        """Every coin the account holds. Raises VenueError."""
        return _all(WalletSeen, await self._ask("wallet"))

    async def postings(self, since_ns: int) -> list[Posting]:
        """Changes of the account's coins from then on. Raises VenueError."""
        return _all(Posting, await self._ask("postings", since_ns=max(0, since_ns)))

    async def attest(self) -> Attestation:
        """What the gateway's key may do and how the account is set. Raises VenueError."""
        attestation = _one(Attestation, await self._ask("attest"))
        self._ahead = attestation.clock_offset  # against the clock that both have
        return structs.replace(attestation, clock_offset=self._ahead - self._wall_ahead)

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules of one instrument, asked anew. Raises VenueError."""
        return _one(InstrumentTerms, await self._ask("instrument", category, symbol))

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """What we pay there. Raises VenueError."""
        return _one(FeeRates, await self._ask("fee_rates", category, symbol))


class _Wire(asyncio.Protocol):
    """One connection to the gateway."""

    def __init__(self, orders: GatewayOrders) -> None:
        self._orders = orders
        self._buffer = wire.FrameBuffer(wire.GATEWAY_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._why = "it closed the connection"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by name
        self._orders.made(self._transport)

    def data_received(self, data: bytes) -> None:
        """Take messages in."""
        try:
            for body in self._buffer.feed(data):
                why = self._orders.heard(wire.decode_from_gateway(body))
                if why:
                    self._end(why)
                    return
        except wire.GatewayWireError as error:
            self._end(f"it said something that cannot be read: {error}")

    def _end(self, why: str) -> None:
        self._why = why
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed."""
        if self._transport is not None:
            self._orders.lost(self._transport, self._why if exc is None else f"{self._why} ({exc})")


def _not_sent(request: OrderRequest) -> Fact:
    why = "the gateway is not there; nothing was sent"
    if isinstance(request, CancelOrder):
        return Unanswered(client_id=request.client_id, request="cancel", why=why)
    return Refused(
        client_id=request.client_id, request=kind_of(request), reason="other", code=0, message=why, ts_venue=0
    )


def _all(kind: type[Found] | tuple[type[Found], ...], answer: wire.Answered) -> list[Found]:
    try:
        found = wire.result_of(answer.found)
    except wire.GatewayWireError as error:
        raise VenueError(f"the gateway's answer: {error}") from error
    wrong = [one for one in found if not isinstance(one, kind)]
    if wrong:
        raise VenueError(f"the gateway answers with {type(wrong[0]).__name__}; expected {kind}")
    return found  # type: ignore[return-value]  # every one was looked at


def _one(kind: type[Found], answer: wire.Answered) -> Found:
    found = _all(kind, answer)
    if len(found) != 1:
        raise VenueError(f"the gateway answers with {len(found)} of {kind}; expected one")
    return found[0]
