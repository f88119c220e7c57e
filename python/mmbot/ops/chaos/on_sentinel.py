"""Three Redis and three Sentinels; the master dies with a write that it acknowledged and no copy has.

    heartbeats ── cut ── SET 8 acknowledged ── kill ── errors, breaker ─ Sentinels choose ── beats again, the key says 7
    creates    ──────────────────────────────────────────────────────────────────────────── go on, by their own lease

So it is shown, each time, why no lease lives there: what was acknowledged is taken back. Nothing that trades notices.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.config import RedisConfig
from mmbot.execution import Breaker, FencedError
from mmbot.ops.chaos.failover import Failover
from mmbot.ops.chaos.findings import Chaos
from mmbot.ops.chaos.rigs import sentinels
from mmbot.ops.counters import Counters
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.heartbeat import Heartbeat
from mmbot.ops.leader.host import HostLease
from mmbot.ops.leader.leadership import Leadership
from mmbot.ops.leader.redis_bus import ERRORS, RedisAwayError, RedisBus
from mmbot.venues.port import VenueError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["fail_over_on_sentinel"]

EPOCH_KEY = "mmbot:chaos:epoch"
BACK_S = 15.0
"""How long a failover may take."""
ALERTS_MAX = 3


class _Trader:
    """Asks its fence for a create every 20 ms, and counts."""

    def __init__(self, lead: Leadership) -> None:
        self._lead = lead
        self.allowed, self.fenced = 0, 0
        self.epochs: set[int] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                self._lead.check(time.time_ns() // 1_000_000)
                self.allowed += 1
                self.epochs.add(self._lead.epoch)
            except FencedError:
                self.fenced += 1
            await asyncio.sleep(0.02)


async def fail_over_on_sentinel(asked: Failover, tell: Callable[[str], None]) -> Chaos:
    """Do it; the numbers and what is found in them. Raises VenueError where it cannot be done."""
    chaos, told = Chaos("sentinel", tell, asked.settings), list[dict[str, Any]]()
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(sentinels())
        began = time.monotonic_ns()

        def since() -> int:
            return (time.monotonic_ns() - began) // 1_000_000

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmbot-chaos-")))
        lead = Leadership(told.append, time.time_ns)
        lease = HostLease("simulator", "chaos", EpochFile(folder / "epoch"), places=(folder,))
        await stack.enter_async_context(lead.held(lease, ttl_s=float("inf"), renew_s=1.0, stop=asyncio.Event()))
        trader = _Trader(lead)
        trading = asyncio.create_task(trader.run())
        stack.callback(trading.cancel)
        config = RedisConfig(
            sentinels=tuple(f"{host}:{port}" for host, port in rig.addresses),
            master=rig.master,
            heartbeat_s=asked.renew_ms / 1_000,
            call_s=0.5,
        )
        counters = Counters()
        bus = RedisBus(config, counters, told.append, breaker=Breaker(open_s=0.5, burst=3, burst_window_s=60.0))
        stack.push_async_callback(bus.close)
        beats = Heartbeat(bus=bus, account="simulator chaos", says=lambda: {"epoch": lead.epoch}, told=told.append)
        if not await beats.beat():
            raise VenueError("the first heartbeat did not arrive at the master that the Sentinels name")
        await bus.call(lambda redis: redis.set(EPOCH_KEY, 7))
        await bus.call(lambda redis: redis.wait(2, 1_000))
        rig.relay.cut = True
        await bus.call(lambda redis: redis.set(EPOCH_KEY, 8))
        chaos.say(since(), "acknowledged", key="epoch", value=8)
        before = trader.allowed
        killed = since()
        await rig.kill_master()
        chaos.say(killed, "killed", node="master")
        opened = False
        while not await beats.beat():
            opened = opened or bool(bus.away)
            if since() - killed > BACK_S * 1_000:
                raise VenueError(f"no master takes heartbeats {BACK_S:g} s after the kill")
            await asyncio.sleep(0.05)
        back = since()
        chaos.say(back, "heartbeat", node="new_master")
        try:
            found = int(await bus.call(lambda redis: redis.get(EPOCH_KEY)) or 0)
        except RedisAwayError as error:
            raise VenueError(f"the new master went at once: {error}") from error
        chaos.say(since(), "read", key="epoch", value=found)
        chaos.numbers = {
            "takeover_ms": back - killed,
            "acknowledged_lost": 8 - found,
            "redis_connection_errors_total": counters.value(ERRORS),
            "breaker_opened": float(opened),
            "creates_during": trader.allowed - before,
            "fenced": trader.fenced,
            "dual_leader": len(trader.epochs) - 1,
            "alerts": sum(event["event"] in ("redis", "heartbeat") for event in told),
        }
    _judge(chaos)
    return chaos


def _judge(chaos: Chaos) -> None:
    numbers = chaos.numbers
    took, limit = numbers["takeover_ms"], BACK_S * 1_000
    chaos.expect("discovery", f"{took:g} ms, at most {limit:g}", "the Sentinels' log", holds=0 < took <= limit)
    chaos.expect(
        "an acknowledged write was taken back",
        f"the epoch in Redis went back by {numbers['acknowledged_lost']:g}",
        "nothing was lost this time, so nothing was shown: the cut came too late",
        holds=numbers["acknowledged_lost"] == 1,
    )
    chaos.expect(
        "trading does not notice",
        f"{numbers['creates_during']:g} creates meanwhile, {numbers['fenced']:g} fenced, one epoch",
        "something that trades asks Redis",
        holds=numbers["creates_during"] > 0 and not numbers["fenced"] and not numbers["dual_leader"],
    )
    errors = numbers["redis_connection_errors_total"]
    chaos.expect("errors are counted", f"{errors:g}", "RedisBus", holds=errors > 0)
    chaos.expect("the breaker opened, and closed", f"{took:g} ms", "RedisBus", holds=bool(numbers["breaker_opened"]))
    alerts = numbers["alerts"]
    chaos.expect("no alert storm", f"{alerts:g} alerts, at most {ALERTS_MAX}", "RedisBus", holds=alerts <= ALERTS_MAX)
