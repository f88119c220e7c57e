"""`mmbot shadow`: watch a market trade by trade, decide as if it were real, and send nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mmbot.cli.clear_line import one_clear_line
from mmbot.cli.dryrun import CONFIG, DURATION, JSON, PROFILE, STRICT, SYMBOLS, listed, show_run, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmbot.config import BacktestConfig
    from mmbot.ops.findings import Finding
    from mmbot.ops.iterations import Iteration
    from mmbot.ops.runs import RunSummary

LATEST = Path("artifacts/shadow/latest")
BASELINE = Path("artifacts/baseline/stage_budgets.json")


class _RunByDefault(TyperGroup):
    """`mmbot shadow CONFIG` is `mmbot shadow run CONFIG`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  the context of Typer's own Click
        """Put `run` before what is neither a command nor a plea for help."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=_RunByDefault, help="Shadow a market: real decisions, no orders.", no_args_is_help=True)

FOLDER = Annotated[Path, typer.Argument(help="Folder of a run.")]
REDIS_URL = Annotated[str, typer.Option(help="Redis, redis://HOST:PORT/0; default REDIS_URL, else this machine.")]
ENV = Annotated[str, typer.Option(help="First word of the exported keys.")]


class Origin(StrEnum):
    """Where a shadow run's market comes from."""

    WS = "ws"
    """The venue's public WebSocket."""
    REDIS = "redis"
    """Ticks of the Redis stream lob:ticks."""
    MOCK = "mock"
    """The configured tapes, played."""


@app.command()
def run(
    config: CONFIG,
    *,
    source: Annotated[Origin, typer.Option(help="The venue's feed, Redis, or the configured tapes.")] = Origin.WS,
    iterations: Annotated[int, typer.Option(min=1, help="How many iterations.")] = 6,
    duration: DURATION = 60.0,
    symbols: SYMBOLS = "",
    profile: PROFILE = "",
    speed: Annotated[float, typer.Option(min=0, help="For tapes: how many times as fast; 0 as fast as can be.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for what is written.")] = LATEST,
    redis_url: REDIS_URL = "",
    export: Annotated[bool, typer.Option("--export", help="Write each iteration's KPIs to Redis too.")] = False,
    env: ENV = "dev",
    strict: STRICT = False,
    json: JSON = False,
) -> None:
    """Shadow a market until the iterations are done, or Ctrl-C: what was heard until then is kept and measured."""
    from mmbot.ops.counters import Counters  # noqa: PLC0415
    from mmbot.ops.redis_link import redis_errors  # noqa: PLC0415
    from mmbot.ops.redis_link import redis_url as asked_url  # noqa: PLC0415
    from mmbot.ops.runs import Cut, load_run, with_symbols  # noqa: PLC0415
    from mmbot.ops.shadow import Shadow, shadow  # noqa: PLC0415
    from mmbot.ops.shadow_wiring import Exporting, wire_market  # noqa: PLC0415
    from mmbot.ops.shadow_wiring import Origin as From  # noqa: PLC0415
    from mmbot.ops.strictness import Doubts  # noqa: PLC0415
    from mmbot.research.backtest import StrategyError  # noqa: PLC0415
    from mmbot.venues.port import VenueError  # noqa: PLC0415

    counters, doubts, url = Counters(), Doubts(strict=strict, tell=warn), asked_url(redis_url, os.environ)
    cut = Cut(duration_s=duration, iterations=iterations)

    async def watch(read: BacktestConfig) -> RunSummary:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        wired = await wire_market(read, From(source), counters, speed=speed, redis_url=url)
        exporting = Exporting(url, env, counters, doubts) if export else None

        async def told(iteration: Iteration) -> None:
            if not json:
                typer.echo(f"iteration {iteration.iteration} of {iterations} until {iteration.timestamp}", err=True)
            if exporting is not None:
                await exporting.take(iteration)

        asked = Shadow(
            config=read, instruments=wired.instruments, source=wired.source, out=out, cut=cut, profile=profile
        )
        try:
            return await shadow(asked, doubts=doubts, counters=counters, told=told, stop=stop)
        finally:
            await wired.close()
            if exporting is not None:
                await exporting.close()

    with one_clear_line(StrategyError, VenueError, *redis_errors()):
        summary = asyncio.run(watch(with_symbols(load_run(config, profile, doubts), listed(symbols))))
    conclude_run(summary, config, out, duration=duration, json=json)


def conclude_run(summary: RunSummary, config: Path, out: Path, *, duration: float, json: bool) -> None:
    """Print what a shadow run wrote, where it is, and what to type next."""
    show_run(out, json=json)
    if not json:
        typer.echo(f"\n{summary.iterations} iterations in {out}, recording in {out / 'tapes'}")
        typer.echo(f"hold it against its replay: mmbot dryrun {config} --duration {duration:g} --tapes {out / 'tapes'}")


@app.command()
def audit(
    base: Annotated[Path, typer.Option(help="Folder of the run.")] = LATEST,
    fail_on_hold: Annotated[bool, typer.Option("--fail-on-hold", help="Exit 1 on HOLD.")] = False,
    strict: STRICT = False,
    json: JSON = False,
) -> None:
    """Say whether a shadow run has shown enough: OK, or HOLD. Exit 1 on HOLD only with --fail-on-hold."""
    from mmbot.ops.audit import REPORTS, audit_shadow  # noqa: PLC0415
    from mmbot.ops.strictness import Doubts  # noqa: PLC0415

    with one_clear_line():
        found = audit_shadow(base, doubts=Doubts(strict=strict, tell=warn))
    summary = base / REPORTS / "POST_SHADOW_AUDIT_SUMMARY.json"
    typer.echo(summary.read_text(encoding="utf-8").rstrip("\n") if json else f"{found}\nreport   {summary}")
    raise typer.Exit(1 if fail_on_hold and found.verdict == "HOLD" else 0)


@app.command()
def preflight(
    config: CONFIG,
    *,
    profile: PROFILE = "",
    out: Annotated[Path, typer.Option(help="Folder that the run would write to.")] = LATEST,
    baseline: Annotated[Path, typer.Option(help="Baseline to hold runs against.")] = BASELINE,
    skip_smoke: Annotated[bool, typer.Option("--skip-smoke", help="Do not play two minutes of the tapes.")] = False,
    strict: STRICT = False,
    json: JSON = False,
) -> None:
    """Check what a shadow run needs before it starts. Exit 1 on a FAIL, with --strict on a WARN too."""
    from mmbot.ops.preflight import Cockpit  # noqa: PLC0415
    from mmbot.ops.preflight import preflight as checked  # noqa: PLC0415

    cockpit = Cockpit(config=config, out=out, profile=profile, baseline=baseline, smoke=not skip_smoke)
    _conclude(checked(cockpit), strict=strict, json=json)


@app.command(name="baseline")
def make_baseline(
    folder: FOLDER = LATEST,
    out: Annotated[Path, typer.Option(help="File for the baseline.")] = BASELINE,
) -> None:
    """Make a run's iterations the baseline that others are held against."""
    from mmbot.ops.baseline import baseline_of  # noqa: PLC0415

    with one_clear_line():
        found = baseline_of(folder)
        found.write(out)
    typer.echo(f"{out}: {len(found.total)} budgets of {found.iterations} iterations")


@app.command()
def report(
    folder: FOLDER = LATEST,
    baseline: Annotated[Path, typer.Option(help="Baseline; left out where there is none.")] = BASELINE,
    strict: STRICT = False,
) -> None:
    """Write a run's report, SHADOW_REPORT.md and POST_SHADOW_ITER_TABLE.csv, held against the baseline."""
    from mmbot.ops.baseline import read_baseline, write_report  # noqa: PLC0415
    from mmbot.ops.strictness import Doubts  # noqa: PLC0415

    with one_clear_line():
        if not baseline.exists():
            Doubts(strict=strict, tell=warn).warn(f"{baseline} does not exist", "the report has no budgets")
        paths = write_report(folder, read_baseline(baseline) if baseline.exists() else None)
    for path in paths:
        typer.echo(str(path))


@app.command()
def redis_check(
    src: Annotated[Path, typer.Option(help="Folder of a run whose last iteration is exported.")] = LATEST,
    *,
    redis_url: REDIS_URL = "",
    env: ENV = "dev",
    do_flat_backfill: Annotated[
        bool, typer.Option("--do-flat-backfill", help="Write flat keys that are missing.")
    ] = False,
    sample_keys: Annotated[int, typer.Option(min=1, help="How many symbols to read back.")] = 10,
    strict: STRICT = False,
    json: JSON = False,
) -> None:
    """Export a run's last iteration to Redis and read it back. Exit 1 on a FAIL, with --strict on a WARN too."""
    from mmbot.ops.iterations import read_iterations  # noqa: PLC0415
    from mmbot.ops.redis_link import redis_url as asked_url  # noqa: PLC0415
    from mmbot.ops.shadow_wiring import checked_redis  # noqa: PLC0415

    with one_clear_line():
        *_, last = read_iterations(src)
        url = asked_url(redis_url, os.environ)
        findings = asyncio.run(checked_redis(url, env, last, sample_keys=sample_keys, backfill=do_flat_backfill))
    _conclude(findings, strict=strict, json=json)


def _conclude(findings: Iterable[Finding], *, strict: bool, json: bool) -> None:
    """Print findings and the worst of them, and exit by it."""
    import msgspec  # noqa: PLC0415

    from mmbot.ops.findings import worst  # noqa: PLC0415

    found = []
    for finding in findings:
        found.append(finding)
        if not json:
            typer.echo(str(finding))
    verdict = worst(found)
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode({"verdict": verdict, "findings": found}), indent=2).decode())
    else:
        typer.echo(f"\n{verdict}")
    raise typer.Exit(1 if verdict == "FAIL" or (strict and verdict == "WARN") else 0)
