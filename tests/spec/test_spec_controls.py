"""Executes controls.md."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from spec_tables import Table, tables

from mmbot.risk.averages import EdgeWatch, MarkoutWatch
from mmbot.risk.exits import StopWatch, UnhedgedWatch
from mmbot.risk.levels import FreezeAsked, Scope
from mmbot.risk.losses import LossLimits, LossWatch
from mmbot.risk.streaks import StreakLimits, StreakWatch
from mmbot.risk.surroundings import check_fee, check_margin, check_peg

TABLES = list(tables(Path(__file__).with_name("controls.md")))
SCOPE = Scope("account", "7")
DAY = 20_000 * 86_400
UNITS = 10**12

Row = dict[str, str]
Play = Callable[[Row], list[FreezeAsked]]


def ns(row: Row) -> int:
    """The row's time."""
    return (DAY + int(row["s"])) * 10**9


def number(said: str) -> Any:
    """Read "1.5", "nan" or "none"."""
    return None if said == "none" else float(said)


def losses() -> Play:
    """Limits of 10,000 capital."""
    limits = LossLimits(minute=100 * UNITS, hour=300 * UNITS, day=500 * UNITS, drawdown=1_500 * UNITS)
    watch = LossWatch(limits, SCOPE)
    return lambda row: watch.seen(int(row["equity"]) * UNITS, ns(row))


def streaks() -> Play:
    """One strategy."""
    watch = StreakWatch(StreakLimits(rejects=3, unknowns=3, executions=6, one_sided=4), SCOPE)

    def play(row: Row) -> list[FreezeAsked]:
        match row["what"]:
            case "refused":
                return watch.rejected(ns(row))
            case "unanswered":
                return watch.unanswered(ns(row))
            case "answered":
                watch.taken()
                return []
            case side:
                return watch.filled("linear BTCUSDT", "buy" if side == "buy" else "sell", ns(row))

    return play


def stops() -> Play:
    """Both stops."""
    watch = StopWatch(2.0, 1.5)
    return lambda row: watch.seen("BTC", float(row["position"]), 100.0, float(row["price"]), 1)


def fee(row: Row) -> list[FreezeAsked]:
    """A maker's."""
    return check_fee("BTC", notional=Decimal(10_000), fee=Decimal(row["fee"]), rate_bps=-0.5, tolerance_bps=0.1, now=1)


def markouts() -> Play:
    """Two fills."""
    watch = MarkoutWatch(-5.0, 2)
    return lambda row: watch.seen("BTC", float(row["bps"]), 1)


def unhedged() -> Play:
    """Two legs."""
    watch = UnhedgedWatch(100.0, SCOPE)
    return lambda row: watch.seen(float(row["unhedged"]), ns(row))


PLAYS: dict[str, Callable[[], Play]] = {
    "Losses": losses,
    "The edge": lambda: lambda row: EdgeWatch(1.5).seen("BTC", number(row["bps"]), 1),
    "Margin": lambda: lambda row: check_margin(number(row["free"]), 100.0, 20.0, SCOPE, 1),
    "A stable": lambda: lambda row: check_peg("USDE", number(row["price"]), 100.0, 1),
    "A fee": lambda: fee,
    "Streaks": streaks,
    "Stops": stops,
    "The mean": markouts,
    "One leg": unhedged,
}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.title)
def test_a_control_speaks_as_the_table_says(table: Table) -> None:
    """Row by row: every code that asks for a freeze, with numbers in its reason."""
    play = next(made for name, made in PLAYS.items() if table.title.startswith(name))()
    for row in table.rows:
        found = play(row)
        where = f"controls.md:{table.line} {row}"
        assert [one.control for one in found] == row["asks"].split(), where
        assert all(one.reason for one in found), where
