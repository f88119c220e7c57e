"""One account: its coins, positions, orders, settings, and who listens to its streams.

Cross margin, in USD: what is there (coins at index, profit of open contracts) against what is bound (initial margin of
the worse side of position and open orders at mark ÷ leverage, coins locked by spot orders). Not handled: isolated and
portfolio margin, borrowing, liquidation; a balance may fall below zero.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from mmbot.exchange.history import Records
from mmbot.exchange.listing import Key, Listing
from mmbot.exchange.money import UNIT, half_even
from mmbot.exchange.positions import Position
from mmbot.exchange.rates import RateLimits, Rates
from mmbot.exchange.wallet import Wallet

__all__ = ["Account", "Holding", "Kind", "Margin", "Subscriber"]

Kind: TypeAlias = Literal["order", "execution", "execution.fast", "position", "wallet"]
PriceOf: TypeAlias = Callable[[str], int]
"""Units of USD that a coin is worth; 0 where it is not known."""


class Subscriber(Protocol):
    """A private connection."""

    def push(self, kind: Kind, topic: str, rows: list[dict[str, Any]]) -> None:
        """Send rows under the topic they were subscribed by."""


@dataclass(slots=True)
class Holding:
    """What an account has in one contract: the position, and the lots its open orders may add."""

    listing: Listing
    position: Position
    leverage: int = 1000
    """In hundredths."""
    buys: int = 0
    sells: int = 0
    """Open lots of orders that may open or add."""
    reducing: dict[int, None] = field(default_factory=dict)
    """Resting reduce-only orders, by the floor's id, oldest first."""

    @property
    def worst(self) -> int:
        """Lots of the worse side, if every order of that side fills."""
        lots = self.position.lots
        return max(abs(lots + self.buys), abs(lots - self.sells))

    def bound(self, lots: int) -> int:
        """Initial margin of that many lots at mark, in units of the settlement coin; rounded up."""
        mark = self.listing.market.mark or self.listing.market.last
        return -(-self.listing.grid.value(mark, lots) * 100 // self.leverage) if mark and lots else 0

    @property
    def upkeep(self) -> int:
        """Maintenance margin of the position, in units of the settlement coin."""
        worth = self.position.worth(self.listing.market.mark) if self.position.lots else 0
        return half_even(worth * self.listing.maintenance, 10**8)


@dataclass(frozen=True, slots=True)
class Margin:
    """The account's sums, in units of USD."""

    equity: int
    wallet: int
    unrealised: int
    position_margin: int
    order_margin: int
    maintenance: int
    locked: int

    @property
    def initial(self) -> int:
        """Initial margin of positions and orders."""
        return self.position_margin + self.order_margin

    @property
    def available(self) -> int:
        """What new orders may bind."""
        return self.equity - self.initial - self.locked


class Account:
    """All state of one user id."""

    def __init__(self, uid: int, *, limits: RateLimits | None = None, records: Records | None = None) -> None:
        self.uid = uid
        self.wallet = Wallet()
        self.records = records or Records()
        self.rates = Rates(limits)
        self.holdings: dict[Key, Holding] = {}
        self.fees: dict[str, tuple[int, int]] = {}
        """(maker, taker) in 10^-8 by category, where they differ from the instrument's."""
        self.reprices = {"spot": False, "contract": True}
        """Whether a price beyond the band is moved to it; otherwise the order is refused."""
        self.institutional = False
        """Only institutions may use disconnect-cancel-all."""
        self.dcp: dict[str, int] = {}
        """Window in seconds by product."""
        self.created_ms = 0
        self._listeners: dict[tuple[Kind, str], list[tuple[Subscriber, str]]] = {}

    def holding(self, listing: Listing) -> Holding:
        """Return the holding; one that never traded is flat."""
        found = self.holdings.get(listing.key)
        if found is None:
            leverage = min(1000, listing.leverage_max)
            found = self.holdings[listing.key] = Holding(listing, Position(listing.grid), leverage)
        return found

    def fee_rates(self, listing: Listing) -> tuple[int, int]:
        """(maker, taker) in 10^-8."""
        own = self.fees.get(listing.category)
        return own if own is not None else (listing.instrument.maker, listing.instrument.taker)

    def margin(self, price_of: PriceOf) -> Margin:
        """Add everything up in USD."""
        wallet = locked = 0
        for name, coin in self.wallet.coins.items():
            price = price_of(name)
            wallet += half_even(coin.balance * price, UNIT)
            locked += half_even(coin.locked * price, UNIT)
        sums = [0, 0, 0, 0]
        for holding in self.holdings.values():
            price = price_of(holding.listing.settle)
            position = holding.position
            mark = holding.listing.market.mark
            now = holding.bound(abs(position.lots))
            parts = (position.unrealised(mark), now, holding.bound(holding.worst) - now, holding.upkeep)
            for place, amount in enumerate(parts):
                sums[place] += half_even(amount * price, UNIT)
        return Margin(wallet + sums[0], wallet, sums[0], sums[1], sums[2], sums[3], locked)

    # --- streams ---

    def listen(self, kind: Kind, categories: Iterable[str], subscriber: Subscriber, topic: str) -> None:
        """Send what happens in these categories to a connection; the wallet has the category ""."""
        for category in categories:
            self._listeners.setdefault((kind, category), []).append((subscriber, topic))

    def unlisten(self, subscriber: Subscriber, topic: str | None = None) -> None:
        """Stop one topic, or everything, for a connection."""
        for key, heard in list(self._listeners.items()):
            left = [(who, name) for who, name in heard if who is not subscriber or (topic and name != topic)]
            if left:
                self._listeners[key] = left
            else:
                del self._listeners[key]

    def heard(self, kind: Kind, category: str) -> bool:
        """Whether anybody listens."""
        return (kind, category) in self._listeners

    def tell(self, kind: Kind, category: str, rows: list[dict[str, Any]]) -> None:
        """Send rows to everybody who listens."""
        for subscriber, topic in self._listeners.get((kind, category), ()):
            subscriber.push(kind, topic, rows)
