"""`mmbot guardian`: watches an account's runs, and cancels everything when one is dead, hung or not to be believed.

`mmbot run` starts one by itself. By hand, or by a service manager, it is started with --stay and waits for runs.

Exit codes: 0 the watch is over and nothing of ours is known to be left; 1 it could not begin, or orders may be left
(one line says which); 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmbot.config import BacktestConfig, SessionConfig
    from mmbot.guardian.core import End
    from mmbot.venues.port import Credentials


def guardian(
    config: Annotated[Path, typer.Argument(help="TOML configuration of the run: its [session] says which account.")],
    *,
    market: Annotated[
        list[str] | None, typer.Option(help="CATEGORY:SYMBOL to watch; repeat it. Default: what the run trades.")
    ] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Wait for runs, and end only when told to.")] = False,
    credentials_fd: Annotated[
        int | None,
        typer.Option(help="Open descriptor that key and secret come through. Default: the environment."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event, for machines.")] = False,
) -> None:
    """Watch an account's runs from a process of its own; cancel everything when one is dead, hung or lying."""
    from mmbot.config import BacktestConfig, load
    from mmbot.venues.port import VenueError

    with one_clear_line(VenueError):
        import asyncio

        from mmbot.gateway.hardening import credentials_from, harden

        harden()
        read = load(config, BacktestConfig)
        told = _teller(json=json)
        given = None if credentials_fd is None else credentials_from(credentials_fd)
        end = asyncio.run(_watch(read, _markets(read, market), told, given=given, stay=stay))
    told({"event": "ended", "clean": end.clean, "why": end.why})
    if not end.clean:
        raise typer.Exit(1)


def _teller(*, json: bool) -> Callable[[dict[str, object]], None]:
    from json import dumps
    from time import time_ns

    def told(event: dict[str, object]) -> None:
        if json:
            typer.echo(dumps({"time": time_ns(), **event}))
        else:
            typer.echo(f"{event.pop('event')}: " + ", ".join(f"{name} {value}" for name, value in event.items()))

    return told


def _markets(read: BacktestConfig, market: list[str] | None) -> list[tuple[str, str]]:
    """What is watched, as (category, symbol). Raises BadParameter."""
    if market:
        pairs = [one.partition(":") for one in market]
        if any(category not in ("linear", "inverse", "spot") or not symbol for category, _, symbol in pairs):
            raise typer.BadParameter(f"--market {market}: expected CATEGORY:SYMBOL, as linear:BTCUSDT")
        return [(category, symbol) for category, _, symbol in pairs]
    if all(each.category and each.symbol for each in read.instruments):
        return [(each.category or "", each.symbol or "") for each in read.instruments]
    from mmbot.data.catalog import market_of  # only what a tape says needs the tape

    return [market_of(each) for each in read.instruments]


def _credentials(
    session: SessionConfig, environ: Mapping[str, str], told: Callable[[dict[str, object]], None]
) -> Credentials:
    """The guardian's own key; where nobody's money is at stake, the run's. Raises ConfigError."""
    from pydantic import SecretStr

    from mmbot.config import ConfigError
    from mmbot.ops.guarding import GUARDIAN_KEYS, key_names
    from mmbot.venues.port import Credentials

    names = key_names(session, environ)
    if names != GUARDIAN_KEYS:
        told({"event": "remark", "why": "no key of its own: it goes by the run's, and fails when that does"})
    missing = [name for name in names if not environ.get(name)]
    if missing:
        raise ConfigError(
            f"{' and '.join(missing)} not set: the guardian needs a key to cancel with, on mainnet one of its own, so "
            "that it can when the run's is revoked. Make one that may only trade, and export it"
        )
    return Credentials(key=environ[names[0]], secret=SecretStr(environ[names[1]]))


async def _watch(
    read: BacktestConfig,
    markets: list[tuple[str, str]],
    told: Callable[[dict[str, object]], None],
    *,
    given: Credentials | None,
    stay: bool,
) -> End:
    import asyncio
    import signal

    from mmbot.config import ConfigError, SessionConfig
    from mmbot.guardian.anchors import AnchorKeeper
    from mmbot.guardian.core import GuardianCore, GuardianTerms
    from mmbot.guardian.session import GuardianSession, alone
    from mmbot.guardian.venue import GuardedVenue
    from mmbot.ops.account_state import AccountState
    from mmbot.ops.guarding import latch_reader
    from mmbot.venues.bybit.endpoints import Endpoint

    session = read.session or SessionConfig()
    if session.environment == "simulator" and session.url is None:
        raise ConfigError("session.url: an exchange that is started with the run ends with it; there is none to watch")
    credentials = given or _credentials(session, os.environ, told)
    venue = GuardedVenue(Endpoint.of(session.environment, session.url), credentials, markets)
    try:
        account = await venue.start()
        for remark in venue.remarks:
            told({"event": "remark", "why": remark})
        state = AccountState.of(Path(session.folder), session.environment, account)
        with alone(state.path / "guardian.pid"):
            anchors = AnchorKeeper(state.anchors)
            if anchors.fault:
                told({"event": "remark", "why": f"anchors were damaged, and set aside: {anchors.fault}"})
            core = GuardianCore(
                session.environment,
                account,
                pid=os.getpid(),
                terms=GuardianTerms(stays=stay),
                kept=[anchor.head for anchor in anchors.kept],
            )
            watch = GuardianSession(
                core, venue, anchors, socket=state.guardian_socket, told=told, latch=latch_reader(state)
            )
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, watch.ask_to_end, signal.Signals(number).name)
            told({"event": "listening", "socket": str(state.guardian_socket), "pid": os.getpid()})
            try:
                return await watch.run()
            finally:
                anchors.close()
    finally:
        await venue.stop()
