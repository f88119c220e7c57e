"""Trouble on the wire, played on each venue and product line: nothing is lost, nothing is done twice, nothing stays.

Whatever happens in between, at the end of each scenario the venue has no order of ours, every execution that happened
was told with its exact quantity and fee, and the position is theirs.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random

import pytest
from stages import STAGES, Opener, Stage, play

from mmbot.venues.port import Acked, ExecutionSeen, OrderSeen, Refused, Unanswered

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=STAGES, ids=lambda name: name.replace(" ", "-"))
def opened(request: pytest.FixtureRequest) -> Opener:
    """Each stage in turn."""
    return STAGES[request.param]


def on(opened: Opener, scenario: Callable[[Stage], Awaitable[None]]) -> None:
    """Play a scenario, end the trouble, and compare what was told with what is."""

    async def whole() -> None:
        async with opened() as stage:
            where = (stage.category, stage.symbol)
            before = Decimal((await stage.orders.position(*where)).qty)
            await scenario(stage)
            stage.venue.disarm()
            await stage.heard.until(lambda: links_up(stage))
            await stage.heard.until(lambda: all(answered(stage, name) for name in stage.sent))  # none is under way
            await stage.orders.cancel_all(*where)
            assert stage.venue.open_orders() == []
            happened = stage.venue.executions()
            await stage.heard.until(lambda: set(stage.heard.executions()) == set(happened))
            told = stage.heard.executions().values()
            assert {one.execution_id: Decimal(one.fee) for one in told} == {
                name: fee for name, (_, fee) in happened.items()
            }
            in_coins = sum(Decimal(one.fee) for one in told if stage.category == "spot" and one.fee_currency == "BTC")
            moved = Decimal((await stage.orders.position(*where)).qty) - before
            assert moved == stage.heard.bought() - in_coins == sum(qty for qty, _ in happened.values()) - in_coins
            assert [name for name in stage.sent if not answered(stage, name)] == []

    play(whole)


def answered(stage: Stage, name: str) -> bool:
    """Whether something was said to a request about this order, if only that nobody answered."""
    return any(stage.heard.of(kind, name) for kind in (Acked, Refused, Unanswered))


def links_up(stage: Stage) -> bool:
    """Whether both links were last told to be up."""
    last = {event.link: event.state for event in stage.heard.links}
    return last == {"private": "up", "trade": "up"}


async def resting(stage: Stage) -> str:
    """An order of ours that rests at 98."""
    order = stage.place("buy", 98, 5)
    stage.orders.send([order])
    await stage.shown(order.client_id, "live")
    return order.client_id


@pytest.mark.parametrize("executed", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("what", ["disconnect", "silence"])
def test_a_create_without_an_answer_is_open_until_the_venue_is_asked(opened: Opener, what: str, executed: bool) -> None:
    """The link dies or stays silent after a create; whether it was done shows later, and it is never sent again."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.venue.arm("trade:order.create", what, executed=executed)
        stage.orders.send([order])
        await stage.heard.until(lambda: stage.heard.of(Unanswered, order.client_id))
        if executed:
            await stage.shown(order.client_id, "live")
            assert stage.venue.open_orders() == [order.client_id]
        else:
            assert (await stage.orders.find(stage.category, stage.symbol, order.client_id)).order is None
            assert stage.venue.open_orders() == []

    on(opened, scenario)


@pytest.mark.parametrize("code", [10000, 10016, 10019])
def test_an_ambiguous_code_is_no_refusal(opened: Opener, code: int) -> None:
    """The venue answers with trouble and has done it all the same: Unanswered, then the order."""

    async def scenario(stage: Stage) -> None:
        order = stage.place("buy", 98, 5)
        stage.venue.arm("trade:order.create", "answer", code=code, executed=True)
        stage.orders.send([order])
        await stage.shown(order.client_id, "live")
        await stage.heard.until(lambda: stage.heard.of(Unanswered, order.client_id))
        assert not stage.heard.of(Refused)

    on(opened, scenario)


def test_a_create_over_the_rate_is_dropped_and_a_cancel_is_not(opened: Opener) -> None:
    """10006 on a create is told as a refusal; on a cancel the cancel leaves again and is acknowledged."""

    async def scenario(stage: Stage) -> None:
        name = await resting(stage)
        order = stage.place("buy", 97, 5)
        stage.venue.arm("trade:order.create", "answer", code=10006)
        stage.orders.send([order])
        [refused] = await stage.heard.until(lambda: stage.heard.of(Refused, order.client_id))
        assert refused.reason == "rate_limited"
        stage.venue.arm("trade:order.cancel", "answer", code=10006)
        stage.orders.send([stage.cancel(name)])
        await stage.shown(name, "canceled")
        await stage.heard.until(lambda: [one for one in stage.heard.of(Acked, name) if one.request == "cancel"])

    on(opened, scenario)


def test_a_cancel_without_an_answer_still_cancels(opened: Opener) -> None:
    """A cancel that vanishes on the trade socket, and once more over HTTP, ends the order on the third try."""

    async def scenario(stage: Stage) -> None:
        name = await resting(stage)
        stage.venue.arm("trade:order.cancel", "silence")
        stage.venue.arm("rest:POST /v5/order/cancel", "http", status=503)
        stage.orders.send([stage.cancel(name)])
        await stage.shown(name, "canceled")

    on(opened, scenario)


@pytest.mark.parametrize("what", ["duplicate", "reorder", "drop", "delay", "corrupt", "oversize"])
@pytest.mark.parametrize("topic", ["order", "execution"])
def test_a_disturbed_private_stream_loses_nothing(opened: Opener, topic: str, what: str) -> None:
    """Messages twice, swapped, missing, late, cut or endless: after the next reconnect at most, all is told."""

    async def scenario(stage: Stage) -> None:
        name = await resting(stage)
        stage.venue.arm(f"private:{topic}", what)
        stage.venue.trade("sell", 98, 2)
        stage.venue.trade("sell", 98, 3)
        if what == "drop":
            await stage.heard.until(lambda: stage.heard.of(OrderSeen, name)[1:])
            stage.venue.cut("private")
        assert Decimal((await stage.shown(name, "filled")).cum) == stage.qty(5)
        await stage.heard.until(lambda: stage.heard.bought() == stage.qty(5))

    on(opened, scenario)


def test_a_half_open_private_link_is_replaced_and_caught_up(opened: Opener) -> None:
    """A fill that happens while the stream says nothing is told after the link is noticed to be half open."""

    async def scenario(stage: Stage) -> None:
        name = await resting(stage)
        stage.venue.mute("private")
        stage.venue.trade("sell", 98, 5)
        await stage.shown(name, "filled")
        assert [event.state for event in stage.heard.links if event.link == "private"][1:3] == ["stale", "down"]
        await stage.heard.until(lambda: stage.heard.of(ExecutionSeen))

    on(opened, scenario)


def test_a_half_open_trade_link_is_replaced(opened: Opener) -> None:
    """What was sent into it is Unanswered; what is sent after is answered."""

    async def scenario(stage: Stage) -> None:
        stage.venue.mute("trade")
        order = stage.place("buy", 98, 5)
        stage.orders.send([order])
        await stage.heard.until(lambda: stage.heard.of(Unanswered, order.client_id))
        await stage.heard.until(lambda: [one.state for one in stage.heard.links if one.link == "trade"][1:] != [])
        await stage.heard.until(lambda: links_up(stage))
        after = stage.place("buy", 97, 5)
        stage.orders.send([after])
        await stage.shown(after.client_id, "live")

    on(opened, scenario)


def test_a_restarted_exchange_is_found_again_with_its_orders(opened: Opener) -> None:
    """While it restarts requests are open; afterwards both links are up and the resting order is still known."""

    async def scenario(stage: Stage) -> None:
        name = await resting(stage)
        stage.venue.restart()
        order = stage.place("buy", 97, 5)
        stage.orders.send([order])
        await stage.heard.until(lambda: stage.heard.of(Unanswered, order.client_id))
        await stage.heard.until(lambda: "down" in [one.state for one in stage.heard.links if one.link == "private"])
        await stage.heard.until(lambda: links_up(stage), 15)
        assert name in [one.client_id for one in await stage.orders.open_orders(stage.category, stage.symbol)]

    on(opened, scenario)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_storm_leaves_no_orphan_and_no_difference(opened: Opener, seed: int) -> None:
    """Orders, amends, cancels and trades while every tenth message or request goes wrong in some way."""

    async def scenario(stage: Stage) -> None:
        dice = Random(seed)
        for where, what in (
            ("trade:order.*", "silence"),
            ("trade:order.create", "disconnect"),
            ("private:*", "duplicate"),
            ("private:*", "reorder"),
            ("private:execution", "disconnect"),
            ("private:order", "corrupt"),
            ("rest:GET /v5/order/*", "http"),
        ):
            more = {"executed": dice.random() < 0.5} if what in ("silence", "disconnect") else {}
            stage.venue.arm(where, what, count=None, probability=0.06, **more)
        ours: list[str] = []
        for _ in range(60):
            match dice.choice(["place", "place", "take", "amend", "cancel", "trade"]):
                case "place":
                    order = stage.place("buy", dice.randint(95, 98), dice.randint(1, 5))
                    ours.append(order.client_id)
                    stage.orders.send([order])
                case "take":
                    stage.orders.send([stage.place(dice.choice(["buy", "sell"]), 100, 2, tif="ioc")])
                case "amend" if ours:
                    stage.orders.send([stage.amend(dice.choice(ours), price=dice.randint(95, 98))])
                case "cancel" if ours:
                    stage.orders.send([stage.cancel(dice.choice(ours))])
                case _:
                    stage.venue.trade("sell", dice.randint(95, 98), dice.randint(1, 4))
            await stage.heard.listen(dice.uniform(0, 0.02))

    on(opened, scenario)
