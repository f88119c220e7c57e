"""The controls of a run on an account: they go on from where the account's last run left them."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mmbot.config import ConfigError
from mmbot.ops.account_state import write_durably
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
    account that begins anew with its exchange. goes_on: the run took over the books of an earlier one. Raises
    ConfigError for a state that cannot be read, because a loss that is forgotten is no limit, for a control that has
    nothing to measure, and OSError.
    """

    def keep(state: str) -> None:
        if folder is not None:
            write_durably(folder.risk, state.encode())

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
    try:
        state = _kept(folder)
        desk.begin(now, state, goes_on=goes_on)
    except ValueError as error:
        where = "" if folder is None else f"{folder.risk}: "
        raise ConfigError(f"{where}{error}; find out why, and delete it to begin at zero") from None
    if state is not None and runner.freezing is not None:
        for scope, at in runner.freezing.state.lowered_at.items():
            if at > int(state.get("at", 0)):  # people lifted it while nothing ran
                desk.lifted(scope)
    runner.risk = desk
    return desk


def _kept(folder: AccountState | None) -> dict[str, Any] | None:
    if folder is None or not folder.risk.exists():
        return None
    state = json.loads(folder.risk.read_bytes())
    if not isinstance(state, dict):
        raise ValueError(f"holds {type(state).__name__}; expected an object")
    return state
