"""`mmbot record`: a live market, kept as raw frames and as tapes.

Exit codes: 0 ended as asked, or everything left over was finished; 1 the recording could not begin or ended by itself,
or something that was left over needs a person (one line says what); 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.data.record import Recorded, Recorder
    from mmbot.venues.port import Subscription


class Place(StrEnum):
    """Which Bybit."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SIMULATOR = "simulator"


TOLD_EVERY_S = 10


@dataclass(frozen=True, kw_only=True)
class Terms:
    """When files end, when the recording does, and how it speaks."""

    every: int
    size_mb: int
    duration: float | None
    json: bool


def record(  # noqa: PLR0917 (typer reads options from parameters)
    markets: Annotated[
        list[str] | None, typer.Argument(help="What to record, as CATEGORY:SYMBOL; linear:BTCUSDT, spot:ETHUSDT.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder for the files; one recorder has it for itself.")] = Path(
        "recordings"
    ),
    at: Annotated[Place, typer.Option(help="Which Bybit.")] = Place.MAINNET,
    url: Annotated[str | None, typer.Option(help="Address of a simulator, http://127.0.0.1:PORT.")] = None,
    depth: Annotated[int, typer.Option(help="Levels of the book: 1, 50, 200 or 1000.")] = 200,
    every: Annotated[int, typer.Option(min=0, help="Start new files every so many seconds; 0 never.")] = 3_600,
    size_mb: Annotated[int, typer.Option(min=1, help="Start new files when one has so many MiB.")] = 1_024,
    fees: Annotated[str, typer.Option(help="Fee profile that the tapes carry.")] = "maker-rebate",
    duration: Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say how far it is as JSON lines.")] = False,
    recover: Annotated[
        Path | None, typer.Option(help="Record nothing: finish what a killed recorder left in this folder.")
    ] = None,
) -> None:
    """Record public market data until Ctrl-C: raw frames that import again, and tapes to replay."""
    import uvloop

    from mmbot.data.record import RecorderError
    from mmbot.venues.port import VenueError

    if (recover is None) == (not markets):
        raise typer.BadParameter("name what to record, as linear:BTCUSDT, or --recover FOLDER, and not both")
    with one_clear_line(VenueError, RecorderError):
        if recover is not None:
            _finish_leftovers(recover)
            return
        wanted = [_subscription(text, depth) for text in markets or ()]
        terms = Terms(every=every, size_mb=size_mb, duration=duration, json=json)
        made = uvloop.run(_recorded(wanted, at, url, to, fees, terms=terms))
    _tell(made, json=json)


def _subscription(text: str, depth: int) -> Subscription:
    from mmbot.venues.port import Subscription

    category, colon, symbol = text.partition(":")
    if not colon or not symbol:
        raise ValueError(f"{text!r} is no market; expected CATEGORY:SYMBOL, such as linear:BTCUSDT")
    return Subscription(category=category, symbol=symbol, depth=depth)


def _finish_leftovers(folder: Path) -> None:
    """Says what became of each; exits with 1 if a person has to look at one."""
    from mmbot.data.record import recover

    found = recover(folder)
    for one in found:
        lost = f"; lost: {one.lost}" if one.lost else ""
        typer.echo(f"{one.left}: {one.fault or (one.file or 'nothing was in it') + lost}")
    if not found:
        typer.echo(f"{folder}: nothing was left over")
    if any(one.fault for one in found):
        raise typer.Exit(1)


async def _recorded(
    wanted: list[Subscription], place: Place, url: str | None, folder: Path, fees: str, *, terms: Terms
) -> Recorded:
    from mmbot.data import instruments
    from mmbot.data.record import Rotation
    from mmbot.data.record_bybit import record_bybit
    from mmbot.venues.bybit.endpoints import Endpoint

    stop, loop, last = asyncio.Event(), asyncio.get_running_loop(), 0.0
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    if terms.duration is not None:
        loop.call_later(terms.duration, stop.set)

    def told(recorder: Recorder) -> None:
        nonlocal last
        if loop.time() - last >= TOLD_EVERY_S:
            last = loop.time()
            _tell(recorder.recorded, json=terms.json)

    return await record_bybit(
        Endpoint.of(place.value, url),
        wanted,
        folder,
        fees=instruments.fee_profile(fees),
        rotation=Rotation(every_s=terms.every or None, bytes_max=terms.size_mb << 20),
        clock=time.time_ns,
        stop=stop,
        told=told,
    )


def _tell(recorded: Recorded, *, json: bool) -> None:
    if json:
        import msgspec

        typer.echo(msgspec.json.encode(recorded).decode())
        return
    counted = recorded.markets.values()
    typer.echo(
        f"{recorded.frames:,} frames ({recorded.frames_dropped:,} dropped), "
        f"{sum(one.updates_applied for one in counted):,} book updates, {sum(one.trades for one in counted):,} trades, "
        f"{len(recorded.files)} files finished"
    )
