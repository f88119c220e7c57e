"""The freeze log of an account in the fleet's database: written by whoever leads, and asked beside by anybody.

    mmbot_freeze         the leader's log; a holder of an older epoch writes nothing there
    mmbot_freeze_asked   freezes of who does not lead: the leader, or the next one, takes them into its log

`mmbot.ops.leader.fleet` joins both with the log of who takes the lease.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mmbot.ops.leader.database import FleetDatabase
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError
from mmbot.risk.freeze import freeze_name
from mmbot.risk.freeze_log import asked_from, asked_words
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg import AsyncConnection

__all__ = ["FleetLog", "FleetRows"]

_READ = "SELECT log FROM mmbot_freeze WHERE account = %s"
_LOCKED = "SELECT log FROM mmbot_freeze WHERE account = %s FOR UPDATE"
_BEGIN = """INSERT INTO mmbot_freeze (account, epoch, log) VALUES (%s, %s, %s)
    ON CONFLICT (account) DO UPDATE SET epoch = EXCLUDED.epoch, log = EXCLUDED.log"""
_SEEN = "SELECT epoch, octet_length(log), encode(sha256(log), 'hex') FROM mmbot_freeze WHERE account = %s"
_GO_ON = "UPDATE mmbot_freeze SET log = log || %s WHERE account = %s AND epoch = %s AND octet_length(log) = %s"
_ASKED = "SELECT name, said FROM mmbot_freeze_asked WHERE account = %s ORDER BY name"
_ASK = "INSERT INTO mmbot_freeze_asked (account, name, said) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_HEARD = "DELETE FROM mmbot_freeze_asked WHERE account = %s AND name = ANY(%s)"


@dataclass(frozen=True)
class FleetRows:
    """The rows of one account over somebody's connection, in that one's transaction."""

    connection: AsyncConnection[tuple[Any, ...]]
    account: str

    async def log(self) -> bytes:
        """The log, which nobody else writes until the transaction is over; empty before the first."""
        found = await (await self.connection.execute(_LOCKED, (self.account,))).fetchone()
        return b"" if found is None else bytes(found[0])

    async def seen(self) -> bytes:
        """The log as it is at this moment; empty before the first."""
        found = await (await self.connection.execute(_READ, (self.account,))).fetchone()
        return b"" if found is None else bytes(found[0])

    async def begin(self, epoch: int, log: bytes) -> None:
        """Put this log there, for the holder of this epoch to go on with."""
        await self.connection.execute(_BEGIN, (self.account, epoch, log))

    async def asked(self) -> dict[str, FreezeAsked]:
        """What others asked for, by the name of its row; what cannot be read freezes the firm."""
        rows = await (await self.connection.execute(_ASKED, (self.account,))).fetchall()
        return {name: _asked(said) for name, said in rows}

    async def ask(self, asked: Iterable[FreezeAsked]) -> None:
        """Ask for freezes; one that is there already is there once."""
        for one in asked:
            await self.connection.execute(_ASK, (self.account, freeze_name(one), json.dumps(asked_words(one))))

    async def heard(self, names: Iterable[str]) -> None:
        """Take rows out that the log has."""
        await self.connection.execute(_HEARD, (self.account, list(names)))


@dataclass(kw_only=True)
class FleetLog(FleetDatabase):
    """One process's way to them, apart from the lease's: a renewal waits for none of this."""

    async def write(self, epoch: int, log: bytes, heard: Iterable[str] = ()) -> dict[str, FreezeAsked]:
        """Write what the leader's log says beyond what is there; returns what others asked for, by name.

        heard: what is in that log of what was asked before. Raises DeposedError where the epoch is over,
        LeaseRefusedError where another log is there than ours was, LeaseUnreachableError.
        """
        return await self._in_time(lambda: self._written(epoch, log, list(heard)))

    async def _written(self, epoch: int, log: bytes, heard: list[str]) -> dict[str, FreezeAsked]:
        connection = await self._connected()
        rows = FleetRows(connection, self.account)
        found = await (await connection.execute(_SEEN, (self.account,))).fetchone()
        keeper, size, digest = found or (epoch, -1, "")
        if keeper != epoch:
            raise DeposedError(f"epoch {keeper} keeps the freeze log of {self.account} now, not {epoch}")
        if size < 0 or sha256(log[:size]).hexdigest() != digest:
            raise LeaseRefusedError(
                f"mmbot_freeze does not hold for {self.account} what epoch {epoch} wrote there: was the database "
                "brought back from an older copy? End this run; the next one joins both logs"
            )
        if len(log) > size:
            words = (log[size:], self.account, epoch, size)
            if (await connection.execute(_GO_ON, words)).rowcount != 1:
                raise DeposedError(f"epoch {epoch} of {self.account} ended while its freeze log was written")
        if heard:
            await rows.heard(heard)
        return await rows.asked()

    async def ask(self, asked: Iterable[FreezeAsked]) -> None:
        """Ask whoever leads for freezes. Raises LeaseUnreachableError."""

        async def work() -> None:
            await FleetRows(await self._connected(), self.account).ask(asked)

        await self._in_time(work)


def _asked(said: str) -> FreezeAsked:
    try:
        return asked_from(json.loads(said))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"a freeze in the lease's database cannot be read: {type(error).__name__}: {error}"
        return FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "latch", why, 0)
