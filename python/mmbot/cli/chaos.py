"""`mmbot chaos failover`: a leader dies, and it is measured who takes over, how fast, and whether anybody traded twice.

Exit codes: 0 CHAOS_RESULT=OK; 1 CHAOS_RESULT=FAIL, or the exercise could not be done; 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

app = typer.Typer(help="Exercises that break things on purpose, on this machine alone.", no_args_is_help=True)


class Place(StrEnum):
    """What holds the lease, or the heartbeats, in the exercise."""

    FAKE = "fake"
    SENTINEL = "sentinel"
    POSTGRES = "postgres"


@app.callback()
def chaos() -> None:
    """Exercises that break things on purpose, on this machine alone."""


@app.command("failover")
def failover(  # noqa: PLR0917 (typer reads options from parameters)
    on: Annotated[
        Place, typer.Option(help="A simulated lock, three Redis with Sentinels, or a PostgreSQL; started for it.")
    ] = Place.FAKE,
    ttl_ms: Annotated[int, typer.Option(help="How long a lease lasts without a renewal.")] = 1_500,
    renew_ms: Annotated[int, typer.Option(help="How often it is renewed.")] = 500,
    kill_at_ms: Annotated[int, typer.Option(help="When the leader dies.")] = 3_000,
    window_ms: Annotated[int, typer.Option(help="How long to watch.")] = 6_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The simulated lock on virtual time: the same exercise, at once.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the findings there: Markdown, JSON beside it.")] = None,
) -> None:
    """Kill the leader and watch the failover."""
    if dry_run and on is not Place.FAKE:
        raise typer.BadParameter(f"--dry-run is of the simulated lock; real servers need real time: --on {on.value}")
    import asyncio

    from mmbot.ops.chaos.failover import Failover, RealTime, VirtualTime, fail_over
    from mmbot.ops.chaos.findings import write_report

    with one_clear_line():
        asked = Failover(ttl_ms=ttl_ms, renew_ms=renew_ms, kill_at_ms=kill_at_ms, window_ms=window_ms)
        if on is Place.FAKE:
            found = fail_over(asked, VirtualTime() if dry_run else RealTime(), typer.echo)
        elif on is Place.POSTGRES:
            from mmbot.ops.chaos.on_postgres import fail_over_on_postgres

            found = asyncio.run(fail_over_on_postgres(asked, typer.echo))
        else:
            from mmbot.ops.chaos.on_sentinel import fail_over_on_sentinel

            found = asyncio.run(fail_over_on_sentinel(asked, typer.echo))
        if report is not None:
            for path in write_report(found, report):
                typer.echo(f"CHAOS_REPORT {path}")
    if not found.conclude():
        raise typer.Exit(1)
