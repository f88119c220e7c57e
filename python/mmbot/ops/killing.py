"""Stop an account from outside, also when its engine hangs: latch, cancel at the venue, prove zero, end the process.

    latch KILL ─▶ own session ─▶ cancel everything ─▶ two empty looks, after no create can arrive ─▶ SIGKILL
                    │                                                                                  │
                    └ none to be had: the engine and the guardian     two looks at the whole account ◀─┘
                      cancel, for they obey the latch

Zero is of the whole account: what is open in other instruments than the engine's is cancelled as well, and a part that
cannot be looked at is named, and is not zero.

What is wrong with one file of the account keeps nothing of this from being done that can be: where the account trades
is its name's and the key's to say where `session.json` does not, and what could not be done is told.

Nothing is asked of the engine, the guardian or the gateway; they may do the same at the same time, and cancelling
twice is cancelling once. Only the process that the account's folder names is ended, and only if it is that very one;
where nothing was proven from here, only while a guardian is there to cancel what it leaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from mmbot.config import ConfigError, SessionConfig
from mmbot.guardian.venue import GuardedVenue
from mmbot.ops.account_state import Running
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.guarding import listens
from mmbot.ops.leader.freezes import leads_on_ns, tell_fleet
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.override import Reconciled
from mmbot.venues.bybit.clock import steady_clock
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders, OrdersTiming
from mmbot.venues.cancelling import Cancelling, Cancels
from mmbot.venues.port import ARRIVES_NS, Credentials, OpenEverywhere, SeesAccount, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.ops.account_state import AccountState
    from mmbot.venues.port import Fact, LinkEvent, OrderSeen

__all__ = [
    "GOES_S",
    "EndsEngine",
    "KillSession",
    "Killed",
    "cancel_and_end",
    "kill",
    "look_for_orders",
]

GOES_S = 2.0
"""How long the engine has to end by itself, for the kill is latched."""
OBEYS_S = 20.0
"""How long it has where only it can cancel its orders."""
FIRST_LOOK_S, LOOK_S = 2.0, 10.0
"""How long a look at the whole account may take: before the cancels, for which it only looks for more, and after."""
TIMING = OrdersTiming(ready_s=5.0)
"""Streams that are not up by then are done without."""
APART_S = 1.0
"""Between two looks that find nothing."""


@dataclass
class Killed:
    """What was done. `zero`: the venue said twice that no order is open."""

    account: str
    zero: bool = False
    done: list[str] = field(default_factory=list)
    whole: bool = True
    """Nothing else failed: the kill is latched, and the engine has ended."""

    def failed(self, said: str) -> None:
        """Tell what could not be done."""
        self.done.append(said)
        self.whole = False


@dataclass(frozen=True)
class _Session:
    """Where an account trades, as far as that is known."""

    environment: str
    url: str | None
    account: str
    """Its number at the venue."""
    markets: list[tuple[str, str]]
    key_variable: str
    secret_variable: str
    embedded: bool


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


class EndsEngine(Protocol):
    """Ends the engine, or lets it end."""

    async def __call__(self, *, proven: bool) -> None:
        """proven: nothing is open."""


class KillSession(Cancels, SeesAccount, Protocol):
    """What a kill needs of a session."""

    async def stop(self) -> None:
        """Close it. Safe to call twice."""


async def kill(
    state: AccountState, environ: Mapping[str, str], reason: str, *, told: Callable[[dict[str, object]], None]
) -> Killed:
    """Latch, cancel, prove, end. Goes on whatever fails on the way; `zero` is only what was proven."""
    outcome = Killed(state.name)
    asked = FreezeAsked(FreezeLevel.KILL, FIRM, "operator", reason, time.time_ns())
    telling = asyncio.create_task(tell_fleet(state, asked, environ))  # a database that does not answer delays nothing
    try:
        latch = FreezeLatch(state, time.time_ns)
        latch.ask(asked)
        (outcome.failed if latch.trouble else outcome.done.append)(latch.trouble or "KILL is latched")
    except Exception as error:  # noqa: BLE001  whatever it is, the orders can be cancelled
        outcome.failed(f"KILL is NOT latched: {type(error).__name__}: {error}")
    try:
        session = _session_of(state, outcome)
        if session.embedded:
            await _end_with_its_exchange(state, outcome)
        else:
            await _cancel_everything(state, session, environ, outcome, told)
    except Exception as error:  # noqa: BLE001  whatever it is: told, and the other accounts are killed as well
        outcome.zero = False
        said = str(error) if isinstance(error, (ConfigError, VenueError)) else f"{type(error).__name__}: {error}"
        outcome.failed(f"nothing can be cancelled from here, orders are NOT proven gone: {said}")
        await _leave_it_to_others(state, outcome)
    try:
        outcome.done += filter(None, [await telling])
    except (ConfigError, VenueError, OSError, ValueError) as error:
        outcome.zero = False
        outcome.failed(f"KILL is latched on this machine ALONE, another one may lead: {error}")
    return outcome


def _session_of(state: AccountState, outcome: Killed) -> _Session:
    """Where the account trades: what its file says, else what its name and the defaults do. Raises ConfigError.

    Whose account it is is always its name's to say.
    """
    lives_in_a_run = state.path.name == "account"  # only one of an embedded exchange does
    environment, _, account = state.name.partition("-")
    try:
        said = json.loads(state.session.read_bytes())
        url, markets = said["url"], [(str(category), str(symbol)) for category, symbol in said["markets"]]
        words = [said[name] for name in ("environment", "key_variable", "secret_variable")]
        if not all(isinstance(word, str) for word in words) or not isinstance(url, str | None):
            raise TypeError(f"expected text: {words}, {url}")
        return _Session(words[0], url, account, markets, words[1], words[2], said["embedded"] is True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        outcome.failed(f"{state.session.name} does not say where it trades: {type(error).__name__}: {error}")
    if environment == "simulator" and not lives_in_a_run:
        raise ConfigError("nothing else says where its simulator is")
    known = SessionConfig()
    return _Session(environment, None, account, [], known.key_variable, known.secret_variable, lives_in_a_run)


async def _end_with_its_exchange(state: AccountState, outcome: Killed) -> None:
    await _end_engine(state, outcome)
    with suppress(OSError, ValueError):  # then nobody knows, and it was told
        outcome.zero = state.engine() is None
    outcome.done.append("the embedded exchange ends with its engine, and every order with it")


async def _cancel_everything(
    state: AccountState,
    session: _Session,
    environ: Mapping[str, str],
    outcome: Killed,
    told: Callable[[dict[str, object]], None],
) -> None:
    deaf, markets = _Deaf(), session.markets
    orders = await _begun(session, environ, deaf, outcome.done.append)
    try:
        clock = steady_clock()
        deaf.cancelling = Cancelling(orders, markets, clock, told=told)
        late = clock() + _late_ns(state)

        async def end(*, proven: bool) -> None:
            await (_end_engine if proven else _leave_it_to_others)(state, outcome)
            if not markets and late > clock():  # where nothing was known to be looked at, nothing was waited for
                await asyncio.sleep((late - clock()) / 1e9)

        await cancel_and_end(orders, deaf.cancelling, markets, late_until=late, end=end, outcome=outcome)
    finally:
        await orders.stop()


def _late_ns(state: AccountState) -> int:
    """How long something may still arrive: of an engine that died a moment ago, or of one on another machine, which
    goes on until it hears of the kill.
    """
    leads_on = leads_on_ns(state)
    try:
        here = state.engine() is not None
    except (OSError, ValueError):  # nobody knows
        here = False
    if leads_on and not here:
        return leads_on + ARRIVES_NS
    return 0 if state.ended_in_order() else ARRIVES_NS


async def cancel_and_end(
    orders: KillSession,
    cancelling: Cancelling,
    markets: Sequence[tuple[str, str]],
    *,
    late_until: int,
    end: EndsEngine,
    outcome: Killed,
) -> None:
    """Cancel everything over a session, have the engine ended, and look at the whole account.

    late_until: until then a create of the engine may still arrive. end: is told whether zero was proven before.
    """
    first = await _look(orders, FIRST_LOOK_S)
    result = await cancelling.run("kill", markets=[*markets, *_others(first, markets)], late_until=lambda: late_until)
    outcome.done.append(f"{result.canceled_count} orders cancelled ({result.method}, {result.took_ns / 1e9:.1f} s)")
    await end(proven=result.proof == "asked")
    seen = await _look_twice(orders)
    if seen.orders:  # that came to be where nothing was before
        result = await cancelling.run("kill", markets=[*markets, *_others(seen, markets)])
        seen = await _look_twice(orders)
    if result.proof != "asked":
        outcome.done.append(f"NOT proven: {', '.join(result.failed) or result.proof}")
    outcome.done.append(f"{len(seen.orders)} orders are open{_named(seen.orders)}")
    outcome.done += [f"NOT looked at, {category}: {why}" for category, why in seen.unseen]
    outcome.zero = result.proof == "asked" and not seen.orders and not seen.unseen


async def _look(orders: SeesAccount, within_s: float = LOOK_S) -> OpenEverywhere:
    try:
        async with asyncio.timeout(within_s):
            return await orders.open_everywhere()
    except TimeoutError:
        return OpenEverywhere(orders=(), unseen=(("everything", f"no answer within {within_s:g} s"),))


async def _look_twice(orders: SeesAccount) -> OpenEverywhere:
    """Look at the whole account, and again after a while where nothing was open."""
    seen = await _look(orders)
    if not seen.orders:
        await asyncio.sleep(APART_S)
        seen = await _look(orders)
    return seen


def _others(seen: OpenEverywhere, markets: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    found = dict.fromkeys((one.category, one.symbol) for one in seen.orders)
    return [market for market in found if market not in markets]


def _named(orders: Sequence[OrderSeen]) -> str:
    """Some of them, for a person."""
    names = [f"{one.category} {one.symbol} {one.client_id or one.venue_id}" for one in orders[:5]]
    return f": {', '.join(names)}{' …' if len(orders) > len(names) else ''}" if names else ""


async def _begun(
    session: _Session, environ: Mapping[str, str], sink: _Deaf, remark: Callable[[str], None]
) -> KillSession:
    """A session that has begun: with streams and both ways to cancel, else over REST alone, which needs less of the
    venue and finds no fault with key or account. Raises VenueError, ConfigError, ValueError.
    """
    names, markets = (session.key_variable, session.secret_variable), session.markets
    key, secret = (environ.get(name, "") for name in names)
    if not key or not secret:
        raise ConfigError(f"{' and '.join(names)} are not set: nothing can be cancelled without the key")
    endpoint = Endpoint.of(session.environment, session.url)
    credentials = Credentials(key=key, secret=SecretStr(secret))
    rest = GuardedVenue(endpoint, credentials, markets)
    try:
        _check_whose(await rest.whose(), session)  # before anything that another account would feel
        orders = BybitOrders(endpoint, credentials, sink, steady_clock(), instruments=markets, timing=TIMING)
        try:
            await orders.start()
        except VenueError as error:
            await orders.stop()
            await rest.stop()
            await rest.start()
            remark(f"over REST alone: {error}")
            return rest
    except BaseException:
        await rest.stop()
        raise
    await rest.stop()
    return orders


def _check_whose(account: str, session: _Session) -> None:
    """Zero on one account says nothing of another. Raises ConfigError."""
    if account != session.account:
        raise ConfigError(
            f"the key in {session.key_variable} is of account {account}; expected one of account {session.account}"
        )


def _engine_of(state: AccountState, outcome: Killed) -> Running | None:
    """The engine's process, where one is known; says what else is so."""
    try:
        engine = state.engine()
    except (OSError, ValueError) as error:
        outcome.failed(f"the engine is NOT ended, for nobody knows which process it is: {error}")
        return None
    if engine is None:
        outcome.done.append("no engine runs")
    return engine


async def _end_engine(state: AccountState, outcome: Killed) -> None:
    """End the engine's process: it may go by itself, for a moment; then it is made to."""
    engine = _engine_of(state, outcome)
    if engine is None:
        return
    if not await _gone(engine, GOES_S):
        try:
            _kill(engine)
        except OSError as error:
            outcome.failed(f"engine {engine.pid} cannot be ended: {error.strerror}")
    gone = await _gone(engine, GOES_S)
    said = f"engine {engine.pid} " + ("has ended" if gone else "does NOT end")
    (outcome.done.append if gone else outcome.failed)(said)


def _kill(engine: Running) -> None:
    """End this very process, at once. Raises OSError."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(engine.pid)
        try:
            if engine.alive:  # looked at through the handle's lifetime: the number cannot pass to another process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


async def _leave_it_to_others(state: AccountState, outcome: Killed) -> None:
    """Let the engine obey the latch, which is to cancel and to end; one that does not is ended only where a guardian is
    there to cancel what it leaves.
    """
    engine = _engine_of(state, outcome)
    if engine is None:
        return
    if await _gone(engine, OBEYS_S):
        outcome.done.append(f"engine {engine.pid} has ended by itself, and cancelled what it could")
    elif await listens(state):
        outcome.done.append(f"engine {engine.pid} does not obey; a guardian watches, and cancels")
        await _end_engine(state, outcome)
    else:
        outcome.failed(
            f"engine {engine.pid} does not obey, and is NOT ended, for nobody else would cancel its orders: cancel "
            f"them at the venue, by its own page or by phone, then end it: kill -9 {engine.pid}"
        )


async def _gone(engine: Running, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while engine.alive:
                await asyncio.sleep(0.02)
    return not engine.alive


async def look_for_orders(state: AccountState, environ: Mapping[str, str]) -> Reconciled:
    """Compare an account on which no engine runs: nothing may be open there, in whatever instrument.

    A part of the account that cannot be looked at is said, and refused where the account trades of its category.
    Positions and cash are compared by the run that begins next, before it quotes. Raises VenueError, ConfigError,
    OSError.
    """
    found = Killed(state.name)
    session = _session_of(state, found)
    if not found.whole:
        raise ConfigError(f"{state.name}: {found.done[-1]}; let a run begin and end, which writes it anew")
    remarks: list[str] = []
    orders = await _begun(session, environ, _Deaf(), remarks.append)
    try:
        seen = await _look_twice(orders)
    finally:
        await orders.stop()
    said = [*remarks, f"no engine runs; {len(seen.orders)} open orders on the account{_named(seen.orders)}"]
    said += [f"not looked at, {category}: {why}" for category, why in seen.unseen]
    traded = {"everything", *(category for category, _ in session.markets)}
    blind = any(category in traded for category, _ in seen.unseen)
    return Reconciled(clean=not seen.orders and not blind, ts=time.time_ns(), said="; ".join(said))
