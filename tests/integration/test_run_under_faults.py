"""A whole run over real sockets while the venue misbehaves: nothing lost, nothing left, books equal to the venue's."""

import asyncio
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from paper_exchange import SECRET, Collector, PaperExchange, run_on

from mmbot.exchange.faults import Fault
from mmbot.exchange.generator import MarketKind
from mmbot.exchange.money import text
from mmbot.research.journal import RecordedRun
from mmbot.research.result import Result
from mmbot.runtime.ended import Ended

FILLS = 4
"""Fills before trouble begins, and again after it."""

FAULTS: dict[str, list[Fault]] = {
    "the trade socket dies with an order in flight": [
        Fault(where="trade:order.create", what="disconnect", executed=True, count=2)
    ],
    "it dies before the order arrived": [Fault(where="trade:order.create", what="disconnect", count=2)],
    "the private socket is half-open": [Fault(where="private:order", what="mute")],
    "an update of the book is lost": [Fault(where="public:orderbook.50.*", what="drop", count=3)],
    "executions are told twice": [Fault(where="private:execution", what="duplicate", count=6)],
    "executions are told out of order": [Fault(where="private:execution", what="reorder", count=4)],
    "executions are never told": [Fault(where="private:execution", what="drop", count=3)],
    "orders are told late": [Fault(where="private:order", what="delay", delay_ms=400, count=6)],
    "creates meet the rate limit": [Fault(where="trade:order.create", what="answer", code=10006, count=4)],
    "cancels meet the rate limit": [Fault(where="trade:order.cancel", what="answer", code=10006, count=3)],
    "a create is executed and answered with 10016": [
        Fault(where="trade:order.create", what="answer", code=10016, executed=True, count=2)
    ],
    "a create is answered with silence": [
        Fault(where="trade:order.create", what="silence", executed=True),
        Fault(where="trade:order.create", what="silence"),
    ],
    "a cancel is answered with silence": [
        Fault(where="trade:order.cancel", what="silence", executed=True),
        Fault(where="trade:order.cancel", what="silence"),
    ],
    "private frames are malformed": [Fault(where="private:*", what="corrupt", count=3)],
    "public frames are malformed": [Fault(where="public:*", what="corrupt", count=3)],
    "a private frame is oversized": [Fault(where="private:order", what="oversize")],
    "a public frame is oversized": [Fault(where="public:*", what="oversize")],
}


def check_books(paper: PaperExchange, ended: Ended, *, fills: int, traded: str = "linear:BTCUSDT") -> None:
    """No order is left, and executions, position and cash are the venue's to the last unit."""
    assert ended.failure is None
    truth = paper.truth()
    assert truth["open"] == []
    executions = [row for row in truth["executions"] if row["execType"] == "Trade"]
    assert len(executions) >= fills
    bought = sum((1 if row["side"] == "Buy" else -1) * Decimal(row["execQty"]) for row in executions)
    if traded in truth["positions"]:
        assert ended.books[0]["position_lots"] == truth["positions"][traded]["lots"]
    assert ended.result is not None
    check_fills(ended.result, executions)
    (last,) = {row["position"] for row in ended.result.equity.tail(1).iter_rows(named=True)}
    assert round(float(bought), 9) == round(last, 9)
    check_cash(ended, executions)


def check_fills(result: Result, executions: list[dict]) -> None:
    """Our fills are the venue's executions, each once."""
    ours = Counter(
        (Decimal(str(row["price"])), round(row["qty"], 9), row["side"], row["maker"])
        for row in result.fills.iter_rows(named=True)
    )
    theirs = Counter(
        (
            Decimal(row["execPrice"]),
            round(float(row["execQty"]), 9),
            1 if row["side"] == "Buy" else -1,
            row["isMaker"] in (True, "true"),
        )
        for row in executions
    )
    assert ours == theirs


def check_cash(ended: Ended, executions: list[dict]) -> None:
    """Cash is what the venue's executions add up to, in whole 10^-12: value against quantity, fees apart."""
    cash = 0
    for row in executions:
        sign = -1 if row["side"] == "Buy" else 1
        if row["category"] == "inverse":
            sign = -sign
        fee = Decimal(row["execFee"])
        if row["category"] == "spot" and row["feeCurrency"] == "BTC":
            fee *= Decimal(row["execPrice"])
        cash += sign * units(row["execValue"]) - units(str(fee))
    assert ended.books[0]["cash_units"] == cash


def units(amount: str) -> int:
    """Whole 10^-12, half to even."""
    return int((Decimal(amount) * 10**12).to_integral_value())


def check_secret(folder: Path) -> None:
    """The account's secret is in nothing that was written."""
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) >= 5
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_survives_a_fault_with_its_books_equal(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Trade, suffer, trade on, leave: no orphan, every fill booked once, cash and position to the last unit."""

    async def story() -> None:
        async with PaperExchange(tapes=["sample:btcusdt"]) as paper:
            faults = paper.exchange.gateway.faults

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= FILLS)
                for fault in FAULTS[name]:
                    faults.arm(fault)
                struck = sum(fault.count or 0 for fault in FAULTS[name])
                await watched.until(lambda: faults.struck >= struck)
                seen = watched.count("fill")
                await watched.until(lambda: watched.count("fill") >= seen + FILLS)

            ended = await run_on(paper, paper.config(), tmp_path, meanwhile)
            check_books(paper, ended, fills=2 * FILLS)
            RecordedRun.open(ended.folder / "journal.mmj").verify()

    asyncio.run(story())
    check_secret(tmp_path)
    assert SECRET not in caplog.text


def test_a_run_survives_a_restart_of_the_exchange(tmp_path: Path):
    """Every link dies, books begin anew at u = 1, the venue forgets closed orders: the run trades on, leaves clean."""

    async def story() -> None:
        async with PaperExchange(tapes=["sample:btcusdt"]) as paper:

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= FILLS)
                paper.admin.restart({})
                seen = watched.count("fill")
                await watched.until(lambda: watched.count("fill") >= seen + FILLS, 25)

            ended = await run_on(paper, paper.config(), tmp_path, meanwhile)
            check_books(paper, ended, fills=2 * FILLS)

    asyncio.run(story())


@pytest.mark.parametrize("skew_ms", [5_000, -5_000])
def test_a_run_survives_a_venue_clock_that_jumps(skew_ms: int, tmp_path: Path):
    """Five seconds ahead or behind, in the middle of a run: orders are refused until the clock was asked for again."""

    async def story() -> None:
        async with PaperExchange(tapes=["sample:btcusdt"]) as paper:

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= FILLS)
                paper.admin.clock({"skew_ms": skew_ms})
                seen = watched.count("fill")
                await watched.until(lambda: watched.count("fill") >= seen + FILLS, 25)

            ended = await run_on(paper, paper.config(), tmp_path, meanwhile)
            check_books(paper, ended, fills=2 * FILLS)

    asyncio.run(story())


@pytest.mark.parametrize("amend", [False, True])
def test_a_quiet_run_is_verified_and_leaves_nothing(amend: bool, tmp_path: Path):
    """Without any fault, moving orders by amends or by cancel and place, the same holds."""

    async def story() -> None:
        async with PaperExchange(tapes=["sample:btcusdt"]) as paper:

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= 3 * FILLS)

            ended = await run_on(paper, paper.config(amend=amend), tmp_path, meanwhile)
            check_books(paper, ended, fills=3 * FILLS)
            RecordedRun.open(ended.folder / "journal.mmj").verify()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("category", "symbol", "limits", "params"),
    [
        ("inverse", "BTCUSD", {"position": "100000", "order": "5000"}, {"order_lots": 500, "cap_lots": 20_000}),
        ("spot", "BTCUSDT", {"position": "2", "order": "0.1"}, {"order_lots": 20_000, "cap_lots": 500_000}),
    ],
)
def test_a_run_on_another_product_has_the_venue_s_books(
    category: str, symbol: str, limits: dict[str, str], params: dict[str, int], tmp_path: Path
):
    """Coin-settled contracts and spot: the same executions, the same cash to the last unit, nothing left behind."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.TREND, speed=10.0) as paper:

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= 2 * FILLS, 25)
                looks = watched.count("reconcile")
                await watched.until(lambda: watched.count("reconcile") >= looks + 2)
                assert cash_breaks(watched) == []

            config = paper.config(category=category, symbol=symbol, limits=limits, params=params)
            ended = await run_on(paper, config, tmp_path, meanwhile)
            check_books(paper, ended, fills=2 * FILLS, traded=f"{category}:{symbol}")
            RecordedRun.open(ended.folder / "journal.mmj").verify()

    asyncio.run(story())


def cash_breaks(watched: Collector) -> list[str]:
    """What the looks at the coins found."""
    looks = [event["breaks"] for event in watched.events if event["event"] == "reconcile" and "breaks" in event]
    return [said for look in looks for said in look if said.startswith("cash ")]


def test_a_dollar_and_a_cent_that_our_books_do_not_have_stops_trading(tmp_path: Path):
    """Trades and funding agree to the last unit until the venue takes 1.01 more for one execution than it told."""

    async def story() -> None:
        async with PaperExchange(tapes=["sample:btcusdt"]) as paper:
            wallet = paper.exchange.gateway.house.accounts[paper.uid].wallet

            def settled() -> bool:
                paper.admin.market({"category": "linear", "symbol": "BTCUSDT", "funding": {"rate": "0.0001"}})
                return any(row.kind == "SETTLEMENT" for row in wallet.log)  # none while the position is flat

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: watched.count("fill") >= FILLS)
                await watched.until(settled)
                looks = watched.count("reconcile")
                await watched.until(lambda: watched.count("reconcile") >= looks + 2)
                assert cash_breaks(watched) == []
                injected = paper.charge_more(1_010_000_000_000)
                await watched.until(lambda: watched.count("freeze asked") > 0, 25)
                [asked] = [event for event in watched.events if event["event"] == "freeze asked"]
                assert asked["control"] == "reconcile"
                assert f"TRADE {injected[0].trade_id} fee of linear BTCUSDT" in asked["reason"]
                assert text(injected[0].fee) in asked["reason"]

            await run_on(paper, paper.config(), tmp_path, meanwhile)

    asyncio.run(story())
