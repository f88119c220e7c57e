"""The gateway's end of its socket: one engine that orders, a guardian that cancels, and others that read.

    connect ─ right user? ─ Hello in time, right version, no older epoch ─ Welcome ─ messages ─ closed
                  └ no: closed, counted         └ no: Turned, closed, counted   └ malformed, replayed, not of its role:
                                                                                  closed, counted

When the engine is gone its orders stay, and nothing new leaves until one of the same or a higher epoch shakes hands; to
cancel is the guardian's. An engine of a higher epoch supersedes one that is connected; one of the same does not.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, cast

from mmbot.execution.fencing import FencedError
from mmbot.gateway import wire
from mmbot.gateway.place import listening, peer_uid
from mmbot.venues.port import CancelOrder, LinkEvent, OrderSeen, VenueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path
    from typing import Any

    import msgspec

    from mmbot.gateway.guarded import GuardedOrders
    from mmbot.venues.port import Fact

__all__ = ["EngineLease", "GatewayServer"]

log = logging.getLogger(__name__)

EPOCH_AHEAD_S = 86_400
"""Epochs are near the seconds since 1970, or below: one from far above would lock every later engine out."""
HELLO_S = 5.0
"""How long a connection may say nothing before it said Hello."""
CONNECTIONS_MAX = 16
ASKED_MAX = 64
"""Questions of one connection that may wait for the venue at a time."""
UNSENT_BYTES_MAX = 1 << 26
"""Who reads so slowly that this much waits for him is disconnected."""
_GUARD_NS = 50_000_000
"""Nothing is signed so close to the end of the lease."""


class EngineLease:
    """The fence of a session whose engine is in another process: the lease that came with the requests at hand."""

    def __init__(self) -> None:
        self.term: tuple[int, int] | None = None
        """From when and until when the engine may sign, venue time, ns since epoch; None where it has no lease."""

    def check(self, ts_ms: int) -> None:
        """Return where a request may leave that is signed with this venue time. Raises FencedError."""
        if self.term is None:
            return
        first, until = self.term
        if not first <= ts_ms * 1_000_000 < until - _GUARD_NS:
            raise FencedError(f"the engine's lease is for {first} to {until} ns, the request would be of {ts_ms} ms")


class GatewayServer:
    """Serves one `GuardedOrders`, whose sink it is. `start` after the session is up, `stop` before it ends.

    uids: the users that may connect. remember: keeps a higher epoch durably before its engine is welcomed.
    """

    def __init__(
        self, *, lease: EngineLease, uids: frozenset[int], remember: Callable[[int], None] = lambda _: None
    ) -> None:
        self.counters: Counter[str] = Counter()
        """Connections closed, by why."""
        self.guard: GuardedOrders | None = None
        self.lease, self.remember = lease, remember
        self.engine: _Connection | None = None
        self.connections: set[_Connection] = set()
        self.left_at: float | None = None
        """When the last engine left, by the loop's clock; None while one is there."""
        self._uids = uids
        self._links: dict[str, LinkEvent] = {}
        self._server: asyncio.Server | None = None
        self._path: Path | None = None

    async def start(self, path: Path) -> None:
        """Listen. Raises VenueError or OSError."""
        end = listening(path, shared=self._uids != {os.geteuid()})
        self._path, self.left_at = path, asyncio.get_running_loop().time()
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), sock=end)

    async def stop(self) -> None:
        """Close every connection and take the socket away. Safe to call twice."""
        server, self._server = self._server, None
        if server is None or self._path is None:
            return
        server.close()
        for connection in list(self.connections):
            connection.close()
        self._path.unlink(missing_ok=True)

    def admits(self, uid: int) -> bool:
        """Whether a user may connect now."""
        if uid not in self._uids:
            self.counters["wrong user"] += 1
            return False
        if len(self.connections) >= CONNECTIONS_MAX:
            self.counters["too many connections"] += 1
            return False
        return True

    def serving(self) -> GuardedOrders:
        """The session behind the rules."""
        assert self.guard is not None, "a server is given its guard before it starts"
        return self.guard

    # ---- what the session tells (OrderSink)

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass facts on to all that listen."""
        self._tell(wire.Told(facts=wire.tag(facts), ts_recv=ts_recv))

    def on_link(self, event: LinkEvent) -> None:
        """Pass a link's state on, and keep it for who comes later."""
        self._links[f"{event.link} {event.conn}"] = event
        self._tell(wire.Linked(event=event))

    def _tell(self, message: wire.FromGateway) -> None:
        frame = wire.encode(message)
        for connection in list(self.connections):
            if connection.role is not None:
                connection.write(frame)

    # ---- who comes and goes

    def welcome(self, connection: _Connection, hello: wire.Hello) -> str:
        """Shake hands. Returns why not, or ""."""
        core = self.serving().core
        if hello.version != wire.VERSION:
            return (
                f"the gateway speaks version {wire.VERSION} of its protocol, not {hello.version}; update the older one"
            )
        if hello.role == "engine":
            if hello.epoch > time.time() + EPOCH_AHEAD_S:
                self.counters["epoch of the future"] += 1
                return f"epoch {hello.epoch} is none that a lease gives: it is far above the seconds since 1970"
            if hello.epoch < core.epoch:
                self.counters["older epoch"] += 1
                return f"epoch {hello.epoch} was superseded by {core.epoch}"
            if self.engine is not None and hello.epoch == core.epoch:
                self.counters["second engine"] += 1
                return f"an engine of epoch {core.epoch} is connected already"
            if hello.epoch > core.epoch:
                self.remember(hello.epoch)
            if self.engine is not None:
                superseded, self.engine = self.engine, None
                superseded.turn_away(f"superseded by epoch {hello.epoch}")
            core.engage(hello.epoch)
            self.engine, self.left_at, self.lease.term = connection, None, None
        connection.role = hello.role
        connection.write(wire.encode(wire.Welcome(version=wire.VERSION, epoch=core.epoch)))
        for event in self._links.values():
            connection.write(wire.encode(wire.Linked(event=event)))
        return ""

    def gone(self, connection: _Connection) -> None:
        """A connection ended."""
        self.connections.discard(connection)
        if connection is self.engine:
            self.engine, self.left_at = None, asyncio.get_running_loop().time()
            self.serving().core.disengage()
            log.warning("the engine is gone; nothing new leaves until one shakes hands")

    # ---- what is asked

    async def answer(self, ask: wire.Ask) -> tuple[tuple[wire.Tagged, ...], int]:
        """Ask the session. Raises VenueError."""
        guard, market = self.serving(), (ask.category, ask.symbol)
        match ask.what:
            case "cancel_all":
                return (), await guard.cancel_all(*market)
            case "cancel_bulk":
                await guard.cancel_bulk(*market)
                return (), 0
            case "cancel_over":
                if ask.path is None:
                    raise VenueError("cancel_over: path is missing; expected rest or trade")
                orders = [one for one in wire.result_of(ask.orders) if isinstance(one, OrderSeen)]
                return wire.tag(await guard.cancel_over(ask.path, orders)), 0
        found = await _READS[ask.what](guard, ask)
        return wire.tag(found if isinstance(found, list) else [found]), 0


_READS: dict[str, Callable[[GuardedOrders, wire.Ask], Awaitable[msgspec.Struct | list[Any]]]] = {
    "attest": lambda guard, _: guard.attest_here(),
    "executions": lambda guard, ask: guard.executions(ask.category, ask.symbol, ask.since_ns),
    "executions_of": lambda guard, ask: guard.executions_of(ask.category, ask.symbol, ask.client_id),
    "fee_rates": lambda guard, ask: guard.fee_rates(ask.category, ask.symbol),
    "find": lambda guard, ask: guard.find(ask.category, ask.symbol, ask.client_id),
    "instrument": lambda guard, ask: guard.instrument(ask.category, ask.symbol),
    "open_orders": lambda guard, ask: guard.open_orders(ask.category, ask.symbol),
    "position": lambda guard, ask: guard.position(ask.category, ask.symbol),
    "postings": lambda guard, ask: guard.postings(ask.since_ns),
    "wallet": lambda guard, _: guard.wallet(),
}


class _Connection(asyncio.Protocol):
    """One that speaks to the gateway."""

    def __init__(self, server: GatewayServer) -> None:
        self.role: wire.Role | None = None
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._buffer = wire.FrameBuffer(wire.ENGINE_BYTES_MAX)
        self._seq = 0
        self._asking: set[asyncio.Task[None]] = set()
        self._silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let in whom the kernel names as a user that may."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by name
        if not self._server.admits(peer_uid(transport.get_extra_info("socket"))):
            self._transport.abort()
            return
        self._server.connections.add(self)
        self._silent = asyncio.get_running_loop().call_later(HELLO_S, self._too_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._silent is not None:
            self._silent.cancel()
        for task in self._asking:
            task.cancel()
        self._server.gone(self)

    def data_received(self, data: bytes) -> None:
        """Take messages in; the first that cannot be read ends it."""
        try:
            for body in self._buffer.feed(data):
                if self._transport is None or self._transport.is_closing():
                    return
                self._message(wire.decode_from_engine(body))
        except wire.GatewayWireError as error:
            self._end("malformed", str(error))

    def _message(self, message: wire.FromEngine) -> None:
        match message:
            case wire.Hello() if self.role is None or (self.role == "watcher" and message.role == "engine"):
                if self._silent is not None:
                    self._silent.cancel()
                why = self._server.welcome(self, message)
                if why:
                    self.turn_away(why)
            case wire.Hello():
                self._end("malformed", "a second Hello")
            case _ if self.role is None:
                self._end("malformed", "a message before Hello")
            case wire.Send() | wire.Ask() if message.seq <= self._seq:
                self._end("replayed", f"message {message.seq} after {self._seq}")
            case wire.Send():
                self._seq = message.seq
                self._send(message)
            case wire.Ask():
                self._seq = message.seq
                self._ask(message)

    def _send(self, message: wire.Send) -> None:
        requests = wire.requests_of(message.requests)
        if self.role != "engine" and not (
            self.role == "guardian" and all(isinstance(one, CancelOrder) for one in requests)
        ):
            self._end("not of its role", f"a {self.role} sends no such requests")
            return
        if self.role == "engine":
            self._server.lease.term = message.lease
        self._server.serving().pass_on(requests, message.decided, message.epoch)

    def _ask(self, ask: wire.Ask) -> None:
        if ask.what in wire.CANCELLING and self.role == "watcher":
            self._end("not of its role", "a watcher cancels nothing")
        elif len(self._asking) >= ASKED_MAX:
            self.write(wire.encode(wire.Failed(seq=ask.seq, why=f"{ASKED_MAX} questions wait already; ask later")))
        else:
            task = asyncio.get_running_loop().create_task(self._asked(ask))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _asked(self, ask: wire.Ask) -> None:
        try:
            found, count = await self._server.answer(ask)
        except (VenueError, wire.GatewayWireError) as error:
            self.write(wire.encode(wire.Failed(seq=ask.seq, why=str(error))))
        else:
            self.write(wire.encode(wire.Answered(seq=ask.seq, found=found, count=count)))

    # ---- out

    def write(self, frame: bytes) -> None:
        """Hand bytes to the socket, unless it is closed or nobody reads."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._server.counters["too slow"] += 1
            transport.abort()
            return
        transport.write(frame)

    def turn_away(self, why: str) -> None:
        """Say why, and close."""
        self.write(wire.encode(wire.Turned(why=why)))
        self.role = None
        self.close()

    def close(self) -> None:
        """Close, what is written first."""
        if self._transport is not None:
            self._transport.close()

    def _too_silent(self) -> None:
        self._end("silent", f"no Hello within {HELLO_S:g} s")

    def _end(self, counter: str, why: str) -> None:
        self._server.counters[counter] += 1
        log.warning("a connection is closed (%s): %s", counter, why)
        if self._transport is not None:
            self._transport.abort()
