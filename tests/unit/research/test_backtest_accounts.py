"""The money of a backtest, added up a second time in decimals: cash, fees, funding and the split of the P&L."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import painted_tape
import polars as pl
import pytest
from painted_tape import FUNDING, MIDNIGHT, MakeAndTake, paint, settings, terms

import mmbot
from mmbot.config import BacktestConfig, ConfigError
from mmbot.data import funding as funding_frames
from mmbot.data import open_tape
from mmbot.ledger import Attribution
from mmbot.research.outcome import BooksError, check_agreement

UNIT = Decimal("1e-12")
CASES = [
    ("linear", "rebate"),
    ("spot", "rebate"),
    ("inverse", "rebate"),
    ("linear", "tiers"),
    ("inverse", "inverse tiers"),
]


def run(path, kind, fees="rebate", **venue):
    """One backtest of the strategy that makes and takes."""
    return mmbot.backtest(BacktestConfig.model_validate(settings(path, kind, fees, **venue)), strategy=MakeAndTake())


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def case(request, tmp_path_factory):
    """Contract, fee terms, tape and result of one run."""
    kind, fees = request.param
    path = paint(tmp_path_factory.mktemp("tapes") / f"{kind}.tape", kind)
    return kind, fees, path, run(path, kind, fees)


def rounded(value):
    """To the unit of cash, ties to even."""
    return value.quantize(UNIT, rounding=ROUND_HALF_EVEN)


class Fold:
    """The accounts of one instrument, by the venue's terms and nothing of ours."""

    def __init__(self, kind, fees):
        instrument = terms(kind)
        self.kind = kind
        self.tick, self.size = Decimal(instrument.tick), Decimal(instrument.lot) * Decimal(instrument.contract)
        flat = [["0", fees.get("maker_bps", 0), fees.get("taker_bps", 0)]]
        self.tiers = [(Decimal(a), Decimal(str(b)), Decimal(str(c))) for a, b, c in fees.get("tiers", flat)]
        self.before = Decimal(fees.get("volume_before", "0"))
        self.volume = {}
        self.cash = self.fees = Decimal(0)
        self.lots = 0

    def notional(self, ticks, lots):
        """Value of a quantity at a price, in the settlement currency."""
        price, size = ticks * self.tick, lots * self.size
        return rounded(size / price if self.kind == "inverse" else size * price)

    def fill(self, row):
        """Book one execution; the tier is the one reached when the day began."""
        notional, day = self.notional(row["price_ticks"], row["qty_lots"]), row["ts_venue"] // 86_400_000_000_000
        reached = self.before + sum(amount for earlier, amount in self.volume.items() if earlier < day)
        _, maker, taker = [tier for tier in self.tiers if tier[0] <= reached][-1]
        fee = rounded(notional * (maker if row["maker"] else taker) / 10_000)
        self.volume[day] = self.volume.get(day, Decimal(0)) + notional
        out = -1 if self.kind == "inverse" else 1  # a bought inverse contract brings the coin in
        self.cash -= row["side"] * out * notional + fee
        self.fees += fee
        self.lots += row["side"] * row["qty_lots"]
        return fee

    def settle(self, rate, mark):
        """Longs pay a positive rate."""
        sign = (self.lots > 0) - (self.lots < 0)
        self.cash -= rounded(self.notional(mark, abs(self.lots)) * rate * sign / 10**8)


def units(amount):
    """A decimal as the float that stands in a frame: its exact whole units, divided once."""
    return int(amount / UNIT) / 10**12


def test_cash_fees_and_position_are_exact_to_the_last_unit(case):
    """Every fee, and the last cash and position, equal a fold of the fills and the funding in decimals."""
    kind, fees, path, result = case
    fold, due = Fold(kind, painted_tape.FEES[fees]), pl.concat(funding_frames(open_tape(path))).rows(named=True)
    assert [(row["ts_venue"], row["rate"]) for row in due] == list(FUNDING)
    with localcontext() as context:
        context.prec = 60
        for row in result.fills.sort("execution").rows(named=True):
            while due and due[0]["ts_venue"] < row["ts_venue"]:
                fold.settle(due[0]["rate"], due.pop(0)["mark"])
            assert units(fold.fill(row)) == row["fee"]
        for row in due:
            fold.settle(row["rate"], row["mark"])
    last = result.equity.row(-1, named=True)
    assert (units(fold.cash), units(fold.fees)) == (last["cash"], last["fees"])
    assert fold.lots * float(fold.size) == pytest.approx(last["position"])


def test_the_runs_hold_what_makes_accounting_hard(case):
    """Fills on both sides of midnight, made and taken, with both signs of fee somewhere, and funding that moved."""
    kind, fees, _, result = case
    fills = result.fills
    assert fills.height > 100
    assert set(fills["maker"]) == {True, False}
    assert (fills["ts_venue"] < MIDNIGHT).any()
    assert (fills["ts_venue"] > MIDNIGHT).any()
    assert result.attribution["total"].funding != 0.0
    if fees == "rebate":
        assert (fills.filter("maker")["fee"] < 0).all()
    else:  # the tier moved at midnight
        rate = fills["fee"] / fills["qty"] * (fills["price"] if kind == "inverse" else 1 / fills["price"])
        made = fills.with_columns(rate=(rate * 1e4).round(4)).filter("maker")
        assert made.filter(pl.col("ts_venue") < MIDNIGHT)["rate"].unique().to_list() == [1.0]
        assert made.filter(pl.col("ts_venue") > MIDNIGHT)["rate"].unique().to_list() == [
            -0.1 if kind == "inverse" else 0.2
        ]


def test_the_split_of_the_profit_is_the_profit(case):
    """The attribution's realised P&L is the last equity, its terms add up to it, and so do the summary's."""
    _, _, _, result = case
    split, equity = result.attribution["total"], result.equity["equity"].item(-1)
    assert abs(split.realised_pnl - equity) <= 1e-8 * split.turnover
    assert abs(split.residual) <= 1e-8 * split.turnover
    summary = result.summary()
    assert summary.total.pnl.pnl == pytest.approx(equity, abs=1e-8 * split.turnover)
    assert summary.total.performance.pnl.value == pytest.approx(equity - result.equity["equity"].item(0))


def test_value_and_basis_points_are_in_the_settlement_currency(case):
    """Traded value is quantity over price for an inverse contract, quantity times price else; bps divide by it."""
    kind, _, _, result = case
    fills, summary = result.fills, result.summary()
    worth = fills["qty"] / fills["price"] if kind == "inverse" else fills["qty"] * fills["price"]
    assert summary.total.fills.value == pytest.approx(worth.sum())
    assert summary.total.pnl.turnover == pytest.approx(worth.sum(), rel=1e-3)  # at the mid instead of the price
    move = fills["side"] * (fills["mid_1s"] - fills["mid"]) / fills["mid"]
    made = fills.with_columns(move=move, worth=worth).filter(pl.col("maker") & pl.col("mid_1s").is_not_null())
    expected = 1e4 * (made["move"] * made["worth"]).sum() / made["worth"].sum()
    assert summary.total.markouts_maker[1].move_bps.value == pytest.approx(expected, abs=0.05)


def test_the_currency_is_named_everywhere(case):
    """The coin of an inverse contract, the quote of the others; quantities count the other one."""
    kind, _, _, result = case
    currency, unit = {"linear": ("USDT", "BTC"), "spot": ("USDC", "BTC"), "inverse": ("BTC", "USD")}[kind]
    assert result.currency == currency
    [breakdown] = result.summary().instruments.values()
    assert breakdown.inventory.unit == unit
    text = str(result)
    assert f" {currency}" in text
    assert f" {unit} " in text
    curves = result.frames.in_worth(result.run.inverse).equity_curve()
    assert float(curves[1][-1]) == result.equity["equity"].item(-1)


def test_a_disagreement_of_the_two_accounts_is_our_mistake(case):
    """An equity that differs by more than 1e-8 of turnover raises, and the message says whose mistake it is."""
    result = case[-1]
    split, equity = result.attribution["total"], result.equity["equity"].item(-1)
    check_agreement("BTC", split, equity)
    for wrong in (equity + 2e-8 * split.turnover, float("nan")):
        with pytest.raises(BooksError, match="mistake of mmbot"):
            check_agreement("BTC", split, wrong)
    with pytest.raises(BooksError):
        check_agreement("BTC", Attribution(), 1e-9)


def test_instruments_that_do_not_add_up_are_refused_before_the_run(tmp_path):
    """Two currencies in one run, and one instrument twice, are told apart or refused with a way out."""
    linear, inverse = paint(tmp_path / "a.tape", seconds=1), paint(tmp_path / "b.tape", "inverse", seconds=1)
    mixed = settings(linear)
    mixed["instruments"] += settings(inverse, "inverse")["instruments"]
    with pytest.raises(ConfigError, match="BTCUSDT in USDT, BTCUSD_PERP in BTC"):
        mmbot.backtest(BacktestConfig.model_validate(mixed), strategy=MakeAndTake())
    again = settings(linear)
    again["instruments"] += settings(paint(tmp_path / "c.tape", seconds=1))["instruments"]
    with pytest.raises(ConfigError, match="BTCUSDT@test is given by two tapes"):
        mmbot.backtest(BacktestConfig.model_validate(again), strategy=MakeAndTake())


def test_one_symbol_at_two_venues_gets_two_names(tmp_path):
    """Recordings of BTCUSDT at two venues can stand in one run."""
    pair = settings(paint(tmp_path / "a.tape", seconds=5))
    pair["instruments"] += settings(paint(tmp_path / "b.tape", seconds=5, venue="other"))["instruments"]
    result = mmbot.backtest(BacktestConfig.model_validate(pair), strategy=Idle())
    assert set(result.attribution) == {"BTCUSDT@test", "BTCUSDT@other", "total"}
    assert {one.base for one in result.run.instruments} == {"BTC"}


def test_recordings_of_different_times_are_refused(tmp_path):
    """Instruments whose tapes do not overlap cannot be traded together; the silence between is not replayed."""
    pair = settings(paint(tmp_path / "a.tape", seconds=1))
    later = paint(tmp_path / "b.tape", seconds=1, venue="other", start=painted_tape.START + 10**18)
    pair["instruments"] += settings(later)["instruments"]
    with pytest.raises(ConfigError, match=r"BTCUSDT@other begins at .* same time"):
        mmbot.backtest(BacktestConfig.model_validate(pair), strategy=Idle())


class Idle(MakeAndTake):
    """Watches."""

    def decide(self, view):
        """Want nothing."""
        return
