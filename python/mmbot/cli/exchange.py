"""`mmbot exchange`: the venue simulator, until it is told to stop.

Exit codes: 0 stopped by SIGINT or SIGTERM, or by the end of stdin if asked so; 1 it could not start or broke (one line
says why); 2 a mistake in the command line.
"""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs: `--help` must not wait for aiohttp

from __future__ import annotations

import asyncio
import json as json_text
import os
import secrets
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.exchange.venue import Exchange


class Kind(StrEnum):
    """Generated markets."""

    CALM = "calm"
    TREND = "trend"
    GAP = "gap"
    CASCADE = "cascade"


def exchange(  # noqa: PLR0917 (typer reads options from parameters)
    tape: Annotated[
        list[str] | None, typer.Option(help="A recorded market, a path or sample:NAME; repeat it for several.")
    ] = None,
    speed: Annotated[float, typer.Option(help="How fast markets go, 0.1 to 1000.")] = 1.0,
    market: Annotated[Kind | None, typer.Option(help="Generate the markets that no --tape is given for.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of generated markets and of faults.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 picks a free one.")] = 8765,
    switch: Annotated[
        list[str] | None, typer.Option("--set", help="A switch as NAME=VALUE, see docs/exchange.md; repeatable.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Serve the admin API (faults, restarts, transfers).")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say where it is in one line of JSON only.")] = False,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="End with whoever holds the other end of stdin.")
    ] = False,
) -> None:
    """Serve simulated Bybit v5 markets over REST and WebSockets on one port, for any bot or SDK."""
    import uvloop

    from mmbot.exchange.chosen import read_switches
    from mmbot.exchange.clock import VenueClock
    from mmbot.exchange.generator import MarketKind
    from mmbot.exchange.listed import open_hall
    from mmbot.exchange.venue import Exchange

    with one_clear_line():
        public, private = read_switches(switch or [])
        kind = None if market is None else MarketKind(market)
        clock = VenueClock()
        hall = open_hall(clock=clock, tapes=tape, kind=kind, seed=seed, speed=speed, switches=public)
        token = secrets.token_hex(16) if admin else None
        opened = Exchange.open(hall, clock, switches=private, seed=seed, admin_token=token, host=host, port=port)
        uvloop.run(_serve(opened, token, json=json, until_stdin_closes=until_stdin_closes))


async def _serve(opened: Exchange, token: str | None, *, json: bool, until_stdin_closes: bool) -> None:
    from mmbot.exchange import welcome

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    if until_stdin_closes:
        words = (asyncio.get_running_loop(), asked)
        threading.Thread(target=_watch_stdin, args=words, name="stdin", daemon=True).start()
    await opened.start()
    try:
        facts = welcome.facts(opened, token)
        typer.echo(json_text.dumps(facts) if json else welcome.screen(facts))
        await _whichever_first(asked.wait(), opened.server.failed())
    finally:
        await opened.stop()


def _watch_stdin(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    """Reads stdin to its end and asks for the stop: in a thread, because the loop can not watch a file or /dev/null."""
    with suppress(OSError):  # a terminal that is gone has ended too
        while sys.stdin is not None and os.read(sys.stdin.fileno(), 4096):
            continue
    with suppress(RuntimeError):  # the loop is over: it was asked to stop by somebody else
        loop.call_soon_threadsafe(asked.set)


async def _whichever_first(*waits: Coroutine[Any, Any, Any]) -> None:
    """Waits for the first to end, and raises what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()
