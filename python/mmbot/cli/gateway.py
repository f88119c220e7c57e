"""`mmbot gateway`: holds the key, and lets out only what its limits file allows.

`mmbot run` starts one where `session.gateway` is "process" and none runs. By hand, or by a service manager as a user of
its own, it serves until it is told to end. It never cancels by itself: that is the engine's and the guardian's.

Exit codes: 0 ended as asked; 1 it could not begin (one line says why); 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.gateway.limits import GatewayLimits
    from mmbot.venues.port import Credentials

KEY, SECRET = "MMBOT_BYBIT_API_KEY", "MMBOT_BYBIT_API_SECRET"


def gateway(
    limits: Annotated[Path, typer.Argument(help="TOML file of what may leave; its owner's alone (0600).")],
    *,
    url: Annotated[str | None, typer.Option(help="Where a simulator runs, as http://127.0.0.1:PORT.")] = None,
    credentials_fd: Annotated[
        int | None,
        typer.Option(help=f"Open descriptor that key and secret come through; default {KEY} and {SECRET}."),
    ] = None,
    linger: Annotated[
        float | None, typer.Option(help="End after so many seconds without an engine; default never.", min=0)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per event, for machines.")] = False,
) -> None:
    """Hold the key in a process of its own, and sign only what its limits allow."""
    from mmbot.gateway.hardening import begin_again_without, harden, piped
    from mmbot.gateway.limits import read_limits
    from mmbot.venues.port import VenueError

    with one_clear_line(VenueError):
        harden()
        read = read_limits(limits)
        if credentials_fd is None:
            if not (os.environ.get(KEY) and os.environ.get(SECRET)):
                typer.echo(f"error: {KEY} and {SECRET} are not set: the gateway needs the key that it keeps", err=True)
                raise typer.Exit(1)
            pipe = piped(os.environ[KEY], os.environ[SECRET])
            begin_again_without([KEY, SECRET], os.environ, [*sys.argv[1:], "--credentials-fd", str(pipe)])
            credentials_fd = pipe
        _serve(read, limits, _credentials(credentials_fd), url=url, linger=linger, json=json)


def _credentials(descriptor: int) -> Credentials:
    from mmbot.gateway.hardening import credentials_from

    return credentials_from(descriptor)


def _serve(
    read: GatewayLimits, limits: Path, credentials: Credentials, *, url: str | None, linger: float | None, json: bool
) -> None:
    import asyncio
    import signal
    from json import dumps

    import uvloop

    from mmbot.ops.gateway_process import serve

    def told(event: dict[str, object]) -> None:
        if json:
            typer.echo(dumps(event))
        else:
            typer.echo(f"{event.pop('event')}: " + ", ".join(f"{name} {value}" for name, value in event.items()))
        sys.stdout.flush()  # whoever waits for it to serve reads a pipe

    async def served() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(read, limits, credentials, url=url, stop=stop, linger_s=linger, told=told)

    uvloop.run(served())
