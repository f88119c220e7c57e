"""`mmbot compare`: the accuracy gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

EXIT = {"PASS": 0, "FAIL": 1, "WARN": 2}
"""Exit code of a verdict. 1 is also that of folders that cannot be compared: a gate must not pass on either."""


def compare(
    a: Annotated[Path, typer.Argument(help="Folder of a run, such as artifacts/shadow/latest.")],
    b: Annotated[Path, typer.Argument(help="Folder of the run held against it, such as artifacts/dryrun/latest.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("reports/analysis"),
    mape: Annotated[
        float | None, typer.Option("--mape", min=0, help="Largest mean absolute error, in per cent; default 15.")
    ] = None,
    median: Annotated[
        float | None, typer.Option("--median", min=0, help="Largest median difference, in bps; default 1.5.")
    ] = None,
    windows: Annotated[int | None, typer.Option("--windows", min=1, help="Fewest windows; default 24.")] = None,
    max_age: Annotated[
        float | None, typer.Option("--max-age", min=0, help="Oldest files, in minutes; default 90.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A WARN is a FAIL: exit 1.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print ACCURACY_SUMMARY.json instead of a table.")] = False,
) -> None:
    """Say whether two runs measure the same. Exit 0 PASS, 1 FAIL (or not comparable), 2 WARN."""
    import msgspec  # noqa: PLC0415

    from mmbot.ops.compare import compare as compared  # noqa: PLC0415  --help stays quick
    from mmbot.ops.thresholds import ACCURACY  # noqa: PLC0415

    asked = {
        "mape_pct_max": mape,
        "median_bps_max": median,
        "windows_min": windows,
        "age_minutes_max": max_age,
    }
    limits = msgspec.structs.replace(ACCURACY, **{name: limit for name, limit in asked.items() if limit is not None})
    with one_clear_line():
        found = compared(a, b, limits=limits)
        report, summary = found.write(out)
    if json:
        typer.echo(summary.read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(f"{found}\nreport   {report}")
    raise typer.Exit(1 if strict and found.verdict == "WARN" else EXIT[found.verdict])
