"""`mmbot leader status|admit`: who holds the fleet's lease of an account, and what the fleet may run.

Exit codes: 0 done; 1 the database does not answer, or the account has a leader; 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.config import BacktestConfig, SessionConfig

app = typer.Typer(help="The lease of a fleet in PostgreSQL.", no_args_is_help=True)
CALL_S = 5.0
ConfigFile = Annotated[Path, typer.Argument(help="TOML configuration with [session.leader].")]
Account = Annotated[str, typer.Argument(help="Account, as a run says when it is attested.")]


@app.command("status")
def status(config: ConfigFile, account: Account) -> None:
    """Say who leads on an account, and for how long at least."""
    import asyncio
    from tempfile import TemporaryDirectory

    from mmbot.ops.leader.epochs import EpochFile
    from mmbot.ops.leader.fleet import FleetLease
    from mmbot.venues.port import VenueError

    with one_clear_line(VenueError), TemporaryDirectory() as folder:
        _, session, dsn = _read(config)
        lease = FleetLease(
            dsn=dsn,
            account=f"{session.environment} {account}",
            ttl_ms=0,
            build="",
            config="",
            call_s=CALL_S,
            epochs=EpochFile(Path(folder) / "epoch"),
        )

        async def look() -> str:
            try:
                row = await lease.look()
            finally:
                await lease.close()
            left = "over" if row.left_ns <= 0 else f"{row.left_ns / 1e9:.1f} s left"
            return f"epoch {row.epoch}, {row.holder or 'nobody'}, {left}; build {row.build}, configuration {row.config}"

        typer.echo(asyncio.run(look()))


@app.command("admit")
def admit(config: ConfigFile, account: Account) -> None:
    """Let the fleet run this program with this configuration from now on, while nobody leads."""
    import asyncio

    from mmbot.ops.leader import fleet
    from mmbot.ops.leader.build import build_hash
    from mmbot.venues.port import VenueError

    with one_clear_line(VenueError):
        read, session, dsn = _read(config)
        build, words = build_hash(), read.hash()
        name = f"{session.environment} {account}"
        epoch = asyncio.run(fleet.admit(dsn, name, build=build, config=words, call_s=CALL_S))
        typer.echo(f"{name}: build {build} with configuration {words} may lead after epoch {epoch}")


def _read(path: Path) -> tuple[BacktestConfig, SessionConfig, str]:
    """The configuration, its session, and where the database is. Raises ConfigError."""
    from mmbot.config import BacktestConfig, SessionConfig, load
    from mmbot.ops.leader.leadership import dsn_of

    read = load(path, BacktestConfig)
    session = read.session or SessionConfig()
    return read, session, dsn_of(session.leader, os.environ)
