"""Executes inputs.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from spec_tables import tables

from mmbot import _core
from mmbot.config import BacktestConfig, RiskConfig
from mmbot.config.load import check
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.limits import GatewayLimits
from mmbot.research.journal import live_engine
from mmbot.risk import RiskWatch
from mmbot.runtime.bridge import Listed
from mmbot.runtime.market import RunMarket
from mmbot.runtime.risk import RiskDesk, RiskEnds
from mmbot.strategy import Strategy, View, Wake, quotes
from mmbot.venues.port import CancelOrder, InstrumentTerms, PlaceOrder, PositionSeen, WalletSeen
from mmbot.venues.records import BookUpdate, Ticker

TABLES = {table.title: table for table in tables(Path(__file__).with_name("inputs.md"))}
STATES = ("absent", "nan", "stale", "negative", "inf")
MS = 1_000_000
BEGAN = 1_790_000_000_000 * MS
AGES_MS = {"book": 250, "venue time": 500, "second price": 30_000, "margin": 180_000, "others' holdings": 5_000}
AGES_MS["entry price"] = AGES_MS["margin"]
BAD = {"nan": "nan", "negative": "-100.0", "inf": "inf"}
TERMS = InstrumentTerms(
    category="linear",
    symbol="BTCUSDT",
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.1",
    lot="0.001",
    min_qty="0.001",
    max_qty="100",
    min_notional=None,
    funding_interval_s=None,
)
HELD = 10


class Asker(Strategy):
    """Wants one order."""

    wake = Wake(every_ms=1)

    def __init__(self) -> None:
        self.wanted: tuple[int | None, int | None] = (None, None)

    def decide(self, view: View) -> Any:
        """Say so."""
        return quotes(*self.wanted, 1)


class Stage:
    """A run's core and controls, with everything known at first but for one input."""

    def __init__(self, folder: Path, *, without: str = "") -> None:
        each = {"symbol": "BTCUSDT", "category": "linear", "limits": {"position": "1", "order": "0.1"}}
        risk = {"stop_loss_pct": 2.0, "elsewhere_age_ms": AGES_MS["others' holdings"], "guards": False}
        config = check(BacktestConfig, {"instruments": [each], "risk": risk}, "spec")
        instrument = _core.Instrument(venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001")
        tape = _core.LiveTape(folder / "tape.live", instrument)
        self.strategy = Asker()
        self.core, self.windows = live_engine(config, self.strategy, [instrument], [tape.tape])
        self.market = RunMarket({("linear", "BTCUSDT"): tape})
        listed = Listed(category="linear", symbol="BTCUSDT", instrument=instrument, terms=TERMS)
        self.asked: set[str] = set()
        ends = RiskEnds(asked=lambda one: self.asked.add(one.control))
        self.desk = RiskDesk(RiskWatch(config.risk), self.core, [listed], ends)
        self.now, self._books = BEGAN, 0
        self.core.moved(self.clock(), 0, "a", "adopted", "buy", 1_000, HELD, 0, self.now)
        for name, feed in FEEDS.items():
            if name != without:
                feed(self, "")
        self.desk.tick(self.clock)

    def clock(self) -> int:
        """A fresh time."""
        self.now += 1
        return self.now

    def pass_by(self, ms: float, without: str) -> None:
        """Let time go by, everything being told anew but one input."""
        self.now += round(ms * MS)
        for name, feed in FEEDS.items():
            if name != without:
                feed(self, "")
        self.desk.tick(self.clock)

    def spoil(self, name: str, state: str) -> None:
        """Give an input that state."""
        if state == "stale":
            self.pass_by(AGES_MS[name] + 1, name)
            return
        FEEDS[name](self, BAD[state])
        self.desk._due = 0
        self.pass_by(1_001, name)

    def becomes_of(self, bid: int | None, ask: int | None) -> str:
        """What becomes of an order."""
        self.strategy.wanted = (bid, ask)
        before = dict(self.core.denials(0))
        self.now += 2 * MS
        commands = self.core.step(self.now, self.strategy.decide, self.windows)
        found = [name for name, count in self.core.denials(0) if count > before[name]]
        assert not (found and commands)
        said = found or (["leaves"] if commands else ["nobody asks"])
        return " ".join([*said, *(f"!{code}" for code in sorted(self.asked))])

    # ---- the inputs

    def book(self, bad: str, *, behind_ms: int = 0) -> None:
        """Own book."""
        self._books += 1
        record = BookUpdate(
            symbol="BTCUSDT",
            kind="snapshot",
            ts_venue=self.now - behind_ms * MS,
            previous_id=self._books - 1,
            last_id=self._books,
            bids=[(bad or "100.0", "5")],
            asks=[("100.2", "5")],
        )
        self.market.take("linear", record, self.clock())

    def mark(self, bad: str) -> None:
        """The second price."""
        told = Ticker(symbol="BTCUSDT", ts_venue=1, mark=bad or "100.1", funding_rate=None, next_funding=None)
        self.desk.market("linear", told, self.now)

    def wallet(self, bad: str) -> None:
        """Margin."""
        told = WalletSeen(coin="USDT", balance="1", equity="1", ts_venue=1, margin=bad or "100", margin_used="1")
        self.desk.hear([told], self.now)

    def position(self, bad: str) -> None:
        """What the position was entered at."""
        told = PositionSeen(category="linear", symbol="BTCUSDT", qty="0.01", entry_price=bad or "100", ts_venue=1)
        self.desk.hear([told], self.now)

    def others(self, bad: str) -> None:
        """What other accounts hold; whole numbers, so what is no number cannot be told."""
        gross = {"": 0, "-100.0": -1}.get(bad)
        self.core.elsewhere(self.clock(), "firm", gross, 0, self.now)


FEEDS: dict[str, Callable[[Stage, str], None]] = {
    "book": Stage.book,
    "second price": Stage.mark,
    "margin": Stage.wallet,
    "entry price": Stage.position,
    "others' holdings": Stage.others,
}


def outcome(folder: Path, name: str, state: str, bid: int | None, ask: int | None) -> str:
    """What becomes of an order while an input is in a state."""
    stage = Stage(folder, without=name if state == "absent" else "")
    if name == "venue time":
        stage.pass_by(1_000, "book")
        stage.book("", behind_ms=AGES_MS[name] + 1)
    elif name != "nothing" and state != "absent":
        stage.spoil(name, state)
    return stage.becomes_of(bid, ask)


ORDERS: dict[str, tuple[int | None, int | None]] = {
    "An order that makes the position larger": (1_000, None),
    "An order that only shrinks it": (None, 1_003),
}
CASES = [
    pytest.param(title, row["input"], state, row[state], id=f"{title}: {row['input']} {state}")
    for title in ORDERS
    if title in TABLES
    for row in TABLES[title].rows
    for state in STATES
    if row[state] != "-"
]


@pytest.mark.parametrize(("title", "name", "state", "expected"), CASES)
def test_an_order_and_one_bad_input(title: str, name: str, state: str, expected: str, tmp_path: Path) -> None:
    """Denied by its code, or let out because it only shrinks what is held."""
    assert outcome(tmp_path, name, state, *ORDERS[title]) == expected


# ---- the gateway


MARKET = ("linear", "BTCUSDT")
WHERE = {"category": "linear", "symbol": "BTCUSDT"}
LIMITS = {
    "environment": "simulator",
    "exposure": "1000",
    "symbol": [{**WHERE, "order_qty": "1", "order_notional": "200", "position": "2", "collar_bps": 100}],
}


def at_the_gateway(name: str, state: str) -> str:
    """The rules that object to an order."""
    core = GatewayCore(check(GatewayLimits, LIMITS, "spec"))
    core.engage(1)
    if (name, state) != ("position", "absent"):
        flat = PositionSeen(**WHERE, qty="0", entry_price="0", ts_venue=1)
        core.looked(MARKET, [], flat, BEGAN, BEGAN)
    if (name, state) != ("reference", "absent"):
        core.refer(MARKET, "touch", "99.9", "100.1", BEGAN)
    word = {"absent": "", "nan": "NaN", "negative": "-1", "inf": "Infinity"}.get(state, "")
    late = 0
    match name, state:
        case "reference", "stale":
            late = 5_000 * MS + 1
        case "reference", "nan" | "negative" | "inf":
            core.refer(MARKET, "touch", word, "100.1", BEGAN)
        case "account", _:
            core.deaf = "private link down"
    terms = {"price": "100", "qty": "1"} | ({"price": word} if name == "price" else {})
    terms |= {"qty": word} if name == "quantity" else {}
    ago = {"stale": 251 * MS, "negative": -6 * MS}.get(state, 0) if name == "decision" else 0
    moment = {"epoch": 1, "decided": BEGAN + late - ago, "now": BEGAN + late, "wall": BEGAN + late}
    assert not core.judge(CancelOrder(client_id="mm-1", **WHERE), **moment)
    order = PlaceOrder(client_id="mm-1", side="buy", post_only=True, **terms, **WHERE)
    return " ".join(one.rule for one in core.judge(order, **moment)) or "leaves"


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        pytest.param(row["input"], state, row[state], id=f"{row['input']} {state}")
        for row in TABLES["At the order gateway"].rows
        for state in STATES
        if row[state] != "-"
    ],
)
def test_the_gateway_and_one_bad_input(name: str, state: str, expected: str) -> None:
    """It denies by itself."""
    assert at_the_gateway(name, state) == expected


# ---- the watches


def what_watches_ask(name: str, given: float | None) -> str:
    """The controls that ask for a freeze."""
    watch = RiskWatch(RiskConfig(markout_fills=1, unhedged_usd_s=0.5, depeg_pair="spot USDCUSDT"))
    price = math.nan if given is None else given
    match name:
        case "equity":
            found = watch.equity(None, 1)
        case "edge":
            found = watch.edge("linear BTCUSDT", given, 1)
        case "markout":
            found = watch.markout("linear BTCUSDT", price, 1)
        case "free margin":
            found = watch.margin(given, 100.0, 1)
        case "whole margin":
            found = watch.margin(50.0, given, 1)
        case "price of a stable coin":
            found = watch.peg("USDCUSDT", given, 1)
        case "fee":
            worth = Decimal(10_000)
            found = watch.filled("linear BTCUSDT", "buy", 1, notional=worth, fee=Decimal(repr(price)), rate_bps=1.0)
        case "unhedged amount":
            watch.unhedged.seen(price, 0)
            found = watch.unhedged.seen(price, 10**9)
        case _:
            raise AssertionError(name)
    return " ".join(sorted({one.control for one in found}))


GIVEN = {"absent": None, "nan": math.nan, "negative": -10.0, "inf": math.inf, "negative inf": -math.inf}


@pytest.mark.parametrize(
    ("name", "state", "expected"),
    [
        pytest.param(row["input"], state, row[state], id=f"{row['input']} {state}")
        for row in TABLES["What watches ask for"].rows
        for state in GIVEN
        if row[state] != "-"
    ],
)
def test_a_watch_and_one_bad_input(name: str, state: str, expected: str) -> None:
    """What is no measurement asks as the worst one would."""
    assert what_watches_ask(name, GIVEN[state]) == expected
