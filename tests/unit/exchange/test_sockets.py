"""What is said on the private and the trade socket, frame by frame, without a network."""

from typing import Any

import msgspec
import pytest
from rooms import ANN, INVERSE, LINEAR, START_MS, Room

from mmbot.exchange.auth import sign
from mmbot.exchange.faults import Fault
from mmbot.exchange.line import How
from mmbot.exchange.private_socket import PrivateSocket
from mmbot.exchange.rates import RateLimits
from mmbot.exchange.trade_socket import TradeSocket


class Paper:
    """A line that keeps what it is given: (delay, place, message)."""

    def __init__(self) -> None:
        self.uid: int | None = None
        self.muted = False
        self.sent: list[tuple[float, str, dict[str, Any]]] = []
        self.ends: list[How] = []

    def send(self, payload: bytes, delay_ms: float = 0.0, where: str = "") -> None:
        """Keep a message."""
        self.sent.append((delay_ms, where, msgspec.json.decode(payload)))

    def cut(self, how: How, delay_ms: float = 0.0) -> None:
        """Keep an end."""
        self.ends.append(how)

    def take(self) -> list[dict[str, Any]]:
        """The messages since the last time."""
        messages, self.sent = [message for _, _, message in self.sent], []
        return messages


class Peer:
    """A client of one socket."""

    def __init__(self, room: Room, kind: type[PrivateSocket] | type[TradeSocket], key: str = "ann") -> None:
        self.room, self.key, self.line = room, key, Paper()
        self.socket = kind(room.gateway, self.line, "c1", "127.0.0.1", 600_000)

    def say(self, **frame: Any) -> list[dict[str, Any]]:
        """Send a frame and return what is answered."""
        self.socket.heard(msgspec.json.encode(frame))
        return self.line.take()

    def auth(self, **more: Any) -> list[dict[str, Any]]:
        """Log in."""
        expires = self.room.now_ms + 1000
        proof = sign(f"{self.key}-secret", f"GET/realtime{expires}".encode())
        return self.say(op="auth", args=[self.key, expires, proof], **more)

    def ask(self, op: str, body: object, **more: Any) -> dict[str, Any]:
        """Send an order request."""
        frame = {"op": f"order.{op}", "args": [body], "header": {"X-BAPI-TIMESTAMP": self.room.now_ms}, **more}
        [said] = self.say(**frame)
        return said


# --- private ---


def test_auth_and_subscription_are_acknowledged_in_order_and_echo_their_ids():
    """A client may send both at once; req_id comes back as it was, a number too."""
    peer = Peer(Room(), PrivateSocket)
    [ack] = peer.auth(req_id=7)
    assert ack == {"success": True, "ret_msg": "", "op": "auth", "conn_id": "c1", "req_id": 7}
    [ack] = peer.say(op="subscribe", args=["order", "wallet"])
    assert ack == {"success": True, "ret_msg": "", "op": "subscribe", "conn_id": "c1"}
    [pong] = peer.say(op="ping", req_id="p")
    assert pong == {"op": "pong", "args": [str(START_MS)], "conn_id": "c1", "req_id": "p"}


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["order", "moon"], "error:handler not found,topic:moon"),
        (["moon.option"], "error:handler not found,topic:moon.option"),
        (["order", "execution.linear"], "error:all-in-one and categorised topics in one request"),
        ("order", "Params Error"),
        ([1], "Params Error"),
    ],
)
def test_a_wrong_subscription_is_refused_as_a_whole(args: object, said: str):
    """None of its topics is heard."""
    room = Room()
    peer = Peer(room, PrivateSocket)
    peer.auth()
    [ack] = peer.say(op="subscribe", args=args)
    assert (ack["success"], ack["ret_msg"]) == (False, said)
    room.desk.create(room.ann, room.order("Buy", 1, 90))
    assert peer.line.take() == []


def test_strangers_hear_nothing():
    """No subscription without auth; a bad auth is told and cut."""
    room = Room()
    peer = Peer(room, PrivateSocket)
    [ack] = peer.say(op="subscribe", args=["order"])
    assert (ack["success"], ack["ret_msg"]) == (False, "Request not authorized")
    [ack] = peer.say(op="auth", args=["ann", START_MS + 1000, "00"])
    assert (ack["success"], peer.line.ends) == (False, ["close"])
    assert peer.say(op="dance")[0]["success"] is False
    peer.socket.heard(b"{broken")
    assert peer.line.take()[0]["ret_msg"] == "Params Error"


def test_each_form_of_a_topic_is_pushed_under_its_own_name():
    """The whole kind to one client, one category to another; other categories and other accounts are not heard."""
    room = Room(LINEAR, INVERSE)
    whole, part, bob = Peer(room, PrivateSocket), Peer(room, PrivateSocket), Peer(room, PrivateSocket, "bob")
    for peer, topics in ((whole, ["order"]), (part, ["order.inverse", "execution.fast.linear"]), (bob, ["order"])):
        peer.auth()
        peer.say(op="subscribe", args=topics)
    room.desk.create(room.ann, room.order("Buy", 1, 90))
    assert [message["topic"] for message in whole.line.take()] == ["order"]
    assert part.line.take() == bob.line.take() == []
    room.desk.create(room.ann, {**room.order("Buy", 9, 90), "category": "inverse", "symbol": "BTCUSD"})
    [message] = part.line.take()
    assert (message["topic"], message["data"][0]["category"]) == ("order.inverse", "inverse")
    room.desk.create(room.ann, room.order("Buy", 1, 101, orderLinkId="mine"))
    [fast] = part.line.take()
    assert set(fast) == {"topic", "creationTime", "data"}
    assert (fast["topic"], fast["data"][0]["orderLinkId"]) == ("execution.fast.linear", "mine")
    part.say(op="unsubscribe", args=["execution.fast.linear"])
    room.desk.create(room.ann, room.order("Buy", 1, 101))
    assert part.line.take() == []


def test_a_maker_is_not_told_its_link_id_on_the_fast_stream():
    """It has to know its order by orderId there."""
    room = Room()
    peer = Peer(room, PrivateSocket)
    peer.auth()
    peer.say(op="subscribe", args=["execution.fast"])
    room.desk.create(room.ann, room.order("Buy", 1, 100, orderLinkId="mine"))
    room.desk.create(room.bob, room.order("Sell", 1, 100))
    [message] = peer.line.take()
    assert (message["data"][0]["isMaker"], message["data"][0]["orderLinkId"]) == (True, "")


def test_a_fill_is_told_on_every_topic_with_the_documented_fields():
    """Order, execution, position (with entryPrice), wallet with the changed coin; each with its own delay."""
    room = Room(order_ms=1, execution_ms=2, position_ms=3, wallet_ms=4, ack_ms=9)
    peer = Peer(room, PrivateSocket)
    peer.auth()
    peer.say(op="subscribe", args=["order", "execution", "position", "wallet"])
    room.desk.create(room.ann, room.order("Buy", 2, 101))
    told = {message["topic"]: (delay, message["data"][0]) for delay, _, message in peer.line.sent}
    assert {topic: delay for topic, (delay, _) in told.items()} == {
        "order": 1,
        "execution": 2,
        "position": 3,
        "wallet": 4,
    }
    order, execution = told["order"][1], told["execution"][1]
    assert (order["orderStatus"], order["leavesQty"], order["cumExecFee"]) == ("Filled", "0", "0.101")
    assert (order["feeCurrency"], order["cumFeeDetail"]) == ("USDT", {"USDT": "0.101"})
    assert (execution["execPnl"], execution["isMaker"], execution["category"]) == ("0", False, "linear")
    position = told["position"][1]
    assert (position["entryPrice"], position["size"], position["side"]) == ("101", "2", "Buy")
    assert "avgPrice" not in position
    assert [coin["coin"] for coin in told["wallet"][1]["coin"]] == ["USDT"]


@pytest.mark.parametrize(("grouped", "messages"), [(True, 1), (False, 2)])
def test_rows_of_one_event_share_a_message_or_do_not(grouped: bool, messages: int):
    """Two executions of one order."""
    room = Room(group_rows=grouped)
    room.book(room.markets[0], [], [(101, 1), (102, 1)])
    peer = Peer(room, PrivateSocket)
    peer.auth()
    peer.say(op="subscribe", args=["execution"])
    room.desk.create(room.ann, room.order("Buy", 2, 102))
    assert len(peer.line.take()) == messages


def test_disconnect_cancel_all_follows_the_watched_socket():
    """Set by REST, armed by dcp.future, fallen ten seconds after the socket is gone; spot orders stay."""
    room = Room()
    room.ann.institutional = True
    assert room.post("/v5/order/disconnected-cancel-all", {"product": "DERIVATIVES", "timeWindow": 10})["retCode"] == 0
    told = room.get("/v5/account/query-dcp-info")["result"]["dcpInfos"]
    assert told == [{"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "10"}]
    peer = Peer(room, PrivateSocket)
    peer.auth()
    peer.say(op="subscribe", args=["dcp.future"])
    order = room.desk.create(room.ann, room.order("Buy", 1, 90))
    peer.socket.gone()
    room.now_ms += 9_999
    room.gateway.tick()
    assert order.open
    room.now_ms += 1
    room.gateway.tick()
    assert (order.status, order.cancel_type) == ("Cancelled", "CancelByDCP")


def test_an_idle_socket_is_cut():
    """After ten minutes without a word; a protocol ping is a word."""
    room = Room()
    quiet, alive = Peer(room, PrivateSocket), Peer(room, TradeSocket)
    room.now_ms += 599_999
    alive.socket.pinged()
    room.gateway.tick()
    assert quiet.line.ends == []
    room.now_ms += 1
    room.gateway.tick()
    assert (quiet.line.ends, alive.line.ends) == (["close"], [])


# --- trade ---


def test_a_trade_socket_places_amends_and_cancels():
    """The answers name the request, carry the limits, and nothing of the order's state."""
    room = Room()
    room.ann.rates.change(RateLimits())
    peer = Peer(room, TradeSocket)
    [ack] = peer.auth(reqId="a")
    assert ack == {"reqId": "a", "retCode": 0, "retMsg": "OK", "op": "auth", "connId": "c1"}
    said = peer.ask("create", room.order("Buy", 3, 90), reqId="r1")
    assert (said["reqId"], said["retCode"], said["op"], said["connId"]) == ("r1", 0, "order.create", "c1")
    assert set(said["data"]) == {"orderId", "orderLinkId"}
    assert (said["header"]["X-Bapi-Limit"], said["header"]["X-Bapi-Limit-Status"]) == ("10", "9")
    order = room.named(orderId=said["data"]["orderId"])
    assert peer.ask("amend", {**order, "qty": "2"})["retCode"] == 0
    said = peer.ask("cancel", order)
    assert "reqId" not in said
    assert not room.house.orders
    said = peer.ask("create-batch", {"category": "linear", "request": [room.order("Buy", 3, 90)]})
    assert (len(said["data"]["list"]), said["retExtInfo"]["list"]) == (1, [{"code": 0, "msg": "OK"}])


def test_rest_and_the_trade_socket_share_one_limit():
    """Five here and five there, and the next is refused on either."""
    room = Room()
    room.ann.rates.change(RateLimits())
    peer = Peer(room, TradeSocket)
    peer.auth()
    for _ in range(5):
        assert peer.ask("create", room.order("Buy", 1, 90))["retCode"] == 0
        assert room.post("/v5/order/create", room.order("Buy", 1, 90))["retCode"] == 0
    said = peer.ask("create", room.order("Buy", 1, 90))
    assert said["retCode"] == 10006
    assert int(said["header"]["X-Bapi-Limit-Reset-Timestamp"]) > room.now_ms
    assert room.post("/v5/order/create", room.order("Buy", 1, 90))["retCode"] == 10006


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"header": {}}, 10001),
        ({"header": None}, 10001),
        ({"header": {"X-BAPI-TIMESTAMP": START_MS - 5001}}, 10002),
        ({"header": {"X-BAPI-TIMESTAMP": str(START_MS + 1000)}}, 10002),
        ({"header": {"X-BAPI-TIMESTAMP": str(START_MS - 7000), "X-BAPI-RECV-WINDOW": "8000"}}, 0),
        ({"reqId": "x" * 37}, 10001),
        ({"reqId": 7}, 10001),
        ({"args": []}, 10001),
        ({"args": [{}, {}]}, 10001),
        ({"args": [["order"]]}, 10001),
        ({"op": "order.dance"}, 10404),
    ],
)
def test_a_trade_request_is_checked_before_it_counts(frame: dict, code: int):
    """Header, window, reqId, arguments; texts and numbers are both fine as timestamps."""
    room = Room()
    peer = Peer(room, TradeSocket)
    peer.auth()
    whole = {"op": "order.create", "args": [room.order("Buy", 1, 90)], "header": {"X-BAPI-TIMESTAMP": room.now_ms}}
    [said] = peer.say(**{**whole, **frame})
    assert said["retCode"] == code
    assert len(room.house.orders) == (code == 0)


def test_a_request_id_works_once_and_auth_works_once():
    """20006 for a repeated reqId, 20001 for a second auth, and nothing without the first."""
    room = Room()
    peer = Peer(room, TradeSocket)
    assert peer.ask("create", room.order("Buy", 1, 90))["retCode"] == 20002
    peer.auth()
    assert peer.auth()[0]["retCode"] == 20001
    assert peer.ask("create", room.order("Buy", 1, 90), reqId="r")["retCode"] == 0
    assert peer.ask("create", room.order("Buy", 1, 90), reqId="r")["retCode"] == 20006
    assert len(room.house.orders) == 1
    other = Peer(room, TradeSocket)
    assert other.say(op="auth", args=["ann", START_MS + 1000, "00"])[0]["retCode"] == 10004
    assert other.say(op="auth", args=["who", START_MS + 1000, "00"])[0]["retCode"] == 10003


def test_a_restarting_venue_takes_no_new_requests_and_keeps_the_old_orders():
    """10019 until the connections are cut."""
    room = Room(restart_ms=1000)
    peer = Peer(room, TradeSocket)
    peer.auth()
    peer.ask("create", room.order("Buy", 1, 90))
    room.gateway.restart()
    assert peer.ask("create", room.order("Buy", 1, 90))["retCode"] == 10019
    room.now_ms += 1000
    room.gateway.tick()
    assert peer.line.ends == ["going_away"]
    assert len(room.house.orders) == 1


@pytest.mark.parametrize(
    ("fault", "placed", "codes", "ends"),
    [
        ({"what": "silence"}, 0, [], []),
        ({"what": "silence", "executed": True}, 1, [], []),
        ({"what": "answer", "executed": True}, 1, [10016], []),
        ({"what": "answer", "code": 10006}, 0, [10006], []),
        ({"what": "http"}, 0, [10429], []),
        ({"what": "disconnect", "executed": True, "how": "going_away"}, 1, [], ["going_away"]),
        ({"what": "delay"}, 1, [0], []),
    ],
)
def test_a_fault_strikes_a_trade_request(fault: dict, placed: int, codes: list[int], ends: list[str]):
    """Lost, answered wrongly, late or cut, done or not."""
    room = Room()
    peer = Peer(room, TradeSocket)
    peer.auth()
    room.gateway.faults.arm(Fault(where="trade:order.create", uid=ANN, **fault))
    frame = {"op": "order.create", "args": [room.order("Buy", 1, 90)], "header": {"X-BAPI-TIMESTAMP": room.now_ms}}
    assert [said["retCode"] for said in peer.say(**frame)] == codes
    assert (len(room.house.orders), peer.line.ends) == (placed, ends)
