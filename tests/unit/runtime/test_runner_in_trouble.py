"""A run whose disk, venue or clock does what it should not."""

import asyncio
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from trading_desk import TERMS, Desk, Quoter, settle

from mmbot.execution.client_ids import ClientIds
from mmbot.execution.reconcile import Depth
from mmbot.runtime.leaving import Leaving
from mmbot.venues.port import (
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    OrderSeen,
    PlaceOrder,
    Refused,
    TermsChanged,
    Unanswered,
    VenueError,
)
from mmbot.venues.records import BookUpdate

HOUR_NS = 3_600_000_000_000


def opened(folder: Path, **options: Any) -> Desk:
    """A desk whose two quotes rest."""
    desk = Desk(folder, **options)
    asyncio.run(desk.open())
    desk.book()
    settle(desk)
    return desk


def listening(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every request that leaves from now on."""
    sent: list[Any] = []
    send = desk.venue.send
    monkeypatch.setattr(desk.venue, "send", lambda requests: (sent.extend(requests), send(requests)))
    return sent


class FullDisk:
    """A journal whose disk is full from now on."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def flush(self) -> None:
        """Fail as a full disk does."""
        raise OSError(28, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_with_a_full_disk_cancels_leave_and_nothing_new_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A quote that moves is a cancel and a place; the cancel goes out, the place does not, and the run ends."""
    desk = opened(tmp_path)
    sent = listening(desk, monkeypatch)
    monkeypatch.setattr(desk.runner, "journal", FullDisk(desk.journal))
    desk.strategy.bid, desk.strategy.ask = None, None
    desk.book()
    assert [type(request) for request in sent] == [CancelOrder, CancelOrder]
    desk.strategy.bid = 990
    desk.book()
    assert not [request for request in sent if isinstance(request, PlaceOrder)]
    assert isinstance(desk.runner.failure, OSError)
    assert desk.runner.ended.is_set()


def seen(desk: Desk, **words: str) -> OrderSeen:
    """The venue's word on our first order."""
    first = desk.told("request")[0]["correlation_id"]
    plain = {"side": "buy", "status": "live", "cum": "0", "price": "100.0", "qty": "0.01", "reason": "none"}
    return OrderSeen(
        client_id=first,
        venue_id="v1",
        category="linear",
        symbol="BTCUSDT",
        ts_venue=desk.clock.peek(),
        **{**plain, **words},  # type: ignore[arg-type]
    )


def test_an_order_that_was_refused_and_rests_all_the_same_is_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The venue contradicts itself: the order is cancelled, quoting stops, and a person is told."""
    desk = Desk(tmp_path)
    desk.venue.refuse("place", "post_only")
    asyncio.run(desk.open())
    desk.book()
    settle(desk)
    sent = listening(desk, monkeypatch)
    order = seen(desk)
    desk.runner.on_facts([order], desk.clock())
    assert order.client_id in {request.client_id for request in sent if isinstance(request, CancelOrder)}
    assert "is at the venue, although it was refused" in desk.runner.pauses["risen order"]
    assert ("buy", 1_000, 10) in counting(desk)  # until the venue says that it is gone
    assert "risen_order" in [asked["control"] for asked in desk.told("freeze asked")]


def lost_order(desk: Desk, client_id: str) -> PlaceOrder:
    """An order that rests at the venue and that no journal knows."""
    order = PlaceOrder(client_id=client_id, category="linear", symbol="BTCUSDT", side="buy", price="99.0", qty="0.007")
    desk.venue.plant(order)
    return order


def counting(desk: Desk) -> list[tuple[str, int, int]]:
    """Side, tick and lots of every order that counts, whoever sent it."""
    return [(side, tick, lots) for _, side, tick, lots, *_ in desk.core.order_rows(0)]


def looked(desk: Desk) -> None:
    """One look at the venue, and what follows from it."""
    asyncio.run(desk.runner.look(Depth.CASH))
    settle(desk)


def test_an_orphan_is_adopted_into_exposure_and_then_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It bears a name of ours: it counts before its cancel leaves, the journal has it, and then it is gone."""
    desk = opened(tmp_path)
    orphan = lost_order(desk, ClientIds(env="s", epoch_s=1_600_000_000, strategy="tst").name(7))
    counted: list[bool] = []
    send = desk.venue.send

    def sending(requests: list[Any]) -> None:
        counted.append(("buy", 990, 7) in counting(desk))
        send(requests)

    monkeypatch.setattr(desk.venue, "send", sending)
    looked(desk)
    assert counted == [True]
    assert [event["owner"] for event in desk.told("adopted")] == ["orphan"]
    assert "adopted" in [kind for kind, _ in desk.entries()]
    found = asyncio.run(desk.venue.find("linear", "BTCUSDT", orphan.client_id))
    assert found.order is not None
    assert found.order.status == "canceled"
    assert len(desk.resting()) == 2


def test_a_foreign_order_counts_freezes_its_symbol_and_is_left_alone(tmp_path: Path):
    """Somebody else's order is in exposure, fills into the books, and outlives the run."""
    desk = opened(tmp_path)
    foreign = lost_order(desk, "by-hand")
    looked(desk)
    assert ("buy", 990, 7) in counting(desk)
    assert [(asked["scope"], asked["control"]) for asked in desk.told("freeze asked")] == [
        ("symbol linear BTCUSDT", "foreign_order")
    ]
    desk.venue.trade("BTCUSDT", "sell", "99.0", "0.003")
    settle(desk)
    assert desk.position() == 3
    asyncio.run(Leaving(desk.runner, desk.venue).leave())
    assert [order.client_id for order in asyncio.run(desk.venue.open_orders("linear", "BTCUSDT"))] == [
        foreign.client_id
    ]


def test_coins_that_a_person_moves_are_told_and_coins_that_vanish_stop_trading(tmp_path: Path):
    """A transfer is explained by the venue's statement; 1.01 that nothing explains is a break, then a freeze."""
    desk = opened(tmp_path)
    looked(desk)
    fill(desk)
    settle(desk)
    looked(desk)
    desk.venue.transfer("USDT", "250")
    looked(desk)
    assert [(event["coin"], event["change_units"]) for event in desk.told("transfer")] == [("USDT", 250 * 10**12)]
    assert desk.runner.pauses == {}
    desk.venue._pay("USDT", Fraction("-1.01"))
    looked(desk)
    assert desk.told("reconcile")[-1]["breaks"] == []
    looked(desk)
    assert "cash USDT" in desk.runner.pauses["reconcile"]
    looked(desk)
    assert [(asked["scope"], asked["control"]) for asked in desk.told("freeze asked")] == [("account 7", "reconcile")]


def test_a_fee_that_is_booked_1_01_too_high_stops_trading_and_is_named(tmp_path: Path):
    """The position agrees, the balance is explained by executions that were heard: only the amounts tell it."""
    desk = opened(tmp_path)
    looked(desk)
    fill(desk)
    settle(desk)
    looked(desk)
    assert desk.runner.pauses == {}
    told = fill(desk)
    desk.venue.outbox.clear()
    dear = msgspec.structs.replace(told, fee=str(Decimal(told.fee) + Decimal("1.01")))
    desk.runner.on_facts([dear], desk.clock())
    looked(desk)
    looked(desk)
    looked(desk)
    [asked] = desk.told("freeze asked")
    assert (asked["scope"], asked["control"]) == ("account 7", "reconcile")
    assert asked["reason"] == (
        f"cash USDT TRADE {told.execution_id} fee of linear BTCUSDT: we hold 1.00999, the venue says {told.fee}; freeze"
    )


@pytest.mark.parametrize("kind", ["liquidation", "deleverage", "delivery", "transfer"])
def test_an_execution_without_an_order_moves_the_position_once_and_freezes(kind: str, tmp_path: Path):
    """The position follows the venue's, told twice or not, and a person has to look."""
    desk = opened(tmp_path)
    moved = msgspec.structs.replace(fill(desk), client_id="", venue_id="engine", execution_id="adl", kind=kind)
    desk.venue.outbox.clear()
    desk.runner.on_facts([moved, moved], desk.clock())
    assert desk.position() == 2
    assert [asked["control"] for asked in desk.told("freeze asked")] == ["position_moved"]


def test_an_execution_of_a_kind_that_nobody_knows_is_not_guessed(tmp_path: Path):
    """It is not booked; the symbol is quarantined and the position compared."""
    desk = opened(tmp_path)
    odd = msgspec.structs.replace(fill(desk), client_id="", venue_id="engine", execution_id="odd", kind="other")
    desk.venue.outbox.clear()
    desk.runner.on_facts([odd], desk.clock())
    assert desk.position() == 0
    assert [asked["control"] for asked in desk.told("freeze asked")] == ["unknown_execution"]


def fill(desk: Desk) -> ExecutionSeen:
    """One execution of our bid, which the venue has not told yet."""
    desk.venue.trade("BTCUSDT", "sell", "100.0", "0.002")
    return next(fact for fact in desk.venue.outbox if isinstance(fact, ExecutionSeen))


def test_two_executions_that_differ_by_their_id_alone_are_two(tmp_path: Path):
    """Equal price, size and time: both are booked and both are told."""
    desk = opened(tmp_path)
    one = fill(desk)
    desk.runner.on_facts([one, msgspec.structs.replace(one, execution_id="another"), one], desk.clock())
    assert (desk.position(), len(desk.told("fill")), len(desk.runner.fills)) == (4, 2, 2)


def test_a_fill_that_is_told_again_after_many_others_is_not_shown_again(tmp_path: Path):
    """The view keeps the latest fills; what it does not keep any longer is not news when it comes again."""
    desk = opened(tmp_path)
    desk.strategy.lots = 50
    desk.book("100.0", "100.2")
    settle(desk)
    first = msgspec.structs.replace(fill(desk), qty="0.001", execution_id="0")
    many = [msgspec.structs.replace(first, execution_id=str(number)) for number in range(8)]
    desk.runner.fills.clear()
    desk.runner.on_facts(many, desk.clock())
    desk.runner.fills.clear()
    desk.runner.on_facts(many, desk.clock())
    assert (len(desk.told("fill")), len(desk.runner.fills)) == (8, 0)


def test_an_execution_of_our_own_order_is_never_history(tmp_path: Path):
    """A venue whose clock is behind dates it before our start; it is booked all the same, a foreign one is not."""
    desk = opened(tmp_path)
    desk.runner.reconciler.begin(desk.clock.peek(), 0)
    ours = msgspec.structs.replace(fill(desk), ts_venue=desk.clock.peek() - HOUR_NS)
    theirs = msgspec.structs.replace(ours, client_id="somebody", venue_id="else", execution_id="x")
    desk.runner.on_facts([ours, theirs], desk.clock())
    assert (desk.position(), desk.runner.counters["before the run"]) == (2, 1)


def test_a_market_message_from_the_far_future_is_not_believed(tmp_path: Path):
    """Its book counts as lost, quotes come out, the run's clock stays, and a whole book ends it."""
    desk = opened(tmp_path)
    now = desk.clock.peek()
    future = BookUpdate(
        symbol="BTCUSDT",
        kind="delta",
        ts_venue=now + HOUR_NS,
        previous_id=1,
        last_id=2,
        bids=[("100.1", "1")],
        asks=[],
    )
    desk.runner.on_records("linear", [future], desk.clock())
    settle(desk)
    assert desk.resting() == []
    assert "ahead of ours" in desk.runner.pauses["book linear BTCUSDT"]
    assert desk.clock.peek() - now < HOUR_NS // 2
    desk.book()
    settle(desk)
    assert len(desk.resting()) == 2


def test_a_doubt_about_an_order_that_is_done_is_forgotten(tmp_path: Path):
    """Nothing of it can trade any more, so nobody asks the venue about it for the rest of the run."""
    desk = opened(tmp_path)
    desk.runner.bridge.doubts.update({1: "place", 2: "cancel"})
    desk.venue.kill(seen(desk).client_id)
    settle(desk)
    desk.runner.bridge.settle_doubts()
    assert 1 not in desk.runner.bridge.doubts
    assert 2 in desk.runner.bridge.doubts


def left_with(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What leaves at the end of the run, in its order."""
    acts: list[str] = []
    send, bulk = desk.venue.send, desk.venue.cancel_bulk

    def sending(requests: list[Any]) -> None:
        acts.extend(type(request).__name__ for request in requests)
        send(requests)

    async def all_of(category: str, symbol: str) -> None:
        acts.append("cancel_bulk")
        await bulk(category, symbol)

    monkeypatch.setattr(desk.venue, "send", sending)
    monkeypatch.setattr(desk.venue, "cancel_bulk", all_of)
    asyncio.run(Leaving(desk.runner, desk.venue).leave())
    return acts


def test_the_end_cancels_each_order_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each order's own cancel goes first, because it is the fastest; the proof follows."""
    desk = opened(tmp_path)
    desk.runner.settle_s = 0.1
    assert left_with(desk, monkeypatch)[:2] == ["CancelOrder", "CancelOrder"]


def test_cancels_that_are_lost_at_the_end_leave_no_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The venue never gets the two cancels; it has no order of ours when the run says that it left."""
    desk = opened(tmp_path)
    desk.runner.settle_s = 0.1
    desk.venue.lose("cancel", reached=False)
    desk.venue.lose("cancel", reached=False)
    assert left_with(desk, monkeypatch)[-1] == "cancel_bulk"
    assert asyncio.run(desk.venue.open_orders("linear", "BTCUSDT")) == []
    assert desk.runner.left


def test_a_venue_that_is_silent_at_the_end_is_not_waited_for_longer_than_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing answers any more: each step has its time, and the error says that nobody knows."""
    desk = opened(tmp_path)
    desk.runner.settle_s = 0.05

    async def silence(*_: Any) -> Any:
        await asyncio.Event().wait()

    for name in ("cancel_bulk", "cancel_over", "open_orders"):
        monkeypatch.setattr(desk.venue, name, silence)
    monkeypatch.setattr(desk.venue, "send", lambda _: None)
    with pytest.raises(VenueError, match=r"no answer within 0\.05 s"):
        asyncio.run(Leaving(desk.runner, desk.venue).leave())
    assert not desk.runner.left


def test_what_we_held_back_is_no_refusal_of_the_venue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A request that our own pace kept is counted as held back, told once in a second, and nobody asks about it."""
    desk = opened(tmp_path)
    desk.runner.bridge.doubts.clear()
    kept = Refused(
        client_id=seen(desk).client_id,
        request="amend",
        reason="rate_limited",
        code=0,
        message="10 calls in the last second",
        ts_venue=desk.clock.peek(),
    )
    desk.runner.on_facts([kept, kept, kept], desk.clock())
    assert (desk.runner.counters["held back"], desk.runner.counters["amend refused"]) == (3, 0)
    assert len(desk.told("held back")) == 1
    assert desk.runner.bridge.doubts == {}


def test_a_symbol_that_is_halted_in_the_middle_takes_the_quotes_out_until_it_trades_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Row 32: by the venue's listing. Cancels leave, nothing new does, and the quotes come back by themselves."""
    desk = opened(tmp_path)
    sent = listening(desk, monkeypatch)
    trading, halted = TERMS, msgspec.structs.replace(TERMS, tradable=False)
    desk.runner.on_facts([TermsChanged(before=trading, after=halted)], desk.clock.peek())
    assert [type(request) for request in sent] == [CancelOrder, CancelOrder]
    settle(desk)
    desk.book("100.1", "100.3")
    assert not [request for request in sent if isinstance(request, PlaceOrder)]
    assert "not traded now" in desk.runner.pauses["halted linear BTCUSDT"]
    desk.runner.on_facts([TermsChanged(before=halted, after=trading)], desk.clock.peek())
    desk.book("100.0", "100.2")
    assert [request for request in sent if isinstance(request, PlaceOrder)]
    assert desk.runner.failure is None


def test_rules_that_change_under_the_run_end_it_where_its_prices_lie_on_them(tmp_path: Path):
    """Row 30: another tick or lot ends the run, which says what they were and are; another minimum is told."""
    desk = opened(tmp_path)
    larger = msgspec.structs.replace(TERMS, min_qty="0.002")
    desk.runner.on_facts([TermsChanged(before=TERMS, after=larger)], desk.clock.peek())
    assert (desk.runner.failure, len(desk.told("stray"))) == (None, 1)
    coarser = msgspec.structs.replace(larger, tick="0.5")
    desk.runner.on_facts([TermsChanged(before=larger, after=coarser)], desk.clock.peek())
    assert "tick and lot were ('0.1', '0.001'), are ('0.5', '0.001')" in str(desk.runner.failure)
    assert desk.runner.ended.is_set()


class NotedDisk:
    """A journal that notes when it is synced."""

    def __init__(self, journal: Any, noted: list[str]) -> None:
        self._journal, self._noted = journal, noted

    def sync(self) -> None:
        """Note it."""
        self._noted.append("sync")
        self._journal.sync()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


def test_a_cancel_waits_for_no_disk_and_a_place_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Cancels leave, then the disk is synced once for all of them; a place leaves after its sync."""
    desk = opened(tmp_path, sync=True)
    noted: list[str] = []
    send = desk.venue.send
    names = {CancelOrder: "cancel", PlaceOrder: "place"}
    monkeypatch.setattr(
        desk.venue, "send", lambda requests: (noted.extend(names[type(one)] for one in requests), send(requests))
    )
    monkeypatch.setattr(desk.runner, "journal", NotedDisk(desk.journal, noted))

    async def moved() -> None:
        desk.strategy.bid = desk.strategy.ask = None
        desk.book()
        assert noted == ["cancel", "cancel"]
        await asyncio.sleep(0)
        assert noted == ["cancel", "cancel", "sync"]  # once for both, when they have left

    asyncio.run(moved())
    settle(desk)
    noted.clear()
    desk.strategy.bid = 990
    desk.book()
    assert noted == ["sync", "place"]


def test_an_order_that_was_filled_waits_for_no_amend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An amend to more lots had no answer, and the venue says that the order is filled: nothing of it is open."""
    desk = opened(tmp_path, amend=True)
    sent: list[Any] = []
    monkeypatch.setattr(desk.venue, "send", sent.extend)  # from now on the venue hears nothing
    desk.strategy.bid, desk.strategy.ask, desk.strategy.lots = 999, 1_003, 20
    desk.book()
    amended = [request for request in sent if isinstance(request, AmendOrder)]
    assert amended
    silence = [Unanswered(client_id=one.client_id, request="amend", why="no answer") for one in amended]
    desk.runner.on_facts(silence, desk.clock())
    desk.runner.on_facts([seen(desk, status="filled", cum="0.01", qty="0.01")], desk.clock())
    lives = {row[0]: row[7] for row in desk.core.order_rows(0)}
    assert lives[1] == "canceled"  # it counts for what is not booked yet, and for nothing that could still trade


def test_while_paused_the_market_is_heard_and_nobody_is_asked(tmp_path: Path):
    """What is held is worth what the market says now, not what it said when the quotes left."""
    strategy = Quoter()
    desk = Desk(tmp_path, strategy)

    async def trade() -> None:
        await desk.open()
        desk.book()
        asked = strategy.asked
        desk.runner.pause("test", "a reason")
        desk.book("101.0", "101.2")
        books = desk.core.books(0, 0)
        assert (books["bid"], books["ask"], strategy.asked) == (1_010, 1_012, asked)
        desk.runner.resume("test")
        desk.book("102.0", "102.2")
        assert strategy.asked > asked

    asyncio.run(trade())
