"""The obvious twin of every book: a dict, kept from the raw messages of an independent connection."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal

import aiohttp
from exchange_server import Exchange

Side = tuple[tuple[Decimal, Decimal], ...]
Book = tuple[Side, Side]
"""Bids and asks, best first."""


@dataclass
class RawBook:
    """A book, and what it was after each message."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    u: int = 0
    by_ts: dict[int, list[Book]] = field(default_factory=lambda: defaultdict(list))
    """A snapshot and a delta may share a millisecond."""
    by_seq: dict[int, Book] = field(default_factory=dict)
    by_u: dict[int, Book] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    """The `u` of every snapshot."""

    def hear(self, message: dict) -> None:
        """Apply one message. Fails on a gap and on a crossed book."""
        data = message["data"]
        if message["type"] == "snapshot":
            self.bids, self.asks = {}, {}
            self.snapshots.append(data["u"])
        else:
            assert data["u"] == self.u + 1, f"u went from {self.u} to {data['u']}"
        self.u = data["u"]
        for side, levels in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price, qty in levels:
                if Decimal(qty):
                    side[Decimal(price)] = Decimal(qty)
                else:
                    del side[Decimal(price)]
        book = (tuple(sorted(self.bids.items(), reverse=True)), tuple(sorted(self.asks.items())))
        assert book[0][0][0] < book[1][0][0], f"crossed at u {self.u}: {book[0][0]} {book[1][0]}"
        self.by_ts[message["ts"]].append(book)
        self.by_seq[data["seq"]] = self.by_u[data["u"]] = book

    async def follow(self, exchange: Exchange, topic: str) -> None:
        """Listen until cancelled."""
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{exchange.ws}/v5/public/linear") as socket,
        ):
            await socket.send_str(json.dumps({"op": "subscribe", "args": [topic]}))
            async for frame in socket:
                message = json.loads(frame.data)
                if message.get("topic") == topic:
                    self.hear(message)


def as_book(bids: object, asks: object) -> Book:
    """Read a book of numbers or texts, in whatever order its levels are."""
    read = [tuple(sorted((Decimal(str(row[0])), Decimal(str(row[1]))) for row in side)) for side in (bids, asks)]
    return read[0][::-1], read[1]
