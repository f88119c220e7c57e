"""The controls of a run on an account: they go on from where the account's last run left them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.ops.account_state import write_durably
from mmbot.risk.watch import RiskWatch
from mmbot.runtime.risk import RiskDesk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot import _core
    from mmbot.config import RiskConfig
    from mmbot.ops.account_state import AccountState
    from mmbot.risk.levels import FreezeAsked
    from mmbot.runtime.bridge import Listed

__all__ = ["risk_desk"]


def risk_desk(
    config: RiskConfig,
    core: _core.Live,
    listed: Sequence[Listed],
    *,
    strategy: str,
    account: str,
    folder: AccountState | None,
    told: Callable[[dict[str, object]], None],
    now: int,
    asked: Callable[[FreezeAsked], None] = lambda _: None,
) -> RiskDesk:
    """Make the controls of a run.

    folder: where their state is kept; None for an account that begins anew with its exchange. told: hears of every
    freeze that is asked for; asked: acts on it. Raises ConfigError for a state that cannot be read, because a loss that
    is forgotten is no limit, and OSError.
    """
    watch = RiskWatch(config, strategy=strategy, account=account)
    if folder is not None and folder.risk.exists():
        try:
            watch.restore(json.loads(folder.risk.read_bytes()))
        except ValueError as error:
            raise ConfigError(f"{folder.risk}: {error}; find out why, and delete it to begin at zero") from None

    def keep(state: str) -> None:
        if folder is not None:
            write_durably(folder.risk, state.encode())

    def ask(one: FreezeAsked) -> None:
        words = {"control": one.control, "level": one.level.name, "scope": str(one.scope), "why": one.reason}
        told({"event": "freeze asked", **words})
        asked(one)

    desk = RiskDesk(watch, core, listed, asked=ask, keep=keep)
    desk.begin(now)
    return desk
