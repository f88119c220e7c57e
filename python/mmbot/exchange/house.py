"""The venue's client side as one state: accounts, open orders, the public's books; no sockets and no clock of its own.

    Desk (requests) ─▶ House ◀─ Market (public flow, funding)
                         └▶ Clearing ─▶ Bulletin ─▶ private connections

Everything here acts at once; delays are the connections'.
"""

from collections import defaultdict
from collections.abc import Iterable

from mmbot.exchange.account import Account, Holding
from mmbot.exchange.clearing import Bulletin, Clearing, Public
from mmbot.exchange.history import LinkIds
from mmbot.exchange.ids import Ids
from mmbot.exchange.listing import Key, Listing
from mmbot.exchange.market import NS, Fill, Market
from mmbot.exchange.money import UNIT
from mmbot.exchange.orders import Order
from mmbot.exchange.switches import Switches

__all__ = ["House"]

_USD = {"USDT", "USDC", "USD"}


class House:
    """All accounts at all markets."""

    def __init__(
        self,
        markets: Iterable[Market],
        accounts: Iterable[Account] = (),
        *,
        switches: Switches | None = None,
        seed: int = 0,
    ) -> None:
        self.switches = switches or Switches()
        self.listings: dict[Key, Listing] = {}
        self.accounts: dict[int, Account] = {}
        self.orders: dict[int, Order] = {}
        """Open orders by the floor's id."""
        self.ids = Ids(seed)
        self.link_ids = LinkIds()
        self.public = Public()
        self.bulletin = Bulletin(self.price_of)
        self.clearing = Clearing(self.ids, self.bulletin, self.public)
        self._pricing: dict[str, Listing] = {}
        self._touched: dict[tuple[Account, Listing], None] = {}
        for market in markets:
            self.list(market)
        for account in accounts:
            self.admit(account)

    # --- who and what ---

    def list(self, market: Market) -> Listing:
        """Let accounts trade a market."""
        listing = Listing(market)
        if listing.key in self.listings:
            raise ValueError(f"{listing.category} {listing.symbol} is listed already; expected each market once")
        self.listings[listing.key] = listing
        if listing.quote in _USD:
            self._pricing.setdefault(listing.base, listing)
        market.on_fills = lambda fills, ts_ns: self.on_fills(listing, fills, ts_ns)
        market.on_funding = lambda rate, mark, ts_ms: self.on_funding(listing, rate, mark, ts_ms)
        return listing

    def admit(self, account: Account) -> None:
        """Let an account in. Raises ValueError for one that is known."""
        if account.uid in self.accounts:
            raise ValueError(f"account {account.uid} exists already; expected a new uid")
        self.accounts[account.uid] = account

    def price_of(self, coin: str) -> int:
        """Units of USD in one coin: stable coins are one, others their index or last price; 0 where unknown."""
        if coin in _USD:
            return UNIT
        listing = self._pricing.get(coin)
        return (listing.market.index or listing.market.last) * listing.tick_units if listing else 0

    def open_orders(self, account: Account, listing: Listing | None = None, category: str = "") -> Iterable[Order]:
        """Open orders of an account, oldest first."""
        for order in list(account.records.open.values()):
            if (listing is None or order.listing is listing) and (not category or order.listing.category == category):
                yield order

    # --- what happens at the market ---

    def on_fills(self, listing: Listing, fills: Iterable[Fill], ts_ns: int) -> None:
        """Public flow met resting orders."""
        self.settle(listing, fills, None, ts_ns // NS)
        self.after(ts_ns // NS)

    def on_funding(self, listing: Listing, rate: int, mark: int, ts_ms: int) -> None:
        """A settlement: every position pays or receives."""
        for account in self.accounts.values():
            self.clearing.fund(account, listing, rate, mark, ts_ms)
        self.bulletin.post()

    # --- what the desk does with it ---

    def settle(self, listing: Listing, fills: Iterable[Fill], taker: Order | None, now_ms: int) -> None:
        """Book fills for both sides; `taker` is the client's order that came, None for public flow."""
        clearing = self.clearing
        for maker_id, _, tick, lots in fills:
            maker = self.orders[maker_id] if maker_id else None
            for order, other, is_maker in ((maker, taker, True), (taker, maker, False)):
                if order is None:
                    continue
                account = self.accounts[order.uid]
                clearing.execute(account, order, tick, lots, maker=is_maker, now_ms=now_ms)
                self._touched[account, listing] = None
                if other is None:
                    clearing.public_side(listing, order.side, tick, lots, now_ms)
            if maker is not None:
                self.changed(maker)

    def changed(self, order: Order) -> None:
        """Tell what an order is now, and let go of it when it is done."""
        account = self.accounts[order.uid]
        self.bulletin.order(account, order)
        if not order.open:
            self.orders.pop(order.number, None)
            account.records.close(order)

    def withdraw(self, order: Order, cancel_type: str, reason: str, now_ms: int) -> None:
        """The floor no longer has an order: end its life."""
        account = self.accounts[order.uid]
        order.cancel(cancel_type, reason, now_ms)
        if not self.switches.leaves_zeroed:
            order.leaves_shown = order.left
        self.clearing.release(account, order, order.left)
        if self.switches.position_always:
            self.bulletin.moved(account, order.listing)
        self.changed(order)

    def cancel(self, order: Order, cancel_type: str, reason: str, now_ms: int) -> None:
        """Take an open order off the floor and end its life."""
        order.listing.market.cancel(order.number)
        self.withdraw(order, cancel_type, reason, now_ms)

    def after(self, now_ms: int) -> None:
        """The event is over: reduce-only orders follow their positions, and everybody is told."""
        for account, listing in self._touched:
            holding = account.holdings.get(listing.key)
            if holding is not None and holding.reducing:
                self._trim(holding, now_ms)
        self._touched.clear()
        self.bulletin.post()

    def touched(self, account: Account, listing: Listing) -> None:
        """Look at reduce-only orders again when the event is over."""
        self._touched[account, listing] = None

    def _trim(self, holding: Holding, now_ms: int) -> None:
        """Reduce-only orders may not close more than there is; those at the worst price give way first [inferred]."""
        position = holding.position.lots
        orders = [self.orders[number] for number in holding.reducing]
        orders.sort(key=lambda order: (order.tick if order.side == "sell" else -order.tick, order.number))
        room = abs(position)
        for order in orders:
            allowed = min(order.left, room) if (order.side == "sell") is (position > 0) and position else 0
            room -= allowed
            if not allowed:
                self.cancel(order, "CancelByReduceOnly", "EC_PerCancelRequest", now_ms)
            elif allowed < order.left:
                holding.listing.market.amend(order.number, order.tick, allowed)
                order.lots, order.updated_ms = order.cum + allowed, now_ms
                self.changed(order)

    # --- what stays true ---

    def totals(self) -> tuple[dict[Key, int], dict[str, int]]:
        """Lots by contract and units by coin over accounts, public and venue; nothing but transfers changes them."""
        lots: defaultdict[Key, int] = defaultdict(int)
        coins: defaultdict[str, int] = defaultdict(int)
        for account in self.accounts.values():
            for name, coin in account.wallet.coins.items():
                coins[name] += coin.balance
            for key, holding in account.holdings.items():
                lots[key] += holding.position.lots
                coins[holding.listing.settle] -= holding.position.stake
        for key, position in self.public.positions.items():
            lots[key] += position.lots
            coins[self.listings[key].settle] += position.realised - position.stake
        for sums in (self.public.coins, self.public.fees):
            for name, amount in sums.items():
                coins[name] += amount
        return dict(lots), dict(coins)
