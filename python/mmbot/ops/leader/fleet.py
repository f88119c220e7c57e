"""The lease of several machines: one row in PostgreSQL.

    read      the row; and what is frozen here but not there is asked of whoever leads
    take      one transaction: the row locked, looked at again, its epoch raised, its end set by the server's clock,
              and the account's freeze log joined with ours, which is on our disk before anything may be sent
    renew     one statement that holds only for the holder of that epoch, with the same program and configuration
    release   the same, with the end moved to now

What a late renewal did is no matter, because the end of the lease is counted from when the renewal was asked for.

The server must not lose what it acknowledged: one server, or a synchronous standby. A copy that lags may come back with
an older row; then nobody can renew, the watchers' rule keeps the old holder's time free, and the epoch still grows,
because it is never below the start second of whoever takes it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mmbot.execution.lease import LeaseRow
from mmbot.ops.leader.database import FleetDatabase, connected
from mmbot.ops.leader.fleet_log import FleetRows
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError, Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg import AsyncConnection

    from mmbot.ops.leader.epochs import EpochFile
    from mmbot.risk.levels import FreezeAsked

__all__ = ["CarriedFreezes", "FleetLease", "admit", "holder_name"]

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


class CarriedFreezes(Protocol):
    """The freeze log of the account on this machine, which goes with the lease."""

    def moved(self) -> bool:
        """Whether it is another one than `lacking` looked at last, so that it is looked at again."""

    def lacking(self, theirs: bytes) -> list[FreezeAsked]:
        """What is frozen here and was never said there. Raises LeaseRefusedError."""

    def joined(self, theirs: bytes, asked: Sequence[FreezeAsked]) -> bytes:
        """What the log is for whoever leads next: ours and the database's. Raises LeaseRefusedError."""

    def adopt(self, log: bytes) -> None:
        """Take that log in here, before anything may be sent. Raises LeaseRefusedError."""


@dataclass(kw_only=True)
class FleetLease(FleetDatabase):
    """One candidate's view of an account's row."""

    ttl_ms: int
    build: str
    config: str
    epochs: EpochFile
    """What this machine remembers: no epoch is used again, even where the database came back with an older row."""
    wall: Callable[[], int] = time.time_ns
    holder: str = field(default_factory=holder_name)
    epoch: int = 0
    """Of the lease that we hold, or held."""
    freezes: CarriedFreezes | None = None
    """None: who takes the lease trades nothing."""

    async def read(self) -> LeaseRow:
        """The row as it is. Raises LeaseUnreachableError; LeaseRefusedError where the fleet runs something else."""
        row, _ = await self._in_time(self._look)
        self._check(row)
        if self.freezes is not None and self.freezes.moved():
            await self._in_time(self._offered)
        return row

    async def _offered(self) -> None:
        """Ask whoever leads for what is frozen here and was never said there."""
        if self.freezes is not None:
            rows = FleetRows(await self._connected(), self.account)
            await rows.ask(self.freezes.lacking(await rows.seen()))

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
            log = None if self.freezes is None else await self._joined(connection, self.freezes)
        if self.freezes is not None and log is not None:
            self.freezes.adopt(log)
        self.epochs.write(self.epoch, quiet=False)
        return Taken(self.epoch, None if quiet else -row.left_ns)

    async def _joined(self, connection: AsyncConnection[tuple[Any, ...]], freezes: CarriedFreezes) -> bytes:
        """The account's freeze log from now on, in the transaction that makes us its keeper."""
        rows = FleetRows(connection, self.account)
        theirs, asked = await rows.log(), await rows.asked()
        log = freezes.joined(theirs, list(asked.values()))
        await rows.begin(self.epoch, log)
        await rows.heard(asked)
        return log

    def _check(self, row: LeaseRow) -> None:
        """Refuse a node that runs another program or configuration than its fleet. Raises LeaseRefusedError."""
        for what, theirs, ours in (("build", row.build, self.build), ("configuration", row.config, self.config)):
            if theirs and theirs != ours:
                raise LeaseRefusedError(
                    f"the fleet of {self.account} runs {what} {theirs} and this node has {ours}: no lease for it. "
                    "Deploy the same everywhere; to change what the fleet runs, end the leader, then "
                    "`mmbot leader admit`"
                )


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
