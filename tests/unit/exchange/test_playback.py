"""Recorded and generated markets under the wall clock."""

from pathlib import Path

import pytest
from exchange_markets import MS, START_NS, HandClock, still_market
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot import samples
from mmbot._core import Floor, Instrument, TapeWriter
from mmbot.exchange.generator import LEVELS, STEP_NS, STRIDE_MAX, Generator, MarketKind
from mmbot.exchange.listed import open_hall, rules_of
from mmbot.exchange.market import Fill, Market
from mmbot.exchange.playback import TapeSource

SECOND = 1_000 * MS


def recorded(path: Path) -> Path:
    """Two seconds of a market: bid 100.0 of 5, ask 100.2; a sale at 100.0 after a second; the bid reports it."""
    instrument = Instrument(venue="bybit-linear", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001")
    writer = TapeWriter(path, instrument)
    writer.depth(SECOND, SECOND, "snapshot", [("100.0", "0.005")], [("100.2", "0.004")])
    writer.trade(2 * SECOND, 2 * SECOND, "100.0", "0.003", "sell")
    writer.depth(3 * SECOND, 3 * SECOND, "delta", [("100.0", "0.002")], [("100.2", "0"), ("100.3", "0.001")])
    writer.finish()
    return path


def playing(path: Path, speed: float = 1.0) -> tuple[HandClock, Market, TapeSource]:
    """The recording on a hand clock."""
    hall = open_hall(clock=(clock := HandClock()), tapes=[str(recorded(path))], speed=speed)
    source = hall.sources["linear", "BTCUSDT"]
    assert isinstance(source, TapeSource)
    return clock, hall.markets["linear", "BTCUSDT"], source


def test_events_happen_at_their_wall_time(tmp_path: Path):
    """At speed 2 a trade one recorded second after the first book is printed half a wall second after the opening."""
    clock, market, source = playing(tmp_path / "a.tape", speed=2.0)
    assert market.floor.depth(9) == ([(1000, 5)], [(1002, 4)])
    clock.pass_ms(499)
    source.advance(market, clock())
    assert not market.prints
    clock.pass_ms(1)
    source.advance(market, clock())
    assert [(told.ts_ms, told.side, told.tick, told.lots) for told in market.prints] == [
        ((START_NS + 500 * MS) // MS, "sell", 1000, 3)
    ]
    clock.pass_ms(500)
    source.advance(market, clock())
    assert market.floor.depth(9) == ([(1000, 2)], [(1003, 1)])


def test_a_tape_starts_over_and_time_goes_on(tmp_path: Path):
    """After the last event and a second's rest the first book is back; prints of later rounds have later times."""
    clock, market, source = playing(tmp_path / "a.tape")
    clock.pass_ms(3_000)
    source.advance(market, clock())
    assert (source.rounds, market.floor.depth(9)) == (1, ([(1000, 5)], [(1002, 4)]))
    clock.pass_ms(30_500)
    source.advance(market, clock())
    assert source.rounds == 2
    times = [told.ts_ms for told in market.prints]
    assert times == sorted(times)
    assert times[-1] <= market.now_ms()


def test_clients_in_a_recorded_market_are_makers_at_their_price(tmp_path: Path):
    """A sale that was recorded at 100.0 fills a better bid of ours at our price first, then the line at 100.0."""
    clock, market, source = playing(tmp_path / "a.tape")
    heard: list[tuple[list[Fill], int]] = []
    market.on_fills = lambda fills, ts_ns: heard.append((fills, ts_ns))
    market.place(1, "buy", 1001, 2, 7)
    clock.pass_ms(1_000)
    source.advance(market, clock())
    assert heard == [([(1, 0, 1001, 2)], START_NS + SECOND)]
    assert [(told.tick, told.lots) for told in market.prints] == [(1001, 2), (1000, 1)]
    assert market.floor.depth(1)[0] == [(1000, 4)]


def test_an_ask_that_comes_down_to_our_bid_fills_it(tmp_path: Path):
    """Liquidity that was recorded across our price trades with us, and is printed with its own side as aggressor."""
    clock, market, source = playing(tmp_path / "a.tape")
    heard: list[Fill] = []
    market.on_fills = lambda fills, ts_ns: heard.extend(fills)
    clock.pass_ms(1_500)
    source.advance(market, clock())
    market.place(1, "buy", 1004, 9, 7)  # takes 4 at 100.2, rests with 5 at 100.4
    clock.pass_ms(500)
    source.advance(market, clock())
    assert heard == [(1, 0, 1004, 1)]
    assert (market.prints[-1].side, market.prints[-1].tick, market.prints[-1].lots) == ("sell", 1004, 1)


def test_the_shipped_recordings_play_whole_whatever_the_stride():
    """Each sample, played in strides of the wall clock, ends in the same book as in one call."""
    for name in samples.SAMPLES:
        tape = samples.sample(name)
        whole = Floor()
        whole.play(tape, 0, 0, 2**62)
        clock = HandClock()
        market = Market(rules_of(tape), clock)
        source = TapeSource(tape, speed=100.0)
        source.open(market, clock())
        start, end = tape.span or (0, 0)
        while clock.ns - START_NS < (end - start) / 100:
            clock.pass_ms(37)
            source.advance(market, clock())
            if source.rounds == 0:
                last = market.floor.depth(500)
        assert source.rounds in (0, 1)
        assert source.rounds or last == whole.depth(500)
        assert market.instrument.tick_size == tape.instrument.tick_size


@pytest.mark.parametrize("speed", [0.05, 1001.0, float("nan")])
def test_a_speed_out_of_range_is_refused(speed: float):
    """Only 0.1 to 1000, and numbers."""
    with pytest.raises(ValueError, match=r"outside 0\.1 to 1000"):
        open_hall(clock=HandClock(), speed=speed)


def test_two_tapes_of_one_instrument_are_refused(tmp_path: Path):
    """An exchange has one market per category and symbol."""
    path = str(recorded(tmp_path / "a.tape"))
    with pytest.raises(ValueError, match="linear BTCUSDT is listed twice"):
        open_hall(clock=HandClock(), tapes=[path, path])


def test_the_default_exchange_lists_recorded_and_generated_markets():
    """Two recorded linear contracts, a generated spot pair and a generated inverse contract."""
    hall = open_hall(clock=HandClock())
    assert list(hall.markets) == [
        ("linear", "BTCUSDT"),
        ("linear", "ETHUSDT"),
        ("spot", "BTCUSDT"),
        ("inverse", "BTCUSD"),
    ]
    assert all(None not in market.floor.touch() for market in hall.markets.values())
    generated = open_hall(clock=HandClock(), kind=MarketKind.TREND, seed=5)
    assert set(generated.markets) == set(hall.markets)
    assert {type(source) for source in generated.sources.values()} == {Generator}


# --- generated markets ---


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(list(MarketKind)), seed=st.integers(0, 2**40))
def test_a_generated_book_is_deep_and_never_crossed(kind: MarketKind, seed: int):
    """At each step both sides have at least 200 levels, bids below asks, prints are at prices that were there."""
    generator = Generator(kind, seed=seed, price_ticks=61_000, lot_unit=40)
    first = generator.first()
    books = [dict(first.bids), dict(first.asks)]
    for _ in range(200):
        step = generator.step()
        for side, tick, lots, _ in step.trades:
            assert books[side == "buy"].get(tick, 0) >= 0
            assert lots > 0
        for book, changes in zip(books, (step.bids, step.asks), strict=True):
            for tick, lots in changes:
                book[tick] = lots
                if not lots:
                    del book[tick]
        assert max(books[0]) < min(books[1])
        assert min(len(books[0]), len(books[1])) >= LEVELS - 50
        assert max(len(books[0]), len(books[1])) <= LEVELS


def test_a_seed_is_a_market():
    """The same seed gives the same steps, another seed or kind another market."""

    def steps(kind: str, seed: int) -> list[object]:
        generator = Generator(kind, seed=seed, price_ticks=61_000, lot_unit=40)
        return [generator.first(), *(generator.step() for _ in range(300))]

    assert steps("cascade", 7) == steps("cascade", 7)
    assert steps("cascade", 7) != steps("cascade", 8)
    assert steps("cascade", 7) != steps("calm", 7)


def test_the_wall_clock_decides_only_how_many_steps_are_taken():
    """One big stride and many small ones end in the same book."""
    books = []
    for stride in (10, 500):
        clock = HandClock()
        market = still_market(clock)
        generator = Generator("cascade", seed=3, price_ticks=61_000, lot_unit=40, speed=2.0)
        generator.open(market, clock())
        for _ in range(3_000 // stride):
            clock.pass_ms(stride)
            generator.advance(market, clock())
        assert generator.steps == 6_000 * MS // STEP_NS
        books.append(market.floor.depth(LEVELS))
        market.floor.check_invariants()
    assert books[0] == books[1]


def test_a_host_that_falls_behind_loses_time_and_goes_on():
    """After an hour's pause a bounded number of steps is taken, and the market runs on from there."""
    clock = HandClock()
    market = still_market(clock)
    generator = Generator("calm", seed=3, price_ticks=61_000, lot_unit=40)
    generator.open(market, clock())
    clock.pass_ms(3_600_000)
    generator.advance(market, clock())
    assert generator.steps == STRIDE_MAX
    clock.pass_ms(100)
    generator.advance(market, clock())
    assert generator.steps == STRIDE_MAX + 2


def test_a_cascade_liquidates_and_a_gap_jumps():
    """Over ten minutes a cascade has forced trades, a gap moves by more than ten bps in a step, calm does neither."""

    def ten_minutes(kind: str) -> tuple[int, float]:
        generator = Generator(kind, seed=2, price_ticks=615_000, lot_unit=40)
        bids = dict(generator.first().bids)
        forced, jump, best = 0, 0.0, max(bids)
        for _ in range(12_000):
            step = generator.step()
            forced += sum(trade[3] for trade in step.trades)
            bids.update(step.bids)
            before, best = best, max(tick for tick, lots in bids.items() if lots)
            bids = {tick: lots for tick, lots in bids.items() if lots}
            jump = max(jump, abs(best - before) / before * 1e4)
        return forced, jump

    assert ten_minutes("calm") == (0, pytest.approx(1.0, abs=1.0))
    assert ten_minutes("cascade")[0] > 20
    assert ten_minutes("gap")[1] > 10


@pytest.mark.parametrize(("terms", "said"), [({"price_ticks": 500}, "finer tick"), ({"lot_unit": 0}, "at least 1 lot")])
def test_an_impossible_market_is_refused(terms: dict[str, int], said: str):
    """A price without room for its levels, and an order of nothing."""
    with pytest.raises(ValueError, match=said):
        Generator("calm", seed=1, **({"price_ticks": 61_000, "lot_unit": 40} | terms))
