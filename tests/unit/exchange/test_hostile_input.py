"""Whatever a client sends, it is answered; nothing raises, and the books hold."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import LINEAR, SPOT, Room, answer
from test_sockets import Peer

from mmbot.exchange.gateway import PATHS
from mmbot.exchange.private_socket import PrivateSocket
from mmbot.exchange.trade_socket import TradeSocket

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["linear", "spot", "BTCUSDT", "Buy", "Sell", "Limit", "Market", "PostOnly", "quoteCoin", "DERIVATIVES"]
    ),
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "5",
            "99",
            "101",
            "1e5",
            "1" * 60,
            "1" * 4290,
            "9" * 5000,
            "²",
            "0.0000000000001",
            "TickSize",
            "Percent",
        ]
    ),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "category",
        "symbol",
        "side",
        "orderType",
        "qty",
        "price",
        "timeInForce",
        "orderLinkId",
        "orderId",
        "reduceOnly",
        "closeOnTrigger",
        "smpType",
        "marketUnit",
        "slippageToleranceType",
        "slippageTolerance",
        "triggerPrice",
        "positionIdx",
        "isLeverage",
        "orderFilter",
        "baseCoin",
        "settleCoin",
        "request",
        "buyLeverage",
        "sellLeverage",
        "mode",
        "modifyEnable",
        "product",
        "timeWindow",
    ]
)
BODIES = st.dictionaries(NAMES, ANYTHING, max_size=8)
GOOD = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "5", "price": "99"}
POSTS = st.sampled_from(sorted(path for path, method in PATHS.items() if method == "POST"))
GETS = st.sampled_from(sorted(path for path, method in PATHS.items() if method == "GET"))
FRAMES = st.dictionaries(st.sampled_from(["op", "args", "header", "reqId", "req_id"]), ANYTHING, max_size=5)
OPS = st.sampled_from(["auth", "subscribe", "unsubscribe", "ping", "order.create", "order.amend", "order.cancel-batch"])


@settings(max_examples=100, deadline=None)
@given(path=POSTS, body=BODIES, whole=st.booleans())
def test_any_body_is_answered_with_a_code(path: str, body: dict[str, Any], whole: bool):
    """Random fields, alone or over a good order."""
    room = Room(LINEAR, SPOT)
    raw = msgspec.json.encode({**GOOD, **body} if whole else body)
    said = answer(room.gateway.rest(room.call("POST", path, body=raw)))
    assert isinstance(said["retCode"], int)
    assert not any(room.house.totals()[0].values())


@settings(max_examples=100, deadline=None)
@given(
    path=GETS,
    params=st.dictionaries(
        st.sampled_from(["category", "symbol", "limit", "cursor", "startTime", "endTime", "coin"]),
        st.one_of(
            st.sampled_from(
                ["linear", "9" * 31, "9" * 5000, "page_token%3D" + "9" * 5000 + "%26", "²", "%C2%B2", "%FF"]
            ),
            st.text(st.characters(codec="utf-8", exclude_characters="#"), max_size=8),
        ),
    ),
)
def test_any_query_is_answered_with_a_code(path: str, params: dict[str, str]):
    """Random parameters, encoded or not."""
    room = Room(LINEAR, SPOT)
    said = room.get(path, "&".join(f"{name}={value}" for name, value in params.items()))
    assert isinstance(said["retCode"], int)


@settings(max_examples=100, deadline=None)
@given(op=st.one_of(OPS, ANYTHING), frame=FRAMES, body=BODIES, whole=st.booleans(), known=st.booleans())
def test_any_frame_is_answered(op: Any, frame: dict[str, Any], body: dict[str, Any], whole: bool, known: bool):
    """On both sockets, before and after auth."""
    room = Room(LINEAR, SPOT)
    for kind in (PrivateSocket, TradeSocket):
        peer = Peer(room, kind)
        if known:
            peer.auth()
        good = {"header": {"X-BAPI-TIMESTAMP": room.now_ms}, "args": [{**GOOD, **body}]} if whole else {}
        assert peer.say(**{**frame, **good, "op": op})


@given(deep=st.integers(1, 6_000), shut=st.booleans(), key=st.sampled_from(["x", "op", "args", "reqId", "req_id"]))
def test_any_depth_is_answered(deep: int, shut: bool, key: str):
    """Lists in lists, whole or cut off, are answered as what the venue cannot read, on sockets and over HTTP."""
    raw = f'{{"{key}":'.encode() + b"[" * deep + (b"]" * deep + b"}" if shut else b"")
    room = Room(LINEAR, SPOT)
    for kind in (PrivateSocket, TradeSocket):
        peer = Peer(room, kind)
        peer.socket.heard(raw)
        assert peer.line.take()
    assert answer(room.gateway.rest(room.call("POST", "/v5/order/create", body=raw)))["retCode"] == 10001


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(raw: bytes):
    """Frames that are no JSON, or JSON of another kind."""
    room = Room()
    for kind in (PrivateSocket, TradeSocket):
        peer = Peer(room, kind)
        peer.socket.heard(raw)
        assert peer.line.take()
