"""Stop an account from outside, also when its engine hangs: latch, cancel at the venue, prove zero, end the process.

    latch KILL ─▶ own session ─▶ cancel everything ─▶ two empty looks, after no create can arrive ─▶ SIGKILL ─▶ look

Nothing is asked of the engine, the guardian or the gateway; they may do the same at the same time, and cancelling
twice is cancelling once. Only the process that the account's folder names is ended, and only if it is that very one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from mmbot.config import ConfigError
from mmbot.ops.account_state import Running
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.override import Reconciled
from mmbot.venues.bybit.clock import steady_clock
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import Credentials, VenueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from mmbot.ops.account_state import AccountState
    from mmbot.venues.port import Fact, LinkEvent, OrderEntry

__all__ = ["ARRIVES_NS", "GOES_S", "Killed", "cancel_and_end", "kill", "look_for_orders"]

ARRIVES_NS = 5_000_000_000
"""After this long no create of an engine that was stopped can reach the venue."""
GOES_S = 2.0
"""How long the engine has to end by itself, for the kill is latched."""


@dataclass
class Killed:
    """What was done. `zero`: the venue said twice that no order is open."""

    account: str
    zero: bool = False
    done: list[str] = field(default_factory=list)


class _Deaf:
    """Hears the cancels' ends for the cancel-all, and nothing else."""

    def __init__(self) -> None:
        self.cancelling: Cancelling | None = None

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass them on."""
        if self.cancelling is not None:
            self.cancelling.heard(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Links are the session's business here."""


async def kill(
    state: AccountState, environ: Mapping[str, str], reason: str, *, told: Callable[[dict[str, object]], None]
) -> Killed:
    """Latch, cancel, prove, end. Goes on whatever fails on the way; `zero` is only what was proven."""
    outcome = Killed(state.name)
    latch = FreezeLatch(state, time.time_ns)
    latch.ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", reason, time.time_ns()))
    outcome.done.append(latch.trouble or "KILL is latched")
    try:
        session = json.loads(state.session.read_bytes())
        if session["embedded"]:
            await _end_with_its_exchange(state, outcome)
        else:
            await _cancel_everything(state, session, environ, outcome, told)
    except (OSError, ValueError, KeyError, ConfigError, VenueError) as error:
        outcome.done.append(f"orders were NOT proven gone: {error}")
        await _end_engine(state, outcome)
    return outcome


async def _end_with_its_exchange(state: AccountState, outcome: Killed) -> None:
    await _end_engine(state, outcome)
    outcome.zero = state.engine() is None
    outcome.done.append("the embedded exchange ends with its engine, and every order with it")


async def _cancel_everything(
    state: AccountState,
    session: dict[str, Any],
    environ: Mapping[str, str],
    outcome: Killed,
    told: Callable[[dict[str, object]], None],
) -> None:
    markets = [(category, symbol) for category, symbol in session["markets"]]
    deaf = _Deaf()
    orders = _session(session, environ, deaf, markets)
    await orders.start()
    try:
        clock = steady_clock()
        deaf.cancelling = Cancelling(orders, markets, clock, told=told)
        late = clock() + (0 if state.ended_in_order() else ARRIVES_NS)  # what died a moment ago counts as well
        await cancel_and_end(
            orders,
            deaf.cancelling,
            markets,
            late_until=late,
            end=lambda: _end_engine(state, outcome),
            outcome=outcome,
        )
    finally:
        await orders.stop()


async def cancel_and_end(
    orders: OrderEntry,
    cancelling: Cancelling,
    markets: Sequence[tuple[str, str]],
    *,
    late_until: int,
    end: Callable[[], Awaitable[None]],
    outcome: Killed,
) -> None:
    """Cancel everything over a session, have the engine ended, look once more. late_until: until then a create of the
    engine may still arrive. Raises VenueError.
    """
    result = await cancelling.run("kill", late_until=lambda: late_until)
    outcome.done.append(f"{result.canceled_count} orders cancelled ({result.method}, {result.took_ns / 1e9:.1f} s)")
    await end()
    left = [one for market in markets for one in await orders.open_orders(*market)]
    outcome.zero = result.proof == "asked" and not left
    outcome.done.append(
        f"{len(left)} orders are open"
        if result.proof == "asked"
        else f"NOT proven: {', '.join(result.failed) or result.proof}; {len(left)} orders are open"
    )


def _session(
    session: dict[str, Any], environ: Mapping[str, str], sink: _Deaf, markets: Sequence[tuple[str, str]]
) -> BybitOrders:
    names = session["key_variable"], session["secret_variable"]
    key, secret = (environ.get(name, "") for name in names)
    if not key or not secret:
        raise ConfigError(f"{' and '.join(names)} are not set: nothing can be cancelled without the key")
    endpoint = Endpoint.of(session["environment"], session["url"])
    credentials = Credentials(key=key, secret=SecretStr(secret))
    return BybitOrders(endpoint, credentials, sink, steady_clock(), instruments=markets)


async def _end_engine(state: AccountState, outcome: Killed) -> None:
    """End the engine's process: it may go by itself, for a moment; then it is made to."""
    engine = state.engine()
    if engine is None:
        outcome.done.append("no engine runs")
        return
    if not await _gone(engine, GOES_S):
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(engine.pid)
            try:
                if engine.alive:  # looked at through the handle's lifetime: the number cannot pass to another process
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
    gone = await _gone(engine, GOES_S)
    outcome.done.append(f"engine {engine.pid} " + ("has ended" if gone else "does NOT end"))


async def _gone(engine: Running, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while engine.alive:
                await asyncio.sleep(0.02)
    return not engine.alive


async def look_for_orders(state: AccountState, environ: Mapping[str, str]) -> Reconciled:
    """Compare an account on which no engine runs: nothing may be open there. Raises VenueError, ConfigError, OSError.

    Positions and cash are compared by the run that begins next, before it quotes.
    """
    session = json.loads(state.session.read_bytes())
    markets = [(category, symbol) for category, symbol in session["markets"]]
    orders = _session(session, environ, _Deaf(), markets)
    await orders.start()
    try:
        left = [one for market in markets for one in await orders.open_orders(*market)]
    finally:
        await orders.stop()
    said = f"no engine runs; {len(markets)} markets, {len(left)} open orders"
    return Reconciled(clean=not left, ts=time.time_ns(), said=said)
