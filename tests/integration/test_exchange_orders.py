"""The exchange's client side over real sockets on the loopback: order flows, faults, restarts, and the truth."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from exchange_client import SCOPE, SECRET, TOKEN, Client, trading

REALTIME = "category=linear&symbol=BTCUSDT"


def status(message: dict[str, Any]) -> str:
    """The state of the first order that a message tells."""
    return message["data"][0]["orderStatus"] if message.get("topic", "").startswith("order") else ""


async def open_names(client: Client) -> list[str]:
    """The client's open orders."""
    answered = await client.get("/v5/order/realtime", REALTIME)
    return [row["orderLinkId"] for row in answered["result"]["list"]]


@pytest.mark.parametrize(("ack_ms", "order_ms", "first"), [(1, 40, "ack"), (40, 1, "order")])
def test_the_answer_may_come_before_or_after_the_order(ack_ms: int, order_ms: int, first: str):
    """Both orders happen at the venue, so both can be had here."""

    async def body(ann: Client, bob: Client) -> None:
        private, trade = await ann.socket("private", "order"), await ann.socket("trade")
        heard = []

        async def hear(name: str, link: Any) -> None:
            await link.hear()
            heard.append(name)

        await trade.ask("create")
        await asyncio.gather(hear("ack", trade), hear("order", private))
        assert heard[0] == first

    trading(body, ack_ms=ack_ms, order_ms=order_ms)


def test_a_fill_may_be_told_before_the_order_that_it_filled_and_before_the_answer():
    """execution.fast at once, execution next, then the order, the answer last."""

    async def body(ann: Client, bob: Client) -> None:
        private = await ann.socket("private", "order", "execution", "execution.fast")
        answer = asyncio.create_task(ann.create(price="60010"))
        topics = [(await private.hear())["topic"] for _ in range(3)]
        assert topics == ["execution.fast", "execution", "order"]
        assert not answer.done()
        assert (await answer)["retCode"] == 0

    trading(body, fast_ms=0, execution_ms=20, order_ms=40, ack_ms=120)


def test_two_accounts_and_the_public_trade_and_the_venue_s_truth_agrees_with_what_was_told():
    """What Ann heard of her executions sums to the truth's position and balance, to the last unit."""

    async def body(ann: Client, bob: Client) -> None:
        private = await ann.socket("private", "execution")
        await ann.create(orderLinkId="rest", price="60005", qty="0.030")
        await bob.create(side="Sell", price="60005", qty="0.010")
        await ann.admin("POST", "market", **SCOPE, trade={"side": "sell", "price": "60005", "qty": "0.010"})
        await ann.post("/v5/order/cancel", {**SCOPE, "orderLinkId": "rest"})
        await ann.create(orderLinkId="take", side="Sell", price="60000", qty="0.005")
        rows = [(await private.hear())["data"][0] for _ in range(3)]
        truth = (await ann.admin("GET", "truth"))["accounts"]["1001"]
        assert [row["isMaker"] for row in rows] == [True, True, False]
        signed = [(1 if row["side"] == "Buy" else -1) * Decimal(row["execQty"]) for row in rows]
        assert sum(signed) == Decimal(truth["positions"]["linear:BTCUSDT"]["size"])
        flows = sum(-side * Decimal(row["execPrice"]) for side, row in zip(signed, rows, strict=True))
        fees = sum(Decimal(row["execFee"]) for row in rows)
        cost = Decimal(truth["positions"]["linear:BTCUSDT"]["entry_value"])
        assert Decimal(truth["balances"]["USDT"]) == 1_000_000 + flows + cost - fees
        assert truth["open"] == []
        assert [each["execId"] for each in truth["executions"]] == [row["execId"] for row in rows]

    trading(body)


def test_requests_take_their_time_to_the_engine_and_keep_their_order():
    """With a latency of entry a cancel still finds the order that was sent before it."""

    async def body(ann: Client, bob: Client) -> None:
        trade = await ann.socket("trade")
        for number in range(20):
            await trade.ask("create", orderLinkId=f"o{number}")
            await trade.ask("cancel", orderLinkId=f"o{number}")
        assert await open_names(ann) == []
        assert (await ann.admin("GET", "truth"))["counters"]["requests"] == 0
        answers = [await trade.hear() for _ in range(40)]
        assert {answer["retCode"] for answer in answers} == {0}

    trading(body, entry_ms=800)


def test_a_lost_answer_leaves_an_order_that_can_be_found_by_its_name():
    """Executed and silent, executed and 10016, not executed and cut: only asking tells which."""

    async def body(ann: Client, bob: Client) -> None:
        trade = await ann.socket("trade")
        await ann.arm("trade:order.create", "silence", executed=True)
        await trade.ask("create", orderLinkId="silent")
        await trade.ask("create", orderLinkId="next")
        assert (await trade.hear())["data"]["orderLinkId"] == "next"
        await ann.arm("rest:POST /v5/order/create", "answer", code=10016, executed=True)
        assert (await ann.create(orderLinkId="broken"))["retCode"] == 10016
        await ann.arm("trade:order.create", "disconnect", how="abort")
        await trade.ask("create", orderLinkId="never")
        assert await trade.ends() in (None, 1006)
        assert await open_names(ann) == ["broken", "next", "silent"]
        assert (await ann.create(orderLinkId="silent"))["retCode"] == 110072

    trading(body)


@pytest.mark.parametrize(("code", "placed"), [(403, 0), (429, 0), (503, 1)])
def test_http_errors_are_no_business_answers(code: int, placed: int):
    """No JSON, no retCode; a 5xx may have been done."""

    async def body(ann: Client, bob: Client) -> None:
        await ann.arm("rest:POST /v5/order/create", "http", status=code, executed=bool(placed))
        async with await ann.send("POST", "/v5/order/create", "", _order()) as response:
            assert (response.status, await response.read()) == (code, b"")
        assert len(await open_names(ann)) == placed

    trading(body)


def test_an_http_connection_may_end_without_an_answer():
    """As a proxy that dies."""

    async def body(ann: Client, bob: Client) -> None:
        await ann.arm("rest:POST /v5/order/create", "disconnect", executed=True)
        with pytest.raises(aiohttp.ClientError):
            await ann.send("POST", "/v5/order/create", "", _order())
        assert len(await open_names(ann)) == 1

    trading(body)


def _order() -> bytes:
    return json.dumps({**SCOPE, "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "59000"}).encode()


def test_private_messages_are_dropped_doubled_and_reordered_on_demand():
    """Each fault strikes the next message of its topic, and only that."""

    async def body(ann: Client, bob: Client) -> None:
        private = await ann.socket("private", "order", "execution")
        for what in ("drop", "duplicate", "reorder"):
            await ann.arm("private:order", what, delay_ms=2000)
        for name in ("dropped", "doubled", "late", "early"):
            await ann.create(orderLinkId=name)
        heard = [(await private.hear())["data"][0]["orderLinkId"] for _ in range(4)]
        assert heard == ["doubled", "doubled", "early", "late"]

    trading(body)


@pytest.mark.parametrize("what", ["corrupt", "oversize"])
def test_a_broken_frame_is_followed_by_whole_ones(what: str):
    """The venue does not notice; the client has to."""

    async def body(ann: Client, bob: Client) -> None:
        private = await ann.socket("private", "order")
        await ann.arm("private:order", what)
        await ann.create(orderLinkId="a")
        message = await private.peer.receive(timeout=5)
        if what == "corrupt":
            with pytest.raises(json.JSONDecodeError):
                json.loads(message.data)
        else:
            assert len(message.data) > 5_000_000
        await ann.create(orderLinkId="b")
        assert (await private.hear())["data"][0]["orderLinkId"] == "b"

    trading(body)


@pytest.mark.parametrize(("how", "code"), [("close", 1000), ("going_away", 1001), ("abort", 1006)])
def test_sockets_are_cut_in_form_or_not(how: str, code: int):
    """Normal close, going away, and a connection that is simply gone."""

    async def body(ann: Client, bob: Client) -> None:
        links = [await ann.socket("private", "order"), await ann.socket("trade")]
        other = await bob.socket("trade")
        assert (await ann.admin("POST", "disconnect", uid=1001, how=how))["ended"] == 2
        assert {await link.ends() for link in links} == {code}
        await other.ask("create")
        assert (await other.hear())["retCode"] == 0

    trading(body)


def test_a_half_open_socket_takes_requests_and_says_nothing():
    """Neither answers, nor rows, nor pongs; the orders are placed all the same."""

    async def body(ann: Client, bob: Client) -> None:
        private, trade = await ann.socket("private", "order"), await ann.socket("trade")
        assert (await ann.admin("POST", "mute", uid=1001))["muted"] == 2
        await trade.ask("create", orderLinkId="unseen")
        await private.peer.ping()
        with pytest.raises(TimeoutError):
            await private.hear(0.3)
        with pytest.raises(TimeoutError):
            await trade.hear(0.1)
        assert await open_names(ann) == ["unseen"]

    trading(body)


def test_a_ping_of_the_protocol_is_answered():
    """SDKs live by it."""

    async def body(ann: Client, bob: Client) -> None:
        private = await ann.socket("private", "order")
        await private.peer.ping(b"?")
        message = await private.peer.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"?")

    trading(body)


def test_a_dropped_delta_is_a_gap_in_u():
    """The public stream is struck by topic; the chain tells."""

    async def body(ann: Client, bob: Client) -> None:
        async with ann.session.ws_connect(f"{ann.exchange.ws}/v5/public/linear") as public:
            await public.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
            assert (await public.receive_json(timeout=5))["success"]
            first = (await public.receive_json(timeout=5))["data"]["u"]
            await ann.arm("public:orderbook.50.BTCUSDT", "drop")
            for price in ("59990", "59980"):
                await ann.create(price=price)
                await asyncio.wait_for(_published(ann, price), 5)
            assert (await public.receive_json(timeout=5))["data"]["u"] == first + 2

    trading(body)


async def _published(ann: Client, price: str) -> None:
    """Wait until the book that is published has a price."""
    while True:
        url = f"{ann.exchange.http}/v5/market/orderbook?category=linear&symbol=BTCUSDT&limit=50"
        async with ann.session.get(url) as response:
            bids = (await response.json())["result"]["b"]
        struck = (await ann.admin("GET", "truth"))["counters"]["faults_struck"]
        if struck and any(Decimal(level) == Decimal(price) for level, _ in bids):
            return


def test_a_restart_refuses_cuts_and_forgets():
    """10019 first; then the sockets go, books start at u = 1, closed orders leave realtime, open ones stay."""

    async def body(ann: Client, bob: Client) -> None:
        trade = await ann.socket("trade")
        await ann.create(orderLinkId="stays")
        await ann.create(orderLinkId="goes")
        await ann.post("/v5/order/cancel", {**SCOPE, "orderLinkId": "goes"})
        async with ann.session.ws_connect(f"{ann.exchange.ws}/v5/public/linear") as public:
            await public.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
            await public.receive_json(timeout=5)
            await public.receive_json(timeout=5)
            await ann.admin("POST", "restart")
            await trade.ask("create", orderLinkId="refused")
            assert (await trade.hear())["retCode"] == 10019
            assert await trade.ends() == 1001
            book = await public.receive_json(timeout=5)
            while book["type"] == "delta":  # what the orders above did to the book
                book = await public.receive_json(timeout=5)
            assert book["data"]["u"] == 1
        closed = await ann.get("/v5/order/realtime", f"{REALTIME}&openOnly=1")
        assert (closed["result"]["list"], await open_names(ann)) == ([], ["stays"])

    trading(body, restart_ms=300)


def test_a_clock_that_is_five_seconds_off_refuses_signatures_until_the_client_follows():
    """Ahead or behind: 10002 for the old clock, an answer for the new one."""

    async def body(ann: Client, bob: Client) -> None:
        for skew_ms in (6_000, -6_000):
            await ann.admin("POST", "clock", skew_ms=skew_ms)
            client = Client(ann.exchange, type(ann.clock)(), ann.session, "ann")
            assert (await client.get("/v5/account/info"))["retCode"] == 10002
            assert (await ann.get("/v5/account/info"))["retCode"] == 0

    trading(body)


def test_orders_are_cancelled_when_the_watched_socket_dies():
    """The window is three seconds of the venue's clock, which is set forward instead of waited for."""

    async def body(ann: Client, bob: Client) -> None:
        await ann.post("/v5/order/disconnected-cancel-all", {"product": "DERIVATIVES", "timeWindow": 3})
        watched, private = await ann.socket("private", "dcp.future"), await ann.socket("private", "order")
        await ann.create(orderLinkId="dead")
        await private.until(lambda message: status(message) == "New")
        await watched.peer.close()
        await ann.admin("POST", "clock", skew_ms=4_000)
        [message] = await private.until(lambda message: status(message) == "Cancelled")
        assert message["data"][0]["cancelType"] == "CancelByDCP"

    trading(body)


def test_the_admin_api_needs_its_token_and_says_what_is_wrong():
    """401 without, 400 with what was expected for a bad request."""

    async def body(ann: Client, bob: Client) -> None:
        url = f"{ann.exchange.http}/admin"
        async with ann.session.get(f"{url}/truth") as response:
            assert response.status == 401
        async with ann.session.get(f"{url}/truth", headers={"Authorization": "Bearer wrong"}) as response:
            assert response.status == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        for name, ask in (("faults", {"where": "x", "what": "drop"}), ("switches", {"ack": 1}), ("transfer", {})):
            async with ann.session.post(f"{url}/{name}", json=ask, headers=known) as response:
                assert response.status == 400
                assert (await response.json())["error"]

    trading(body)


def test_the_admin_api_opens_accounts_and_moves_money():
    """A new account with a key of its own trades at once; faults are listed and cleared; switches change."""

    async def body(ann: Client, bob: Client) -> None:
        await ann.admin("POST", "account", uid=7, key="eve", secret=SECRET, fees={"linear": ["0", "0.001"]})
        await ann.admin("POST", "transfer", uid=7, coin="USDT", amount="5000")
        eve = Client(ann.exchange, ann.clock, ann.session, "eve")
        assert (await eve.create(price="60010"))["retCode"] == 0
        executions = (await eve.get("/v5/execution/list", REALTIME))["result"]["list"]
        assert [row["feeRate"] for row in executions] == ["0.001"]
        await ann.arm("private:*", "drop", count=None)
        [armed] = await ann.admin("GET", "faults")
        assert (await ann.admin("DELETE", "faults", id=armed["id"]))["cleared"] == 1
        assert (await ann.admin("POST", "switches", ack_ms=1))["ack_ms"] == 1
        assert (await ann.admin("GET", "switches"))["order_ms"] == 4

    trading(body)


def test_maintenance_closes_the_doors_and_keeps_the_orders():
    """Sockets are cut and refused with 503, REST answers 10016, and all is there afterwards."""

    async def body(ann: Client, bob: Client) -> None:
        await ann.create(orderLinkId="kept")
        trade = await ann.socket("trade")
        await ann.admin("POST", "maintenance", on=True)
        assert await trade.ends() == 1001
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await ann.socket("trade")
        assert (await ann.create())["retCode"] == 10016
        await ann.admin("POST", "maintenance", on=False)
        assert await open_names(ann) == ["kept"]

    trading(body)


def test_no_secret_is_ever_said(caplog: pytest.LogCaptureFixture):
    """Not in an answer, a refusal, the truth, a repr or a log."""
    said: list[str] = []

    async def body(ann: Client, bob: Client) -> None:
        bad = Client(ann.exchange, ann.clock, ann.session, "nobody")
        for client in (ann, bad):
            said.append(json.dumps(await client.get("/v5/user/query-api")))
        async with ann.session.get(f"{ann.exchange.http}/v5/account/info", headers={"X-BAPI-API-KEY": "ann"}) as reply:
            said.append(f"{reply.status} {await reply.text()}")
        said.append(json.dumps(await ann.admin("GET", "truth")))
        said.extend([repr(ann.exchange.keys), repr(ann.exchange.gateway.__dict__)])

    with caplog.at_level("DEBUG"):
        trading(body)
    assert said[0].count("ann") >= 1
    assert SECRET not in "".join(said) + caplog.text
