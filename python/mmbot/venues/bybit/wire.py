"""Bybit v5 public streams and instrument terms: bytes to records, pure.

Source: Bybit v5 documents, WebSocket public channels `orderbook`, `publicTrade`, `tickers`, and GET
/v5/market/instruments-info. `cts` is the matching engine's time (it joins with a trade's `T`), `ts` the gateway's.
Update ids count up by one per delta of a topic; an update with id 1 is a restart of the service and replaces the book,
whatever its type says. A stream of depth 1 sends snapshots only, and after three quiet seconds the last one again.

Book updates are most of the traffic and are decoded in one pass over their bytes; everything else takes two.
"""

from functools import lru_cache
from typing import Literal

import msgspec

from mmbot.venues.port import InstrumentTerms
from mmbot.venues.records import UNREADABLE, BookUpdate, Levels, PublicTrade, Record, Skipped, Ticker, WireError

NS_PER_MS = 1_000_000
_BOOK_TOPIC = b'{"topic":"orderbook.'
_AFTER_BOOK_TOPIC = slice(len(_BOOK_TOPIC), len(_BOOK_TOPIC) + 1)


class _Envelope(msgspec.Struct):
    topic: str | None = None
    op: str | None = None
    type: str | None = None
    ts: int | None = None
    cts: int | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Book(msgspec.Struct, gc=False):
    s: str
    b: Levels
    a: Levels
    u: int
    seq: int = 0


class _BookFrame(msgspec.Struct, gc=False):
    topic: str
    type: str
    data: _Book
    ts: int | None = None
    cts: int | None = None


class _Trade(msgspec.Struct):
    T: int
    s: str
    S: Literal["Buy", "Sell"]
    v: str
    p: str
    i: str
    BT: bool = False
    RPI: bool = False


class _Ticker(msgspec.Struct):
    symbol: str
    markPrice: str | None = None  # noqa: N815 (the venue's spelling)
    fundingRate: str | None = None  # noqa: N815
    nextFundingTime: str | None = None  # noqa: N815


class _PriceFilter(msgspec.Struct):
    tickSize: str  # noqa: N815


class _LotFilter(msgspec.Struct):
    qtyStep: str | None = None  # noqa: N815
    basePrecision: str | None = None  # noqa: N815
    minOrderQty: str | None = None  # noqa: N815
    maxOrderQty: str | None = None  # noqa: N815
    maxLimitOrderQty: str | None = None  # noqa: N815
    minNotionalValue: str | None = None  # noqa: N815
    minOrderAmt: str | None = None  # noqa: N815


class _Listed(msgspec.Struct):
    symbol: str
    priceFilter: _PriceFilter  # noqa: N815
    lotSizeFilter: _LotFilter  # noqa: N815
    status: str = "Trading"
    baseCoin: str = ""  # noqa: N815
    quoteCoin: str = ""  # noqa: N815
    settleCoin: str = ""  # noqa: N815
    fundingInterval: int | None = None  # noqa: N815


class _Page(msgspec.Struct):
    category: Literal["linear", "inverse", "spot"]
    list: list[_Listed]


class _Answer(msgspec.Struct):
    retCode: int  # noqa: N815
    retMsg: str  # noqa: N815
    result: msgspec.Raw


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BOOK = msgspec.json.Decoder(_BookFrame)
_TRADES = msgspec.json.Decoder(list[_Trade])
_TICKER = msgspec.json.Decoder(_Ticker)
_ANSWER = msgspec.json.Decoder(_Answer)
_PAGE = msgspec.json.Decoder(_Page)


def decode(frame: bytes) -> list[Record]:
    """Records of one public WebSocket frame.

    Raises:
        WireError: The frame is not JSON, or lacks a documented field, or has it with another type.
    """
    try:
        if frame.startswith(_BOOK_TOPIC) and frame[_AFTER_BOOK_TOPIC].isdigit():
            return [_book(_BOOK.decode(frame))]
        envelope = _ENVELOPE.decode(frame)
        if envelope.topic is None:
            return [Skipped(kind=envelope.op or "answer")]
        channel, _, rest = envelope.topic.partition(".")
        match channel:
            case "orderbook" if rest[:1].isdigit():  # others (rpi, full) have their own levels and rules
                return [_book(_BOOK.decode(frame))]
            case "publicTrade":
                return [_trade(said) for said in _TRADES.decode(envelope.data)]
            case "tickers":
                return [_ticker(envelope)]
            case _:
                return [Skipped(kind=channel)]
    except UNREADABLE as error:
        raise WireError(f"Bybit frame: {error}") from error


def _book(frame: _BookFrame) -> BookUpdate:
    said = frame.data
    if frame.type not in ("snapshot", "delta"):
        raise WireError(f"Bybit orderbook: type {frame.type!r} is neither snapshot nor delta")
    ts = frame.ts if frame.cts is None else frame.cts
    if ts is None:
        raise WireError("Bybit orderbook: neither `cts` nor `ts`")
    return BookUpdate(
        symbol=said.s,
        kind="snapshot" if said.u == 1 or frame.type == "snapshot" else "delta",
        ts_venue=ts * NS_PER_MS,
        previous_id=said.u - 1,
        last_id=said.u,
        bids=said.b,
        asks=said.a,
        depth=_depth(frame.topic),
        sequence=said.seq,
    )


@lru_cache(maxsize=1024)
def _depth(topic: str) -> int:
    depth = topic.split(".")[1] if topic.count(".") > 1 else ""
    if not (depth.isascii() and depth.isdigit()):
        raise WireError(f"Bybit orderbook: no depth in topic {topic!r}")
    return int(depth)


def _trade(said: _Trade) -> PublicTrade:
    return PublicTrade(
        symbol=said.s,
        ts_venue=said.T * NS_PER_MS,
        price=said.p,
        qty=said.v,
        aggressor="buy" if said.S == "Buy" else "sell",
        trade_id=said.i,
        off_book=said.BT or said.RPI,
    )


def _ticker(envelope: _Envelope) -> Ticker:
    said = _TICKER.decode(envelope.data)
    if envelope.ts is None:
        raise WireError("Bybit tickers: no `ts`")
    following = said.nextFundingTime or None  # spot and expiring contracts say ""
    if following is not None and not (following.isascii() and following.isdigit()):
        raise WireError(f"Bybit tickers: nextFundingTime {following!r} is not a time in milliseconds")
    return Ticker(
        symbol=said.symbol,
        ts_venue=envelope.ts * NS_PER_MS,
        mark=said.markPrice or None,
        funding_rate=said.fundingRate or None,
        next_funding=None if following is None else int(following) * NS_PER_MS,
    )


def decode_terms(answer: bytes) -> list[InstrumentTerms]:
    """Terms of every instrument in one page of GET /v5/market/instruments-info.

    Raises:
        WireError: The answer is an error of the venue, or lacks a documented field.
    """
    try:
        said = _ANSWER.decode(answer)
    except UNREADABLE as error:
        raise WireError(f"Bybit instruments-info: {error}") from error
    if said.retCode != 0:
        raise WireError(f"Bybit instruments-info: retCode {said.retCode}: {said.retMsg}")
    return decode_listing(bytes(said.result))


def decode_listing(result: bytes) -> list[InstrumentTerms]:
    """Terms of every instrument in the `result` of such an answer. Raises WireError."""
    try:
        page = _PAGE.decode(result)
    except UNREADABLE as error:
        raise WireError(f"Bybit instruments-info: {error}") from error
    return [_terms(page.category, listed) for listed in page.list]


def _terms(category: Literal["linear", "inverse", "spot"], listed: _Listed) -> InstrumentTerms:
    size = listed.lotSizeFilter
    lot = size.qtyStep or size.basePrecision
    if lot is None:
        raise WireError(f"Bybit instruments-info: {listed.symbol} has neither qtyStep nor basePrecision")
    spot = category == "spot"  # its smallest order is an amount; minOrderQty and maxOrderQty no longer hold there
    return InstrumentTerms(
        category=category,
        symbol=listed.symbol,
        kind=category,
        tradable=listed.status == "Trading",
        base=listed.baseCoin,
        quote=listed.quoteCoin,
        settle=listed.settleCoin or listed.quoteCoin,
        tick=listed.priceFilter.tickSize,
        lot=lot,
        min_qty=None if spot else size.minOrderQty,
        max_qty=size.maxLimitOrderQty if spot else size.maxOrderQty,
        min_notional=size.minOrderAmt if spot else size.minNotionalValue,
        funding_interval_s=None if listed.fundingInterval is None else listed.fundingInterval * 60,
    )


def book_frame(book: BookUpdate) -> bytes:
    """A whole book as the stream would say it now: a reader that starts here can follow the updates after it."""
    ms = (book.ts_venue or 0) // NS_PER_MS
    bids = sorted(book.bids, key=lambda level: float(level[0]), reverse=True)
    said = {"s": book.symbol, "b": bids, "a": book.asks, "u": book.last_id, "seq": book.sequence}
    topic = f"orderbook.{book.depth}.{book.symbol}"
    return msgspec.json.encode({"topic": topic, "type": "snapshot", "ts": ms, "data": said, "cts": ms})


def ticker_frame(ticker: Ticker) -> bytes:
    """What is known of an instrument's funding as the stream would say it now."""
    following = None if ticker.next_funding is None else str(ticker.next_funding // NS_PER_MS)
    said = {"symbol": ticker.symbol, "markPrice": ticker.mark, "fundingRate": ticker.funding_rate}
    known = {name: value for name, value in {**said, "nextFundingTime": following}.items() if value is not None}
    ms = ticker.ts_venue // NS_PER_MS
    return msgspec.json.encode({"topic": f"tickers.{ticker.symbol}", "type": "snapshot", "data": known, "ts": ms})
