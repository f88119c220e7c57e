"""Order entry and private streams of Bybit: documented frames give the reviewed facts, and our bytes are as documented.

The frames of tests/golden/bybit-private are built from the documents' own samples, since no private recording is
public; what people have seen beyond the documents (two Filled, a post-only kill that spot calls Rejected) is there too.
"""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from mmbot.venues.bybit import orders_wire as wire
from mmbot.venues.bybit import wire as public_wire
from mmbot.venues.bybit.codes import verdict
from mmbot.venues.port import AmendOrder, CancelOrder, Credentials, OrderRequest, PlaceOrder, Refused, kind_of
from mmbot.venues.records import WireError

FRAMES = Path(__file__).parents[3] / "golden" / "bybit-private"
NAMES = sorted(path.stem for path in FRAMES.glob("*.json") if not path.name.endswith(".expected.json"))
SETTLE = {("linear", "BTCUSDT"): "USDT", ("inverse", "BTCUSD"): "BTC"}
KEY = Credentials(key="testkey", secret=SecretStr("testsecret"))


def place(client_id: str = "mm-1", **changed: object) -> PlaceOrder:
    """A post-only bid."""
    order = PlaceOrder(
        client_id=client_id, category="linear", symbol="BTCUSDT", side="buy", price="59000", qty="0.01", post_only=True
    )
    return msgspec.structs.replace(order, **changed)


def decoded(name: str) -> list[object]:
    """What the frame of that name says; an answer to an order request, as facts about requests mm-1, mm-2, …"""
    frame = (FRAMES / f"{name}.json").read_bytes()
    if not name.startswith("trade-"):
        found = wire.decode_private(frame, SETTLE)
        return [found] if isinstance(found, wire.Reply) else list(found)
    said = wire.decode_trade(frame)
    if isinstance(said, wire.Reply):
        return [said]
    requests = [place(f"mm-{n}") for n in (1, 2, 3)] if "batch" in said.op else [place()]
    return [*wire.answer_facts(requests, said.answer), {"limit": [said.limit, said.remaining, said.reset_ms]}]


@pytest.mark.parametrize("name", NAMES)
def test_documented_frames_decode_as_reviewed(name: str, golden) -> None:
    """Each documented private frame and trade answer gives exactly the reviewed facts."""
    found = [
        {"fact": type(one).__name__, **msgspec.to_builtins(one)} if isinstance(one, msgspec.Struct) else one
        for one in decoded(name)
    ]
    golden.check(f"bybit-private/{name}.expected.json", json.dumps(found, indent=1) + "\n")


def test_the_signatures_are_the_documented_ones() -> None:
    """Queries, bodies and logins are signed as the reference vectors say, over the exact bytes."""
    head = "1700000000000testkey5000"
    body = (
        '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"59000",'
        '"timeInForce":"PostOnly"}'
    )
    for payload, signature in (
        (head + "category=linear&symbol=BTCUSDT", "f2f79889fd1201752936b389c890e9d393e01e0311a6d8785fb80753aa26c69b"),
        (head, "2fc9e776b3f07b2ee447067e0f627438055b198bb14dba79e1a3d50e40a5bd8d"),
        (head + body, "ee905b33f72620b018fe76cb01a358584cc7d3e9ca26607146362fe20b3ecef5"),
        ("GET/realtime1700000010000", "6a806639d27b1c24c3808a191e9d0274d0c9d3a04a160233856d65840dfda2c8"),
    ):
        assert wire.sign(KEY, payload.encode()) == signature
    assert msgspec.json.decode(wire.auth_frame(KEY, 1700000010000))["args"][2].startswith("6a806639")


@pytest.mark.parametrize(
    ("requests", "kind", "argument"),
    [
        (
            [place()],
            "create",
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "orderLinkId": "mm-1",
                "side": "Buy",
                "orderType": "Limit",
                "qty": "0.01",
                "price": "59000",
                "timeInForce": "PostOnly",
                "positionIdx": 0,
                "smpType": "CancelTaker",
            },
        ),
        (
            [place(category="spot", side="sell", post_only=False, tif="ioc")],
            "create",
            {
                "category": "spot",
                "symbol": "BTCUSDT",
                "orderLinkId": "mm-1",
                "side": "Sell",
                "orderType": "Limit",
                "qty": "0.01",
                "price": "59000",
                "timeInForce": "IOC",
                "smpType": "CancelTaker",
            },
        ),
        (
            [AmendOrder(client_id="mm-1", category="linear", symbol="BTCUSDT", price="59001")],
            "amend",
            {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "mm-1", "price": "59001"},
        ),
        (
            [CancelOrder(client_id=name, category="linear", symbol="BTCUSDT") for name in ("mm-1", "mm-2")],
            "cancel-batch",
            {
                "category": "linear",
                "request": [
                    {"symbol": "BTCUSDT", "orderLinkId": "mm-1"},
                    {"symbol": "BTCUSDT", "orderLinkId": "mm-2"},
                ],
            },
        ),
    ],
    ids=["place", "place on spot", "amend", "cancel two"],
)
def test_requests_become_the_documented_bodies(
    requests: list[OrderRequest], kind: str, argument: dict[str, object]
) -> None:
    """A request has the same body on both paths, and only the fields that belong to it."""
    assert msgspec.json.decode(wire.body(requests)) == argument
    frame = msgspec.json.decode(wire.trade_frame(requests, "r-1", 1711001595207, 2000))
    assert frame == {
        "reqId": "r-1",
        "header": {"X-BAPI-TIMESTAMP": "1711001595207", "X-BAPI-RECV-WINDOW": "2000"},
        "op": f"order.{kind}",
        "args": [argument],
    }
    assert wire.path(kind_of(requests[0]), batch=len(requests) > 1) == f"/v5/order/{kind}"


def test_reduce_only_is_said_and_a_plain_order_leaves_it_out() -> None:
    """Only a reduce-only order carries the flag, and only contracts have a position side."""
    assert msgspec.json.decode(wire.body([place(reduce_only=True)]))["reduceOnly"] is True
    assert "reduceOnly" not in msgspec.json.decode(wire.body([place()]))
    assert "reduceOnly" not in msgspec.json.decode(wire.body([place(reduce_only=True, category="spot")]))


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        (110001, "refused", "unknown_order"),
        (170213, "refused", "unknown_order"),
        (110007, "refused", "balance"),
        (110094, "refused", "invalid"),
        (10002, "refused", "clock"),
        (10004, "refused", "credentials"),
        (10006, "refused", "rate_limited"),
        (10018, "refused", "banned"),
        (403, "refused", "banned"),
        (10000, "unanswered", "other"),
        (10014, "unanswered", "other"),
        (10016, "unanswered", "other"),
        (10019, "unanswered", "other"),
        (10429, "unanswered", "overloaded"),
        (20006, "unanswered", "other"),
        (170146, "unanswered", "other"),
        (502, "unanswered", "other"),
        (123456, "unanswered", "other"),
        (110072, "exists", "duplicate"),
        (170141, "exists", "duplicate"),
    ],
)
def test_codes_are_judged_for_the_worse_case(code: int, kind: str, reason: str) -> None:
    """Only a definite no is refused; timeouts, restarts and codes that nobody knows leave the outcome open."""
    said = verdict(code)
    assert (said.kind, said.reason) == (kind, reason)


def test_a_failed_batch_fails_each_of_its_legs() -> None:
    """A batch that is refused as a whole refuses every request of it."""
    facts = wire.answer_facts([place("mm-1"), place("mm-2")], wire.Answer(10003, "no key", b"{}", (), 7))
    assert [(fact.client_id, fact.reason, fact.ts_venue) for fact in facts if isinstance(fact, Refused)] == [
        ("mm-1", "credentials", 7),
        ("mm-2", "credentials", 7),
    ]


@pytest.mark.parametrize("head", [b"", b'{"topic":"order","data":', b'{"result":', b'{"topic":"publicTrade.X","data":'])
@pytest.mark.parametrize(
    "decode",
    [
        public_wire.decode,
        public_wire.decode_terms,
        public_wire.decode_listing,
        lambda raw: wire.decode_private(raw, {}),
        wire.decode_trade,
        wire.decode_answer,
        wire.decode_reply,
        lambda raw: wire.decode_orders(raw, "linear"),
    ],
    ids=["public", "terms", "listing", "private", "trade", "answer", "reply", "orders"],
)
def test_nesting_without_end_is_refused_like_any_other_nonsense(decode: Callable[[bytes], object], head: bytes) -> None:
    """Brackets and braces by the hundred thousand are a WireError from every decoder, and nothing else."""
    for deep in (b"[", b'{"data":'):
        with pytest.raises(WireError):
            decode(head + deep * 100_000)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b'{"topic":"order","data":[{"orderId":"1","symbol":"X","side":"Buy","orderStatus":"New"}]}', "qty"),
        (b'{"topic":"position","data":[{"symbol":"X","side":"Long","size":"1"}]}', "Long"),
        (b'{"topic":"wallet","data":[{"coin":[{"coin":"BTC","walletBalance":"much"}]}]}', "walletBalance"),
        (b"]", "malformed"),
    ],
)
def test_private_refusals_name_the_fault(frame: bytes, words: str) -> None:
    """A private frame that can not be read is refused with what is wrong in it."""
    with pytest.raises(WireError, match=words):
        wire.decode_private(frame, {})
