"""`mmbot replay`: a recorded run, done again."""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs: `--help` must not wait for Polars

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.research.journal import RecordedRun


def replay(
    journal: Annotated[Path, typer.Argument(help="The journal of a run: runs/…/journal.mmj.")],
    *,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every decision, command and state hash.")] = False,
    parity: Annotated[
        bool, typer.Option("--parity", help="Hold the simulated venue's fills and a backtest beside it.")
    ] = False,
    other_code: Annotated[
        bool, typer.Option("--other-code", help="With --verify: although the code is not the one that ran.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for what is written; default beside the journal.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a screen.")] = False,
) -> None:
    """Do a recorded run again from its journal and tapes; write its report, verify it, or compare it to a backtest."""
    from mmbot.research.backtest import StrategyError
    from mmbot.research.journal import RecordedRun

    if verify and parity:
        raise typer.BadParameter("--verify and --parity are two questions; ask one at a time")
    with one_clear_line(StrategyError):
        if parity:
            _parity(journal, out or journal.parent / "parity", json=json)
        elif verify:
            _verify(RecordedRun.open(journal), other_code=other_code, json=json)
        else:
            _report(RecordedRun.open(journal), out or journal.parent / "report", json=json)


def _verify(run: RecordedRun, *, other_code: bool, json: bool) -> None:
    from dataclasses import asdict
    from json import dumps

    from mmbot._core import JournalDiffers

    try:
        verified = run.verify(other_code=other_code)
    except JournalDiffers as error:
        typer.echo(f"different: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(dumps(asdict(verified)) if json else str(verified))


def _parity(journal: Path, out: Path, *, json: bool) -> None:
    from mmbot.research.parity import compare_to_backtest

    found = compare_to_backtest(journal, out)
    typer.echo(found.as_json() if json else f"{found}\n\nwritten  {out / 'parity.json'}", nl=not json)


def _report(run: RecordedRun, out: Path, *, json: bool) -> None:
    from rich.console import Console

    from mmbot.research import terminal

    result = run.result()
    paths = result.write(out)
    if json:
        typer.echo(paths["summary.json"].read_text(encoding="utf-8"), nl=False)
        return
    console = Console()
    console.print(terminal.screen(result.summary()))
    console.print(f"\n[bold]report[/bold]   {paths['report.html']}", highlight=False, soft_wrap=True)
