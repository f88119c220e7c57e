"""Limits held against what only the account and the market know, when a run starts: a slip of the pen is refused.

A limit is a number in a file, and 50 reads like 0.50. Whether it fits the configuration is checked when that is read;
here it is held against the venue's own largest order, what the account is worth, and what its sizes are worth at the
first price. The margins are wide: a limit may be generous, not ten times beyond what it speaks of.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mmbot.config import BacktestConfig
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import WalletSeen

__all__ = ["TIMES", "account_worth", "check_account"]

TIMES = 10
"""So many times more than what it is held against is a mistake."""


def check_account(config: BacktestConfig, listed: Sequence[Listed], wallet: Iterable[WalletSeen]) -> None:
    """Hold a run's limits against its venue and account.

    Raises ConfigError naming key, value and what was expected. An account that does not say what it is worth is not
    held against: the loss limits then count in the configured capital alone.
    """
    for number, (each, own) in enumerate(zip(config.instruments, listed, strict=True)):
        most = own.terms.max_qty
        if most is not None and Decimal(each.limits.order) > Decimal(most):
            raise ConfigError(
                f"instruments.{number}.limits.order: is {each.limits.order}; {own.category} {own.symbol} takes at most "
                f"{most} in one order; expected no more than that"
            )
    worth = account_worth(wallet)
    capital = config.risk.amount("capital_usd")
    if worth is not None and capital > TIMES * worth:
        raise ConfigError(
            f"risk.capital_usd: is {capital:f}; the account has {worth:f}; expected at most {TIMES} times that, for "
            "losses are held against percentages of it"
        )


def account_worth(wallet: Iterable[WalletSeen]) -> Decimal | None:
    """Return what the venue says that the whole account is worth; None where it does not."""
    told = next((one.margin for one in wallet if one.margin), None)
    if told is None:
        return None
    worth = Decimal(told)
    return worth if worth.is_finite() and worth >= 0 else None
