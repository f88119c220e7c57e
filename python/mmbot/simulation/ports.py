"""What a run has of the model venue: an order entry and a public feed, over links that lose, delay and repeat.

They keep the manners of the real sessions (`mmbot.venues.bybit.session`): each request is answered once, by silence as
`Unanswered`; a request is signed with the time that this process believes it is; a lost link says so and comes back.
They belong to one life of a process: `cut` makes them deaf and mute, as a kill does.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from mmbot.simulation.venue import MS, NS_PER_S
from mmbot.venues.port import (
    Attestation,
    CancelOrder,
    FeeRates,
    LinkEvent,
    Looked,
    OpenEverywhere,
    Refused,
    Unanswered,
    VenueError,
    kind_of,
)
from mmbot.venues.records import BookLost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot.simulation.links import Link
    from mmbot.simulation.venue import ModelVenue
    from mmbot.simulation.world import NodeLoop, World
    from mmbot.venues.port import (
        CancelAnswer,
        CancelPath,
        ExecutionSeen,
        Fact,
        InstrumentTerms,
        OrderRequest,
        OrderSeen,
        OrderSink,
        PositionSeen,
        Posting,
        PublicSink,
        WalletSeen,
    )
    from mmbot.venues.records import BookUpdate

__all__ = ["Paths", "SimFeed", "SimOrders"]

Answer = TypeVar("Answer")
ACK_NS = 1 * NS_PER_S
"""A request without an answer for so long is unanswered."""
READ_NS = 5 * NS_PER_S
RECONNECT_NS = 500 * MS
RESYNC_NS = 300 * MS
"""Until a whole book comes that was asked for."""
AGAIN_NS = 2 * NS_PER_S


class Paths:
    """The links between one process and the venue, by name; they outlive the process."""

    def __init__(self, make: Callable[[str], Link]) -> None:
        self.trade_out, self.trade_in = make("trade.out"), make("trade.in")
        self.rest_out, self.rest_in = make("rest.out"), make("rest.in")
        self.private_in, self.public_in = make("private.in"), make("public.in")
        self.execution_in = make("execution.in")
        """Executions come over the private connection too, in no fixed order with the news of orders."""
        self.down: dict[str, int] = {}
        """Connections that are cut, and until when they cannot come back."""

    def all(self) -> list[Link]:
        """Every link."""
        return [
            *(self.trade_out, self.trade_in, self.rest_out, self.rest_in),
            *(self.private_in, self.execution_in, self.public_in),
        ]


class SimOrders:
    """Implements `mmbot.venues.port.OrderEntry` for one life of one process."""

    def __init__(
        self,
        world: World,
        venue: ModelVenue,
        paths: Paths,
        loop: NodeLoop,
        sink: OrderSink,
        *,
        clock: Callable[[], int],
        sent: Callable[[OrderRequest], object] = lambda _: None,
        met: Callable[[Fact], bool] = lambda _: False,
    ) -> None:
        self._world, self._venue, self._paths, self._loop = world, venue, paths, loop
        self._sink, self._clock, self._sent, self._met = sink, clock, sent, met
        self._offset = 0
        """What the venue's clock was ahead of ours when last asked."""
        self._alive = True
        self._up = {"trade": False, "private": False}
        self._measuring: asyncio.Task[None] | None = None
        self._waiting: dict[int, OrderRequest] = {}
        self._numbers = 0

    # ---- the life of the links

    def cut(self) -> None:
        """The process is dead: it neither sends nor hears."""
        self._alive = False

    def hear(self, fact: Fact, path: Link) -> None:
        """The venue's private stream says something; nobody hears it while the stream is down."""
        if self._alive and self._up["private"]:
            path.send(lambda: self._hears(fact, "private"), self._loop)

    def drop(self, link: str, *, noticed: bool, back: int) -> None:
        """A connection dies; `noticed` at once or when its silence is. It comes back at `back`, or later."""
        self._paths.down[link] = back
        if not self._alive or not self._up.get(link, False):
            return
        self._up[link] = False
        self._world.after(20 * MS if noticed else 7 * NS_PER_S, lambda: self._notice(link))

    def _notice(self, link: str) -> None:
        self._say(link, "down", "connection lost")
        for number, request in list(self._waiting.items()) if link == "trade" else []:
            self._unanswered(number, request, "the connection was lost")
        self._reconnect(link)

    def _reconnect(self, link: str) -> None:
        if not self._alive:
            return
        if self._world.now < self._paths.down.get(link, 0):
            self._world.after(RECONNECT_NS, lambda: self._reconnect(link))
            return
        self._up[link] = True
        self._say(link, "up", "connected")

    def _say(self, link: str, state: str, why: str) -> None:
        if self._alive:
            event = LinkEvent(link=link, state=state, why=why)  # type: ignore[arg-type]
            self._loop.call_soon(self._sink.on_link, event)

    def _tell(self, fact: Fact, link: str = "") -> None:
        if self._alive and (not link or self._up[link]) and not self._met(fact):
            self._loop.call_soon(self._sink.on_facts, [fact], self._clock())

    def _hears(self, fact: Fact, link: str = "") -> None:
        """The process comes to a message."""
        if self._alive and (not link or self._up[link]) and not self._met(fact):
            self._sink.on_facts([fact], self._clock())

    async def start(self) -> None:
        """Bring the links up."""
        for link in self._up:
            self._reconnect(link)

    async def stop(self) -> None:
        """Close the links. Orders stay."""
        for number, request in list(self._waiting.items()):
            self._unanswered(number, request, "stopped")
        self._alive = False

    # ---- requests

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Sign and send each; silence makes it unanswered."""
        if not self._alive:
            return
        for request in requests:
            self._sent(request)
            self._numbers += 1
            number, signed = self._numbers, self._clock() + self._offset
            self._waiting[number] = request
            if not self._up["trade"]:
                self._unanswered(number, request, "the trade link is down")
                continue
            self._paths.trade_out.send(partial(self._arrive, number, request, signed))
            self._world.after(ACK_NS, partial(self._unanswered, number, request, "no answer"))

    def _arrive(self, number: int, request: OrderRequest, signed: int) -> None:
        """The venue takes it in, whether or not the sender still lives."""
        fact = self._venue.answer(request, signed)
        self._paths.trade_in.send(lambda: self._answered(number, fact), self._loop)

    def _answered(self, number: int, fact: Fact) -> None:
        self._waiting.pop(number, None)
        if isinstance(fact, Refused) and fact.reason == "clock":
            self._measure_again()
        self._hears(fact)

    def _measure_again(self) -> None:
        """The venue does not take our time: measure it again, as the session of a real venue does."""
        if self._alive and (self._measuring is None or self._measuring.done()):
            self._measuring = self._loop.create_task(self._measured())

    async def _measured(self) -> None:
        with suppress(VenueError):  # the next refusal asks again
            await self._measure()

    async def _measure(self) -> int:
        """Measure the venue's clock against ours; returns the error, ns. Raises VenueError."""
        before = self._clock()
        told = await self._ask(lambda: self._world.now)
        after = self._clock()
        self._offset = told - (before + after) // 2
        return (after - before) // 2

    def _unanswered(self, number: int, request: OrderRequest, why: str) -> None:
        if self._waiting.pop(number, None) is not None:
            self._tell(Unanswered(client_id=request.client_id, request=kind_of(request), why=why))

    # ---- questions

    async def _ask(self, answer: Callable[[], Answer]) -> Answer:
        """Ask by REST. Raises VenueError for no answer in time, and for what the venue refuses to say."""
        if not self._alive:
            raise VenueError("the session is closed")
        future: asyncio.Future[Answer] = self._loop.create_future()
        until = self._world.now + READ_NS

        def arrive() -> None:
            try:
                if self._venue.maintenance:
                    raise VenueError("503 maintenance")
                value: Answer | VenueError = answer()
            except (VenueError, ValueError) as error:
                value = VenueError(str(error))
            give_up(self._back(self._paths.rest_in, future, value))

        def give_up(there: int) -> None:
            """Where the message is not there in time, a wait that has an end."""
            if not 0 < there <= until:
                late = VenueError(f"no answer within {READ_NS // NS_PER_S} s")
                self._world.deliver(until, self._loop, partial(_settle, future, late))

        give_up(self._paths.rest_out.send(arrive))
        return await future

    def _back(self, path: Link, future: asyncio.Future[Any], answer: object) -> int:
        return path.send(lambda: _settle(future, answer) if self._alive else None, self._loop)

    def _past(self) -> int:
        """The time of the past that an answer shows."""
        return self._world.now

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel until the venue shows no open order twice, 1 s apart. Raises VenueError if some stay for 10 s."""
        count, empty = await self._bulk(symbol), 0
        for _ in range(20):
            await asyncio.sleep(0.5)
            if not await self.open_orders(category, symbol):
                empty += 1
                if empty == 2:
                    return count
                continue
            empty = 0
            count += await self._bulk(symbol)
        raise VenueError(f"{symbol}: open orders stay after cancel-all")

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One request to cancel what one request takes."""
        await self._bulk(symbol)

    async def _bulk(self, symbol: str) -> int:
        """Ask; a venue that does not take our time is asked again once it was measured."""
        try:
            return await self._ask(partial(self._venue.cancel_all, symbol, self._clock() + self._offset))
        except VenueError as error:
            if not str(error).startswith("10002"):
                raise
        await self._measure()
        return await self._ask(partial(self._venue.cancel_all, symbol, self._clock() + self._offset))

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """One request over this way."""
        signed = self._clock() + self._offset
        requests = [
            CancelOrder(client_id=each.client_id, category=each.category, symbol=each.symbol, venue_id=each.venue_id)
            for each in orders
        ]
        ways = (
            (self._paths.rest_out, self._paths.rest_in)
            if path == "rest"
            else (self._paths.trade_out, self._paths.trade_in)
        )
        if path == "trade" and not self._up["trade"]:
            return [_silent(request, "the trade link is down") for request in requests]
        future: asyncio.Future[list[CancelAnswer]] = self._loop.create_future()

        def arrive() -> None:
            answers = [cast("CancelAnswer", self._venue.take(request, signed)) for request in requests]
            self._back(ways[1], future, answers)

        ways[0].send(arrive)
        try:
            async with asyncio.timeout(ACK_NS / NS_PER_S):
                answers = await future
        except TimeoutError:
            return [_silent(request, f"no answer over {path}") for request in requests]
        if any(isinstance(one, Refused) and one.reason == "clock" for one in answers):
            self._measure_again()
        return answers

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, as REST shows it."""
        return await self._ask(lambda: self._venue.listed(symbol, self._past()))

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order of the account, as REST shows it."""

        def listed() -> list[OrderSeen]:
            return [one for symbol in self._venue.markets for one in self._venue.listed(symbol, self._past())]

        try:
            return OpenEverywhere(orders=tuple(await self._ask(listed)), unseen=())
        except VenueError as error:
            return OpenEverywhere(orders=(), unseen=(("linear", str(error)),))

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """One order, from `realtime`, else from history."""

        def look() -> Looked:
            now = self._past()
            sources: tuple[Literal["realtime", "history"], ...] = ("realtime", "history")
            for source in sources:
                found = self._venue.find(client_id, now, history=source == "history")
                if found is not None:
                    return Looked(order=found, source=source, ts_venue=now)
            return Looked(order=None, source="", ts_venue=now)

        return await self._ask(look)

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order, as far as they are shown."""
        return await self._ask(
            lambda: [
                each for each in self._venue.executed_since(symbol, 0, self._past()) if each.client_id == client_id
            ]
        )

    async def postings(self, since_ns: int) -> list[Posting]:
        """Changes of the balance, as the statement has them."""
        return await self._ask(lambda: self._venue.postings_since(since_ns, self._past()))

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, as far as they are shown."""
        return await self._ask(lambda: self._venue.executed_since(symbol, since_ns, self._past()))

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position."""
        return await self._ask(lambda: self._venue.position_seen(symbol))

    async def wallet(self) -> list[WalletSeen]:
        """The one coin."""
        return await self._ask(lambda: [self._venue.wallet_seen()])

    async def attest(self) -> Attestation:
        """An account without faults; the venue's clock against ours."""
        error = await self._measure()
        return Attestation(
            account="model",
            read_only=False,
            scopes=("order",),
            may_withdraw=False,
            may_transfer=False,
            address_bound=True,
            expires=None,
            position_mode="one_way",
            price_limit="reject",
            disconnect_cancel_s=None,
            clock_offset=self._offset,
            clock_error=error,
            faults=(),
            remarks=(),
        )

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules."""
        return await self._ask(lambda: self._venue.markets[symbol].role.terms)

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """The rates."""
        return await self._ask(lambda: FeeRates(category=category, symbol=symbol, maker="-0.00005", taker="0.00055"))


def _silent(request: CancelOrder, why: str) -> Unanswered:
    return Unanswered(client_id=request.client_id, request="cancel", why=why)


def _settle(future: asyncio.Future[Answer], answer: Answer | VenueError) -> None:
    """Answer who still waits."""
    if future.done():
        return
    if isinstance(answer, VenueError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


class SimFeed:
    """Implements `mmbot.venues.port.PublicFeed` for one life of one process."""

    def __init__(
        self,
        world: World,
        paths: Paths,
        loop: NodeLoop,
        sink: PublicSink,
        *,
        clock: Callable[[], int],
        symbols: Sequence[str],
        snapshot: Callable[[str], BookUpdate],
    ) -> None:
        self._world, self._paths, self._loop, self._sink = world, paths, loop, sink
        self._clock, self._symbols, self._snapshot = clock, symbols, snapshot
        self._chain: dict[str, int] = {}
        """The last message of each whole book; none of one that has a gap."""
        self._again: dict[str, int] = {}
        """When a whole book that did not come is asked for again."""
        self._alive = False
        self._up = False
        self.last = 0
        """When the process heard the market last."""

    def cut(self) -> None:
        """The process is dead."""
        self._alive = False

    async def start(self) -> None:
        """Subscribe."""
        self._alive = True
        self._reconnect()

    async def stop(self) -> None:
        """Hear nothing more."""
        self._alive = False

    def resync(self, category: str, symbol: str, why: str) -> None:
        """Have the book told anew."""
        self.publish(self._snapshot(symbol))

    def drop(self, *, noticed: bool, back: int) -> None:
        """The connection dies, as of `SimOrders.drop`."""
        self._paths.down["public"] = back
        if self._alive and self._up:
            self._up = False
            self._world.after(20 * MS if noticed else 7 * NS_PER_S, self._notice)

    def _notice(self) -> None:
        self._say("down", "connection lost")
        if self._alive:
            self._chain.clear()
            lost = [BookLost(symbol=symbol, why="connection lost") for symbol in self._symbols]
            self._loop.call_soon(lambda: self._sink.on_records("linear", lost, self._clock()))
        self._reconnect()

    def _reconnect(self) -> None:
        if not self._alive:
            return
        if self._world.now < self._paths.down.get("public", 0):
            self._world.after(RECONNECT_NS, self._reconnect)
            return
        self._up = True
        self._say("up", "connected")
        for symbol in self._symbols:
            self.publish(self._snapshot(symbol))

    def _say(self, state: str, why: str) -> None:
        if self._alive:
            event = LinkEvent(link="public", state=state, why=why, conn="linear")  # type: ignore[arg-type]
            self._loop.call_soon(self._sink.on_link, event)

    @property
    def open(self) -> bool:
        """Somebody listens, and is connected."""
        return self._alive and self._up

    def publish(self, record: BookUpdate) -> None:
        """The venue says how the market is."""
        if self.open:
            self._paths.public_in.send(lambda: self._hear(record), self._loop)

    def _hear(self, record: BookUpdate) -> None:
        if self.open:
            self._records(record)

    def _records(self, record: BookUpdate) -> None:
        self.last = self._world.now
        now = self._clock()
        self._sink.on_frame("linear", b"", now)
        symbol, chain = record.symbol, self._chain.get(record.symbol)
        if record.kind == "snapshot" or chain == record.previous_id:
            self._chain[symbol] = record.last_id
            self._sink.on_records("linear", [record], now)
        elif chain is not None or self._world.now >= self._again.get(symbol, 0):
            # Something in between was lost, or the whole book was: as the real feed, it asks for it.
            self._chain.pop(symbol, None)
            self._again[symbol] = self._world.now + AGAIN_NS
            self._sink.on_records("linear", [BookLost(symbol=symbol, why="a gap")], now)
            self._world.after(RESYNC_NS, lambda: self.resync("linear", symbol, "a gap"))
