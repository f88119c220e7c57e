"""Bybit's private stream: our orders, executions, positions and coins, as facts.

The stream sends no snapshot when it starts and repeats nothing that was missed while it was down, so whoever listens
asks over HTTP after each login.

It also subscribes the topics of the venue's own dead-man switch (DCP), which fires when every connection that
subscribed them is dead for the window that is set. That is asked for and not waited for: an account that may not have
it, or a venue that does not answer, changes nothing.
Source: Bybit v5 documents, "WebSocket stream: private", "Dcp Stream".
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random

import msgspec

from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.link import Link, LinkTiming
from mmbot.venues.bybit.orders_wire import Reply, auth_frame, decode_private
from mmbot.venues.port import Clock, Credentials, Fact, LinkState, VenueError
from mmbot.venues.records import WireError

__all__ = ["IDLE_S", "Login", "PrivateStream"]

log = logging.getLogger(__name__)

IDLE_S = 60
"""How long the venue keeps a socket of ours that says nothing: it drops a half-open one even when we can not."""
_AUTH_AHEAD_MS = 10_000
_TOPICS = ["order", "execution", "position", "wallet"]
_DEAD_MAN = "dead-man"


class Login:
    """What a private or a trade socket says first, and the answers it waits for."""

    def __init__(self, credentials: Credentials, venue_ms: Callable[[], int]) -> None:
        self._credentials = credentials
        self._venue_ms = venue_ms
        self._waiting: dict[str, asyncio.Future[Reply]] = {}

    async def authenticate(self, link: Link) -> None:
        """Log in. Raises VenueError."""
        frame = auth_frame(self._credentials, self._venue_ms() + _AUTH_AHEAD_MS)
        await self.ask(link, "auth", frame, "check the key, its environment and the clock")

    async def ask(self, link: Link, op: str, frame: bytes, hint: str) -> None:
        """Send a request and wait for its answer. Raises VenueError."""
        answer = self._waiting[op] = asyncio.get_running_loop().create_future()
        if not link.send(frame):
            raise VenueError(f"{link.name}: the connection is gone before {op}")
        reply = await answer
        if not reply.ok:
            raise VenueError(f"{link.name}: the venue refuses {op}: {reply.code} {reply.message}; {hint}")

    def replied(self, reply: Reply) -> bool:
        """Hand an answer to who waits for it; whether somebody did."""
        answer = self._waiting.pop(reply.op, None)
        if answer is None or answer.done():
            return False
        answer.set_result(reply)
        return True

    def forget(self) -> None:
        """Nothing will be answered any more."""
        for answer in self._waiting.values():
            answer.cancel()
        self._waiting.clear()


class PrivateStream:
    """The talker of the private link. `told` hears facts; `unread` hears that a message could not be read."""

    def __init__(
        self,
        endpoint: Endpoint,
        login: Login,
        clock: Clock,
        settle: Mapping[tuple[str, str], str],
        *,
        told: Callable[[Sequence[Fact], int], None],
        moved: Callable[[LinkState, str], None],
        unread: Callable[[str], None],
        dead_man: Sequence[str] = (),
        timing: LinkTiming,
        random: Random,
    ) -> None:
        """`dead_man`: topics of the venue's own dead-man switch."""
        self._login = login
        self._dead_man = list(dead_man)
        self._clock = clock
        self._settle = settle
        self._told = told
        self._moved = moved
        self._unread = unread
        url = f"{endpoint.private}?max_active_time={IDLE_S}s"
        self.link = Link("private", endpoint, url, self, timing=timing, random=random)
        self.malformed = 0

    def ping(self) -> bytes:
        """The heartbeat request."""
        return b'{"op":"ping","req_id":"ping"}'

    async def login(self) -> None:
        """Authenticate and subscribe. Raises VenueError."""
        await self._login.authenticate(self.link)
        frame = msgspec.json.encode({"req_id": "subscribe", "op": "subscribe", "args": _TOPICS})
        await self._login.ask(self.link, "subscribe", frame, "does the key have these permissions?")
        if self._dead_man:
            self.link.send(msgspec.json.encode({"req_id": _DEAD_MAN, "op": "subscribe", "args": self._dead_man}))

    def on_frame(self, raw: bytes) -> None:
        """Facts to the listener, answers to who waits."""
        ts_recv = self._clock()
        try:
            found = decode_private(raw, self._settle)
        except WireError as error:
            self.malformed += 1
            log.error("private: a malformed frame of %d bytes: %s", len(raw), error)
            self._unread(str(error))
            return
        if isinstance(found, Reply):
            if self._login.replied(found):
                return
            if found.op in ("ping", "pong"):
                self.link.ponged()
            elif found.request_id == _DEAD_MAN and not found.ok:
                log.warning("private: no dead-man switch of the venue's: %s %s", found.code, found.message)
        elif found:
            self._told(found, ts_recv)

    def on_up(self) -> None:
        """Subscribed."""
        self._moved("up", "subscribed")

    def on_stale(self, why: str) -> None:
        """Half open."""
        self._moved("stale", why)

    def on_down(self, why: str) -> None:
        """Closed."""
        self._login.forget()
        self._moved("down", why)
