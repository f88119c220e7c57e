"""The lease of several machines: one row in PostgreSQL.

    take      one transaction: the row locked, looked at again, its epoch raised, its end set by the server's clock
    renew     one statement that holds only for the holder of that epoch, with the same program and configuration
    release   the same, with the end moved to now

Every call has a time limit here and one in the server. A call that was given up is not waited for: its connection is
left to close itself and the next call opens another. What a late renewal did is no matter, because the end of the lease
is counted from when the renewal was asked for.

The server must not lose what it acknowledged: one server, or a synchronous standby. A copy that lags may come back with
an older row; then nobody can renew, the watchers' rule keeps the old holder's time free, and the epoch still grows,
because it is never below the start second of whoever takes it.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmbot.execution.lease import LeaseRow
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError, LeaseUnreachableError, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from psycopg import AsyncConnection

    from mmbot.ops.leader.epochs import EpochFile

__all__ = ["FleetLease", "admit", "holder_name"]

Answer = TypeVar("Answer")
_SCHEMA = Path(__file__).with_name("fleet.sql")
_LOOK = """SELECT epoch, beat, holder, ttl_ms, build, config, quiet,
    CASE WHEN expires_at = '-infinity' THEN -1 ELSE
    (EXTRACT(EPOCH FROM expires_at - clock_timestamp()) * 1e9)::bigint END FROM mmbot_lease WHERE account = %s"""
_TAKE = """UPDATE mmbot_lease SET epoch = GREATEST(epoch + 1, %s), beat = beat + 1, holder = %s, ttl_ms = %s,
    expires_at = clock_timestamp() + %s * interval '1 ms', quiet = false, build = %s, config = %s
    WHERE account = %s RETURNING epoch"""
_RENEW = """UPDATE mmbot_lease SET beat = beat + 1, expires_at = clock_timestamp() + %s * interval '1 ms'
    WHERE account = %s AND epoch = %s AND holder = %s AND build = %s AND config = %s RETURNING beat"""
_RELEASE = """UPDATE mmbot_lease SET beat = beat + 1, holder = '', expires_at = clock_timestamp(), quiet = %s
    WHERE account = %s AND epoch = %s AND holder = %s"""
_ADMIT = """UPDATE mmbot_lease SET build = %s, config = %s
    WHERE account = %s AND (holder = '' OR expires_at <= clock_timestamp()) RETURNING epoch"""


def holder_name() -> str:
    """This process, for people, and no other one's name."""
    return f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() // 1_000_000}"


@dataclass(kw_only=True)
class FleetLease:
    """One candidate's view of an account's row."""

    dsn: str = field(repr=False)
    """Where the database is; it may hold a password, so it is never shown."""
    account: str
    ttl_ms: int
    build: str
    config: str
    call_s: float
    """Time limit of every call, the connection included."""
    epochs: EpochFile
    """What this machine remembers: no epoch is used again, even where the database came back with an older row."""
    wall: Callable[[], int] = time.time_ns
    holder: str = field(default_factory=holder_name)
    epoch: int = 0
    """Of the lease that we hold, or held."""
    _connection: AsyncConnection[tuple[Any, ...]] | None = field(default=None, init=False, repr=False)
    _given_up: set[asyncio.Task[Any]] = field(default_factory=set, init=False, repr=False)

    async def read(self) -> LeaseRow:
        """The row as it is. Raises LeaseUnreachableError; LeaseRefusedError where the fleet runs something else."""
        row, _ = await self._in_time(self._look)
        self._check(row)
        return row

    async def look(self) -> LeaseRow:
        """The row as it is, whatever the fleet runs. Raises LeaseUnreachableError."""
        return (await self._in_time(self._look))[0]

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Raise the epoch, if the row is as it was seen and nobody holds it. Raises as `read`."""
        return await self._in_time(lambda: self._taken(seen))

    async def renew(self) -> None:
        """Move the end of the lease on. Raises DeposedError, LeaseUnreachableError."""

        async def work() -> bool:
            asked = (self.ttl_ms, self.account, self.epoch, self.holder, self.build, self.config)
            return await (await (await self._connected()).execute(_RENEW, asked)).fetchone() is not None

        if not await self._in_time(work):
            raise DeposedError(
                f"{self.holder} does not hold the lease of {self.account} with epoch {self.epoch} any more: another "
                "process took it, or another build or configuration was admitted; this one must not trade again"
            )

    async def release(self, *, clean: bool) -> None:
        """Give it back, if it is still ours. Raises LeaseUnreachableError."""

        async def work() -> None:
            await (await self._connected()).execute(_RELEASE, (clean, self.account, self.epoch, self.holder))

        await self._in_time(work)

    async def close(self) -> None:
        """Close the connection and end what was given up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(TimeoutError):  # a server that does not answer keeps nobody from ending
                async with asyncio.timeout(self.call_s):
                    await connection.close()
        for task in self._given_up:
            task.cancel()

    async def _look(self) -> tuple[LeaseRow, bool]:
        connection = await self._connected()
        found = await (await connection.execute(_LOOK, (self.account,))).fetchone()
        if found is None:
            await connection.execute(
                "INSERT INTO mmbot_lease (account) VALUES (%s) ON CONFLICT DO NOTHING", (self.account,)
            )
            found = await (await connection.execute(_LOOK, (self.account,))).fetchone()
        if found is None:
            raise LeaseRefusedError(f"the row of {self.account} in mmbot_lease goes as soon as it is made; look there")
        return _row(found)

    async def _taken(self, seen: LeaseRow) -> Taken | None:
        connection = await self._connected()
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM mmbot_lease WHERE account = %s FOR UPDATE", (self.account,))
            row, quiet = await self._look()
            self._check(row)
            if (row.epoch, row.beat) != (seen.epoch, seen.beat) or not (row.free or row.left_ns <= 0):
                return None
            epoch_min = max(self.epochs.read()[0] + 1, self.wall() // 10**9)
            asked = (
                epoch_min,
                self.holder,
                self.ttl_ms,
                self.ttl_ms,
                self.build,
                self.config,
                self.account,
            )
            raised = await (await connection.execute(_TAKE, asked)).fetchone()
        if raised is None:
            return None
        self.epoch = int(raised[0])
        self.epochs.write(self.epoch, quiet=False)
        return Taken(self.epoch, None if quiet else -row.left_ns)

    def _check(self, row: LeaseRow) -> None:
        """Refuse a node that runs another program or configuration than its fleet. Raises LeaseRefusedError."""
        for what, theirs, ours in (("build", row.build, self.build), ("configuration", row.config, self.config)):
            if theirs and theirs != ours:
                raise LeaseRefusedError(
                    f"the fleet of {self.account} runs {what} {theirs} and this node has {ours}: no lease for it. "
                    "Deploy the same everywhere; to change what the fleet runs, end the leader, then "
                    "`mmbot leader admit`"
                )

    async def _connected(self) -> AsyncConnection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await connected(self.dsn, self.call_s)
        return self._connection

    async def _in_time(self, work: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Do it within `call_s`, or give it up together with its connection. Raises LeaseUnreachableError."""
        from psycopg import Error  # noqa: PLC0415  an extra

        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait({task}, timeout=self.call_s)
        except asyncio.CancelledError:
            self._give_up(task)
            raise
        if not task.done():
            self._give_up(task)
            raise LeaseUnreachableError(f"the lease database gave no answer within {self.call_s:g} s")
        try:
            return task.result()
        except (Error, OSError) as error:
            self._connection = None
            raise LeaseUnreachableError(f"the lease database failed: {_first_line(error)}") from error

    def _give_up(self, task: asyncio.Future[Any]) -> None:
        """Leave a call that does not end to itself; it may take seconds to end even when it is told to."""
        self._connection = None
        if isinstance(task, asyncio.Task):
            self._given_up.add(task)
            task.add_done_callback(self._forget)
            task.cancel()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody reports it as never retrieved: it was given up


async def connected(dsn: str, call_s: float) -> AsyncConnection[tuple[Any, ...]]:
    """A connection with its schema there. Raises psycopg's errors, OSError; LeaseRefusedError without the client."""
    try:
        from psycopg import AsyncConnection  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise LeaseRefusedError("the PostgreSQL client is not installed; pip install 'mmbot[postgres]'") from error
    within_ms = math.ceil(call_s * 1_000)
    connection = await AsyncConnection.connect(
        dsn,
        autocommit=True,
        client_encoding="utf8",
        connect_timeout=max(2, math.ceil(call_s)),
        options=f"-c statement_timeout={within_ms} -c lock_timeout={within_ms} "
        f"-c idle_in_transaction_session_timeout={within_ms} -c client_min_messages=warning",
    )
    await connection.execute(_SCHEMA.read_text(encoding="utf-8").encode())
    return connection


async def admit(dsn: str, account: str, *, build: str, config: str, call_s: float = 5.0) -> int:
    """Let the fleet of an account run this build and configuration from now on; the epoch so far.

    Raises LeaseRefusedError while somebody leads, psycopg's errors and OSError where the database does not answer.
    """
    async with asyncio.timeout(call_s), await connected(dsn, call_s) as connection:
        admitted = await (await connection.execute(_ADMIT, (build, config, account))).fetchone()
    if admitted is None:
        raise LeaseRefusedError(f"{account} has a leader, or never had one: end it first; a first one needs no word")
    return int(admitted[0])


def _row(found: tuple[Any, ...]) -> tuple[LeaseRow, bool]:
    epoch, beat, holder, ttl_ms, build, config, quiet, left_ns = found
    row = LeaseRow(
        epoch=epoch,
        beat=beat,
        holder=holder,
        ttl_ns=ttl_ms * 1_000_000,
        left_ns=left_ns,
        build=build,
        config=config,
    )
    return row, bool(quiet)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
