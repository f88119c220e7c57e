"""Markets with a clock in the hand, and a client that rebuilds books, for the tests of the exchange."""

import json

from mmbot.exchange import rules
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Market
from mmbot.exchange.public_switches import PublicSwitches

MS = 1_000_000
START_NS = 1_786_310_820_000 * MS


class HandClock:
    """Wall time that moves when it is told to."""

    def __init__(self) -> None:
        self.ns = START_NS

    def __call__(self) -> int:
        """Ns since epoch."""
        return self.ns

    def pass_ms(self, ms: int) -> None:
        """Lets time pass."""
        self.ns += ms * MS


class Still:
    """A source that opens a small book (bids 100: 5, 99: 8; asks 102: 4, 103: 6) and does nothing more."""

    rounds = 0
    told = "still"

    def open(self, market: Market, now_ns: int) -> None:
        """Set the book."""
        market.public_depth("snapshot", [(61_000, 5), (60_999, 8)], [(61_002, 4), (61_003, 6)], now_ns)

    def advance(self, market: Market, now_ns: int) -> None:
        """Nothing happens."""


def still_market(clock: HandClock, switches: PublicSwitches | None = None, kind: str = "linear") -> Market:
    """A BTC market."""
    terms = {"linear": rules.linear("BTC", "0.10", "0.001"), "spot": rules.spot("BTC", "0.1", "0.000001")}
    return Market({**terms, "inverse": rules.inverse("BTC", "0.10")}[kind], clock, switches)


def still_hall(clock: HandClock, switches: PublicSwitches | None = None, kind: str = "linear") -> Hall:
    """A hall with one such market."""
    return Hall([(still_market(clock, switches, kind), Still())], clock, switches)


class BookClient:
    """Rebuilds books as the protocol says, and complains as strict clients do."""

    def __init__(self) -> None:
        self.frames: list[dict[str, object]] = []
        self.books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
        self.u: dict[str, int] = {}

    def send(self, topic: str, frame: bytes) -> None:
        """Hear a frame."""
        message = json.loads(frame)
        assert message["topic"] == topic
        self.frames.append(message)
        if topic.startswith("orderbook."):
            self.apply(topic, message)

    def apply(self, topic: str, message: dict[str, object]) -> None:
        """Apply a book message; a missed `u` or a deletion of something unknown is an error."""
        content = message["data"]
        assert isinstance(content, dict)
        if message["type"] == "snapshot":
            self.books[topic] = (dict(content["b"]), dict(content["a"]))
            assert "0" not in self.books[topic][0].values()
        else:
            assert content["u"] == self.u[topic] + 1, f"{topic}: u {content['u']} after {self.u[topic]}"
            for side, rows in zip(self.books[topic], (content["b"], content["a"]), strict=True):
                for price, qty in rows:
                    if qty == "0":
                        del side[price]  # KeyError: a level that was never sent
                    else:
                        side[price] = qty
        self.u[topic] = content["u"]

    def levels(self, topic: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Its book, best first."""
        bids, asks = self.books[topic]
        return sorted(bids.items(), key=_price, reverse=True), sorted(asks.items(), key=_price)


def _price(row: tuple[str, str]) -> float:
    return float(row[0])
