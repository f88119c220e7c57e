"""A venue that keeps exact books of its own and writes a statement, for tests of what our books say of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from mmbot.execution.bookings import Booking, Bookings, Sums
from mmbot.execution.custody import CashReport, Custody, Moved

UNIT = 10**12
SECOND = 1_000_000_000
START = 1_000 * SECOND
PERP, COIN_PERP, SPOT = "linear BTCUSDT", "inverse BTCUSD", "spot BTCUSDT"


@dataclass
class Books:
    """Ours and theirs, in step until a test puts them out of it."""

    now: int = START
    balances: dict[str, int] = field(default_factory=lambda: {"USDT": 1_000 * UNIT, "BTC": 10 * UNIT})
    statement: list[Moved] = field(default_factory=list)
    bookings: Bookings = field(default_factory=Bookings)
    ledger: dict[str, Sums] = field(default_factory=lambda: {market: Sums() for market in (PERP, COIN_PERP, SPOT)})
    held: dict[str, tuple[int, Fraction]] = field(default_factory=dict)
    count: int = 0

    def begin(self) -> Custody:
        """Custody of what there is now."""
        return Custody.begin(self.balances, self.statement, self.bookings, self.ledger, self.now)

    def look(self, custody: Custody) -> CashReport:
        """One look, two seconds after what was before."""
        self.now += 2 * SECOND
        told = [one for one in self.statement if one.ts_venue >= custody.asks_since]
        return custody.look(dict(self.balances), told, self.bookings, self.ledger, self.now)

    def twice(self, custody: Custody) -> CashReport:
        """Two looks: what still differs is a break."""
        self.look(custody)
        return self.look(custody)

    # ---- what happens, at the venue and in our books

    def trade(self, market: str, lots: int, price: int, fee: int) -> tuple[Booking, list[Moved]]:
        """Buy or sell lots of 0.001 at a whole price. fee: units; of spot that is bought in the coin itself."""
        size = lots * UNIT // 1000
        coin = "BTC" if market == COIN_PERP else "USDT"
        value = Fraction(size, price) if market == COIN_PERP else Fraction(-size * price)
        base_fee = fee if market == SPOT and lots > 0 else None
        booking = self._booking(
            market, "trade", coin, Sums(round(value), fee if base_fee is None else fee * price, 0, lots)
        )
        if market == SPOT:
            booking = replace(booking, base="BTC", size=size, base_fee=base_fee)
            parts = {"BTC": (size, base_fee or 0), "USDT": (round(value), 0 if base_fee is not None else fee)}
        else:
            parts = {coin: (self._earned(market, lots, value), fee)}
        rows = [self._post(coin, "trade", booking.execution_id, (flow, fee, 0)) for coin, (flow, fee) in parts.items()]
        self.book(booking)
        return booking, rows

    def fund(self, received: int) -> tuple[Booking, list[Moved]]:
        """Funding of the perpetual."""
        booking = self._booking(PERP, "funding", "USDT", Sums(funding=received))
        rows = [self._post("USDT", "funding", booking.execution_id, (0, 0, received))]
        self.book(booking)
        return booking, rows

    def transfer(self, amount: int) -> None:
        """A person moves coins."""
        self.now += SECOND
        self._post("USDT", "transfer", "", (amount, 0, 0))

    def _booking(self, market: str, kind: str, coin: str, sums: Sums) -> Booking:
        self.count += 1
        self.now += SECOND
        return Booking(
            execution_id=f"e{self.count}",
            market=market,
            kind=kind,  # type: ignore[arg-type]
            coin=coin,
            sums=sums,
            ts_venue=self.now,
            booked_at=self.now,
        )

    def book(self, booking: Booking) -> None:
        """Our books have it."""
        self.bookings.book(booking)
        self.ledger[booking.market] = self.ledger[booking.market].plus(booking.sums)

    def _earned(self, market: str, lots: int, value: Fraction) -> int:
        """What closing earns by the average entry, in exact fractions."""
        had, entered = self.held.get(market, (0, Fraction(0)))
        closed = min(abs(lots), abs(had)) if had * lots < 0 else 0
        leaving, cost = value * closed / abs(lots), entered * closed / abs(had) if had else Fraction(0)
        self.held[market] = (had + lots, entered - cost + value - leaving)
        return round(leaving + cost)

    def _post(self, coin: str, kind: str, execution_id: str, parts: tuple[int, int, int]) -> Moved:
        flow, fee, funding = parts
        change = flow - fee + funding
        self.balances[coin] += change
        row = Moved(
            posting_id=f"p{len(self.statement) + 1}",
            coin=coin,
            kind=kind,  # type: ignore[arg-type]
            said=kind.upper(),
            change=change,
            balance=self.balances[coin],
            execution_id=execution_id,
            ts_venue=self.now,
            parts=parts,
        )
        self.statement.append(row)
        return row

    def rewrite(self, row: Moved, **words: object) -> None:
        """The venue's statement says something else of this row, and its balances follow."""
        index = self.statement.index(row)
        self.statement[index] = changed = replace(row, **words)  # type: ignore[arg-type]
        more = changed.change - row.change
        for later, one in enumerate(self.statement[index:], index):
            if one.coin == row.coin:
                self.statement[later] = replace(one, balance=one.balance + more)
        self.balances[row.coin] += more


def names(report: CashReport) -> list[str]:
    """What broke."""
    return [one.name for one in report.breaks]
