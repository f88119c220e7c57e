"""Requests over HTTP as the gateway answers them, and what happens when nobody asks."""

from dataclasses import replace

import msgspec
import pytest
from rooms import ANN, START_MS, Room, answer

from mmbot.exchange.faults import Fault
from mmbot.exchange.rates import RateLimits

ORDER = "/v5/order/create"


def test_an_answer_carries_the_limit_headers():
    """Limit, what is left, and when it is whole again."""
    room = Room()
    room.ann.rates.change(RateLimits())
    reply = room.gateway.rest(room.call("POST", ORDER, body=msgspec.json.encode(room.order("Buy", 1, 90))))
    headers = dict(reply.headers)
    assert headers.pop("Traceid")
    assert headers == {
        "Timenow": str(START_MS),
        "Ret_code": "0",
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": str(START_MS),
    }
    assert (reply.status, reply.delay_ms) == (200, 3.0)


def test_the_eleventh_order_of_a_second_is_refused_with_a_reset_in_the_future():
    """10006, nothing placed, and REST headers that a client can sleep by."""
    room = Room()
    room.ann.rates.change(RateLimits())
    for _ in range(10):
        assert room.post(ORDER, room.order("Buy", 1, 90))["retCode"] == 0
    reply = room.gateway.rest(room.call("POST", ORDER, body=msgspec.json.encode(room.order("Buy", 1, 90))))
    assert answer(reply)["retCode"] == 10006
    assert int(reply.headers["X-Bapi-Limit-Reset-Timestamp"]) > START_MS
    assert len(room.house.orders) == 10
    assert room.post("/v5/order/cancel-all", room.named())["result"]["success"] == "1"


def test_a_batch_answers_zero_and_says_each_leg_s_code():
    """A good leg, a bad one, and one beyond the rate limit; the answers stand in the order of the request."""
    room = Room()
    room.ann.rates.change(RateLimits().with_exception("order/create-batch", "derivatives", 3))
    leg = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "price": "90"}
    legs = [{**leg, "orderLinkId": "a"}, {**leg, "qty": "0.5"}, {**leg, "symbol": "NOPE"}, {**leg, "orderLinkId": "d"}]
    body = room.post("/v5/order/create-batch", {"category": "linear", "request": legs})
    assert body["retCode"] == 0
    assert [each["code"] for each in body["retExtInfo"]["list"]] == [0, 10001, 10001, 10006]
    told = body["result"]["list"]
    assert [each["orderLinkId"] for each in told] == ["a", "", "", ""]
    assert (bool(told[0]["orderId"]), told[0]["createAt"], told[1]["orderId"]) == (True, str(START_MS), "")
    room.now_ms += 1000
    cancels = [{"symbol": "BTCUSDT", "orderLinkId": name} for name in ("a", "b")]
    body = room.post("/v5/order/cancel-batch", {"category": "linear", "request": cancels})
    assert [each["code"] for each in body["retExtInfo"]["list"]] == [0, 110001]
    assert "createAt" not in body["result"]["list"][0]
    assert room.post("/v5/order/cancel-batch", {"category": "spot", "request": cancels * 6})["retCode"] == 10001
    assert room.post("/v5/order/cancel-batch", {"category": "spot", "request": "all"})["retCode"] == 10001


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (ORDER, {"category": "option"}, 10001),
        ("/v5/position/set-leverage", {"symbol": "BTCUSDT", "buyLeverage": "10", "sellLeverage": "10"}, 10001),
        (
            "/v5/position/set-leverage",
            {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "10", "sellLeverage": "10"},
            110043,
        ),
        (
            "/v5/position/set-leverage",
            {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "20", "sellLeverage": "20"},
            0,
        ),
        (
            "/v5/position/set-leverage",
            {"category": "linear", "symbol": "BTCUSDT", "buyLeverage": "101", "sellLeverage": "101"},
            110013,
        ),
        ("/v5/position/switch-mode", {"category": "linear", "symbol": "BTCUSDT", "mode": 0}, 110025),
        ("/v5/position/switch-mode", {"category": "linear", "symbol": "BTCUSDT", "mode": 3}, 10001),
        ("/v5/position/trading-stop", {"category": "linear", "symbol": "BTCUSDT", "takeProfit": "1"}, 10001),
        ("/v5/order/disconnected-cancel-all", {"product": "DERIVATIVES", "timeWindow": 10}, 10005),
        ("/v5/account/set-limit-px-action", {"category": "linear", "modifyEnable": "yes"}, 10001),
    ],
)
def test_settings_answer_with_the_venue_s_codes(path: str, body: dict, code: int):
    """Not modified, not supported, not allowed, not understood, done."""
    assert Room().post(path, body)["retCode"] == code


def test_the_price_behaviour_reads_back_as_documented():
    """On contracts lpaPerp true means refuse; on spot lpaSpot false means refuse."""
    room = Room()
    assert room.get("/v5/account/user-setting-config")["result"] == {"lpaSpot": False, "lpaPerp": False}
    assert room.post("/v5/account/set-limit-px-action", {"category": "inverse", "modifyEnable": False})["retCode"] == 0
    assert room.get("/v5/account/user-setting-config")["result"] == {"lpaSpot": False, "lpaPerp": True}


def test_a_read_only_key_reads_and_does_nothing_else():
    """Orders and settings are refused with 10005."""
    room = Room()
    key = room.gateway.keyring.find("ann")
    room.gateway.keyring.remove("ann")
    room.gateway.keyring.add(replace(key, read_only=True))
    assert room.get("/v5/account/wallet-balance", "accountType=UNIFIED")["retCode"] == 0
    assert room.get("/v5/user/query-api")["result"]["readOnly"] == 1
    assert room.post(ORDER, room.order("Buy", 1, 90))["retCode"] == 10005
    assert room.post("/v5/order/cancel-all", room.named())["retCode"] == 10005
    limit = {"category": "linear", "modifyEnable": True}
    assert room.post("/v5/account/set-limit-px-action", limit)["retCode"] == 10005


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff\xfe", b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes):
    """10001, whatever it is instead."""
    room = Room()
    assert answer(room.gateway.rest(room.call("POST", ORDER, body=body)))["retCode"] == 10001


@pytest.mark.parametrize(
    ("fault", "placed", "status", "code"),
    [
        ({"what": "answer", "code": 10016}, 0, 200, 10016),
        ({"what": "answer", "code": 10016, "executed": True}, 1, 200, 10016),
        ({"what": "answer", "code": 10006}, 0, 200, 10006),
        ({"what": "answer", "code": 10000, "executed": True}, 1, 200, 10000),
        ({"what": "http", "status": 403}, 0, 403, None),
        ({"what": "http", "status": 429, "executed": True}, 1, 429, None),
        ({"what": "http", "status": 502}, 0, 502, None),
        ({"what": "silence", "executed": True}, 1, 200, None),
        ({"what": "disconnect"}, 0, 200, None),
        ({"what": "delay", "delay_ms": 400}, 1, 200, 0),
    ],
)
def test_a_fault_is_an_answer_and_says_whether_it_was_done(fault: dict, placed: int, status: int, code: int | None):
    """Every kind of trouble with a request, done or not; the next request is answered as always."""
    room = Room()
    room.gateway.faults.arm(Fault(where=f"rest:POST {ORDER}", uid=ANN, **fault))
    call = room.call("POST", ORDER, body=msgspec.json.encode(room.order("Buy", 1, 90)))
    reply = room.gateway.rest(call)
    assert len(room.house.orders) == placed
    assert reply.status == status
    assert (answer(reply)["retCode"] if reply.body else None) == code
    assert reply.abort is (fault["what"] == "disconnect")
    if code == 10006:
        assert int(reply.headers["X-Bapi-Limit-Reset-Timestamp"]) > room.now_ms
    assert answer(room.gateway.rest(call))["retCode"] == 0


def test_an_address_that_asks_too_often_gets_403():
    """601 requests in five seconds, whatever they ask and whoever signs."""
    room = Room()
    for _ in range(600):
        room.gateway.rest(room.call("GET", "/v5/account/info"))
    reply = room.gateway.rest(room.call("GET", "/v5/account/info"))
    assert (reply.status, answer(reply)["retMsg"]) == (403, "access too frequent")
    assert room.get("/v5/account/info", address="127.0.0.2")["retCode"] in (0, 10006)


def test_maintenance_and_restart_refuse_with_10016():
    """Both leave the orders where they are."""
    room = Room(restart_ms=2000)
    room.post(ORDER, room.order("Buy", 1, 90))
    resets = []
    room.gateway.on_restart.append(lambda: resets.append(room.now_ms))
    room.gateway.restart()
    assert room.post(ORDER, room.order("Buy", 1, 90))["retCode"] == 10016
    room.now_ms += 2000
    room.gateway.tick()
    assert resets == [room.now_ms]
    room.gateway.maintain(on=True)
    assert room.get("/v5/account/info")["retCode"] == 10016
    room.gateway.maintain(on=False)
    assert room.post(ORDER, room.order("Buy", 1, 90))["retCode"] == 0
    assert len(room.house.orders) == 2
