"""Names that are used up, pages that do not shift, and memory that does not grow."""

import msgspec
import pytest
from rooms import LINEAR, SPOT, START_MS, Room

from mmbot.exchange.history import LinkIds, Records, page
from mmbot.exchange.refusals import RefusedError

DAY_MS = 86_400_000


def test_a_link_id_is_known_once_used_and_only_for_its_account():
    """Over several tables, without forgetting any."""
    ids = LinkIds()
    ids.FULL = 100
    for number in range(1_000):
        assert not ids.known(1, f"id-{number}")
        ids.use(1, f"id-{number}")
    ids.use(1, "id-0")
    assert all(ids.known(1, f"id-{number}") for number in range(1_000))
    assert not ids.known(2, "id-0")
    assert (ids.used, ids.forgotten) == (1_000, 0)


def test_the_oldest_link_ids_are_forgotten_when_memory_is_full_and_that_is_counted():
    """Two tables of a hundred: the first hundred of three are gone."""
    ids = LinkIds(tables_max=2)
    ids.FULL = 100
    for number in range(300):
        ids.use(1, f"id-{number}")
    assert ids.forgotten == 100
    assert not ids.known(1, "id-0")
    assert ids.known(1, "id-299")


def test_closed_orders_are_kept_up_to_a_number():
    """The oldest leave first, with their names, and are counted."""
    room = Room()
    room.ann.records = Records(closed_max=3)
    for number in range(5):
        order = room.desk.create(room.ann, room.order("Buy", 1, 90, orderLinkId=f"o{number}"))
        room.desk.cancel(room.ann, room.named(orderId=order.order_id))
    records = room.ann.records
    assert ([order.link_id for order in records.closed], records.orders_forgotten) == (["o2", "o3", "o4"], 2)
    assert records.named("", "o1") is None
    assert records.named("", "o4") is not None


def numbers(cursor: str, top: int = 10) -> dict:
    """A page of three from `top` down."""
    return page(range(top, 0, -1), lambda number: number, lambda number: {"n": number}, 3, cursor)


def test_a_page_goes_on_where_the_last_one_ended_whatever_happened_since():
    """The cursor is opaque text, url-encoded once; sent back as it is or encoded again it means the same."""
    first = numbers("")
    assert [row["n"] for row in first["list"]] == [10, 9, 8]
    assert first["nextPageCursor"] == "page_token%3D8%26"
    for cursor in ("page_token%3D8%26", "page_token=8&", "page_token%253D8%2526"):
        assert [row["n"] for row in numbers(cursor, top=15)["list"]] == [7, 6, 5]
    last = numbers("page_token%3D4%26")
    assert (len(last["list"]), last["nextPageCursor"]) == (3, "")
    with pytest.raises(RefusedError, match="cursor"):
        numbers("abc")


def lists(room: Room, path: str, query: str) -> list[str]:
    """The orderLinkIds that a query tells."""
    body = room.get(path, query)
    assert body["retCode"] == 0, body
    return [row["orderLinkId"] for row in body["result"]["list"]]


def test_realtime_tells_open_orders_and_on_demand_the_recent_closed_ones():
    """openOnly 0 and 1, by id in either state, and after a restart only what is open."""
    room = Room()
    for name in ("a", "b", "c"):
        room.desk.create(room.ann, room.order("Buy", 1, 90, orderLinkId=name))
    room.desk.cancel(room.ann, room.named(orderLinkId="b"))
    scope = "category=linear&symbol=BTCUSDT"
    assert lists(room, "/v5/order/realtime", scope) == ["c", "a"]
    assert lists(room, "/v5/order/realtime", f"{scope}&openOnly=1") == ["b"]
    assert lists(room, "/v5/order/realtime", f"{scope}&orderLinkId=b") == ["b"]
    assert lists(room, "/v5/order/realtime", "category=linear&settleCoin=USDT&limit=1") == ["c"]
    room.gateway.restart()
    room.now_ms += 10_000
    room.gateway.tick()
    assert lists(room, "/v5/order/realtime", f"{scope}&openOnly=1") == []
    assert lists(room, "/v5/order/realtime", f"{scope}&orderLinkId=b") == []
    assert lists(room, "/v5/order/realtime", f"{scope}&orderLinkId=a") == ["a"]
    assert room.get("/v5/order/realtime", "category=linear")["retCode"] == 10001


def test_cancelled_orders_without_fills_leave_the_history_after_a_day():
    """Those with fills stay."""
    room = Room()
    room.desk.create(room.ann, room.order("Buy", 1, 101, orderLinkId="filled"))
    room.desk.create(room.ann, room.order("Buy", 1, 90, orderLinkId="cancelled"))
    room.desk.cancel(room.ann, room.named(orderLinkId="cancelled"))
    scope = "category=linear&symbol=BTCUSDT"
    assert lists(room, "/v5/order/history", scope) == ["cancelled", "filled"]
    room.now_ms += DAY_MS
    assert lists(room, "/v5/order/history", scope) == ["filled"]


@pytest.mark.parametrize(
    ("switch", "path"),
    [
        ("realtime_lag_ms", "/v5/order/realtime"),
        ("history_lag_ms", "/v5/order/history"),
        ("execution_lag_ms", "/v5/execution/list"),
    ],
)
def test_what_just_happened_may_be_missing_for_a_while(switch: str, path: str):
    """Each list has a lag of its own, off by default."""
    room = Room(**{switch: 500})
    room.desk.create(room.ann, room.order("Buy", 1, 101 if "order/realtime" not in path else 90, orderLinkId="x"))
    scope = "category=linear&symbol=BTCUSDT"
    assert lists(room, path, scope) == []
    room.now_ms += 500
    assert lists(room, path, scope) == ["x"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("startTime=1&endTime=604800001", 0),
        ("startTime=1&endTime=604800002", 10001),
        ("startTime=5&endTime=4", 10001),
        ("startTime=x", 10001),
        ("limit=0", 10001),
        ("cursor=nonsense", 10001),
        ("symbol=DOGE", 10001),
    ],
)
def test_a_window_is_seven_days_at_most(query: str, code: int):
    """And bad parameters are refused."""
    assert Room().get("/v5/execution/list", f"category=linear&{query}")["retCode"] == code


def test_executions_are_told_newest_first_in_pages():
    """Three executions in pages of two, with the fields that clients book by."""
    room = Room(LINEAR)
    for _ in range(3):
        room.now_ms += 1
        room.desk.create(room.ann, room.order("Buy", 1, 101))
    first = room.get("/v5/execution/list", "category=linear&limit=2")["result"]
    times = [int(row["execTime"]) for row in first["list"]]
    assert times == [START_MS + 3, START_MS + 2]
    rest = room.get("/v5/execution/list", f"category=linear&limit=2&cursor={first['nextPageCursor']}")["result"]
    assert ([int(row["execTime"]) for row in rest["list"]], rest["nextPageCursor"]) == ([START_MS + 1], "")
    row = rest["list"][0]
    assert (row["execType"], row["isMaker"], row["execFee"], row["feeRate"]) == ("Trade", False, "0.0505", "0.0005")
    assert (row["execValue"], row["closedSize"], row["feeCurrency"]) == ("101", "0", "USDT")


def test_every_answer_is_json_of_the_venue_s_shape():
    """Each list endpoint answers with the common envelope, for an account that did nothing and one that traded."""
    room = Room(LINEAR, SPOT)
    room.desk.create(room.ann, room.order("Buy", 3, 101))
    room.desk.create(room.ann, room.order("Sell", 1, 99))
    for key in ("ann", "bob"):
        for path in ("position/closed-pnl", "order/history", "account/fee-rate", "account/info", "user/query-api"):
            body = room.get(f"/v5/{path}", "category=linear", key=key)
            assert (body["retCode"], body["retMsg"], body["retExtInfo"]) == (0, "OK", {})
            assert set(body) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
    closed = room.get("/v5/position/closed-pnl", "category=linear")["result"]["list"][0]
    assert (closed["closedPnl"], closed["avgEntryPrice"], closed["avgExitPrice"]) == ("-2.0495", "101", "99")
    assert msgspec.json.encode(closed)
