"""Order entry over Bybit's trade socket: each request is answered by the venue, by a deadline or by a dead link.

    request ─► waiting ─┬─ the venue's answer     its word: Acked, Refused, or Unanswered where it leaves it open
                        ├─ no answer in time      Unanswered; an answer that comes later is still told
                        └─ the link died          Unanswered, all of them, at once

Source: Bybit v5 documents, "WebSocket trade guideline".
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.link import Link, LinkTiming
from mmbot.venues.bybit.orders_wire import TradeAnswer, answer_facts, decode_trade, trade_frame
from mmbot.venues.bybit.private import IDLE_S, Login
from mmbot.venues.port import CancelOrder, Clock, Fact, Fence, LinkState, OrderRequest, Unanswered, kind_of
from mmbot.venues.records import WireError

__all__ = ["TradeSocket"]

log = logging.getLogger(__name__)

_LATE_MAX = 4_096
_RESTARTING = 10019  # the venue asks for a new connection


class _Waiting(msgspec.Struct, gc=False):
    requests: Sequence[OrderRequest]
    timer: asyncio.TimerHandle


class TradeSocket:
    """The talker of the trade link. `answered` hears requests, their facts, when, and the answer if there is one."""

    def __init__(
        self,
        endpoint: Endpoint,
        url: str,
        login: Login,
        clock: Clock,
        *,
        answered: Callable[[Sequence[OrderRequest], Sequence[Fact], int, TradeAnswer | None], None],
        moved: Callable[[LinkState, str], None],
        venue_ms: Callable[[], int],
        recv_window_ms: int,
        ack_s: float,
        timing: LinkTiming,
        random: Random,
        fence: Fence | None = None,
    ) -> None:
        self._login = login
        self._clock = clock
        self._answered = answered
        self._moved = moved
        self._venue_ms = venue_ms
        self._recv_window_ms = recv_window_ms
        self._fence = fence
        self._ack_s = ack_s
        self._waiting: dict[str, _Waiting] = {}
        self._late: OrderedDict[str, Sequence[OrderRequest]] = OrderedDict()
        self._named = 0
        self._prefix = f"{random.getrandbits(48):012x}"
        self.link = Link("trade", endpoint, f"{url}?max_active_time={IDLE_S}s", self, timing=timing, random=random)
        self.malformed = 0

    def request(self, requests: Sequence[OrderRequest]) -> bool:
        """Send one request, or a batch of one kind and category; False, and nothing sent, while the link is not up.

        Raises FencedError, and nothing sent, where the fence holds it back.
        """
        if not self.link.is_up:
            return False
        self._named += 1
        name = f"{self._prefix}-{self._named}"
        ts_ms = self._venue_ms()  # first: the fence is asked about the very time that the venue will judge it by
        if self._fence is not None and not isinstance(requests[0], CancelOrder):
            self._fence.check(ts_ms)
        if not self.link.send(trade_frame(requests, name, ts_ms, self._recv_window_ms)):
            return False
        timer = asyncio.get_running_loop().call_later(self._ack_s, self._overdue, name)
        self._waiting[name] = _Waiting(requests, timer)
        return True

    @property
    def under_way(self) -> list[OrderRequest]:
        """Requests without an answer so far."""
        return [request for waiting in self._waiting.values() for request in waiting.requests]

    # ---------------------------------------------------------------------------------------------- talker

    def ping(self) -> bytes:
        """The heartbeat request."""
        return b'{"op":"ping","reqId":"ping"}'

    async def login(self) -> None:
        """Authenticate. Raises VenueError."""
        await self._login.authenticate(self.link)

    def on_frame(self, raw: bytes) -> None:
        """An answer to a request, or to login and ping."""
        ts_recv = self._clock()
        try:
            found = decode_trade(raw)
        except WireError as error:  # whose answer it was is not known: its deadline will say so
            self.malformed += 1
            log.error("trade: a malformed frame of %d bytes: %s", len(raw), error)
            return
        if not isinstance(found, TradeAnswer):
            if not self._login.replied(found) and found.op in ("ping", "pong"):
                self.link.ponged()
            return
        waiting = self._waiting.pop(found.request_id, None)
        if waiting is not None:
            waiting.timer.cancel()
            requests = waiting.requests
        else:
            requests = self._late.pop(found.request_id, ())
        if requests:
            self._answered(requests, answer_facts(requests, found.answer), ts_recv, found)
        else:
            log.warning("trade: an answer to nobody's request %r: %d", found.request_id, found.answer.code)
        if found.answer.code == _RESTARTING:
            self.link.restart("the venue's trade service restarts (10019)")

    def on_up(self) -> None:
        """Logged in."""
        self._moved("up", "logged in")

    def on_stale(self, why: str) -> None:
        """Half open."""
        self._moved("stale", why)

    def on_down(self, why: str) -> None:
        """Closed: nobody will answer what is under way."""
        self._login.forget()
        for name in list(self._waiting):
            self._give_up(name, f"the trade link went down before an answer: {why}")
        self._late.clear()
        self._moved("down", why)

    # ------------------------------------------------------------------------------------------- no answer

    def _overdue(self, name: str) -> None:
        requests = self._waiting[name].requests
        self._give_up(name, f"no answer within {self._ack_s:g} s")
        self._late[name] = requests
        if len(self._late) > _LATE_MAX:
            self._late.popitem(last=False)
        self.link.probe()

    def _give_up(self, name: str, why: str) -> None:
        waiting = self._waiting.pop(name)
        waiting.timer.cancel()
        facts = [Unanswered(client_id=one.client_id, request=kind_of(one), why=why) for one in waiting.requests]
        self._answered(waiting.requests, facts, self._clock(), None)
