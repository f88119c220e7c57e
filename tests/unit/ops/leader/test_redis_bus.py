"""The Redis that may be lost: one pool, errors counted, a breaker that opens in an outage and closes after it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mmbot.config import RedisConfig
from mmbot.execution import Breaker
from mmbot.ops.counters import Counters
from mmbot.ops.leader.redis_bus import POOL_MAX, RedisAwayError, RedisBus

SECOND = 1_000_000_000
GAUGE = 'circuit_breaker_state{kind="infrastructure"}'
ERRORS = "redis_connection_errors_total"


class Server:
    """Says OK to whatever it is asked, on the loopback; may be gone for a while."""

    def __init__(self) -> None:
        self.port = 0
        self.open = self.most = self.asked = 0
        self.held: asyncio.Event | None = None
        """Set, nobody is answered before it."""
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up on everybody, and listen no more."""
        assert self._server is not None
        self._server.close()
        for link in list(self._links):
            link.transport.abort()
        async with asyncio.timeout(5):
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        self._links.add(writer)
        try:
            while head := await reader.readline():
                words = [await self._word(reader) for _ in range(int(head[1:]))]
                if words[0].upper() == b"SET":
                    self.asked += 1
                    if self.held is not None:
                        await self.held.wait()
                writer.write(b"+OK\r\n")
        except OSError:
            return
        finally:
            self.open -= 1
            self._links.discard(writer)
            writer.close()

    @staticmethod
    async def _word(reader: asyncio.StreamReader) -> bytes:
        length = int((await reader.readline())[1:])
        return (await reader.readexactly(length + 2))[:-2]


class Stage:
    """A bus on a server of its own, by a clock of the test's."""

    def __init__(self) -> None:
        self.now, self.events, self.counters, self.server = 0, list[dict[str, Any]](), Counters(), Server()
        self.bus = RedisBus(
            RedisConfig(call_s=2.0),
            self.counters,
            self.events.append,
            clock=lambda: self.now,
            breaker=Breaker(open_s=5.0, burst=3, burst_window_s=60.0),
        )

    async def say(self) -> bool:
        """Write one key; whether it arrived."""
        try:
            await self.bus.call(lambda redis: redis.set("k", "v"))
        except RedisAwayError:
            return False
        return True


def staged(act: Callable[[Stage], Awaitable[None]]) -> None:
    """Let a test act while the server listens."""

    async def run() -> None:
        stage = Stage()
        await stage.server.start()
        stage.bus.url = f"redis://127.0.0.1:{stage.server.port}/0"
        async with asyncio.timeout(20):
            await act(stage)
        await stage.bus.close()
        await stage.server.stop()

    asyncio.run(run())


def test_an_outage_opens_the_breaker_and_the_first_answer_after_it_closes_it() -> None:
    """Three errors, each counted; then nothing is asked; the probe after 5 s closes it; both ends are told."""

    async def act(stage: Stage) -> None:
        assert await stage.say()
        await stage.server.stop()
        assert [await stage.say() for _ in range(5)] == [False] * 5
        assert stage.counters.value(ERRORS) == 3
        assert stage.counters.all()[GAUGE] == 1
        await stage.server.start()
        asked = stage.server.asked
        assert not await stage.say()
        assert stage.server.asked == asked, "while it is open nothing leaves"
        stage.now = 5 * SECOND
        assert await stage.say()
        assert await stage.say()
        assert (stage.counters.all()[GAUGE], stage.bus.away) == (0, "")
        assert [event["state"] for event in stage.events] == ["away", "back"]
        assert {event["kind"] for event in stage.events} == {"infrastructure"}

    staged(act)


def test_many_calls_share_a_few_connections() -> None:
    """Thirty at once go over the pool's eight, and none is lost."""

    async def act(stage: Stage) -> None:
        stage.server.held = asyncio.Event()
        calls = [asyncio.create_task(stage.say()) for _ in range(30)]
        while stage.server.asked < POOL_MAX:
            await asyncio.sleep(0)
        stage.server.held.set()
        assert await asyncio.gather(*calls) == [True] * 30
        assert stage.server.most <= POOL_MAX

    staged(act)
