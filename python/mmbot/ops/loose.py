"""Controls that can never act: switched off, or set wider than anything that a run of this account can reach.

    loose = loose_controls(config, session, listed, wallet)      key ─▶ why
    check_named(config.risk, loose)                              live: each has to be named, or it raises

Nothing is refused for being wide where no real money is: it is named, at the start (event `controls off`) and by
`mmbot status`. A limit that only another one of the same kind makes superfluous acts all the same, and is not named.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mmbot.config import ConfigError
from mmbot.ops.plausible import account_worth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mmbot.config import BacktestConfig, RiskConfig, SessionConfig
    from mmbot.runtime.bridge import Listed
    from mmbot.venues.port import WalletSeen

__all__ = ["OFF", "check_named", "loose_controls"]

OFF = "is off"
"""Why, of a control that is switched off."""
_LEVERAGE = 100
"""The most that a venue lends on what an account is worth."""
_EXECUTIONS = 10
"""More executions than that of each request do not go on for a minute."""
_UNKNOWN_WINDOW_S = 10
_OLD_MS = 600_000
"""What was true so long ago says nothing of a market."""
_TENTH_BPS = 9_000
_RATE_UNITS = 10_000
"""Of a fee rate in one basis point."""


def loose_controls(
    config: BacktestConfig, session: SessionConfig, listed: Sequence[Listed] = (), wallet: Iterable[WalletSeen] = ()
) -> dict[str, str]:
    """Return the keys of the controls that are off or can never act, and why.

    listed, wallet: what the venue says of instruments and account; without them what only they tell is not looked at.
    """
    risk = config.risk
    found = dict.fromkeys((f"risk.{key}" for key in risk.off), OFF)
    for each in (
        _losses(risk, account_worth(wallet)),
        _amounts(risk, account_worth(wallet)),
        _counts(risk, session),
        _prices(config),
        _guards(risk),
        _ages(risk),
        _fees(risk, listed),
    ):
        for key, why in each:
            found.setdefault(key, why)
    return found


def check_named(risk: RiskConfig, loose: Iterable[str]) -> None:
    """Hold what is off, or as good as off, against `risk.off_on_purpose`. Raises ConfigError, which names each."""
    loose = list(loose)
    missing = [key for key in loose if key.removeprefix("risk.") not in risk.off_on_purpose]
    if missing:
        raise ConfigError(
            f"{', '.join(missing)}: off, or wider than anything that this run can reach, and nothing says that it is "
            "meant. Live names each in risk.off_on_purpose, or sets it"
        )


def _losses(risk: RiskConfig, worth: Decimal | None) -> Iterator[tuple[str, str]]:
    capital, most = risk.amount("capital_usd"), risk.amount("max_total_notional_usd")
    for key, percent in (
        ("loss_minute_pct", risk.loss_minute_pct),
        ("loss_hour_pct", risk.loss_hour_pct),
        ("loss_day_pct", risk.daily_loss_pct),
        ("drawdown_pct", risk.drawdown_pct),
    ):
        loss = capital * Decimal(str(percent)) / 100
        if loss >= most:
            yield f"risk.{key}", f"is a loss of {loss:f}; all positions together are worth at most {most:f}"
        elif worth is not None and loss >= worth:
            yield f"risk.{key}", f"is a loss of {loss:f}; the account has {worth:f}"
    for key, stop in (("stop_loss_pct", risk.stop_loss_pct), ("trailing_stop_pct", risk.trailing_stop_pct)):
        if stop == 100:
            yield f"risk.{key}", "is all that a position can lose"
    if risk.unhedged_usd_s is not None and Decimal(str(risk.unhedged_usd_s)) >= most * 3_600:
        yield "risk.unhedged_usd_s", f"is an hour of {most:f}, which is all that may be held"


def _amounts(risk: RiskConfig, worth: Decimal | None) -> Iterator[tuple[str, str]]:
    for key in (
        "max_order_notional_usd",
        "max_inventory_usd",
        "max_open_notional_usd",
        "max_total_notional_usd",
        "max_net_notional_usd",
    ):
        if worth is not None and risk.amount(key) >= worth * _LEVERAGE:
            yield (
                f"risk.{key}",
                f"is {risk.amount(key):f}; the account has {worth:f}, and no venue lends so much on that",
            )


def _counts(risk: RiskConfig, session: SessionConfig) -> Iterator[tuple[str, str]]:
    a_second = session.calls_per_second
    for key, count, most, of in (
        (
            "executions_max",
            risk.executions_max,
            60 * a_second * _EXECUTIONS,
            f"ten for each of {a_second} requests a s",
        ),
        ("unknowns_in_a_row", risk.unknowns_in_a_row, _UNKNOWN_WINDOW_S * a_second, "all requests of its 10 s"),
        ("orders_free", risk.orders_free, 86_400 * a_second, "all requests of a day"),
        ("orders_per_trade", risk.orders_per_trade, 86_400 * a_second, "all requests of a day"),
    ):
        if count >= most:
            yield f"risk.{key}", f"is {count}; {of} are {most}"


def _prices(config: BacktestConfig) -> Iterator[tuple[str, str]]:
    risk = config.risk
    collars = [
        (f"instruments.{n}.limits.collar_bps", each.limits.collar_bps) for n, each in enumerate(config.instruments)
    ]
    for key, bps in (*collars, ("risk.reference_collar_bps", risk.reference_collar_bps)):
        if bps >= _TENTH_BPS:
            yield key, f"is {bps}; a tenth of the price is within it"
    if -risk.markout_freeze_bps >= risk.reference_collar_bps:
        yield "risk.markout_freeze_bps", f"is {risk.markout_freeze_bps}; no fill is beyond reference_collar_bps"
    widest = max((bps for _, bps in collars), default=_TENTH_BPS)
    if -risk.edge_freeze_threshold_bps >= widest:
        yield "risk.edge_freeze_threshold_bps", f"is {risk.edge_freeze_threshold_bps}; no fill is beyond collar_bps"
    if risk.depeg_pair is not None and risk.peg_bps >= 1_000:
        yield "risk.depeg_bps", f"is {risk.peg_bps:g}; a coin at 0.90 is no dollar"
    if 0 < risk.margin_headroom_pct < 1:
        yield "risk.margin_headroom_pct", f"is {risk.margin_headroom_pct:g}; below 1 a venue liquidates first"


def _guards(risk: RiskConfig) -> Iterator[tuple[str, str]]:
    if not risk.guards:
        return
    if risk.guard_volatility_hard_bps >= risk.reference_collar_bps:
        yield "risk.guard_volatility_hard_bps", f"is {risk.guard_volatility_hard_bps:g}; beyond reference_collar_bps"
    if risk.guard_latency_hard_ms >= _UNKNOWN_WINDOW_S * 1_000:
        yield "risk.guard_latency_hard_ms", f"is {risk.guard_latency_hard_ms:g}; a request is given up before"
    if risk.guard_inventory_hard_pct >= 200:
        yield "risk.guard_inventory_hard_pct", "is twice the position limit, where no order of ours leads"


def _ages(risk: RiskConfig) -> Iterator[tuple[str, str]]:
    for key in ("mark_age_ms", "reference_age_ms", "elsewhere_age_ms", "account_age_ms"):
        if getattr(risk, key) > _OLD_MS:
            yield f"risk.{key}", f"is {getattr(risk, key)}; what is older than ten minutes says nothing of a market"
    for key in ("book_age_ms", "venue_age_ms", "decision_age_ms"):
        if getattr(risk, key) >= (risk.mark_age_ms or 60_000):
            yield f"risk.{key}", f"is {getattr(risk, key)}; a price of so long ago values no position (mark_age_ms)"


def _fees(risk: RiskConfig, listed: Sequence[Listed]) -> Iterator[tuple[str, str]]:
    for each in listed:
        apart = (each.instrument.taker - each.instrument.maker) / _RATE_UNITS
        if 0 < apart <= risk.fee_tolerance_bps:
            yield (
                "risk.fee_tolerance_bps",
                f"is {risk.fee_tolerance_bps:g}; on {each.category} {each.symbol} a taker's fee is {apart:g} above a "
                "maker's",
            )
