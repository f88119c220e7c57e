"""An account's freezes go with its lease: what stopped one machine stops the next one that leads.

    taking the lease   this machine's log and the database's become one, in both places, before anything is sent
    leading            a raise holds at once and is on the disk; then the database's log goes on as ours does
    standing by        what is frozen here and not there is asked of the leader, which raises it within about a second
    elsewhere          likewise, by `mmbot freeze` and `kill`, where they find the database

While the database does not have what is in our log, a run says so, nothing is lowered, and an alarm is open. Once
another leads, what is still missing there is asked of it.

Not handled: what a machine froze that is lost before the database had it, and does not come back. Who may write to
the database may freeze; to lower, the signatures count, by the keys that are enrolled on the machine that reads them.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.ops.account_state import UNREADABLE, write_durably
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.leader.fleet_log import FleetLog
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError
from mmbot.risk.freeze_join import asked_since, joined, lacking, unheard
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.config import LeaderConfig
    from mmbot.ops.account_state import AccountState
    from mmbot.ops.leader.fleet import FleetLease
    from mmbot.risk.levels import FreezeAsked

__all__ = ["LEADS_ON_NS", "FleetFreezes", "leads_on_ns", "remember_fleet", "tell_fleet"]

LEADS_ON_NS = 60_000_000_000
"""How long a leader elsewhere may go on, where nobody knows better."""
LOOK_S = 0.1
"""How soon what is new in our log is written there."""
AGAIN_NS = 1_000_000_000
"""How often what others asked for is looked at, and a write that failed is tried again."""
TELL_S = 5.0
LAST_TRIES = 3


class FleetFreezes:
    """One run's part in them. `clock` only reads the time."""

    def __init__(self, state: AccountState, lease: FleetLease, clock: Callable[[], int]) -> None:
        self._state, self._lease, self._clock = state, lease, clock
        self._there = FleetLog(dsn=lease.dsn, account=lease.account, call_s=lease.call_s)
        self._latch: FreezeLatch | None = None
        self._ask: Callable[[FreezeAsked], object] = lambda _: None
        self._told: Callable[[dict[str, object]], None] = lambda _: None
        self._size = 0
        """Bytes of our log that the database has, or that were asked for there."""
        self._raised: list[str] = []
        """Names of what others asked for and is on our board; taken out there once our log is written."""
        self._asked: tuple[FreezeAsked, ...] = ()
        """What could not be written here and was asked for there."""
        self._looked_at = 0, 0
        self._tried = 0
        self._why = ""
        self._alarmed = False
        lease.freezes = self

    # ---- taking the lease

    def moved(self) -> bool:
        """Whether our log is another one than `lacking` looked at last."""
        return self._stamp() != self._looked_at

    def lacking(self, theirs: bytes) -> list[FreezeAsked]:
        """What is frozen here, where we do not lead, and was never said there. Raises LeaseRefusedError."""
        latch = self._opened()
        self._looked_at = self._stamp()
        return lacking(theirs, latch.raw, latch.board.operators)

    def _stamp(self) -> tuple[int, int]:
        try:
            about = self._state.freeze.stat()
        except OSError:  # `lacking` says what is wrong
            return -1, -1
        return about.st_size, about.st_mtime_ns

    def joined(self, theirs: bytes, asked: Sequence[FreezeAsked]) -> bytes:
        """The log that holds from now on. Raises LeaseRefusedError where ours cannot be used."""
        latch = self._opened()
        return joined(latch.raw, theirs, latch.board.operators, asked)

    def adopt(self, log: bytes) -> None:
        """Take it in on this machine. Raises LeaseRefusedError."""
        try:
            self._opened().join(log)
        except (OSError, ValueError) as error:
            raise LeaseRefusedError(f"the account's freezes cannot be kept on this machine: {error}") from error
        self._size = len(log)

    def _opened(self) -> FreezeLatch:
        latch = FreezeLatch(self._state, self._clock)
        if latch.trouble:
            raise LeaseRefusedError(f"nothing leads from this machine: {latch.trouble}")
        return latch

    # ---- leading

    def begin(
        self,
        latch: FreezeLatch,
        ask: Callable[[FreezeAsked], object],
        told: Callable[[dict[str, object]], None],
    ) -> asyncio.Task[None]:
        """Keep this latch, until the task is cancelled. ask: freezes the run; told: hears what a person should know."""
        self._latch, self._ask, self._told = latch, ask, told
        return asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Write what is new, where there is something or it is time, and take in what others asked for."""
        latch, now = self._latch, self._clock()
        if latch is None:
            return
        if now - self._tried < AGAIN_NS and (self._why or not self._missing(latch)):
            return
        self._tried = now
        try:
            await self._exchange(latch)
            self._say(latch, "")
        except VenueError as error:
            self._say(latch, str(error))

    async def _exchange(self, latch: FreezeLatch) -> None:
        log, unwritten = latch.raw, latch.unwritten
        if unwritten:
            await self._there.ask(unwritten)
        self._asked = unwritten
        try:
            asked = await self._there.write(self._lease.epoch, log, () if unwritten else self._raised)
        except DeposedError:
            await self._there.ask(asked_since(log, self._size))
            self._size = len(log)
            return
        self._size = len(log)
        self._raised = list(asked)
        for one in unheard(log, asked.values()):
            self._ask(one)

    def _say(self, latch: FreezeLatch, why: str) -> None:
        latch.elsewhere(f"the fleet does not have this freeze log: {why}" if why else "")
        before, self._why = self._why, why
        if why and not self._alarmed and self._missing(latch):
            self._alarmed = True
            self._told({"event": "freeze_not_carried", "why": f"another machine that leads would not see it: {why}"})
        elif bool(why) != bool(before):
            self._alarmed = False
            self._told({"event": "fleet freezes", "why": why or "written again"})

    def _missing(self, latch: FreezeLatch) -> bool:
        """Whether the database lacks what is on our board."""
        return len(latch.raw) > self._size or latch.unwritten != self._asked

    async def leave(self) -> None:
        """Write the last of it, while the lease is ours."""
        try:
            for _ in range(LAST_TRIES):
                if self._latch is None:
                    break
                self._latch.refresh(self._clock())
                self._tried = 0
                await self.look()
                if not self._why and not self._missing(self._latch):
                    break
                await asyncio.sleep(LOOK_S)
        finally:
            self._latch = None
            await self._there.close()


# ---- who does not lead


def remember_fleet(state: AccountState, said: LeaderConfig, lease: str) -> None:
    """Leave behind which row of which database is the account's, for `tell_fleet`. Raises OSError."""
    if said.kind == "postgres":
        words = {"dsn_variable": said.dsn_variable, "account": lease, "ttl_s": said.ttl_s}
        write_durably(state.fleet, json.dumps(words, indent=1).encode() + b"\n")
    else:
        state.fleet.unlink(missing_ok=True)


def leads_on_ns(state: AccountState) -> int:
    """How long a leader on another machine may go on that does not hear of a freeze: by then it has heard, or its lease
    is over. 0 for an account of no fleet.
    """
    if not state.fleet.exists():
        return 0
    try:
        ttl_s = float(json.loads(state.fleet.read_bytes())["ttl_s"])
    except (OSError, *UNREADABLE):
        return LEADS_ON_NS
    return round(ttl_s * 1e9) if 0 <= ttl_s <= LEADS_ON_NS / 1e9 else LEADS_ON_NS


async def tell_fleet(state: AccountState, asked: FreezeAsked, environ: Mapping[str, str]) -> str:
    """Ask whoever leads on the account, on whatever machine; "" where the account is of no fleet, else what was done.

    Raises ConfigError, VenueError, OSError or ValueError where nobody was asked.
    """
    try:
        words = json.loads(state.fleet.read_bytes())
        variable, account = str(words["dsn_variable"]), str(words["account"])
    except FileNotFoundError:
        return ""
    except (KeyError, TypeError) as error:
        raise ValueError(f"{state.fleet} does not name the fleet's lease: {error!r}") from error
    dsn = environ.get(variable, "")
    if not dsn:
        raise ConfigError(f"{variable} is not set: who leads on another machine does not hear of it")
    there = FleetLog(dsn=dsn, account=account, call_s=TELL_S)
    try:
        await there.ask([asked])
    finally:
        with suppress(OSError):
            await there.close()
    return "the fleet's leader was asked"
