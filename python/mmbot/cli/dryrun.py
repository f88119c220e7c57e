"""`mmbot dryrun`: a recorded market, written down as a shadow run is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

CONFIG = Annotated[Path, typer.Argument(help="TOML configuration, as for a backtest.")]
ITERATIONS = Annotated[int | None, typer.Option(min=1, help="Most iterations; default: as many as there are.")]
DURATION = Annotated[float, typer.Option(help="Length of an iteration in seconds of the market.")]
SYMBOLS = Annotated[str, typer.Option(help="Only these of the configured symbols, comma-separated.")]
PROFILE = Annotated[str, typer.Option(help="Lay profiles/NAME.toml, beside the configuration, over it.")]
STRICT = Annotated[bool, typer.Option("--strict", help="Fail where a doubt would only be told; see docs/shadow.md.")]
JSON = Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of as a screen.")]


def dryrun(
    config: CONFIG,
    *,
    iterations: ITERATIONS = None,
    duration: DURATION = 60.0,
    symbols: SYMBOLS = "",
    profile: PROFILE = "",
    tapes: Annotated[
        Path | None, typer.Option(help="Replay the tapes of this folder, as a shadow run records them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for what is written.")] = Path("artifacts/dryrun/latest"),
    strict: STRICT = False,
    json: JSON = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Replay recorded markets offline, and write the iterations of a shadow run."""
    from mmbot.cli.progress import shown  # noqa: PLC0415
    from mmbot.ops.dryrun import dry_run, on_recording  # noqa: PLC0415
    from mmbot.ops.runs import Cut, load_run, with_symbols  # noqa: PLC0415
    from mmbot.ops.strictness import Doubts  # noqa: PLC0415
    from mmbot.research.backtest import StrategyError  # noqa: PLC0415

    doubts = Doubts(strict=strict, tell=warn)
    with one_clear_line(StrategyError):
        read = with_symbols(load_run(config, profile, doubts), listed(symbols))
        if tapes is not None:
            read = on_recording(read, tapes)
        with shown("replaying", wanted=not quiet and not json) as progress:
            cut = Cut(duration_s=duration, iterations=iterations)
            summary = dry_run(read, out, cut=cut, profile=profile, doubts=doubts, progress=progress)
    show_run(out, json=json)
    if not json:
        typer.echo(f"\n{summary.iterations} iterations in {out}, report in {out / 'report' / 'report.html'}")


def warn(text: str) -> None:
    """Tell a doubt."""
    typer.echo(f"warning: {text}", err=True)


def listed(words: str) -> list[str]:
    """The words of a comma-separated option."""
    return [word.strip() for word in words.split(",") if word.strip()]


def show_run(out: Path, *, json: bool) -> None:
    """Print what a run wrote: its summary as JSON, or its iterations as a table."""
    from mmbot.ops.runs import RUN_SUMMARY  # noqa: PLC0415
    from mmbot.ops.tables import iteration_table  # noqa: PLC0415

    if json:
        typer.echo((out / RUN_SUMMARY).read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(iteration_table(out))
