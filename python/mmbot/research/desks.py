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

    from mmbot.config import BacktestConfig, InstrumentConfig, RiskConfig

__all__ = ["WHOLE", "bounds", "configured", "controls", "desk", "seat"]

WHOLE = Fraction(1)
"""Limits as configured."""


_UNITS = 10**12
_NS_PER_MS = 1_000_000


def controls(risk: RiskConfig) -> _core.Controls:
    """What each order of a run is held against, beside the limits of its instrument."""
    return _core.Controls(
        maker=risk.maker_only,
        order_notional_max=_units(risk, "max_order_notional_usd"),
        unit_shift=risk.unit_shift,
        duplicate_ns=risk.duplicate_ms * _NS_PER_MS,
        self_match=risk.self_match,
        book_age_ns=risk.book_age_ms * _NS_PER_MS,
        venue_age_ns=risk.venue_age_ms * _NS_PER_MS,
        reference_age_ns=risk.reference_age_ms * _NS_PER_MS,
        reference_collar_bps=risk.reference_collar_bps,
        entry_age_ns=risk.account_age_ms * _NS_PER_MS if risk.stops else 0,
        notional_max=_units(risk, "max_inventory_usd"),
        orders_max=risk.max_orders_per_symbol,
        open_notional_max=_units(risk, "max_open_notional_usd"),
        orders_per_trade_max=risk.orders_per_trade,
        orders_free=risk.orders_free,
    )


def bounds(risk: RiskConfig, calls_per_second: int | None, *, derivatives: bool) -> _core.Bounds:
    """What strategy, account and firm are held against in a run.

    calls_per_second: what the session may use in all; None: there is no session that counts them. derivatives: some
    instrument needs margin.
    """
    needs_margin = derivatives and risk.margin_headroom_pct > 0

    def share(percent: float) -> int | None:
        return None if calls_per_second is None else max(1, int(calls_per_second * percent / 100))

    total = _units(risk, "max_total_notional_usd")
    return _core.Bounds(
        creates_per_second_max=share(risk.creates_pct),
        requests_per_second_max=share(risk.requests_pct),
        strategy_notional_max=total,
        account_gross_max=total,
        account_net_max=_units(risk, "max_net_notional_usd"),
        positions_max=risk.positions,
        firm_gross_max=_units(risk, "max_firm_notional_usd"),
        firm_net_max=_units(risk, "max_firm_notional_usd"),
        firm_elsewhere_age_ns=risk.elsewhere_age_ms * _NS_PER_MS,
        margin_age_ns=risk.account_age_ms * _NS_PER_MS if needs_margin else 0,
        mark_age_ns=risk.mark_age_ms * _NS_PER_MS,
        order_worth_cap=_units(risk, "cap_order_usd"),
        gross_worth_cap=_units(risk, "cap_gross_usd"),
    )


def _units(risk: RiskConfig, name: str) -> int:
    return int(risk.amount(name) * _UNITS)


def desk(
    config: InstrumentConfig,
    instrument: _core.Instrument,
    symbol: str,
    share: Fraction = WHOLE,
    held_against: _core.Controls | None = None,
) -> _core.Desk:
    """Hard limits and order handling of one instrument; `share` of the configured sizes, rounded down to whole lots.

    held_against: the controls of a run; a backtest has none. Raises ConfigError for a limit off the instrument's grid,
    or of which the share is less than a lot.
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
            controls=held_against,
        )
    except ValueError as error:
        of = "" if share == WHOLE else f" at {float(share):.0%} of the configured size"
        raise ConfigError(f"limits of {symbol}{of}: {error} (lot {instrument.lot})") from None


def seat(strategy: Strategy, desks: Sequence[_core.Desk], together: _core.Bounds | None = None) -> _core.Seat:
    """A strategy's place in a run, and what its instruments are held against together.

    Raises ConfigError for one that would never be asked.
    """
    wake = strategy.wake
    if wake == Wake():
        raise ConfigError(
            f"{type(strategy).__name__}.wake: Wake() has no rule, so decide would never be asked; "
            "give it every_ms, touch, fill, trade or message"
        )
    return _core.Seat(
        desks,
        every_ns=wake.every_ns,
        touch=wake.touch,
        fill=wake.fill,
        trade=wake.trade,
        message=wake.message,
        bounds=together,
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
