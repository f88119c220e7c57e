"""Whatever clients and the public do, the books balance: against each other, the core's ledger, and their own log."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import INVERSE, LINEAR, SPOT, Room

from mmbot._core import Ledger
from mmbot.exchange.account import Holding
from mmbot.exchange.orders import Order
from mmbot.exchange.refusals import RefusedError

PRICES = st.integers(95, 106)
SIZES = st.integers(1, 30)
WHO = st.sampled_from(["ann", "bob"])
SIDES = st.sampled_from(["Buy", "Sell"])
TIFS = st.sampled_from(["GTC", "IOC", "FOK", "PostOnly"])
SMPS = st.sampled_from(["None", "CancelMaker", "CancelTaker", "CancelBoth"])
SIDE_WORDS = ("buy", "sell")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), WHO, SIDES, SIZES, PRICES, TIFS, SMPS, st.booleans()),
        st.tuples(st.just("market"), WHO, SIDES, SIZES),
        st.tuples(st.just("amend"), WHO, st.integers(0, 9), SIZES, PRICES),
        st.tuples(st.just("cancel"), WHO, st.integers(0, 9)),
        st.tuples(st.just("all"), WHO),
        st.tuples(st.just("public"), st.sampled_from(["buy", "sell"]), PRICES, SIZES),
        st.tuples(st.just("book"), PRICES, SIZES),
        st.tuples(st.just("funding"), st.integers(-100_000, 100_000)),
    ),
    max_size=40,
)


def step(room: Room, what: tuple[Any, ...]) -> None:
    """Do one thing; a refusal is an answer too."""
    market, spot = room.markets[0], room.markets[0].category == "spot"
    room.now_ms += 7
    match what:
        case ("create", who, side, qty, price, tif, smp, reduce):
            more = {"timeInForce": tif, "smpType": smp, "reduceOnly": reduce and not spot}
            room.desk.create(getattr(room, who), room.order(side, qty, price, **more))
        case ("market", who, side, qty):
            room.desk.create(getattr(room, who), room.order(side, qty, marketUnit="baseCoin"))
        case ("amend" | "cancel" as op, who, place, *change):
            account = getattr(room, who)
            orders = list(room.house.open_orders(account))
            if not orders:
                return
            body = room.named(orderId=orders[place % len(orders)].order_id)
            if op == "amend":
                room.desk.amend(account, {**body, "qty": str(change[0]), "price": str(change[1])})
            else:
                room.desk.cancel(account, body)
        case ("all", who):
            room.desk.cancel_all(getattr(room, who), room.named())
        case ("public", side, price, qty):
            market.public_trade(side, price, qty, room.clock())
        case ("book", price, qty):
            room.book(market, [(price - 1, qty)], [(price + 1, qty)])
        case ("funding", rate) if not spot:
            room.house.on_funding(room.house.listings[market.category, market.symbol], rate, 100, room.now_ms)


def played(room: Room, steps: list[tuple[Any, ...]]) -> None:
    """Do everything, and look at the books after each step."""
    before = room.house.totals()[1]
    for what in steps:
        try:
            step(room, what)
        except RefusedError as refused:
            assert refused.code  # noqa: PT017 (any code is an answer; the books must hold after it)
        lots, coins = room.house.totals()
        assert coins == before
        assert not any(lots.values())
        room.markets[0].floor.check_invariants()
        check_holds(room)


def check_holds(room: Room) -> None:
    """What open orders hold is the sum over the open orders, and the floor has exactly those."""
    market = room.markets[0]
    listing = next(iter(room.house.listings.values()))
    assert len(market.floor) == len(room.house.orders)
    for account in (room.ann, room.bob):
        orders = list(room.house.open_orders(account))
        assert all(market.floor.order(each.number) == (each.side, each.tick, each.left) for each in orders)
        adding = {side: [each for each in orders if each.side == side and not each.reduce_only] for side in SIDE_WORDS}
        if listing.is_spot:
            buys = sum(listing.grid.value(each.tick, each.left) for each in adding["buy"])
            sells = sum(listing.grid.size(each.left) for each in adding["sell"])
            assert (account.wallet.coin("USDT").locked, account.wallet.coin("BTC").locked) == (buys, sells)
        else:
            reducing = {each.number: each.left for each in orders if each.reduce_only}
            check_exposure(account.holding(listing), adding, reducing)


def check_exposure(holding: Holding, adding: dict[str, list[Order]], reducing: dict[int, int]) -> None:
    """Open lots by side are those of the orders that may add, and reduce-only orders never exceed the position."""
    assert [holding.buys, holding.sells] == [sum(each.left for each in adding[side]) for side in SIDE_WORDS]
    assert set(holding.reducing) == set(reducing)
    assert sum(reducing.values()) <= abs(holding.position.lots)


def check_log(room: Room) -> None:
    """Each coin's log sums to its balance, row by row."""
    for account in (room.ann, room.bob):
        sums: dict[str, int] = {}
        for row in account.wallet.log:
            sums[row.coin] = sums.get(row.coin, 0) + row.change
            assert row.balance == sums[row.coin]
        assert sums == {name: coin.balance for name, coin in account.wallet.coins.items()}


@pytest.mark.parametrize("terms", [LINEAR, INVERSE], ids=["linear", "inverse"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_contracts_balance_and_agree_with_the_core_s_ledger(terms, steps):
    """Both sides sum to zero, and a ledger that folds the same executions has the same cash, fees and position."""
    room = Room(terms)
    start = room.ann.wallet.coin(terms.settle_coin).balance
    played(room, steps)
    check_log(room)
    for account in (room.ann, room.bob):
        ledger = Ledger([room.markets[0].instrument])
        for record in account.records.executions:
            if record.order is None:
                ledger.book_funding(instrument=0, settlement=record.number, amount=-record.fee)
                continue
            ledger.book_fill(
                instrument=0,
                execution=record.number,
                side=1 if record.side == "Buy" else -1,
                price=record.tick,
                qty=record.lots,
                maker=record.maker,
                fee=record.fee,
                ts=record.ts_ms * 1_000_000,
            )
        position = account.holding(room.house.listings[terms.category, terms.symbol]).position
        assert ledger.position(0) == position.lots
        assert ledger.cash(0) == account.wallet.coin(terms.settle_coin).balance - start - position.stake
        assert ledger.fees(0) - ledger.funding(0) == position.charges


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_spot_balances_and_never_spends_what_is_not_there(steps):
    """Coins only change hands, and no balance or free amount falls below zero."""
    room = Room(SPOT, balances={"USDT": "2000", "BTC": "20"})
    played(room, steps)
    check_log(room)
    for account in (room.ann, room.bob):
        assert all(coin.balance >= coin.locked >= 0 for coin in account.wallet.coins.values())
