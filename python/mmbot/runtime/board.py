"""Puts together what a person wants to see of a run, when asked. It reads the engine and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.runtime.status import InstrumentShown, OrderShown, Status
from mmbot.runtime.worth import value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot import _core
    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.runner import Runner
    from mmbot.runtime.status import RunState

__all__ = ["Board"]

LEVELS = 8
CASH_UNIT = 1e-12


class Board:
    """What one run shows. `position_max`: its hard limit for each instrument, as text."""

    def __init__(
        self, runner: Runner, *, mode: str, environment: str, strategy: str, position_max: Sequence[str], started: int
    ) -> None:
        self._runner = runner
        self._mode, self._environment, self._strategy = mode, environment, strategy
        self._position_max = position_max
        self._started = started
        self.metrics: Callable[[], Mapping[str, float]] = dict
        """Every number of the run, by the names that dashboards use."""

    def status(self) -> Status:
        """Put the run's state together, as of now."""
        runner, now = self._runner, self._runner.clock.peek()
        return Status(
            ts=now,
            mode=self._mode,
            environment=self._environment,
            state=self._state(),
            why=list(runner.pauses.values()),
            strategy=self._strategy,
            uptime_s=(now - self._started) / 1e9,
            instruments=[self._instrument(index, each) for index, each in enumerate(runner.listed)],
            fills=list(runner.fills),
            links=dict(runner.links),
            latencies=runner.latencies.all(),
            denials=dict(runner.core.denials(0)),
            counters=dict(runner.counters),
            metrics=dict(self.metrics()),
        )

    def _state(self) -> RunState:
        if self._runner.stopping:
            return "stopped" if self._runner.left else "stopping"
        if "start" in self._runner.pauses:
            return "starting"
        return "paused" if self._runner.pauses else "quoting"

    def _instrument(self, index: int, listed: Listed) -> InstrumentShown:
        core, instrument = self._runner.core, listed.instrument
        bids, asks = core.depth(index, LEVELS)
        books = core.books(0, index)
        bid, ask = books["bid"], books["ask"]
        mid = None if bid is None or ask is None else (bid + ask) / 2 * instrument.tick_size
        cash, fees = books["cash_units"] * CASH_UNIT, books["fee_units"] * CASH_UNIT
        position = books["position_lots"]
        captured = self._runner.captured[index]
        pnl = None if mid is None else cash + value(instrument, position, mid)
        return InstrumentShown(
            symbol=listed.symbol,
            category=listed.category,
            currency=listed.terms.settle or listed.terms.quote,
            bids=[(instrument.price(tick), instrument.quantity(lots)) for tick, lots in bids],
            asks=[(instrument.price(tick), instrument.quantity(lots)) for tick, lots in asks],
            orders=[self._order(instrument, order) for order in core.orders(index)],
            position=_signed(instrument, position),
            position_max=self._position_max[index],
            mid=mid,
            pnl=pnl,
            captured=captured,
            fees=fees,
            moved=None if pnl is None else pnl - captured + fees,
            maker_fills=books["maker_fills"],
            taker_fills=books["taker_fills"],
            turnover=books["turnover_units"] * CASH_UNIT,
        )

    @staticmethod
    def _order(instrument: _core.Instrument, order: tuple[int, str, int, int, str, float]) -> OrderShown:
        _, side, tick, leaves, state, ahead = order
        return OrderShown(
            side=side,
            price=instrument.price(tick),
            leaves=instrument.quantity(leaves),
            state=state,
            ahead=ahead * instrument.lot_size if ahead == ahead else None,  # noqa: PLR0124  NaN: it does not rest
        )


def _signed(instrument: _core.Instrument, lots: int) -> str:
    return ("-" if lots < 0 else "") + instrument.quantity(abs(lots))
