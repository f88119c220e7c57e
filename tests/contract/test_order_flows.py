"""The order flows that every venue adapter has to tell rightly, played on each venue and product line.

An adapter passes facts on as they come; these scenarios look at what the facts join to, and compare it with what the
venue itself holds at the end.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest
from stages import STAGES, Opener, Stage, play

from mmbot.exchange.switches import Switches
from mmbot.venues.port import Acked, CancelPath, ExecutionSeen, OrderSeen, Refused, Unanswered, VenueError

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=STAGES, ids=lambda name: name.replace(" ", "-"))
def opened(request: pytest.FixtureRequest) -> Opener:
    """Each stage in turn."""
    return STAGES[request.param]


def on(opened: Opener, scenario: Callable[[Stage], Awaitable[None]], **switches: object) -> None:
    """Play a scenario; at its end no order is left and the executions told are those that happened."""

    async def whole() -> None:
        async with opened(Switches(**switches) if switches else None) as stage:
            await scenario(stage)
            await stage.orders.cancel_all(stage.category, stage.symbol)
            assert stage.venue.open_orders() == []
            happened = stage.venue.executions()
            await stage.heard.until(lambda: set(stage.heard.executions()) == set(happened))
            for name, told in stage.heard.executions().items():
                signed = Decimal(told.qty) * (1 if told.side == "buy" else -1)
                assert (signed, Decimal(told.fee)) == happened[name]
                assert told.fee_currency

    play(whole)


def test_an_order_rests_and_is_cancelled(opened: Opener) -> None:
    """A post-only order is acknowledged, shows as live with its terms, and ends as cancelled because we asked."""

    async def scenario(stage: Stage) -> None:
        order = stage.place()
        stage.orders.send([order])
        live = await stage.shown(order.client_id, "live")
        assert (Decimal(live.price), Decimal(live.qty), Decimal(live.cum)) == (98, stage.qty(5), 0)
        [acked] = await stage.heard.until(lambda: stage.heard.of(Acked, order.client_id))
        assert (acked.request, acked.venue_id) == ("place", live.venue_id)
        stage.orders.send([stage.cancel(order.client_id)])
        gone = await stage.shown(order.client_id, "canceled")
        assert (Decimal(gone.cum), gone.reason) == (0, "requested")

    on(opened, scenario)


def test_a_fill_may_come_before_the_acknowledgement(opened: Opener) -> None:
    """With answers slower than the stream, execution and state arrive first, and the answer still comes once."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 101, 5, tif="ioc")
        stage.orders.send([order])
        await stage.heard.until(lambda: stage.heard.of(Acked, order.client_id))
        kinds = [type(one) for one in stage.heard.facts if getattr(one, "client_id", "") == order.client_id]
        assert kinds.index(ExecutionSeen) < kinds.index(Acked)
        assert kinds.count(Acked) == 1
        assert (await stage.shown(order.client_id, "filled")).cum == str(stage.qty(5))

    on(opened, scenario, ack_ms=150.0, order_ms=1.0, execution_ms=1.0)


def test_a_fill_may_come_after_the_cancel_was_sent(opened: Opener) -> None:
    """A cancel that meets a fill is acknowledged or refused; the order is filled, once, even if it is told twice."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        stage.venue.trade("sell", 98, 5)
        stage.orders.send([stage.cancel(order.client_id)])
        assert (await stage.shown(order.client_id, "filled")).cum == str(stage.qty(5))
        await stage.heard.until(lambda: [one for one in stage.heard.of(Acked) if one.request == "cancel"])
        await stage.heard.until(lambda: len(stage.heard.of(OrderSeen, order.client_id)) >= 3)
        assert [one.status for one in stage.heard.of(OrderSeen, order.client_id)][-2:] == ["filled", "filled"]
        assert stage.heard.bought() == stage.qty(5)

    on(opened, scenario, cancel_race_ms=2_000)


def test_a_partly_filled_order_is_cancelled_with_its_fills(opened: Opener) -> None:
    """After a partial fill the cancel ends the rest: status cancelled, with what was executed."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        stage.venue.trade("sell", 98, 2)
        partial = await stage.shown(order.client_id, "partial")
        assert Decimal(partial.cum) == stage.qty(2)
        stage.orders.send([stage.cancel(order.client_id)])
        gone = await stage.shown(order.client_id, "canceled")
        assert (Decimal(gone.cum), gone.reason) == (stage.qty(2), "requested")
        [execution] = await stage.heard.until(lambda: list(stage.heard.executions().values()))
        assert (execution.maker, execution.client_id, execution.price) == (True, order.client_id, "98")
        assert Decimal(execution.fee) < 0

    on(opened, scenario)


def test_a_post_only_order_that_would_take_is_killed_after_its_acknowledgement(opened: Opener) -> None:
    """The request is taken in, and then the order is rejected for its reason, whatever the venue calls the state."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 101, 5)
        stage.orders.send([order])
        killed = await stage.shown(order.client_id, "rejected")
        assert (killed.reason, Decimal(killed.cum)) == ("post_only", 0)
        await stage.heard.until(lambda: stage.heard.of(Acked, order.client_id))
        assert not stage.heard.executions()

    on(opened, scenario)


def test_a_used_name_opens_no_second_order(opened: Opener) -> None:
    """Sent twice, one order exists: the second is unanswered, and the venue is asked what it has under that name."""

    async def scenario(stage: Stage) -> None:
        order = stage.place()
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        seen = len(stage.heard.of(OrderSeen, order.client_id))
        stage.orders.send([order])
        await stage.heard.until(lambda: stage.heard.of(Unanswered, order.client_id))
        await stage.heard.until(lambda: len(stage.heard.of(OrderSeen, order.client_id)) > seen)
        assert stage.venue.open_orders() == [order.client_id]

    on(opened, scenario)


def test_a_batch_fails_leg_by_leg(opened: Opener) -> None:
    """Of three orders in one batch the two good ones rest and the bad one is refused, each by its own answer."""

    async def scenario(stage: Stage) -> None:
        good, bad, better = stage.place(), stage.place(units=0), stage.place(price=97)
        stage.orders.send([good, bad, better])
        await stage.shown(good.client_id, "live")
        await stage.shown(better.client_id, "live")
        [refused] = await stage.heard.until(lambda: stage.heard.of(Refused, bad.client_id))
        assert refused.reason == "invalid"
        assert sorted(stage.venue.open_orders()) == sorted([good.client_id, better.client_id])
        stage.orders.send([stage.cancel(good.client_id), stage.cancel("mm-never"), stage.cancel(better.client_id)])
        await stage.shown(good.client_id, "canceled")
        await stage.shown(better.client_id, "canceled")
        [refused] = await stage.heard.until(lambda: stage.heard.of(Refused, "mm-never"))
        assert refused.reason == "unknown_order"

    on(opened, scenario)


def test_an_amend_moves_price_and_total_quantity(opened: Opener) -> None:
    """The order keeps its names and shows its new terms; the quantity is the total, with what was filled."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.orders.send([order])
        live = await stage.shown(order.client_id, "live")
        stage.venue.trade("sell", 98, 2)
        await stage.shown(order.client_id, "partial")
        stage.orders.send([stage.amend(order.client_id, price=97, units=4)])
        moved = await stage.heard.until(
            lambda: [one for one in stage.heard.of(OrderSeen, order.client_id) if one.price == "97"]
        )
        assert moved[-1].venue_id == live.venue_id
        assert (Decimal(moved[-1].qty), Decimal(moved[-1].cum)) == (stage.qty(4), stage.qty(2))

    on(opened, scenario)


def test_an_amend_that_comes_too_late_or_asks_too_little_is_refused(opened: Opener) -> None:
    """Below what is filled it is invalid; after the end the order is not known; either way it changes nothing."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        stage.venue.trade("sell", 98, 4)
        await stage.shown(order.client_id, "partial")
        stage.orders.send([stage.amend(order.client_id, units=3)])
        [refused] = await stage.heard.until(lambda: stage.heard.of(Refused, order.client_id))
        assert (refused.request, refused.reason) == ("amend", "invalid")
        stage.venue.trade("sell", 98, 1)
        await stage.shown(order.client_id, "filled")
        stage.orders.send([stage.amend(order.client_id, price=97)])
        refusals = await stage.heard.until(lambda: stage.heard.of(Refused, order.client_id)[1:])
        assert (refusals[0].request, refusals[0].reason) == ("amend", "unknown_order")

    on(opened, scenario)


def test_an_amend_and_a_cancel_sent_together_end_the_order(opened: Opener) -> None:
    """Whatever the amend came to, the order is gone, and both requests are answered."""

    async def scenario(stage: Stage) -> None:
        order = stage.place()
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        stage.orders.send([stage.amend(order.client_id, price=97), stage.cancel(order.client_id)])
        await stage.shown(order.client_id, "canceled")
        answers = (Acked, Refused)
        await stage.heard.until(lambda: len([one for one in stage.heard.facts if isinstance(one, answers)]) == 3)

    on(opened, scenario)


def test_what_finds_nobody_at_once_is_cancelled(opened: Opener) -> None:
    """Immediate-or-cancel keeps what it got and drops the rest; fill-or-kill takes all or nothing."""

    async def scenario(stage: Stage) -> None:
        some, none = stage.place("buy", 101, 15, tif="ioc"), stage.place("sell", 99, 15, tif="fok")
        stage.orders.send([some])
        assert Decimal((await stage.shown(some.client_id, "canceled")).cum) == stage.qty(10)
        stage.orders.send([none])
        killed = await stage.shown(none.client_id, "canceled", "rejected")
        assert (Decimal(killed.cum), killed.reason) == (0, "not_fillable")

    on(opened, scenario)


def test_reduce_only_never_opens_a_position(opened: Opener) -> None:
    """Without a position there is nothing to reduce: refused, in so many words. Coins have no positions."""

    async def scenario(stage: Stage) -> None:
        if stage.category == "spot":
            return
        order = stage.place("sell", 102, 5, reduce_only=True)
        stage.orders.send([order])
        [refused] = await stage.heard.until(lambda: stage.heard.of(Refused, order.client_id))
        assert refused.reason == "reduce_only"

    on(opened, scenario)


def test_asking_gives_the_same_as_listening(opened: Opener) -> None:
    """Executions, position and open orders that are asked for are those that were told and those that exist."""

    async def scenario(stage: Stage) -> None:
        where = (stage.category, stage.symbol)
        before = Decimal((await stage.orders.position(*where)).qty)
        bid, taken = stage.place("buy", 98, 5), stage.place("sell", 99, 4, tif="ioc")
        stage.orders.send([bid])
        await stage.shown(bid.client_id, "live")
        stage.orders.send([taken])
        await stage.shown(taken.client_id, "filled")
        stage.venue.trade("sell", 98, 3)
        await stage.shown(bid.client_id, "partial")
        asked = await stage.orders.executions(*where, stage.opened_ns)
        assert {one.execution_id: one for one in asked} == stage.heard.executions()
        assert [one.ts_venue for one in asked] == sorted(one.ts_venue for one in asked)
        [resting] = await stage.orders.open_orders(*where)
        assert (resting.client_id, resting.status) == (bid.client_id, "partial")
        found = await stage.orders.find(*where, taken.client_id)
        assert found.order is not None
        assert found.order.status == "filled"
        assert found.source
        assert await stage.orders.executions_of(*where, taken.client_id) == [
            one for one in asked if one.client_id == taken.client_id
        ]
        never = await stage.orders.find(*where, "mm-never")
        assert (never.order, never.source) == (None, "")
        assert 0 < found.ts_venue <= never.ts_venue
        assert await stage.orders.executions_of(*where, "mm-never") == []
        posted = [one for one in await stage.orders.postings(stage.opened_ns) if one.kind == "trade"]
        assert {one.execution_id for one in posted} == set(stage.heard.executions())
        parted = [one for one in posted if one.flow or one.fee or one.funding]
        for one in parted:
            assert Decimal(one.change) == Decimal(one.flow) - Decimal(one.fee) + Decimal(one.funding or 0)
        for one in asked:
            assert Decimal(one.fee) == sum(Decimal(row.fee) for row in parted if row.execution_id == one.execution_id)
        last = {one.coin: Decimal(one.balance) for one in posted}
        held = {one.coin: Decimal(one.balance) for one in await stage.orders.wallet()}
        assert last == {coin: held[coin] for coin in last}
        moved = Decimal((await stage.orders.position(*where)).qty) - before
        fees = sum(Decimal(one.fee) for one in asked if one.fee_currency == "BTC") if stage.category == "spot" else 0
        assert moved == stage.heard.bought() - fees

    on(opened, scenario)


def test_cancel_all_leaves_nothing_and_counts_what_there_was(opened: Opener) -> None:
    """Seven orders, two of them sent a moment before, are gone when the call returns."""

    async def scenario(stage: Stage) -> None:
        first = [stage.place(price=90 + n) for n in range(5)]
        stage.orders.send(first)
        await stage.heard.until(lambda: all(stage.heard.last(one.client_id) for one in first))
        stage.orders.send([stage.place(price=80), stage.place(price=81)])
        count = await stage.orders.cancel_all(stage.category, stage.symbol)
        assert 5 <= count <= 7
        assert stage.venue.open_orders() == []
        for order in first:
            await stage.shown(order.client_id, "canceled")

    on(opened, scenario)


@pytest.mark.parametrize("path", ["rest", "trade"])
def test_orders_are_cancelled_over_the_very_way_that_was_named(opened: Opener, path: CancelPath) -> None:
    """A batch and a single one, by the venue's names; the second time they are refused, for they are gone."""

    async def scenario(stage: Stage) -> None:
        placed = [stage.place(price=90 + n) for n in range(4)]
        stage.orders.send(placed)
        seen = [await stage.shown(one.client_id, "live") for one in placed]
        stage.venue.arm("rest:POST *" if path == "trade" else "trade:*", "silence", count=None)
        answers = [*await stage.orders.cancel_over(path, seen[:3]), *await stage.orders.cancel_over(path, seen[3:])]
        assert [(type(one), one.client_id) for one in answers] == [(Acked, one.client_id) for one in placed]
        again = await stage.orders.cancel_over(path, seen[:2])
        assert [one.reason for one in again if isinstance(one, Refused)] == ["unknown_order"] * 2
        stage.venue.disarm()
        assert stage.venue.open_orders() == []

    on(opened, scenario)


def test_a_silent_trade_link_is_unanswered_and_a_refused_bulk_cancel_is_an_error(opened: Opener) -> None:
    """Neither is taken for a success, and neither is tried a second time by the session."""

    async def scenario(stage: Stage) -> None:
        order = stage.place()
        stage.orders.send([order])
        seen = await stage.shown(order.client_id, "live")
        stage.venue.arm("trade:*", "silence", count=None)
        [answer] = await stage.orders.cancel_over("trade", [seen])
        assert isinstance(answer, Unanswered)
        stage.venue.arm("rest:POST /v5/order/cancel-all", "answer", code=10016)
        with pytest.raises(VenueError, match="10016"):
            await stage.orders.cancel_bulk(stage.category, stage.symbol)
        assert stage.venue.open_orders() == [order.client_id]
        await stage.orders.cancel_bulk(stage.category, stage.symbol)
        assert stage.venue.open_orders() == []
        stage.venue.disarm()

    on(opened, scenario)


def test_the_account_is_attested_and_the_rules_are_known(opened: Opener) -> None:
    """Key, mode and price limits are fit for trading, and grid, size and fees are the venue's own."""

    async def scenario(stage: Stage) -> None:
        seen = await stage.orders.attest()
        assert seen.faults == ()
        assert (seen.price_limit, seen.may_withdraw) == ("reject", False)
        assert seen.position_mode == ("spot" if stage.category == "spot" else "one_way")
        terms = await stage.orders.instrument(stage.category, stage.symbol)
        assert (terms.kind, terms.tradable, Decimal(terms.tick), Decimal(terms.lot)) == (stage.category, True, 1, 1)
        rates = await stage.orders.fee_rates(stage.category, stage.symbol)
        assert (Decimal(rates.maker), Decimal(rates.taker)) == (Decimal("-0.0001"), Decimal("0.0005"))

    on(opened, scenario)


def test_a_price_beyond_the_band_is_refused_and_not_moved(opened: Opener) -> None:
    """With the limit-price behaviour set to reject, no order ever rests at a price that we did not ask for."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 500, 5, tif="ioc")
        stage.orders.send([order])
        await stage.heard.until(
            lambda: (
                stage.heard.of(Refused, order.client_id)
                or ((last := stage.heard.last(order.client_id)) and last.status == "rejected")
            )
        )
        assert not stage.heard.executions()

    on(opened, scenario)
