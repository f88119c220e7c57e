"""Every frame of a real recording: 3,227 of them, six books, none missing an update and none ever crossed."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
import zstandard

from mmbot.venues.bybit.books import BookWatch
from mmbot.venues.bybit.orders_wire import decode_reply
from mmbot.venues.bybit.wire import decode
from mmbot.venues.records import BookUpdate, Skipped

CAPTURE = Path(__file__).parents[3] / "golden" / "captures" / "bybit-session.jsonl.zst"


class Line(msgspec.Struct):
    """One line of the recorder."""

    t: str
    conn: str = ""
    data: str = ""


@pytest.fixture(scope="module")
def frames() -> list[tuple[str, bytes]]:
    """Every received frame with its connection."""
    reader = zstandard.ZstdDecompressor().stream_reader(CAPTURE.open("rb"), read_across_frames=True)
    lines = [msgspec.json.decode(line, type=Line) for line in reader.read().splitlines()]
    return [(line.conn, line.data.encode()) for line in lines if line.t == "recv"]


class PlainBook:
    """The obvious book: every level by exact price."""

    def __init__(self) -> None:
        self.sides: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})

    def apply(self, update: BookUpdate) -> None:
        """Replace on a snapshot, change on a delta."""
        for side, levels in zip(self.sides, (update.bids, update.asks), strict=True):
            if update.kind == "snapshot":
                side.clear()
            for price, qty in levels:
                if Decimal(qty) == 0:
                    side.pop(Decimal(price), None)
                else:
                    side[Decimal(price)] = Decimal(qty)


def test_every_recorded_frame_decodes_and_every_book_holds(frames: list[tuple[str, bytes]]) -> None:
    """All frames decode; update ids follow one another, bids stay below asks, and the watch agrees."""
    kinds: Counter[str] = Counter()
    books: dict[tuple[str, str], tuple[PlainBook, BookWatch]] = {}
    last: dict[tuple[str, str], int] = {}
    for conn, raw in frames:
        for record in decode(raw):
            kinds[record.kind if isinstance(record, Skipped) else type(record).__name__] += 1
            if not isinstance(record, BookUpdate):
                continue
            name = (conn, record.symbol)
            plain, watch = books.setdefault(name, (PlainBook(), BookWatch()))
            assert record.kind == "snapshot" or record.previous_id == last[name]
            last[name] = record.last_id
            plain.apply(record)
            assert watch.follow(record) == ""
            bids, asks = plain.sides
            assert max(bids) < min(asks)
            assert watch.touch == (float(max(bids)), float(min(asks)))
    assert sum(kinds.values()) >= len(frames) == 3_227
    assert kinds == {
        "Ticker": 839,
        "subscribe": 24,
        "BookUpdate": 2_148,
        "kline": 96,
        "PublicTrade": kinds["PublicTrade"],
    }
    assert len(books) == 6


def test_recorded_subscriptions_were_all_accepted(frames: list[tuple[str, bytes]]) -> None:
    """The recorded answers to subscriptions read as accepted, whatever their message says."""
    replies = [decode_reply(raw) for _, raw in frames if b'"op":"subscribe"' in raw]
    assert len(replies) == 24
    assert all(reply.ok and reply.op == "subscribe" for reply in replies)
