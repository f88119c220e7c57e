"""Order entry against a scripted Bybit on loopback: one answer to each request, whatever goes wrong."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from scripted_bybit import Heardall, Json, ScriptedBybit

from mmbot.execution import Backoff
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.clock import ERROR_MAX, ClockOffset
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import BybitHttp, HttpTiming, NoAnswer
from mmbot.venues.bybit.link import LinkTiming
from mmbot.venues.bybit.session import BybitOrders, OrdersTiming
from mmbot.venues.port import (
    Acked,
    AmendOrder,
    CancelOrder,
    Credentials,
    ExecutionSeen,
    OrderSeen,
    PlaceOrder,
    Refused,
    TermsChanged,
    Unanswered,
    VenueError,
    WalletSeen,
)

SECRET = "sentinel-3f9a-secret"
KEY = Credentials(key="testkey", secret=SecretStr(SECRET))
LINKS = LinkTiming(ping_s=0.2, pong_s=0.3, backoff_first_s=0.01, backoff_max_s=0.05, login_s=0.5, connect_s=0.5)
HTTP = HttpTiming(read_s=1, order_s=0.5, reads=Backoff(delays_s=(0.01, 0.02, 0.04)), recv_window_ms=500)
FAST = OrdersTiming(
    ready_s=5, ack_s=0.4, shown_s=0.5, ask_s=0.02, cancel_all_s=4, cancel_all_look_s=0.02, links=LINKS, http=HTTP
)
BTC = ("linear", "BTCUSDT")


def place(client_id: str, **changed: object) -> PlaceOrder:
    """A post-only bid."""
    order = PlaceOrder(
        client_id=client_id, category="linear", symbol="BTCUSDT", side="buy", price="100.0", qty="0.01", post_only=True
    )
    return msgspec.structs.replace(order, **changed)


def cancel(client_id: str) -> CancelOrder:
    """The end of an order."""
    return CancelOrder(client_id=client_id, category="linear", symbol="BTCUSDT")


@asynccontextmanager
async def trading(
    venue: ScriptedBybit | None = None, *, timing: OrdersTiming = FAST, trade: bool = True
) -> AsyncIterator[tuple[ScriptedBybit, BybitOrders, Heardall]]:
    """A scripted venue and a session that is up; without `trade`, as in demo, orders go over HTTP."""
    async with venue or ScriptedBybit(KEY) as server:
        heard, endpoint = Heardall(), server.endpoint
        if not trade:
            endpoint = type(endpoint)(
                word="demo", http=endpoint.http, public_base=endpoint.public_base, private=endpoint.private, trade=None
            )
        session = BybitOrders(endpoint, KEY, heard, time.time_ns, instruments=[BTC], timing=timing, random=Random(1))
        await session.start()
        try:
            yield server, session, heard
        finally:
            await session.stop()


def run(scenario: Callable[[], Any]) -> None:
    """Run a scenario in a loop that fails on an exception nobody caught."""

    async def watched() -> None:
        faults: list[Json] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await scenario()
        assert not faults

    asyncio.run(watched())


# ------------------------------------------------------------------------------------------------- the good way


def test_requests_are_acknowledged_and_shown() -> None:
    """A place, a batch of two and a cancel are each answered once, and the stream shows each order."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            session.send([place("mm-2"), place("mm-3"), cancel("mm-1")])
            await heard.until(lambda: len(heard.of(Acked)) == 4 and heard.of(OrderSeen, "mm-3"))
            await heard.until(lambda: [seen.status for seen in heard.of(OrderSeen, "mm-1")] == ["live", "canceled"])
            assert len(venue.sent("order.create-batch")) == 1
            assert heard.states("trade") == ["up"]
            assert heard.states("private") == ["up"]

    run(scenario)


@pytest.mark.parametrize("answer", ["taken", "refused", "silence"])
def test_the_venue_s_dead_man_switch_is_asked_for_and_not_waited_for(answer: str) -> None:
    """Its topic is subscribed apart from the others; whatever the venue says of it, the session is up and trades."""

    async def scenario() -> None:
        venue = ScriptedBybit(KEY)
        if answer == "refused":
            venue.unknown_topics = {"dcp.future"}
        if answer == "silence":
            venue.script["private subscribe"] = [lambda _: None, lambda _: "silence"]
        async with trading(venue) as (_, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked) and heard.of(OrderSeen, "mm-1"))
            asked = [frame["args"] for frame in venue.sent("private subscribe")]
            assert asked == [["order", "execution", "position", "wallet"], ["dcp.future"]]
            assert heard.states("private") == ["up"]

    run(scenario)


def test_an_amend_changes_price_and_total_quantity() -> None:
    """An amend is acknowledged, and the order shows again with what changed."""

    async def scenario() -> None:
        async with trading() as (_, session, heard):
            session.send([place("mm-1")])
            session.send([AmendOrder(client_id="mm-1", category="linear", symbol="BTCUSDT", price="101", qty="0.02")])
            seen = await heard.until(lambda: heard.of(OrderSeen, "mm-1")[1:])
            assert (seen[0].price, seen[0].qty) == ("101", "0.02")
            await heard.until(lambda: [one.request for one in heard.of(Acked)] == ["place", "amend"])

    run(scenario)


def test_without_a_trade_socket_orders_go_over_http() -> None:
    """In demo the same requests are answered the same way over signed HTTP."""

    async def scenario() -> None:
        async with trading(trade=False) as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked, "mm-1"))
            session.send([cancel("mm-1")])
            await heard.until(lambda: len(heard.of(Acked, "mm-1")) == 2)
            assert [len(venue.sent(f"/v5/order/{kind}")) for kind in ("create", "cancel")] == [1, 1]
            assert heard.states("trade") == []

    run(scenario)


# ---------------------------------------------------------------------------------------------- before the first


def taking(change: Callable[[ScriptedBybit], None]) -> ScriptedBybit:
    """A venue with something wrong."""
    venue = ScriptedBybit(KEY)
    change(venue)
    return venue


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda venue: venue.key.update(permissions={"Wallet": ["Withdraw"]}), "may withdraw"),
        (lambda venue: venue.key.update(permissions={"Wallet": ["AccountTransfer"]}), "may transfer"),
        (lambda venue: venue.key.update(readOnly=1), "read-only"),
        (lambda venue: venue.position.update(positionIdx=1), "hedge mode"),
        (lambda venue: venue.answers.update({"/v5/account/set-limit-px-action": lambda _: {}}), "price band"),
        (lambda venue: venue.script["/v5/user/query-api"].append(lambda _: {"retCode": 10003}), "10003"),
        (lambda venue: venue.script["private auth"].extend([lambda _: {"retCode": 10004}] * 99), "not up"),
    ],
    ids=["withdraw", "transfer", "read-only", "hedge", "reprice", "bad key", "refused login"],
)
def test_trading_does_not_begin_on_a_wrong_key_or_account(change: Callable[[ScriptedBybit], None], words: str) -> None:
    """A key that may too much, hedge mode and a price limit that moves orders are found before any order."""

    async def scenario() -> None:
        with pytest.raises(VenueError, match=words) as error:
            async with trading(taking(change), timing=msgspec.structs.replace(FAST, ready_s=0.4)):
                pass
        assert SECRET not in str(error.value)

    run(scenario)


def test_a_clock_five_seconds_off_is_corrected() -> None:
    """With a venue five seconds ahead or behind, every request still carries a time that it accepts."""

    async def scenario(skew_ms: int) -> None:
        async with trading(ScriptedBybit(KEY, skew_ms=skew_ms), trade=False) as (_, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked, "mm-1"))
            assert session.attestation is not None
            assert abs(session.attestation.clock_offset / 1e6 - skew_ms) < 250

    for skew_ms in (5_000, -5_000):
        run(lambda skew_ms=skew_ms: scenario(skew_ms))


def test_a_clock_that_can_not_be_known_stops_the_start() -> None:
    """When every answer about the time takes too long to bound the error, trading does not begin."""

    async def scenario() -> None:
        ticks = iter(range(0, 10**15, 10**9))
        async with ScriptedBybit(KEY) as venue:
            session = BybitOrders(venue.endpoint, KEY, Heardall(), lambda: next(ticks), instruments=[BTC], timing=FAST)
            with pytest.raises(VenueError, match="the venue's clock is known to"):
                await session.start()

    run(scenario)


def test_a_request_refused_for_its_time_measures_the_clock_again() -> None:
    """10002 is a definite no; the offset is asked for anew, so that the next request fits."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.script["order.create"].append(lambda _: {"retCode": 10002, "retMsg": "time"})
            asked = len(venue.sent("/v5/market/time"))
            session.send([place("mm-1")])
            [refused] = await heard.until(lambda: heard.of(Refused, "mm-1"))
            assert (refused.reason, refused.code) == ("clock", 10002)
            await heard.until(lambda: len(venue.sent("/v5/market/time")) == asked + 5)

    run(scenario)


# ------------------------------------------------------------------------------------------------- no answer


def test_silence_is_unanswered_and_the_venue_is_asked_once() -> None:
    """A create that finds no answer is never sent again; what the venue has of it is found by asking."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.mute_orders = True

            def taken_in_silence(asked: Json) -> str:
                venue._take("order.create", asked["args"][0])
                return "silence"

            venue.script["order.create"].append(taken_in_silence)
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            assert [type(one).__name__ for one in heard.facts if getattr(one, "client_id", "") == "mm-1"] == [
                "Unanswered",
                "OrderSeen",
            ]
            assert len(venue.sent("order.create")) == 1
            assert not venue.sent("/v5/order/create")

    run(scenario)


def test_an_answer_that_comes_late_is_still_told() -> None:
    """A definite no after the deadline follows the Unanswered, so that its exposure can be freed."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.script["order.create"].append(lambda _: "silence")
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            [asked] = venue.sent("order.create")
            late = {"reqId": asked["reqId"], "retCode": 110007, "retMsg": "no balance", "op": "order.create"}
            venue.say("trade", json.dumps({**late, "data": {}, "retExtInfo": {}}))
            [refused] = await heard.until(lambda: heard.of(Refused, "mm-1"))
            assert refused.reason == "balance"

    run(scenario)


def test_a_dead_trade_link_leaves_everything_unanswered_at_once() -> None:
    """When the socket dies with two requests under way, both are Unanswered before any deadline."""

    async def scenario() -> None:
        async with trading(timing=msgspec.structs.replace(FAST, ack_s=30)) as (venue, session, heard):
            venue.script["order.create"] += [lambda _: "silence", lambda _: "cut"]
            session.send([place("mm-1")])
            session.send([place("mm-2")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1") and heard.of(Unanswered, "mm-2"))
            await heard.until(lambda: heard.states("trade") == ["up", "down", "up"])

    run(scenario)


def test_a_half_open_trade_link_is_noticed_and_replaced() -> None:
    """A link on which nothing is answered any more is told stale, dropped and opened anew."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.deaf.add("trade")
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            await heard.until(lambda: heard.states("trade")[:3] == ["up", "stale", "down"])
            venue.deaf.clear()
            await heard.until(lambda: heard.states("trade")[-1] == "up")
            session.send([place("mm-2")])
            await heard.until(lambda: heard.of(Acked, "mm-2"))

    run(scenario)


def test_a_duplicate_id_is_asked_about_and_never_called_dead() -> None:
    """110072 means that our id exists there: Unanswered, and then what the venue knows of it."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            venue.script["order.create"].append(lambda _: {"retCode": 110072, "retMsg": "duplicate", "data": {}})
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1") and len(heard.of(OrderSeen, "mm-1")) == 2)
            assert not heard.of(Refused)

    run(scenario)


@pytest.mark.parametrize("answer", [{"status": 502}, {"raw": "<html>"}, {"retCode": 10016}], ids=str)
def test_an_ambiguous_answer_over_http_is_unanswered_and_not_repeated(answer: Json) -> None:
    """A broken gateway, an unreadable body and a venue in trouble leave a create open; it leaves once."""

    async def scenario() -> None:
        async with trading(trade=False) as (venue, session, heard):
            venue.script["/v5/order/create"].append(lambda _: answer)
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            assert len(venue.sent("/v5/order/create")) == 1

    run(scenario)


def test_a_cancel_without_an_answer_is_sent_again_over_http() -> None:
    """To cancel twice is to cancel once: after silence the second path is taken, and its answer told."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            venue.script["order.cancel"].append(lambda _: "silence")
            venue.script["/v5/order/cancel"].append(lambda _: {"status": 500})
            session.send([cancel("mm-1")])
            await heard.until(lambda: [one.request for one in heard.of(Acked)] == ["place", "cancel"])
            assert len(venue.sent("/v5/order/cancel")) == 2
            assert [one.status for one in heard.of(OrderSeen, "mm-1")][-1] == "canceled"

    run(scenario)


def test_an_acknowledged_order_that_never_shows_is_asked_for_and_the_stream_replaced() -> None:
    """If the venue has the order and the stream has not told it, the stream is deaf: it is opened anew."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.mute_orders = True
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            await heard.until(lambda: heard.states("private") == ["up", "stale", "down", "up"])

    run(scenario)


def test_an_acknowledged_order_that_the_venue_does_not_find_is_unanswered_again() -> None:
    """An acknowledgement is no order: what neither shows nor is found stays open as Unanswered."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            taken = {"retCode": 0, "data": {"orderId": "v-1", "orderLinkId": "mm-1"}}
            venue.script["order.create"].append(lambda _: taken)
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            assert heard.of(Acked, "mm-1")
            assert heard.states("private") == ["up"]

    run(scenario)


def test_stopping_answers_what_is_still_open() -> None:
    """When the session stops, no request is left without an answer."""

    async def scenario() -> None:
        async with trading(timing=msgspec.structs.replace(FAST, ack_s=30)) as (venue, session, heard):
            venue.script["order.create"].append(lambda _: "silence")
            session.send([place("mm-1")])
            await heard.until(lambda: venue.sent("order.create"))
            await session.stop()
            assert len(heard.of(Unanswered, "mm-1")) == 1
            await session.stop()

    run(scenario)


# ----------------------------------------------------------------------------------------------- rate and ban


def test_a_create_beyond_the_rate_is_dropped_and_reported() -> None:
    """10006 on a create is a definite no; nothing sleeps on it, and the next ones do not even leave until the reset."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            reset = {"X-Bapi-Limit-Reset-Timestamp": str(venue.now_ms() + 60_000), "X-Bapi-Limit-Status": "0"}
            venue.script["order.create"].append(lambda _: {"retCode": 10006, "data": {}, "header": reset})
            session.send([place("mm-1")])
            [refused] = await heard.until(lambda: heard.of(Refused, "mm-1"))
            assert (refused.reason, refused.code) == ("rate_limited", 10006)
            session.send([place("mm-2")])
            assert not heard.of(Refused, "mm-2")  # never from inside the call
            [refused] = await heard.until(lambda: heard.of(Refused, "mm-2"))
            assert (refused.reason, refused.code) == ("rate_limited", 0)
            assert len(venue.sent("order.create")) == 1

    run(scenario)


def test_a_cancel_beyond_the_rate_is_sent_from_the_reserve() -> None:
    """10006 on a cancel is not told: the cancel leaves again after the reset, and its answer is."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            reset = {"X-Bapi-Limit-Reset-Timestamp": str(venue.now_ms() + 50), "X-Bapi-Limit-Status": "0"}
            venue.script["order.cancel"].append(lambda _: {"retCode": 10006, "data": {}, "header": reset})
            session.send([cancel("mm-1")])
            await heard.until(lambda: [one.request for one in heard.of(Acked)] == ["place", "cancel"])
            assert not heard.of(Refused)
            assert len(venue.sent("/v5/order/cancel")) == 1

    run(scenario)


def test_our_own_budget_drops_places_and_never_cancels() -> None:
    """Beyond the believed limit a place is refused by ourselves; every cancel is answered by the venue in the end."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            names = [f"mm-{n}" for n in range(12)]
            for name in names:
                session.send([place(name)])
            await heard.until(lambda: len(heard.of(Acked)) == 10 and len(heard.of(Refused)) == 2)
            for name in names[:10]:
                session.send([cancel(name)])
            await heard.until(lambda: len(heard.of(Acked)) == 20)
            assert {order["orderStatus"] for order in venue.orders.values()} == {"Cancelled"}

    run(scenario)


def test_a_ban_stops_places_over_every_path_and_says_so() -> None:
    """After HTTP 403 nothing leaves over HTTP and no order is placed; a cancel over the trade socket still passes."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            venue.script["/v5/account/wallet-balance"].append(lambda _: {"status": 403})
            with pytest.raises(VenueError, match="403"):
                await session.wallet()
            with pytest.raises(VenueError, match="silence"):
                await session.open_orders(*BTC)
            session.send([place("mm-2"), cancel("mm-1")])
            [refused] = await heard.until(lambda: heard.of(Refused, "mm-2"))
            assert refused.reason == "banned"
            await heard.until(lambda: [one.request for one in heard.of(Acked)] == ["place", "cancel"])
            assert any("600 s" in event.why for event in heard.links)

    run(scenario)


@pytest.mark.parametrize("trade", [True, False], ids=["trade socket", "demo"])
def test_the_trade_link_is_up_again_after_a_ban(trade: bool) -> None:
    """While the venue wants silence the link is stale, a new connection of it too; afterwards it is told up again."""
    timing = msgspec.structs.replace(FAST, http=msgspec.structs.replace(HTTP, ban_s=0.5))

    async def scenario() -> None:
        async with trading(timing=timing, trade=trade) as (venue, session, heard):
            before = heard.states("trade")
            venue.script["/v5/account/wallet-balance"].append(lambda _: {"status": 403})
            with pytest.raises(VenueError, match="403"):
                await session.wallet()
            await venue.drop("trade")
            await heard.until(lambda: heard.states("trade")[-1] == "up" and heard.states("trade") != before)
            assert heard.states("trade") == ["up", "stale", "down", "stale", "up"] if trade else ["stale", "up"]
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked, "mm-1"))

    run(scenario)


def test_the_trade_link_is_up_again_when_the_clock_is_known_again() -> None:
    """While the clock is not known well enough the link is stale, told once; with a good measurement it is up."""

    async def scenario() -> None:
        async with trading(timing=msgspec.structs.replace(FAST, clock_s=0.02)) as (_, session, heard):
            measured = session._http.measure_clock

            async def unsure() -> ClockOffset:
                session._http.offset = ClockOffset(0, ERROR_MAX + 1)
                return session._http.offset

            session._http.measure_clock = unsure  # type: ignore[method-assign]
            await heard.until(lambda: heard.states("trade") == ["up", "stale"])
            await session._measure_clock()
            session._http.measure_clock = measured  # type: ignore[method-assign]
            await heard.until(lambda: heard.states("trade") == ["up", "stale", "up"])

    run(scenario)


def test_a_request_that_can_not_leave_is_answered_and_forgotten() -> None:
    """Over HTTP, whatever stops a request on our side leaves it answered, and cancel_all does not wait for it."""

    async def scenario() -> None:
        async with trading(trade=False) as (_, session, heard):
            pool, session._http._session = session._http._session, None
            session.send([place("mm-1"), cancel("mm-2")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1") and heard.of(Unanswered, "mm-2"))
            assert not session._over_http
            session._http._session = pool
            assert await session.cancel_all(*BTC) == 0

    run(scenario)


# ---------------------------------------------------------------------------------------------- private stream


def test_a_fill_may_come_before_its_acknowledgement_and_twice() -> None:
    """Facts are passed on in the order in which they come, as often as they come: the join is not made here."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):

            def filled_first(asked: Json) -> Json:
                venue._take("order.create", asked["args"][0])
                execution = venue.execute("mm-1", "x-1")
                venue.tell("execution", [execution])
                venue.tell("execution", [execution])
                venue.tell_order("mm-1", orderStatus="Filled", cumExecQty="0.01")
                return {"retCode": 0, "data": {"orderId": "v-mm-1", "orderLinkId": "mm-1"}}

            venue.script["order.create"].append(filled_first)
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked, "mm-1") and len(heard.of(ExecutionSeen)) == 2)
            await heard.until(lambda: [one.status for one in heard.of(OrderSeen)] == ["live", "filled"])
            assert {(one.execution_id, one.fee, one.fee_currency) for one in heard.of(ExecutionSeen)} == {
                ("x-1", "-0.0001", "USDT")
            }

    run(scenario)


@pytest.mark.parametrize("how", ["dropped", "half open", "malformed"])
def test_what_the_private_stream_missed_is_asked_for(how: str) -> None:
    """A fill that was never told on the stream is told after a reconnect, a half-open link or an unreadable frame."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            venue.mute_orders = True
            venue.execute("mm-1", "x-1")
            venue.tell_order("mm-1", orderStatus="Filled", cumExecQty="0.01")
            venue.mute_orders = False
            if how == "dropped":
                await venue.drop("private")
            elif how == "half open":
                venue.deaf.add("private")
                await heard.until(lambda: "down" in heard.states("private"))
                venue.deaf.clear()
            else:
                venue.say("private", '{"topic":"execution","data":[{"execId":')
            await heard.until(lambda: heard.of(ExecutionSeen))
            await heard.until(lambda: heard.of(OrderSeen, "mm-1")[-1].status == "filled")
            await heard.until(lambda: heard.states("private")[-1] == "up")

    run(scenario)


def test_a_catch_up_that_fails_is_tried_again_before_the_link_is_called_up() -> None:
    """While the venue can not be asked, the private link is not up, however open it is."""

    async def scenario() -> None:
        async with trading() as (venue, _, heard):
            venue.script["/v5/order/realtime"] += [lambda _: {"retCode": 10001}]
            await venue.drop("private")
            await heard.until(lambda: heard.states("private") == ["up", "down", "stale", "down", "up"])
            assert heard.of(WalletSeen)

    run(scenario)


def test_an_oversized_message_ends_the_connection_and_nothing_else() -> None:
    """A frame beyond the bound drops the link, which comes back."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.say("private", " " * (17 << 20))
            await heard.until(lambda: heard.states("private") == ["up", "down", "up"])
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))

    run(scenario)


def test_a_restarted_venue_is_found_again() -> None:
    """After the venue closed every connection and came back, both links are up and orders pass."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            await venue.close()
            await heard.until(lambda: heard.states("trade")[-1] == "down" == heard.states("private")[-1])
            await venue.open()
            await heard.until(lambda: heard.states("trade")[-1] == "up" == heard.states("private")[-1])
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Acked, "mm-1"))

    run(scenario)


def test_a_restarting_trade_service_is_left_for_a_new_connection() -> None:
    """10019 refuses new requests: the one that met it is open, and the link is made anew."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.script["order.create"].append(lambda _: {"retCode": 10019, "retMsg": "restarting", "data": {}})
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            await heard.until(lambda: heard.states("trade") == ["up", "down", "up"])

    run(scenario)


# ------------------------------------------------------------------------------------------------- cancel all


def test_cancel_all_goes_on_until_the_venue_knows_no_order() -> None:
    """A bulk cancel that does nothing is followed by one cancel for each order, foreign ones too."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1"), place("mm-2")])
            await heard.until(lambda: len(heard.of(Acked)) == 2)
            venue._take("order.create", {**venue.orders["mm-1"], "orderLinkId": "foreign"})
            venue.answers["/v5/order/cancel-all"] = lambda _: {"list": [], "success": "1"}
            assert await session.cancel_all(*BTC) == 3
            assert {order["orderStatus"] for order in venue.orders.values()} == {"Cancelled"}
            assert await session.cancel_all(*BTC) == 0

    run(scenario)


def test_cancel_all_waits_for_a_place_that_may_still_arrive() -> None:
    """A create without an answer may come to life as long as the venue takes it by its age; it is not left behind."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            parked: list[Json] = []
            venue.script["order.create"].append(lambda asked: parked.append(asked["args"][0]) or "silence")
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(Unanswered, "mm-1"))
            canceling = asyncio.ensure_future(session.cancel_all(*BTC))
            await heard.until(lambda: len(venue.sent("/v5/order/realtime")) > 4)
            venue._take("order.create", parked[0])
            assert await canceling == 1
            assert venue.orders["mm-1"]["orderStatus"] == "Cancelled"

    run(scenario)


def test_cancel_all_says_when_orders_stay() -> None:
    """An order that no cancel removes ends in an error with the number and what to do."""

    async def scenario() -> None:
        async with trading(timing=msgspec.structs.replace(FAST, cancel_all_s=0.3)) as (venue, session, heard):
            session.send([place("mm-1")])
            await heard.until(lambda: heard.of(OrderSeen, "mm-1"))
            venue.answers["/v5/order/cancel-all"] = venue.answers["/v5/order/cancel"] = lambda _: {}
            with pytest.raises(VenueError, match="1 were open when last asked; cancel by hand"):
                await session.cancel_all(*BTC)

    run(scenario)


# ------------------------------------------------------------------------------------------------ the rest


def test_reads_are_asked_again_and_orders_are_found_in_the_history() -> None:
    """A busy venue is asked again after a pause; an order that is over is found where the venue keeps it."""

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            session.send([place("mm-1"), cancel("mm-1")])
            await heard.until(lambda: len(heard.of(Acked)) == 2)
            gone = {"result": {"list": []}}
            venue.script["/v5/order/realtime"] += [lambda _: {"status": 500}, lambda _: "cut", lambda _: gone]
            found = await session.find(*BTC, "mm-1")
            assert found.order is not None
            assert (found.order.status, found.source) == ("canceled", "history")
            venue.script["/v5/order/realtime"] += [lambda _: {"retCode": 10001, "retMsg": "no"}]
            with pytest.raises(VenueError, match="10001 no"):
                await session.open_orders(*BTC)
            assert (await session.fee_rates(*BTC)).maker == "-0.00005"
            assert (await session.position(*BTC)).qty == "0"

    run(scenario)


def test_changed_rules_are_told() -> None:
    """When the venue changes an instrument's grid or stops its trading, both rules are told."""

    async def scenario() -> None:
        async with trading(timing=msgspec.structs.replace(FAST, terms_s=0.02)) as (venue, _, heard):
            venue.terms["status"] = "Settling"
            [changed] = await heard.until(lambda: heard.of(TermsChanged))
            assert (changed.before.tradable, changed.after.tradable) == (True, False)

    run(scenario)


def test_a_refused_signature_is_told_without_the_key() -> None:
    """The venue repeats what was signed; what we say of it names no key."""

    async def scenario() -> None:
        async with trading() as (venue, session, _):
            said = f"error sign! origin_string[1700000000000{KEY.key}5000]"
            venue.script["/v5/position/list"].append(lambda _: {"retCode": 10004, "retMsg": said})
            with pytest.raises(VenueError, match=r"10004 error sign! origin_string\[1700000000000<key>5000\]"):
                await session.position(*BTC)

    run(scenario)


@pytest.mark.parametrize("before", [0, 195])
def test_an_error_page_that_repeats_our_request_is_told_without_the_key(
    caplog: pytest.LogCaptureFixture, before: int
) -> None:
    """A server between us and the venue that answers 502 with our headers puts no key into an error or a log."""
    caplog.set_level(logging.DEBUG)

    async def page(request: web.Request) -> web.Response:
        if request.path == "/v5/market/time":
            now = time.time_ns()
            return web.json_response({"retCode": 0, "retMsg": "OK", "result": {"timeNano": str(now)}, "time": 0})
        said = " ".join([request.headers.get("X-BAPI-API-KEY", ""), SECRET])
        return web.Response(status=502, text="." * before + said)

    async def scenario() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", page)
        async with TestServer(application) as server:
            endpoint = Endpoint.of("simulator", f"http://127.0.0.1:{server.port}")
            http = BybitHttp(
                endpoint, KEY, time.time_ns, RateBudget(), timing=HttpTiming(reads=Backoff(delays_s=(0.01,)))
            )
            await http.start()
            try:
                answer = await http.send_once("/v5/order/create", b"{}", "place")
                with pytest.raises(VenueError) as error:
                    await http.get("/v5/position/list", ())
            finally:
                await http.stop()
        told = [answer.message, str(error.value), caplog.text]
        assert answer.code == 502
        assert before or "<key> <secret>" in answer.message
        assert not any(KEY.key[:4] in text or SECRET[:4] in text for text in told), told

    run(scenario)


def test_an_answer_nested_beyond_reading_leaves_the_outcome_unknown() -> None:
    """A create whose answer nobody can read is no refusal and no crash: its outcome is not known."""

    async def scenario() -> None:
        async with trading() as (venue, session, _):
            deep = '{"retCode":0,"retMsg":"OK","x":' + "[" * 100_000
            venue.script["/v5/order/create"].append(lambda _: {"raw": deep})
            with pytest.raises(NoAnswer, match="Bybit answer"):
                await session._http.send_once("/v5/order/create", b"{}", "place")

    run(scenario)


def test_the_secret_is_in_nothing_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Through a login, orders, refusals, bans and a lost link, the secret stands in no log, fact, event or repr."""
    caplog.set_level(logging.DEBUG)

    async def scenario() -> None:
        async with trading() as (venue, session, heard):
            venue.script["order.create"] += [lambda _: "cut", lambda _: {"retCode": 10004, "retMsg": "error sign!"}]
            session.send([place("mm-1")])
            await heard.until(lambda: heard.states("trade") == ["up", "down", "up"])
            session.send([place("mm-2")])
            await heard.until(lambda: heard.of(Refused))
            venue.script["/v5/account/wallet-balance"].append(lambda _: {"status": 403})
            with pytest.raises(VenueError) as error:
                await session.wallet()
            said = [str(error.value), repr(session), repr(vars(session)), repr(KEY), caplog.text]
            said += [repr(heard.facts), repr(heard.links), repr(vars(session._http)), repr(venue.requests)]
            assert not any(SECRET in text for text in said)

    run(scenario)
