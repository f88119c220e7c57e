"""What a strategy is told of its place in line, and what must not depend on who else is in the run."""

import gc

import polars as pl
import pytest

import mmbot
from mmbot.config import BacktestConfig
from mmbot.strategies import MarketMaker, MarketMakerConfig
from mmbot.strategy import Intent, Strategy, View, Wake, ladder, quotes

TAPE = "sample:btcusdt"
LIMITS = {"position": "0.2", "order": "0.05"}


def config(**more: object) -> BacktestConfig:
    """A run on the bundled BTCUSDT market."""
    return BacktestConfig.model_validate({"instruments": [{"tape": TAPE, "limits": LIMITS}], **more})


def maker(amount: str = "0.02") -> MarketMaker:
    """A maker that decides by its place in line."""
    told = {"order_amount": amount, "position_limit": "0.1", "bid_depth_bps": 0.2, "ask_depth_bps": 0.2}
    return MarketMaker(MarketMakerConfig.model_validate(told))


@pytest.fixture(scope="module")
def alone() -> mmbot.Result:
    """The maker's run by itself, sampled every half second."""
    return mmbot.backtest(config(sample_ms=500), strategy=maker())


@pytest.mark.parametrize("sample_ms", [7, 50, 5_000])
def test_looking_more_often_changes_nothing(alone: mmbot.Result, sample_ms: float):
    """How often a run is sampled for the report has no say in what its strategy is told."""
    sampled = mmbot.backtest(config(sample_ms=sample_ms), strategy=maker())
    assert sampled.run.commands_hash == alone.run.commands_hash
    assert sampled.fills.equals(alone.fills)


def test_company_changes_nothing(alone: mmbot.Result):
    """A maker that reads its place in line trades in company as it does alone, and is woken as often."""
    mine = mmbot.backtest_many(config(sample_ms=500), [maker("0.01"), maker(), maker("0.05")])[1]
    assert (mine.run.commands_hash, mine.run.state_hash) == (alone.run.commands_hash, alone.run.state_hash)
    assert mine.run.wakes == alone.run.wakes
    assert mine.orders.equals(alone.orders)


class Both(Strategy):
    """Joins the touch of two instruments at every wake."""

    wake = Wake(every_ms=250)

    def decide(self, view: View) -> list[Intent] | None:
        """Quote what has a market."""
        windows = [(index, view[index]) for index in range(len(view))]
        return [quotes(at.bid, at.ask, 1, index) for index, at in windows if at.spread]


def test_a_slow_venue_does_not_delay_a_fast_one():
    """Each instrument's messages keep their own order and their own latency."""
    far, near = {"constant_ms": 300}, {"constant_ms": 1}
    instruments = [
        {"tape": TAPE, "limits": LIMITS, "venue": {"entry": far, "response": far}},
        {"tape": "sample:ethusdt", "limits": LIMITS, "venue": {"entry": near, "response": near}},
    ]
    result = mmbot.backtest(BacktestConfig.model_validate({"instruments": instruments}), strategy=Both())
    taken = result.orders.drop_nulls("ts_accepted")
    delay = taken.group_by("instrument").agg((pl.col("ts_accepted") - pl.col("ts_decided")).unique())
    assert dict(delay.iter_rows()) == {"BTCUSDT": [300_000_000], "ETHUSDT": [1_000_000]}


class Shrinking(Strategy):
    """Rests one bid far down, halves it, and notes the place it is told."""

    wake = Wake(every_ms=100)

    def __init__(self) -> None:
        self.price: int | None = None
        self.places: list[tuple[int, float]] = []

    def decide(self, view: View) -> Intent | None:
        """Bid twenty lots, then ten at the same price."""
        if view.bid is None:
            return None
        self.price = self.price or view.bid - 5
        self.places += [(order.leaves, order.ahead) for order in view.orders() if order.state == "live"]
        return ladder([(self.price, 20 if len(self.places) < 3 else 10)], [])


def test_a_smaller_order_keeps_its_place():
    """An amend that the venue lets keep its place is not put at the back of the queue by what the strategy is told."""
    told = {"tape": TAPE, "limits": LIMITS, "orders": {"amend": True}, "venue": {"queue": "risk_averse"}}
    strategy = Shrinking()
    result = mmbot.backtest(BacktestConfig.model_validate({"instruments": [told]}), strategy=strategy)
    halved = next(index for index, (leaves, _) in enumerate(strategy.places) if leaves == 10)
    assert result.orders["amends"].max() == 1
    assert strategy.places[halved][1] <= strategy.places[halved - 1][1]


class Taker(Strategy):
    """Buys one lot at once, every second."""

    wake = Wake(every_ms=1_000)

    def decide(self, view: View) -> Intent | None:
        """Cross the spread."""
        return ladder([], []).and_order("buy", 1, view.ask) if view.ask else None


def test_only_sent_cancels_are_counted():
    """What the venue itself took out was not cancelled by us; what was cancelled too late was."""
    taken = mmbot.backtest(config(), strategy=Taker())
    assert taken.orders["cancels_sent"].sum() == 0
    slow = {"tape": TAPE, "limits": LIMITS, "venue": {"entry": {"constant_ms": 80}, "response": {"constant_ms": 80}}}
    chased = mmbot.backtest(BacktestConfig.model_validate({"instruments": [slow]}), strategy=maker())
    late = chased.orders.filter(pl.col("state") == "filled", pl.col("cancels_sent") > 0)
    assert late.height > 0


def test_a_finished_run_lets_its_tape_go():
    """Nothing of a run but its result outlives it, so many runs in one process need the memory of one."""
    gc.collect()
    gc.disable()
    try:
        mmbot.backtest(config(), strategy=maker())
        left = [it for it in gc.get_objects() if isinstance(it, View)]
    finally:
        gc.enable()
    assert not left
