"""`mmbot drill`: named disasters on a configuration of one's own, before the market finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.simulation.drill import Drilled
    from mmbot.simulation.scene import Outcome

__all__ = ["drill"]

TRIES = 100
"""Plays that a failing world may take to be made small."""


def drill(
    config: Annotated[Path | None, typer.Argument(help="A configuration: configs/paper.toml.")] = None,
    names: Annotated[list[str] | None, typer.Argument(help="Which drills; none: all of them.")] = None,
    *,
    seeds: Annotated[int, typer.Option(min=1, help="Worlds that each is played in.")] = 3,
    story: Annotated[bool, typer.Option("--story", help="Tell what happened in the first world of each.")] = False,
    case: Annotated[Path | None, typer.Option(help="Play a saved case again, with its own configuration.")] = None,
    cases: Annotated[Path, typer.Option(help="Where the small case of what broke is saved.")] = Path("cases"),
) -> None:
    """Break a simulated world around your strategy, limits and controls: is anything orphaned, lost or breached?

    What breaks a promise is shrunk to the few faults that are needed, and saved as a case for --case. Exit code 0:
    every promise was kept in every drill.
    """
    from mmbot.simulation.drill import DRILLS, cast_of_file  # noqa: PLC0415  loaded by the command that needs it
    from mmbot.simulation.drill import drill as play  # noqa: PLC0415  as above

    if case is not None:
        _again(case, config)
        return
    if config is None:
        typer.echo("name a configuration, as configs/paper.toml, or a saved case with --case", err=True)
        raise typer.Exit(2)
    unknown = [name for name in names or () if name not in DRILLS]
    if unknown:
        typer.echo(f"unknown drill {unknown[0]!r}; expected one of {', '.join(DRILLS)}", err=True)
        raise typer.Exit(2)
    failed = 0
    with one_clear_line():
        for drilled in play(cast_of_file(config), names or list(DRILLS), seeds=seeds):
            _tell(drilled, story=story)
            _save(drilled, cases)
            failed += not drilled.passed
    typer.echo(f"DRILL_RESULT={'FAIL' if failed else 'OK'}")
    if failed:
        raise typer.Exit(1)


def _again(case: Path, config: Path | None) -> None:
    """Play a saved case, with the configuration that it names or with another one. Exit code 1 where it breaks."""
    from mmbot.simulation.drill import cast_of_file  # noqa: PLC0415  as above
    from mmbot.simulation.shrink import play_case, story  # noqa: PLC0415  as above

    with one_clear_line():
        outcome = play_case(case, None if config is None else cast_of_file(config))
    typer.echo(story(outcome))
    typer.echo(f"DRILL_RESULT={'OK' if outcome.violation is None else 'FAIL'}")
    if outcome.violation is not None:
        raise typer.Exit(1)


def _tell(drilled: Drilled, *, story: bool) -> None:
    outcomes = drilled.outcomes
    orders, fills = sum(each.orders for each in outcomes), sum(each.fills for each in outcomes)
    verdict = "kept  " if drilled.passed else "BROKEN"
    typer.echo(f"{verdict}  {drilled.name:18} {drilled.said} ({orders:,} orders, {fills:,} executions)")
    for outcome in outcomes:
        if outcome.violation is not None:
            typer.echo(f"        seed {outcome.seed}: {outcome.violation}")
    if drilled.frozen:
        typer.echo(f"        stopped by its controls: {', '.join(drilled.frozen)}")
    if drilled.idle:
        typer.echo(f"        nothing was drilled: {drilled.idle}; give more --seeds, or another configuration")
    if story:
        typer.echo("\n".join(f"        {line}" for line in outcomes[0].log))


def _save(drilled: Drilled, folder: Path) -> None:
    """Shrink the first world that broke, and save it with its story."""
    from mmbot.simulation.shrink import Shrinking, story, write_case  # noqa: PLC0415  as above

    broken = next((each for each in drilled.outcomes if each.violation is not None), None)
    if broken is None:
        return
    small: Outcome = Shrinking(broken, tries=TRIES).run()
    path = write_case(small, folder / f"drill-{drilled.name}-seed{small.seed}.jsonl")
    path.with_suffix(".md").write_text(story(small), encoding="utf-8")
    typer.echo(f"        {len(broken.plan)} faults shrunk to {len(small.plan)}: {path}")
