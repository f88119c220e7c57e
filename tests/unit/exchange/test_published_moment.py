"""A published book is of one moment, and says of which."""

import json

from mmbot.exchange.generator import Generator
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Market
from mmbot.exchange.rules import linear

MS = 1_000_000


def test_the_same_seq_is_the_same_book_at_every_depth() -> None:
    """A snapshot between two messages shows the book of the last one, so it bears that one's seq and cts, not newer."""
    now = [1_790_000_000_000 * MS]
    market = Market(linear("BTC", "0.10", "0.001"), lambda: now[0])
    source = Generator("calm", seed=3, price_ticks=600_000, lot_unit=50)
    hall = Hall([(market, source)], lambda: now[0])
    streams = [hall.publisher.book("linear", "BTCUSDT", depth) for depth in (50, 200, 1000)]
    books: dict[int, tuple[int, object]] = {}
    ahead = 0
    for _ in range(2_000):
        now[0] += MS
        hall.beat()
        ahead += market.seq > streams[2].seq
        for stream in streams:
            told = json.loads(stream.snapshot(now[0] // MS))
            shown = told["cts"], (told["data"]["b"][:50], told["data"]["a"][:50])
            assert books.setdefault(told["data"]["seq"], shown) == shown
    assert ahead > 100
    assert len(books) > 20
