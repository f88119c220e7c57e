"""Binance public streams, USD-M futures and spot: bytes to records, pure.

Source: Binance USD-M and spot API documents, "How to manage a local order book correctly". A futures delta names its
predecessor (`pu`); a spot delta follows `U - 1`. Futures carry the matching engine's time `T`, spot depth only the
event time `E`.
"""

import msgspec

from mmbot.venues.records import UNREADABLE, BookUpdate, Levels, PublicTrade, Record, Skipped, WireError

NS_PER_MS = 1_000_000


class _Envelope(msgspec.Struct):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int | None = None  # noqa: N815 (the venue's spelling)


class _Depth(msgspec.Struct):
    s: str
    E: int
    U: int
    u: int
    b: Levels
    a: Levels
    pu: int | None = None
    T: int | None = None


class _Snapshot(msgspec.Struct):
    lastUpdateId: int  # noqa: N815
    bids: Levels
    asks: Levels
    T: int | None = None


class _Trade(msgspec.Struct):
    s: str
    T: int
    t: int
    p: str
    q: str
    m: bool


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_DEPTH = msgspec.json.Decoder(_Depth)
_SNAPSHOT = msgspec.json.Decoder(_Snapshot)
_TRADE = msgspec.json.Decoder(_Trade)


def decode(frame: bytes, symbol: str = "") -> list[Record]:
    """Records of one combined-stream frame, or of a REST depth snapshot.

    Args:
        frame: JSON text.
        symbol: What a REST snapshot is of; it does not say so itself.

    Raises:
        WireError: The frame is not JSON, or lacks a documented field, or has it with another type.
    """
    try:
        envelope = _ENVELOPE.decode(frame)
        if envelope.stream is None:
            if envelope.lastUpdateId is None:
                raise WireError("neither a stream frame (no `stream`) nor a snapshot (no `lastUpdateId`)")
            return [_snapshot(_SNAPSHOT.decode(frame), symbol)]
        channel = envelope.stream.partition("@")[2].partition("@")[0]
        match channel:
            case "depth":
                return [_depth(_DEPTH.decode(envelope.data))]
            case "trade":
                return [_trade(_TRADE.decode(envelope.data))]
            case _:
                return [Skipped(kind=channel or "unnamed stream")]
    except UNREADABLE as error:
        raise WireError(f"Binance frame: {error}") from error


def _depth(said: _Depth) -> BookUpdate:
    if said.u < said.U:
        raise WireError(f"Binance depth: last update id {said.u} is before the first {said.U}")
    return BookUpdate(
        symbol=said.s,
        kind="delta",
        ts_venue=(said.E if said.T is None else said.T) * NS_PER_MS,
        previous_id=said.U - 1 if said.pu is None else said.pu,
        last_id=said.u,
        bids=said.b,
        asks=said.a,
    )


def _snapshot(said: _Snapshot, symbol: str) -> BookUpdate:
    return BookUpdate(
        symbol=symbol,
        kind="snapshot",
        ts_venue=None if said.T is None else said.T * NS_PER_MS,
        previous_id=said.lastUpdateId,
        last_id=said.lastUpdateId,
        bids=said.bids,
        asks=said.asks,
        in_stream=False,
    )


def _trade(said: _Trade) -> PublicTrade:
    return PublicTrade(
        symbol=said.s,
        ts_venue=said.T * NS_PER_MS,
        price=said.p,
        qty=said.q,
        aggressor="sell" if said.m else "buy",  # `m`: the buyer was the maker
        trade_id=str(said.t),
    )
