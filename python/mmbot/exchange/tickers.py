"""The 24-hour view of an instrument: what REST answers, and what the stream sends.

Derivatives' streams begin with a snapshot and go on with the fields that changed; spot sends snapshots only, without
bid and ask. A history of a day exists only after a day: until then the fields speak of what there was.
Source: Bybit v5, "Get Tickers" and "Ticker" stream; shapes as recorded on 2026-08-09.
"""

from decimal import Decimal
from itertools import islice

from mmbot.exchange.market import Market
from mmbot.exchange.money import UNIT
from mmbot.exchange.wire_text import Texts, decimal_text

__all__ = ["rest_row", "stream_row"]

Row = dict[str, str]
_HOUR = 60


def _rate(units: int) -> str:
    return decimal_text(Decimal(units).scaleb(-8))


def _past(market: Market, minutes: int) -> int:
    """Price that many minutes ago, or the oldest one known; in ticks."""
    closed = market.klines["1"].closed
    if not closed:
        current = market.klines["1"].current
        return current.open if current else market.last
    return closed[-minutes].open if len(closed) >= minutes else closed[0].open


def _day(market: Market, texts: Texts) -> Row:
    minutes = market.klines["1"]
    current = minutes.current
    if current is None:
        flat = texts.price(market.last or market.index)
        return {
            "lastPrice": flat,
            "highPrice24h": flat,
            "lowPrice24h": flat,
            "prevPrice24h": flat,
            "volume24h": "0",
            "turnover24h": "0",
            "price24hPcnt": "0",
        }
    before = _past(market, 1_440)
    high = max((candle.high for candle in islice(minutes, 1_440)), default=current.high)
    low = min((candle.low for candle in islice(minutes, 1_440)), default=current.low)
    change = Decimal(market.last - before) / before if before else Decimal(0)
    return {
        "lastPrice": texts.price(market.last),
        "highPrice24h": texts.price(high),
        "lowPrice24h": texts.price(low),
        "prevPrice24h": texts.price(before),
        "volume24h": market.instrument.quantity(minutes.volume + current.volume),
        "turnover24h": decimal_text((Decimal(minutes.turnover + current.turnover) / UNIT).quantize(_CENTS)),
        "price24hPcnt": decimal_text(change.quantize(_MILLIONTHS)),
    }


_CENTS, _MILLIONTHS = Decimal("0.0001"), Decimal("0.000001")


def _touch(market: Market, texts: Texts) -> Row:
    bid, ask = market.floor.touch()
    return {
        "bid1Price": "" if bid is None else texts.price(bid),
        "bid1Size": "" if bid is None else texts.qty(market.floor.lots_at("buy", bid)),
        "ask1Price": "" if ask is None else texts.price(ask),
        "ask1Size": "" if ask is None else texts.qty(market.floor.lots_at("sell", ask)),
    }


def stream_row(market: Market, texts: Texts, now_ms: int) -> Row:
    """What the stream says about an instrument now."""
    if market.rules.is_spot:
        day = _day(market, texts)
        return {"symbol": market.symbol, **day, "usdIndexPrice": texts.price(market.index)}
    interest = Decimal(market.switches.open_interest)
    value = interest * Decimal(texts.price(market.mark)) if market.mark else Decimal(0)
    if market.category == "inverse" and market.mark:
        value = interest / Decimal(texts.price(market.mark))
    half = decimal_text(interest / 2)
    return {
        "symbol": market.symbol,
        "tickDirection": market.prints[-1].direction if market.prints else "ZeroPlusTick",
        **_day(market, texts),
        "prevPrice1h": texts.price(_past(market, _HOUR)),
        "markPrice": texts.price(market.mark),
        "indexPrice": texts.price(market.index),
        "openInterest": market.switches.open_interest,
        "openInterestValue": decimal_text(value.quantize(_CENTS)),
        "singleOpenInterest": half,
        "singleOpenInterestValue": decimal_text((value / 2).quantize(_CENTS)),
        "fundingIntervalHour": str(max(1, market.rules.funding_interval_min // 60)),
        "fundingCap": market.rules.upper_funding_rate,
        "nextFundingTime": str(market.next_funding_ms),
        "fundingRate": _rate(market.funding_rate),
        **_touch(market, texts),
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def rest_row(market: Market, texts: Texts, now_ms: int) -> Row:
    """What REST answers about an instrument now."""
    row = stream_row(market, texts, now_ms)
    if market.rules.is_spot:
        return {**row, **_touch(market, texts)}
    row.pop("tickDirection")
    return {
        **row,
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basisRateYear": "",
        "basis": "",
        "deliveryFeeRate": "",
        "deliveryTime": "0",
    }
