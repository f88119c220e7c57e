"""Margin and entry prices: what the core is told of them, and that nothing grows while they are not known."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_risk_desk import Stage
from trading_desk import Desk

from mmbot.config import RiskConfig
from mmbot.ops.controls import risk_desk
from mmbot.runtime.measures import Measures
from mmbot.runtime.risk import RiskDesk, RiskEnds
from mmbot.runtime.runner import RunFailedError
from mmbot.venues.port import PositionSeen, WalletSeen
from mmbot.venues.records import BookUpdate

MS = 1_000_000


class Core:
    """What is told, instead of a core; and a position."""

    def __init__(self, lots: int = 0) -> None:
        self.lots = lots
        self.told: list[tuple[str, int | None]] = []

    def books(self, _seat: int, _instrument: int) -> dict[str, int]:
        """The position."""
        return {"position_lots": self.lots}

    def measured(self, _now: int, what: str, at: int | None, _instrument: int | None) -> None:
        """Keep what is told."""
        self.told.append((what, at))


class Spot:
    """An instrument of spot."""

    category, symbol = "spot", "BTCUSDT"


class Linear:
    """A derivative."""

    category, symbol = "linear", "BTCUSDT"


def measures(listed: Any = Linear, **risk: Any) -> Measures:
    """Of one instrument."""
    return Measures(RiskConfig(**risk), [listed])


def wallet(margin: str | None, used: str | None = "1") -> WalletSeen:
    """The venue's word on the account."""
    return WalletSeen(coin="USDT", balance="9", equity="9", ts_venue=1, margin=margin, margin_used=used)


def position(entry: str, qty: str = "1", category: str = "linear") -> PositionSeen:
    """The venue's word on a position."""
    return PositionSeen(category=category, symbol="BTCUSDT", qty=qty, entry_price=entry, ts_venue=1)


def told(one: Measures, core: Core, now: int) -> list[tuple[str, int | None]]:
    """What the core hears at a time."""
    core.told.clear()
    one.tell(core, lambda: now)  # type: ignore[arg-type]  as much of a core as is asked
    return list(core.told)


@pytest.mark.parametrize(
    ("margin", "used"), [(None, None), ("nan", "1"), ("inf", "1"), ("9", "nan"), ("0", "0"), ("-9", "0"), ("x", "1")]
)
def test_a_margin_that_is_none_is_not_known(margin: str | None, used: str | None) -> None:
    """Missing, NaN, infinite, zero or negative: the core is told that it is not known, or has never been told."""
    one, core = measures(), Core()
    one.wallet(wallet(margin, used), 5)
    assert told(one, core, 9) == []
    one.wallet(wallet("9"), 10)
    assert told(one, core, 10) == [("margin", 10)]
    one.wallet(wallet(margin, used), 11)
    assert told(one, core, 11) == ([] if margin is None else [("margin", None)])


def test_what_goes_on_being_known_is_told_again_now_and_then() -> None:
    """After a quarter of the age that it may have, not with every word."""
    one, core = measures(account_age_ms=4_000), Core()
    one.wallet(wallet("9"), 0)
    assert told(one, core, 0) == [("margin", 0)]
    one.wallet(wallet("9"), 999 * MS)
    assert told(one, core, 999 * MS) == []
    one.wallet(wallet("9"), 1_000 * MS)
    assert told(one, core, 1_000 * MS) == [("margin", 1_000 * MS)]


def test_spot_and_a_control_that_is_off_need_no_margin() -> None:
    """Nobody is told, and nobody asked."""
    for one in (measures(Spot), measures(margin_headroom_pct=0.0)):
        one.wallet(wallet("9"), 1)
        assert told(one, Core(), 1) == []
        assert one.margin is None


@pytest.mark.parametrize("entry", ["nan", "0", "-5", "inf", "", "x"])
def test_an_entry_price_that_is_none_is_not_known(entry: str) -> None:
    """One that is over has none either, and without stops nobody is told."""
    one, core = measures(stop_loss_pct=2.0), Core(lots=1)
    one.position(position("100"), 1)
    assert ("entry", 1) in told(one, core, 1)
    assert one.entry(0, 1) == 100
    one.position(position(entry), 2)
    assert told(one, core, 2) == [("entry", None)]
    assert one.entry(0, 1) == 0
    one.position(position("101"), 3)
    assert told(one, core, 3) == [("entry", 3)]
    one.position(position("0", qty="0"), 4)
    assert told(one, core, 4) == [("entry", None)]
    one.position(position("102"), 5)
    one.flat(0)
    assert one.entry(0, 1) == 0
    plain = measures()
    plain.position(position("100"), 1)
    assert told(plain, core, 1) == []


def test_spot_is_entered_at_the_average_of_our_own_fills() -> None:
    """The venue tells no entry price there; what an earlier run bought has none."""
    one, core = measures(Spot, trailing_stop_pct=1.0), Core()
    one.position(position("50", category="spot"), 1)
    one.filled(0, 1, 10, 100.0, 2)
    one.filled(0, 1, 30, 104.0, 3)
    core.lots = 40
    assert told(one, core, 4) == [("entry", 4)]
    assert one.entry(0, 40) == pytest.approx(103.0)
    one.filled(0, -1, 20, 200.0, 5)
    assert one.entry(0, 20) == pytest.approx(103.0), "what is sold does not change what the rest cost"
    one.filled(0, -1, 30, 90.0, 6)
    assert one.entry(0, -10) == 90.0
    core.lots = 7
    assert told(one, core, 7) == [("entry", None)]
    assert one.entry(0, 7) == 0, "these came from elsewhere"


def book(bid: str, ask: str) -> BookUpdate:
    """A book of one level."""
    return BookUpdate(
        symbol="BTCUSDT", kind="snapshot", ts_venue=1, previous_id=0, last_id=1, bids=[(bid, "1")], asks=[(ask, "1")]
    )


def test_a_size_in_the_wrong_unit_is_told_once_at_the_first_price(tmp_path: Path) -> None:
    """The mid is 100.1 and a lot 0.001: at most ten times 100 dollars are 9,990 lots."""
    said: list[str] = []
    for lots, expected in ((9_990, 0), (9_991, 1)):
        (tmp_path / str(lots)).mkdir()
        stage = Stage(tmp_path / str(lots))
        amounts = {"max_inventory_usd": "100", "max_order_notional_usd": "100"}
        stage.risk.watch.config = RiskConfig(**amounts)
        ends = RiskEnds(implausible=said.append)
        desk = RiskDesk(stage.risk.watch, stage.desk.core, [stage.desk.listed], ends, positions_max=[lots])
        for bid in ("nan", "inf", "-100.2", "100.0", "100.0"):
            desk.market("linear", book(bid, "100.2"), 1)
        assert len(said) == expected
    assert "limits.position of linear BTCUSDT is worth 1000 at 100.1" in said[0]


def test_a_run_whose_size_is_in_the_wrong_unit_ends_before_it_orders(tmp_path: Path) -> None:
    """By the first book, before the strategy is asked."""
    desk = Desk(tmp_path)
    asyncio.run(desk.open())
    risk_desk(RiskConfig(guards=False), desk.runner, [10**9], strategy="quoter", account="7", folder=None)
    desk.book()
    assert isinstance(desk.runner.failure, RunFailedError)
    assert "expected at most 10 times risk.max_inventory_usd" in str(desk.runner.failure)
    assert desk.resting() == []
