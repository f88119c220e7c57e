"""What a venue needs so that the contract can be played on it: an adapter that is connected, a quiet market, the truth.

A new venue adds its stage to `STAGES`; the suite does not know which one it plays on. Prices and quantities are said
in the stage's own terms, since a contract of one dollar and a coin are not the same size.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Protocol

from pydantic import SecretStr

from mmbot.exchange import rules
from mmbot.exchange.admin import truth
from mmbot.exchange.faults import Fault
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Market
from mmbot.exchange.opening import AccountTerms
from mmbot.exchange.switches import Switches
from mmbot.exchange.venue import Exchange
from mmbot.execution import Backoff
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import HttpTiming
from mmbot.venues.bybit.link import LinkTiming
from mmbot.venues.bybit.session import BybitOrders, OrdersTiming
from mmbot.venues.port import (
    POSITION_KINDS,
    AmendOrder,
    CancelOrder,
    Credentials,
    ExecutionSeen,
    Fact,
    LinkEvent,
    OrderEntry,
    OrderSeen,
    PlaceOrder,
)


class Heard:
    """A sink that keeps everything, and lets a scenario wait for what it expects."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.links: list[LinkEvent] = []
        self._news = asyncio.Event()

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep them, in order."""
        self.facts.extend(facts)
        self._news.set()

    def on_link(self, event: LinkEvent) -> None:
        """Keep it."""
        self.links.append(event)
        self._news.set()

    def of(self, kind: type, client_id: str = "") -> list[Any]:
        """Facts of a kind, about one order or all."""
        return [
            one
            for one in self.facts
            if isinstance(one, kind) and (not client_id or getattr(one, "client_id", "") == client_id)
        ]

    def last(self, client_id: str) -> OrderSeen | None:
        """An order's latest state, by the venue's own time: facts may come in any order."""
        seen = self.of(OrderSeen, client_id)
        closed = [one for one in seen if one.status in ("filled", "canceled", "rejected")]
        return max(closed or seen, key=lambda one: one.ts_venue, default=None)

    def executions(self) -> dict[str, ExecutionSeen]:
        """Executions by id: however often one is told, it happened once."""
        return {one.execution_id: one for one in self.of(ExecutionSeen)}

    def bought(self) -> Decimal:
        """What the executions add up to, signed."""
        moved = [one for one in self.executions().values() if one.kind in POSITION_KINDS]
        return sum((Decimal(one.qty) * (1 if one.side == "buy" else -1) for one in moved), Decimal(0))

    async def until(self, condition: Callable[[], Any], seconds: float = 8.0) -> Any:
        """Wait until something holds; its value. Says what was told last if it never does."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, (
                f"not within {seconds} s; told last: {self.facts[-8:]} {self.links[-4:]}"
            )
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._news.wait()
        return found

    async def listen(self, seconds: float) -> None:
        """Let the world go on for a moment."""
        await asyncio.sleep(seconds)


@dataclass
class Stage:
    """One venue, one instrument, one account, and the market around it: best bid 99, best ask 101, in steps of 1."""

    category: str
    symbol: str
    unit: int
    orders: OrderEntry
    heard: Heard
    venue: "BybitVenue"
    opened_ns: int = field(default_factory=time.time_ns)
    names: int = 0
    sent: list[str] = field(default_factory=list)

    def place(self, side: str = "buy", price: int = 98, units: int = 5, **more: Any) -> PlaceOrder:
        """An order of ours with a name of its own; post-only and good till cancelled unless said otherwise."""
        self.names += 1
        more = {"post_only": more.get("tif", "gtc") == "gtc", **more}
        order = PlaceOrder(
            client_id=more.pop("client_id", f"mm-{self.names}"),
            category=self.category,
            symbol=self.symbol,
            side="buy" if side == "buy" else "sell",
            price=str(price),
            qty=str(units * self.unit),
            **more,
        )
        self.sent.append(order.client_id)
        return order

    def amend(self, client_id: str, price: int | None = None, units: int | None = None) -> AmendOrder:
        """Another price, another total quantity."""
        return AmendOrder(
            client_id=client_id,
            category=self.category,
            symbol=self.symbol,
            price=None if price is None else str(price),
            qty=None if units is None else str(units * self.unit),
        )

    def cancel(self, client_id: str) -> CancelOrder:
        """The end of an order."""
        return CancelOrder(client_id=client_id, category=self.category, symbol=self.symbol)

    async def shown(self, client_id: str, *statuses: str) -> OrderSeen:
        """Wait until the order shows in one of these states."""

        def found() -> OrderSeen | None:
            last = self.heard.last(client_id)
            return last if last is not None and last.status in statuses else None

        return await self.heard.until(found)

    def qty(self, units: int) -> Decimal:
        """So many units as the venue's quantity."""
        return Decimal(units * self.unit)


class BybitVenue:
    """What a scenario may do to the simulated Bybit around the adapter."""

    def __init__(self, exchange: Exchange, market: Market, unit: int) -> None:
        self.exchange = exchange
        self.market = market
        self._unit = unit

    def trade(self, side: str, price: int, units: int) -> None:
        """Somebody takes so much, at that price."""
        self.market.public_trade("buy" if side == "buy" else "sell", price, units * self._unit, self.market.now_ns())

    def arm(self, where: str, what: str, **more: Any) -> None:
        """Trouble for the next request or message there."""
        self.exchange.gateway.faults.arm(Fault(where=where, what=what, **more))

    def disarm(self) -> None:
        """No more trouble."""
        self.exchange.gateway.faults.clear()

    def open_orders(self) -> list[str]:
        """Client ids that rest there, by the venue's own books."""
        return [order["orderLinkId"] for order in self._account()["open"]]

    def executions(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Signed quantity and fee of every execution that happened, by id."""
        return {
            one["execId"]: (
                Decimal(one["execQty"]) * (1 if one["side"] == "Buy" else -1),
                Decimal(one["execFee"]),
            )
            for one in self._account()["executions"]
        }

    def _account(self) -> dict[str, Any]:
        [account] = truth(self.exchange.gateway)["accounts"].values()
        return account

    def restart(self) -> None:
        """Restart the trade service, the sockets and the book service."""
        self.exchange.gateway.restart()

    def cut(self, link: str) -> None:
        """End connections of a kind without a word."""
        self.exchange.gateway.cut(link, None, "abort")

    def mute(self, link: str) -> None:
        """Make connections of a kind half-open."""
        self.exchange.gateway.mute(link, None)


class Still:
    """A market in which nothing happens by itself: ten units bid at 99, ten offered at 101."""

    rounds = 0

    def __init__(self, unit: int) -> None:
        self._unit = unit

    def open(self, market: Market, now_ns: int) -> None:
        """Set the book."""
        levels = [(99, 10 * self._unit)], [(101, 10 * self._unit)]
        market.public_depth("snapshot", *levels, now_ns)

    def advance(self, market: Market, now_ns: int) -> None:
        """Nothing."""


_COARSE = {
    "min_order_qty": "1",
    "max_order_qty": "1000000",
    "max_market_qty": "1000000",
    "min_price": "1",
    "max_price": "100000",
    "price_limit_x": "0.1",
    "price_limit_y": "0.2",
}
_FEES = ("-0.0001", "0.0005")
_TERMS = {
    "linear": (rules.linear("BTC", "1", "1", fees=_FEES), 1),
    "inverse": (rules.inverse("BTC", "1", fees=_FEES), 100),
    "spot": (rules.spot("BTC", "1", "1", fees=_FEES), 1),
}
TIMING = OrdersTiming(
    ack_s=0.5,
    shown_s=0.6,
    ask_s=0.05,
    cancel_all_look_s=0.05,
    links=LinkTiming(ping_s=0.5, pong_s=0.4, backoff_first_s=0.02, backoff_max_s=0.2),
    http=HttpTiming(read_s=2, order_s=1, reads=Backoff(delays_s=(0.05, 0.1, 0.2)), recv_window_ms=1_000),
)


@asynccontextmanager
async def _bybit(category: str, switches: Switches | None = None) -> AsyncIterator[Stage]:
    terms, unit = _TERMS[category]
    market = Market(terms.model_copy(update=_COARSE), time.time_ns)
    hall = Hall([(market, Still(unit))], time.time_ns)
    account = AccountTerms(key="ann", secret="ann-secret", tier="unlimited", balances={"USDT": "100000", "BTC": "1000"})
    exchange = Exchange.open(hall, time.time_ns, [account], switches=switches)
    await exchange.start()
    heard = Heard()
    orders = BybitOrders(
        Endpoint.of("simulator", exchange.http),
        Credentials(key="ann", secret=SecretStr("ann-secret")),
        heard,
        time.time_ns,
        instruments=[(category, terms.symbol)],
        timing=TIMING,
        random=Random(7),
    )
    try:
        await orders.start()
        yield Stage(category, terms.symbol, unit, orders, heard, BybitVenue(exchange, market, unit))
    finally:
        await orders.stop()
        await exchange.stop()


class Opener(Protocol):
    """Opens a stage, with the venue's behaviour changed by switches."""

    def __call__(self, switches: Switches | None = None) -> AbstractAsyncContextManager[Stage]:
        """Open it."""


STAGES: dict[str, Opener] = {
    f"bybit {category}": lambda switches=None, category=category: _bybit(category, switches) for category in _TERMS
}
"""Every venue and product line that the contract is played on."""


def play(scenario: Callable[[], Any]) -> None:
    """Run a scenario in a loop that fails on an exception nobody caught."""

    async def watched() -> None:
        faults: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await scenario()
        assert not faults

    asyncio.run(watched())
