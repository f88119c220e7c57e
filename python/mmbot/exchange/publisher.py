"""What the market tells the world: books, prints, tickers, klines, liquidations, price limits.

    every beat:  market.settle ─▶ streams whose interval is over ─▶ one encoded frame per topic ─▶ its subscribers

A book stream exists whether somebody listens or not, so that `u` means the same to all. It knows exactly what it has
sent (`Floor.changes`): a delta names a level as gone only if it was sent before, and who joins gets the book as of the
last `u`, to which the next delta fits.
Source: Bybit v5, "Orderbook", "Trade", "Ticker", "Kline", "All Liquidation", "Price Limit" streams.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

from mmbot.exchange import tickers
from mmbot.exchange.klines import INTERVALS, Candle, Klines, end_of
from mmbot.exchange.market import Market, Print
from mmbot.exchange.money import text
from mmbot.exchange.wire_text import Texts, dump

__all__ = ["DEPTHS", "BookStream", "Listener", "Publisher", "candle_fields", "klines_of", "print_id"]

DEPTHS = (1, 50, 200, 1000)
_TRADES_PER_MESSAGE = 1_024
_SIDES = {"buy": "Buy", "sell": "Sell"}

Topic: TypeAlias = str


class Listener(Protocol):
    """Who subscribes."""

    def send(self, topic: str, frame: bytes) -> None:
        """Takes a frame and does not wait."""


def print_id(market: Market, number: int) -> str:
    """The venue's name for a public execution: a UUID, for spot a number."""
    if market.rules.is_spot:
        return str(2_280_000_001_000_000_000 + number)
    return f"{number * 0x9E3779B9 & 0xFFFFFFFF:08x}-{market.rules.symbol_id:04x}-5000-a000-{number:012x}"


def candle_fields(market: Market, texts: Texts, candle: Candle) -> list[str]:
    """Open, high, low, close, volume, turnover as text."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [*map(texts.price, prices), market.instrument.quantity(candle.volume), text(candle.turnover)]


class BookStream:
    """One depth of one instrument: what was sent, under which `u`."""

    def __init__(self, market: Market, texts: Texts, depth: int, interval_ms: int) -> None:
        self.depth = depth
        self.topic = f"orderbook.{depth}.{market.symbol}"
        self.u = 1
        self._market = market
        self._texts = texts
        self._interval_ms = interval_ms
        self._due_ms = 0
        self._changed_ms = market.now_ms()
        self._version = -1
        self._spot_order = market.rules.is_spot or depth == 1
        self.seq, self.event_ms = 0, 0
        """The market's own, and when something last happened there, as of the last `u`."""
        self._take()

    def snapshot(self, now_ms: int) -> bytes:
        """The book as of the last `u`."""
        return self._frame("snapshot", *self._market.floor.published(self.depth), now_ms)

    def restart(self, now_ms: int, u: int) -> bytes:
        """Starts over with the book as it is now."""
        self._take()
        self.u = u
        self._changed_ms = now_ms
        return self.snapshot(now_ms)

    def beat(self, now_ms: int, *, heard: bool) -> bytes | None:
        """The next message, if it is time and there is one. Nothing is written when nobody listens."""
        if now_ms < self._due_ms:
            return None
        self._due_ms = now_ms - now_ms % self._interval_ms + self._interval_ms
        if self._market.floor.version != self._version:
            bids, asks = self._take()
            if bids or asks:
                return self._changed(bids, asks, now_ms, heard=heard)
        if self.depth == 1 and now_ms - self._changed_ms >= self._market.switches.repeat_ms_1:
            self._changed_ms = now_ms
            return self.snapshot(now_ms) if heard else None
        return None

    def _take(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """What changed since the last time, with the moment that the published book is of from now on."""
        market = self._market
        self._version, self.seq, self.event_ms = market.floor.version, market.seq, market.event_ns // 1_000_000
        return market.floor.changes(self.depth)

    def _changed(
        self, bids: list[tuple[int, int]], asks: list[tuple[int, int]], now_ms: int, *, heard: bool
    ) -> bytes | None:
        self.u += 1
        self._changed_ms = now_ms
        if not heard:
            return None
        return self.snapshot(now_ms) if self.depth == 1 else self._frame("delta", bids, asks, now_ms)

    def _frame(self, kind: str, bids: list[tuple[int, int]], asks: list[tuple[int, int]], now_ms: int) -> bytes:
        market, texts = self._market, self._texts
        cts = min(self.event_ms, now_ms)
        ts = max(now_ms, cts + market.switches.gateway_ms)
        head = f'"ts":{ts},"type":"{kind}"' if self._spot_order else f'"type":"{kind}","ts":{ts}'
        return (
            f'{{"topic":"{self.topic}",{head},"data":{{"s":"{market.symbol}","b":{texts.levels(bids)},'
            f'"a":{texts.levels(asks)},"u":{self.u},"seq":{self.seq}}},"cts":{cts}}}'
        ).encode()


class _Channel:
    """All streams of one instrument."""

    def __init__(self, market: Market) -> None:
        switches = market.switches
        self.market = market
        self.texts = Texts(market.rules)
        intervals = (switches.push_ms_1, switches.push_ms_50, switches.push_ms_200, switches.push_ms_1000)
        self.books = {
            depth: BookStream(market, self.texts, depth, interval)
            for depth, interval in zip(DEPTHS, intervals, strict=True)
        }
        self.listeners: dict[Topic, dict[Listener, None]] = {}
        self.ticker_ms = switches.ticker_ms_spot if market.rules.is_spot else switches.ticker_ms
        self.ticker_sent: dict[str, str] = {}
        self.sent_candle: dict[str, tuple[int, int, int]] = {}
        self.due: dict[str, int] = {}

    def is_due(self, stream: str, interval_ms: int, now_ms: int) -> bool:
        if now_ms < self.due.get(stream, 0):
            return False
        self.due[stream] = now_ms - now_ms % interval_ms + interval_ms
        return True

    def publish(self, topic: Topic, frame: bytes) -> None:
        for listener in list(self.listeners.get(topic, ())):
            listener.send(topic, frame)

    def heard(self, topic: Topic) -> bool:
        return bool(self.listeners.get(topic))


class Publisher:
    """All public streams of an exchange."""

    def __init__(self, markets: list[Market]) -> None:
        self._channels: dict[tuple[str, str], _Channel] = {
            (market.category, market.symbol): _Channel(market) for market in markets
        }

    # --- who listens ---

    def knows(self, category: str, topic: Topic) -> bool:
        """Whether there is such a topic."""
        return self._channel(category, topic) is not None

    def join(self, category: str, topic: Topic, listener: Listener) -> None:
        """From now on the listener hears the topic; books and tickers begin with a snapshot at once."""
        channel = self._channel(category, topic)
        if channel is None:
            raise KeyError(topic)
        now_ms = channel.market.now_ms()
        name, *rest = topic.split(".")
        if name == "orderbook":
            listener.send(topic, channel.books[int(rest[0])].snapshot(now_ms))
        elif name == "tickers":
            if not channel.heard(topic):
                channel.ticker_sent = tickers.stream_row(channel.market, channel.texts, now_ms)
            listener.send(topic, self._ticker_frame(channel, "snapshot", channel.ticker_sent, now_ms))
        channel.listeners.setdefault(topic, {})[listener] = None

    def leave(self, category: str, topic: Topic, listener: Listener) -> None:
        """No longer."""
        channel = self._channel(category, topic)
        if channel is not None and topic in channel.listeners:
            channel.listeners[topic].pop(listener, None)
            if not channel.listeners[topic]:
                del channel.listeners[topic]

    def _channel(self, category: str, topic: Topic) -> _Channel | None:
        name, *rest = topic.split(".")
        channel = self._channels.get((category, rest[-1])) if rest else None
        if channel is None:
            return None
        spot = channel.market.rules.is_spot
        match name, rest[:-1]:
            case "orderbook", [depth]:
                fits = depth.isdecimal() and int(depth) in channel.books and str(int(depth)) == depth
            case "kline", [interval]:
                fits = interval in INTERVALS
            case (("publicTrade" | "tickers"), []):
                fits = True
            case (("allLiquidation" | "priceLimit"), []):
                fits = name == "priceLimit" or not spot
            case _:
                fits = False
        return channel if fits else None

    def book(self, category: str, symbol: str, depth: int) -> BookStream:
        """One book stream. Raises KeyError."""
        return self._channels[category, symbol].books[depth]

    def texts(self, market: Market) -> Texts:
        """How an instrument's numbers are written."""
        return self._channels[market.category, market.symbol].texts

    # --- what an operator may do ---

    def restart(self, category: str, symbol: str) -> None:
        """The book service restarts: every depth is sent as a snapshot with `u` = 1. Raises KeyError."""
        self._resend(self._channels[category, symbol], fresh=True)

    def resend(self, market: Market) -> None:
        """Every depth is sent as a snapshot that continues `u`."""
        self._resend(self._channels[market.category, market.symbol], fresh=False)

    def _resend(self, channel: _Channel, *, fresh: bool) -> None:
        now_ms = channel.market.now_ms()
        for book in channel.books.values():
            channel.publish(book.topic, book.restart(now_ms, 1 if fresh else book.u + 1))

    # --- the beat ---

    def beat(self, now_ms: int) -> None:
        """Publishes what is due."""
        for channel in self._channels.values():
            market = channel.market
            if market.status == "Maintenance":
                continue
            for book in channel.books.values():
                frame = book.beat(now_ms, heard=channel.heard(book.topic))
                if frame is not None:
                    channel.publish(book.topic, frame)
            self._trades(channel, now_ms)
            self._ticker(channel, now_ms)
            if channel.is_due("kline", market.switches.kline_ms, now_ms):
                self._klines(channel, now_ms)
            if channel.is_due("liquidation", market.switches.liquidation_ms, now_ms):
                self._liquidations(channel, now_ms)
            if channel.is_due("limit", market.switches.price_limit_ms, now_ms):
                self._price_limit(channel, now_ms)

    def _trades(self, channel: _Channel, now_ms: int) -> None:
        waiting = channel.market.unheard
        topic = f"publicTrade.{channel.market.symbol}"
        if not waiting or not channel.heard(topic):
            waiting.clear()
            return
        rows = [self._trade_row(channel, told) for told in waiting]
        waiting.clear()
        for start in range(0, len(rows), _TRADES_PER_MESSAGE):
            part = rows[start : start + _TRADES_PER_MESSAGE]
            when = {"type": "snapshot", "ts": now_ms}
            if channel.market.rules.is_spot:
                when = {"ts": now_ms, "type": "snapshot"}
            channel.publish(topic, dump({"topic": topic, **when, "data": part}))

    def _trade_row(self, channel: _Channel, told: Print) -> dict[str, object]:
        market, texts = channel.market, channel.texts
        price, qty, name = texts.price(told.tick), texts.qty(told.lots), print_id(market, told.number)
        side = _SIDES[told.side]
        rest = {"BT": False, "RPI": False}
        if market.rules.is_spot:
            return {
                "i": name,
                "T": told.ts_ms,
                "p": price,
                "v": qty,
                "S": side,
                "seq": told.seq,
                "s": market.symbol,
            } | rest
        row = {"T": told.ts_ms, "s": market.symbol, "S": side, "v": qty, "p": price, "L": told.direction, "i": name}
        return row | rest | {"seq": told.seq}

    def _ticker(self, channel: _Channel, now_ms: int) -> None:
        topic = f"tickers.{channel.market.symbol}"
        if not channel.heard(topic) or not channel.is_due("ticker", channel.ticker_ms, now_ms):
            return
        row = tickers.stream_row(channel.market, channel.texts, now_ms)
        changed = {key: value for key, value in row.items() if channel.ticker_sent.get(key) != value}
        channel.ticker_sent = row
        if channel.market.rules.is_spot:
            if changed:
                channel.publish(topic, self._ticker_frame(channel, "snapshot", row, now_ms))
        elif changed:
            frame = self._ticker_frame(channel, "delta", {"symbol": channel.market.symbol} | changed, now_ms)
            channel.publish(topic, frame)

    def _ticker_frame(self, channel: _Channel, kind: str, row: dict[str, str], now_ms: int) -> bytes:
        topic, cs = f"tickers.{channel.market.symbol}", channel.market.seq
        if channel.market.rules.is_spot:
            return dump({"topic": topic, "ts": now_ms, "type": kind, "cs": cs, "data": row})
        return dump({"topic": topic, "type": kind, "data": row, "cs": cs, "ts": now_ms})

    def _klines(self, channel: _Channel, now_ms: int) -> None:
        market = channel.market
        for interval in INTERVALS:
            topic = f"kline.{interval}.{market.symbol}"
            series = market.klines[interval]
            current = series.current
            if current is None or not channel.heard(topic):
                channel.sent_candle.pop(interval, None)
                continue
            before = channel.sent_candle.get(interval)
            if before is not None and before[0] != current.start and series.closed:
                closed = series.closed[-1]
                channel.publish(topic, self._kline_frame(channel, topic, interval, closed, now_ms, confirm=True))
            state = (current.start, current.close, current.volume)
            if state != before:
                channel.sent_candle[interval] = state
                channel.publish(topic, self._kline_frame(channel, topic, interval, current, now_ms, confirm=False))

    def _kline_frame(
        self, channel: _Channel, topic: str, interval: str, candle: Candle, now_ms: int, *, confirm: bool
    ) -> bytes:
        opened, high, low, closed, volume, turnover = candle_fields(channel.market, channel.texts, candle)
        row = {
            "start": candle.start,
            "end": end_of(interval, candle.start),
            "interval": interval,
            "open": opened,
            "close": closed,
            "high": high,
            "low": low,
            "volume": volume,
            "turnover": turnover,
            "confirm": confirm,
            "timestamp": now_ms,
        }
        if channel.market.rules.is_spot:
            return dump({"type": "snapshot", "topic": topic, "data": [row], "ts": now_ms})
        return dump({"topic": topic, "data": [row], "ts": now_ms, "type": "snapshot"})

    def _liquidations(self, channel: _Channel, now_ms: int) -> None:
        market, waiting = channel.market, channel.market.liquidations
        topic = f"allLiquidation.{market.symbol}"
        if waiting and channel.heard(topic):
            # S is the side of the position that was liquidated: "Buy" was a long, so its order sold.
            rows = [
                {
                    "T": told.ts_ms,
                    "s": market.symbol,
                    "S": "Buy" if told.side == "sell" else "Sell",
                    "v": channel.texts.qty(told.lots),
                    "p": channel.texts.price(told.tick),
                }
                for told in waiting
            ]
            channel.publish(topic, dump({"topic": topic, "type": "snapshot", "ts": now_ms, "data": rows}))
        waiting.clear()

    def _price_limit(self, channel: _Channel, now_ms: int) -> None:
        market = channel.market
        topic = f"priceLimit.{market.symbol}"
        if not channel.heard(topic):
            return
        buy, sell = market.price_limits()
        row = {"symbol": market.symbol, "buyLmt": channel.texts.price(buy), "sellLmt": channel.texts.price(sell)}
        channel.publish(topic, dump({"topic": topic, "ts": now_ms, "data": row}))


def klines_of(market: Market, kind: str) -> Klines:
    """The candles behind a kline endpoint: "", "mark-price", "index-price" or "premium-index-price"."""
    return {
        "": market.klines,
        "mark-price": market.mark_klines,
        "index-price": market.index_klines,
        "premium-index-price": market.premium_klines,
    }[kind]
