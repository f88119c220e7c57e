"""Guards of a run: half the size and wider, or out for two seconds; and smaller quotes while launch limits hold."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from trading_desk import Desk

from mmbot.config import RiskConfig
from mmbot.runtime.boldness import Boldness, guards_of

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
WHOLE = Fraction(1)


class Stage:
    """A desk with a book, and guards that look at it once a second."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.desk = Desk(folder)
        asyncio.run(self.desk.open())
        self.desk.book()
        self.now = self.desk.clock()
        self.told: list[dict[str, object]] = []
        core, listed = self.desk.core, [self.desk.listed]
        self.bold = Boldness(guards_of(RiskConfig(**config)), core, listed, [100], told=self.told.append)

    def look(self, share: Fraction = WHOLE, *, pnl: float | None = 0.0) -> str:
        """A second later, and a little."""
        self.now += SECOND + SECOND // 100
        self.desk.clock.at_least(self.now)
        return self.bold.look(self.desk.clock, pnl, share)

    def warm(self) -> None:
        """Until the volatility is known."""
        while self.look():
            continue

    def hold(self, lots: int) -> None:
        """Have so many lots."""
        now = self.desk.clock()
        self.desk.core.moved(now, 0, f"{now}", "adopted", "buy", 1_000, lots, 0, now)

    def tempers(self) -> list[tuple[int, int, int]]:
        """What the core was told: size and distance in millionths, least lots."""
        told = [fields for kind, fields in self.desk.entries() if kind == "outside"]
        return [(one["size_ppm"], one["back_ppm"], one["least"]) for one in told]


def test_quotes_begin_once_the_volatility_is_known(tmp_path: Path) -> None:
    """Three prices: out for two seconds, then in, and that is told once each."""
    stage = Stage(tmp_path)
    assert [bool(stage.look()) for _ in range(4)] == [True, True, False, False]
    assert [one["level"] for one in stage.told] == ["HARD", "NONE"]
    assert (stage.bold.halts, stage.tempers()) == (1, [])


@pytest.mark.parametrize(
    ("lots", "level", "size"), [(59, 0, None), (60, 1, 500_000), (109, 1, 500_000), (110, 2, None)]
)
def test_inventory_is_of_the_limit_and_no_order_of_ours_halts(
    lots: int, level: int, size: int | None, tmp_path: Path
) -> None:
    """The limit is 100 lots: 60 % of it are soft, and only what is beyond it stops the quotes."""
    stage = Stage(tmp_path)
    stage.warm()
    stage.hold(lots)
    assert bool(stage.look()) == (level == 2)
    assert [temper[0] for temper in stage.tempers()] == ([] if size is None else [size])


def test_a_halt_lasts_two_seconds_and_then_looks_again(tmp_path: Path) -> None:
    """Every trigger is told; once the position is gone the next look lets the quotes back."""
    stage = Stage(tmp_path)
    stage.warm()
    stage.hold(120)
    why = stage.look()
    assert "BTCUSDT HARD inventory: is 120; soft 60, hard 110" in why
    now = stage.desk.clock()
    stage.desk.core.moved(now, 0, "sold", "adopted", "sell", 1_000, 120, 0, now)
    until = stage.bold.until
    assert until - stage.now == pytest.approx(2 * SECOND, abs=1_000_000)
    assert stage.look()
    assert not stage.look()
    assert stage.bold.until == 0


@pytest.mark.parametrize(("ms", "level"), [(299.0, "NONE"), (300.0, "SOFT"), (449.0, "SOFT"), (450.0, "HARD")])
def test_slow_answers_step_back_and_then_out(ms: float, level: str, tmp_path: Path) -> None:
    """The 95th percentile of the round trips of a minute, from five on."""
    stage = Stage(tmp_path)
    stage.warm()
    for _ in range(5):
        stage.bold.answered(int(ms * 1e6), stage.now)
    stage.look()
    assert stage.told[-1]["level"] == level


def test_takers_fills_step_back(tmp_path: Path) -> None:
    """Twelve within a quarter of an hour are soft: half the size, a fifth of a basis point back."""
    stage = Stage(tmp_path)
    stage.warm()
    for _ in range(12):
        stage.bold.taken(stage.now)
    assert not stage.look()
    assert stage.tempers() == [(500_000, 20, 60)]


def test_a_result_that_is_not_known_is_not_safe(tmp_path: Path) -> None:
    """Without a price for what is held there is no P&L: out."""
    stage = Stage(tmp_path)
    stage.warm()
    assert "HARD pnl: is not known" in stage.look(pnl=None)


def test_launch_limits_shrink_the_quotes_with_them(tmp_path: Path) -> None:
    """A tenth of the limits is a tenth of the sizes, not below what the venue takes; also without guards."""
    stage = Stage(tmp_path, guards=False)
    stage.look(Fraction(1, 10))
    stage.look(Fraction(1, 10))
    stage.look()
    assert stage.tempers() == [(100_000, 0, 60), (1_000_000, 0, 60)]
    stage.desk.core.temper(stage.desk.clock(), 0, size_ppm=100_000, back_ppm=0, least_lots=1)
    stage.desk.book()
    assert [lots for _, _, lots, _ in stage.desk.resting()][-2:] == [1, 1]
