"""One law for every tape: what is written, what is left out, and where the book is unknown."""

from pathlib import Path

import pytest

from mmbot._core import Instrument, LiveTape, Tape
from mmbot.data.normalise import Normaliser
from mmbot.data.scribe import Counted, Scribe
from mmbot.data.tape_records import kind, records
from mmbot.ops.counters import Counters
from mmbot.ops.shadow_market import ShadowMarket
from mmbot.runtime.market import RunMarket
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Ticker

T0 = 1_800_000_000_000_000_000
MS = 1_000_000
MARKET = ("linear", "BTCUSDT")
INSTRUMENT = Instrument(venue="bybit-linear", symbol="BTCUSDT", kind="linear", tick="0.5", lot="0.001")
LONGEST = 40


def book(at: int, number: int, kind: str = "delta", bid: str = "100") -> BookUpdate:
    """The `number`th message of a book, sent `at` ms after the start."""
    return BookUpdate(
        symbol="BTCUSDT", kind=kind, ts_venue=T0 + at * MS, previous_id=number - 1, last_id=number,
        bids=[(bid, "1")], asks=[("101", "2")],
    )  # fmt: skip


def trade(at: int, price: str = "100", *, off_book: bool = False) -> PublicTrade:
    """Somebody sells one."""
    return PublicTrade(
        symbol="BTCUSDT", ts_venue=T0 + at * MS, price=price, qty="1", aggressor="sell", trade_id="1", off_book=off_book
    )  # fmt: skip


def ticker(at: int, due: int, mark: str | None = None, rate: str | None = None) -> Ticker:
    """The next funding is `due` ms after the start."""
    return Ticker(symbol="BTCUSDT", ts_venue=T0 + at * MS, mark=mark, funding_rate=rate, next_funding=T0 + due * MS)


STORY = [
    trade(0),
    book(1, 1, "snapshot"),
    ticker(2, 20, "100.3", "0.0001"),
    book(3, 2, bid="99.5"),
    trade(4, off_book=True),
    trade(5, "100.3"),  # off the grid
    trade(6, "99.5"),
    BookLost(symbol="BTCUSDT", why="a gap"),
    BookLost(symbol="BTCUSDT", why="a silent link"),
    book(9, 7, "snapshot"),
    book(10, 8, bid="100.3"),  # off the grid
    book(11, 9),  # changes a book that nobody has
    book(12, 20, "snapshot", "99"),
    ticker(21, 40),
    book(22, 21),
]
"""A market with everything in it that is not as it should be."""


def by_normaliser(folder: Path) -> Path:
    """The way of the recorder and of the import."""
    live = LiveTape(folder / "a.live", INSTRUMENT)
    normaliser: Normaliser[None] = Normaliser(live, INSTRUMENT, Counted(), lambda *_: None)
    for at, record in enumerate(STORY):
        normaliser.take(None, T0 + (at + LONGEST) * MS, [record])
    live.seal(folder / "a.tape")
    return folder / "a.tape"


def by_run(folder: Path) -> Path:
    """The way of a run that trades."""
    live = LiveTape(folder / "a.live", INSTRUMENT)
    market = RunMarket({MARKET: live})
    for at, record in enumerate(STORY):
        market.take("linear", record, T0 + (at + LONGEST) * MS)
    live.seal(folder / "a.tape")
    return folder / "a.tape"


def by_shadow(folder: Path) -> Path:
    """The way of a shadow run."""
    market = ShadowMarket(folder, {MARKET: INSTRUMENT}, Counters())
    for at, record in enumerate(STORY):
        market.on_records("linear", [record], T0 + (at + LONGEST) * MS)
    return market.seal()[MARKET]


@pytest.mark.parametrize("way", [by_run, by_shadow])
def test_whoever_writes_it_a_market_is_the_same_tape(way, tmp_path: Path):
    """Recorder, run and shadow run give one file, byte for byte, with two gaps and one settlement."""
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    first, second = by_normaliser(tmp_path / "one"), way(tmp_path / "other")
    assert first.read_bytes() == second.read_bytes()
    tape = Tape.open(second)
    assert kind(records(tape, "depth")).tolist() == [1, 0, 2, 1, 2, 1, 0]
    assert [int(row["tick"]) for row in records(tape, "trades")] == [200, 199]
    [settled] = records(tape, "funding")
    assert (int(settled["ts_venue"]), int(settled["rate"]), int(settled["mark"])) == (T0 + 20 * MS, 10_000, 201)


def test_what_is_left_out_is_counted(tmp_path: Path):
    """Each by its kind; what the grid cannot hold is said with its reason."""
    scribe = Scribe(LiveTape(tmp_path / "a.live", INSTRUMENT), INSTRUMENT)
    said = [scribe.take(record, T0 + LONGEST * MS) for record in STORY]
    assert [bool(why) for why in said] == [record in (STORY[5], STORY[10]) for record in STORY]
    counted = scribe.counted
    assert (counted.gaps, counted.trades, counted.trades_off_book, counted.funding) == (2, 2, 1, 1)
    assert counted.quarantined == {"unusable number": 2}


@pytest.mark.parametrize("mark", ["", "NaN", "1e99"])
def test_a_settlement_that_cannot_be_is_left_out(mark: str, tmp_path: Path):
    """A mark price that is none is a refusal with its reason, not an error."""
    scribe = Scribe(LiveTape(tmp_path / "a.live", INSTRUMENT), INSTRUMENT)
    scribe.take(ticker(0, 10, mark, "0.0001"), T0)
    assert scribe.take(ticker(11, 20), T0 + 20 * MS).startswith("funding: ")
    assert (scribe.counted.funding, scribe.counted.quarantined) == (0, {"unusable number": 1})
