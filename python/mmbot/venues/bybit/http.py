"""Bybit v5 over HTTP: signed requests over one pooled session, and what may be asked again.

    read        again after `Backoff` READS: no answer, 5xx, a busy venue; its rate limit, when it takes calls again
    429         to any question: RateLimitError at once, and the order gate hears of it
    order       once. Silence is NoAnswer, and nobody here ever sends a create a second time
    403         the venue wants silence from this address: nothing leaves for ten minutes

A signature covers the exact bytes that leave, so query and body are made here and handed on untouched.
Source: Bybit v5 documents, "Integration guidance", "Rate limit rules", GET /v5/market/time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from mmbot.execution.backoff import READS, Backoff
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.clock import NO_OFFSET, ClockOffset, estimate
from mmbot.venues.bybit.codes import verdict
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.orders_wire import Answer, decode_answer, sign
from mmbot.venues.bybit.wire import NS_PER_MS
from mmbot.venues.port import Clock, Credentials, Fence, KeyRefusedError, Overasked, RateLimitError, VenueError
from mmbot.venues.records import UNREADABLE, WireError

__all__ = ["BAN_S", "Banned", "BybitHttp", "HttpTiming", "NoAnswer", "Params"]

log = logging.getLogger(__name__)

Params = Sequence[tuple[str, str]]
BAN_S = 600.0
"""How long the venue wants silence after HTTP 403 for too many requests."""
_ANSWER_BYTES_MAX = 32 << 20
_CLOCK_SAMPLES = 5
_SECOND = 1_000_000_000


class NoAnswer(VenueError):  # noqa: N818 (says what the world did)
    """A request left and its outcome is not known."""


class Banned(VenueError):  # noqa: N818 (says what the world did)
    """The venue wants silence from this address for a while: nothing was sent."""


class HttpTiming(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait, and how often to ask again."""

    read_s: float = 5.0
    order_s: float = 2.0
    reads: Backoff = READS
    ban_s: float = BAN_S
    recv_window_ms: int = 2_000


class _Time(msgspec.Struct):
    timeNano: str  # noqa: N815 (the venue's spelling)


class BybitHttp:
    """One account's requests. `start` before, `stop` after; safe to share between tasks of one loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        clock: Clock,
        budget: RateBudget,
        *,
        timing: HttpTiming | None = None,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        fence: Fence | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._clock = clock
        self._timing = timing or HttpTiming()
        self._random = random or Random()  # noqa: S311 (spreads pauses; guards nothing)
        self._sleep = sleep
        self._fence = fence
        self._session: aiohttp.ClientSession | None = None
        self._banned_until = 0
        self.budget = budget
        self.offset: ClockOffset = NO_OFFSET
        self.on_ban: Callable[[str], None] = log.critical
        self.on_overasked: Callable[[Overasked], None] = lambda said: log.warning("%s: %s", said.reason, said.why)

    # ------------------------------------------------------------------------------------------------ life

    async def start(self) -> None:
        """Open the pool and learn the venue's clock. Raises VenueError."""
        context = self._endpoint.context(self._endpoint.http)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context if context is not None else False, limit=16),
            headers={"Content-Type": "application/json"},
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        await self.measure_clock()

    async def stop(self) -> None:
        """Close the pool. Safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def word(self) -> str:
        """Which Bybit this is, as the configuration calls it."""
        return self._endpoint.word

    @property
    def banned(self) -> bool:
        """Whether the venue wants silence now."""
        return self.silence_s > 0

    @property
    def silence_s(self) -> float:
        """For how long the venue still wants silence, seconds; zero if it does not."""
        return max(0, self._banned_until - self._clock()) / _SECOND

    # ----------------------------------------------------------------------------------------------- clock

    def venue_ns(self) -> int:
        """The venue's time now, ns since epoch, to within `offset.error`."""
        return self._clock() + self.offset.offset

    def venue_ms(self) -> int:
        """The venue's time now in its own unit."""
        return self.venue_ns() // NS_PER_MS

    async def measure_clock(self) -> ClockOffset:
        """Ask the venue's time a few times and keep the narrowest answer. Raises VenueError."""
        samples = []
        for _ in range(_CLOCK_SAMPLES):
            asked = self._clock()
            answer = await self.get("/v5/market/time", (), signed=False)
            answered = self._clock()
            try:
                nanos = msgspec.json.decode(answer.result, type=_Time).timeNano
                samples.append((asked, int(nanos), answered))
            except (*UNREADABLE, ValueError) as error:
                raise VenueError(f"GET /v5/market/time: {error}; expected timeNano as decimal text") from error
        self.offset = estimate(samples)
        if abs(self.offset.offset) > _SECOND:
            log.warning(
                "our clock is %.3f s %s the venue's (±%.1f ms); requests are corrected, but mend it",
                abs(self.offset.offset) / 1e9,
                "behind" if self.offset.offset > 0 else "ahead of",
                self.offset.error / 1e6,
            )
        return self.offset

    # ------------------------------------------------------------------------------------------------ reads

    async def get(self, path: str, params: Params, *, signed: bool = True, group: str = "read") -> Answer:
        """A read, asked again after a pause where that may help. Each path has a rate budget of its own in `group`.

        Raises:
            RateLimitError: The venue is asked too much.
            VenueError: The venue refuses, or gives no usable answer even then. `Banned` while it wants silence.
        """
        query = "&".join(f"{name}={value if name == 'cursor' else quote(value, safe='')}" for name, value in params)
        group = f"{group}:{path}"
        measured = not signed  # measuring the clock is itself a read
        said, failures, error_type = "", 0, VenueError
        while True:
            if failures:
                delay_s = self._timing.reads.delay_s(failures)
                if delay_s is None:
                    raise error_type(f"GET {path}: no usable answer in {failures} tries; the last was: {said}")
                await self._sleep(delay_s * self._random.uniform(0.5, 1.5))
            await self._afford(group)
            failures, error_type = failures + 1, VenueError
            try:
                answer = await self._exchange(
                    "GET", path, query, signed=signed, group=group, timeout_s=self._timing.read_s
                )
            except NoAnswer as error:
                said = str(error)
                log.info("asking again: %s", error)
                continue
            if answer.code == 0:
                return answer
            said = f"{answer.code} {answer.message}"
            if answer.code == 10002 and not measured:
                measured = True
                await self.measure_clock()
                continue
            error_type = self._judged(f"GET {path}", answer.code, said)

    def _judged(self, what: str, code: int, said: str) -> type[VenueError]:
        """Return what a read that met this code fails with if it is never answered; raise it where asking is no use."""
        found = verdict(code)
        if found.reason in ("rate_limited", "overloaded"):
            self.on_overasked(Overasked(reason=found.reason, why=f"{what}: {said}"))
            if found.reason == "overloaded":
                raise RateLimitError(f"{what}: the venue is asked too much: {said}; nothing asks again for it")
            return RateLimitError
        if found.kind != "unanswered":
            refused = KeyRefusedError if found.reason == "credentials" else VenueError
            raise refused(f"{what}: the venue refuses: {said}")
        return VenueError

    async def _afford(self, group: str, weight: int = 1, *, urgent: bool = False) -> None:
        for one, spent in ((group, weight), ("address", 1)):
            while wait := self.budget.take(one, self._clock(), spent, urgent=urgent):
                await self._sleep(wait / _SECOND)

    # ----------------------------------------------------------------------------------------------- orders

    async def send_once(self, path: str, body: bytes, group: str) -> Answer:
        """A request that may change something, whose own budget is paid already.

        Raises:
            Banned: The venue wants silence, so nothing left.
            FencedError: We are not the ones that trade, so nothing left.
            NoAnswer: It left, and the outcome is not known.
        """
        self.budget.count("address", self._clock())
        return await self._change(path, body, group, fence=self._fence)

    async def _change(self, path: str, body: bytes, group: str, fence: Fence | None = None) -> Answer:
        return await self._exchange(
            "POST", path, body.decode(), signed=True, group=group, timeout_s=self._timing.order_s, fence=fence
        )

    async def cancel(self, body: bytes, group: str, count: int = 1) -> Answer:
        """Cancel one order, or a batch of `count`: what must not be dropped waits for the budget, its reserve included.

        Raises as above.
        """
        await self._afford(group, count, urgent=True)
        return await self._change("/v5/order/cancel" if count == 1 else "/v5/order/cancel-batch", body, group)

    async def cancel_all(self, body: bytes) -> Answer:
        """Cancel in bulk. Raises as above."""
        await self._afford("cancel-all", urgent=True)
        return await self._change("/v5/order/cancel-all", body, "cancel-all")

    async def change(self, path: str, body: bytes) -> Answer:
        """Change a setting of the account. Raises as above."""
        group = f"account:{path}"
        await self._afford(group)
        return await self._change(path, body, group)

    # ---------------------------------------------------------------------------------------------- exchange

    async def _exchange(
        self,
        method: str,
        path: str,
        text: str,
        *,
        signed: bool,
        group: str,
        timeout_s: float,
        fence: Fence | None = None,
    ) -> Answer:
        session = self._session
        if session is None:
            raise VenueError(f"{method} {path}: not started, or stopped; nothing was sent")
        if self.banned:
            raise Banned(f"{method} {path}: not sent; the venue wants silence for another {self.silence_s:.0f} s")
        self._endpoint.verify()
        url = f"{self._endpoint.http}{path}"
        if method == "GET" and text:
            url += f"?{text}"
        try:
            async with session.request(
                method,
                URL(url, encoded=True),
                data=text.encode() if method == "POST" else None,
                headers=self._headers(text, fence) if signed else None,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                raw = await _read(response)
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(self._masked(f"{method} {path}: {type(error).__name__} {error}".rstrip())) from error
        self._learn(group, headers)
        if status == 403:
            silence_s = self._timing.ban_s
            self._banned_until = self._clock() + int(silence_s * _SECOND)
            self.on_ban(f"{method} {path}: HTTP 403, the venue wants silence from this address for {silence_s:g} s")
        if status != 200:
            said = self._masked(raw.decode(errors="backslashreplace"))[:200]
            return Answer(status, f"HTTP {status} {said!r}", b"{}", (), 0)
        try:
            answer = decode_answer(raw)
        except WireError as error:
            raise NoAnswer(f"{method} {path}: {error}") from error
        masked = self._masked(answer.message)  # a refused signature is answered with what was signed, the key in it
        if masked != answer.message:
            answer = msgspec.structs.replace(answer, message=masked)
        if answer.code == 10006:
            self.budget.refused(group, self._clock(), self._ours(headers.get("X-Bapi-Limit-Reset-Timestamp")))
        return answer

    def _masked(self, said: str) -> str:
        """What somebody said, without our key and secret: it ends in logs."""
        if self._credentials is None:
            return said
        for own, name in ((self._credentials.key, "<key>"), (self._credentials.secret.get_secret_value(), "<secret>")):
            said = said.replace(own, name) if own else said
        return said

    def _headers(self, text: str, fence: Fence | None) -> dict[str, str]:
        if self._credentials is None:
            raise VenueError("this request needs a key, and none was given")
        ts_ms = self.venue_ms()  # first: the fence is asked about the very time that is signed
        if fence is not None:
            fence.check(ts_ms)
        timestamp, window = str(ts_ms), str(self._timing.recv_window_ms)
        payload = f"{timestamp}{self._credentials.key}{window}{text}".encode()
        return {
            "X-BAPI-API-KEY": self._credentials.key,
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": window,
            "X-BAPI-SIGN": sign(self._credentials, payload),
        }

    def _ours(self, venue_ms: str | None) -> int | None:
        """A time of the venue in our clock."""
        if venue_ms is None or not venue_ms.isascii() or not venue_ms.isdigit():
            return None
        return int(venue_ms) * NS_PER_MS - self.offset.offset

    def _learn(self, group: str, headers: Mapping[str, str]) -> None:
        found = {name: headers.get(name) for name in ("X-Bapi-Limit", "X-Bapi-Limit-Status")}
        limit, remaining = (int(text) if text and text.isdigit() else None for text in found.values())
        reset = self._ours(headers.get("X-Bapi-Limit-Reset-Timestamp"))
        self.budget.learn(group, self._clock(), limit, remaining, reset)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, up to a bound. Raises aiohttp.ClientError."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        raw += chunk
        if len(raw) > _ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"an answer beyond {_ANSWER_BYTES_MAX} bytes")
    return bytes(raw)
