"""`mmbot backtest`: a configuration in, a summary and a report out."""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs: `--help` must not wait for Polars

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.research.result import Result

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended: 128 and the number of the signal, as in every shell."""


def version() -> None:
    """Print the version and the hash of the core's sources."""
    from mmbot._core import SOURCE_HASH, __version__

    typer.echo(f"mmbot {__version__} (core {SOURCE_HASH})")


def backtest(
    config: Annotated[Path, typer.Argument(help="TOML configuration; see configs/ and the config reference.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report; default reports/<run id>.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of as a screen.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Replay recorded markets against a strategy; print the summary and write the report."""
    try:
        _report(config, out, json=json, show_progress=not quiet and not json and sys.stderr.isatty())
    except KeyboardInterrupt:
        typer.echo("interrupted: the run was dropped, and no file is half-written", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _report(config: Path, out: Path | None, *, json: bool, show_progress: bool) -> None:
    from mmbot.research.backtest import StrategyError

    with one_clear_line(StrategyError):
        _check_folder(out or Path("reports"))
        result = _run(config, show_progress=show_progress)
        folder = out or Path("reports") / result.run.run_id
        paths = result.write(folder)
    if json:
        typer.echo(paths["summary.json"].read_text(encoding="utf-8"), nl=False)
    else:
        _show(result, paths["report.html"], config)


def _check_folder(folder: Path) -> None:
    """Find out before the run, not after it, that its report has no place. Raises NotADirectoryError."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is a file; --out {folder} needs a folder")


def _run(config: Path, *, show_progress: bool) -> Result:
    from mmbot.research.backtest import backtest as run

    if not show_progress:
        return run(config)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("replaying"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("replay", total=1.0)
        result = run(config, progress=lambda done: progress.update(task, completed=done))
        progress.update(task, completed=1.0)
        return result


def called() -> str:
    """How this program was called, so that a line it prints can be typed: `.venv/bin/mmbot`, `python -m mmbot`."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return f"{_from_here(Path(sys.executable))} -m mmbot"
    found = shutil.which(program.name)
    on_path = found is not None and program.exists() and Path(found).samefile(program)
    return program.name if on_path else _from_here(program)


def _from_here(program: Path) -> str:
    """A path as it is typed here: relative where it lies below this folder."""
    here = Path.cwd()
    absolute = program.absolute()
    return shlex.quote(str(absolute.relative_to(here) if absolute.is_relative_to(here) else program))


def _show(result: Result, report: Path, config: Path) -> None:
    from rich.console import Console

    from mmbot.research import terminal

    console = Console()
    console.print(terminal.screen(result.summary()))
    for line in (
        f"\n[bold]report[/bold]   {report}",
        f"frames   {report.parent}/{{fills,orders,equity}}.parquet, summary.json",
        f"\n[dim]try next[/dim] edit {config} and run again:",
        f"         {called()} backtest {shlex.quote(str(config))}",
        "         your own strategy: docs/first-strategy.md",
    ):
        console.print(line, highlight=False, soft_wrap=True)
