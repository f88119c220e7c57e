"""Bybit v5 public streams and instrument terms: bytes to records, pure.

Source: Bybit v5 documents, WebSocket public channels `orderbook`, `publicTrade`, `tickers`, and GET
/v5/market/instruments-info. `cts` is the matching engine's time (it joins with a trade's `T`), `ts` the gateway's.
Update ids count up by one per delta of a topic; an update with id 1 is a restart of the service and replaces the book,
whatever its type says.
"""

from typing import Literal

import msgspec

from mmbot.venues.records import BookUpdate, Levels, PublicTrade, Record, Skipped, Ticker, WireError

NS_PER_MS = 1_000_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Grid of one instrument, decimal strings."""

    category: str
    symbol: str
    tick: str
    lot: str


class _Envelope(msgspec.Struct):
    topic: str | None = None
    op: str | None = None
    type: str | None = None
    ts: int | None = None
    cts: int | None = None
    data: msgspec.Raw = msgspec.Raw()


class _Book(msgspec.Struct):
    s: str
    b: Levels
    a: Levels
    u: int


class _Trade(msgspec.Struct):
    T: int
    s: str
    S: Literal["Buy", "Sell"]
    v: str
    p: str
    i: str


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


class _Listed(msgspec.Struct):
    symbol: str
    priceFilter: _PriceFilter  # noqa: N815
    lotSizeFilter: _LotFilter  # noqa: N815


class _Page(msgspec.Struct):
    category: str
    list: list[_Listed]


class _Answer(msgspec.Struct):
    retCode: int  # noqa: N815
    retMsg: str  # noqa: N815
    result: msgspec.Raw


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_BOOK = msgspec.json.Decoder(_Book)
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
        envelope = _ENVELOPE.decode(frame)
        if envelope.topic is None:
            return [Skipped(kind=envelope.op or "answer")]
        channel = envelope.topic.partition(".")[0]
        match channel:
            case "orderbook":
                return [_book(envelope)]
            case "publicTrade":
                return [_trade(said) for said in _TRADES.decode(envelope.data)]
            case "tickers":
                return [_ticker(envelope)]
            case _:
                return [Skipped(kind=channel)]
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        raise WireError(f"Bybit frame: {error}") from error


def _book(envelope: _Envelope) -> BookUpdate:
    said = _BOOK.decode(envelope.data)
    if envelope.type not in ("snapshot", "delta"):
        raise WireError(f"Bybit orderbook: type {envelope.type!r} is neither snapshot nor delta")
    ts = envelope.ts if envelope.cts is None else envelope.cts
    if ts is None:
        raise WireError("Bybit orderbook: neither `cts` nor `ts`")
    snapshot = envelope.type == "snapshot" or said.u == 1
    return BookUpdate(
        symbol=said.s,
        kind="snapshot" if snapshot else "delta",
        ts_venue=ts * NS_PER_MS,
        previous_id=said.u - 1,
        last_id=said.u,
        bids=said.b,
        asks=said.a,
    )


def _trade(said: _Trade) -> PublicTrade:
    return PublicTrade(
        symbol=said.s,
        ts_venue=said.T * NS_PER_MS,
        price=said.p,
        qty=said.v,
        aggressor="buy" if said.S == "Buy" else "sell",
        trade_id=said.i,
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


def decode_terms(answer: bytes) -> list[Terms]:
    """Terms of every instrument in one page of GET /v5/market/instruments-info.

    Raises:
        WireError: The answer is an error of the venue, or lacks a documented field.
    """
    try:
        said = _ANSWER.decode(answer)
        if said.retCode != 0:
            raise WireError(f"Bybit instruments-info: retCode {said.retCode}: {said.retMsg}")
        page = _PAGE.decode(said.result)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"Bybit instruments-info: {error}") from error
    return [_terms(page.category, listed) for listed in page.list]


def _terms(category: str, listed: _Listed) -> Terms:
    lot = listed.lotSizeFilter.qtyStep or listed.lotSizeFilter.basePrecision
    if lot is None:
        raise WireError(f"Bybit instruments-info: {listed.symbol} has neither qtyStep nor basePrecision")
    return Terms(category=category, symbol=listed.symbol, tick=listed.priceFilter.tickSize, lot=lot)
