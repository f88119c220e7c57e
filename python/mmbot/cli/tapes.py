"""`mmbot data`: recordings become tapes.

Exit codes: 0 done; 1 the recording or tape is unusable or damaged (one line says why); 2 a mistake in the command line.
Commands load what they work with only when they run: `--help` must not wait for Polars.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mmbot.data import ImportReport

app = typer.Typer(name="data", help="Import, inspect and check tapes.", no_args_is_help=True)


class Source(StrEnum):
    """What made a recording."""

    BINANCE_USDM = "binance-usdm"
    BINANCE_SPOT = "binance-spot"
    BYBIT = "bybit"
    SSE_L3 = "sse-l3"


class Clock(StrEnum):
    """When receive times are shifted."""

    AUTO = "auto"
    ALIGN = "align"
    KEEP = "keep"


class Rows(StrEnum):
    """Records to show."""

    DEPTH = "depth"
    LEVELS = "levels"
    TRADES = "trades"
    FUNDING = "funding"
    TOUCH = "touch"
    ORDERS = "orders"


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    Console().print(shown)


def _only(sources: list[Path]) -> Path:
    if len(sources) != 1:
        raise ValueError(f"a recording of this source is one file, got {len(sources)}; import them one by one")
    return sources[0]


@app.command("import")
def import_(  # noqa: PLR0917 (typer reads options from parameters)
    sources: Annotated[
        list[Path], typer.Argument(help="Recording: plain, .gz, .zst or .zip; several are one session in order.")
    ],
    out: Annotated[Path, typer.Option(help="The tape (.tape, or packed .tapez); for bybit a directory.")],
    source: Annotated[Source, typer.Option("--from", help="What made the recording.")],
    symbol: Annotated[str, typer.Option(help="Instrument of a Binance or SSE recording.")] = "BTCUSDT",
    tick: Annotated[str | None, typer.Option(help="Price step, where it is not known.")] = None,
    lot: Annotated[str | None, typer.Option(help="Size step, where it is not known.")] = None,
    fees: Annotated[str, typer.Option(help="Fee profile.")] = "maker-rebate",
    clock: Annotated[
        Clock, typer.Option(help="Shift receive times: if impossible, always to the base, never.")
    ] = Clock.AUTO,
    base_latency_us: Annotated[int, typer.Option(min=0, help="Least latency after a shift.")] = 0,
    packed: Annotated[bool, typer.Option(help="Bybit: write .tapez.")] = False,
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="SSE: the day of the log.")] = None,
) -> None:
    """Make tapes from a recording; writes <tape>.report.json beside each."""
    from mmbot.data import ClockPolicy, import_binance, import_bybit, import_sse, instruments

    with one_clear_line():
        policy = ClockPolicy(mode=clock.value, base_latency_ns=base_latency_us * 1_000)
        profile = instruments.fee_profile(fees)
        reports: list[tuple[Path, ImportReport]]
        if source is Source.BYBIT:
            made = import_bybit(_only(sources), out, fees=profile, form="tapez" if packed else "tape", clock=policy)
            reports = [(out / report.tape, report) for report in made]
        elif source is Source.SSE_L3:
            if day is None:
                raise ValueError("an SSE log does not say its day; give it with --day YYYY-MM-DD")
            report = import_sse(_only(sources), out, day=day.date(), symbol=symbol, fees=profile)
            reports = [(out, report)]
        else:
            market = source.value.removeprefix("binance-")
            instrument = instruments.binance(market, symbol, profile, tick=tick, lot=lot)
            reports = [(out, import_binance(sources, out, instrument, clock=policy))]
        for path, report in reports:
            Path(f"{path}.report.json").write_text(report.json(), encoding="utf-8", newline="\n")
            _print(report.table())


@app.command()
def info(path: Annotated[Path, typer.Argument(help="A tape.")]) -> None:
    """Show what a tape holds."""
    from rich.table import Table

    from mmbot.data import open_tape

    with one_clear_line():
        table = Table("what", "value", title=path.name)
        for key, value in open_tape(str(path)).info().items():
            table.add_row(key, str(value))
        _print(table)


@app.command()
def check(path: Annotated[Path, typer.Argument(help="A tape.")]) -> None:
    """Read all of a tape against its checksums and its promises."""
    from mmbot.data import open_tape

    with one_clear_line():
        tape = open_tape(str(path))
        tape.check()
        typer.echo(f"{path}: intact, {tape.events} events, hash {tape.tape_hash:016x}")


@app.command()
def head(
    path: Annotated[Path, typer.Argument(help="A tape.")],
    rows: Annotated[Rows, typer.Option(help="Records to show.")] = Rows.DEPTH,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 10,
) -> None:
    """Show the first records of a tape."""
    import polars as pl

    from mmbot.data import open_tape
    from mmbot.data import tape as tape_frames

    with one_clear_line():
        frames = islice(getattr(tape_frames, rows.value)(open_tape(str(path))), 1)
        with pl.Config(tbl_rows=n, tbl_cols=-1, tbl_hide_dataframe_shape=True):
            for frame in frames:
                typer.echo(str(frame.head(n)))


@app.command()
def convert(
    path: Annotated[Path, typer.Argument(help="A tape.")],
    out: Annotated[Path, typer.Argument(help="Its copy: packed if named .tapez, open if named .tape.")],
) -> None:
    """Copy a tape into its packed or open form."""
    from mmbot.data import open_tape

    with one_clear_line():
        if out.suffix not in (".tape", ".tapez"):
            raise ValueError(f"{out}: the name must end in .tape or .tapez")
        open_tape(str(path)).save(out)
