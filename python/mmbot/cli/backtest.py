"""`mmbot backtest`: a configuration in, a summary and a report out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from mmbot.research.result import Result


def version() -> None:
    """Print the version and the hash of the core's sources."""
    from mmbot._core import SOURCE_HASH, __version__  # noqa: PLC0415  --help must not load the core

    typer.echo(f"mmbot {__version__} (core {SOURCE_HASH})")


def backtest(
    config: Annotated[Path, typer.Argument(help="TOML configuration; see configs/ and the config reference.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default reports/<run id>.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of as a screen.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Replay recorded markets against a strategy; print the summary and write the report."""
    from mmbot.research import terminal  # noqa: PLC0415

    try:
        result = _run(config, show_progress=not quiet and not json)
        folder = out or Path("reports") / result.run.run_id
        paths = result.write(folder)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if json:
        typer.echo(paths["summary.json"].read_text(encoding="utf-8"), nl=False)
        return
    console = Console()
    console.print(terminal.screen(result.summary()))
    console.print(f"\n[bold]report[/bold]   {paths['report.html']}", highlight=False, soft_wrap=True)
    console.print(f"frames   {folder}/{{fills,orders,equity}}.parquet, summary.json", highlight=False, soft_wrap=True)
    console.print(f"\n[dim]try next[/dim] edit {config} and run again:", highlight=False, soft_wrap=True)
    console.print(f"         mmbot backtest {shlex.quote(str(config))}", highlight=False, soft_wrap=True)
    console.print("         your own strategy: docs/first-strategy.md", highlight=False, soft_wrap=True)


def _run(config: Path, *, show_progress: bool) -> Result:
    from mmbot.research.backtest import backtest as run  # noqa: PLC0415

    if not (show_progress and sys.stderr.isatty()):
        return run(config)
    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=1.0)
        result = run(config, progress=lambda done: progress.update(task, completed=done))
        progress.update(task, completed=1.0)
        return result
