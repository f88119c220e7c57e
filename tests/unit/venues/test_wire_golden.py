"""Captured frames decode to the records that were reviewed once; other bytes are refused clearly."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mmbot.venues.binance import wire as binance
from mmbot.venues.bybit import wire as bybit
from mmbot.venues.port import InstrumentTerms
from mmbot.venues.records import BookUpdate, Record, WireError

FRAMES = Path(__file__).parents[2] / "golden" / "frames"
NAMES = sorted(path.stem for path in FRAMES.glob("*.json") if not path.name.endswith(".expected.json"))

Decoder = Callable[[bytes], list[Record] | list[InstrumentTerms]]


def decoder(name: str) -> Decoder:
    """The decoder for a captured frame, by its name."""
    if name.startswith("binance"):
        return lambda frame: binance.decode(frame, "BTCUSDT")
    return bybit.decode_terms if name.endswith("instruments-info") else bybit.decode


@pytest.mark.parametrize("name", NAMES)
def test_captured_frames_decode_as_reviewed(name: str) -> None:
    """One real frame of each kind gives exactly the reviewed records."""
    frame = (FRAMES / f"{name}.json").read_bytes()
    found = [{"record": type(one).__name__, **msgspec.to_builtins(one)} for one in decoder(name)(frame)]
    assert msgspec.json.decode(msgspec.json.encode(found)) == msgspec.json.decode(
        (FRAMES / f"{name}.expected.json").read_bytes()
    )


def test_every_kind_of_frame_is_captured() -> None:
    """The captured frames cover books, trades, tickers, snapshots, terms and what is skipped, of each venue."""
    assert len(NAMES) == 23


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"[]", "object"),
        (b"{}", "neither a stream frame"),
        (b'{"stream":"btcusdt@depth","data":{"s":"BTCUSDT","E":1,"U":9,"u":8,"b":[],"a":[]}}', "before the first"),
        (b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","T":1,"t":1,"p":1.5,"q":"1","m":true}}', r"\$\.p"),
    ],
)
def test_binance_refusals_name_the_fault(frame: bytes, words: str) -> None:
    """Each malformed Binance frame is refused with what is wrong in it."""
    with pytest.raises(WireError, match=words):
        binance.decode(frame)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            b'{"topic":"orderbook.50.X","type":"news","ts":1,"data":{"s":"X","b":[],"a":[],"u":2}}',
            "neither snapshot nor",
        ),
        (b'{"topic":"orderbook.50.X","type":"delta","data":{"s":"X","b":[],"a":[],"u":2}}', "neither `cts` nor `ts`"),
        (b'{"topic":"tickers.X","data":{"symbol":"X"}}', "no `ts`"),
        (b'{"topic":"tickers.X","ts":1,"data":{"symbol":"X","nextFundingTime":"soon"}}', "'soon' is not a time"),
        (b'{"topic":"publicTrade.X","data":[{"T":1,"s":"X","S":"Hold","v":"1","p":"1","i":"a"}]}', "Hold"),
    ],
)
def test_bybit_refusals_name_the_fault(frame: bytes, words: str) -> None:
    """Each malformed Bybit frame is refused with what is wrong in it."""
    with pytest.raises(WireError, match=words):
        bybit.decode(frame)


def test_a_bybit_update_with_id_one_replaces_the_book() -> None:
    """After a restart the service counts from one: that delta is a snapshot."""
    frame = b'{"topic":"orderbook.50.X","type":"delta","ts":5,"cts":4,"data":{"s":"X","b":[],"a":[],"u":1}}'
    [update] = bybit.decode(frame)
    assert isinstance(update, BookUpdate)
    assert (update.kind, update.ts_venue) == ("snapshot", 4_000_000)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"retCode":10001,"retMsg":"bad","result":{}}', "retCode 10001: bad"),
        (b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"X"}]}}', "priceFilter"),
        (
            b'{"retCode":0,"retMsg":"","result":{"category":"spot","list":'
            b'[{"symbol":"X","priceFilter":{"tickSize":"1"},"lotSizeFilter":{}}]}}',
            "neither qtyStep nor basePrecision",
        ),
    ],
)
def test_instrument_terms_are_refused_with_the_venue_s_words(answer: bytes, words: str) -> None:
    """An error answer or a listing without a grid gives no terms."""
    with pytest.raises(WireError, match=words):
        bybit.decode_terms(answer)
