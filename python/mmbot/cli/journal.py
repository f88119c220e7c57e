"""`mmbot journal`: check a journal, look into it, take it elsewhere."""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

app = typer.Typer(no_args_is_help=True, help="Check a run's journal, look into it, export it.")

Place = Annotated[Path, typer.Argument(help="Folder of a run, or the first file of its journal.")]
Anchors = Annotated[
    Path | None,
    typer.Option("--anchors", help="Anchors that a guardian kept; default: the run's account's, if they lie there."),
]
Key = Annotated[
    Path | None, typer.Option("--key", help="The guardian's public key; default guardian.pub beside the anchors.")
]


@app.command("verify")
def verify(
    place: Place,
    *,
    anchors: Anchors = None,
    key: Key = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every record, segment and anchor.

    Exit 0: good; 1: not, and the first bad entry is named; 2: it could not be looked at; 3: not proven, because the
    last record is not whole.
    """
    import msgspec

    from mmbot.ops.journal_check import check_journal, why_not_read

    try:
        checked = check_journal(place, anchors, key)
    except (OSError, ValueError) as error:
        why = why_not_read(place, error)
        words = {"verdict": "not looked at", "journal": str(place), "why": why}
        typer.echo(msgspec.json.encode(words).decode() if json else f"NOT LOOKED AT  {why}")
        raise typer.Exit(2) from error
    typer.echo(msgspec.json.encode(checked.as_dict()).decode() if json else str(checked))
    raise typer.Exit({"good": 0, "bad": 1, "not proven": 3}[checked.verdict])


@app.command("show")
def show(
    place: Place,
    *,
    order: Annotated[int | None, typer.Option("--order", help="Our number of an order.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", "--client", help="Part of a text: a client order id, an execution id.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Kind of entry; may be said again.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="2026-11-28T01:30:00 (UTC), or ns since epoch.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="As --since.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on a line.")] = False,
) -> None:
    """Print the entries that every option fits, a line each."""
    from mmbot.ops.journal_check import journal_file
    from mmbot.ops.journal_view import Chosen, check_kinds, moment, shown

    with one_clear_line():
        check_kinds(kind or ())
        chosen = Chosen(
            order=order,
            text=text,
            kinds=tuple(kind or ()),
            since=None if since is None else moment(since),
            until=None if until is None else moment(until),
        )
        for entry in shown(journal_file(place), chosen):
            typer.echo(entry.json().decode() if json else str(entry))


@app.command("export")
def export(
    place: Place,
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl or .parquet.")],
) -> None:
    """Write all entries to a file for other programs."""
    from mmbot.ops.journal_check import journal_file
    from mmbot.ops.journal_view import export as exported

    with one_clear_line():
        count = exported(journal_file(place), out)
    typer.echo(f"{count:,} entries in {out}")


@app.command("cut")
def cut(
    place: Place,
    *,
    anchors: Annotated[Path, typer.Option("--anchors", help="Anchors that a guardian kept: anchors.jsonl.")],
    key: Key = None,
) -> None:
    """Cut off a torn end, only where the anchors prove that nothing acknowledged goes with it."""
    from mmbot.ops.journal_check import cut_torn_end

    with one_clear_line():
        gone = cut_torn_end(place, anchors, key)
    typer.echo("the end is whole; nothing was cut" if gone is None else f"{gone} bytes of an unfinished record cut off")


@app.command("restore")
def restore(
    copy: Annotated[Path, typer.Argument(help="A copy of the folder of runs, as it was on the host that is gone.")],
    *,
    runs: Annotated[Path, typer.Option("--runs", help="Where to: the folder of runs of this host.")] = Path("runs"),
    account: Annotated[str, typer.Option("--account", help="Which account, as its folder is called: live-10001.")],
) -> None:
    """Bring an account back from a copy. The next run on it begins in quarantine; nobody may trade on it elsewhere."""
    from mmbot.ops.restoring import RestoreError
    from mmbot.ops.restoring import restore as brought_back

    with one_clear_line(RestoreError):
        done = brought_back(copy, runs, account)
    typer.echo(f"{done.account}: {done.run}, {done.entries:,} good entries")
    typer.echo(f"  the next run begins in quarantine: {done.lost}")
    if done.differs:
        typer.echo(f"  and freezes the account: {done.differs}")
