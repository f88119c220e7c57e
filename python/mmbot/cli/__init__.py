"""The command line: parse, call, print.

Exit codes of every command: 0 done; 1 what was asked cannot be done, and one line says why; 2 a mistake in the
command line. Gates answer by their exit code as well: `mmbot compare` says 0 PASS, 1 FAIL, 2 WARN.
"""

from __future__ import annotations

import typer

from mmbot.cli import (
    audit,
    backtest,
    chaos,
    compare,
    debug,
    drill,
    dryrun,
    edge,
    exchange,
    freeze,
    gateway,
    guardian,
    journal,
    launch,
    leader,
    record,
    replay,
    run,
    shadow,
    simulate,
    smoke,
    tapes,
    walkforward,
)

app = typer.Typer(
    name="mmbot",
    help="An open trading system that has to prove itself before it trades.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(tapes.app, name="data")
app.add_typer(edge.app, name="edge")
app.add_typer(shadow.app, name="shadow")
app.add_typer(debug.app, name="debug")
app.add_typer(chaos.app, name="chaos")
app.add_typer(leader.app, name="leader")
app.add_typer(launch.app, name="launch")
app.add_typer(journal.app, name="journal")
app.add_typer(audit.app, name="audit")
app.command("backtest")(backtest.backtest)
app.command("walkforward")(walkforward.walkforward)
app.command("run")(run.run)
app.command("record")(record.record)
app.command("dryrun")(dryrun.dryrun)
app.command("compare")(compare.compare)
app.command("replay")(replay.replay)
app.command("exchange")(exchange.exchange)
app.command("drill")(drill.drill)
app.command("simulate")(simulate.simulate)
app.command("gateway")(gateway.gateway)
app.command("guardian")(guardian.guardian)
app.command("smoke")(smoke.smoke)
app.add_typer(freeze.freeze_app, name="freeze")
app.add_typer(freeze.keys_app, name="keys")
app.command("status")(freeze.status)
app.command("unfreeze")(freeze.unfreeze)
app.command("give-up")(freeze.give_up)
app.command("adjust")(freeze.adjust)
app.command("kill")(freeze.kill)
app.command("version")(backtest.version)


def main() -> None:
    """Entry point of the `mmbot` command."""
    app()
