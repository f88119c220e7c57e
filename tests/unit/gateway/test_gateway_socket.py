"""The gateway behind its socket: an engine notices no difference, and everybody else gets nothing."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import uvloop
from gateway_scene import MARKET, Ear, cancel, limits, place

from mmbot.gateway import wire
from mmbot.gateway.client import GatewayOrders
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.gateway.place import connected, listening
from mmbot.gateway.server import EngineLease, GatewayServer
from mmbot.risk.levels import FreezeLevel
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import Acked, InstrumentTerms, OrderSeen, Overasked, Refused, Unanswered, VenueError

TERMS = InstrumentTerms(
    category=MARKET[0],
    symbol=MARKET[1],
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.1",
    lot="0.001",
    min_qty="0.001",
    max_qty=None,
    min_notional=None,
    funding_interval_s=None,
)


class Prompt(FakeVenue):
    """A venue that is heard at once."""

    def send(self, requests: Any) -> None:
        """Act, and tell."""
        super().send(requests)
        asyncio.get_running_loop().call_soon(self.deliver)


class Gateway:
    """A gateway at a path, over a venue in memory."""

    def __init__(self, path: Path, *, core: GatewayCore | None = None, uids: frozenset[int] = frozenset()) -> None:
        self.path = path
        self.core = core or GatewayCore(limits())
        self.levels: dict[str, FreezeLevel] = {}
        self.kept: list[int] = []
        uids = uids or frozenset({os.geteuid()})
        self.server = GatewayServer(lease=EngineLease(), uids=uids, remember=self.kept.append)
        self.guard = GuardedOrders(
            self.core, self.server, steady=time.monotonic_ns, wall=time.time_ns, levels=lambda: self.levels
        )
        self.server.guard = self.guard
        self.venue = Prompt([TERMS], self.guard, time.time_ns)
        self.guard.attach(self.venue, None)
        self.venue.touch(MARKET[1], "99.9", "100.1")

    async def __aenter__(self) -> "Gateway":
        await self.guard.start()
        self.refer()
        await self.server.start(self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        await self.guard.stop()

    def refer(self) -> None:
        """The market is at 100."""
        self.core.refer(MARKET, "touch", "99.9", "100.1", time.monotonic_ns())


class Engine(Ear):
    """The engine's end: its sink and its client."""

    def __init__(self, path: Path, epoch: int = 1, **changes: Any) -> None:
        super().__init__()
        self.news = asyncio.Event()
        self.orders = GatewayOrders(
            path, self, clock=time.time_ns, steady=time.monotonic_ns, epoch=lambda: epoch, **changes
        )

    def on_facts(self, facts: Any, ts_recv: int) -> None:
        """Keep them, and wake who waits."""
        super().on_facts(facts, ts_recv)
        self.news.set()

    def on_link(self, event: Any) -> None:
        """Keep it, and wake who waits."""
        super().on_link(event)
        self.news.set()

    def of(self, kind: type) -> list[Any]:
        """Facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, holds: Callable[[], object]) -> Any:
        """Wait until something holds."""
        async with asyncio.timeout(10):
            while not (found := holds()):
                self.news.clear()
                await self.news.wait()
        return found


@asynccontextmanager
async def trading(tmp_path: Path, **changes: Any) -> AsyncIterator[tuple[Gateway, Engine]]:
    """A gateway and an engine that shook hands."""
    async with Gateway(tmp_path / "gateway.sock") as gateway:
        engine = Engine(gateway.path, **changes)
        await engine.orders.start()
        try:
            yield gateway, engine
        finally:
            await engine.orders.stop()


class Raw:
    """A client that says what a test wants, byte by byte."""

    def __init__(self, path: Path) -> None:
        self.end = connected(path)
        self.buffer = wire.FrameBuffer(wire.GATEWAY_BYTES_MAX)
        self.messages: list[wire.FromGateway] = []

    async def say(self, *messages: wire.FromEngine | bytes) -> None:
        """Send messages, or bytes as they are."""
        for one in messages:
            await asyncio.get_running_loop().sock_sendall(self.end, one if isinstance(one, bytes) else wire.encode(one))

    async def hear(self, kind: type) -> Any:
        """The next message of a kind."""
        async with asyncio.timeout(10):
            while True:
                for index, message in enumerate(self.messages):
                    if isinstance(message, kind):
                        return self.messages.pop(index)
                await self._more()

    async def closed(self) -> None:
        """Wait until the other end closes."""
        async with asyncio.timeout(10):
            while await self._more():
                self.messages.clear()

    async def _more(self) -> bool:
        try:
            piece = await asyncio.get_running_loop().sock_recv(self.end, 1 << 16)
        except ConnectionResetError:
            return False
        self.messages += [wire.decode_from_gateway(body) for body in self.buffer.feed(piece)]
        return bool(piece)


def hello(role: str = "engine", epoch: int = 1, version: int = wire.VERSION) -> wire.Hello:
    """The first message."""
    return wire.Hello(version=version, role=role, epoch=epoch)


def sending(seq: int, *requests: Any, epoch: int = 1, decided: int | None = None) -> wire.Send:
    """Requests as they travel."""
    when = time.monotonic_ns() if decided is None else decided
    return wire.Send(seq=seq, epoch=epoch, requests=wire.pack(requests), decided=when)


def test_what_the_venue_says_of_being_asked_too_much_reaches_the_engine():
    """The engine has the breaker, the gateway the session that hears it."""
    said = Overasked(reason="overloaded", why="GET /v5/order/realtime: 429")
    assert wire.facts_of(wire.tag([said])) == [said]


@pytest.mark.parametrize("loop", [asyncio, uvloop], ids=["asyncio", "uvloop"])
def test_an_engine_trades_through_the_socket_as_it_would_without(loop: Any, tmp_path: Path):
    """Places, amends and cancels are answered and shown; reads answer; a refusal of ours comes with its reasons."""

    async def scenario() -> None:
        async with trading(tmp_path) as (gateway, engine):
            await engine.until(lambda: {event.link for event in engine.links} == {"private", "trade"})
            engine.orders.send([place("mm-1", price="99.5"), place("mm-2", price="150")])
            await engine.until(lambda: engine.of(Acked) and engine.of(Refused) and engine.of(OrderSeen))
            [refused] = engine.of(Refused)
            assert (refused.client_id, refused.reason, refused.code) == ("mm-2", "price_band", 0)
            assert "collar" in refused.message
            assert [one.client_id for one in await engine.orders.open_orders(*MARKET)] == ["mm-1"]
            assert (await engine.orders.find(*MARKET, "mm-1")).order is not None
            assert (await engine.orders.find(*MARKET, "mm-7")).order is None
            assert (await engine.orders.position(*MARKET)).qty == "0"
            assert (await engine.orders.attest()).account == "fake"
            assert await engine.orders.instrument(*MARKET) == TERMS
            assert await engine.orders.executions(*MARKET, 0) == []
            assert await engine.orders.postings(0) == []
            assert (await engine.orders.fee_rates(*MARKET)).symbol == MARKET[1]
            engine.orders.send([cancel("mm-1")])
            await engine.until(lambda: engine.of(OrderSeen)[-1].status == "canceled")
            engine.orders.send([place("mm-3", price="99.5")])
            await engine.until(lambda: engine.of(OrderSeen)[-1].client_id == "mm-3")
            assert await engine.orders.cancel_all(*MARKET) == 1
            gateway.levels = {"": FreezeLevel.NO_NEW}
            engine.orders.send([place("mm-4")])
            await engine.until(lambda: engine.of(Refused)[-1].client_id == "mm-4")
            assert engine.of(Refused)[-1].held_back
            with pytest.raises(VenueError, match="ETHUSDT"):
                await engine.orders.position("linear", "ETHUSDT")

    loop.run(scenario())


def test_when_the_gateway_dies_the_engine_hears_it_and_comes_back(tmp_path: Path):
    """What was under way becomes Unanswered, both links go down, a place is refused, and a new gateway is found."""

    async def scenario() -> None:
        engine = Engine(tmp_path / "gateway.sock")
        async with Gateway(engine.orders._path) as first:
            await engine.orders.start()
            first.venue.lose("place", reached=True)
            first.venue.send = lambda requests: None
            engine.orders.send([place("mm-1")])
            with pytest.raises(VenueError):
                await asyncio.gather(engine.orders.position("linear", "none"), first.server.stop())
            await engine.until(lambda: engine.of(Unanswered))
            assert {event.state for event in engine.links[-2:]} == {"down"}
            engine.orders.send([place("mm-2"), cancel("mm-1")])
            await engine.until(lambda: engine.of(Refused) and len(engine.of(Unanswered)) == 2)
            with pytest.raises(VenueError, match="not there"):
                await engine.orders.wallet()
        async with Gateway(engine.orders._path) as second:
            await engine.until(lambda: engine.links[-1].state == "up")
            engine.orders.send([place("mm-3")])
            await engine.until(lambda: any(one.client_id == "mm-3" for one in engine.of(Acked)))
            assert second.core.engaged
            await engine.orders.stop()

    asyncio.run(scenario())


def test_an_epoch_that_no_lease_gives_locks_nobody_out(tmp_path: Path):
    """A stolen engine that claims the last epoch there is gets no welcome, and the next true one does."""

    async def scenario() -> None:
        async with Gateway(tmp_path / "gateway.sock") as gateway:
            thief = Raw(gateway.path)
            await thief.say(hello(epoch=2**63 - 1))
            assert "none that a lease gives" in (await thief.hear(wire.Turned)).why
            engine = Raw(gateway.path)
            await engine.say(hello(epoch=5))
            await engine.hear(wire.Welcome)
            assert gateway.kept == [5]

    asyncio.run(scenario())


def test_a_lost_engine_leaves_its_orders_and_lets_nothing_new_out(tmp_path: Path):
    """The gateway cancels nothing by itself; a guardian reads and cancels; an older epoch gets no welcome."""

    async def scenario() -> None:
        async with Gateway(tmp_path / "gateway.sock") as gateway:
            engine = Raw(gateway.path)
            await engine.say(hello(epoch=5), sending(1, place("mm-1"), epoch=5))
            await engine.hear(wire.Told)
            engine.end.close()
            guardian = Raw(gateway.path)
            await guardian.say(hello("guardian", epoch=0))
            await guardian.hear(wire.Welcome)
            await guardian.say(wire.Ask(seq=1, what="open_orders", category=MARKET[0], symbol=MARKET[1]))
            assert len((await guardian.hear(wire.Answered)).found) == 1
            assert not gateway.core.engaged
            late = Raw(gateway.path)
            await late.say(hello(epoch=4))
            assert "superseded" in (await late.hear(wire.Turned)).why
            await guardian.say(sending(2, cancel("mm-1"), epoch=0))
            await guardian.hear(wire.Told)
            again = Raw(gateway.path)
            await again.say(hello(epoch=5))
            await again.hear(wire.Welcome)
            assert gateway.core.engaged
            assert gateway.kept == [5]

    asyncio.run(scenario())


def test_a_second_engine_is_turned_away_unless_it_supersedes(tmp_path: Path):
    """The same epoch twice: no. A higher one takes over, and the old one's connection ends."""

    async def scenario() -> None:
        async with trading(tmp_path) as (gateway, engine):
            second = Raw(gateway.path)
            await second.say(hello(epoch=1))
            assert "connected already" in (await second.hear(wire.Turned)).why
            third = Raw(gateway.path)
            await third.say(hello(epoch=2), sending(1, place("mm-9"), epoch=1), sending(2, place("mm-8"), epoch=2))
            await third.hear(wire.Welcome)
            await engine.until(lambda: engine.links[-1].state == "down")
            assert gateway.server.counters["second engine"] == 1
            await third.hear(wire.Told)
            assert [one.client_id for one in await gateway.guard.open_orders(*MARKET)] == ["mm-8"]
            assert gateway.core.objections["epoch"] == 1

    asyncio.run(scenario())


def frame(body: bytes) -> bytes:
    """A body with its length."""
    return struct.pack(">I", len(body)) + body


@pytest.mark.parametrize(
    ("said", "counter"),
    [
        ([b"\xff\xff\xff\xff"], "malformed"),
        ([b"\x00\x00\x00\x00"], "malformed"),
        ([frame(b"\xc1")], "malformed"),
        ([frame(b"\x91" * 5_000)], "malformed"),
        ([frame(msgspec.msgpack.encode({"type": "limits", "position": "1e9"}))], "malformed"),
        ([hello(), frame(msgspec.msgpack.encode({"type": "limits", "position": "1e9"}))], "malformed"),
        ([hello(), hello()], "malformed"),
        ([sending(1, place())], "malformed"),
        ([hello(), sending(2, cancel()), sending(2, cancel())], "replayed"),
        ([hello(), sending(2, cancel()), sending(1, place())], "replayed"),
        ([hello("watcher"), sending(1, cancel())], "not of its role"),
        ([hello("guardian"), sending(1, cancel(), place())], "not of its role"),
        (
            [hello("watcher"), wire.Ask(seq=1, what="cancel_all", category="linear", symbol="BTCUSDT")],
            "not of its role",
        ),
        (
            [
                hello(),
                wire.Send(seq=1, epoch=1, decided=1, requests=(wire.Tagged("market", msgspec.Raw(b"\x80")),)),
            ],
            "malformed",
        ),
        (
            [
                hello(),
                wire.Send(
                    seq=1,
                    epoch=1,
                    decided=1,
                    requests=(wire.Tagged("place", msgspec.Raw(msgspec.msgpack.encode({"qty": 1}))),),
                ),
            ],
            "malformed",
        ),
    ],
    ids=str,
)
def test_what_is_no_message_of_its_role_ends_the_connection_and_is_counted(said: list, counter: str, tmp_path: Path):
    """Nothing reaches the venue, nothing falls over, and the next one is served."""

    async def scenario() -> None:
        async with Gateway(tmp_path / "gateway.sock") as gateway:
            raw = Raw(gateway.path)
            await raw.say(*said)
            await raw.closed()
            assert gateway.server.counters == {counter: 1}
            assert await gateway.guard.open_orders(*MARKET) == []
            good = Raw(gateway.path)
            await good.say(hello(epoch=2))
            await good.hear(wire.Welcome)

    asyncio.run(scenario())


def test_hostile_bytes_neither_pass_nor_fell_it(tmp_path: Path):
    """Two thousand frames of changed and random bytes: no order, no exception, and an engine is still served."""
    random = Random(7)
    good = [wire.encode(hello()), wire.encode(sending(1, place("mm-1", price="90")))]

    def hostile() -> bytes:
        raw = bytearray(random.choice(good) if random.random() < 0.7 else random.randbytes(random.randrange(1, 60)))
        for _ in range(random.randrange(1, 5)):
            raw[random.randrange(len(raw))] = random.randrange(256)
        return bytes(raw)

    async def scenario() -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with Gateway(tmp_path / "gateway.sock") as gateway:
            for _ in range(1_000):
                raw = Raw(gateway.path)
                try:
                    await raw.say(hostile(), hostile())
                except (BrokenPipeError, ConnectionResetError):
                    faults += []
                raw.end.close()
                await asyncio.sleep(0)
            async with asyncio.timeout(10):
                while gateway.server.connections:
                    await asyncio.sleep(0)
            assert await gateway.guard.open_orders(*MARKET) == []
            engine = Engine(gateway.path, epoch=int(time.time()) + 86_000)
            await engine.orders.start()
            engine.orders.send([place("mm-2")])
            await engine.until(lambda: engine.of(Acked) or engine.of(Refused))
            await engine.orders.stop()
        assert not faults

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's process can only be made by root")
def test_another_user_is_not_let_in(tmp_path: Path):
    """The socket is 0600; and where somebody loosens that, the kernel's word on the user still decides."""

    async def scenario() -> None:
        async with Gateway(tmp_path / "gateway.sock") as gateway:
            assert gateway.path.stat().st_mode & 0o777 == 0o600
            tmp_path.chmod(0o711)
            assert await asyncio.to_thread(other_user, gateway.path) == "denied"
            gateway.path.chmod(0o666)
            assert await asyncio.to_thread(other_user, gateway.path) == "closed"
            assert gateway.server.counters["wrong user"] == 1

    asyncio.run(scenario())


def other_user(path: Path) -> str:
    """Connect as nobody, in a process of its own, and say how it ended."""
    folder = os.open(path.parent, os.O_RDONLY)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.fchdir(folder)
        os.setgid(65_534)
        os.setuid(65_534)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.settimeout(5)
        said = b"served"
        try:
            end.connect(path.name)
            end.sendall(wire.encode(hello()))
            said = b"served" if end.recv(1) else b"closed"
        except PermissionError:
            said = b"denied"
        except OSError:
            said = b"closed"
        os.write(write, said)
        os._exit(0)
    os.close(write)
    os.close(folder)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as told:
        return told.read().decode()


def test_a_path_that_is_taken_is_not_taken_over(tmp_path: Path):
    """A second gateway and a file in the way are refused; a socket that nobody serves is replaced; long paths work."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    path = folder / "gateway.sock"
    listening(path).close()
    with listening(path), pytest.raises(VenueError, match="listens at"):
        listening(path)
    path.unlink()
    path.write_text("in the way")
    with pytest.raises(VenueError, match="no socket"):
        listening(path)


def test_no_message_has_room_for_a_secret_or_a_limit():
    """Every field of every message is listed here: a new one is looked at by whoever adds it."""
    fields = {
        kind.__name__: set(kind.__struct_fields__)
        for kind in (
            wire.Hello,
            wire.Send,
            wire.Ask,
            wire.Welcome,
            wire.Turned,
            wire.Told,
            wire.Linked,
            wire.Answered,
            wire.Failed,
        )
    }
    assert fields == {
        "Hello": {"version", "role", "epoch"},
        "Send": {"seq", "epoch", "requests", "decided", "lease"},
        "Ask": {"seq", "what", "category", "symbol", "client_id", "since_ns", "path", "orders"},
        "Welcome": {"version", "epoch"},
        "Turned": {"why"},
        "Told": {"facts", "ts_recv"},
        "Linked": {"event"},
        "Answered": {"seq", "found", "count"},
        "Failed": {"seq", "why"},
    }
