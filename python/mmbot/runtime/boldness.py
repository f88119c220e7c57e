"""How boldly a run quotes: the guards of A-022 over every instrument, and launch limits after a freeze was lowered.

    mids, round trips, P&L, taker fills ─▶ RiskGuards ─┬─▶ HARD: all quotes leave, for 2,000 ms, then it looks again
                                                       └─▶ SOFT: core.temper: half the size, prices stepped back

The guards' inventory is percent of the largest position that the run's limits allow: at 60 they step back, and 110 is
more than the limits let it have, so that only a position which something else moved stops the quotes. (The 6 and 10 of
`mmbot.risk.verdict` are of a largest position ten times as large.) At a start they wait for three prices: what is not
known is not safe.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mmbot.risk.guards import RiskGuards
from mmbot.risk.verdict import RiskGuardsConfig
from mmbot.runtime.restrictions import WHOLE_PPM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

    from mmbot import _core
    from mmbot.config import RiskConfig
    from mmbot.risk.verdict import GuardVerdict
    from mmbot.runtime.bridge import Listed

__all__ = ["Boldness", "guards_of"]

_NS_PER_MS = 1_000_000
_PPM_OF_A_BP = 100
_STEP_PPM = 5
"""Quotes step back in steps, so that they do not move with every look."""


def guards_of(risk: RiskConfig) -> RiskGuards | None:
    """Return the guards of a run as configured; None where they are switched off."""
    if not risk.guards:
        return None
    return RiskGuards(
        RiskGuardsConfig(
            volatility_soft_bps=risk.guard_volatility_soft_bps,
            volatility_hard_bps=risk.guard_volatility_hard_bps,
            latency_soft_ms=risk.guard_latency_soft_ms,
            latency_hard_ms=risk.guard_latency_hard_ms,
            inventory_soft_pct=risk.guard_inventory_soft_pct,
            inventory_hard_pct=risk.guard_inventory_hard_pct,
        )
    )


class Boldness:
    """The guards of one run. `positions_max`: the largest position of each instrument, in lots. taken_over: the core
    began with what an earlier run had told it.
    """

    def __init__(
        self,
        guards: RiskGuards | None,
        core: _core.Live,
        listed: Sequence[Listed],
        positions_max: Sequence[int],
        *,
        told: Callable[[dict[str, object]], None],
        taken_over: bool = False,
    ) -> None:
        self.guards = guards
        self._core, self._listed, self._positions_max, self._told = core, listed, positions_max, told
        self._levels = [0] * len(listed)
        self._tempers: list[tuple[int, int] | None] = [None if taken_over else (WHOLE_PPM, 0)] * len(listed)
        self.halts = 0
        """How often HARD took the quotes out."""
        self.until = 0
        """When a halt ends and has to be looked at again; 0 where there is none."""

    def levels(self) -> dict[str, int]:
        """By "category symbol": 0 content, 1 soft, 2 hard."""
        return {each.name: self._levels[at] for at, each in enumerate(self._listed)}

    def answered(self, ns: int, now: int) -> None:
        """Take the round trip of a request."""
        if self.guards is not None:
            self.guards.update_latency(now, ns / _NS_PER_MS)

    def taken(self, now: int) -> None:
        """Take note of a fill that took liquidity."""
        if self.guards is not None:
            self.guards.on_taker_fill(now)

    def look(self, clock: Callable[[], int], pnl: float | None, share: Fraction) -> str:
        """Look, about once a second; returns why all quotes have to leave now, "" where they may stand.

        pnl: so far, in the quote currency; None: not known. share: of the limits. clock: a fresh time for each input.
        """
        now, why = clock(), []
        self.until = 0
        if self.guards is not None:
            self.guards.update_pnl(now, math.nan if pnl is None else pnl)
        for index, each in enumerate(self._listed):
            verdict = None if self.guards is None else self._verdict(self.guards, index, now)
            if verdict is not None and not verdict.quotes:
                why += [f"{each.symbol} {reason}" for reason in verdict.reasons]
                self.until = max(self.until, verdict.halted_until_ns or 0)
                continue
            size, back = (1.0, 0.0) if verdict is None else (verdict.size_factor, verdict.widen_bps)
            self._temper(index, clock, min(round(size * WHOLE_PPM), int(share * WHOLE_PPM)), back)
        return "; ".join(why)

    def _verdict(self, guards: RiskGuards, index: int, now: int) -> GuardVerdict:
        each, books = self._listed[index], self._core.books(0, index)
        symbol = each.name
        if books["bid"] is not None and books["ask"] is not None:
            guards.update_volatility(symbol, (books["bid"] + books["ask"]) / 2 * each.instrument.tick_size, now)
        position = float(books["position_lots"])
        verdict = guards.assess(symbol, now, position=position, position_max=float(self._positions_max[index]))
        self.halts += verdict.cancel_all
        if verdict.level != self._levels[index]:
            self._levels[index] = verdict.level
            words = {"level": verdict.level.name, "symbol": symbol, "why": list(verdict.reasons)}
            self._told({"event": "guards", **words})
        return verdict

    def _temper(self, index: int, clock: Callable[[], int], size_ppm: int, back_bps: float) -> None:
        back_ppm = math.ceil(round(back_bps * _PPM_OF_A_BP / _STEP_PPM, 6)) * _STEP_PPM
        if (size_ppm, back_ppm) == self._tempers[index]:
            return
        self._tempers[index] = (size_ppm, back_ppm)
        least = self._least(index)
        self._core.temper(clock(), index, size_ppm=size_ppm, back_ppm=back_ppm, least_lots=least)

    def _least(self, index: int) -> int:
        """The smallest order that the venue takes, a fifth more than that where it is an amount: prices move."""
        each, bid = self._listed[index], self._core.books(0, index)["bid"]
        least = 1 if each.terms.min_qty is None else max(1, each.instrument.lots(each.terms.min_qty))
        if each.terms.min_notional is not None and bid and each.instrument.kind != "inverse":
            worth = bid * each.instrument.tick_size * each.instrument.lot_size * float(each.instrument.contract)
            least = max(least, math.ceil(1.2 * float(each.terms.min_notional) / worth))
        return least
