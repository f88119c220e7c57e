"""`mmbot run`: the configured strategy on a live feed, watched by a person or a machine.

Every mode goes through `mmbot.wiring`; shadow is wired without orders, and no module that knows how to order is loaded.

Exit codes: 0 ended as asked, with no order of ours at the venue; 1 could not begin, or ended by itself, or orders may
be left (one line says which); 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import gc
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    import asyncio

    from mmbot.config import BacktestConfig
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.runs import RunSummary
    from mmbot.runtime.audience import Unshaken, Watcher
    from mmbot.runtime.ended import Ended
    from mmbot.wiring import Trading, Watching


SHADOW_ITERATION_S = 60.0


class Stage(StrEnum):
    """How far a run may go; `mmbot.wiring.Mode` says what that means."""

    SHADOW = "shadow"
    PAPER = "paper"
    LIVE = "live"


def run(  # noqa: PLR0917 (typer reads options from parameters)
    config: Annotated[Path, typer.Argument(help="TOML configuration: the one that was backtested, with a [session].")],
    mode: Annotated[Stage, typer.Option(help="How far it may go.")] = Stage.PAPER,
    duration: Annotated[float | None, typer.Option(help="Stop after so many seconds.", min=0.1)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the run's folder is made; default session.folder. In shadow the folder itself; default "
            "artifacts/shadow/latest."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event, for machines.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a screen, also on a terminal.")] = False,
    adopt_position: Annotated[
        str,
        typer.Option(help="Take a position that no journal explains into the books, for this reason; else it refuses."),
    ] = "",
    override_gate: Annotated[
        str | None, typer.Option(help="Go live without a gate's PASS, on your own word: the configuration's hash.")
    ] = None,
) -> None:
    """Run the strategy on a venue: paper by default, on an exchange of its own if none is named."""
    _check_options(mode, plain=plain, override_gate=override_gate)
    import uvloop

    from mmbot.config import BacktestConfig, load
    from mmbot.research.backtest import StrategyError
    from mmbot.venues.port import VenueError
    from mmbot.wiring import Mode, Trading, wire

    with one_clear_line(StrategyError, VenueError):
        read = load(config, BacktestConfig)
        wiring = wire(Mode(mode.value), read, os.environ, override_gate=override_gate)
        if isinstance(wiring, Trading) and wiring.apart:
            _give_away_the_keys(wiring)
        if not isinstance(wiring, Trading):
            _watch(config, read, wiring, duration, out, json=json)
            return
        watcher = _watcher(json=json, plain=plain)
        if wiring.mode is Mode.LIVE:
            _warn(override_gate)
        guarded = config if wiring.session.guardian else None
        ended = uvloop.run(_traded(read, wiring, watcher, duration, out, guarded, adopt_position))
    watcher.ended(ended)
    if watcher.trouble is not None:
        _without_stdout()
        typer.echo(f"the view was lost ({watcher.trouble!r}); the run went on: {ended.folder}", err=True)
    if ended.failure is not None:
        typer.echo(f"error: {ended.failure}", err=True)
        raise typer.Exit(1)


def _give_away_the_keys(wiring: Trading) -> None:
    """Where a gateway holds the key, this process must never have held one: it begins again without.

    Each key goes through a pipe to the process that it is for.
    """
    from mmbot.ops.entry import GATEWAY_FD, give_away_the_keys
    from mmbot.ops.guarding import GUARDIAN_FD, GUARDIAN_KEYS

    session = wiring.session
    ours = (session.key_variable, session.secret_variable)
    pipes = {GATEWAY_FD: ours}
    if session.guardian and not wiring.embedded:
        pipes[GUARDIAN_FD] = GUARDIAN_KEYS
    give_away_the_keys(pipes, [*ours, *GUARDIAN_KEYS], os.environ, sys.argv[1:])


def _check_options(mode: Stage, *, plain: bool, override_gate: str | None) -> None:
    """Refuse what means nothing in a mode: who typed it expects something of it. Raises BadParameter."""
    if plain and mode is Stage.SHADOW:
        raise typer.BadParameter("--plain means nothing with --mode shadow, which has no screen: leave it out")
    if override_gate is not None and mode is not Stage.LIVE:
        raise typer.BadParameter(f"--override-gate means nothing with --mode {mode.value}, which has no gate")


def _watch(
    config: Path, read: BacktestConfig, wiring: Watching, duration: float | None, out: Path | None, *, json: bool
) -> None:
    """A shadow run, minute by minute until the duration is over or Ctrl-C."""
    from math import ceil

    import uvloop

    from mmbot.cli import shadow
    from mmbot.cli.dryrun import warn
    from mmbot.ops.runs import Cut
    from mmbot.ops.strictness import Doubts

    seconds = SHADOW_ITERATION_S if duration is None else min(SHADOW_ITERATION_S, duration)
    cut = Cut(duration_s=seconds, iterations=None if duration is None else ceil(duration / seconds))
    folder, doubts = out or shadow.LATEST, Doubts(strict=False, tell=warn)

    async def told(iteration: Iteration) -> None:
        if not json:
            typer.echo(f"iteration {iteration.iteration} until {iteration.timestamp}", err=True)

    async def watched() -> RunSummary:
        stop, _ = _asked_to_stop()
        from mmbot.ops.watch import watch  # after the handlers, as below

        return await watch(read, wiring, out=folder, cut=cut, doubts=doubts, told=told, stop=stop)

    shadow.conclude_run(uvloop.run(watched()), config, folder, duration=seconds, json=json)


def _warn(override_gate: str | None) -> None:
    line = "!" * 80
    typer.secho(
        f"{line}\nLIVE: real money, at a tenth of the limits, without a gate's PASS, on the word "
        f"--override-gate {override_gate}\n{line}",
        fg="red",
        bold=True,
        err=True,
    )


def _without_stdout() -> None:
    """Nobody reads it any more: what is still buffered must not raise when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _watcher(*, json: bool, plain: bool) -> Unshaken:
    from mmbot.cli.backtest import called
    from mmbot.runtime.audience import Log, Machine, Screen, Unshaken

    if json:
        return Unshaken(Machine(sys.stdout))
    if plain or not sys.stdout.isatty():
        return Unshaken(Log(sys.stdout, called()))
    return Unshaken(Screen(program=called()))


async def _traded(  # noqa: PLR0917  one caller, which has them all
    config: BacktestConfig,
    wiring: Trading,
    watcher: Watcher,
    duration: float | None,
    out: Path | None,
    guardian: Path | None,
    adopted: str,
) -> Ended:
    stop, freeze = _asked_to_stop()
    from mmbot.ops.trade import trade  # after the handlers: it takes a while, in which somebody may press Ctrl-C

    # What is loaded by now stays for the whole run: the collector need not look at it again while orders wait.
    gc.collect()
    gc.freeze()
    return await trade(
        config,
        wiring,
        watcher,
        stop=stop,
        duration_s=duration,
        parent=out,
        guardian=guardian,
        adopt_position=adopted,
        freeze=freeze,
    )


def _asked_to_stop() -> tuple[asyncio.Event, asyncio.Event]:
    """What Ctrl-C, SIGTERM and the end of the terminal set from now on, and what SIGUSR1 sets until a run listens."""
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    freeze = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, freeze.set)
    return stop, freeze
