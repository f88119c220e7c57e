"""Calls to the fleet's database, each with a time limit here and one in the server.

A call that was given up is not waited for: its connection is left to close itself and the next call opens another.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmbot.ops.leader.lease import LeaseRefusedError, LeaseUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from psycopg import AsyncConnection

__all__ = ["FleetDatabase", "connected"]

Answer = TypeVar("Answer")
_SCHEMA = Path(__file__).with_name("fleet.sql")


@dataclass(kw_only=True)
class FleetDatabase:
    """One account's rows, over a connection of its own."""

    dsn: str = field(repr=False)
    """Where the database is; it may hold a password, so it is never shown."""
    account: str
    call_s: float
    """Time limit of every call, the connection included."""
    _connection: AsyncConnection[tuple[Any, ...]] | None = field(default=None, init=False, repr=False)
    _given_up: set[asyncio.Task[Any]] = field(default_factory=set, init=False, repr=False)

    async def close(self) -> None:
        """Close the connection and end what was given up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(TimeoutError):  # a server that does not answer keeps nobody from ending
                async with asyncio.timeout(self.call_s):
                    await connection.close()
        for task in self._given_up:
            task.cancel()

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


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
