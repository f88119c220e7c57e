"""Candles of one price over all of the venue's intervals, in bounded memory.

A candle without a trade is flat at the last close. Times are UTC: weeks begin on Monday, months on the first.
Source: Bybit v5, "Get Kline" and "Kline" stream.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["INTERVALS", "Candle", "Klines", "Series", "end_of", "start_of"]

MINUTE_MS = 60_000
DAY_MS = 1_440 * MINUTE_MS
_MINUTES = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720")
INTERVALS = (*_MINUTES, "D", "W", "M")
"""All interval names."""
KEPT = 1_440
"""Closed candles that are kept per interval; of the minutes they are the last 24 hours."""
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05


def start_of(interval: str, ms: int) -> int:
    """The start of the candle that holds this moment. Raises KeyError for an unknown interval."""
    if interval == "M":
        month = datetime.fromtimestamp(ms // 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return int(month.timestamp()) * 1000
    if interval == "W":
        return ms - (ms - _MONDAY_MS) % (7 * DAY_MS)
    if interval == "D":
        return ms - ms % DAY_MS
    if interval not in _MINUTES:
        raise KeyError(interval)
    return ms - ms % (int(interval) * MINUTE_MS)


def end_of(interval: str, start_ms: int) -> int:
    """The last millisecond of the candle that starts there."""
    if interval == "M":
        return start_of("M", start_ms + 32 * DAY_MS) - 1
    days = {"W": 7, "D": 1}
    span = days[interval] * DAY_MS if interval in days else int(interval) * MINUTE_MS
    return start_ms + span - 1


@dataclass(slots=True)
class Candle:
    """One candle; prices in ticks, volume in lots, turnover in 10^-12 of its coin."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    turnover: int = 0


class Series:
    """Candles of one interval, and what the kept ones hold together."""

    def __init__(self, interval: str) -> None:
        self.interval = interval
        self.closed: deque[Candle] = deque(maxlen=KEPT)
        self.current: Candle | None = None
        self._end_ms = 0
        """Of the current candle."""
        self.volume = 0
        """Of the closed candles that are kept."""
        self.turnover = 0

    def roll(self, now_ms: int) -> Candle | None:
        """Closes the current candle if its time is over, and opens flat ones up to now."""
        candle = self.current
        while candle is not None and self._end_ms < now_ms:
            if len(self.closed) == KEPT:
                self.volume -= self.closed[0].volume
                self.turnover -= self.closed[0].turnover
            self.closed.append(candle)
            self.volume += candle.volume
            self.turnover += candle.turnover
            flat = candle.close
            candle = Candle(self._end_ms + 1, flat, flat, flat, flat)
            self._end_ms = end_of(self.interval, candle.start)
        self.current = candle
        return candle

    def add(self, batch: Candle) -> None:
        """Takes in what happened within one minute."""
        candle = self.roll(batch.start)
        if candle is None:
            start = start_of(self.interval, batch.start)
            self.current = Candle(start, batch.open, batch.high, batch.low, batch.close, batch.volume, batch.turnover)
            self._end_ms = end_of(self.interval, start)
            return
        candle.high = max(candle.high, batch.high)
        candle.low = min(candle.low, batch.low)
        candle.close = batch.close
        candle.volume += batch.volume
        candle.turnover += batch.turnover

    def __iter__(self) -> Iterator[Candle]:
        """Newest first, the current one included."""
        if self.current is not None:
            yield self.current
        yield from reversed(self.closed)


class Klines:
    """All intervals of one price."""

    def __init__(self) -> None:
        self._series = {interval: Series(interval) for interval in INTERVALS}

    def __getitem__(self, interval: str) -> Series:
        """One interval. Raises KeyError naming an unknown one."""
        return self._series[interval]

    def add(self, batch: Candle) -> None:
        """Takes in a batch whose `start` is any moment of the minute that it lies in."""
        for series in self._series.values():
            series.add(batch)

    def point(self, price: int, now_ms: int) -> None:
        """Takes in a price that is no trade: mark, index, premium."""
        self.add(Candle(now_ms, price, price, price, price))

    def roll(self, now_ms: int) -> None:
        """Lets time pass."""
        for series in self._series.values():
            series.roll(now_ms)
