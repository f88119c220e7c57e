"""The way out of a position, as a run works it off: within the limits that hold now."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from mmbot.execution.flatten import FlattenTerms
from mmbot.runtime.flattening import Flattening


class Clock:
    """Stands."""

    def peek(self) -> int:
        """Some day."""
        return 10**18

    __call__ = peek


class Core:
    """Holds 30 lots, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def books(self, seat: int, index: int) -> dict[str, int]:
        """A touch, and what is held."""
        return {"position_lots": 30, "bid": 1_000, "ask": 1_002}

    def touch_lots(self, index: int) -> tuple[int, int]:
        """Plenty."""
        return 5_000, 5_000

    def orders(self, index: int) -> list[Any]:
        """Nothing rests."""
        return []

    def way_out(self, now: int, index: int, side: str, lots: int, limit: int) -> list[Any]:
        """Remember it."""
        self.asked.append((side, lots))
        return []


def _flattened() -> list[tuple[Any, ...]]:
    core = Core()
    runner = SimpleNamespace(
        core=core,
        clock=Clock(),
        listed=[
            SimpleNamespace(category="linear", symbol="X", name="linear X", instrument=SimpleNamespace(quantity=str))
        ],
        send=lambda commands: None,
        told=lambda event: None,
    )
    Flattening(runner, [FlattenTerms(order_max=40)]).step(0)  # type: ignore[arg-type]
    return core.asked


def test_a_position_leaves_in_one_order_where_the_limits_allow_it():
    """Thirty lots, forty at most: one order."""
    assert _flattened() == [("sell", 30)]
