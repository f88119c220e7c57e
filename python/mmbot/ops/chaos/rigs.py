"""Real servers for an exercise or a test: started on the loopback in a folder of their own, gone with it.

    async with postgres() as rig:     a cluster of one, by initdb, as a user without rights
    async with sentinels() as rig:    three Redis and three Sentinels, all traffic with the master through our own relay

The relay is what makes a partition of one connection possible without rights on the network: it can drop what the
master sends to its copies while everybody else is served. A kill alone would lose nothing, because the system still
delivers what a dead process had handed to it.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = [
    "MissingServerError",
    "PostgresRig",
    "SentinelRig",
    "postgres",
    "sentinels",
    "why_no_postgres",
    "why_no_redis",
]

START_S = 20.0
STOP_S = 5.0


class MissingServerError(VenueError):
    """A server that the exercise needs is not installed."""


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def why_no_postgres() -> str:
    """Why no PostgreSQL can be started here; "" where one can."""
    return "" if _postgres_bin() else "no PostgreSQL server on this machine: apt-get install postgresql"


def why_no_redis() -> str:
    """Why no Redis with Sentinel can be started here; "" where they can."""
    missing = [name for name in ("redis-server", "redis-sentinel") if shutil.which(name) is None]
    return f"no {' and no '.join(missing)} on this machine: apt-get install redis-sentinel" if missing else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _started(command: list[str], *, user: str | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        user=user,
        start_new_session=True,
    )


async def _stopped(server: asyncio.subprocess.Process, number: signal.Signals = signal.SIGTERM) -> None:
    """End a server, also one that is stopped."""
    if server.returncode is not None:
        return
    with suppress(ProcessLookupError):
        server.send_signal(signal.SIGCONT)
        server.send_signal(number)
    try:
        async with asyncio.timeout(STOP_S):
            await server.wait()
    except TimeoutError:
        server.kill()
        await server.wait()


@asynccontextmanager
async def _folder(prefix: str, user: str | None) -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if user is not None:
            who = pwd.getpwnam(user)
            os.chown(folder, who.pw_uid, who.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _until_listening(port: int, server: asyncio.subprocess.Process, name: str) -> None:
    """Wait for a server to take connections. Raises VenueError."""
    try:
        async with asyncio.timeout(START_S):
            while server.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise VenueError(f"{name} does not listen on 127.0.0.1:{port} after {START_S:g} s") from None
    raise VenueError(f"{name} ended by itself with {server.returncode} before it listened")


# ---------------------------------------------------------------------------------------------------- PostgreSQL


@dataclass
class PostgresRig:
    """A server of our own. `dsn` says where."""

    dsn: str
    _command: list[str]
    _port: int
    _user: str | None
    _server: asyncio.subprocess.Process

    async def stop(self) -> None:
        """End it at once, as a crash would; what was committed stays."""
        await _stopped(self._server, signal.SIGQUIT)

    async def start(self) -> None:
        """Start it again, on what is there."""
        self._server = await _started(self._command, user=self._user)
        await self.until_ready()

    async def until_ready(self) -> None:
        """Wait until it lets us in. Raises VenueError."""
        from psycopg import AsyncConnection, OperationalError  # noqa: PLC0415  an extra

        await _until_listening(self._port, self._server, "postgres")
        try:
            async with asyncio.timeout(START_S):
                while True:
                    with suppress(OperationalError):  # it listens before it has recovered
                        async with await AsyncConnection.connect(self.dsn, connect_timeout=2):
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise VenueError(f"postgres does not let us in after {START_S:g} s") from None

    def pause(self) -> None:
        """Let every process of the server stand still: connections stay open, and nobody answers."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        first = self._server.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split()
        return [first, *map(int, children)]


@asynccontextmanager
async def postgres() -> AsyncIterator[PostgresRig]:
    """A throw-away cluster. Raises MissingServerError, VenueError, OSError."""
    programs = _postgres_bin()
    if programs is None:
        raise MissingServerError(why_no_postgres())
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    async with _folder("mmbot-postgres-", user) as folder:
        cluster = folder / "cluster"
        make = [
            str(programs / "initdb"),
            "-N",
            "-D",
            str(cluster),
            "-U",
            "mmbot",
            "-A",
            "trust",
            "--no-locale",
            "-E",
            "UTF8",
        ]
        making = await _started(make, user=user)
        async with asyncio.timeout(START_S):
            if await making.wait() != 0:
                raise VenueError(f"initdb ended with {making.returncode}: {' '.join(make)}")
        port = _free_port()
        command = [
            str(programs / "postgres"),
            "-D",
            str(cluster),
            "-k",
            str(folder),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        server = await _started(command, user=user)
        rig = PostgresRig(f"postgresql://mmbot@127.0.0.1:{port}/postgres", command, port, user, server)
        try:
            await rig.until_ready()
            yield rig
        finally:
            await rig.stop()


# ------------------------------------------------------------------------------------------- Redis and Sentinels


class Relay:
    """Carries bytes to one server. While `cut`, what the server sends to its copies is dropped, and nothing else."""

    def __init__(self, port: int) -> None:
        self.cut = False
        self.port = 0
        self._to = port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more and drop every connection."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(0)  # so that both ends hear of it

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                inner, outer = await asyncio.open_connection("127.0.0.1", self._to)
        except (OSError, TimeoutError):
            writer.close()
            return
        self._open |= {writer, outer}
        copies: list[bool] = []  # something in it: this connection feeds a copy

        async def up() -> None:
            while chunk := await reader.read(1 << 16):
                if b"PSYNC" in chunk.upper():
                    copies.append(True)
                outer.write(chunk)

        async def down() -> None:
            while chunk := await inner.read(1 << 16):
                if not (self.cut and copies):
                    writer.write(chunk)

        halves = [asyncio.create_task(up()), asyncio.create_task(down())]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            await asyncio.gather(*halves, return_exceptions=True)
            for one in (outer, writer):
                one.close()
                self._open.discard(one)


@dataclass
class SentinelRig:
    """Three Redis, of which one leads, and three Sentinels that watch them."""

    addresses: list[tuple[str, int]]
    """Of the Sentinels."""
    master: str
    """What they call the master."""
    relay: Relay
    """Before the first master."""
    copies: list[int]
    """Ports of the copies."""
    servers: list[asyncio.subprocess.Process] = field(default_factory=list)
    """The first one is the first master."""

    async def kill_master(self) -> None:
        """SIGKILL, and its connections with it."""
        self.servers[0].kill()
        await self.servers[0].wait()
        await self.relay.stop()


@asynccontextmanager
async def sentinels(*, down_after_ms: int = 500, master: str = "mmbot") -> AsyncIterator[SentinelRig]:
    """Start them; yields when two copies follow. Raises MissingServerError, VenueError, OSError."""
    if why := why_no_redis():
        raise MissingServerError(why)
    async with _folder("mmbot-sentinel-", None) as folder, AsyncExitStack() as stack:
        ports = [_free_port() for _ in range(6)]
        relay = Relay(ports[0])
        await relay.start()
        stack.push_async_callback(relay.stop)
        rig = SentinelRig([("127.0.0.1", port) for port in ports[3:]], master, relay, ports[1:3])
        for port in ports[:3]:
            command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            command += ["--dir", str(folder), "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"]
            if port != ports[0]:
                command += ["--replicaof", "127.0.0.1", str(relay.port)]
            server = await _started(command)
            stack.push_async_callback(_stopped, server)
            rig.servers.append(server)
            await _until_listening(port, server, "redis-server")
        for port in ports[3:]:
            words = [
                f"port {port}",
                "bind 127.0.0.1",
                f"dir {folder}",
                f"sentinel monitor {master} 127.0.0.1 {relay.port} 2",
                f"sentinel down-after-milliseconds {master} {down_after_ms}",
                f"sentinel failover-timeout {master} 3000",
                f"sentinel parallel-syncs {master} 2",
            ]
            said = folder / f"sentinel-{port}.conf"
            said.write_text("\n".join(words) + "\n", encoding="utf-8")
            server = await _started(["redis-sentinel", str(said)])
            stack.push_async_callback(_stopped, server)
            rig.servers.append(server)
            await _until_listening(port, server, "redis-sentinel")
        await _until_whole(rig)
        yield rig


async def _until_whole(rig: SentinelRig) -> None:
    """Wait until each Sentinel knows two copies that follow and two other Sentinels. Raises VenueError."""
    from redis.asyncio import Redis  # noqa: PLC0415  an extra
    from redis.exceptions import RedisError  # noqa: PLC0415

    try:
        async with asyncio.timeout(START_S):
            for host, port in rig.addresses:
                async with Redis(host=host, port=port, socket_timeout=2, socket_connect_timeout=2) as sentinel:
                    while True:
                        with suppress(RedisError):
                            said: Any = await sentinel.sentinel_master(rig.master)
                            if said["num-slaves"] == 2 and said["num-other-sentinels"] == 2:
                                break
                        await asyncio.sleep(0.1)
            for port in rig.copies:
                async with Redis(host="127.0.0.1", port=port, socket_timeout=2, socket_connect_timeout=2) as copy:
                    while (await copy.info("replication"))["master_link_status"] != "up":
                        await asyncio.sleep(0.05)
    except TimeoutError:
        raise VenueError(f"the Sentinels do not know each other and two copies after {START_S:g} s") from None
