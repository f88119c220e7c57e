"""Order entry: what a table cannot say well. The flows themselves are in tests/spec/exchange_orders.md."""

import pytest
from rooms import ANN, BOB, INVERSE, LINEAR, SPOT, Heard, Room

from mmbot.exchange.desk import ACTIVE_MAX, CANCEL_ALL_MAX
from mmbot.exchange.faults import Fault
from mmbot.exchange.money import UNIT
from mmbot.exchange.refusals import RefusedError


def refused(call, *args) -> RefusedError:
    """The refusal of a call."""
    with pytest.raises(RefusedError) as error:
        call(*args)
    return error.value


@pytest.mark.parametrize("field", ["triggerPrice", "takeProfit", "stopLoss", "bboSideType"])
def test_what_is_not_modelled_is_refused_by_name(field: str):
    """Conditional orders and TP/SL are answered clearly, never placed as something else."""
    error = refused(Room().desk.create, Room().ann, Room().order("Buy", 1, 100, **{field: "90"}))
    assert (error.code, field in error.message) == (10001, True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"category": "option"}, 10001),
        ({"category": "moon"}, 10001),
        ({"symbol": "DOGE"}, 10001),
        ({"side": "buy"}, 10001),
        ({"orderType": "Stop"}, 10001),
        ({"timeInForce": "RPI"}, 10001),
        ({"timeInForce": "DAY"}, 10001),
        ({"qty": 5}, 10001),
        ({"qty": "1.5"}, 10001),
        ({"qty": "-5"}, 10001),
        ({"price": "100.5"}, 10001),
        ({"price": None}, 10001),
        ({"positionIdx": 1}, 10001),
        ({"smpType": "All"}, 10001),
        ({"orderLinkId": "x" * 37}, 10001),
        ({"orderLinkId": "a b"}, 10001),
        ({"orderType": "Market", "timeInForce": "PostOnly"}, 10001),
        ({"reduceOnly": "maybe"}, 10001),
        ({"orderFilter": "StopOrder"}, 10001),
    ],
)
def test_a_bad_field_is_refused_and_nothing_is_left_behind(change: dict, code: int):
    """No order, no hold, no used-up name."""
    room = Room()
    assert refused(room.desk.create, room.ann, {**room.order("Buy", 5, 90), **change}).code == code
    assert not room.house.orders
    assert room.house.link_ids.used == 0


def test_a_price_beyond_the_band_is_moved_or_refused_as_the_account_says():
    """Contracts move by default and spot refuses; set-limit-px-action changes either."""
    room = Room()
    highest, lowest = room.markets[0].price_limits()
    order = room.desk.create(room.ann, room.order("Buy", 1, highest + 50))
    assert order.tick == highest
    room.ann.reprices["contract"] = False
    assert refused(room.desk.create, room.ann, room.order("Buy", 1, highest + 50)).code == 110120
    assert refused(room.desk.create, room.ann, room.order("Sell", 1, lowest - 1)).code == 110121
    spot = Room(SPOT)
    highest, lowest = spot.markets[0].price_limits()
    assert refused(spot.desk.create, spot.ann, spot.order("Buy", 1, highest + 1)).code == 170193
    assert refused(spot.desk.create, spot.ann, spot.order("Sell", 1, lowest - 1)).code == 170194
    spot.ann.reprices["spot"] = True
    assert spot.desk.create(spot.ann, spot.order("Sell", 1, lowest - 1)).tick == lowest


def test_an_amend_meets_the_same_band():
    """Moved or refused, like a new order."""
    room = Room()
    highest, _ = room.markets[0].price_limits()
    order = room.desk.create(room.ann, room.order("Buy", 5, 90))
    room.ann.reprices["contract"] = False
    change = room.named(orderId=order.order_id, price=str(highest + 50))
    assert refused(room.desk.amend, room.ann, change).code == 110120
    room.ann.reprices["contract"] = True
    assert room.desk.amend(room.ann, change).tick == highest


def test_margin_is_needed_for_what_makes_the_worse_side_worse():
    """1,000 USDT at ten times carry 100 lots at 100; both sides of a quote share it, and closing is free."""
    room = Room(balances={"USDT": "1000"})
    mark = room.markets[0].mark
    assert mark == 100
    room.desk.create(room.ann, room.order("Buy", 100, 95))
    room.desk.create(room.ann, room.order("Sell", 100, 105))
    assert room.ann.margin(room.house.price_of).available == 0
    assert refused(room.desk.create, room.ann, room.order("Buy", 1, 95)).code == 110007
    assert refused(room.desk.create, room.ann, room.order("Sell", 1, 105)).message == "ab not enough for new order"
    room.desk.cancel_all(room.ann, room.named())
    assert room.ann.margin(room.house.price_of).available == 1000 * UNIT


def test_a_position_can_be_closed_without_free_margin():
    """Reducing binds nothing, with or without the flag."""
    room = Room(balances={"USDT": "101"})
    room.desk.create(room.ann, room.order("Buy", 10, 101))
    assert refused(room.desk.create, room.ann, room.order("Buy", 5, 99)).code == 110007
    room.desk.create(room.ann, room.order("Sell", 10, 99))
    assert room.ann.holding(room.house.listings["linear", "BTCUSDT"]).position.lots == 0


def test_quantity_zero_with_both_flags_closes_everything():
    """qty 0, reduceOnly and closeOnTrigger: the whole position at market."""
    room = Room()
    room.desk.create(room.ann, room.order("Buy", 7, 101))
    order = room.desk.create(room.ann, room.order("Sell", 0, reduceOnly=True, closeOnTrigger=True))
    assert (order.lots, order.status) == (7, "Filled")


def test_a_market_order_stops_at_the_band_or_at_its_tolerance():
    """The price it shows is that limit; what is beyond is not taken."""
    room = Room()
    highest, _ = room.markets[0].price_limits()
    room.book(room.markets[0], [(99, 10)], [(101, 2), (102, 2), (highest + 1, 50)])
    order = room.desk.create(room.ann, room.order("Buy", 3, slippageToleranceType="TickSize", slippageTolerance="0"))
    assert (order.tick, order.cum, order.status) == (101, 2, "Cancelled")
    order = room.desk.create(room.ann, room.order("Buy", 9))
    assert (order.tick, order.cum, order.reject_reason) == (highest, 2, "EC_NoImmediateQtyToFill")


def test_a_spot_market_buy_spends_an_amount():
    """By default qty is USDT: 350 buy three at 101 and leave the rest; less than the minimum buys nothing."""
    room = Room(SPOT)
    order = room.desk.create(room.ann, room.order("Buy", 350))
    assert (order.lots, order.cum_value, order.market_unit) == (3, 303 * UNIT, "quoteCoin")
    assert refused(room.desk.create, room.ann, room.order("Buy", 4)).code == 170140
    poor = Room(SPOT, balances={"USDT": "100"})
    assert refused(poor.desk.create, poor.ann, poor.order("Buy", 202)).code == 170131


def test_at_most_500_orders_stand_in_a_symbol():
    """The 501st is refused; with one gone there is room again."""
    room = Room()
    for _ in range(ACTIVE_MAX):
        order = room.desk.create(room.ann, room.order("Buy", 1, 90))
    assert refused(room.desk.create, room.ann, room.order("Buy", 1, 90)).code == 110020
    room.desk.create(room.bob, room.order("Buy", 1, 90))
    room.desk.cancel(room.ann, room.named(orderId=order.order_id))
    room.desk.create(room.ann, room.order("Buy", 1, 90))


def test_cancel_all_takes_at_most_500_contracts_at_once():
    """Over two symbols with one settle coin there can be more; the rest waits for the next call."""
    other = LINEAR.model_copy(update={"symbol": "ETHUSDT", "base_coin": "ETH"})
    room = Room(LINEAR, other)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for _ in range(300):
            room.desk.create(room.ann, {**room.order("Buy", 1, 90), "symbol": symbol})
    scope = {"category": "linear", "settleCoin": "USDT"}
    assert len(room.desk.cancel_all(room.ann, scope)) == CANCEL_ALL_MAX
    assert len(room.desk.cancel_all(room.ann, scope)) == 100
    assert refused(room.desk.cancel_all, room.ann, {"category": "linear"}).code == 10001


def test_a_cancel_that_races_a_fill_may_bring_a_second_filled():
    """Within the race window the cancel is acknowledged, and the stream says Filled once more, with the reason."""
    room = Room(cancel_race_ms=100)
    heard = Heard()
    room.ann.listen("order", ["linear"], heard, "order")
    order = room.desk.create(room.ann, room.order("Buy", 3, 101))
    room.now_ms += 50
    room.desk.cancel(room.ann, room.named(orderId=order.order_id))
    said = [(row["orderStatus"], row["cancelType"], row["rejectReason"]) for _, row in heard.take()]
    assert said == [
        ("Filled", "UNKNOWN", "EC_NoError"),
        ("Filled", "CancelByUser", "EC_OrigClOrdIDDoesNotExist"),
    ]
    room.now_ms += 100
    assert refused(room.desk.cancel, room.ann, room.named(orderId=order.order_id)).code == 110001


def test_a_taker_may_be_shown_as_new_first():
    """A switch: New, then what the floor did with it."""
    room = Room(announce_new=True, position_always=False)
    heard = Heard()
    room.ann.listen("order", ["linear"], heard, "order")
    room.desk.create(room.ann, room.order("Buy", 3, 101))
    assert [row["orderStatus"] for _, row in heard.take()] == ["New", "Filled"]


@pytest.mark.parametrize(("zeroed", "leaves"), [(True, "0"), (False, "3")])
def test_leaves_of_a_cancelled_order_are_zero_or_what_was_left(zeroed: bool, leaves: str):
    """Documented and observed differ, so it is a switch."""
    room = Room(leaves_zeroed=zeroed)
    room.desk.create(room.ann, room.order("Buy", 3, 90, orderLinkId="x"))
    room.desk.cancel(room.ann, room.named(orderLinkId="x"))
    told = room.get("/v5/order/history", "category=linear")["result"]["list"]
    assert [row["leavesQty"] for row in told] == [leaves]


def test_the_engine_may_reject_what_was_acknowledged():
    """A fault: retCode 0, then Rejected with its reason; nothing is held."""
    room = Room()
    room.gateway.faults.arm(Fault(where="engine:create", what="reject", reason="EC_ReachMaxTradeNum"))
    order = room.desk.create(room.ann, room.order("Buy", 3, 90))
    assert (order.status, order.reject_reason) == ("Rejected", "EC_ReachMaxTradeNum")
    assert room.ann.holding(room.house.listings["linear", "BTCUSDT"]).buys == 0
    assert room.desk.create(room.ann, room.order("Buy", 3, 90)).open


def test_an_amend_across_may_be_refused_by_the_book_alone():
    """A switch: the post-only order stays where it was."""
    room = Room(amend_across="keep")
    order = room.desk.create(room.ann, room.order("Buy", 3, 90, timeInForce="PostOnly"))
    room.desk.amend(room.ann, room.named(orderId=order.order_id, price="101"))
    assert (order.open, order.tick) == (True, 90)


def test_the_venue_s_order_id_wins_over_the_client_s():
    """Where both are given and disagree, orderId decides; one of them is needed."""
    room = Room()
    one = room.desk.create(room.ann, room.order("Buy", 1, 90, orderLinkId="one"))
    room.desk.create(room.ann, room.order("Buy", 1, 90, orderLinkId="two"))
    room.desk.cancel(room.ann, room.named(orderId=one.order_id, orderLinkId="two"))
    assert one.status == "Cancelled"
    assert [order.link_id for order in room.house.open_orders(room.ann)] == ["two"]
    assert refused(room.desk.cancel, room.ann, room.named()).code == 10001


def test_spot_names_orders_by_digits_and_makes_up_a_link_id():
    """19 digits, and orderLinkId is the next number when the client gave none."""
    order = Room(SPOT).desk.create(Room(SPOT).ann, Room(SPOT).order("Buy", 1, 90))
    assert (len(order.order_id), int(order.link_id)) == (19, int(order.order_id) + 1)


def test_a_halted_market_takes_no_orders_and_lets_them_be_cancelled():
    """Creates are refused; cancels pass."""
    room = Room()
    order = room.desk.create(room.ann, room.order("Buy", 1, 90))
    room.markets[0].status = "Closed"
    assert refused(room.desk.create, room.ann, room.order("Buy", 1, 90)).code == 110074
    room.desk.cancel(room.ann, room.named(orderId=order.order_id))
    assert not room.house.orders


def test_funding_moves_money_from_longs_to_shorts_and_is_told():
    """An execution of type Funding with the position as quantity, a SETTLEMENT with the opposite sign."""
    room = Room()
    heard = Heard()
    room.bob.listen("execution", ["linear"], heard, "execution")
    room.desk.create(room.ann, room.order("Sell", 5, 100))
    room.desk.create(room.bob, room.order("Buy", 5, 100))
    heard.take()
    before = room.house.totals()
    listing = room.house.listings["linear", "BTCUSDT"]
    room.house.on_funding(listing, 10_000, 100, room.now_ms)
    [(_, row)] = heard.take()
    assert (row["execType"], row["orderType"], row["execQty"], row["execFee"]) == ("Funding", "UNKNOWN", "5", "0.05")
    log = room.get("/v5/account/transaction-log", "type=SETTLEMENT", key="bob")["result"]["list"]
    assert [(entry["funding"], entry["change"]) for entry in log] == [("-0.05", "-0.05")]
    assert room.get("/v5/account/transaction-log", "type=SETTLEMENT")["result"]["list"][0]["funding"] == "0.05"
    assert room.house.totals() == before


def test_a_rebate_is_paid_in_the_coin_that_was_given():
    """Spot: a maker with a negative rate gets it in the quote coin for a buy, in the base coin for a sell."""
    room = Room(SPOT)
    room.desk.create(room.ann, room.order("Buy", 5, 99))
    room.book(room.markets[0], [], [(101, 10)])
    room.desk.create(room.bob, room.order("Sell", 5, 99))
    [maker], [taker] = room.ann.records.executions, room.bob.records.executions
    assert (maker.fee_coin, maker.fee) == ("USDT", -99 * 5 * UNIT // 10_000)
    assert (taker.fee_coin, taker.fee) == ("USDT", 99 * 5 * UNIT * 5 // 10_000)
    room.desk.create(room.ann, room.order("Sell", 5, 100))
    room.desk.create(room.bob, room.order("Buy", 5, 100))
    assert room.ann.records.executions[-1].fee_coin == room.bob.records.executions[-1].fee_coin == "BTC"


def test_an_inverse_position_is_kept_in_coin():
    """Profit, fees and margin in BTC, the size in USD."""
    room = Room(INVERSE)
    room.desk.create(room.ann, room.order("Buy", 10, 101))
    row = room.get("/v5/position/list", "category=inverse&symbol=BTCUSD")["result"]["list"][0]
    assert (row["size"], row["side"], row["avgPrice"]) == ("10", "Buy", "101")
    [execution] = room.ann.records.executions
    assert execution.fee_coin == "BTC"
    assert 0 < execution.fee < UNIT // 1000
    assert {order.uid for order in room.house.orders.values()} <= {ANN, BOB}


def test_one_move_of_the_public_meets_several_orders_of_which_some_only_reduce():
    """All of what the floor did at once is booked before reduce-only orders follow the position: none of them is looked
    for on a floor that it has left.
    """
    room = Room()
    room.desk.create(room.ann, room.order("Buy", 10, 101))
    plain = room.desk.create(room.ann, room.order("Sell", 5, 102))
    reducing = [
        room.desk.create(room.ann, room.order("Sell", qty, at, reduceOnly=True)) for qty, at in ((6, 103), (4, 104))
    ]
    room.book(room.markets[0], [(105, 11)], [(106, 10)])
    assert [(one.status, one.cum) for one in (plain, *reducing)] == [("Filled", 5), ("Filled", 6), ("Cancelled", 0)]
    assert list(room.house.open_orders(room.ann)) == []
