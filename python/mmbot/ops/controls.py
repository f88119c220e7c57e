"""The controls of a run on an account: they go on from where the account's last run left them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.ops.risk_memory import RiskMemory
from mmbot.risk.watch import RiskWatch
from mmbot.runtime.boldness import Boldness, guards_of
from mmbot.runtime.holdings import underlyings
from mmbot.runtime.peg import Peg
from mmbot.runtime.risk import LOOK_S, RiskDesk, RiskEnds
from mmbot.runtime.runner import RunFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.config import RiskConfig
    from mmbot.ops.account_state import AccountState
    from mmbot.runtime.runner import Runner

__all__ = ["risk_desk"]


def risk_desk(
    config: RiskConfig,
    runner: Runner,
    positions_max: Sequence[int],
    *,
    strategy: str,
    account: str,
    folder: AccountState | None,
    goes_on: bool = False,
    look_s: float = LOOK_S,
) -> RiskDesk:
    """Make the controls of a run, and give them to it. Everything that is configured can fire, or is refused.

    positions_max: the largest position of each instrument, in lots. folder: where their state is kept; None for an
    account that begins anew with its exchange. goes_on: the run took over the books of an earlier one. Where the state
    is gone, or not the one that was kept last, the account is frozen: a loss that is forgotten is no limit. Raises
    ConfigError for one that cannot be read, for a control that has nothing to measure, and OSError.
    """
    memory = None if folder is None else RiskMemory(folder)

    def keep(state: str) -> None:
        if memory is not None:
            memory.keep(state)

    def share(now: int) -> Fraction:
        return Fraction(1) if runner.freezing is None else runner.freezing.state.share(now)

    def told(event: Mapping[str, object]) -> None:
        runner.note(str(event["event"]), {name: word for name, word in event.items() if name != "event"})
        runner.told(dict(event))

    core, listed, now = runner.core, runner.listed, runner.clock.peek()
    if config.unhedged_usd_s is not None and not underlyings(listed):
        coins = ", ".join(each.terms.base for each in listed)
        raise ConfigError(
            f"risk.unhedged_usd_s: no two instruments of this run are of one coin ({coins}), so nothing can be hedged; "
            "take it out"
        )
    peg = None if config.depeg_pair is None else Peg(config.depeg_pair, now)
    desk = RiskDesk(
        RiskWatch(config, strategy=strategy, account=account),
        core,
        listed,
        RiskEnds(
            asked=runner.on_freeze,
            keep=keep,
            hold=runner.hold,
            share=share,
            told=told,
            implausible=lambda why: runner.fail(RunFailedError(why)),
        ),
        look_s=look_s,
        positions_max=positions_max,
        peg=peg,
        boldness=Boldness(guards_of(config), core, listed, positions_max, told=runner.told, taken_over=goes_on),
    )
    if memory is None:
        desk.begin(now, goes_on=goes_on)
    else:
        _go_on(desk, memory, runner, account, now, goes_on=goes_on)
    desk.keep(now)  # from here on that there is none means something
    runner.risk = desk
    return desk


def _go_on(desk: RiskDesk, memory: RiskMemory, runner: Runner, account: str, now: int, *, goes_on: bool) -> None:
    """Begin where the account's last run left it, or frozen where that is not known."""
    try:
        found = memory.read()
        desk.begin(now, found.state, goes_on=goes_on)
    except ValueError as error:
        raise ConfigError(
            f"{memory.path}: {error}; find out why, and put it back. Taken away, the account is frozen, and people "
            "sign for a start from zero"
        ) from None
    asked = found.asked(account, now)
    if asked is not None:
        runner.on_freeze(asked)  # latched before what is there now is kept as if it were right
    if found.state is None or runner.freezing is None:
        return
    for scope, at in runner.freezing.state.lowered_at.items():
        if at > int(found.state.get("at", 0)):  # people lifted it while nothing ran
            desk.lifted(scope)
