"""The loop of a run: what it sends, what it never assumes, and how it leaves."""

import asyncio
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from trading_desk import Desk, Quoter, settle

from mmbot.execution.reconcile import Break, BreakKind, Depth, ReconReport
from mmbot.execution.resolve import Resolver
from mmbot.risk import FreezeBoard, Reconciled
from mmbot.runtime import reconciling
from mmbot.runtime.obedience import Obedience
from mmbot.runtime.runner import RunFailedError
from mmbot.strategy import Strategy, Wake
from mmbot.venues.port import ExecutionSeen, PlaceOrder, Unanswered, VenueError
from mmbot.venues.records import BookLost

BOTH = [("buy", 1_000, 10, "live"), ("sell", 1_002, 10, "live")]


def opened(folder: Path, **options) -> Desk:
    """A desk whose links are up and whose first book was heard."""
    desk = Desk(folder, **options)
    asyncio.run(desk.open())
    desk.book()
    settle(desk)
    return desk


def test_quotes_go_out_with_the_first_book_and_are_written_down_before(tmp_path: Path):
    """Two orders are placed under names of this run; the journal has the wake, the intent and both commands."""
    desk = opened(tmp_path)
    assert desk.resting() == BOTH
    kinds = [kind for kind, _ in desk.entries()]
    assert kinds.count("command") == 2
    assert kinds.index("wake") < kinds.index("intent") < kinds.index("command")


def test_nothing_leaves_before_it_is_in_the_journal(tmp_path: Path):
    """When the venue is handed a request, the file on disk already tells of it."""
    desk = Desk(tmp_path)
    asyncio.run(desk.open())
    written: list[int] = []
    send = desk.venue.send

    def spy(requests):
        from mmbot import _core  # noqa: PLC0415

        commands = [kind for _, _, kind, _ in _core.JournalReader(desk.journal_path) if kind == "command"]
        written.append(len(commands))
        send(requests)

    desk.venue.send = spy  # type: ignore[method-assign]
    desk.book()
    assert written == [2]


def test_a_fill_is_booked_once_however_often_it_is_told(tmp_path: Path):
    """The position is that of one execution, though the venue tells it three times and before the order."""
    desk = opened(tmp_path)
    desk.venue.trade("BTCUSDT", "sell", "100.0", "0.004")
    fills = [fact for fact in desk.venue.outbox if isinstance(fact, ExecutionSeen)]
    assert len(fills) == 1
    desk.runner.on_facts([*fills, *fills], desk.clock())
    settle(desk)
    assert desk.position() == 4
    assert len(desk.told("fill")) == 1
    assert desk.core.books(0, 0)["fee_units"] < 0


def test_a_lost_book_takes_the_quotes_out_and_a_whole_one_brings_them_back(tmp_path: Path):
    """In the same turn in which the chain breaks, cancels leave; nothing is quoted until the next snapshot."""
    desk = opened(tmp_path)
    desk.runner.on_records("linear", [BookLost(symbol="BTCUSDT", why="gap")], desk.clock())
    settle(desk)
    assert desk.resting() == []
    desk.print("100.0", "1", "sell")
    assert desk.resting() == []
    desk.book()
    settle(desk)
    assert desk.resting() == BOTH
    assert [event["event"] for event in desk.events if event["event"] in ("paused", "quoting")][-2:] == [
        "paused",
        "quoting",
    ]


def test_a_book_message_off_the_grid_takes_the_quotes_out_and_the_book_is_asked_for(tmp_path: Path):
    """What cannot be written is not traded on, and the feed, which saw nothing wrong, is told to begin anew."""
    desk = opened(tmp_path)
    asked: list[tuple[str, str]] = []
    desk.runner._feed = SimpleNamespace(resync=lambda category, symbol, _why: asked.append((category, symbol)))
    desk.book("100.05", kind="delta")
    settle(desk)
    assert (desk.resting(), asked) == ([], [("linear", "BTCUSDT")])
    assert "not a whole multiple" in desk.runner.pauses["book linear BTCUSDT"]
    desk.book()
    settle(desk)
    assert desk.resting() == BOTH


def test_a_trade_off_the_grid_is_counted_and_quoting_goes_on(tmp_path: Path):
    """It changes no book: the quotes stay out, and the tape is without it."""
    desk = opened(tmp_path)
    desk.print("100.05", "1", "sell")
    settle(desk)
    assert (desk.resting(), desk.runner.counters["unusable"]) == (BOTH, 1)
    assert desk.tape.tape.info()["trades"] == 0


@pytest.mark.parametrize("link", ["public", "private"])
def test_a_link_that_is_down_stops_the_quoting(link: str, tmp_path: Path):
    """Who cannot see the market, or not hear of his fills, has no quotes out."""
    desk = opened(tmp_path)
    if link == "public":
        desk.links("down")
    else:
        desk.venue.drop_links()
    settle(desk)
    asked = desk.strategy.asked
    desk.book()
    assert desk.strategy.asked == asked
    if link == "public":
        assert desk.resting() == []
        desk.links("up")
    else:
        assert [state for *_, state in desk.resting()] == ["live", "live"]  # nobody heard the cancels: still exposure
        desk.venue.restore_links()
    desk.book()
    settle(desk)
    assert desk.strategy.asked > asked


def test_an_order_that_the_venue_does_not_list_is_asked_for_and_quoting_goes_on(tmp_path: Path):
    """It stays exposure inside the limits; a position that disagrees takes the quotes out until it agrees."""
    desk = opened(tmp_path)
    missing = Break(BreakKind.ORDER_MISSING, desk.ids.name(1), "linear BTCUSDT", 10, None)
    drift = Break(BreakKind.POSITION, "linear BTCUSDT", "linear BTCUSDT", 0, 3)
    desk.runner._judge(ReconReport(now_ns=1, compared=2, breaks=(missing,)), Depth.ORDERS, 1)
    assert desk.runner.bridge.doubts == {1: "place"}
    assert desk.runner.pauses == {}
    desk.runner._judge(ReconReport(now_ns=2, compared=2, breaks=(missing, drift)), Depth.POSITIONS, 2)
    assert desk.runner.pauses == {"reconcile": "position linear BTCUSDT: we hold 0, the venue says 3; freeze"}
    desk.runner._judge(ReconReport(now_ns=3, compared=2), Depth.ORDERS, 3)
    assert "reconcile" in desk.runner.pauses  # nobody looked at the position
    desk.runner._judge(ReconReport(now_ns=4, compared=2, deferred=(drift,)), Depth.POSITIONS, 4)
    assert "reconcile" in desk.runner.pauses
    desk.runner._judge(ReconReport(now_ns=5, compared=2), Depth.POSITIONS, 5)
    assert desk.runner.pauses == {}


def looked(desk: Desk, depth: Depth, *, busy: bool = False) -> None:
    """One look at the venue. busy: the position moved a moment ago."""
    if busy:
        desk.runner.bridge._touched["linear BTCUSDT"] = desk.clock.peek()
    asyncio.run(desk.runner.look(depth))
    settle(desk)


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "filled all the time"])
def test_a_position_that_differs_for_good_pauses_and_then_freezes(busy: bool, tmp_path: Path, monkeypatch):
    """Looks at open orders alone, of which there are two for each at positions, say nothing of it."""
    monkeypatch.setattr(reconciling, "AGREE_S", 0.0)
    desk = opened(tmp_path, board=FreezeBoard())
    began = desk.clock.peek()
    desk.runner.reconciler.begin(began, began)
    desk.venue._market("BTCUSDT").position.qty += Decimal("0.005")
    if busy:  # at first sight it may be a fill on its way
        looked(desk, Depth.POSITIONS, busy=True)
        assert desk.runner.pauses == {}
    looked(desk, Depth.POSITIONS, busy=busy)
    assert "reconcile" in desk.runner.pauses
    looked(desk, Depth.ORDERS, busy=busy)
    assert "reconcile" in desk.runner.pauses
    assert desk.told("freeze asked") == []
    looked(desk, Depth.POSITIONS, busy=busy)
    looked(desk, Depth.ORDERS, busy=busy)
    [asked] = desk.told("freeze asked")
    assert (asked["control"], asked["scope"]) == ("reconcile", "symbol linear BTCUSDT")
    assert "we hold 0, the venue says 5" in asked["reason"]
    assert "reconcile" in desk.runner.pauses


def test_coins_that_differ_for_good_pause_and_then_freeze(tmp_path: Path):
    """Twelve looks that see no coins lie between two that do; the second that finds the difference is soon."""
    desk = opened(tmp_path, board=FreezeBoard())
    began = desk.clock.peek()
    desk.runner.reconciler.begin(began, began)
    looked(desk, Depth.CASH)
    desk.venue._pay("USDT", Fraction(-1))
    for _ in range(2):  # what differs for the first time is looked at again
        assert "reconcile" not in desk.runner.pauses
        looked(desk, Depth.CASH)
        looked(desk, Depth.ORDERS)
        looked(desk, Depth.POSITIONS)
    assert "reconcile" in desk.runner.pauses
    looked(desk, Depth.CASH)
    assert [asked["scope"] for asked in desk.told("freeze asked")] == ["account 7"]


def test_a_freeze_is_lifted_on_a_whole_look_that_put_nothing_off(tmp_path: Path):
    """A look at open orders is no reconciliation, nor one that found what moved a moment ago; breaks always count."""
    desk = opened(tmp_path)
    run = desk.runner
    drift = Break(BreakKind.POSITION, "linear BTCUSDT", "linear BTCUSDT", 0, 3)
    run._judge(ReconReport(now_ns=9, compared=2), Depth.POSITIONS, 1)
    run._judge(ReconReport(now_ns=9, compared=2, deferred=(drift,)), Depth.CASH, 2)
    assert run.reconciled is None
    run._judge(ReconReport(now_ns=9, compared=2), Depth.CASH, 3)
    assert run.reconciled == Reconciled(True, 3, "2 compared")
    run._judge(ReconReport(now_ns=9, compared=2, breaks=(drift,)), Depth.POSITIONS, 4)
    assert (run.reconciled.clean, run.reconciled.ts) == (False, 4)
    run._judge(ReconReport(now_ns=9, compared=2), Depth.ORDERS, 5)
    assert (run.reconciled.clean, run.reconciled.ts) == (False, 5)


def test_a_proof_of_zero_waits_for_the_lists_while_an_order_is_open_as_far_as_we_know(tmp_path: Path):
    """Two seconds after the venue spoke of it, a list that does not have it says something; its end, told, at once."""
    desk = opened(tmp_path)
    now, until = desk.clock.peek(), Obedience(desk.runner).late_until([("linear", "BTCUSDT")])
    assert now < until <= now + 2_000_000_000
    assert Obedience(desk.runner).late_until([]) == 0  # orders of other markets are none of its concern
    desk.runner.pull_all()
    settle(desk)
    assert desk.runner.bridge.open() == []
    assert Obedience(desk.runner).late_until([("linear", "BTCUSDT")]) == 0


def test_an_unanswered_order_stays_exposure_until_the_venue_has_spoken(tmp_path: Path):
    """A place without an answer counts against the limits; asking finds the order, and then it is as any other."""

    async def story() -> Desk:
        desk = Desk(tmp_path)
        desk.venue.lose("place", reached=True)
        await desk.open()
        chase = asyncio.create_task(desk.runner._guarded(desk.runner._chase))
        desk.book()
        desk.venue.outbox = [fact for fact in desk.venue.outbox if isinstance(fact, Unanswered)]  # the rest is lost
        settle(desk)
        assert ("buy", 1_000, 10, "unknown") in desk.resting()
        assert list(desk.runner.bridge.doubts.values()) == ["place"]
        async with asyncio.timeout(5):
            while desk.runner.bridge.doubts:
                await asyncio.sleep(0)
        chase.cancel()
        return desk

    assert ("buy", 1_000, 10, "live") in asyncio.run(story()).resting()


def test_an_order_that_nobody_can_find_is_not_declared_dead(tmp_path: Path):
    """The place did not arrive and the venue knows nothing of it: that is no proof, so it stays exposure."""

    async def story() -> Desk:
        desk = Desk(tmp_path)
        desk.venue.lose("place", reached=False)
        await desk.open()
        asked = 0
        find = desk.venue.find

        async def counted(*words: str):
            nonlocal asked
            asked += 1
            return await find(*words)

        desk.venue.find = counted  # type: ignore[method-assign]
        chase = asyncio.create_task(desk.runner._guarded(desk.runner._chase))
        desk.book()
        settle(desk)
        async with asyncio.timeout(5):
            while asked < 2:
                await asyncio.sleep(0)
        chase.cancel()
        return desk

    desk = asyncio.run(story())
    assert ("buy", 1_000, 10, "unknown") in desk.resting()


def test_a_position_that_moved_by_something_else_stops_the_quoting(tmp_path: Path):
    """An execution of an order that is not of this run is booked, told, and takes the quotes out."""
    desk = opened(tmp_path)
    foreign = ExecutionSeen(
        client_id="somebody",
        venue_id="elsewhere",
        execution_id="x",
        category="linear",
        symbol="BTCUSDT",
        kind="trade",
        side="buy",
        price="100.0",
        qty="1",
        maker=False,
        fee="0",
        fee_currency="USDT",
        ts_venue=desk.clock.peek(),
    )
    desk.runner.on_facts([foreign], desk.clock())
    settle(desk)
    assert desk.resting() == []
    assert desk.position() == 1_000
    assert [(asked["scope"], asked["control"]) for asked in desk.told("freeze asked")] == [
        ("symbol linear BTCUSDT", "position_moved")
    ]


class Broken(Strategy):
    """Raises when it is asked."""

    wake = Wake(message=True)

    def decide(self, view):
        """Divide by nothing."""
        return 1 // (view.position * 0)


def run_whole(desk: Desk, *, meanwhile) -> None:
    """Run from start to end, with `meanwhile(desk)` awaited in between."""

    class Feed:
        async def start(self) -> None:
            desk.links()
            desk.book()

        async def stop(self) -> None:
            desk.links("down")

    async def story() -> None:
        await desk.venue.start()
        delivering = asyncio.create_task(deliver())
        run = asyncio.create_task(desk.runner.run(Feed(), desk.venue))
        try:
            await meanwhile(desk)
            desk.runner.ended.set()
            async with asyncio.timeout(10):
                await run
        finally:
            delivering.cancel()

    async def deliver() -> None:
        while True:
            desk.venue.deliver()
            await asyncio.sleep(0)

    asyncio.run(story())


async def quoted(desk: Desk) -> None:
    """Wait until both quotes rest."""
    async with asyncio.timeout(5):
        while [state for *_, state in desk.resting()] != ["live", "live"]:
            await asyncio.sleep(0)


def test_a_run_leaves_no_order_behind(tmp_path: Path):
    """At the end the venue has no order of ours, says so, and the last fill was heard."""
    desk = Desk(tmp_path)

    async def trade(desk: Desk) -> None:
        await quoted(desk)
        desk.venue.trade("BTCUSDT", "sell", "100.0", "0.003")

    run_whole(desk, meanwhile=trade)
    assert desk.runner.left
    assert desk.told("left") == [{"event": "left", "symbol": "BTCUSDT", "open_orders": 0}]
    assert asyncio.run(reachable(desk)) == []
    assert desk.position() == 3


async def reachable(desk: Desk):
    """Ask the venue once more for open orders."""
    await desk.venue.start()
    return await desk.venue.open_orders("linear", "BTCUSDT")


def test_the_end_leaves_what_is_not_ours(tmp_path: Path):
    """Somebody else's order rests in the same market: ours are cancelled one by one, theirs stays."""
    desk = Desk(tmp_path)

    async def theirs(desk: Desk) -> None:
        await quoted(desk)
        desk.venue.plant(
            PlaceOrder(client_id="by hand", category="linear", symbol="BTCUSDT", side="buy", price="99.0", qty="0.001")
        )

    run_whole(desk, meanwhile=theirs)
    [done] = desk.told("cancel_all_done")
    assert (done["trigger"], done["proof"], done["failed"]) == ("end", "asked", [])
    assert [seen.client_id for seen in asyncio.run(reachable(desk))] == ["by hand"]


def test_a_strategy_that_raises_ends_the_run_in_order(tmp_path: Path):
    """The run ends with the strategy's error, after the venue was left without an order."""
    desk = Desk(tmp_path, Broken())

    async def wait(desk: Desk) -> None:
        await desk.runner.ended.wait()

    with pytest.raises(RunFailedError, match="ZeroDivisionError"):
        run_whole(desk, meanwhile=wait)
    assert desk.runner.left


def test_orders_of_an_earlier_run_are_cancelled_and_foreign_ones_refuse_the_start(tmp_path: Path):
    """Our own leftovers leave before the first quote; somebody else's orders are nobody's to cancel."""
    from mmbot.execution.client_ids import ClientIds  # noqa: PLC0415
    from mmbot.venues.port import PlaceOrder  # noqa: PLC0415

    def planted(desk: Desk, client_id: str) -> Desk:
        order = PlaceOrder(client_id=client_id, category="linear", symbol="BTCUSDT", side="buy", price="90.0", qty="1")
        desk.venue.plant(order)
        return desk

    earlier = ClientIds(env="s", epoch_s=1_600_000_000, strategy="tst").name(7)
    desk = planted(Desk(tmp_path), earlier)
    run_whole(desk, meanwhile=quoted)
    assert [event["what"] for event in desk.told("cleaned")] == ["BTCUSDT: 1 orders of an earlier run were cancelled"]
    (tmp_path / "other").mkdir()
    desk = planted(Desk(tmp_path / "other"), "by-hand")

    async def nothing(_: Desk) -> None:
        return

    with pytest.raises(VenueError, match="not of a run of ours"):
        run_whole(desk, meanwhile=nothing)


@pytest.mark.parametrize("fit", [True, False])
def test_only_a_run_whose_account_is_fit_is_one_to_take_over_from(tmp_path: Path, fit: bool):
    """A start that is refused leaves no mark, or the next one would take its empty books for the account's; one that
    is not has left it before its first order.
    """
    desk, placed = Desk(tmp_path), list[int]()
    desk.runner.begins = lambda: placed.append(len(desk.told("request")))
    if fit:
        run_whole(desk, meanwhile=quoted)
        assert placed == [0]
        return
    order = PlaceOrder(client_id="by-hand", category="linear", symbol="BTCUSDT", side="buy", price="90.0", qty="1")
    desk.venue.plant(order)

    async def nothing(_: Desk) -> None:
        return

    with pytest.raises(VenueError, match="not of a run of ours"):
        run_whole(desk, meanwhile=nothing)
    assert placed == []


def test_a_run_does_not_leave_before_an_unanswered_create_has_had_its_time(tmp_path: Path, monkeypatch):
    """The venue is asked again once nothing that was sent can arrive any more; then the run has left."""
    desk = Desk(tmp_path)
    monkeypatch.setattr(Resolver, "deadline", lambda _self, since, _now: since + 1_500_000_000)
    desk.venue.lose("place", reached=False)

    async def wait(desk: Desk) -> None:
        async with asyncio.timeout(5):
            while not desk.runner.bridge.doubts:
                await asyncio.sleep(0)

    run_whole(desk, meanwhile=wait)
    [done] = desk.told("cancel_all_done")
    assert done["proof"] == "asked"
    assert any("an order may come to be" in str(event.get("why")) for event in desk.told("stopping"))
    assert desk.runner.left


def test_trouble_at_the_end_is_an_error_that_names_the_instrument(tmp_path: Path):
    """A venue that cannot be asked at the end leaves the run with an error, not with a claim."""
    desk = Desk(tmp_path)

    async def refuse(category: str, symbol: str):
        raise VenueError("nobody answers")

    async def cut(desk: Desk) -> None:
        await quoted(desk)
        desk.venue.open_orders = refuse  # type: ignore[method-assign]

    with pytest.raises(VenueError, match="BTCUSDT: the venue did not say whether orders of ours are left"):
        run_whole(desk, meanwhile=cut)
    assert not desk.runner.left


@pytest.mark.parametrize("when", ["while it trades", "while it leaves"])
def test_a_venue_that_is_gone_is_not_asked(when: str, tmp_path: Path):
    """The run fails at once and says so; it neither waits for answers nor claims that the venue gave one."""
    desk = Desk(tmp_path)

    async def asked(category: str, symbol: str) -> list[object]:
        assert when == "while it leaves"
        desk.runner.lose(VenueError("the exchange is gone"))
        await asyncio.Event().wait()
        return []

    async def gone(desk: Desk) -> None:
        await quoted(desk)
        desk.venue.open_orders = asked  # type: ignore[method-assign]
        if when == "while it trades":
            desk.runner.lose(VenueError("the exchange is gone"))

    with pytest.raises(RunFailedError, match="the exchange is gone"):
        run_whole(desk, meanwhile=gone)
    assert desk.told("stopping")[-1]["why"] == "the venue is gone, and every order with it"
    assert (desk.told("left"), desk.runner.left, desk.runner.stopping) == ([], False, True)


def test_two_quotes_that_move_are_two_cancels_and_then_two_places(tmp_path: Path):
    """Each kind is then one batch on the wire, and cancels free what the new orders need."""
    desk = opened(tmp_path)
    before = len(desk.told("request"))
    desk.strategy.bid, desk.strategy.ask = 999, 1_003
    desk.book()
    asked = [event["request"] for event in desk.told("request")[before:]]
    assert asked == ["cancel", "cancel", "place", "place"]


class EveryTenth(Quoter):
    """Looks every tenth of a second."""

    wake = Wake(every_ms=100.0, message=True)


def test_a_timer_that_is_late_by_seconds_rings_once_before_the_next_frame(tmp_path: Path):
    """After a stop of the process the run goes on: the strategy is asked just before what comes next."""
    desk = Desk(tmp_path, strategy=EveryTenth())

    async def stops() -> int:
        await desk.open()
        desk.book()
        settle(desk)
        asked = desk.strategy.asked
        desk.clock.correct(5_000_000_000)
        desk.book()
        settle(desk)
        return asked

    asked = asyncio.run(stops())
    assert desk.runner.failure is None
    assert desk.strategy.asked > asked


def test_a_paused_run_arms_no_timer(tmp_path: Path):
    """A timer that is due while quotes are out would ring at once, for ever; it is armed when quoting goes on."""
    desk = Desk(tmp_path, strategy=EveryTenth())

    async def pauses() -> tuple[object, object]:
        await desk.open()
        desk.book()
        settle(desk)
        desk.runner.pause("test", "told to")
        desk.runner._arm()
        paused = desk.runner._due
        desk.runner.resume("test")
        return paused, desk.runner._due

    paused, again = asyncio.run(pauses())
    assert paused is None
    assert again is not None
