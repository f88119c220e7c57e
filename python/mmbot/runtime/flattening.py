"""Works a run's positions off once everything else is proven gone: the shell of `mmbot.execution.flatten`.

Each order is an input of the core (`way_out`), judged by its limits and in the journal, so that a replay does it again.
A spot holding is left to a person: a venue knows no reduce-only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.execution.flatten import Held, way_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.execution.flatten import FlattenTerms
    from mmbot.runtime.runner import Runner

__all__ = ["Flattening"]

STUCK_NS = 10_000_000_000
"""After so long without a smaller position that is told."""


class Flattening:
    """The way out of one run. `terms`: for each instrument."""

    def __init__(self, runner: Runner, terms: Sequence[FlattenTerms]) -> None:
        self._runner, self._terms = runner, terms
        self._last = [0] * len(terms)
        self._best: list[tuple[int, int] | None] = [None] * len(terms)
        """Position and when it was reached; None where nothing is being worked off."""

    def step(self, index: int) -> None:
        """Do what is to be done now for one instrument, if anything."""
        runner, each, now = self._runner, self._runner.listed[index], self._runner.clock.peek()
        books = runner.core.books(0, index)
        position, best = books["position_lots"], self._best[index]
        if best is None or abs(position) < abs(best[0]):
            self._best[index] = (position, now)
            self._tell(index, "working the position off" if position else "the position is zero")
        elif position and now - best[1] >= STUCK_NS:
            self._best[index] = (position, now)
            self._tell(index, "no progress; a person has to look at the market, or at the denials")
        if each.category == "spot":
            return
        bid_lots, ask_lots = runner.core.touch_lots(index)
        unsettled = bool(runner.core.orders(index))
        held = Held(position, books["bid"], books["ask"], bid_lots, ask_lots, unsettled)
        out = way_out(held, self._terms[index], self._last[index], now)
        if out is not None:
            self._last[index] = now
            runner.send(runner.core.way_out(runner.clock(), index, *out))

    def over(self) -> None:
        """People lowered the level: what comes next begins anew."""
        self._best = [None] * len(self._best)

    def _tell(self, index: int, why: str) -> None:
        each = self._runner.listed[index]
        lots = int(self._runner.core.books(0, index)["position_lots"])
        qty = each.instrument.quantity(abs(lots))
        words = {"symbol": each.name, "position": f"-{qty}" if lots < 0 else qty, "why": why}
        self._runner.told({"event": "flatten", **words})
