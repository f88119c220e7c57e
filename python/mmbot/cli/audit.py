"""`mmbot audit`: who did what on an account, as a chained text that leaves the machine, and whether it was touched."""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line
from mmbot.cli.freeze import Account, NoAccountError, Runs, chosen

app = typer.Typer(no_args_is_help=True, help="Who did what on an account: dump it, and check a dump.")
RUNS = Path("runs")


@app.command("dump")
def dump(
    out: Annotated[Path | None, typer.Option("--out", help="The file; default artifacts/audit/ACCOUNT/….")] = None,
    *,
    day: Annotated[
        str | None, typer.Option("--day", help="Only this day, UTC: 2026-11-28.", metavar="YYYY-MM-DD")
    ] = None,
    account: Account = None,
    runs: Runs = RUNS,
) -> None:
    """Write who froze, lifted, killed, gave up, restored, changed the configuration, started and ended."""
    from datetime import date

    from mmbot.ops.audit_trail import BEGIN
    from mmbot.ops.audit_trail import dump as dumped

    with one_clear_line(NoAccountError):
        if day is not None:
            date.fromisoformat(day)
        [state] = chosen(runs, account)
        name = "audit.jsonl" if day is None else f"audit-{day}.jsonl"
        path = out or Path("artifacts/audit") / state.name / name
        lines = dumped(state, path, day)
    typer.echo(f"{len(lines)} lines in {path}, head {lines[-1].hash if lines else BEGIN}")


@app.command("verify")
def verify(
    files: Annotated[list[Path], typer.Argument(help="A dump, or dumps of days in their order.")],
    *,
    head: Annotated[str | None, typer.Option("--head", help="The last hash, as it was kept elsewhere.")] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Hold it against what the account's logs say now.")] = False,
    account: Account = None,
    runs: Runs = RUNS,
) -> None:
    """Check every line of a dump. Exit 0: nothing was touched; 1: the first line that was is named."""
    from mmbot.ops.audit_trail import verify as verified

    with one_clear_line(NoAccountError):
        state = chosen(runs, account)[0] if logs else None
        found = verified(files, head=head, state=state)
    before = f"; what was done before line {found.first} is not in them" if found.first else ""
    typer.echo(f"{found.lines} good lines, head {found.head}{before}")
    if found.fault:
        typer.echo(f"BAD      {found.fault}")
        raise typer.Exit(1)
    if head is None and state is None:
        typer.echo("good, as far as the chain can say: written anew from some line on it would look like this")
    else:
        typer.echo("good")
