"""From a mode to what is wired together: the only place that knows the mode.

    shadow   the live feed, and nothing that could order: there are no credentials to make an order session from
    paper    feed and orders at our simulator, the venue's testnet or its demo account
    live     feed and orders at the exchange itself, at a tenth of the limits, if a person names the configuration

A backtest is wired by `mmbot.research.backtest`; all four run the same engine and the same strategy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from pydantic import SecretStr

from mmbot.config import ConfigError, SessionConfig
from mmbot.research.desks import WHOLE
from mmbot.venues.bybit.endpoints import SIMULATOR_KEY, Endpoint
from mmbot.venues.port import Credentials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.config import BacktestConfig
    from mmbot.venues.port import Clock, Fence, OrderEntry, OrderSink, PublicFeed, PublicSink, Subscription

__all__ = ["CANARY", "Mode", "Trading", "Watching", "Wiring", "wire"]

CANARY = Fraction(1, 10)
"""Share of the configured limits with which a live run begins."""


class Mode(StrEnum):
    """How far a run may go."""

    SHADOW = "shadow"
    """Decides on the live feed and sends nothing."""
    PAPER = "paper"
    """Trades, with nobody's money."""
    LIVE = "live"
    """Trades."""


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Market data, and no more. `url`: where a simulator runs; None where one is to be started with the run."""

    mode: Mode
    session: SessionConfig
    share: Fraction = WHOLE

    @property
    def embedded(self) -> bool:
        """An exchange has to be started with the run."""
        return self.session.environment == "simulator" and self.session.url is None

    def endpoint(self, url: str | None) -> Endpoint:
        """The venue's addresses; `url` is that of an embedded exchange."""
        return Endpoint.of(self.session.environment, self.session.url or url)

    def feed(
        self, endpoint: Endpoint, subscriptions: Sequence[Subscription], sink: PublicSink, clock: Clock
    ) -> PublicFeed:
        """Market data of the venue."""
        from mmbot.venues.bybit.public import BybitPublic  # noqa: PLC0415  loaded by the runs that watch

        return BybitPublic(endpoint, subscriptions, sink, clock)


@dataclass(frozen=True, kw_only=True)
class Trading(Watching):
    """Market data and orders. `credentials` are None for an embedded exchange, which makes its own, and where the
    gateway is a process, which alone has them.
    """

    credentials: Credentials | None

    @property
    def apart(self) -> bool:
        """The gateway is a process of its own, and this one holds no key."""
        return _apart(self.mode, self.session)

    def orders(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        sink: OrderSink,
        instruments: Sequence[tuple[str, str]],
        fence: Fence | None = None,
    ) -> OrderEntry:
        """The order session, which asks `fence` before each create and amend. Raises ConfigError for a simulator's key
        anywhere else.

        It has a steady clock, by which it learns how far the venue's clock is off; the run's own clock follows the
        venue's.
        """
        from mmbot.venues.bybit.clock import steady_clock  # noqa: PLC0415  as below
        from mmbot.venues.bybit.session import BybitOrders  # noqa: PLC0415  loaded by the runs that trade

        _check_key(self.session, credentials)
        return BybitOrders(endpoint, credentials, sink, steady_clock(), instruments=instruments, fence=fence)


Wiring: TypeAlias = Watching | Trading


def wire(mode: Mode, config: BacktestConfig, environ: Mapping[str, str], *, override_gate: str | None = None) -> Wiring:
    """Say what a run in this mode is made of, or why it may not be.

    environ: where the credentials are. override_gate: the hash of the configuration, named by whoever lets it go live
    without a gate. Raises ConfigError.
    """
    session = config.session or SessionConfig()
    match mode:
        case Mode.SHADOW:
            return Watching(mode=mode, session=session)
        case Mode.PAPER:
            if session.environment == "mainnet":
                raise ConfigError(
                    "session.environment: mainnet trades real money, which is --mode live; "
                    "paper trades on simulator, testnet or demo"
                )
            return Trading(mode=mode, session=session, credentials=_credentials(mode, session, environ))
        case Mode.LIVE:
            _check_gate(session, config.hash(), override_gate)
            if not session.guardian:
                raise ConfigError("session.guardian: live trades only while a guardian watches; take guardian out")
            return Trading(mode=mode, session=session, share=CANARY, credentials=_credentials(mode, session, environ))


def _check_gate(session: SessionConfig, config_hash: str, override_gate: str | None) -> None:
    """No gate can pass a configuration yet, so only a person who names it lets it go live. Raises ConfigError."""
    if session.environment != "mainnet":
        raise ConfigError(
            f"session.environment: {session.environment} is no place for --mode live, which trades real money; "
            'use --mode paper there, or set environment = "mainnet"'
        )
    if override_gate != config_hash:
        said = "nothing" if override_gate is None else repr(override_gate)
        raise ConfigError(
            f"live is closed: no gate holds a PASS for configuration {config_hash} (got {said}). "
            f"To go live without one, on your own word: --override-gate {config_hash}"
        )


def _apart(mode: Mode, session: SessionConfig) -> bool:
    return session.gateway == "process" or (session.gateway is None and mode is Mode.LIVE)


def _credentials(mode: Mode, session: SessionConfig, environ: Mapping[str, str]) -> Credentials | None:
    """Read key and secret from the environment; None where an embedded exchange makes its own, or a gateway has them.

    Raises ConfigError.
    """
    if _apart(mode, session):
        if session.gateway_file is None:
            raise ConfigError(
                "session.gateway_file: the gateway is a process of its own and needs its limits file: write one "
                '(docs/gateway.md), or set gateway = "inside", where the run holds the key itself'
            )
        return None
    if session.environment == "simulator" and session.url is None:
        return None
    missing = [name for name in (session.key_variable, session.secret_variable) if not environ.get(name)]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} not set: the run on {session.environment} needs a key. Export them, or name "
            "others by session.key_variable and session.secret_variable"
        )
    credentials = Credentials(key=environ[session.key_variable], secret=SecretStr(environ[session.secret_variable]))
    _check_key(session, credentials)
    return credentials


def _check_key(session: SessionConfig, credentials: Credentials) -> None:
    if session.environment != "simulator" and credentials.key.startswith(SIMULATOR_KEY):
        raise ConfigError(
            f"{session.key_variable} holds a key of the simulator, and the run is on {session.environment}; "
            "use a key of that venue"
        )
