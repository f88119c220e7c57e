"""A shadow run: it measures what a dry run of its recording measures, and cannot order."""

import asyncio
import inspect
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from small_market import MS, SECOND, START, Joins, paint, settings

from mmbot import _core
from mmbot.config import ConfigError, InstrumentConfig
from mmbot.data.tape_records import records
from mmbot.ops.counters import Counters
from mmbot.ops.dryrun import dry_run, on_recording
from mmbot.ops.iterations import IterationError, read_iterations
from mmbot.ops.runs import Cut
from mmbot.ops.shadow import Shadow, as_listed, shadow, tapes_of
from mmbot.ops.shadow_market import ShadowMarket
from mmbot.ops.shadow_sources import FeedSource, TapeSource
from mmbot.ops.strictness import Doubts, StrictError
from mmbot.ops.ticks import Tick
from mmbot.research.backtest import StrategyError
from mmbot.venues.port import InstrumentTerms, LinkEvent, VenueError
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Skipped, Ticker

FROZEN = {"MM_FREEZE_UTC": "1"}
MARKET = ("linear", "BTCUSDT")


def shadowed(tmp_path, config, *, source=None, cut=None, crossing=0, **settings):
    """A shadow run of the configured tapes, or of another source, by `Joins`."""
    tapes = tapes_of(config)
    run = Shadow(
        config=config,
        instruments={market: tape.instrument for market, tape in tapes.items()},
        source=source or TapeSource(tapes, speed=0),
        out=tmp_path / "shadow",
        cut=cut or Cut(duration_s=10, iterations=6),
    )
    strategy = settings.pop("strategy", None) or Joins(crossing)
    return asyncio.run(shadow(run, strategy=strategy, environ=FROZEN, **settings))


def measured(folder: Path) -> list:
    """The iterations of a run, but for what names the run."""
    return [msgspec.structs.replace(one, mode="", config_hash="") for one in read_iterations(folder)]


def replayed(tmp_path, config, *, crossing=0, cut=None):
    """A dry run of what the shadow run recorded."""
    recorded = on_recording(config, tmp_path / "shadow/tapes")
    cut = cut or Cut(duration_s=10)
    return dry_run(recorded, tmp_path / "dry", strategy=Joins(crossing), cut=cut, environ=FROZEN)


@pytest.mark.parametrize("crossing", [0, 7])
def test_a_dry_run_of_the_recording_says_the_same(tmp_path: Path, crossing: int):
    """Every KPI of every iteration, the commands and the state: a shadow run is the replay of what it heard."""
    config = settings(paint(tmp_path / "a.tape", seconds=80))
    seen = shadowed(tmp_path, config, crossing=crossing)
    held = replayed(tmp_path, config, crossing=crossing, cut=Cut(duration_s=10, iterations=6))
    assert measured(tmp_path / "shadow") == measured(tmp_path / "dry")
    assert (seen.commands_hash, seen.state_hash, seen.summary) == (held.commands_hash, held.state_hash, held.summary)
    assert seen.tape_hashes == held.tape_hashes
    assert seen.summary.maker_count > 0


def test_two_symbols_are_shadowed_together(tmp_path: Path):
    """Markets of different delays, one of which begins later, end as their replay does."""
    config = settings(paint(tmp_path / "a.tape"), paint(tmp_path / "b.tape", symbol="ETHUSDT", delay_ms=250))
    seen = shadowed(tmp_path, config)
    assert replayed(tmp_path, config).state_hash == seen.state_hash
    assert measured(tmp_path / "shadow") == measured(tmp_path / "dry")
    assert sorted(path.name for path in (tmp_path / "shadow/tapes").iterdir()) == [
        "linear-BTCUSDT.tape",
        "linear-ETHUSDT.tape",
    ]


def test_a_played_tape_is_recorded_record_by_record(tmp_path: Path):
    """What was played to the end is what is on the recording, so a dry run of either is the same."""
    path = paint(tmp_path / "a.tape")
    config = settings(path)
    seen = shadowed(tmp_path, config, cut=Cut(duration_s=10))
    tapes = _core.Tape.open(path), _core.Tape.open(tmp_path / "shadow/tapes/linear-BTCUSDT.tape")
    for section in ("depth", "levels", "trades", "funding"):
        assert records(tapes[0], section).tobytes() == records(tapes[1], section).tobytes()
    held = dry_run(config, tmp_path / "dry", strategy=Joins(), cut=Cut(duration_s=10), environ=FROZEN)
    assert (seen.state_hash, seen.iterations) == (held.state_hash, 6)


def test_iterations_are_told_when_they_are_over_not_at_the_end(tmp_path: Path):
    """The first is written while the market goes on, and is not another when the run ends."""
    texts: list[tuple[int, bytes]] = []

    async def told(iteration) -> None:
        path = tmp_path / "shadow" / f"ITER_SUMMARY_{iteration.iteration}.json"
        texts.append((len(list((tmp_path / "shadow/tapes").glob("*.live"))), path.read_bytes()))

    shadowed(tmp_path, settings(paint(tmp_path / "a.tape", seconds=80)), told=told)
    assert [growing for growing, _ in texts] == [1] * 6
    final = [(tmp_path / "shadow" / f"ITER_SUMMARY_{n}.json").read_bytes() for n in range(1, 7)]
    assert [text for _, text in texts] == final


def test_who_stops_a_run_keeps_what_was_heard(tmp_path: Path):
    """The iterations that are over are measured, the recording is whole; that there are fewer is a doubt."""

    async def told(iteration) -> None:
        if iteration.iteration == 2:
            stop.set()

    stop, doubts = asyncio.Event(), Doubts()
    config = settings(paint(tmp_path / "a.tape", seconds=80))
    seen = shadowed(tmp_path, config, told=told, stop=stop, doubts=doubts)
    assert 2 <= seen.iterations < 6
    assert "6 iterations were asked for" in seen.notes[0]
    assert measured(tmp_path / "shadow")[:2] == [one for one in _after_replay(tmp_path, config)][:2]
    stop.clear()
    with pytest.raises(StrictError, match="6 iterations were asked for"):
        shadowed(tmp_path, config, told=told, stop=stop, doubts=Doubts(strict=True))


def _after_replay(tmp_path, config):
    replayed(tmp_path, config)
    return [msgspec.structs.replace(one, notes=()) for one in measured(tmp_path / "dry")]


def test_an_earlier_recording_is_replaced(tmp_path: Path):
    """Also one that a killed run left unfinished."""
    config = settings(paint(tmp_path / "a.tape"))
    left = tmp_path / "shadow/tapes/linear-BTCUSDT.live"
    left.mkdir(parents=True)
    (tmp_path / "shadow/tapes/linear-OLDUSDT.tape").touch()
    shadowed(tmp_path, config, cut=Cut(duration_s=10, iterations=1))
    assert [path.name for path in (tmp_path / "shadow/tapes").iterdir()] == ["linear-BTCUSDT.tape"]


class Fails(Joins):
    """Has no idea at its fifth wake."""

    def decide(self, view):
        """Raise once."""
        if self.asked == 5:
            raise KeyError("no idea")
        return super().decide(view)


def test_a_strategy_that_fails_ends_the_run_and_leaves_the_recording(tmp_path: Path):
    """The error says when; the tape up to there can be replayed to find out why."""
    with pytest.raises(StrategyError, match=r"Fails\.decide failed at \d+ ns \(.*test_shadow\.py:\d+\): KeyError"):
        shadowed(tmp_path, settings(paint(tmp_path / "a.tape")), strategy=Fails())
    assert _core.Tape.open(tmp_path / "shadow/tapes/linear-BTCUSDT.tape").events > 0


@pytest.mark.parametrize("speed", [-1.0, float("nan")])
def test_a_speed_is_a_factor(speed: float):
    """Backwards is no way to play a tape."""
    with pytest.raises(ConfigError, match="expected a factor"):
        TapeSource({}, speed=speed)


def test_a_tape_is_played_at_its_speed(tmp_path: Path):
    """Twice as fast: a tenth of a second of the market each 50 ms, less what telling it took."""
    slept: list[float] = []
    now = 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += round(seconds * 1e9) + 10 * MS

    config = settings(paint(tmp_path / "a.tape", seconds=6))
    source = TapeSource(tapes_of(config), speed=2, monotonic=lambda: now, sleep=sleep)
    shadowed(tmp_path, config, source=source, cut=Cut(duration_s=1, iterations=2))
    assert slept[:3] == pytest.approx([0.05, 0.04, 0.04])


def test_a_tape_by_order_is_not_played(tmp_path: Path):
    """A growing tape holds levels; the replay of such a recording is the dry run's."""
    instrument = _core.Instrument(venue="sse", symbol="600519", kind="spot", tick="0.01", lot="1")
    writer = _core.TapeWriter(tmp_path / "a.tape", instrument)
    writer.order_snapshot(START, START, [(1, "buy", "10.00", "5")])
    writer.finish()
    with pytest.raises(ConfigError, match="a tape by order cannot be played; use mmbot dryrun"):
        TapeSource({("spot", "600519"): _core.Tape.open(tmp_path / "a.tape")})


# --- a live feed -----------------------------------------------------------------------------------------------------


def book(at: int, bid: str = "1000", *, kind="snapshot", symbol="BTCUSDT", ts_venue: int | None = None) -> BookUpdate:
    """A book of one level and half a point of spread, known to the venue 5 ms before it is heard."""
    ask = f"{float(bid) + 0.5}"
    return BookUpdate(
        symbol=symbol, kind=kind, ts_venue=at - 5 * MS if ts_venue is None else ts_venue, previous_id=0, last_id=1,
        bids=[(bid, "0.010")], asks=[(ask, "0.010")],
    )  # fmt: skip


def trade(at: int, price: str = "1000", **changes) -> PublicTrade:
    """Somebody sells 15 lots at the bid."""
    terms = {"symbol": "BTCUSDT", "ts_venue": at - 4 * MS, "price": price, "qty": "0.015", "aggressor": "sell"}
    return PublicTrade(**{**terms, "trade_id": "1", **changes})


class Script:
    """A public feed that tells, at each look of the run, what was heard in that tenth of a second."""

    def __init__(self, told) -> None:
        self.now, self.told, self.stopped = START, told, False
        self.asked: list[str] = []

    def __call__(self, sink, clock):
        """Be the feed that the source makes."""
        self.sink = sink
        return self

    async def start(self) -> None:
        """Come up."""
        self.sink.on_link(LinkEvent(link="public", state="up", why="subscribed"))

    async def stop(self) -> None:
        """Go down."""
        self.stopped = True

    def resync(self, category: str, symbol: str, why: str) -> None:
        """Drop the book, as a feed does that is asked for it again."""
        self.asked.append(why)
        self.sink.on_records(category, [BookLost(symbol=symbol, why=why)], self.now)

    async def look(self, seconds: float) -> None:
        """Instead of waiting: let the time pass, and tell what comes."""
        self.now += round(seconds * 1e9)
        for record in self.told(self.now):
            self.sink.on_frame("public", b"{}", self.now)
            self.sink.on_records("linear", [record], self.now)


def listened(tmp_path, told, *, cut=None, first_ns=30 * SECOND, lag_ns=SECOND, counters=None):
    """A shadow run of a scripted feed on the instrument of a painted tape."""
    script = Script(told)
    source = FeedSource(
        script, counters or Counters(), clock=lambda: script.now, lag_ns=lag_ns, first_ns=first_ns, sleep=script.look
    )
    config = settings(paint(tmp_path / "terms.tape", seconds=1))
    cut = cut or Cut(duration_s=2, iterations=3)
    return shadowed(tmp_path, config, source=source, cut=cut, counters=source.counters), script, config


def steady(now: int):
    """A bid that moves up a tick each second, with a sell at it in between."""
    bid = f"{1000 + (now - START) // SECOND * 0.5}"
    return [book(now, bid), trade(now, bid)]


def test_a_live_feed_is_shadowed_and_recorded(tmp_path: Path):
    """What was heard is what a dry run of the recording hears; the feed is closed at the end."""
    seen, script, config = listened(tmp_path, steady)
    held = replayed(tmp_path, config, cut=Cut(duration_s=2, iterations=3))
    assert (seen.state_hash, seen.summary) == (held.state_hash, held.summary)
    assert measured(tmp_path / "shadow") == measured(tmp_path / "dry")
    assert seen.summary.maker_count > 0
    assert seen.summary.p95_latency_ms == 5.0
    assert script.stopped
    assert seen.counters['shadow_link_events_total{state="up"}'] == 1
    assert seen.counters['shadow_frames_total{conn="public"}'] > 100


def test_what_cannot_be_used_is_counted_and_leaves_a_gap(tmp_path: Path):
    """A price off the grid, a lost book and a trade off the book: two gaps, no fill by any of them, and it goes on."""

    def told(now: int):
        match (now - START) // (100 * MS):
            case 5:
                return [book(now, "1000.3", kind="delta")]
            case 9:
                return [BookLost(symbol="BTCUSDT", why="gap")]
            case 12:
                return [trade(now, off_book=True), trade(now, symbol="DOGEUSDT"), Skipped(kind="pong")]
        return steady(now)

    seen, script, config = listened(tmp_path, told)
    said = seen.counters
    assert ["1000.3" in why for why in script.asked] == [True]
    assert said['shadow_messages_refused_total{symbol="BTCUSDT"}'] == 1
    assert said['shadow_books_lost_total{symbol="BTCUSDT"}'] == 2
    assert said['shadow_off_book_trades_total{symbol="BTCUSDT"}'] == 1
    assert _core.Tape.open(tmp_path / "shadow/tapes/linear-BTCUSDT.tape").info()["gaps"] == 2
    assert replayed(tmp_path, config, cut=Cut(duration_s=2)).state_hash == seen.state_hash


def test_an_iteration_waits_for_a_market_that_has_no_two_sides_yet(tmp_path: Path):
    """Nobody offers for three seconds: the first iteration is measured when it can be valued, as the dry run does."""

    def told(now: int):
        if now - START < 3 * SECOND:
            bids = [("1000", "0.010")]
            return [msgspec.structs.replace(book(now), bids=bids, asks=[])]
        return steady(now)

    seen, _, config = listened(tmp_path, told)
    held = replayed(tmp_path, config, cut=Cut(duration_s=2, iterations=3))
    assert measured(tmp_path / "shadow") == measured(tmp_path / "dry")
    assert seen.state_hash == held.state_hash


def test_a_settlement_is_seen_when_the_next_one_moves_on(tmp_path: Path):
    """The ticker's next funding time moves: the one before was settled at the rate and mark known until then."""

    def told(now: int):
        second = (now - START) // SECOND
        due = START + (2 if second < 2 else 10) * SECOND
        rate = "0.0001" if second < 2 else "0.0009"
        ticker = Ticker(symbol="BTCUSDT", ts_venue=now, mark="1000.26", funding_rate=rate, next_funding=due)
        return [*steady(now), ticker]

    listened(tmp_path, told)
    [row] = records(_core.Tape.open(tmp_path / "shadow/tapes/linear-BTCUSDT.tape"), "funding")
    assert (int(row["ts_venue"]), int(row["rate"]), int(row["mark"])) == (START + 2 * SECOND, 10_000, 2001)


def test_messages_later_than_all_before_are_moved_behind_and_counted(tmp_path: Path):
    """A lag of nothing makes a late trade; the recording has it where the run had it, so both still agree."""

    def told(now: int):
        late = (now - START) // (100 * MS) == 15
        return [*steady(now), *([trade(now, "1000.5", ts_venue=now - 700 * MS)] if late else [])]

    seen, _, config = listened(tmp_path, told, lag_ns=0)
    assert seen.counters['shadow_late_messages_total{symbol="BTCUSDT"}'] == 1
    assert replayed(tmp_path, config, cut=Cut(duration_s=2)).state_hash == seen.state_hash


@pytest.mark.parametrize("ahead_ms", [10_000, -10_000])
def test_a_clock_that_is_off_makes_no_message_late(tmp_path: Path, ahead_ms: int):
    """Ten seconds ahead, every message looks as old, and the drift says so; ten behind, none is heard before it was."""

    def told(now: int):
        moved = [msgspec.structs.replace(one, ts_venue=one.ts_venue - ahead_ms * MS) for one in steady(now)]
        return moved if ahead_ms > 0 or now - START > SECOND else []

    seen, _, config = listened(tmp_path, told)
    assert seen.counters['shadow_late_messages_total{symbol="BTCUSDT"}'] == 0
    assert seen.summary.clock_drift_ms == pytest.approx(max(ahead_ms + 4, 0), abs=1)
    assert replayed(tmp_path, config, cut=Cut(duration_s=2)).state_hash == seen.state_hash


def test_a_market_that_says_nothing_ends_the_run(tmp_path: Path):
    """After half a minute of silence at the start the message says where to look."""
    with pytest.raises(VenueError, match="nothing was heard of the market for 30 s"):
        listened(tmp_path, lambda now: [])


def test_a_failure_of_ours_in_the_feed_s_loop_ends_the_run(tmp_path: Path):
    """The sink must not raise into the feed, so the run does."""

    def told(now: int):
        return [book(now, ts_venue=2**70)]

    with pytest.raises(OverflowError):
        listened(tmp_path, told)


def test_a_market_shorter_than_an_iteration_is_refused(tmp_path: Path):
    """Nothing to measure is an error; the recording stays."""
    config = settings(paint(tmp_path / "a.tape", seconds=3))
    with pytest.raises(IterationError, match="less than one iteration"):
        shadowed(tmp_path, config)
    assert (tmp_path / "shadow/tapes/linear-BTCUSDT.tape").exists()


def test_a_tick_is_a_book_of_one_level_and_a_trade_only_if_it_says_all_of_it(tmp_path: Path):
    """A size alone fills nobody; with price and side it is a trade; after a loss the book is unknown until the tick."""
    instrument = _core.Instrument(venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.5", lot="0.001")
    market = ShadowMarket(tmp_path, {MARKET: instrument}, Counters())
    best = {"bid": "1000", "bid_size": "1", "ask": "1000.5", "ask_size": "2", "symbol": "BTCUSDT"}
    for seq, after_gap, traded in (
        (1, False, {"last_qty": "0.5"}),
        (2, False, {"last_qty": "0.5", "last_price": "1000", "last_side": "sell"}),
        (9, True, {"last_qty": "0", "last_price": "1000", "last_side": "sell"}),
    ):
        at = START + seq * MS
        market.on_tick(MARKET, Tick(seq=seq, ts_venue=at, **best, **traded), at, after_gap=after_gap)
    info = _core.Tape.open(market.seal()[MARKET]).info()
    assert (info["depth"], info["gaps"], info["trades"]) == (4, 1, 1)


# --- no orders -------------------------------------------------------------------------------------------------------


def test_nothing_that_orders_is_loaded_by_a_shadow_run():
    """With everything that a run on a live feed imports, no order session and nothing below it is in the process."""
    code = (
        "import sys, mmbot.ops.shadow, mmbot.ops.shadow_wiring, mmbot.venues.bybit.public\n"
        "bad = ('account', 'http', 'private', 'session', 'trade')\n"
        "print([name for name in sys.modules if name.startswith('mmbot.venues.bybit.') and name.endswith(bad)])\n"
        "print([name for name in sys.modules if name in ('mmbot.wiring', 'mmbot.runtime', 'mmbot.venues.fake')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_a_shadow_run_takes_nothing_that_could_order():
    """No parameter of it, and no field of what it is told, has room for credentials or an order session."""
    words = " ".join([*inspect.signature(shadow).parameters, *Shadow.__dataclass_fields__])
    assert words == "run strategy doubts counters environ told stop config instruments source out cut profile"


def terms(**changes) -> InstrumentTerms:
    """What Bybit lists."""
    listed = {
        "category": "linear", "symbol": "BTCUSDT", "kind": "linear", "tradable": True, "base": "BTC", "quote": "USDT",
        "settle": "USDT", "tick": "0.10", "lot": "0.001", "min_qty": None, "max_qty": None, "min_notional": None,
        "funding_interval_s": None,
    }  # fmt: skip
    return InstrumentTerms(**{**listed, **changes})


def test_an_instrument_has_the_venue_s_grid_and_the_fees_of_configuration_or_tape(tmp_path: Path):
    """Where nobody says the fees the run is refused: a market maker's edge is no guess."""
    limits = {"position": "1", "order": "1"}
    config = settings(paint(tmp_path / "a.tape", seconds=1)).instruments[0]
    found = as_listed(config, terms())
    assert (found.tick, found.lot, found.venue) == ("0.1", "0.001", "bybit-linear")
    without = InstrumentConfig(symbol="BTCUSDT", category="linear", limits=limits)
    with pytest.raises(ConfigError, match="BTCUSDT: no fees"):
        as_listed(without, terms())
    said = InstrumentConfig(
        symbol="BTCUSDT", category="linear", limits=limits, fees={"maker_bps": -0.5, "taker_bps": 4.0}
    )
    assert as_listed(said, terms()).maker == 0
