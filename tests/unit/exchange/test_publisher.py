"""Books, prints, tickers and klines as they leave the exchange."""

import json
from pathlib import Path

import pytest
from exchange_markets import BookClient, HandClock, still_hall, still_market
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot import samples
from mmbot.exchange.generator import Generator, MarketKind
from mmbot.exchange.hall import Hall
from mmbot.exchange.listed import rules_of
from mmbot.exchange.market import Market
from mmbot.exchange.playback import TapeSource
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.publisher import DEPTHS

FRAMES = Path(__file__).parents[2] / "golden" / "frames"
TOPICS = [f"orderbook.{depth}.BTCUSDT" for depth in DEPTHS]


def expected(hall: Hall, market: Market, depth: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The floor's best levels, as text."""
    texts = hall.publisher.texts(market)
    bids, asks = market.floor.published(depth)
    return [(row[0], row[1]) for row in texts.rows(bids)], [(row[0], row[1]) for row in texts.rows(asks)]


def check_books(hall: Hall, market: Market, client: BookClient) -> None:
    """Every depth that the client keeps is what the exchange published, under the same `u`."""
    for depth in DEPTHS:
        topic = f"orderbook.{depth}.{market.symbol}"
        stream = hall.publisher.book(market.category, market.symbol, depth)
        assert client.u[topic] == stream.u
        assert client.levels(topic) == expected(hall, market, depth)


def test_a_client_rebuilds_every_depth_of_the_recorded_market():
    """From the shipped Bybit recording, each depth equals the floor's at each `u`, and no `u` is missed."""
    clock = HandClock()
    tape = samples.sample("bybit-btcusdt")
    market = Market(rules_of(tape), clock)
    hall = Hall([(market, TapeSource(tape, speed=20.0))], clock)
    client = BookClient()
    for topic in TOPICS:
        hall.publisher.join("linear", topic, client)
    for _ in range(250):
        clock.pass_ms(10)
        hall.beat()
        check_books(hall, market, client)
    assert hall.sources["linear", "BTCUSDT"].rounds >= 1
    assert client.u["orderbook.50.BTCUSDT"] > 50


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(list(MarketKind)),
    seed=st.integers(0, 2**31),
    moves=st.lists(
        st.tuples(st.integers(0, 80), st.integers(-30, 30), st.integers(1, 900), st.booleans()), max_size=40
    ),
)
def test_no_flow_breaks_a_book(kind: MarketKind, seed: int, moves: list[tuple[int, int, int, bool]]):
    """Whatever generator and clients do, deltas are in sequence, delete only what was sent, and rebuild the floor."""
    clock = HandClock()
    market = still_market(clock)
    source = Generator(kind, seed=seed, price_ticks=61_000, lot_unit=250)
    hall = Hall([(market, source)], clock)
    client = BookClient()
    for topic in TOPICS:
        hall.publisher.join("linear", topic, client)
    for number, (wait, offset, lots, buys) in enumerate(moves, 1):
        clock.pass_ms(wait)
        hall.catch_up()
        bid, ask = market.floor.touch()
        base = (bid if buys else ask) or 61_000
        market.place(number, "buy" if buys else "sell", base + offset, lots, 1 + number % 2, stp="cancel_maker")
        if number % 5 == 0 and market.floor.order(number - 1):
            market.cancel(number - 1)
        hall.beat()
        check_books(hall, market, client)
    market.floor.check_invariants()


def test_who_joins_late_gets_the_book_of_the_last_u():
    """A snapshot holds what was published, not what happened since, so that the next delta fits."""
    clock = HandClock()
    hall = still_hall(clock)
    market = hall.markets["linear", "BTCUSDT"]
    early, late = BookClient(), BookClient()
    hall.publisher.join("linear", "orderbook.50.BTCUSDT", early)
    market.place(1, "buy", 61_001, 7, 1)
    hall.publisher.join("linear", "orderbook.50.BTCUSDT", late)
    assert late.levels("orderbook.50.BTCUSDT")[0][0] == ("6100.00", "0.005")
    clock.pass_ms(20)
    hall.beat()
    assert late.books == early.books
    assert late.levels("orderbook.50.BTCUSDT")[0][0] == ("6100.10", "0.007")


def test_the_best_level_is_sent_whole_and_again_after_three_seconds():
    """orderbook.1 has no deltas; without a change the same `u` comes again."""
    clock = HandClock()
    hall = still_hall(clock)
    client = BookClient()
    hall.publisher.join("linear", "orderbook.1.BTCUSDT", client)
    for _ in range(301):
        clock.pass_ms(10)
        hall.beat()
    assert [frame["type"] for frame in client.frames] == ["snapshot", "snapshot"]
    assert [frame["data"]["u"] for frame in client.frames] == [1, 1]
    hall.markets["linear", "BTCUSDT"].place(1, "buy", 61_001, 7, 1)
    clock.pass_ms(10)
    hall.beat()
    assert client.frames[-1]["type"] == "snapshot"
    assert client.frames[-1]["data"]["u"] == 2
    assert list(client.frames[-1]) == ["topic", "ts", "type", "data", "cts"]


def test_a_restart_starts_at_one():
    """After a restart every book is a snapshot with `u` = 1, and deltas follow it."""
    clock = HandClock()
    hall = still_hall(clock)
    market = hall.markets["linear", "BTCUSDT"]
    client = BookClient()
    for topic in TOPICS:
        hall.publisher.join("linear", topic, client)
    hall.publisher.restart("linear", "BTCUSDT")
    assert set(client.u.values()) == {1}
    market.place(1, "buy", 61_000, 7, 1)
    clock.pass_ms(200)
    hall.beat()
    assert set(client.u.values()) == {2}


def test_a_clients_trade_is_printed_and_counted():
    """A client that takes is the aggressor of a public print with its own price, and the candle has it."""
    clock = HandClock()
    hall = still_hall(clock)
    market = hall.markets["linear", "BTCUSDT"]
    client = BookClient()
    hall.publisher.join("linear", "publicTrade.BTCUSDT", client)
    market.place(1, "sell", 61_001, 3, 1)
    market.place(2, "buy", 61_002, 5, 2, tif="ioc")
    clock.pass_ms(10)
    hall.beat()
    rows = client.frames[-1]["data"]
    assert [(row["S"], row["p"], row["v"]) for row in rows] == [
        ("Buy", "6100.10", "0.003"),
        ("Buy", "6100.20", "0.002"),
    ]
    candle = market.klines["1"].current
    assert candle is not None
    assert (candle.open, candle.high, candle.close, candle.volume) == (61_001, 61_002, 61_002, 5)
    assert candle.turnover == (61_001 * 3 + 61_002 * 2) * 10**8


@pytest.mark.parametrize("kind", ["linear", "spot"])
def test_frames_have_the_shape_of_the_venues_own(kind: str):
    """Every stream's message has the keys, in order, of a recorded frame of the venue (tickers: the same set)."""
    clock = HandClock()
    hall = still_hall(clock, PublicSwitches(kline_ms=10), kind)
    market = hall.markets[kind, "BTCUSDT"]
    client = BookClient()
    names = {
        "publicTrade": "publicTrade.BTCUSDT",
        "orderbook-delta": "orderbook.50.BTCUSDT",
        "kline": "kline.1.BTCUSDT",
        "tickers-snapshot": "tickers.BTCUSDT",
    }
    for topic in names.values():
        hall.publisher.join(kind, topic, client)
    market.place(1, "buy", 61_002, 1, 1, tif="ioc")
    clock.pass_ms(20)
    hall.beat()
    for name, topic in names.items():
        recorded = json.loads((FRAMES / f"bybit-{kind}-{name}.json").read_bytes())
        wanted = recorded["type"] if name != "tickers-snapshot" else "snapshot"
        ours = next(frame for frame in client.frames if frame["topic"] == topic and frame["type"] == wanted)
        assert list(ours) == list(recorded), name
        content = [part["data"][0] if isinstance(part["data"], list) else part["data"] for part in (ours, recorded)]
        if name == "tickers-snapshot":
            assert set(content[0]) == set(content[1])
        else:
            assert list(content[0]) == list(content[1]), name


def test_derivative_tickers_send_what_changed_and_spot_tickers_everything():
    """After the snapshot a derivative's ticker is a delta with the symbol and the changed fields only."""
    clock = HandClock()
    for kind, wanted in (("linear", "delta"), ("spot", "snapshot")):
        hall = still_hall(clock, kind=kind)
        client = BookClient()
        hall.publisher.join(kind, "tickers.BTCUSDT", client)
        hall.markets[kind, "BTCUSDT"].place(1, "buy", 61_002, 1, 1, tif="ioc")
        clock.pass_ms(100)
        hall.beat()
        assert client.frames[-1]["type"] == wanted
        assert client.frames[-1]["data"]["lastPrice"] in ("6100.20", "6100.2")
        assert ("bid1Price" in client.frames[0]["data"]) == (kind == "linear")


def test_a_candle_is_confirmed_when_its_minute_is_over():
    """The closed candle comes once more with confirm, then the new one, flat."""
    clock = HandClock()
    hall = still_hall(clock)
    market = hall.markets["linear", "BTCUSDT"]
    client = BookClient()
    hall.publisher.join("linear", "kline.1.BTCUSDT", client)
    market.place(1, "buy", 61_002, 1, 1, tif="ioc")
    for _ in range(2):
        clock.pass_ms(60_000)
        hall.beat()
    rows = [frame["data"][0] for frame in client.frames]
    assert [row["confirm"] for row in rows] == [False, True, False]
    assert (rows[1]["close"], rows[1]["volume"]) == ("6100.20", "0.000")
    assert rows[2]["start"] == rows[1]["end"] + 1


def test_unknown_topics_are_not_known():
    """Removed depths, other instruments and spot liquidations are refused; the rest is known."""
    hall = still_hall(HandClock())
    knows = hall.publisher.knows
    for topic in ("orderbook.500.BTCUSDT", "orderbook.050.BTCUSDT", "orderbook.50.XYZ", "kline.2.BTCUSDT", "x", ""):
        assert not knows("linear", topic)
    assert knows("linear", "allLiquidation.BTCUSDT")
    assert not still_hall(HandClock(), kind="spot").publisher.knows("spot", "allLiquidation.BTCUSDT")
