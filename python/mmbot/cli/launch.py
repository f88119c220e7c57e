"""`mmbot launch check|prove-cancel-all|prove-alarms|seen`: what has to be proven before real money trades.

Exit codes: 0 done, or everything is proven; 1 something is not, and a line says what; 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

app = typer.Typer(help="Proofs that a live run needs.", no_args_is_help=True)
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the runs, as in session.folder.")]
RUNS = Path("runs")


@app.command("check")
def check(
    runs: Runs = RUNS,
    config: Annotated[Path | None, typer.Option("--config", help="Also look at what this one switches off.")] = None,
) -> None:
    """Say which proofs are there, and which controls are off. A live run begins only where nothing is missing."""
    from mmbot.config import BacktestConfig, load
    from mmbot.ops.findings import worst
    from mmbot.ops.launch import controls_finding, launch_findings

    findings = launch_findings(runs, time.time_ns())
    if config is not None:
        with one_clear_line():
            findings.append(controls_finding(load(config, BacktestConfig)))
    for finding in findings:
        typer.echo(str(finding))
    if worst(findings) != "PASS":
        raise typer.Exit(1)


@app.command("prove-cancel-all")
def cancel_all(runs: Runs = RUNS) -> None:
    """Cancel everything on our own exchange server, healthy and with REST gone, and time it by the venue's books."""
    import asyncio

    from mmbot.ops.proving import prove_cancel_all
    from mmbot.venues.port import VenueError

    with one_clear_line(VenueError, ValueError):
        typer.echo(asyncio.run(prove_cancel_all(runs, time.time_ns)))


@app.command("prove-alarms")
def alarms(runs: Runs = RUNS) -> None:
    """Raise one alarm, as JSON on stdout, and wait for a person. Pipe it to where the events of a run go."""
    import asyncio

    from mmbot.ops.proving import ALARM_S, prove_alarms
    from mmbot.runtime.audience import Machine

    typer.echo(f"waiting {ALARM_S:g} s for somebody to acknowledge what was sent", err=True)
    with one_clear_line(ValueError):
        typer.echo(asyncio.run(prove_alarms(runs, time.time_ns, Machine(sys.stdout).told)), err=True)


@app.command("seen")
def seen(
    alarm_id: Annotated[str, typer.Argument(help="The alarm's id, as you were told it.")],
    by: Annotated[str, typer.Option("--by", help="Your name.")],
    runs: Runs = RUNS,
) -> None:
    """Acknowledge the test alarm."""
    from mmbot.ops.proving import acknowledge

    with one_clear_line(ValueError):
        acknowledge(runs, alarm_id, by)
    typer.echo(f"{alarm_id} acknowledged by {by}")
