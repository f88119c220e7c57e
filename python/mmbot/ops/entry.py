"""How a run comes to the venue: by a gateway inside it, or by one that is a process of its own and alone has the key.

inside    gate ─ rules ─ session                               the key is here
process   gate ─ socket ─ ‖ ─ rules ─ session                  the key is there
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.gateway.client import GatewayOrders
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.gateway.hardening import begin_again_without, piped
from mmbot.gateway.limits import read_limits
from mmbot.ops.gateway_process import (
    GatewayChild,
    levels_of,
    limits_of,
    listens,
    reference_feed,
    socket_of,
    steady_ns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.config import BacktestConfig
    from mmbot.gateway.core import Market
    from mmbot.ops.leader.leadership import Leadership
    from mmbot.risk.freeze import FreezeBoard
    from mmbot.runtime.gate import OrderGate
    from mmbot.venues.bybit.endpoints import Endpoint
    from mmbot.venues.port import Clock, Credentials
    from mmbot.wiring import Trading

__all__ = ["GATEWAY_FD", "Entry", "give_away_the_keys"]

GATEWAY_FD = "MMBOT_GATEWAY_FD"
"""Environment variable with the number of the pipe that holds the key for the gateway, unread."""
_NS_PER_MS = 1_000_000


class Entry:
    """Makes the order session of a run, and ends what it started for it."""

    def __init__(
        self,
        config: BacktestConfig,
        wiring: Trading,
        gate: OrderGate,
        *,
        lead: Leadership,
        clock: Clock,
        told: Callable[[dict[str, object]], None],
    ) -> None:
        self._config, self._wiring, self._gate, self._lead = config, wiring, gate, lead
        self._clock, self._told = clock, told
        self._guard: GuardedOrders | None = None
        self._child: GatewayChild | None = None

    async def made(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        markets: Sequence[Market],
        *,
        url: str | None,
        folder: Path,
    ) -> GuardedOrders | GatewayOrders:
        """The session for the gate. url: of an embedded exchange. folder: of the run, where a gateway's log goes.

        Raises ConfigError, VenueError or OSError.
        """
        if self._wiring.apart:
            return await self._apart(credentials, url or self._wiring.session.url, folder)
        if credentials is None:
            raise ConfigError("the run has no credentials")  # wiring gives them to every run that is not embedded
        return self._inside(endpoint, credentials, markets)

    def _inside(self, endpoint: Endpoint, credentials: Credentials, markets: Sequence[Market]) -> GuardedOrders:
        file = self._wiring.session.gateway_file
        limits = limits_of(self._config, self._wiring.session, markets) if file is None else read_limits(Path(file))
        core = GatewayCore(limits)
        core.engage(1)  # the engine is in this process; who leads is the fence's question
        guard = self._guard = GuardedOrders(
            core, self._gate, steady=steady_ns, wall=time.time_ns, decided_ago=self._decided_ago, told=self._told
        )
        session = self._wiring.orders(endpoint, credentials, guard, markets, fence=self._lead)
        guard.attach(session, reference_feed(endpoint, guard))
        return guard

    async def _apart(self, credentials: Credentials | None, url: str | None, folder: Path) -> GatewayOrders:
        file = self._wiring.session.gateway_file
        assert file is not None, "wiring asks for it"
        place = socket_of(Path(file))
        if not listens(place):
            self._child = await GatewayChild.start(
                Path(file), self._key_for_it(credentials, place), folder / "gateway.log", url=url
            )
        return GatewayOrders(
            place,
            self._gate,
            clock=self._clock,
            steady=steady_ns,
            epoch=self._epoch,
            lease=self._lease,
            decided_ago=self._decided_ago,
        )

    @staticmethod
    def _key_for_it(credentials: Credentials | None, place: Path) -> int:
        """The descriptor that the key comes through: an embedded exchange's, or as given away at the start."""
        if credentials is not None:
            return piped(credentials.key, credentials.secret.get_secret_value())
        given = os.environ.pop(GATEWAY_FD, "")
        if not given.isdecimal():
            raise ConfigError(
                f"no gateway listens at {place}, and there is no key to start one with; export it, or start the "
                "gateway: mmbot gateway LIMITS"
            )
        return int(given)

    def obey(self, board: FreezeBoard, account: str, markets: Sequence[Market]) -> None:
        """From now on a gateway inside goes by this board; one in a process reads the latch itself."""
        if self._guard is not None:
            self._guard.levels = lambda: levels_of(board, account, markets)

    def _decided_ago(self) -> int:
        return 0 if self._gate.decided is None else max(0, self._clock() - self._gate.decided())

    def _epoch(self) -> int:
        return 0 if self._lead.fence is None else self._lead.fence.epoch

    def _lease(self) -> tuple[int, int] | None:
        """From when and until when this run may sign; at no time where it may not now."""
        fence = self._lead.fence
        if fence is None or self._lead.why_not(self._lead.venue_ns()):
            return (0, 0)
        return (fence.first_ns, fence.until_ns)

    async def stop(self) -> None:
        """End the gateway that was started for this run."""
        if self._child is not None:
            await self._child.stop()


def give_away_the_keys(
    pipes: Mapping[str, tuple[str, str]], hidden: Sequence[str], environ: Mapping[str, str], words: Sequence[str]
) -> None:
    """Put keys into pipes, and begin again in an environment without them.

    pipes: for each variable that will hold a pipe's descriptor, the variables of key and secret; one that is not set
    gets none. hidden: every variable that holds a secret. It returns only where there is nothing to hide.
    """
    if not any(environ.get(name) for name in hidden):
        return
    given = {}
    for descriptor, names in pipes.items():
        key, secret = (environ.get(name, "") for name in names)
        if key and secret:
            given[descriptor] = str(piped(key, secret))
    begin_again_without(hidden, {**environ, **given}, words)
