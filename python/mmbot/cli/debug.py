"""mmbot debug: failures done again, and made small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

app = typer.Typer(help="Failures done again, and made small.", no_args_is_help=True)
repro = typer.Typer(help="Recorded cases of the simulator.", no_args_is_help=True)
app.add_typer(repro, name="repro")

__all__ = ["app"]


@repro.command("run")
def run(case: Annotated[Path, typer.Argument(help="A case: JSON lines with ts_ms, symbol, type.")]) -> None:
    """Play a recorded case; print whether it fails and why, as JSON. Exit code 0 if it does not."""
    from mmbot.simulation.shrink import run_case  # noqa: PLC0415  loaded by the command that needs it

    with one_clear_line():
        verdict = run_case(case)
    typer.echo(json.dumps(verdict))
    if verdict["fail"]:
        raise typer.Exit(1)


@repro.command("minimise")
def minimise(
    events: Annotated[Path, typer.Option(help="The case that fails.")],
    out_jsonl: Annotated[Path, typer.Option(help="The small case.")] = Path("artifacts/REPRO_MIN.jsonl"),
    out_md: Annotated[Path, typer.Option(help="Its story, for people.")] = Path("artifacts/REPRO_MIN.md"),
) -> None:
    """Shrink a case to what is needed for the same promise to break: window, symbols, kinds, then single faults."""
    from mmbot.simulation.shrink import Shrinking, play_case, story, write_case  # noqa: PLC0415  as above

    with one_clear_line():
        failing = play_case(events)
        shrinking = Shrinking(failing, heard=lambda step: typer.echo(f"  {step}", err=True))
        small = shrinking.run()
        write_case(small, out_jsonl)
        out_md.parent.mkdir(parents=True, exist_ok=True)
        steps = "".join(f"- {step}\n" for step in shrinking.steps)
        out_md.write_text(f"{story(small)}\nSteps of the shrinking:\n\n{steps}", encoding="utf-8")
    typer.echo(f"{len(failing.plan)} faults shrunk to {len(small.plan)}: {out_jsonl}, {out_md}")
