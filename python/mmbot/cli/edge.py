"""`mmbot edge`: where the basis points went."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

app = typer.Typer(help="Where the basis points went.", no_args_is_help=True)


@app.callback()
def edge() -> None:
    """Where the basis points went."""


@app.command()
def audit(
    trades: Annotated[Path, typer.Argument(help="trades.jsonl, or the folder that a backtest wrote.")],
    quotes: Annotated[Path | None, typer.Argument(help="quotes.jsonl, to tell who rested and who crossed.")] = None,
    horizon: Annotated[str, typer.Option(help="Column of later mids, for a folder: mid_100ms to mid_300s.")] = "mid_1s",
    out: Annotated[Path | None, typer.Option(help="File for the JSON report.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON instead of as a table.")] = False,
) -> None:
    """Split what was traded into gross, adverse selection, slippage, fees and inventory, in bps of turnover."""
    from mmbot.research.edge import EdgeError, audit_result, audit_trades  # noqa: PLC0415  --help stays quick
    from mmbot.research.report import utc_now  # noqa: PLC0415

    with one_clear_line():
        if trades.is_dir() and quotes is not None:
            raise EdgeError(f"{trades} is the folder of a run, which knows its own market; leave {quotes} out")
        found = audit_result(trades, horizon=horizon) if trades.is_dir() else audit_trades(trades, quotes)
        if out is not None:
            found.write(out)
        text = found.as_json(utc=utc_now(os.environ)) if json else f"{found}\n"
    typer.echo(text, nl=False)
