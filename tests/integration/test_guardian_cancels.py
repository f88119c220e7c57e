"""The guardian's own link on the real exchange server: bulk, one by one where that is refused, zero by its books."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from paper_exchange import KEY, SECRET, PaperExchange
from pydantic import SecretStr

from mmbot.exchange.faults import Fault
from mmbot.exchange.generator import MarketKind
from mmbot.execution.client_ids import ClientIds
from mmbot.guardian.venue import GuardedVenue
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.orders_wire import body
from mmbot.venues.port import Credentials, PlaceOrder

BTC = ("linear", "BTCUSDT")
NAMES = ClientIds("s", 7, "tst")


async def rest(venue: GuardedVenue, paper: PaperExchange, names: list[str]) -> None:
    """Let orders of these names rest, below the market."""
    endpoint = f"{paper.exchange.http}/v5/market/tickers?category=linear&symbol=BTCUSDT"
    async with aiohttp.ClientSession() as client, client.get(endpoint) as answer:
        [ticker] = (await answer.json())["result"]["list"]
    price = f"{float(ticker['bid1Price']) * 0.99:.1f}"
    for name in names:
        order = PlaceOrder(
            client_id=name, category=BTC[0], symbol=BTC[1], side="buy", price=price, qty="0.001", post_only=True
        )
        assert (await venue._http.change("/v5/order/create", body([order]))).code == 0


def play(scenario: Callable[[GuardedVenue, PaperExchange], Awaitable[Any]], names: list[str]) -> None:
    """Some orders rest, and the guardian is connected."""

    async def whole() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM, speed=1.0) as paper:
            credentials = Credentials(key=KEY, secret=SecretStr(SECRET))
            venue = GuardedVenue(Endpoint.of("simulator", paper.exchange.http), credentials, [BTC])
            await venue.start()
            try:
                await rest(venue, paper, names)
                await scenario(venue, paper)
            finally:
                await venue.stop()

    asyncio.run(whole())


@pytest.mark.parametrize("trouble", ["", "refused", "silent"])
def test_everything_leaves_whatever_becomes_of_the_bulk_cancel(trouble: str) -> None:
    """Ours and others' orders: in bulk, or else one by one; and zero is what the exchange's own books say."""

    async def scenario(venue: GuardedVenue, paper: PaperExchange) -> None:
        where = "rest:POST /v5/order/cancel-all"
        if trouble:
            what = {"refused": "answer", "silent": "silence"}[trouble]
            paper.exchange.gateway.faults.arm(Fault(where=where, what=what, code=10016, count=None))
        outcome = await venue.cancel(foreign=True)
        assert (outcome.zero, outcome.seen >= (7 if trouble else 0), paper.truth()["open"]) == (True, True, [])
        assert ("per_order_fallback" in outcome.why) is bool(trouble)

    play(scenario, [*(NAMES.name(number) for number in range(1, 6)), "by-hand-1", "by-hand-2"])


def test_one_by_one_where_a_batch_is_refused_too() -> None:
    """Neither a bulk cancel nor a batch is taken: each order leaves by a request of its own."""

    async def scenario(venue: GuardedVenue, paper: PaperExchange) -> None:
        for word in ("cancel-all", "cancel-batch"):
            fault = Fault(where=f"rest:POST /v5/order/{word}", what="answer", code=10001, count=None)
            paper.exchange.gateway.faults.arm(fault)
        assert (await venue.cancel(foreign=True)).zero
        assert paper.truth()["open"] == []

    play(scenario, [NAMES.name(number) for number in range(1, 8)])


def test_others_orders_stay_once_everything_was_open_no_more() -> None:
    """What somebody places by hand after the alarm is left alone, and does not keep the guardian from zero of ours."""

    async def scenario(venue: GuardedVenue, paper: PaperExchange) -> None:
        assert (await venue.cancel(foreign=False)).zero
        assert [order["orderLinkId"] for order in paper.truth()["open"]] == ["by-hand"]

    play(scenario, [NAMES.name(1), "by-hand", NAMES.name(2)])


def test_a_venue_that_cannot_be_asked_is_no_zero() -> None:
    """Every question is swallowed: nothing is claimed."""

    async def scenario(venue: GuardedVenue, paper: PaperExchange) -> None:
        paper.exchange.gateway.faults.arm(Fault(where="rest:*", what="silence", count=None))
        outcome = await venue.cancel(foreign=True)
        assert (outcome.zero, len(paper.truth()["open"])) == (False, 1)
        paper.exchange.gateway.faults.clear()

    play(scenario, [NAMES.name(1)])
