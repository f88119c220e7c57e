"""Executes controls.md."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from spec_tables import Table, tables

from mmbot.risk.averages import EdgeWatch, MarkoutWatch, RiskRatio
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
    watch = loss_watch()
    return lambda row: watch.seen(int(row["equity"]) * UNITS, ns(row))


def equity() -> Play:
    """It is known, and then not, and then again."""
    watch = loss_watch()
    return lambda row: watch.seen(None if row["equity"] == "none" else int(row["equity"]) * UNITS, DAY * 10**9)


def loss_watch() -> LossWatch:
    """One process."""
    limits = LossLimits(minute=100 * UNITS, hour=300 * UNITS, day=500 * UNITS, drawdown=1_500 * UNITS)
    return LossWatch(limits, SCOPE)


def again(watch: Any, made: Callable[[], Any]) -> Any:
    """What the next process begins with: a state that was a file meanwhile."""
    other = made()
    other.restore(json.loads(json.dumps(watch.state())))
    return other


def losses_over_restarts() -> Play:
    """One account."""
    watch = loss_watch()

    def play(row: Row) -> list[FreezeAsked]:
        nonlocal watch
        watch = again(watch, loss_watch) if row["before"] == "restart" else watch
        if row["before"] == "lifted":
            assert watch.rearm()
        return watch.seen(int(row["equity"]) * UNITS, ns(row))

    return play


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
            case "canceled":
                watch.heard()
                return []
            case side:
                return watch.filled("linear BTCUSDT", "buy" if side == "buy" else "sell", ns(row))

    return play


def stops(trailing_pct: float | None) -> Play:
    """With a stop loss of 2 %."""

    def made() -> StopWatch:
        return StopWatch(2.0, trailing_pct)

    watch = made()

    def play(row: Row) -> list[FreezeAsked]:
        nonlocal watch
        watch = again(watch, made) if row["before"] == "restart" else watch
        if row["before"] == "lifted":
            assert watch.rearm("BTC")
        return watch.seen("BTC", float(row["position"]), float(row["entry"]), float(row["price"]), 1)

    return play


def fee(row: Row) -> list[FreezeAsked]:
    """A maker's."""
    return check_fee("BTC", notional=Decimal(10_000), fee=Decimal(row["fee"]), rate_bps=-0.5, tolerance_bps=0.1, now=1)


def markouts() -> Play:
    """Two fills."""
    watch = MarkoutWatch(-5.0, 2)
    return lambda row: watch.seen("BTC", float(row["bps"]), 1)


def unhedged() -> Play:
    """Two legs."""

    def made() -> UnhedgedWatch:
        return UnhedgedWatch(100.0, SCOPE)

    watch = made()

    def play(row: Row) -> list[FreezeAsked]:
        nonlocal watch
        watch = again(watch, made) if row["before"] == "restart" else watch
        if row["before"] == "lifted":
            assert watch.rearm()
        return watch.seen(float(row["unhedged"]), ns(row), least=1.0)

    return play


PLAYS: dict[str, Callable[[], Play]] = {
    "Losses": losses,
    "Equity": equity,
    "The edge": lambda: lambda row: EdgeWatch(1.5).seen("BTC", number(row["bps"]), 1),
    "Margin": lambda: lambda row: check_margin(number(row["free"]), 100.0, 20.0, SCOPE, 1),
    "A stable": lambda: lambda row: check_peg("USDE", number(row["price"]), 100.0, 1),
    "A fee": lambda: fee,
    "Streaks": streaks,
    "A restart": losses_over_restarts,
    "Stops": lambda: stops(1.5),
    "A stop loss": lambda: stops(None),
    "The mean": markouts,
    "Legs": unhedged,
}


RATIO = next(table for table in TABLES if table.title.startswith("The risk ratio"))


def test_the_risk_ratio_is_a_nearest_rank_that_warns_above_its_line() -> None:
    """After each row."""
    ratio = RiskRatio(0.4)
    for row in RATIO.rows:
        for _ in range(int(row["times"])):
            ratio.seen(float(row["used"]), 100.0)
        assert ratio.p95 == float(row["p95"]), row
        assert ratio.warns is (row["warns"] == "yes"), row


@pytest.mark.parametrize("table", [table for table in TABLES if table is not RATIO], ids=lambda table: table.title)
def test_a_control_speaks_as_the_table_says(table: Table) -> None:
    """Row by row: every code that asks for a freeze, with numbers in its reason."""
    play = next(made for name, made in PLAYS.items() if table.title.startswith(name))()
    for row in table.rows:
        found = play(row)
        where = f"controls.md:{table.line} {row}"
        assert [one.control for one in found] == row["asks"].split(), where
        assert all(one.reason for one in found), where
