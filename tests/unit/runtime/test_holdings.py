"""What a run holds and may come to hold, and the pair that says what its coin is worth."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from trading_desk import TERMS

from mmbot import _core
from mmbot.config import ConfigError
from mmbot.ops.trade import _check_peg, _subscriptions
from mmbot.risk.exits import UnhedgedWatch
from mmbot.risk.firm import Coin
from mmbot.risk.levels import Scope
from mmbot.runtime.bridge import Listed
from mmbot.runtime.holdings import UNITS, Holdings, underlyings
from mmbot.runtime.peg import Peg, check_pair
from mmbot.runtime.second_price import SecondPrices
from mmbot.venues.port import InstrumentTerms
from mmbot.venues.records import BookUpdate, PublicTrade

SECOND = 1_000_000_000


def terms(category: str, symbol: str, base: str, quote: str, *, settle: str | None = None) -> InstrumentTerms:
    """An instrument in tenths and thousandths."""
    words = {name: getattr(TERMS, name) for name in TERMS.__struct_fields__}
    words |= {"category": category, "kind": category, "symbol": symbol, "base": base, "quote": quote}
    return InstrumentTerms(**{**words, "settle": settle or quote})


def listed(category: Any, symbol: str, base: str, quote: str = "USDT") -> Listed:
    """One that a run trades; an inverse one in contracts of a dollar."""
    inverse = category == "inverse"
    instrument = _core.Instrument(
        venue="v", symbol=symbol, kind=category, tick="0.1", lot="1" if inverse else "0.001", contract="1"
    )
    return Listed(
        category=category,
        symbol=symbol,
        instrument=instrument,
        terms=terms(category, symbol, base, quote, settle=base if inverse else quote),
    )


LEGS = [listed("spot", "BTCUSDT", "BTC"), listed("linear", "ETHUSDT", "ETH"), listed("inverse", "BTCUSD", "BTC", "USD")]


class Books:
    """What a core says of positions and books: lots, and a bid and ask in ticks."""

    def __init__(self, *lots: int, touch: tuple[int | None, int | None] = (999, 1_001)) -> None:
        self.lots, self.touch, self.now = lots, touch, 0
        self.rows: list[tuple[Any, ...]] = []

    def books(self, seat: int, index: int) -> dict[str, Any]:
        """As a core."""
        return {"position_lots": self.lots[index], "cash_units": 0, "bid": self.touch[0], "ask": self.touch[1]}

    def order_rows(self, index: int) -> list[tuple[Any, ...]]:
        """As a core: of the first instrument."""
        return self.rows if index == 0 else []


def holdings(books: Any) -> Holdings:
    """Of three instruments, two of one coin."""
    return Holdings(books, LEGS, SecondPrices(LEGS))


@pytest.mark.parametrize(
    ("lots", "open_"),
    [
        ((0, 0, 0), 0.0),
        ((1_000, 0, 0), 100.0),
        ((1_000, 0, -100), 0.0),
        ((1_000, 0, -60), 40.0),
        ((-1_000, 0, -60), 160.0),
        ((0, 5_000, 0), 0.0),
    ],
)
def test_what_legs_of_one_coin_do_not_take_from_one_another(lots: tuple[int, ...], open_: float) -> None:
    """At 100 dollars: a coin held is hedged by a hundred contracts of a dollar sold; another coin has no leg."""
    assert underlyings(LEGS) == [[0, 2]]
    found, least = holdings(Books(*lots)).unhedged()
    assert found == pytest.approx(open_)
    assert least == pytest.approx(1.0), "a contract of a dollar; a thousandth of the coin is ten cents"


def test_a_leg_without_a_price_is_not_hedged() -> None:
    """Missing denies: the watch takes it for the limit."""
    found, least = holdings(Books(1_000, 0, -100, touch=(None, 1_001))).unhedged()
    assert math.isnan(found)
    watch = UnhedgedWatch(100.0, Scope("strategy", "two legs"))
    assert [one.control for one in watch.seen(found, 1, least=least)] == ["unhedged"]


def test_the_worst_case_counts_everything_that_may_still_trade_on_one_side() -> None:
    """Ten held: with five and seven bought and three sold twenty-two; with forty sold thirty short."""
    books = Books(10, 0, 0)

    def row(side: str, exposure: int) -> tuple[Any, ...]:
        return (1, side, 1_000, exposure, 0, 0, exposure, "live", "idle", "strategy", False)

    books.rows = [row("buy", 5), row("buy", 7), row("sell", 3)]
    assert holdings(books).worst_case() == pytest.approx(2.2)
    books.rows.append(row("sell", 37))
    assert holdings(books).worst_case() == pytest.approx(3.0)
    books.touch = (1_000, None)
    assert math.isnan(holdings(books).worst_case())


def test_what_may_be_held_of_each_coin() -> None:
    """Both ends of each instrument, added up by coin; a leg hedges the net sum, never the gross one."""
    books = Books(10, 7, -2)
    books.rows = [(1, "buy", 1_000, 5, 0, 0, 5, "live", "idle", "strategy", False)]
    books.rows.append((2, "sell", 1_000, 30, 0, 0, 30, "live", "idle", "strategy", False))
    dime = 10**11
    assert holdings(books).worst_by_coin() == {
        "BTC": Coin((20 + 20) * dime, (15 - 20) * dime, (-20 - 20) * dime),
        "ETH": Coin(7 * dime, 7 * dime, 7 * dime),
    }
    books.touch = (None, 1_001)
    assert holdings(books).worst_by_coin() is None
    assert holdings(Books(0, 0, -2, touch=(None, None))).worst_by_coin() is not None, (
        "contracts of a dollar need no mid"
    )


def test_the_second_price_stands_in_while_the_book_is_away() -> None:
    """A public feed that reconnects is no loss that cannot be known; once that price is old as well, it is."""
    books = Books(1_000, 0, 0)
    prices = SecondPrices(LEGS, 30_000)
    prices.heard(
        "spot", PublicTrade(symbol="BTCUSDT", ts_venue=1, price="99", qty="1", aggressor="buy", trade_id="t"), 1
    )
    held = Holdings(books, LEGS, prices)  # type: ignore[arg-type]  as much of a core as is needed
    books.touch = (None, 1_001)
    books.now = 1 + 30 * SECOND
    assert (held.equity(), held.worst_case()) == (99 * UNITS, 99.0)
    books.now += 1
    assert held.equity() is None
    assert math.isnan(held.worst_case())


# ---- the pair


def told(*, kind: Any, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> BookUpdate:
    """A message about the pair."""
    return BookUpdate(symbol="USDCUSDT", kind=kind, ts_venue=1, previous_id=0, last_id=1, bids=bids, asks=asks)


def test_the_pair_is_a_book_that_is_whole_fresh_and_not_crossed() -> None:
    """Deltas take levels out; what is no number is no level."""
    peg = Peg("spot USDCUSDT", 0)
    peg.heard(told(kind="snapshot", bids=[("0.999", "1"), ("0.998", "2")], asks=[("1.001", "3"), ("nan", "1")]), 1)
    assert peg.price(1) == pytest.approx(1.0)
    peg.heard(told(kind="delta", bids=[("0.999", "0")], asks=[("1.0005", "inf"), ("bad", "1")]), 2)
    assert peg.price(2) == pytest.approx(0.9995)
    trade = PublicTrade(symbol="USDCUSDT", ts_venue=1, price="0.5", qty="1", aggressor="buy", trade_id="t")
    peg.heard(trade, 3)
    assert peg.price(2 + 30 * SECOND) == pytest.approx(0.9995)
    assert peg.price(3 + 30 * SECOND) is None
    assert peg.is_late(3 + 30 * SECOND)
    peg.heard(told(kind="delta", bids=[("1.002", "1")], asks=[]), 40 * SECOND)
    assert peg.price(40 * SECOND) is None, "crossed"
    peg.heard(told(kind="snapshot", bids=[], asks=[("1.001", "1")]), 41 * SECOND)
    assert peg.price(41 * SECOND) is None


@pytest.mark.parametrize(
    ("pair", "traded", "said"),
    [
        (("USDC", "USDT"), ("BTC", "USDT"), None),
        (("BTC", "USDT"), ("BTC", "USDT"), "two stable coins"),
        (("USDC", "DAI"), ("BTC", "USDT"), "trades in USDT"),
        (("USDC", "USDT"), ("BTC", "USD"), "no stable coin"),
    ],
)
def test_a_pair_that_says_nothing_of_the_run_is_refused(
    pair: tuple[str, str], traded: tuple[str, str], said: str | None
) -> None:
    """A control that cannot fire is none."""
    run = [listed("spot", "".join(traded), *traded)]
    if said is None:
        check_pair(terms("spot", "PAIR", *pair), run)
        return
    with pytest.raises(ValueError, match=said):
        check_pair(terms("spot", "PAIR", *pair), run)


class Venue:
    """Lists what it is asked for."""

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """USDCUSDT, whatever the name."""
        return terms(category, symbol, "USDC" if symbol == "USDCUSDT" else "BTC", "USDT")


def test_live_does_not_begin_without_a_word_on_its_stable_coin() -> None:
    """Paper may; a pair that is named is looked up in both."""
    usdt, usd = [listed("linear", "BTCUSDT", "BTC")], [listed("inverse", "BTCUSD", "BTC", "USD")]
    venue: Any = Venue()
    asyncio.run(_check_peg(None, venue, usdt, live=False))
    asyncio.run(_check_peg(None, venue, usd, live=True))
    asyncio.run(_check_peg("spot USDCUSDT", venue, usdt, live=True))
    with pytest.raises(ConfigError, match=r"depeg_pair.*USDT"):
        asyncio.run(_check_peg(None, venue, usdt, live=True))
    with pytest.raises(ConfigError, match="two stable coins"):
        asyncio.run(_check_peg("spot BTCUSDT", venue, usdt, live=False))


def test_the_pair_is_heard_beside_the_instruments() -> None:
    """Its touch alone, and not twice."""
    wiring: Any = type("Wiring", (), {"session": type("Session", (), {"depth": 50})})
    markets = [("linear", "BTCUSDT")]
    assert [(one.symbol, one.depth) for one in _subscriptions(wiring, markets, None)] == [("BTCUSDT", 50)]
    both = _subscriptions(wiring, markets, "spot USDCUSDT")
    assert [(one.category, one.symbol, one.depth) for one in both][1:] == [("spot", "USDCUSDT", 1)]
    assert len(_subscriptions(wiring, [("spot", "USDCUSDT")], "spot USDCUSDT")) == 1
