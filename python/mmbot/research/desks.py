"""From what was configured to a strategy at its desks: the same in every mode, for a mode is a wiring."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mmbot import _core
from mmbot.config import ConfigError
from mmbot.config.load import explain
from mmbot.strategies import find_strategy
from mmbot.strategy import Strategy, Wake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.config import BacktestConfig, InstrumentConfig

__all__ = ["WHOLE", "configured", "desk", "seat"]

WHOLE = Fraction(1)
"""Limits as configured."""


def desk(config: InstrumentConfig, instrument: _core.Instrument, symbol: str, share: Fraction = WHOLE) -> _core.Desk:
    """Hard limits and order handling of one instrument; `share` of the configured sizes, rounded down to whole lots.

    Raises ConfigError for a limit off the instrument's grid, or of which the share is less than a lot.
    """
    limits, orders = config.limits, config.orders
    try:
        return _core.Desk(
            position_max=int(instrument.lots(limits.position) * share),
            order_max=int(instrument.lots(limits.order) * share),
            open_orders_max=limits.open_orders,
            collar_bps=limits.collar_bps,
            requests_per_second_max=limits.requests_per_second,
            keep_within=orders.keep_within_ticks,
            refill_below_percent=orders.refill_below_percent,
            amend=orders.amend,
        )
    except ValueError as error:
        of = "" if share == WHOLE else f" at {float(share):.0%} of the configured size"
        raise ConfigError(f"limits of {symbol}{of}: {error} (lot {instrument.lot})") from None


def seat(strategy: Strategy, desks: Sequence[_core.Desk]) -> _core.Seat:
    """A strategy's place in a run. Raises ConfigError for one that would never be asked."""
    wake = strategy.wake
    if wake == Wake():
        raise ConfigError(
            f"{type(strategy).__name__}.wake: Wake() has no rule, so decide would never be asked; "
            "give it every_ms, touch, fill, trade or message"
        )
    return _core.Seat(
        desks, every_ns=wake.every_ns, touch=wake.touch, fill=wake.fill, trade=wake.trade, message=wake.message
    )


def configured(config: BacktestConfig, folder: Path | None = None) -> Strategy:
    """Make the configured strategy. Raises ConfigError if there is none, or its parameters cannot be used.

    folder: where the file of a user's own is looked for before the working folder.
    """
    if config.strategy is None:
        raise ConfigError("strategy: missing; name one in the configuration or give an object instead")
    recipe = find_strategy(config.strategy.name, folder)
    try:
        return recipe.build(config.strategy.params)
    except ValidationError as error:
        raise explain(error, "strategy.params") from None
