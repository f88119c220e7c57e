"""mmbot simulate: thousands of seeds in which things go wrong, and every promise judged by the venue's truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.simulation.campaign import CampaignReport
    from mmbot.simulation.scene import Outcome

__all__ = ["simulate"]

WHOLE = 500
"""From so many seeds of all profiles on, everything that can happen has to have happened."""


def simulate(  # noqa: PLR0917 (typer reads options from parameters)
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds to play.")] = 200,
    first_seed: Annotated[int, typer.Option(min=0, help="The first of them.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Play this one, and tell its story.")] = None,
    case: Annotated[Path | None, typer.Option(help="Play a recorded case again.")] = None,
    minimise: Annotated[bool, typer.Option("--minimise", help="Shrink what breaks a promise.")] = False,
    profile: Annotated[str | None, typer.Option(help="Faults of this profile only.")] = None,
    bug: Annotated[list[str] | None, typer.Option(help="Plant a bug, to see that it is caught.")] = None,
    planted: Annotated[bool, typer.Option("--planted", help="Plant every known bug, and count the seeds.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Play each seed once; by default twice, and compared.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; absent: one for each core.")] = None,
    cases: Annotated[Path, typer.Option(help="Where minimised cases are written.")] = Path("cases"),
) -> None:
    """Play the real engine in a simulated world of faults; 10 simulated minutes a seed.

    Exit code 0: no promise broke, every seed did the same thing twice, every fault and answer to one was met.
    """
    from mmbot.simulation.campaign import campaign  # noqa: PLC0415  loaded by the command that needs it

    bugs = tuple(bug or ())
    _check_names(bugs, profile)
    if planted:
        _hunt_all(first_seed, workers)
        return
    if case is not None or seed is not None:
        failures = _one(case, seed or 0, bugs, profile)
        missing: list[str] = []
    else:
        first, last = first_seed, first_seed + seeds
        report = campaign(range(first, last), bugs=bugs, profile=profile, once=once, workers=workers, heard=_progress)
        missing = report.missing if seeds >= WHOLE and profile is None else []
        _summarise(report, missing, bugs)
        failures = report.failures
        if report.unequal:
            missing.append("two equal runs of every seed")
    if minimise and failures:
        _minimise(failures[0], cases)
    if failures or missing:
        raise typer.Exit(1)


def _check_names(bugs: tuple[str, ...], profile: str | None) -> None:
    from mmbot.simulation.faults import PROFILES  # noqa: PLC0415  as above
    from mmbot.simulation.planted import BUGS  # noqa: PLC0415  as above

    for given, known, what in ((bugs, BUGS, "bug"), ((profile,) if profile else (), PROFILES, "profile")):
        unknown = [name for name in given if name not in known]
        if unknown:
            typer.echo(f"unknown {what} {unknown[0]!r}; expected one of {', '.join(sorted(known))}", err=True)
            raise typer.Exit(2)


def _hunt_all(first: int, workers: int | None) -> None:
    """Play seeds against each planted bug until a promise breaks. Exit code 1 where one gets away."""
    from mmbot.simulation.campaign import campaign  # noqa: PLC0415  as above
    from mmbot.simulation.planted import BUGS  # noqa: PLC0415  as above

    away = []
    for name, bug in BUGS.items():
        seeds = range(first, first + bug.within)
        report = campaign(
            seeds, bugs=(name,), profile=bug.profile, once=True, workers=workers, enough=lambda so_far: so_far.failures
        )
        if report.failures:
            caught = f"{report.seeds:>5} seeds ({bug.profile})  {report.failures[0].violation}"
        else:
            caught = f"NOT CAUGHT in {report.seeds} seeds ({bug.profile})"
            away.append(name)
        typer.echo(f"{name:<28} {caught}")
    typer.echo(f"PLANTED_RESULT={'FAIL' if away else 'OK'}")
    if away:
        raise typer.Exit(1)


def _one(case: Path | None, seed: int, bugs: tuple[str, ...], profile: str | None) -> list[Outcome]:
    """Play one seed or case and tell its story; what failed."""
    from mmbot.simulation.scene import play  # noqa: PLC0415  as above
    from mmbot.simulation.shrink import play_case  # noqa: PLC0415  as above

    with one_clear_line():
        outcome = play(seed, bugs=bugs, profile=profile) if case is None else play_case(case)
    for line in outcome.log:
        typer.echo(line)
    typer.echo(
        f"seed {outcome.seed}, profile {outcome.profile}, {len(outcome.plan)} faults, {outcome.orders} orders, "
        f"{outcome.fills} executions, digest {outcome.digest & 0xFFFFFFFFFFFFFFFF:016x}"
    )
    typer.echo(str(outcome.violation or "no promise broke"))
    return [] if outcome.violation is None else [outcome]


def _progress(report: CampaignReport) -> None:
    if report.seeds % 500 == 0:
        typer.echo(f"{report.seeds} seeds, {len(report.failures)} failed, {report.wall_s:.0f} s", err=True)


def _summarise(report: CampaignReport, missing: list[str], bugs: tuple[str, ...]) -> None:
    hours = report.simulated_s / 3600
    typer.echo(
        f"{report.seeds} seeds, {hours:,.0f} simulated hours in {report.wall_s:.0f} s, {report.orders:,} orders, "
        f"{report.fills:,} executions, {report.turns:,} turns"
    )
    if bugs and not report.failures:
        typer.echo(f"not caught: {', '.join(bugs)}")
    for failure in report.failures[:20]:
        typer.echo(f"FAILED seed {failure.seed} ({failure.profile}): {failure.violation}")
    if report.unequal:
        typer.echo(f"NOT THE SAME TWICE: seeds {report.unequal[:20]}")
    if missing:
        typer.echo(f"NEVER HAPPENED: {', '.join(missing)}")
    for name, count in sorted(report.marks.items()):
        typer.echo(f"  {count:>9,}  {name}")
    typer.echo(f"SIMULATE_RESULT={'FAIL' if report.failures or report.unequal or missing else 'OK'}")


def _minimise(outcome: Outcome, folder: Path) -> None:
    from mmbot.simulation.shrink import Shrinking, story, write_case  # noqa: PLC0415

    small = Shrinking(outcome, heard=lambda step: typer.echo(f"  {step}", err=True)).run()
    promise = small.violation.promise.lower() if small.violation else "none"
    path = write_case(small, folder / f"{promise}-seed{small.seed}.jsonl")
    path.with_suffix(".md").write_text(story(small), encoding="utf-8")
    typer.echo(f"{len(outcome.plan)} faults shrunk to {len(small.plan)}: {path}")
    for fault in small.plan:
        typer.echo(f"  {fault}")
    typer.echo(str(small.violation))
