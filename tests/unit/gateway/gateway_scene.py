"""A gateway on one instrument, and words for what reaches it."""

from collections.abc import Sequence
from typing import Any

from mmbot.gateway.core import GatewayCore, Objection
from mmbot.gateway.limits import GatewayLimits
from mmbot.venues.port import (
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    Fact,
    LinkEvent,
    OrderRequest,
    OrderSeen,
    PlaceOrder,
    PositionSeen,
)

MARKET = ("linear", "BTCUSDT")
T0 = 1_000_000_000_000
WALL = 1_790_000_000_000_000_000
MS = 1_000_000


def limits(**changes: Any) -> GatewayLimits:
    """Orders up to 1 and 200, positions up to 2, 1 % of collar."""
    symbol = {
        "category": MARKET[0],
        "symbol": MARKET[1],
        "order_qty": "1",
        "order_notional": "200",
        "position": "2",
        "collar_bps": 100,
        **changes.pop("symbol", {}),
    }
    return GatewayLimits.model_validate(
        {"environment": "simulator", "symbol": [symbol], "exposure": "1000", "requests_per_second": 50, **changes}
    )


def position(qty: str, ts: int = 1) -> PositionSeen:
    """The venue's word on the position."""
    return PositionSeen(category=MARKET[0], symbol=MARKET[1], qty=qty, entry_price="0", ts_venue=ts)


def ready(core: GatewayCore | None = None) -> GatewayCore:
    """A gateway that has an engine, a flat account and a market at 100."""
    core = core or GatewayCore(limits())
    core.engage(1)
    core.looked(MARKET, [], position("0"), T0, T0)
    core.refer(MARKET, "touch", "99.9", "100.1", T0)
    return core


def place(name: str = "mm-1", side: str = "buy", price: str = "100", qty: str = "1", **changes: Any) -> PlaceOrder:
    """A post-only order of one at 100."""
    words = {"category": MARKET[0], "symbol": MARKET[1], "post_only": True, **changes}
    return PlaceOrder(client_id=name, side=side, price=price, qty=qty, **words)


def amend(name: str = "mm-1", **changes: Any) -> AmendOrder:
    """A change of it."""
    return AmendOrder(client_id=name, category=MARKET[0], symbol=MARKET[1], **changes)


def cancel(name: str = "mm-1") -> CancelOrder:
    """Its end."""
    return CancelOrder(client_id=name, category=MARKET[0], symbol=MARKET[1])


def seen(name: str, status: str = "live", *, cum: str = "0", qty: str = "1", side: str = "buy") -> OrderSeen:
    """The venue's word on an order."""
    return OrderSeen(
        client_id=name,
        venue_id=f"v-{name}",
        category=MARKET[0],
        symbol=MARKET[1],
        side=side,
        status=status,
        cum=cum,
        price="100",
        qty=qty,
        reason="",
        ts_venue=1,
    )


def executed(number: int, name: str, qty: str, side: str = "buy", kind: str = "trade") -> ExecutionSeen:
    """One execution."""
    return ExecutionSeen(
        client_id=name,
        venue_id=f"v-{name}",
        execution_id=f"x-{number}",
        category=MARKET[0],
        symbol=MARKET[1],
        kind=kind,
        side=side,
        price="100",
        qty=qty,
        maker=True,
        fee="0",
        fee_currency="USDT",
        ts_venue=1,
    )


def asked(core: GatewayCore, request: OrderRequest, at: int = 0, **changes: int) -> list[str]:
    """The rules that object to a request decided and received `at` ns after the beginning."""
    said: Sequence[Objection] = core.judge(
        request, **{"epoch": 1, "decided": T0 + at, "now": T0 + at, "wall": WALL + at, **changes}
    )
    return [one.rule for one in said]


class Ear:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.links: list[LinkEvent] = []

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep them."""
        self.facts.extend(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Keep it."""
        self.links.append(event)
