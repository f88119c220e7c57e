"""All watches of one run together: facts, marks and ticks in, freezes that are asked for out.

    watch.refused(now) · answered() · unanswered(now) · filled(...)   from the venue
    watch.equity(units, now) · edge(...) · markout(...)               from the books

It decides nothing about orders: that is the core's part. Counters are by control, so that a dashboard tells the kinds
apart. `state` keeps what a restart must not forget; `lifted` arms anew what people lifted, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from mmbot.config.risk import RiskConfig
from mmbot.risk.averages import EdgeWatch, MarkoutWatch, RiskRatio
from mmbot.risk.controls import CONTROLS
from mmbot.risk.exits import StopWatch, UnhedgedWatch
from mmbot.risk.levels import FreezeAsked, Scope
from mmbot.risk.losses import LossLimits, LossWatch
from mmbot.risk.streaks import StreakLimits, StreakWatch
from mmbot.risk.surroundings import check_fee, check_margin, check_peg

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RiskWatch"]

_UNITS = 10**12
_NEVER = 2**31
"""So many in a row do not happen: the control is off."""


class RiskWatch:
    """One strategy on one account."""

    def __init__(self, config: RiskConfig | None = None, *, strategy: str = "", account: str = "") -> None:
        self.config = config = config or RiskConfig()
        self.strategy, self.account = Scope("strategy", strategy), Scope("account", account)
        capital = config.amount("capital_usd")

        def units(percent: float) -> int:
            return int(capital * Decimal(str(percent)) / 100 * _UNITS)

        limits = LossLimits(
            minute=units(config.loss_minute_pct),
            hour=units(config.loss_hour_pct),
            day=units(config.daily_loss_pct),
            drawdown=units(config.drawdown_pct),
        )
        self.losses = LossWatch(limits, self.account)
        self.streaks = StreakWatch(
            StreakLimits(
                rejects=config.rejects_in_a_row or _NEVER,
                unknowns=config.unknowns_in_a_row or _NEVER,
                executions=config.executions_max or _NEVER,
                one_sided=config.one_sided_fills or _NEVER,
            ),
            self.strategy,
        )
        self.edges = EdgeWatch(config.edge_freeze_threshold_bps)
        self.markouts = MarkoutWatch(config.markout_freeze_bps, config.markout_fills)
        self.stops = StopWatch(config.stop_loss_pct, config.trailing_stop_pct)
        self.unhedged = UnhedgedWatch(config.unhedged_usd_s, self.strategy)
        self.ratio = RiskRatio(config.risk_ratio_warn)
        self.counters: Counter[str] = Counter()
        """How often each control asked for a freeze."""

    # ---- from the venue

    def refused(self, now: int) -> list[FreezeAsked]:
        """The venue refused an order of ours; what we held back ourselves is none."""
        return self._counted(self.streaks.rejected(now))

    def answered(self, *, cancel: bool = False) -> None:
        """The venue took a request; that it takes cancels says nothing of the orders that it refuses."""
        if cancel:
            self.streaks.heard()
        else:
            self.streaks.taken()

    def unanswered(self, now: int) -> list[FreezeAsked]:
        """A request had no answer."""
        return self._counted(self.streaks.unanswered(now))

    def filled(
        self,
        symbol: str,
        side: Literal["buy", "sell"],
        now: int,
        *,
        notional: Decimal | None = None,
        fee: Decimal | None = None,
        rate_bps: float | None = None,
        rounded_by: Decimal = Decimal(0),
    ) -> list[FreezeAsked]:
        """One execution; with notional, fee and the venue's rate for it the fee is checked too (`check_fee`)."""
        found = self.streaks.filled(symbol, side, now)
        if notional is not None and fee is not None and rate_bps is not None:
            tolerance = self.config.fee_tolerance_bps
            found += check_fee(
                symbol,
                notional=notional,
                fee=fee,
                rate_bps=rate_bps,
                tolerance_bps=tolerance,
                now=now,
                rounded_by=rounded_by,
            )
        return self._counted(found)

    # ---- from the books

    def equity(self, units: int | None, now: int) -> list[FreezeAsked]:
        """Equity, realised and marked, in 10^-12; None where it is not known."""
        return self._counted(self.losses.seen(units, now))

    def edge(self, symbol: str, net_bps: float | None, now: int) -> list[FreezeAsked]:
        """Net edge of an instrument."""
        return self._counted(self.edges.seen(symbol, net_bps, now))

    def markout(self, symbol: str, markout_bps: float, now: int) -> list[FreezeAsked]:
        """Markout of one fill."""
        return self._counted(self.markouts.seen(symbol, markout_bps, now))

    def holds(self, symbol: str, position: float) -> None:
        """A position as it is after a fill."""
        self.stops.holds(symbol, position)

    def stop(self, symbol: str, position: float, entry: float, price: float, now: int) -> list[FreezeAsked]:
        """Price of something held."""
        return self._counted(self.stops.seen(symbol, position, entry, price, now))

    def legs(self, unhedged: float, least: float, now: int) -> list[FreezeAsked]:
        """What legs of one coin do not take from one another, and how fine a hedge can be, in the quote currency."""
        return self._counted(self.unhedged.seen(unhedged, now, least=least))

    def peg(self, pair: str, price: float | None, now: int) -> list[FreezeAsked]:
        """A stable coin in another one; None: it should be known and is not."""
        return self._counted(check_peg(pair, price, self.config.peg_bps, now))

    def used(self, worst_case: float) -> bool | None:
        """Notional of the worst case: returns whether the ratio warns where that turned; None where it did not."""
        before = self.ratio.warns
        self.ratio.seen(worst_case, float(self.config.amount("max_total_notional_usd")))
        return None if self.ratio.warns is before else self.ratio.warns

    def margin(self, free: float | None, total: float | None, now: int) -> list[FreezeAsked]:
        """Margin that is free, and all of it, in one currency; None: it should be known and is not."""
        return self._counted(check_margin(free, total, self.config.margin_headroom_pct, self.account, now))

    def lifted(self, scope: Scope) -> list[str]:
        """People lowered a freeze of this scope: what asked for it is measured anew from here on, and nothing else.

        Returns the controls that were armed anew, each with its base at what is seen next.
        """
        rearmed = self.losses.rearm() if scope == self.account else []
        if scope == self.strategy:
            self.streaks.enable()
            rearmed += ["unhedged"] if self.unhedged.rearm() else []
        if scope.kind == "symbol":
            self.markouts.forget(scope.name)
            self.streaks.forget(scope.name)
            if self.stops.rearm(scope.name):
                rearmed.append("stops")
        return rearmed

    def again(self, now: int) -> list[FreezeAsked]:
        """At a start: what is latched still holds."""
        return self._counted(self.streaks.check(now))

    def _counted(self, found: Iterable[FreezeAsked]) -> list[FreezeAsked]:
        found = list(found)
        self.counters.update(one.control for one in found)
        return found

    def metrics(self) -> dict[tuple[str, str], int]:
        """Freezes asked for, by (control, kind)."""
        return {(code, control.kind): self.counters[code] for code, control in CONTROLS.items()}

    # ---- over restarts

    def state(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "version": 2,
            "losses": self.losses.state(),
            "streaks": self.streaks.state(),
            "stops": self.stops.state(),
            "unhedged": self.unhedged.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of this version or the one before. Raises ValueError for any other version or layout."""
        version = state.get("version")
        if version not in (1, 2):
            raise ValueError(f"risk state of version {version}; this mmbot reads 1 and 2")
        try:
            self.losses.restore(state["losses"] if version == 2 else LossWatch.of_before(state["losses"]))
            if version == 2:
                self.stops.restore(state["stops"])
                self.unhedged.restore(state["unhedged"])
            self.streaks.restore(state["streaks"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"risk state cannot be read: {error!r}; it was not written by mmbot") from None
