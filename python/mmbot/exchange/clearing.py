"""What an execution does to the accounts on its two sides, and what is told about it.

    fill ─▶ [ position · coins · fee · log · execution record ]  for the maker and for the taker
         └▶ Bulletin: order, execution, position and wallet rows of the event, sent once the event is over

The public is a counterparty with books of its own, so that every lot and every unit that one side gives the other side
gets: the sum over all accounts, the public and the venue's fee income never changes (`House.totals`).
"""

from collections import defaultdict
from typing import Any

from mmbot.exchange.account import Account, Kind, PriceOf
from mmbot.exchange.history import ClosedProfit, ExecutionRecord
from mmbot.exchange.ids import Ids
from mmbot.exchange.listing import Key, Listing
from mmbot.exchange.orders import Order, stream_row
from mmbot.exchange.positions import Position
from mmbot.exchange.statements import position_row, wallet_row
from mmbot.exchange.wallet import LogRow

__all__ = ["Bulletin", "Clearing", "Public"]


class Bulletin:
    """Rows of one event, by account and stream. Nothing is written that nobody listens to."""

    def __init__(self, price_of: PriceOf) -> None:
        self._price_of = price_of
        self._rows: dict[tuple[Account, Kind, str], list[dict[str, Any]]] = {}
        self._moved: dict[tuple[Account, Listing], None] = {}
        self._paid: dict[Account, set[str]] = {}

    def order(self, account: Account, order: Order) -> None:
        """The order is now as it is."""
        category = order.listing.category
        if account.heard("order", category):
            self._rows.setdefault((account, "order", category), []).append(stream_row(order))

    def execution(self, account: Account, record: ExecutionRecord) -> None:
        """An execution happened."""
        category = record.listing.category
        if account.heard("execution", category):
            self._rows.setdefault((account, "execution", category), []).append(record.stream_row())
        if record.order is not None and account.heard("execution.fast", category):
            self._rows.setdefault((account, "execution.fast", category), []).append(record.fast_row())

    def moved(self, account: Account, listing: Listing) -> None:
        """The position may have changed."""
        if not listing.is_spot and account.heard("position", listing.category):
            self._moved[account, listing] = None

    def paid(self, account: Account, coin: str) -> None:
        """The balance of a coin changed."""
        if account.heard("wallet", ""):
            self._paid.setdefault(account, set()).add(coin)

    def post(self) -> None:
        """The event is over: write the positions and balances that it left, and send everything."""
        for (account, kind, category), rows in self._rows.items():
            account.tell(kind, category, rows)
        for account, listing in self._moved:
            row = position_row(account, account.holding(listing), self._price_of, stream=True)
            account.tell("position", listing.category, [row])
        for account, coins in self._paid.items():
            account.tell("wallet", "", [wallet_row(account, self._price_of, coins)])
        self._rows, self._moved, self._paid = {}, {}, {}


class Public:
    """The books of everybody who is no client, and of the venue itself. Units by coin."""

    def __init__(self) -> None:
        self.positions: dict[Key, Position] = {}
        self.coins: defaultdict[str, int] = defaultdict(int)
        """What the public got on spot, and in funding; negative: gave."""
        self.fees: defaultdict[str, int] = defaultdict(int)
        """The venue's income; negative where rebates were larger."""

    def trade(self, listing: Listing, lots: int, value: int, now_ms: int) -> None:
        """The public bought (positive) or sold."""
        if listing.is_spot:
            self.coins[listing.base] += listing.grid.size(lots)
            self.coins[listing.quote] -= value if lots > 0 else -value
        else:
            self.position(listing).fill(lots, value, 0, now_ms)

    def position(self, listing: Listing) -> Position:
        """What the public holds of a contract."""
        return self.positions.setdefault(listing.key, Position(listing.grid))


class Clearing:
    """Books executions and settlements."""

    def __init__(self, ids: Ids, bulletin: Bulletin, public: Public) -> None:
        self._ids = ids
        self._bulletin = bulletin
        self._public = public
        self.executions = 0

    def public_side(self, listing: Listing, side: str, tick: int, lots: int, now_ms: int) -> None:
        """The public was the other side of a client that did `side`."""
        self._public.trade(listing, -lots if side == "buy" else lots, listing.grid.value(tick, lots), now_ms)

    def execute(self, account: Account, order: Order, tick: int, lots: int, *, maker: bool, now_ms: int) -> None:
        """Book an execution of a client's order; the other side is booked by another call."""
        listing = order.listing
        value = listing.grid.value(tick, lots)
        rates = account.fee_rates(listing)
        rate = rates[0] if maker else rates[1]
        number, execution_id = self._ids.execution(spot=listing.is_spot)
        self.executions += 1
        book = self._book_spot if listing.is_spot else self._book_contract
        record = ExecutionRecord(
            number=number, execution_id=execution_id, listing=listing, order=order, order_id=order.order_id,
            side=order.said_side, tick=tick, lots=lots, left=order.left - lots, value=value, fee_rate=rate,
            maker=maker, ts_ms=now_ms, seq=listing.seq, mark=listing.market.mark, index=listing.market.index,
        )  # fmt: skip
        book(account, order, record)
        account.records.executions.append(record)
        self._bulletin.execution(account, record)

    def fund(self, account: Account, listing: Listing, rate: int, mark: int, now_ms: int) -> None:
        """Settle funding of one position against the public's pot."""
        holding = account.holdings.get(listing.key)
        if holding is None or not holding.position.lots:
            return
        position, coin = holding.position, account.wallet.coin(listing.settle)
        paid = position.funding(mark, rate)
        position.pay_funding(paid, now_ms)
        coin.balance -= paid
        coin.realised -= paid
        self._public.coins[listing.settle] += paid
        number, execution_id = self._ids.execution(spot=False)
        lots = abs(position.lots)
        side = "Buy" if position.lots > 0 else "Sell"
        record = ExecutionRecord(
            number=number, execution_id=execution_id, listing=listing, order=None, order_id=execution_id, side=side,
            tick=mark, lots=lots, left=0, value=listing.grid.value(mark, lots), fee=paid, fee_rate=rate,
            fee_coin=listing.settle, maker=False, ts_ms=now_ms, seq=listing.seq, mark=mark, index=listing.market.index,
        )  # fmt: skip
        account.records.executions.append(record)
        account.wallet.note(LogRow(
            number=0, ts_ms=now_ms, kind="SETTLEMENT", coin=listing.settle, category=listing.category,
            symbol=listing.symbol, side=side, qty=listing.instrument.quantity(lots),
            price=listing.instrument.price(mark), size=_signed(listing, position.lots), funding=-paid, fee_rate=rate,
            balance=coin.balance, trade_id=execution_id,
        ))  # fmt: skip
        self._bulletin.execution(account, record)
        self._bulletin.moved(account, listing)
        self._bulletin.paid(account, listing.settle)

    def _book_contract(self, account: Account, order: Order, record: ExecutionRecord) -> None:
        listing, lots, value = record.listing, record.lots, record.value
        fee = listing.grid.fee(value, record.fee_rate)
        holding = account.holding(listing)
        signed = lots if order.side == "buy" else -lots
        closed = holding.position.fill(signed, value, fee, record.ts_ms)
        self.release(account, order, lots)
        coin = account.wallet.coin(listing.settle)
        coin.balance += closed.profit - fee
        coin.realised += closed.profit - fee
        self._public.fees[listing.settle] += fee
        order.book(lots, value, fee, listing.settle, record.ts_ms)
        order.closed_pnl += closed.profit - fee if closed.lots else 0
        if closed.lots:
            account.records.profits.append(ClosedProfit(
                number=record.number, listing=listing, order=order, lots=closed.lots, entry_value=closed.entry_value,
                exit_value=closed.exit_value, profit=closed.profit, fee=fee, leverage=holding.leverage,
                ts_ms=record.ts_ms,
            ))  # fmt: skip
        size = _signed(listing, holding.position.lots)
        self._log(account, record, listing.settle, flow=closed.profit, fee=fee, size=size)
        self._bulletin.moved(account, listing)
        record.fee, record.fee_coin, record.profit, record.closed = fee, listing.settle, closed.profit, closed.lots

    def _book_spot(self, account: Account, order: Order, record: ExecutionRecord) -> None:
        listing, lots, value = record.listing, record.lots, record.value
        size, buys = listing.grid.size(lots), order.side == "buy"
        # What is received pays the fee; a maker's rebate comes in the coin that was given.
        in_base = buys is not (record.maker and record.fee_rate < 0)
        fee_coin = listing.base if in_base else listing.quote
        fee = listing.grid.fee(size if in_base else value, record.fee_rate)
        flows = {listing.base: size if buys else -size, listing.quote: -value if buys else value}
        order.book(lots, value, fee, fee_coin, record.ts_ms)
        self.release(account, order, lots)
        for name, flow in flows.items():
            own_fee = fee if name == fee_coin else 0
            account.wallet.coin(name).balance += flow - own_fee
            self._log(account, record, name, flow=flow, fee=own_fee, size="0")
        self._public.fees[fee_coin] += fee
        record.fee, record.fee_coin = fee, fee_coin

    def _log(self, account: Account, record: ExecutionRecord, coin: str, *, flow: int, fee: int, size: str) -> None:
        listing = record.listing
        account.wallet.note(LogRow(
            number=0, ts_ms=record.ts_ms, kind="TRADE", coin=coin, category=listing.category, symbol=listing.symbol,
            side=record.side, qty=listing.instrument.quantity(record.lots), size=size,
            price=listing.instrument.price(record.tick), fee=fee, cash_flow=flow,
            balance=account.wallet.coin(coin).balance, fee_rate=record.fee_rate, trade_id=record.execution_id,
            order_id=record.order_id, link_id=record.order.link_id if record.order else "",
        ))  # fmt: skip
        self._bulletin.paid(account, coin)

    # --- what open orders hold ---

    def hold(self, account: Account, order: Order) -> None:
        """An order was accepted: it may add its lots, or locks its coins."""
        listing = order.listing
        if listing.is_spot:
            if order.tif == "gtc":
                self._lock(account, order, order.left)
        elif order.reduce_only:
            account.holding(listing).reducing[order.number] = None
        else:
            self._expose(account, order, order.left)

    def release(self, account: Account, order: Order, lots: int) -> None:
        """Lots of an order traded, were cancelled or amended away."""
        if order.listing.is_spot:
            if order.held:
                self._lock(account, order, order.left if order.open else 0)
        elif order.reduce_only:
            if not order.open or order.left == lots:
                account.holding(order.listing).reducing.pop(order.number, None)
        else:
            self._expose(account, order, -lots)

    def rehold(self, account: Account, order: Order, tick: int, lots: int) -> None:
        """An amend: the order is now at another price, for another total."""
        more, order.tick = lots - order.lots, tick
        order.lots = lots
        if order.listing.is_spot:
            self._lock(account, order, order.left)
        elif not order.reduce_only:
            self._expose(account, order, more)

    @staticmethod
    def _expose(account: Account, order: Order, lots: int) -> None:
        holding = account.holding(order.listing)
        if order.side == "buy":
            holding.buys += lots
        else:
            holding.sells += lots

    def _lock(self, account: Account, order: Order, lots: int) -> None:
        listing = order.listing
        buys = order.side == "buy"
        name = listing.quote if buys else listing.base
        held = (listing.grid.value(order.tick, lots) if buys else listing.grid.size(lots)) if lots else 0
        if held != order.held:
            account.wallet.coin(name).locked += held - order.held
            order.held = held
            self._bulletin.paid(account, name)


def _signed(listing: Listing, lots: int) -> str:
    said = listing.instrument.quantity(abs(lots)) if lots else "0"
    return f"-{said}" if lots < 0 else said
