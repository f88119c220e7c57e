"""Lines of a Binance capture, written the way the recorder does."""

import msgspec

Levels = list[tuple[str, str]]
T0 = 1_700_000_000_000
"""Venue time of the first message, ms."""


def line(ms: int, said: object, *, latency_ms: int = 5) -> bytes:
    """One line of a Binance capture, heard `latency_ms` after `ms` (both after T0)."""
    return b"%d %s" % ((T0 + ms + latency_ms) * 1_000_000, msgspec.json.encode(said))


def delta(ms: int, previous: int, last: int, bids: Levels, asks: Levels, **of: int) -> bytes:
    """A USD-M depth update."""
    data = {
        "s": "BTCUSDT",
        "E": T0 + ms,
        "T": T0 + ms,
        "pu": previous,
        "U": previous + 1,
        "u": last,
        "b": bids,
        "a": asks,
    }
    return line(ms, {"stream": "btcusdt@depth@0ms", "data": data}, **of)


def snapshot(ms: int, last: int, bids: Levels, asks: Levels) -> bytes:
    """A REST snapshot in line."""
    return line(ms, {"lastUpdateId": last, "T": T0 + ms, "bids": bids, "asks": asks})


def trade(ms: int, price: str, qty: str = "1", **of: int) -> bytes:
    """A USD-M trade whose buyer was the taker."""
    data = {"s": "BTCUSDT", "E": T0 + ms, "T": T0 + ms, "t": 7, "p": price, "q": qty, "m": False}
    return line(ms, {"stream": "btcusdt@trade", "data": data}, **of)
