"""`mmbot freeze`, `status`, `unfreeze`, `kill` and `keys`: stop an account, and let people lift that."""
# ruff: noqa: PLC0415, PLR0917  a command loads what it works with only when it runs; its parameters are its options

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbot.cli.clear_line import one_clear_line

if TYPE_CHECKING:
    from mmbot.ops.account_state import AccountState, FirmState
    from mmbot.ops.killing import Killed
    from mmbot.risk.levels import FreezeAsked
    from mmbot.risk.override import Override

__all__ = [
    "Account",
    "NoAccountError",
    "Runs",
    "adjust",
    "chosen",
    "freeze",
    "freeze_app",
    "give_up",
    "keys_app",
    "kill",
    "status",
    "unfreeze",
]

freeze_app = typer.Typer(help="Stop trading on an account; a running engine obeys within 50 ms.")
keys_app = typer.Typer(help="Keys of the people who may lift a freeze.", no_args_is_help=True)

Runs = Annotated[Path, typer.Option("--runs", help="Folder of the runs, as in session.folder.")]
Account = Annotated[str | None, typer.Option("--account", help="Which account, as `mmbot status` names it.")]
Everything = Annotated[bool, typer.Option("--all", help="Every account below the folder.")]
Show = Annotated[bool, typer.Option("--show", help="Only print what the token says.")]
Firm = Annotated[bool, typer.Option("--firm", help="The whole firm: every account, those to come included.")]
RUNS = Path("runs")


class NoAccountError(ValueError):
    """Nobody can say which account is meant."""


def chosen(runs: Path, account: str | None, *, everything: bool = False) -> list[AccountState]:
    """The accounts that are meant: the one that is named, all of them, or the only one there is."""
    from mmbot.ops.account_state import AccountState

    known = AccountState.every(runs)
    names = ", ".join(each.name for each in known) or "none"
    if account is not None:
        chosen = [each for each in known if each.name == account]
        if not chosen:
            raise NoAccountError(f"no account {account!r} below {runs}; there are: {names}")
        return chosen
    if not known:
        raise NoAccountError(f"below {runs} there is no account; expected the folder of the runs, as in session.folder")
    if everything or len(known) == 1:
        return known
    trading = [each for each in known if _may_trade(each)]
    if len(trading) == 1:
        return trading
    raise NoAccountError(f"which account? name one by --account, or --all; below {runs} there are: {names}")


def firms(runs: Path, account: str | None) -> list[FirmState]:
    """The firms that are meant: of the account that is named, else every one there is. Raises NoAccountError."""
    from mmbot.ops.account_state import FirmState

    if account is None:
        found = FirmState.every_firm(runs)
    else:
        found = [each.firm for each in chosen(runs, account) if each.firm is not None]
    if not found:
        raise NoAccountError(f"below {runs} there is no firm; expected the folder of the runs, as in session.folder")
    for each in found:
        each.path.mkdir(parents=True, exist_ok=True)
    return found


def _one_firm(runs: Path, account: str | None) -> FirmState:
    found = firms(runs, account)
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise NoAccountError(f"which firm? name one of its accounts by --account; there are: {names}")
    return found[0]


def _legible(said: str) -> str:
    """What was typed, with a sign for each byte that is no UTF-8: a terminal may speak another language."""
    return os.fsencode(said).decode(errors="replace")


def _may_trade(state: AccountState) -> bool:
    try:
        return state.engine() is not None
    except (OSError, ValueError):
        return True  # nobody knows; it is named by who means it


def _check_words(level: str, symbol: str | None, strategy: str | None, reason: str) -> None:
    if level not in ("REDUCE_ONLY", "NO_NEW", "CANCEL_ALL", "FLATTEN"):
        raise typer.BadParameter(f"--level {level}; expected REDUCE_ONLY, NO_NEW, CANCEL_ALL or FLATTEN")
    if symbol is not None and strategy is not None:
        raise typer.BadParameter("--symbol and --strategy: expected one of them; freeze twice to freeze both")
    if not reason.strip():
        raise typer.BadParameter("--reason is empty; expected why, for whoever has to lift it")


def _check_traded(state: AccountState, symbol: str) -> None:
    """A freeze of what the account does not trade would stop nothing. Raises NoAccountError."""
    from mmbot.ops.freeze_requests import read_markets

    traded = read_markets(state)
    if traded is not None and symbol not in traded:
        raise NoAccountError(f"{state.name} does not trade {symbol!r}; expected one of {', '.join(map(repr, traded))}")


def _check_runs(state: AccountState, strategy: str) -> None:
    """As of a symbol that is not traded. Raises NoAccountError."""
    from mmbot.ops.freeze_requests import read_strategy

    known = read_strategy(state)
    if known is not None and strategy != known:
        raise NoAccountError(f"{state.name} does not trade by a strategy {strategy!r}; expected {known!r}")


@freeze_app.callback(invoke_without_command=True)
def freeze(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is in every log.")] = "by hand",
    level: Annotated[str, typer.Option("--level", help="REDUCE_ONLY, NO_NEW, CANCEL_ALL or FLATTEN.")] = "CANCEL_ALL",
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this, as 'linear BTCUSDT'.")] = None,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Only this, as 'JoinTouch'.")] = None,
    account: Account = None,
    everything: Everything = False,
    firm: Firm = False,
    runs: Runs = RUNS,
) -> None:
    """Freeze: it holds at once, over restarts, and until people lift it."""
    if context.invoked_subcommand is not None:
        return
    from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope

    reason = _legible(reason)
    _check_words(level, symbol, strategy, reason)
    scope = FIRM
    if symbol is not None or strategy is not None:
        scope = Scope("symbol", symbol) if symbol is not None else Scope("strategy", strategy or "")
    with one_clear_line(NoAccountError):
        states = firms(runs, account) if firm else chosen(runs, account, everything=everything)
    frozen, failed = 0, False
    for state in states:
        asked = FreezeAsked(FreezeLevel[level], scope, "operator", reason, time.time_ns())
        try:
            typer.echo(f"{state.name}: {_frozen(state, asked)}")
            frozen += 1
        except NoAccountError as error:  # there is nothing to freeze there
            typer.echo(f"{state.name}: not frozen: {error}", err=True)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one account, the others are frozen
            typer.echo(f"{state.name}: {error}", err=True)
            failed = True
    if failed or not frozen:
        raise typer.Exit(1)


def _frozen(state: AccountState, asked: FreezeAsked) -> str:
    """Freeze an account or a firm; returns what changed. Raises NoAccountError, OSError where not all was done."""
    from mmbot.ops.account_state import FirmState
    from mmbot.ops.freeze_latch import FreezeLatch
    from mmbot.ops.freeze_requests import describe

    accounts = state.accounts if isinstance(state, FirmState) else [state]
    if asked.scope.kind == "symbol" and state in accounts:
        _check_traded(state, asked.scope.name)
    if asked.scope.kind == "strategy" and state in accounts:
        _check_runs(state, asked.scope.name)
    latch = FreezeLatch(state, time.time_ns)
    changes = latch.ask(asked)
    if latch.trouble:
        raise OSError(latch.trouble)
    fleet = "; ".join(filter(None, [_told_fleet(each, asked) for each in accounts]))
    said = "; ".join(map(describe, changes)) or f"{asked.scope} is at {latch.board.own_level(asked.scope).name} already"
    if not latch.board.operators:
        said += "; nobody's key is enrolled here, so nobody can lift it, and none can be enrolled while it stands"
    return f"{said}; {fleet}" if fleet else said


def _told_fleet(state: AccountState, asked: FreezeAsked) -> str:
    """Ask who leads on another machine. Raises OSError where that cannot be, and no engine here will."""
    import asyncio

    from mmbot.config import ConfigError
    from mmbot.ops.leader.freezes import tell_fleet
    from mmbot.venues.port import VenueError

    try:
        return asyncio.run(tell_fleet(state, asked, os.environ))
    except (ConfigError, VenueError, OSError, ValueError) as error:
        if _may_trade(state):
            return f"the engine here is to tell the fleet, for: {error}"
        raise OSError(f"frozen on this machine ALONE: {error}") from error


@freeze_app.command("report")
def report(account: Account = None, everything: Everything = False, firm: Firm = False, runs: Runs = RUNS) -> None:
    """Tell what was frozen and lowered, day by day (UTC)."""
    from mmbot.ops.freeze_report import days

    with one_clear_line(NoAccountError):
        for state in firms(runs, account) if firm else chosen(runs, account, everything=everything):
            typer.echo(f"{state.name}")
            for line in days(state, time.time_ns()):
                typer.echo(f"  {line}")


def status(
    account: Account = None,
    runs: Runs = RUNS,
    json_: Annotated[bool, typer.Option("--json", help="One JSON object per account, with every number.")] = False,
    ack: Annotated[str | None, typer.Option("--ack", help="Acknowledge this alarm, or 'all'.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who acknowledges.", envvar="USER")] = "",
) -> None:
    """Say what is frozen, which engine trades and which alarms are open, on every account or one; writes nothing.

    Exit code 1 where a part of that cannot be read: which, is said.
    """
    from mmbot.ops.account_state import AccountState
    from mmbot.ops.status import status_lines, status_words

    with one_clear_line(NoAccountError):
        states = AccountState.every(runs) if account is None else chosen(runs, account)
    if ack is not None:
        _acknowledge(states, ack, by)
    failed = False
    for state in states:
        try:
            words = status_words(state, time.time_ns())
            failed |= bool(words["trouble"])
            for line in [json.dumps(words)] if json_ else status_lines(state, time.time_ns()):
                typer.echo(line)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one account, the others are told of
            failed = True
            typer.echo(f"{state.name}: cannot be told of: {type(error).__name__}: {error}", err=True)
    if not states and not json_:
        typer.echo(f"no account below {runs}")
    if failed:
        raise typer.Exit(1)


def _acknowledge(states: list[AccountState], alarm_id: str, by: str) -> None:
    from mmbot.ops.alarm_log import AlarmLog

    if not by.strip():
        raise typer.BadParameter("--by: who acknowledges it?")
    with one_clear_line():
        seen = [(state.name, alarm) for state in states for alarm in AlarmLog(state).acknowledge(alarm_id, by)]
    for name, alarm in seen:
        typer.echo(f"{name}: {alarm.alarm_id} {alarm.name} acknowledged by {by}", err=True)
    if not seen:
        typer.echo(f"no open alarm {alarm_id}", err=True)
        raise typer.Exit(1)


def kill(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is in every log.")] = "by hand",
    account: Account = None,
    everything: Everything = False,
    firm: Firm = False,
    runs: Runs = RUNS,
) -> None:
    """Cancel everything at the venue, prove that nothing is open, and end the engine; works when it hangs.

    Exit code 0 only where zero open orders were verified on every account that was named, and nothing else failed.
    """
    import asyncio

    from mmbot.ops.killing import Killed
    from mmbot.ops.killing import kill as killed

    reason = _legible(reason)
    with one_clear_line(NoAccountError):
        latched, states = (
            _killed_whole(runs, account, reason) if firm else (True, chosen(runs, account, everything=everything))
        )

    def told(event: dict[str, object]) -> None:
        with suppress(OSError, ValueError):  # whoever reads it may be gone; the kill goes on
            typer.echo(f"  {event}", err=True)

    async def every() -> list[Killed | BaseException]:
        kills = (killed(state, os.environ, reason, told=told) for state in states)
        return await asyncio.gather(*kills, return_exceptions=True)

    outcomes = [
        Killed(state.name, done=[f"FAILED: {type(one).__name__}: {one}"]) if isinstance(one, BaseException) else one
        for state, one in zip(states, asyncio.run(every()), strict=True)
    ]
    for outcome in outcomes:
        typer.echo(f"{outcome.account}: {'zero open orders, verified' if outcome.zero else 'NOT VERIFIED'}")
        for line in outcome.done:
            typer.echo(f"  {line}")
    if not latched or not all(outcome.zero and outcome.whole for outcome in outcomes):
        raise typer.Exit(1)


def _killed_whole(runs: Path, account: str | None, reason: str) -> tuple[bool, list[AccountState]]:
    """Latch a kill for whole firms; returns whether that is so, and their accounts. Raises NoAccountError."""
    found = firms(runs, account)
    latched = [_latched(each, reason) for each in found]
    return all(latched), [one for each in found for one in each.accounts]


def _latched(firm: FirmState, reason: str) -> bool:
    """Latch KILL for every account of a firm, those to come included; False where that cannot be."""
    from mmbot.ops.freeze_latch import FreezeLatch
    from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel

    try:
        latch = FreezeLatch(firm, time.time_ns)
        latch.ask(FreezeAsked(FreezeLevel.KILL, FIRM, "operator", reason, time.time_ns()))
        trouble = latch.trouble
    except Exception as error:  # noqa: BLE001  whatever it is, the accounts can be killed one by one
        trouble = f"{type(error).__name__}: {error}"
    typer.echo(f"{firm.name}: {f'KILL is NOT latched: {trouble}' if trouble else 'KILL is latched'}", err=bool(trouble))
    return not trouble


def unfreeze(
    token: Annotated[Path, typer.Option("--token", help="The token's file: made or signed by --sign, else applied.")],
    sign: Annotated[Path | None, typer.Option("--sign", help="Sign with this private key instead of applying.")] = None,
    freeze_id: Annotated[str | None, typer.Option("--freeze", help="Which freeze, for a new token.")] = None,
    to: Annotated[str, typer.Option("--to", help="Down to which level, for a new token.")] = "NORMAL",
    reason: Annotated[str, typer.Option("--reason", help="The cause, and why it is gone, for a new token.")] = "",
    show: Show = False,
    account: Account = None,
    firm: Firm = False,
    runs: Runs = RUNS,
) -> None:
    """Sign for a lower level, or apply a signed token. Two people sign for CANCEL_ALL and above."""
    from mmbot.config import ConfigError
    from mmbot.ops import freeze_tokens
    from mmbot.ops.freeze_tokens import TokenError
    from mmbot.risk.override import OverrideRefusedError
    from mmbot.venues.port import VenueError

    with one_clear_line(NoAccountError, TokenError, OverrideRefusedError, VenueError, ConfigError):
        if show:
            typer.echo("\n".join(freeze_tokens.words(freeze_tokens.read_token(token))))
            return
        [state] = [_one_firm(runs, account)] if firm else chosen(runs, account)
        if sign is not None:
            _sign(state, token, sign, freeze_id, to, reason)
        else:
            _apply(state, token)


def _sign(state: AccountState, token: Path, key: Path, freeze_id: str | None, to: str, reason: str) -> None:
    from mmbot.ops import freeze_tokens

    override = (
        freeze_tokens.read_token(token)
        if token.exists()
        else freeze_tokens.fresh(state, freeze_id=freeze_id, to=to, reason=_legible(reason))
    )
    for line in freeze_tokens.words(override):
        typer.echo(line)
    whole = freeze_tokens.with_signature(override, freeze_tokens.read_key(key))
    freeze_tokens.write_token(token, whole)
    typer.echo(f"signed: {token} holds {len(whole.signatures)} signature(s)")


def _apply(state: AccountState, token: Path) -> None:
    import asyncio

    from mmbot.ops import freeze_tokens

    override: Override = freeze_tokens.read_token(token)
    typer.echo(asyncio.run(freeze_tokens.apply(state, override, os.environ)))


def give_up(
    order: Annotated[str, typer.Argument(help="The order's client id, as the alarm names it.")],
    reason: Annotated[str, typer.Option("--reason", help="What you looked at, and what it said.")],
    sign: Annotated[Path, typer.Option("--sign", help="Your private key; one enrolled person signs.")],
    account: Account = None,
    runs: Runs = RUNS,
) -> None:
    """Sign that nobody can prove any more what became of an order, after a day in doubt; the running engine judges it.

    The order counts in no limit from then on. A later word of the venue brings it back.
    """
    import asyncio

    from mmbot.ops.freeze_tokens import TokenError, read_key
    from mmbot.ops.giving_up import ask_to_give_up

    with one_clear_line(NoAccountError, TokenError):
        [state] = chosen(runs, account)
        typer.echo(asyncio.run(ask_to_give_up(state, order, reason, read_key(sign))))


def adjust(
    token: Annotated[Path, typer.Option("--token", help="The token's file: made or signed by --sign, else applied.")],
    sign: Annotated[Path | None, typer.Option("--sign", help="Sign with this private key instead of applying.")] = None,
    market: Annotated[str, typer.Option("--market", help="Category and symbol, for a new token.")] = "",
    held: Annotated[int, typer.Option("--held", help="Lots that our books hold, signed, for a new token.")] = 0,
    told: Annotated[int, typer.Option("--told", help="Lots that the venue says, signed, for a new token.")] = 0,
    price: Annotated[str, typer.Option("--price", help="At which the difference is booked, for a new token.")] = "",
    cash: Annotated[list[str] | None, typer.Option("--cash", help="Instead: each break of the coins, as told.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="What you looked at, and what it said.")] = "",
    show: Show = False,
    account: Account = None,
    runs: Runs = RUNS,
) -> None:
    """Sign that a position, or the coins, are what the venue says, or apply a token that two people signed.

    The running engine judges. What it is about has to be frozen. The difference is booked as the two people's, in the
    journal; no fill is made up.
    """
    import asyncio

    from mmbot.ops import adjusting
    from mmbot.ops.freeze_tokens import TokenError, read_key
    from mmbot.risk.adjusting import Gap

    with one_clear_line(NoAccountError, TokenError, OSError):
        if show:
            typer.echo("\n".join(adjusting.said(adjusting.word_to_sign(token, None))))
            return
        [state] = chosen(runs, account)
        if sign is None:
            typer.echo(asyncio.run(adjusting.apply_adjustment(state, token)))
            return
        gap = Gap(market=market, held=held, told=told, price=price) if market else None
        fresh = adjusting.fresh_adjustment(state, gap, cash or (), _legible(reason)) if gap or cash else None
        word = adjusting.word_to_sign(token, fresh)
        for line in adjusting.said(word):
            typer.echo(line)
        count = adjusting.sign_adjustment(token, word, read_key(sign))
        typer.echo(f"signed: {token} holds {count} signature(s)")


@keys_app.command("new")
def new(path: Annotated[Path, typer.Argument(help="Where the private key goes.")]) -> None:
    """Make a key pair; the private key is one person's, on one device. Prints the public key."""
    from mmbot.ops.freeze_tokens import TokenError, new_key

    with one_clear_line(TokenError):
        typer.echo(new_key(path))


@keys_app.command("enrol")
def enrol(
    key: Annotated[str, typer.Argument(help="The public key, as `keys new` printed it.")],
    identity: Annotated[str, typer.Option("--identity", help="Whose.")],
    device: Annotated[str, typer.Option("--device", help="On which device it lies.")],
    account: Account = None,
    firm: Firm = False,
    runs: Runs = RUNS,
) -> None:
    """Let a key count for an account, or the firm. Not while anything is frozen there: enrol before it is needed."""
    from mmbot.ops.freeze_tokens import TokenError, enrol_key

    with one_clear_line(NoAccountError, TokenError):
        [state] = [_one_firm(runs, account)] if firm else chosen(runs, account)
        enrol_key(state, key, identity, device)
    typer.echo(f"{state.name}: {identity} on {device}")
