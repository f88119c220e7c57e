"""One run on a venue, from its folder to its report.

folder ─ exchange (if embedded) ─ session, attested ─ instruments ─ tapes, journal, engine ─ trade ─ leave ─ report
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import mmbot
from mmbot import _core
from mmbot.config import ConfigError
from mmbot.config.risk import LAUNCH_SHARE
from mmbot.data.catalog import market_of
from mmbot.data.instruments import FeeProfile, bybit
from mmbot.execution import ENVIRONMENT_LETTERS, Breaker, ClientIds, ReconTerms, TakerCap, Throttle
from mmbot.execution.flatten import FlattenTerms
from mmbot.ops.account_state import AccountState
from mmbot.ops.adjusting import hear_adjustments
from mmbot.ops.alarm_log import Alarmed, AlarmLog
from mmbot.ops.breaker_memory import breaker_left, breaker_writer
from mmbot.ops.controls import risk_desk
from mmbot.ops.counters import Counters
from mmbot.ops.entry import Entry
from mmbot.ops.estate import left_on
from mmbot.ops.firm import Firm
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.freeze_requests import apply_overrides, freeze_signals, write_session
from mmbot.ops.giving_up import hear_giving_up
from mmbot.ops.guarding import Guard, Watch
from mmbot.ops.launch import check_launch
from mmbot.ops.leader.fleet import FleetLease
from mmbot.ops.leader.freezes import FleetFreezes, remember_fleet
from mmbot.ops.leader.leadership import Leadership, lease_of
from mmbot.ops.lift_memory import LiftMemory
from mmbot.ops.loose import OFF, check_named, loose_controls
from mmbot.ops.metrics import RunMetrics
from mmbot.ops.plausible import check_account
from mmbot.ops.presence import present
from mmbot.research.desks import configured
from mmbot.research.facts import Setting, code_hash, strategy_words
from mmbot.research.journal import live_engine
from mmbot.research.traded import Traded
from mmbot.risk.freeze import FreezePolicy
from mmbot.risk.levels import FreezeLevel
from mmbot.runtime.board import Board
from mmbot.runtime.bridge import Listed
from mmbot.runtime.clock import RunClock, follow_venue
from mmbot.runtime.embedded import EmbeddedExchange
from mmbot.runtime.ended import Ended
from mmbot.runtime.flattening import Flattening
from mmbot.runtime.folder import RunFolder
from mmbot.runtime.freezing import Freezing
from mmbot.runtime.gate import OrderGate
from mmbot.runtime.holdings import UNITS
from mmbot.runtime.latency import STAGES
from mmbot.runtime.market import RunMarket
from mmbot.runtime.peg import check_pair, stable_coins
from mmbot.runtime.relay import Relay
from mmbot.runtime.runner import RunFailedError, Runner
from mmbot.venues.port import Subscription, VenueError
from mmbot.wiring import Mode, Trading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from mmbot.config import BacktestConfig, InstrumentConfig, RiskConfig
    from mmbot.config.session import JournalConfig
    from mmbot.research.result import Result
    from mmbot.runtime.audience import Watcher
    from mmbot.runtime.latency import Spread
    from mmbot.strategy import Strategy
    from mmbot.venues.port import Attestation, OrderEntry, PublicFeed

__all__ = ["trade"]

LIMITATIONS = (
    "Queue position is estimated from level sizes; what the venue really had before us it does not say.",
    "One run of one market: nothing here says how the next day differs.",
)


async def trade(  # noqa: PLR0915  a run's start and end, in their order
    config: BacktestConfig,
    wiring: Trading,
    watcher: Watcher,
    *,
    stop: asyncio.Event,
    duration_s: float | None = None,
    parent: Path | None = None,
    guardian: Path | None = None,
    adopt_position: str = "",
    freeze: asyncio.Event | None = None,
) -> Ended:
    """Trade until `stop` is set or the duration is over; leave the venue without an order of ours; write the report.

    A run that an earlier one left something to takes it over. parent: where the run's folder is made, instead of the
    configured place. guardian: the configuration's own file, for the guardian that is started from it; None: nobody
    watches. adopt_position: the reason for which a position that no journal explains is taken into the books. freeze:
    set where somebody sent SIGUSR1 before the run could listen.

    Raises ConfigError, VenueError or OSError where the run cannot begin; what ends a run that has begun is in
    `Ended.failure`.
    """
    clock = RunClock()
    _check_live(wiring, clock)
    strategy = configured(config)
    markets = [market_of(each) for each in config.instruments]
    folder = RunFolder.create(parent or Path(wiring.session.folder), wiring.mode, clock.peek() // 10**9)
    async with AsyncExitStack() as stack:
        url, credentials, exchange = None, wiring.credentials, None
        if wiring.embedded:
            exchange = await _embedded(config, wiring, folder)
            stack.push_async_callback(exchange.stop)
            url, credentials = exchange.url, exchange.credentials
        endpoint, relay = wiring.endpoint(url), Relay()
        breaker = Breaker(open_s=wiring.session.breaker_s)
        orders = OrderGate(
            relay,
            clock.peek,
            throttle=Throttle.of(wiring.session.calls_per_second),
            breaker=breaker,
            taker_cap=_taker_cap(wiring.session.taker_share_max_pct),
            told=watcher.told,
        )
        lead = Leadership(watcher.told, clock.peek)
        entry = Entry(config, wiring, orders, lead=lead, clock=clock.peek, told=watcher.told)
        session = await entry.made(endpoint, credentials, markets, url=url, folder=folder.path)
        lead.venue_ns = session.venue_ns
        orders.attach(session)
        stack.push_async_callback(entry.stop)
        stack.push_async_callback(orders.stop)
        await orders.start()
        attestation = await _attested(orders, watcher)
        clock.correct(attestation.clock_offset)
        carried: FleetFreezes | None = None
        if wiring.embedded:  # an embedded exchange has this run alone
            lead.alone(folder.epoch_s)
        else:
            relay.idle()
            carried = await stack.enter_async_context(
                _leading(lead, config, wiring, attestation.account, stop=stop, clock=clock)
            )
        listed = [await _listed(orders, category, symbol) for category, symbol in markets]
        loose = await _loose(config, wiring, listed, orders, watcher)
        account = stack.enter_context(
            _account(
                wiring, attestation.account, folder, markets, clock, strategy=strategy, risk=config.risk, loose=loose
            )
        )
        lift = LiftMemory(account.state, account.latch.board, watcher.told)
        lift.begin(clock.peek())
        alarms = AlarmLog(account.state, account.name, clock.peek())
        watcher = alarmed = Alarmed(watcher, alarms, clock.peek)
        alarmed.stands(account.latch.board.frozen)
        guard = None
        if guardian is not None and not wiring.embedded:
            watch = Watch(wiring.session, account.state, account.name, markets, lead.epoch, folder.path)
            guard = Guard(watch, clock=clock.peek, told=watcher.told)
            stack.push_async_callback(guard.leave, "the run is over")
            await guard.meet(guardian, os.environ)
        await _check_peg(config.risk.depeg_pair, orders, listed, live=wiring.mode is Mode.LIVE)
        run = _Run(
            config,
            wiring,
            folder=folder,
            clock=clock,
            strategy=strategy,
            listed=listed,
            watcher=watcher,
            epoch=lead.epoch,
            gate=orders,
            account=attestation.account,
            freezing=account.freezing(type(strategy).__name__, markets, clock, watcher),
            state=account.state,
            adopt_position=adopt_position,
        )
        orders.frozen = run.runner.frozen
        entry.obey(account.latch.board, account.name, markets)
        stack.enter_context(freeze_signals(run.runner, account.latch, clock.peek, freeze))
        counters = Counters()
        metrics = RunMetrics(run.runner, orders, account.latch.board, counters)
        most = int(config.risk.amount("max_firm_notional_usd") * UNITS)
        firm = Firm(account.state, run.runner, config.risk.elsewhere_age_ms, most)
        stack.callback(firm.leave)
        run.board.metrics = metrics.all
        helpers = [
            asyncio.create_task(_stopped(run.runner, stop, duration_s)),
            asyncio.create_task(hear_giving_up(account.state, run.runner)),
            asyncio.create_task(hear_adjustments(account.state, run.runner)),
            asyncio.create_task(lift.watch()),
            asyncio.create_task(apply_overrides(account.state, account.latch, run.runner, clock.peek)),
            asyncio.create_task(alarms.watch(run.runner.freeze, clock.peek)),
            asyncio.create_task(metrics.keep(account.state)),
            asyncio.create_task(firm.keep()),
            asyncio.create_task(follow_venue(clock, session.venue_ns, watcher.told)),
        ]
        if exchange is not None:
            helpers.append(asyncio.create_task(_watched(run.runner, exchange)))
        helpers += _carrying(carried, account.latch, run.runner, watcher)
        for helper in helpers:
            helper.add_done_callback(run.helper_ended)
        failure: Exception | None = None
        try:
            relay.attach(run.runner)
            kept = account.state.breaker
            orders.resume(breaker_left(kept, breaker, clock.peek()), breaker_writer(kept, watcher.told))
            lead.listen(run.runner.on_link, run.runner.fail)
            feed = wiring.feed(endpoint, _subscriptions(wiring, markets, config.risk.depeg_pair), relay, clock)
            watcher.watch(run.board)
            if guard is not None:
                guard.begin(run.runner, run.journal)
            await _run_beside(
                present(run.runner, lead, wiring.session, account.name, told=watcher.told, counters=counters),
                run.runner,
                feed,
                orders,
            )
        except (RunFailedError, VenueError) as error:
            failure = error
            watcher.told({"event": "failed", "why": str(error)})  # now: the report, which takes memory, may fail too
        finally:
            for helper in helpers:
                helper.cancel()
            watcher.leave()
            lead.quiet = run.runner.left
            run.close()
    books = [run.core.books(0, index) for index in range(len(markets))]
    return Ended(folder=folder.path, result=run.result(), failure=failure, books=books)


async def _run_beside(
    shown: AbstractAsyncContextManager[None], runner: Runner, feed: PublicFeed, orders: OrderEntry
) -> None:
    """Trade, and let the outside know while it lasts."""
    async with shown:
        await runner.run(feed, orders)


@dataclass(frozen=True)
class _Account:
    """The folder of the account that is traded, and its latch."""

    name: str
    state: AccountState
    latch: FreezeLatch

    def freezing(
        self, strategy: str, markets: Sequence[tuple[str, str]], clock: RunClock, watcher: Watcher
    ) -> Freezing:
        """The latch as this run sees it."""
        return Freezing(
            self.latch,
            strategy=strategy,
            account=self.name,
            markets=markets,
            clock=clock.peek,
            told=watcher.told,
            stands=self.latch.board.frozen,
        )


@contextmanager
def _account(
    wiring: Trading,
    name: str,
    folder: RunFolder,
    markets: Sequence[tuple[str, str]],
    clock: RunClock,
    *,
    strategy: Strategy,
    risk: RiskConfig,
    loose: Mapping[str, str],
) -> Iterator[_Account]:
    """Enter the account's folder as who trades. An embedded exchange's account lives and ends with its run.

    Raises VenueError where a kill holds: its cause is looked at before anything runs again.
    """
    if wiring.embedded:
        state = AccountState.at(folder.path / "account")
    else:
        state = AccountState.of(Path(wiring.session.folder), wiring.session.environment, name)
    # Under launch limits already, a tenth of them is not asked for.
    share = Fraction(1) if risk.launch else FreezePolicy.canary_share
    policy = FreezePolicy(shadow_s=risk.lift_shadow_s, canary_s=risk.lift_canary_s, canary_share=share)
    latch = FreezeLatch(state, clock.peek, policy)
    killed = [one for one in latch.board.frozen if one.level is FreezeLevel.KILL]
    if killed:
        raise VenueError(
            f"{state.name} was killed ({killed[0].reason}); nothing runs on it until two people lift that: "
            "`mmbot unfreeze`, docs/freeze.md"
        )
    traded = type(strategy).__name__
    write_session(
        state,
        wiring.session,
        name,
        markets,
        strategy=traded,
        embedded=wiring.embedded,
        off=risk.off,
        loose=loose,
        policy=policy,
    )
    state.trades_here()
    try:
        yield _Account(name, state, latch)
    finally:
        state.run_ends()


async def _loose(
    config: BacktestConfig, wiring: Trading, listed: Sequence[Listed], orders: OrderEntry, watcher: Watcher
) -> dict[str, str]:
    """Hold the limits against venue and account, and say which can never act. Raises ConfigError for what cannot be
    meant, and, where real money trades, for what is off and not named.
    """
    wallet = await orders.wallet()
    check_account(config, listed, wallet)
    loose = loose_controls(config, wiring.session, listed, wallet)
    words = [f"{key} {why}" for key, why in loose.items() if why != OFF]
    watcher.told({"event": "controls off", "keys": list(config.risk.off), "loose": words})
    if wiring.mode is Mode.LIVE:
        check_named(config.risk, loose)
    return loose


def _check_live(wiring: Trading, clock: RunClock) -> None:
    """Real money trades only where what would save it was proven. Raises ConfigError."""
    if wiring.mode is Mode.LIVE:
        check_launch(Path(wiring.session.folder), clock.peek())


def _subscriptions(wiring: Trading, markets: Sequence[tuple[str, str]], pair: str | None) -> list[Subscription]:
    depth = wiring.session.depth
    wanted = [Subscription(category=category, symbol=symbol, depth=depth) for category, symbol in markets]
    if pair is not None and tuple(pair.split()) not in markets:
        category, symbol = pair.split()
        wanted.append(Subscription(category=category, symbol=symbol, depth=1))  # the touch is all that is looked at
    return wanted


async def _check_peg(pair: str | None, orders: OrderEntry, listed: Sequence[Listed], *, live: bool) -> None:
    """Look the pair of stable coins up. Raises ConfigError where it says nothing, or real money would go without."""
    if pair is None:
        coins = stable_coins(listed)
        if live and coins:
            raise ConfigError(
                f"risk.depeg_pair: live trades in {', '.join(coins)} and nothing says what that is worth; name a pair, "
                'such as depeg_pair = "spot USDCUSDT"'
            )
        return
    try:
        check_pair(await orders.instrument(*pair.split()), listed)
    except ValueError as error:
        raise ConfigError(f"risk.depeg_pair: {error}") from None


class _Run:
    """The parts of one run that live as long as it does: tapes, journal, engine, and what they are written to."""

    def __init__(
        self,
        config: BacktestConfig,
        wiring: Trading,
        *,
        folder: RunFolder,
        clock: RunClock,
        strategy: Strategy,
        listed: Sequence[Listed],
        watcher: Watcher,
        epoch: int,
        gate: OrderGate,
        account: str,
        freezing: Freezing,
        state: AccountState,
        adopt_position: str,
    ) -> None:
        self._account_name = state.name
        self._config, self._wiring, self._folder = config, wiring, folder
        self._clock, self._strategy, self._listed = clock, strategy, listed
        self._tapes = {
            (each.category, each.symbol): _core.LiveTape(folder.live_tape(each.category, each.symbol), each.instrument)
            for each in listed
        }
        self.ids = ClientIds(
            env=ENVIRONMENT_LETTERS[wiring.session.environment], epoch_s=epoch, strategy=_letters(strategy)
        )
        self.journal = _core.Journal.create(folder.journal, clock(), self._start(), **_sizes(wiring.session.journal))
        core, windows = live_engine(
            config,
            strategy,
            [each.instrument for each in listed],
            [tape.tape for tape in self._tapes.values()],
            share=wiring.share,
            journal=self.journal,
        )
        self.core = core
        left = left_on(state, listed, clock.peek(), account)
        if left is not None:
            left.open(core, clock)
        self.runner = Runner(
            core=core,
            journal=self.journal,
            market=RunMarket(self._tapes),
            listed=listed,
            ids=self.ids,
            clock=clock,
            strategy=strategy,
            windows=windows,
            sync=wiring.session.sync == "batch",
            reconcile_s=wiring.session.recon_interval_s,
            settle_s=wiring.session.settle_s,
            told=watcher.told,
            freezing=freezing,
            account=account,
            estate=None if left is None else left.estate,
            adopt_position=adopt_position,
            recon=ReconTerms(
                orders_s=wiring.session.orders_s,
                positions_s=wiring.session.positions_s,
                interval_s=wiring.session.recon_interval_s,
            ),
        )
        began = clock.peek() if left is None else left.estate.began
        self.journal.note(clock(), "chain", json.dumps({"runs": self.runner.chain.words(), "began": began}))
        if left is not None and left.estate.custody is not None:
            self.journal.note(clock(), "custody", json.dumps(left.estate.custody))
        self.journal.sync()
        self.runner.begins = lambda: state.run_begins(folder.path)
        gate.decided, gate.decision_age_ns = (lambda: core.now), config.risk.decision_age_ms * 1_000_000
        share = min(wiring.share, Fraction(LAUNCH_SHARE)) if config.risk.launch else wiring.share
        pairs = list(zip(config.instruments, listed, strict=True))
        self.runner.flattening = Flattening(self.runner, [_way_out(each, own, share) for each, own in pairs])
        risk_desk(
            config.risk,
            self.runner,
            [_share_of(own, each.limits.position, share) for each, own in pairs],
            strategy=type(strategy).__name__,
            account=account,
            folder=None if wiring.embedded else state,  # an embedded account begins anew with its exchange
            goes_on=left is not None,
        )
        self.board = Board(
            self.runner,
            mode=wiring.mode,
            environment=wiring.session.environment,
            strategy=type(strategy).__name__,
            position_max=[_shared(each.limits.position, wiring) for each in config.instruments],
            started=clock.peek(),
        )

    def _start(self) -> str:
        """What the journal begins with: all that is needed to do the run again from it and its tapes."""
        return json.dumps(
            {
                "mode": self._wiring.mode,
                "account": self._account_name,
                "by": f"uid {os.getuid()}",
                "environment": self._wiring.session.environment,
                "version": mmbot.__version__,
                "epoch_s": self.ids.epoch_s,
                "folder": str(Path.cwd()),
                "client_ids": {"env": self.ids.env, "strategy": self.ids.strategy},
                "config": self._config.model_dump(mode="json"),
                "config_hash": self._config.hash(),
                "code_hash": code_hash(type(self._strategy)),
                "strategy": strategy_words(self._strategy),
                "share": str(self._wiring.share),
                "instruments": [self._words(each) for each in self._listed],
            }
        )

    def _words(self, listed: Listed) -> dict[str, object]:
        instrument = listed.instrument
        return {
            "category": listed.category,
            "venue": instrument.venue,
            "symbol": instrument.symbol,
            "kind": instrument.kind,
            "tick": instrument.tick,
            "lot": instrument.lot,
            "contract": instrument.contract,
            "maker": instrument.maker,
            "taker": instrument.taker,
            "tape": str(self._folder.tape(listed.category, listed.symbol).relative_to(self._folder.path)),
        }

    def helper_ended(self, helper: asyncio.Task[None]) -> None:
        """What works beside the run ends with it; one that breaks ends the run, which would not be stopped by it."""
        if not helper.cancelled() and (error := helper.exception()) is not None:
            self.runner.fail(error)

    def close(self) -> None:
        """End journal and tapes, whatever the run ended by: each is tried, then the first error is raised."""
        with ExitStack() as stack:
            for (category, symbol), tape in self._tapes.items():
                stack.callback(tape.seal, self._folder.tape(category, symbol))
            if self.journal.dead is None:
                self.core.finish(self._clock())
                self.journal.end(self._clock(), json.dumps({"left": self.runner.left, "failure": self._failure()}))

    def _failure(self) -> str | None:
        return None if self.runner.failure is None else repr(self.runner.failure)

    def result(self) -> Result | None:
        """The report, as of a backtest; None where no two-sided market was heard, so that nothing can be valued."""
        from mmbot.research.outcome import NoMarketError, outcome  # noqa: PLC0415  Polars is loaded late

        traded = [
            Traded(config, _core.Tape.open(self._folder.tape(*market)), each.instrument, each.symbol)
            for config, each, market in zip(self._config.instruments, self._listed, self._tapes, strict=True)
        ]
        if any(each.tape.span is None for each in traded) or not len(self.core.samples(0)["ts"]):
            return None
        try:
            result = outcome(self._config, self.core, 0, self._strategy, traded, setting=self._setting())
        except NoMarketError:  # a run that was paused or stopped before a two-sided market was sampled
            return None
        result.write(self._folder.report)
        return result

    def _setting(self) -> Setting:
        session, runner = self._wiring.session, self.runner
        laws = {
            "fills": f"as the venue executed them ({session.environment})",
            "fees": "as the venue charged them",
            "journal": "on disk before orders leave" if session.sync == "batch" else "written before orders leave",
            **{f"{stage} latency": _latency(stage, runner.latencies.spread(stage)) for stage in STAGES},
        }
        return Setting(mode=self._wiring.mode, laws=laws, limitations=LIMITATIONS)


def _sizes(journal: JournalConfig) -> dict[str, int]:
    return {
        "segment_bytes": journal.segment_mib << 20,
        "segment_records": journal.segment_records,
        "reserve_bytes": journal.reserve_mib << 20,
    }


def _latency(stage: str, spread: Spread | None) -> str:
    if spread is not None:
        return f"p50 {spread.p50 / 1e3:.1f} µs, p99 {spread.p99 / 1e3:.1f} µs"
    return "none: no request followed from a market message" if stage == "wire_to_wire" else "none measured"


def _letters(strategy: Strategy) -> str:
    """Three characters that tell the strategy from others on the account."""
    name = "".join(letter for letter in type(strategy).__name__.lower() if letter.isascii() and letter.isalnum())
    return (name + "000")[:3]


def _share_of(listed: Listed, qty: str, share: Fraction) -> int:
    """Whole lots of a share, one at least."""
    return max(1, int(listed.instrument.lots(qty) * share))


def _way_out(config: InstrumentConfig, listed: Listed, share: Fraction) -> FlattenTerms:
    """How a position of one instrument is worked off: within its limits."""
    return FlattenTerms(
        order_max=_share_of(listed, config.limits.order, share),
        least=1 if listed.terms.min_qty is None else max(1, listed.instrument.lots(listed.terms.min_qty)),
        slip_bps=min(FlattenTerms.slip_bps, config.limits.collar_bps // 2),
    )


def _shared(position: str, wiring: Trading) -> str:
    share = Decimal(wiring.share.numerator) / Decimal(wiring.share.denominator)
    return format((Decimal(position) * share).normalize(), "f")


async def _stopped(runner: Runner, stop: asyncio.Event, duration_s: float | None) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), duration_s)
    runner.ended.set()


async def _watched(runner: Runner, exchange: EmbeddedExchange) -> None:
    runner.lose(await exchange.lost())


@asynccontextmanager
async def _leading(
    lead: Leadership, config: BacktestConfig, wiring: Trading, account: str, *, stop: asyncio.Event, clock: RunClock
) -> AsyncIterator[FleetFreezes | None]:
    """Lead on the account, or stand by until that is so; yields what goes with the lease of a fleet."""
    session = wiring.session
    state = AccountState.of(Path(session.folder), session.environment, account)
    lease, ttl_s = lease_of(config, session, account, state.epoch)
    carried = FleetFreezes(state, lease, clock.peek) if isinstance(lease, FleetLease) else None
    remember_fleet(state, session.leader, f"{session.environment} {account}")
    async with lead.held(lease, ttl_s=ttl_s, renew_s=session.leader.renew_s, stop=stop):
        try:
            yield carried
        finally:
            if carried is not None:
                await carried.leave()


def _carrying(
    carried: FleetFreezes | None, latch: FreezeLatch, runner: Runner, watcher: Watcher
) -> list[asyncio.Task[None]]:
    """Keep the fleet's freezes beside a run, where there is a fleet."""
    return [] if carried is None else [carried.begin(latch, runner.on_freeze, watcher.told)]


def _taker_cap(share_pct: float | None) -> TakerCap | None:
    return None if share_pct is None else TakerCap(max_taker_share_pct=share_pct)


async def _embedded(config: BacktestConfig, wiring: Trading, folder: RunFolder) -> EmbeddedExchange:
    tapes = [each.recording for each in config.instruments]
    return await EmbeddedExchange.start(wiring.session.exchange, tapes, folder.exchange_log)


async def _attested(orders: OrderEntry, watcher: Watcher) -> Attestation:
    """Read what key and account are; refuse to trade on one with a fault."""
    attestation = await orders.attest()
    watcher.told({"event": "attested", "account": attestation.account, "remarks": list(attestation.remarks)})
    if attestation.faults:
        raise VenueError("the account is not fit to trade on: " + "; ".join(attestation.faults))
    return attestation


async def _listed(orders: OrderEntry, category: str, symbol: str) -> Listed:
    terms = await orders.instrument(category, symbol)
    if not terms.tradable:
        raise VenueError(f"{category} {symbol} is not traded now; try again when the venue lists it as trading")
    rates = await orders.fee_rates(category, symbol)
    return Listed(category=category, symbol=symbol, instrument=bybit(terms, FeeProfile.of(rates)), terms=terms)
