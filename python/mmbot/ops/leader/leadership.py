"""What a run has of its lease: it waits for it, keeps it, says what may be signed under it, and gives it back.

standby ─▶ leading ─┬─ a renewal fails        goes on until the lease is over, then no create leaves; cancels do
                    ├─ renewed again           creates leave again: nobody else has led in between
                    └─ deposed                 the run ends: its orders are cancelled, it never creates again
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.config import ConfigError
from mmbot.execution import FencedError
from mmbot.execution.lease import NEVER_NS, FenceTerms, LeaseFence
from mmbot.ops.leader.build import build_hash
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.fleet import FleetLease
from mmbot.ops.leader.host import HostLease
from mmbot.ops.leader.lease import DeposedError, LeaseUnreachableError
from mmbot.ops.leader.standby import StandbyLoop
from mmbot.venues.port import LinkEvent, VenueError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from mmbot.config import BacktestConfig, LeaderConfig, SessionConfig
    from mmbot.ops.leader.lease import Lease
    from mmbot.venues.port import LinkState

__all__ = ["Leadership", "dsn_of", "lease_of"]

_MS = 1_000_000
FRESH_S = 0.001
"""Looked at again so much after the fence was to change its word."""


class Leadership:
    """One run's part in one lease. `check` is the fence that the order session asks; the rest is the run's."""

    def __init__(
        self,
        told: Callable[[dict[str, Any]], None],
        venue_ns: Callable[[], int],
        *,
        terms: FenceTerms | None = None,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.venue_ns = venue_ns
        """The venue's time as estimated here; may be replaced by a better estimate before `held`."""
        self.fence: LeaseFence | None = None
        """None while somebody else leads."""
        self.quiet = False
        """Said by the run at its end: nothing of ours is left at the venue, or can still arrive there."""
        self._told, self._terms, self._monotonic = told, terms or FenceTerms(), monotonic
        self._over: VenueError | None = None
        self._moved: Callable[[LinkEvent], None] = lambda _: None
        self._deposed: Callable[[VenueError], None] | None = None
        self._shown = ""
        self._timer: asyncio.TimerHandle | None = None

    def alone(self, epoch: int) -> None:
        """Lead without a lease: where nobody else can reach the venue."""
        self.fence = LeaseFence(epoch=epoch, terms=self._terms)

    @property
    def epoch(self) -> int:
        """Of this leader. Raises VenueError while it does not lead."""
        if self.fence is None:
            raise VenueError("this run does not lead yet; wait for its lease first")
        return self.fence.epoch

    def why_not(self, ts_ns: int) -> str:
        """Say why a create or an amend that is signed with this venue time may not leave; "" where it may."""
        if self._over is not None:
            return str(self._over)
        return "this run does not lead yet" if self.fence is None else self.fence.why_not(ts_ns)

    def check(self, ts_ms: int) -> None:
        """Raise FencedError where a create or an amend that is signed with this venue time may not leave."""
        why = self.why_not(ts_ms * _MS)
        if why:
            raise FencedError(why)

    @asynccontextmanager
    async def held(self, lease: Lease, *, ttl_s: float, renew_s: float, stop: asyncio.Event) -> AsyncIterator[int]:
        """Stand by, lead, and give the lease back; yields the epoch.

        Raises LeaseRefusedError, and VenueError where `stop` was set while standing by.
        """
        ttl_ns = NEVER_NS if ttl_s == float("inf") else round(ttl_s * 1e9)
        standby = StandbyLoop(
            lease=lease,
            venue_ns=self.venue_ns,
            ttl_ns=ttl_ns,
            poll_s=min(1.0, renew_s / 5),
            told=self._told,
            terms=self._terms,
            monotonic=self._monotonic,
        )
        try:
            self.fence = await standby.until_leading(stop)
            if self.fence is None:
                raise VenueError("ended while standing by: another process leads, and nothing was sent from here")
            first_s = max(0, self.fence.first_ns - self.venue_ns()) / 1e9
            self._told({"event": "leading", "epoch": self.fence.epoch, "first_create_in_s": round(first_s, 3)})
            async with self._kept(lease, ttl_ns, renew_s):
                yield self.fence.epoch
        finally:
            self._over = self._over or VenueError("this run has given its lease back")
            await self._release(lease)

    def listen(self, moved: Callable[[LinkEvent], None], deposed: Callable[[VenueError], None]) -> None:
        """Tell from now on whether creates may leave, as a link that is up or down, and that another process leads."""
        self._moved, self._deposed = moved, deposed
        self._look()

    @asynccontextmanager
    async def _kept(self, lease: Lease, ttl_ns: int, renew_s: float) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep(lease, ttl_ns, renew_s))
        try:
            yield
        finally:
            keeping.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._deposed = None
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, lease: Lease, ttl_ns: int, renew_s: float) -> None:
        troubled = False
        while self._over is None:
            await asyncio.sleep(renew_s)
            asked = self.venue_ns()  # before the request leaves: the lease lasts from here, however late the answer
            try:
                await lease.renew()
            except DeposedError as error:
                self._over = error
                self._told({"event": "deposed", "why": str(error)})
            except LeaseUnreachableError as error:
                if not troubled:
                    self._told({"event": "lease", "why": f"not renewed: {error}"})
                troubled = True
                continue
            else:
                if self.fence is not None:
                    self.fence = self.fence.renewed(asked, ttl_ns)
                if troubled:
                    self._told({"event": "lease", "why": "renewed again"})
                troubled = False
            self._look()

    def _look(self) -> None:
        """Tell a change of the fence's word, and look again when it is to change next."""
        if self._deposed is None:
            return  # nobody listens
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.venue_ns()
        why = self.why_not(now)
        if bool(why) != bool(self._shown):
            self._shown = why
            state: LinkState = "down" if why else "up"
            self._moved(LinkEvent(link="trade", state=state, why=why or "leading", conn="lease"))
        if self._over is not None:
            self._deposed(self._over)
        elif self.fence is not None and now < (turns := self.fence.turns_ns(now)) < NEVER_NS // 2:
            self._timer = asyncio.get_running_loop().call_later((turns - now) / 1e9 + FRESH_S, self._look)

    async def _release(self, lease: Lease) -> None:
        try:
            await lease.release(clean=self.quiet)
        except (LeaseUnreachableError, OSError) as error:
            self._told({"event": "lease", "why": f"not given back, so the next leader waits until it is over: {error}"})
        finally:
            if isinstance(lease, FleetLease):
                await lease.close()


def lease_of(
    config: BacktestConfig,
    session: SessionConfig,
    account: str,
    epoch_file: Path,
    environ: Mapping[str, str] = os.environ,
) -> tuple[Lease, float]:
    """The lease of an account as configured, and for how long it holds, seconds.

    epoch_file: where this machine keeps the newest epoch. Raises ConfigError, OSError, ValueError.
    """
    said: LeaderConfig = session.leader
    epochs = EpochFile(epoch_file)
    if said.kind == "host":
        return HostLease(session.environment, account, epochs, session.url), float("inf")
    lease = FleetLease(
        dsn=dsn_of(said, environ),
        account=f"{session.environment} {account}",
        ttl_ms=round(said.ttl_s * 1_000),
        build=build_hash(),
        config=config.hash(),
        call_s=said.renew_s,
        epochs=epochs,
    )
    return lease, said.ttl_s


def dsn_of(said: LeaderConfig, environ: Mapping[str, str]) -> str:
    """Where the fleet's database is. Raises ConfigError."""
    dsn = environ.get(said.dsn_variable, "")
    if not dsn:
        raise ConfigError(
            f"{said.dsn_variable} is not set: the fleet's lease lives in PostgreSQL. Export where that is, as "
            "postgresql://USER@HOST/DATABASE, or name another variable by session.leader.dsn_variable"
        )
    return dsn
