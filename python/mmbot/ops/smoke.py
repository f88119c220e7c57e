"""One order's life at a venue that costs nothing: does everything between us and a test account still work?

    market ─ attest ─ instrument ─ place ─ amend ─ cancel ─ cancel_all ─ flat

A post-only bid of the least size, one percent below the market, so that it rests; each step waits for the venue's own
word, not for an acknowledgement. Whatever fails, the end is the same: everything of the symbol is cancelled, and the
venue is asked whether that is true.

It is for an account of its own: `cancel_all` takes everybody's orders of the symbol.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, TypeVar

from mmbot.data.instruments import bybit, fee_profile
from mmbot.execution import MakerPlacement, PlacementRules
from mmbot.venues.port import AmendOrder, CancelOrder, OrderSeen, PlaceOrder, Refused, Unanswered, VenueError
from mmbot.venues.records import BookUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mmbot._core import Instrument
    from mmbot.execution import ClientIds, Placement
    from mmbot.venues.port import Fact, Heard, InstrumentTerms, LinkEvent, OrderEntry, OrderRequest, PublicFeed

__all__ = ["SmokeError", "SmokeListener", "SmokeStep", "SmokeTest"]

Found = TypeVar("Found")

_BELOW = Decimal("0.99")
"""Where the order rests, as a share of the best bid."""


class SmokeError(Exception):
    """A step did not end as it must; the message says which, what was seen and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeStep:
    """One step that passed."""

    name: str
    ms: float
    """How long it took, the venue's time and the network's included."""
    said: str


class SmokeListener:
    """Hears both sides of the venue, and lets a step wait for what it needs."""

    def __init__(self) -> None:
        self.touch: tuple[Decimal, Decimal] | None = None
        """Best bid and ask of the last snapshot."""
        self.orders: dict[str, OrderSeen] = {}
        """Latest word on each order, by client id."""
        self._problems: list[str] = []
        self._news = asyncio.Event()

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep what is said about orders; a refusal or a lost answer ends the step that waits."""
        for fact in facts:
            if isinstance(fact, OrderSeen):
                self.orders[fact.client_id] = fact
            elif isinstance(fact, Refused):
                self._problems.append(f"the venue refused to {fact.request}: {fact.reason} {fact.code} {fact.message}")
            elif isinstance(fact, Unanswered):
                self._problems.append(f"the venue did not answer to {fact.request}: {fact.why}")
        self._news.set()

    def on_link(self, event: LinkEvent) -> None:
        """Links may come and go; a step that needs one waits for it."""

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Raw bytes are not needed."""

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Take the touch from a snapshot."""
        for record in records:
            if isinstance(record, BookUpdate) and record.kind == "snapshot" and record.bids and record.asks:
                bid = max(Decimal(price) for price, _ in record.bids)
                self.touch = bid, min(Decimal(price) for price, _ in record.asks)
        self._news.set()

    async def until(self, expected: str, found: Callable[[], Found | None], wait_s: float) -> Found:
        """Wait until `found` finds something. Raises SmokeError when time is up or the venue refuses."""
        try:
            async with asyncio.timeout(wait_s):
                while (seen := found()) is None:
                    if self._problems:
                        raise SmokeError(f"expected {expected}, but {self._problems.pop(0)}")
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise SmokeError(f"expected {expected} within {wait_s:g} s; nothing of the kind was heard") from None
        return seen


class SmokeTest:
    """The steps, on one symbol. `listener` must be the sink of both `orders` and `feed`."""

    def __init__(
        self,
        orders: OrderEntry,
        feed: PublicFeed,
        listener: SmokeListener,
        ids: ClientIds,
        *,
        category: str,
        symbol: str,
        wait_s: float = 10.0,
    ) -> None:
        self._orders, self._feed, self._listener, self._ids = orders, feed, listener, ids
        self._category, self._symbol, self._wait_s = category, symbol, wait_s
        self._terms: InstrumentTerms | None = None
        self._position = "0"
        self._sent = 0

    async def run(self, tell: Callable[[SmokeStep], None]) -> None:
        """Take the steps, telling each that passed. Raises SmokeError at the first that does not, after cleaning up."""
        try:
            await self._feed.start()
            await self._orders.start()
            for step in (
                self._market,
                self._attest,
                self._instrument,
                self._place,
                self._amend,
                self._cancel,
                self._cancel_all,
                self._flat,
            ):
                began = time.perf_counter()
                said = await self._bounded(step)
                name = step.__name__.removeprefix("_")
                tell(SmokeStep(name=name, ms=(time.perf_counter() - began) * 1e3, said=said))
        except VenueError as error:
            raise SmokeError(f"the venue cannot be used: {error}") from error
        finally:
            await self._leave()

    async def _bounded(self, step: Callable[[], Awaitable[str]]) -> str:
        try:
            async with asyncio.timeout(3 * self._wait_s):
                return await step()
        except TimeoutError:
            name = step.__name__.removeprefix("_")
            raise SmokeError(f"{name} took longer than {3 * self._wait_s:g} s; is the venue up?") from None

    async def _leave(self) -> None:
        """Leave nothing behind, or say so."""
        try:
            if self._sent:
                async with asyncio.timeout(self._wait_s):
                    await self._orders.cancel_all(self._category, self._symbol)
        except (TimeoutError, VenueError) as error:
            why = str(error) or "the venue did not answer"
            raise SmokeError(f"orders of {self._symbol} may be left, cancel them by hand: {why}") from error
        finally:
            await self._orders.stop()
            await self._feed.stop()

    # ---- the steps, each returning what it found

    async def _market(self) -> str:
        bid, ask = await self._listener.until("a snapshot of the book", lambda: self._listener.touch, self._wait_s)
        if bid >= ask:
            raise SmokeError(f"the book is crossed: bid {bid}, ask {ask}")
        return f"{self._symbol} {bid} / {ask}"

    async def _attest(self) -> str:
        found = await self._orders.attest()
        if found.read_only:
            raise SmokeError("the key is read-only; expected one that may place orders")
        if found.faults:
            raise SmokeError(f"the account has faults: {'; '.join(found.faults)}")
        self._position = (await self._orders.position(self._category, self._symbol)).qty
        return f"position mode {found.position_mode}, clock {found.clock_offset / 1e6:+.1f} ms"

    async def _instrument(self) -> str:
        self._terms = terms = await self._orders.instrument(self._category, self._symbol)
        if not terms.tradable:
            raise SmokeError(f"{self._symbol} takes no orders now; try another symbol")
        return f"tick {terms.tick}, lot {terms.lot}, least {terms.min_qty}"

    async def _place(self) -> str:
        seen = await self._placed()
        return f"{seen.qty} at {seen.price} rests as {seen.client_id}"

    async def _amend(self) -> str:
        name, terms = self._ids.name(self._sent), self._known()
        wanted = Decimal(self._listener.orders[name].price) - Decimal(terms.tick)
        self._send(AmendOrder(client_id=name, category=self._category, symbol=self._symbol, price=str(wanted)))
        await self._seen(name, f"the order at {wanted}", lambda seen: Decimal(seen.price) == wanted)
        return f"now at {wanted}"

    async def _cancel(self) -> str:
        name = self._ids.name(self._sent)
        self._send(CancelOrder(client_id=name, category=self._category, symbol=self._symbol))
        seen = await self._seen(name, "the order cancelled", lambda seen: seen.status == "canceled")
        return f"executed {seen.cum}"

    async def _cancel_all(self) -> str:
        await self._placed()
        count = await self._orders.cancel_all(self._category, self._symbol)
        left = await self._orders.open_orders(self._category, self._symbol)
        if count < 1 or left:
            raise SmokeError(f"cancel-all found {count} orders and {len(left)} are left; expected at least 1, and 0")
        return f"{count} cancelled, none left"

    async def _flat(self) -> str:
        now = (await self._orders.position(self._category, self._symbol)).qty
        if Decimal(now) != Decimal(self._position):
            raise SmokeError(f"the position moved from {self._position} to {now}; a resting order was filled")
        return f"position unchanged at {now}"

    # ---- what the steps share

    def _known(self) -> InstrumentTerms:
        if self._terms is None:
            raise SmokeError("an order was asked for before the instrument's rules were")
        return self._terms

    async def _placed(self) -> OrderSeen:
        terms, touch = self._known(), self._listener.touch
        if touch is None:
            raise SmokeError("an order was asked for before the market was seen")
        made, instrument = _least_bid(terms, *touch)
        self._sent += 1
        name = self._ids.name(self._sent)
        self._send(
            PlaceOrder(
                client_id=name,
                category=self._category,
                symbol=self._symbol,
                side="buy",
                price=instrument.price(made.tick),
                qty=instrument.quantity(made.lots),
                post_only=True,
            )
        )
        return await self._seen(name, "a resting order", lambda seen: seen.status == "live")

    def _send(self, request: OrderRequest) -> None:
        self._orders.send([request])

    async def _seen(self, name: str, expected: str, holds: Callable[[OrderSeen], bool]) -> OrderSeen:
        def found() -> OrderSeen | None:
            seen = self._listener.orders.get(name)
            if seen is None or holds(seen):
                return seen
            if seen.status in ("filled", "canceled", "rejected"):
                raise SmokeError(f"expected {expected}, but it is {seen.status} {seen.reason}".rstrip())
            return None

        return await self._listener.until(expected, found, self._wait_s)


def _least_bid(terms: InstrumentTerms, bid: Decimal, ask: Decimal) -> tuple[Placement, Instrument]:
    """The smallest bid that the venue takes, one percent below its best."""
    instrument = bybit(terms, fee_profile("free"))
    tick, lot, price = Decimal(terms.tick), Decimal(terms.lot), bid * _BELOW
    least = Decimal(terms.min_qty or terms.lot)
    if terms.min_notional is not None:
        least = max(least, Decimal(terms.min_notional) / (1 if terms.kind == "inverse" else price))
    rules = PlacementRules(
        min_lots=int((least / lot).to_integral_value(ROUND_CEILING)), bid_tick=int(bid / tick), ask_tick=int(ask / tick)
    )
    made, ruling = MakerPlacement().fit("buy", float(price / tick), 0.5, rules)
    if made is None:
        raise SmokeError(f"no order fits {terms.symbol}: {ruling.said}")
    return made, instrument
