"""The gateway as a process: what `mmbot gateway` runs, and how a run finds it or starts it.

The run starts it in a session of its own, so that neither a kill of the run nor Ctrl-C on its terminal reaches it; it
ends in order with the run, and by itself when no engine was there for a while.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.config.load import check
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.gateway.limits import GatewayLimits
from mmbot.gateway.place import connected
from mmbot.gateway.server import EngineLease, GatewayServer
from mmbot.ops.account_state import AccountState, write_durably
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.public import BybitPublic
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import Credentials, Subscription, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.config import BacktestConfig, SessionConfig
    from mmbot.gateway.core import Market
    from mmbot.risk.freeze import FreezeBoard

__all__ = ["GatewayChild", "levels_of", "limits_of", "reference_feed", "serve", "socket_of", "steady_ns"]

START_S, STOP_S = 30.0, 10.0
LOOK_S = 0.05
LINGER_S = 600.0
"""How long a gateway that a run started waits for the next engine."""
INSIDE_COLLAR_BPS = 1_000


def steady_ns() -> int:
    """A clock of this machine, the same in each of its processes, that also counts the time it was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def levels_of(board: FreezeBoard, account: str, markets: Sequence[Market]) -> dict[str, FreezeLevel]:
    """What a board says of an account, in the gateway's words. Strategies are the engine's: a gateway knows none."""
    of_all = max(board.level(FIRM), board.level(Scope("account", account)))
    names = [f"{category} {symbol}" for category, symbol in markets]
    return {"": of_all, **{name: board.level(Scope("symbol", name)) for name in names}}


def limits_of(config: BacktestConfig, session: SessionConfig, markets: Sequence[Market]) -> GatewayLimits:
    """Limits for a gateway inside a run that has no file of its own: the sizes, caps and ages of the run.

    Raises ConfigError where they make no gateway: a symbol that no venue has, or the same one twice.
    """
    symbols = [
        {
            "category": category,
            "symbol": symbol,
            "order_qty": each.limits.order,
            "order_notional": config.risk.cap_order_usd,
            "position": each.limits.position,
            "collar_bps": max(INSIDE_COLLAR_BPS, each.limits.collar_bps),
            "taking": "always",
        }
        for (category, symbol), each in zip(markets, config.instruments, strict=True)
    ]
    words = {
        "environment": session.environment,
        "exposure": config.risk.cap_gross_usd,
        "requests_per_second": session.calls_per_second,
        "requests_per_minute": session.calls_per_second * 60,
        "decision_age_ms": config.risk.decision_age_ms,
        "symbol": symbols,
    }
    return check(GatewayLimits, words, "the gateway inside the run")


def reference_feed(endpoint: Endpoint, guard: GuardedOrders) -> BybitPublic:
    """The gateway's own market feed: the touch, and the mark price where there is one."""
    subscriptions = [
        Subscription(category=category, symbol=symbol, depth=1, trades=False, ticker=category != "spot")
        for category, symbol in guard.core.markets
    ]
    return BybitPublic(endpoint, subscriptions, guard.references, time.time_ns)


def socket_of(limits_file: Path, limits: GatewayLimits | None = None) -> Path:
    """Where the gateway of a limits file listens: beside it, unless the file says otherwise."""
    return limits_file.parent / ("gateway.sock" if limits is None else limits.socket)


# ---- the process


async def serve(
    limits: GatewayLimits,
    limits_file: Path,
    credentials: Credentials,
    *,
    url: str | None,
    stop: asyncio.Event,
    linger_s: float | None,
    told: Callable[[dict[str, object]], None],
) -> None:
    """Hold the key and serve until `stop`, or until no engine was there for `linger_s`. Cancels nothing at its end.

    url: where a simulator is. Raises VenueError, ConfigError or OSError where it cannot begin.
    """
    endpoint = Endpoint.of(limits.environment, url)
    core, lease = GatewayCore(limits), EngineLease()
    uids = frozenset({os.geteuid(), *([] if limits.engine_uid is None else [limits.engine_uid])})
    server = GatewayServer(lease=lease, uids=uids)
    guard = server.guard = GuardedOrders(core, server, steady=steady_ns, wall=time.time_ns, told=told)
    session = BybitOrders(endpoint, credentials, guard, time.time_ns, instruments=core.markets, fence=lease)
    guard.attach(session, reference_feed(endpoint, guard))
    await guard.start()
    try:
        if guard.attestation is None or guard.attestation.faults:
            raise VenueError("the gateway does not begin: " + "; ".join(core.faults))
        state = AccountState.named(limits_file.parent / limits.folder, limits.environment, guard.attestation.account)
        guard.levels = _Latched(state, guard.attestation.account, core.markets, told)
        place = socket_of(limits_file, limits)
        epoch = place.with_name("gateway-epoch")  # beside the socket: the account's folder is the engine's
        core.epoch = _epoch_in(epoch)
        server.remember = lambda highest: write_durably(epoch, f"{highest}\n".encode())
        await server.start(place)
        told({"event": "serving", "socket": str(place), "account": guard.attestation.account, "pid": os.getpid()})
        await _until_over(server, stop, linger_s)
        told({"event": "ended", "passed": dict(core.passed), "refused": dict(core.objections)})
    finally:
        await server.stop()
        await guard.stop()


@dataclass
class _Latched:
    """The latch on disk, looked at before each decision. It is the engine's: nothing is written there."""

    state: AccountState
    account: str
    markets: Sequence[Market]
    told: Callable[[dict[str, object]], None]

    def __post_init__(self) -> None:
        self.latch, self._trouble = FreezeLatch(self.state, time.time_ns, writes=False), ""
        self()

    def __call__(self) -> Mapping[str, FreezeLevel]:
        self.latch.refresh(time.time_ns())
        trouble = self.latch.trouble
        if not trouble and not self.state.freeze.exists():
            trouble = "none yet: no run of this account began here"
        if trouble != self._trouble:  # once: why everything is refused
            self._trouble = trouble
            self.told({"event": "freeze log", "trouble": trouble or "none", "folder": str(self.state.path)})
        levels = levels_of(self.latch.board, self.account, self.markets)
        return {**levels, "": max(levels[""], FreezeLevel.CANCEL_ALL)} if trouble else levels


def _epoch_in(path: Path) -> int:
    """The highest epoch that was seen before. Raises ConfigError for a file that says none."""
    try:
        return int(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}; expected the highest epoch that an engine came with") from None


async def _until_over(server: GatewayServer, stop: asyncio.Event, linger_s: float | None) -> None:
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        left = None
        if linger_s is not None:
            left = linger_s if server.left_at is None else server.left_at + linger_s - loop.time()
            if left <= 0:
                return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), left)


# ---- a run that starts one


@dataclass
class GatewayChild:
    """A gateway that a run started."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    async def start(cls, limits_file: Path, descriptor: int, log: Path, *, url: str | None = None) -> GatewayChild:
        """Start one that reads its key from that descriptor, and wait until it serves. Raises VenueError."""
        words = [sys.executable, "-m", "mmbot", "gateway", str(limits_file), "--json"]
        words += ["--credentials-fd", str(descriptor), "--linger", f"{LINGER_S:g}"]
        words += ["--url", url] if url else []
        try:
            with log.open("ab") as complaints:
                process = subprocess.Popen(  # noqa: S603  our own interpreter and words; it returns at once
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=complaints,
                    stderr=complaints,
                    pass_fds=[descriptor],
                    start_new_session=True,
                )
        finally:
            os.close(descriptor)
        child = cls(process, log)
        await child._until_serving(socket_of(limits_file))
        return child

    async def _until_serving(self, place: Path) -> None:
        until = asyncio.get_running_loop().time() + START_S
        while not listens(place):
            if self.process.poll() is not None or asyncio.get_running_loop().time() > until:
                await self.stop()
                said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-2:]
                raise VenueError(
                    f"the gateway did not start: {'; '.join(said) or 'it printed nothing'}; see {self.log}"
                )
            await asyncio.sleep(LOOK_S)

    async def stop(self) -> None:
        """End it: asked first, killed if it does not. Its orders stay at the venue."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                await asyncio.to_thread(self.process.wait, STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        await asyncio.to_thread(self.process.wait)


def listens(place: Path) -> bool:
    """Whether a gateway is there."""
    try:
        connected(place).close()
    except OSError:
        return False
    return True
