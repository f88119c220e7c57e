"""`mmbot walkforward`: choose on one stretch of the tape, judge on the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line


def walkforward(
    config: Annotated[Path, typer.Argument(help="TOML configuration of a backtest, with its strategy.")],
    grid: Annotated[
        list[str], typer.Option("--grid", help="A parameter and its values, gamma=0.05,0.1; may be given repeatedly.")
    ],
    *,
    folds: Annotated[int, typer.Option(help="How many times to train and test.")] = 4,
    warmup_s: Annotated[float, typer.Option("--warmup-s", help="Seconds before each window to warm up in.")] = 10.0,
    purge_s: Annotated[
        float | None, typer.Option("--purge-s", help="Seconds between train and test; default the markout horizon.")
    ] = None,
    anchored: Annotated[bool, typer.Option("--anchored", help="Train from the beginning on, not one block.")] = False,
    select: Annotated[
        str, typer.Option(help="Choose by net_bps, net_with_inventory_bps, net, pnl or sharpe.")
    ] = "net_bps",
    fills_min: Annotated[int, typer.Option("--fills-min", help="Fewest fills with which one may be chosen.")] = 1,
    out: Annotated[Path | None, typer.Option(help="File for the JSON report.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of as a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> None:
    """Choose the best parameters of each train window, and show what they earn in the test window after it."""
    from mmbot.cli.progress import shown  # noqa: PLC0415  --help must not load what a replay needs
    from mmbot.research.backtest import StrategyError  # noqa: PLC0415
    from mmbot.research.report import utc_now  # noqa: PLC0415
    from mmbot.research.sweep import axes  # noqa: PLC0415
    from mmbot.research.walkforward import walk_forward  # noqa: PLC0415

    with one_clear_line(StrategyError):
        with shown("walking", wanted=not quiet and not json) as progress:
            walk = walk_forward(
                config,
                axes(grid),
                folds=folds,
                warmup_s=warmup_s,
                purge_s=purge_s,
                anchored=anchored,
                select=select,
                fills_min=fills_min,
                progress=progress,
            )
        if out is not None:
            walk.write(out)
        text = walk.as_json(utc=utc_now(os.environ)) if json else f"{walk}\n"
    typer.echo(text, nl=False)
    if out is not None and not json:
        typer.echo(f"\nreport   {out}")
