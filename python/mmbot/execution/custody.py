"""The coins of the account: what they were when they last agreed, what moved them since, and whether that explains what
there is now.

    proven balance ── posting, posting, posting ──▶ balance          each posting's own sum is checked, to the last unit
        trade, funding   an execution that we booked, by the same amounts: what closing earned, fee, funding
        transfer         explained by a person, who moved coins: told, and counted
        other            explained by nobody: a break
    our ledger  =  what the statement explained  +  what it has not shown yet        by instrument, to the last unit

So balance = first balance + transfers + what our books say + `drift`. Drift is what the venue rounds otherwise: each
amount may differ by `ROUNDING`, all of a coin together by less than a dollar (`drift_limit`); more is a break. What
our books have and the statement does not show within `LATE_NS` is a break, too.

The balance is read first and the postings after it, so a posting may be newer than the balance: what there is has to
be the proven balance or the balance after one of the postings. What does not fit yet may be late, so it is looked at
again; the same difference twice is a break. Nothing is corrected here.

Not compared: what closing lots earned that were open when custody began (a position that was taken over without what
is known here), until the position was flat once. Amounts are whole 10^-12 of a coin. Sans I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mmbot.execution.bookings import CASH_UNITS, Booking, Entry, Sums
from mmbot.execution.reconcile import Break, BreakKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mmbot.execution.bookings import Bookings

__all__ = ["LATE_NS", "ROUNDING", "CashReport", "Custody", "Moved", "drift_limit"]

SECOND = 1_000_000_000
OVERLAP_NS = 60 * SECOND
"""Postings are asked for from this long before the newest that was counted: the venue may list them late, and its clock
may be set back."""
BEGIN_NS = 600 * SECOND
"""Postings are asked for from this long before the first look."""
EDGE_NS = 5 * SECOND
"""A posting and its execution may be dated so far apart."""
LATE_NS = 30 * SECOND
"""The statement shows what we booked within this time."""
ROUNDING = 10_000
"""10^-8 of a coin: venues write statements with as many digits."""
_DOLLARS = frozenset({"USD", "USDT", "USDC", "USDE", "DAI", "FDUSD", "PYUSD", "TUSD", "USD1"})
_DOLLAR_DRIFT = 500_000_000_000
_COIN_DRIFT = 5_000_000


def drift_limit(coin: str) -> int:
    """Return by how much roundings of a coin may add up: half a dollar, or 0.000005 of a coin that is worth more.

    The latter is less than a dollar as long as the coin is worth less than 200,000.
    """
    return _DOLLAR_DRIFT if coin in _DOLLARS else _COIN_DRIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One change of one coin, as the venue's statement has it."""

    posting_id: str
    coin: str
    kind: Literal["trade", "funding", "transfer", "other"]
    said: str
    """The venue's own word."""
    change: int
    balance: int
    """What was there afterwards."""
    execution_id: str
    ts_venue: int
    parts: tuple[int, int, int] | None = None
    """Cash flow, fee (paid) and funding (received), where the venue tells them apart."""


@dataclass(frozen=True, kw_only=True)
class CashReport:
    """What one look at the coins found."""

    breaks: tuple[Break, ...] = ()
    """What nothing explains, seen twice."""
    deferred: tuple[Break, ...] = ()
    """What is not explained yet: looked at again."""
    transfers: tuple[Moved, ...] = ()
    """Coins that a person moved: no break, and worth telling."""
    compared: int = 0

    @property
    def clean(self) -> bool:
        """Everything is explained."""
        return not self.breaks and not self.deferred


@dataclass(slots=True)
class _Account:
    """What the statement has explained so far: copied, advanced by a look, and kept if everything was explained."""

    booked: dict[str, Sums]
    """By market, what of our ledger the statement has shown, or what was there when custody began."""
    entries: dict[str, Entry]
    """By market, the open lots after what was shown."""
    drift: dict[str, int]
    """By coin, the venue's amounts minus ours."""
    shown: set[tuple[str, str]] = field(default_factory=set)
    """Executions and coins that were shown within the postings of this look."""
    done: set[str] = field(default_factory=set)
    """Executions of which every coin was shown now."""

    def copy(self, shown: set[tuple[str, str]]) -> _Account:
        return _Account(dict(self.booked), dict(self.entries), dict(self.drift), shown)


@dataclass(slots=True)
class Custody:
    """Coins in our care, by their last proven balance."""

    proven: dict[str, int]
    since: int
    """Venue time of the newest posting that was counted, or when custody began. ns since epoch."""
    began: dict[str, int]
    """Balances when custody began."""
    transferred: dict[str, int] = field(default_factory=dict)
    """What people moved in and out since."""
    _counted: dict[str, int] = field(default_factory=dict)
    """Postings that were counted and may be told again, with their times."""
    _before: tuple[Break, ...] = ()
    _account: _Account = field(default_factory=lambda: _Account({}, {}, {}))

    @classmethod
    def begin(
        cls,
        balances: Mapping[str, int],
        postings: Sequence[Moved],
        bookings: Bookings,
        ledger: Mapping[str, Sums],
        now: int,
    ) -> Custody:
        """Take care of coins from now on.

        postings: the latest ones, read after the balances. Those up to the one that left the balance are in it; which
        they are is told by that balance, not by a time, for two clocks are two clocks. bookings, ledger: what our books
        say, by market; what of it those postings show is in the balance, too.
        """
        counted: dict[str, int] = {}
        within: set[str] = set()
        for coin in sorted({one.coin for one in postings}):
            older = [one for one in postings if one.coin == coin]
            while older and older[-1].balance != balances.get(coin, 0):
                older.pop()
            counted |= {one.posting_id: one.ts_venue for one in older}
            within |= {one.execution_id for one in older}
        listed_from = now - BEGIN_NS + EDGE_NS
        bookings.forget(
            one.execution_id for one in bookings.awaited() if one.execution_id in within or one.ts_venue < listed_from
        )
        custody = cls(dict(balances), now, dict(balances), {}, counted)
        custody._take_up(bookings, ledger)
        return custody

    @classmethod
    def read(cls, words: Mapping[str, Any]) -> Custody:
        """Read what `words` wrote, also without what it did not write in earlier versions (what our books say).

        Raises KeyError, TypeError or ValueError for anything else.
        """
        amounts = [{str(k): int(v) for k, v in words[name].items()} for name in ("proven", "transferred", "began")]
        counted = {str(k): int(v) for k, v in words["counted"].items()}
        proven, transferred, began = amounts
        account = _Account(
            {str(k): Sums(*map(int, v)) for k, v in words.get("booked", {}).items()},
            {str(k): Entry(int(v[0]), None if v[1] is None else int(v[1])) for k, v in words.get("open", {}).items()},
            {str(k): int(v) for k, v in words.get("drift", {}).items()},
        )
        return cls(proven, int(words["since"]), began, transferred, counted, (), account)

    def words(self) -> dict[str, Any]:
        """What is known, for a journal."""
        return {
            "proven": self.proven,
            "since": self.since,
            "transferred": self.transferred,
            "began": self.began,
            "counted": self._counted,
            "booked": {market: list(sums) for market, sums in self._account.booked.items()},
            "open": {market: list(entry) for market, entry in self._account.entries.items()},
            "drift": self._account.drift,
        }

    @property
    def asks_since(self) -> int:
        """From when on postings are asked for."""
        return self.since - OVERLAP_NS

    @property
    def drift(self) -> Mapping[str, int]:
        """By coin, what the venue's amounts differ from ours by, in all."""
        return self._account.drift

    def look(
        self,
        balances: Mapping[str, int],
        postings: Sequence[Moved],
        bookings: Bookings,
        ledger: Mapping[str, Sums],
        now: int,
    ) -> CashReport:
        """Compare, and count what was explained if everything was.

        balances: read before the postings. postings: from `asks_since` on, oldest first. bookings: what our books
        await; what the statement has shown is forgotten. ledger: what our books hold, by market, all of that included.
        """
        fresh = [one for one in postings if one.posting_id not in self._counted]
        shown = {(one.execution_id, one.coin) for one in postings if one.posting_id in self._counted}
        self._sift(bookings, {name for name, _ in shown})
        self._take_up(bookings, ledger)
        account = self._account.copy(shown)
        found = [one for moved in fresh for one in _judged(moved, account, bookings)]
        found += _late(account, bookings, now)
        found += _by_ledger(account, bookings, ledger)
        found += self._differences(balances, fresh)
        compared = len({*self.proven, *balances}) + len(ledger)
        if found:
            return self._doubted(tuple(found), compared)
        self._count(fresh)
        self._account = account
        bookings.forget(account.done)
        return CashReport(transfers=tuple(one for one in fresh if one.kind == "transfer"), compared=compared)

    def _doubted(self, found: tuple[Break, ...], compared: int) -> CashReport:
        """The same difference twice is a break."""
        sure = tuple(one for one in found if any(one.repeats(before) for before in self._before))
        self._before = found
        return CashReport(breaks=sure, deferred=tuple(one for one in found if one not in sure), compared=compared)

    def vouched(
        self,
        balances: Mapping[str, int],
        postings: Sequence[Moved],
        bookings: Bookings,
        ledger: Mapping[str, Sums],
        now: int,
    ) -> None:
        """Count anew from what there is: people answer for what differs. Arguments as of the look that found it.

        What the statement should have shown by now, and did not, is awaited no more; of what is younger it still may.
        """
        shown = {one.execution_id for one in postings}
        bookings.forget(
            one.execution_id
            for one in bookings.awaited()
            if one.execution_id in shown or one.booked_at + LATE_NS <= now
        )
        self.proven, self._before, self._account = dict(balances), (), _Account({}, {}, {})
        self._counted |= {one.posting_id: one.ts_venue for one in postings}
        self.since = max([self.since, *self._counted.values()])
        self._take_up(bookings, ledger)

    def adjusted(self, market: str, sums: Sums) -> None:
        """Our books were changed by people's word, which no statement explains.

        What the lots earn that are there now is not compared until the position is flat.
        """
        account = self._account
        account.booked[market] = account.booked.get(market, Sums()).plus(sums)
        lots = account.entries.get(market, Entry(0, 0)).lots + sums.lots
        account.entries[market] = Entry(lots, None if lots else 0)

    def _sift(self, bookings: Bookings, counted: set[str]) -> None:
        """Of what an earlier run booked, forget what it had counted, too: that is listed, or older than any listed."""
        listed_from = self.asks_since + EDGE_NS
        bookings.forget(
            one.execution_id
            for one in bookings.awaited()
            if one.earlier and (one.execution_id in counted or one.ts_venue < listed_from)
        )

    def _take_up(self, bookings: Bookings, ledger: Mapping[str, Sums]) -> None:
        """Begin with a market's books as they are, less what is awaited."""
        for market in ledger.keys() - self._account.booked.keys():
            sums = ledger[market]
            for one in bookings.awaited():
                sums = sums.less(one.sums) if one.market == market else sums
            self._account.booked[market] = sums
            self._account.entries[market] = Entry(sums.lots, None if sums.lots else 0)

    def _count(self, fresh: Sequence[Moved]) -> None:
        for one in fresh:
            self.proven[one.coin] = self.proven.get(one.coin, 0) + one.change
            self._counted[one.posting_id] = one.ts_venue
            self.since = max(self.since, one.ts_venue)
            if one.kind == "transfer":
                self.transferred[one.coin] = self.transferred.get(one.coin, 0) + one.change
        self._counted = {name: ts for name, ts in self._counted.items() if ts >= self.asks_since}
        self._before = ()

    def _differences(self, balances: Mapping[str, int], fresh: Sequence[Moved]) -> list[Break]:
        found = []
        for coin in sorted({*self.proven, *balances, *(one.coin for one in fresh)}):
            total = self.proven.get(coin, 0)
            path = [total]
            for one in fresh:
                if one.coin == coin:
                    total += one.change
                    path.append(total)
                    if one.balance != total:
                        found.append(_break(coin, total, one.balance))
                        break
            if balances.get(coin, 0) not in path:
                found.append(_break(coin, path[-1], balances.get(coin, 0)))
        return found


def _break(name: str, held: int | None, told: int | None) -> Break:
    return Break(BreakKind.CASH, name, "", held, told)


def _named(one: Moved) -> str:
    return f"{one.coin} {one.said} {one.execution_id or one.posting_id}"


def _judged(one: Moved, account: _Account, bookings: Bookings) -> Iterator[Break]:
    """Hold one posting against what our books say, and let the account go on by it."""
    if one.kind == "transfer":
        return
    booking = _booking_of(one, account, bookings)
    if booking is None:
        heard = one.execution_id and one.kind != "other" and bookings.is_elsewhere(one.execution_id)
        if not heard:
            yield _break(_named(one), None, one.change)
        return
    flow, fee, funding = _expected(booking, one.coin, account)
    yield from _compared(one, booking, (flow, fee, funding), account)
    _advance(one, booking, account)


def _booking_of(one: Moved, account: _Account, bookings: Bookings) -> Booking | None:
    """Return what our books say of a posting: by its execution or, without one, the only one that fits exactly."""
    if one.execution_id:
        found = bookings.get(one.execution_id)
        return found if found is not None and _may_be(one, found, account) else None
    fitting = [
        booking
        for booking in bookings.awaited()
        if _may_be(one, booking, account)
        and abs(booking.ts_venue - one.ts_venue) <= EDGE_NS
        and _fits(one, booking, account)
    ]
    return fitting[0] if len(fitting) == 1 else None


def _may_be(one: Moved, booking: Booking, account: _Account) -> bool:
    return (
        booking.kind == one.kind and one.coin in booking.coins and (booking.execution_id, one.coin) not in account.shown
    )


def _fits(one: Moved, booking: Booking, account: _Account) -> bool:
    flow, fee, funding = _expected(booking, one.coin, account)
    return flow is not None and abs(one.change - (flow - fee + funding)) <= _allowed(booking)


def _allowed(booking: Booking) -> int:
    """What closing earned may differ by: venues keep the average entry price of a linear contract to 8 digits, too."""
    return ROUNDING if booking.base else ROUNDING + abs(booking.size) * ROUNDING // CASH_UNITS


def _expected(booking: Booking, coin: str, account: _Account) -> tuple[int | None, int, int]:
    """Return cash flow, fee and funding of one coin by our books; the flow is None where they cannot know it."""
    sums = booking.sums
    if booking.base:
        if coin == booking.base:
            return booking.size, booking.base_fee or 0, 0
        return sums.flow, sums.fees if booking.base_fee is None else 0, 0
    earned, _ = account.entries.get(booking.market, Entry(0, None)).traded(sums)
    return earned, sums.fees, sums.funding


def _compared(
    one: Moved, booking: Booking, expected: tuple[int | None, int, int], account: _Account
) -> Iterator[Break]:
    name, (flow, fee, funding) = _named(one), expected
    if one.parts is None:
        pairs = [("change", None if flow is None else flow - fee + funding, one.change, _allowed(booking))]
    else:
        told_flow, told_fee, told_funding = one.parts
        pairs = [
            ("flow", flow, told_flow, _allowed(booking)),
            ("fee", fee, told_fee, ROUNDING),
            ("funding", funding, told_funding, ROUNDING),
        ]
        whole = told_flow - told_fee + told_funding
        if abs(one.change - whole) > ROUNDING:
            yield _break(f"{name} change", whole, one.change)
    differs = False
    for what, ours, theirs, allowed in pairs:
        if ours is not None and abs(theirs - ours) > allowed:
            differs = True
            yield _break(f"{name} {what} of {booking.market}", ours, theirs)
    if flow is None or differs:
        return
    drift = account.drift.get(one.coin, 0) + one.change - (flow - fee + funding)
    if drift:
        account.drift[one.coin] = drift
    if abs(drift) > drift_limit(one.coin):
        yield _break(f"{one.coin} roundings, in all", 0, drift)


def _advance(one: Moved, booking: Booking, account: _Account) -> None:
    account.shown.add((booking.execution_id, one.coin))
    if one.coin == booking.coin:
        _, account.entries[booking.market] = account.entries.get(booking.market, Entry(0, None)).traded(booking.sums)
    if all((booking.execution_id, coin) in account.shown for coin in booking.coins):
        account.done.add(booking.execution_id)
        account.booked[booking.market] = account.booked.get(booking.market, Sums()).plus(booking.sums)


def _late(account: _Account, bookings: Bookings, now: int) -> list[Break]:
    """What our books have had for long and the statement does not show. Nothing for nothing needs no posting."""
    return [
        _break(f"{coin} {one.kind} {one.execution_id} of {one.market}, not in the statement", _worth(one, coin), None)
        for one in bookings.awaited()
        if one.booked_at + LATE_NS <= now and (one.kind == "trade" or any(one.sums))
        for coin in one.coins
        if (one.execution_id, coin) not in account.shown
    ]


def _worth(one: Booking, coin: str) -> int:
    """What to name of a booking that nothing is known of but our own word."""
    if coin == one.base:
        return one.size - (one.base_fee or 0)
    return one.sums.funding if one.kind == "funding" else one.sums.flow - one.sums.fees


def _by_ledger(account: _Account, bookings: Bookings, ledger: Mapping[str, Sums]) -> list[Break]:
    """What the ledger holds, against what the statement explained and what it has not shown yet."""
    found = []
    for market in sorted(ledger):
        explained = account.booked.get(market, Sums())
        for one in bookings.awaited():
            if one.market == market and one.execution_id not in account.done:
                explained = explained.plus(one.sums)
        for what, held, told in zip(Sums._fields, ledger[market], explained, strict=True):
            if what != "lots" and held != told:  # positions have a comparison of their own
                found.append(_break(f"ledger of {market}, {what}", held, told))
    return found
