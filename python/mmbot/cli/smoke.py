"""`mmbot smoke`: one order's life at a venue that costs nothing, step by step."""
# ruff: noqa: PLC0415  a command loads what it works with only when it runs: `--help` must not wait for the adapter

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.json import encode

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.ops.smoke import SmokeStep
    from mmbot.venues.port import Credentials

KEY, SECRET = "MMBOT_BYBIT_API_KEY", "MMBOT_BYBIT_API_SECRET"


class SmokeEnvironment(StrEnum):
    """Where it may run. The exchange itself is not among them."""

    SIMULATOR = "simulator"
    TESTNET = "testnet"
    DEMO = "demo"


def smoke(  # noqa: PLR0917 (typer reads options from parameters)
    environment: Annotated[
        SmokeEnvironment, typer.Option(help="Which Bybit; there is no mainnet here.")
    ] = SmokeEnvironment.SIMULATOR,
    url: Annotated[
        str | None, typer.Option(help="Where a simulator runs, as http://127.0.0.1:PORT; else one is started.")
    ] = None,
    category: Annotated[str, typer.Option(help="Product: linear, inverse or spot.")] = "linear",
    symbol: Annotated[str, typer.Option(help="What is traded.")] = "BTCUSDT",
    wait: Annotated[float, typer.Option(help="Seconds that a step may wait for the venue.", min=0.1, max=60)] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON line for each step.")] = False,
) -> None:
    """Place, amend and cancel one small order at a test account; keys come from the environment alone."""
    import asyncio

    from mmbot.ops.smoke import SmokeError
    from mmbot.venues.port import VenueError

    def tell(step: SmokeStep) -> None:
        typer.echo(_line(step, json=json))

    with one_clear_line(SmokeError, VenueError):
        asyncio.run(_run(_Target(environment, url, category, symbol, wait), tell))


@dataclass(frozen=True)
class _Target:
    environment: SmokeEnvironment
    url: str | None
    category: str
    symbol: str
    wait_s: float


async def _run(target: _Target, tell: Callable[[SmokeStep], None]) -> None:
    from mmbot.config import ExchangeConfig
    from mmbot.runtime.embedded import EmbeddedExchange

    if target.environment is not SmokeEnvironment.SIMULATOR or target.url is not None:
        await _steps(target, _credentials(target.environment), tell)
        return
    with TemporaryDirectory(prefix="mmbot-smoke-") as folder:
        exchange = await EmbeddedExchange.start(ExchangeConfig(market="calm"), [], Path(folder) / "exchange.log")
        try:
            await _steps(replace(target, url=exchange.url), exchange.credentials, tell)
        finally:
            await exchange.stop()


async def _steps(target: _Target, credentials: Credentials, tell: Callable[[SmokeStep], None]) -> None:
    from mmbot.execution import ENVIRONMENT_LETTERS, ClientIds
    from mmbot.ops.smoke import SmokeListener, SmokeTest
    from mmbot.venues.bybit.endpoints import Endpoint
    from mmbot.venues.bybit.public import BybitPublic
    from mmbot.venues.bybit.session import BybitOrders
    from mmbot.venues.port import Subscription

    category, symbol = target.category, target.symbol
    endpoint, listener = Endpoint.of(target.environment.value, target.url), SmokeListener()
    subscription = Subscription(category=category, symbol=symbol, trades=False, ticker=False)
    test = SmokeTest(
        BybitOrders(endpoint, credentials, listener, time.time_ns, instruments=[(category, symbol)]),
        BybitPublic(endpoint, [subscription], listener, time.time_ns),
        listener,
        ClientIds(ENVIRONMENT_LETTERS[target.environment.value], int(time.time()), "smk"),
        category=category,
        symbol=symbol,
        wait_s=target.wait_s,
    )
    await test.run(tell)


def _credentials(environment: SmokeEnvironment) -> Credentials:
    """Read the key from the environment, the only place it may come from. Raises ValueError naming what is missing."""
    from pydantic import SecretStr

    from mmbot.venues.port import Credentials

    missing = [name for name in (KEY, SECRET) if not os.environ.get(name)]
    if missing:
        raise ValueError(f"{' and '.join(missing)} not set; export the key of a {environment} account, never another")
    return Credentials(key=os.environ[KEY], secret=SecretStr(os.environ[SECRET]))


def _line(step: SmokeStep, *, json: bool) -> str:
    if json:
        return encode({"step": step.name, "ms": round(step.ms, 3), "said": step.said}).decode()
    return f"ok  {step.name:<11}{step.ms:8.1f} ms  {step.said}"
