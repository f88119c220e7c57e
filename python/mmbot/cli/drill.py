"""`mmbot drill`: named disasters on a configuration of one's own, before the market finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.simulation.drill import Drilled

__all__ = ["drill"]


def drill(
    config: Annotated[Path, typer.Argument(help="A configuration: configs/paper.toml.")],
    names: Annotated[list[str] | None, typer.Argument(help="Which drills; none: all of them.")] = None,
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Worlds that each is played in.")] = 3,
    story: Annotated[bool, typer.Option("--story", help="Tell what happened in the first world of each.")] = False,
) -> None:
    """Break a simulated world around your strategy and limits, and show that nothing is orphaned, lost or breached.

    Exit code 0: every promise was kept in every drill.
    """
    from mmbot.config import BacktestConfig, load  # noqa: PLC0415  loaded by the command that needs it
    from mmbot.simulation.drill import DRILLS, cast_of  # noqa: PLC0415  as above
    from mmbot.simulation.drill import drill as play  # noqa: PLC0415  as above

    unknown = [name for name in names or () if name not in DRILLS]
    if unknown:
        typer.echo(f"unknown drill {unknown[0]!r}; expected one of {', '.join(DRILLS)}", err=True)
        raise typer.Exit(2)
    failed = 0
    with one_clear_line():
        cast = cast_of(load(config, BacktestConfig))
        for drilled in play(cast, names or list(DRILLS), seeds=seeds):
            _tell(drilled, story=story)
            failed += not drilled.passed
    typer.echo(f"DRILL_RESULT={'FAIL' if failed else 'OK'}")
    if failed:
        raise typer.Exit(1)


def _tell(drilled: Drilled, *, story: bool) -> None:
    outcomes = drilled.outcomes
    orders, fills = sum(each.orders for each in outcomes), sum(each.fills for each in outcomes)
    verdict = "kept  " if drilled.passed else "BROKEN"
    typer.echo(f"{verdict}  {drilled.name:18} {drilled.said} ({orders:,} orders, {fills:,} executions)")
    for outcome in outcomes:
        if outcome.violation is not None:
            typer.echo(f"        seed {outcome.seed}: {outcome.violation}")
    if drilled.idle:
        typer.echo(f"        nothing was drilled: {drilled.idle}; give more --seeds, or another configuration")
    if story:
        typer.echo("\n".join(f"        {line}" for line in outcomes[0].log))
