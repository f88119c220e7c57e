"""A run obeys the freeze board: nothing new passes the gate, and what has to leave leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mmbot.execution.cancel_all import Target
from mmbot.risk import FIRM, FreezeAsked, FreezeBoard, FreezeLevel, Scope
from mmbot.runtime.freezing import Freezing
from mmbot.runtime.gate import OrderGate
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import AmendOrder, CancelOrder, Fact, InstrumentTerms, LinkEvent, PlaceOrder, Refused

BTC, ETH = ("linear", "BTCUSDT"), ("linear", "ETHUSDT")


def _order(symbol: str = "BTCUSDT", name: str = "mm-1", **more: Any) -> PlaceOrder:
    return PlaceOrder(client_id=name, category="linear", symbol=symbol, side="buy", price="99.0", qty="0.001", **more)


def _terms(symbol: str) -> InstrumentTerms:
    return InstrumentTerms(
        category="linear",
        symbol=symbol,
        kind="linear",
        tradable=True,
        base=symbol[:3],
        quote="USDT",
        settle="USDT",
        tick="0.1",
        lot="0.001",
        min_qty="0.001",
        max_qty=None,
        min_notional=None,
        funding_interval_s=None,
    )


class Run:
    """Remembers what it was told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self.reduces = False
        self.open: dict[str, list[str]] = {}

    def hold(self, why: str) -> None:
        """Note it."""
        self.done.append("hold")

    def go_on(self) -> None:
        """Note it."""
        self.done.append("go on")

    def pull(self, category: str, symbol: str) -> None:
        """Note it."""
        self.done.append(f"pull {symbol}")

    def believed(self, category: str, symbol: str) -> list[Any]:
        """What the test says."""
        return [Target(category, symbol, name) for name in self.open.get(symbol, [])]

    def late_until(self, markets: Sequence[tuple[str, str]]) -> int:
        """Everything is answered."""
        return 0

    def mark_canceled(self, order: str, *, trigger: str) -> None:
        """Note it."""
        self.marked.append((order, trigger))

    def shrinks(self, request: PlaceOrder | AmendOrder) -> bool:
        """As the test says."""
        return self.reduces

    def flatten(self, category: str, symbol: str) -> None:
        """Note it, once."""
        if f"flatten {symbol}" not in self.done:
            self.done.append(f"flatten {symbol}")

    def killed(self, why: str) -> None:
        """Note it."""
        self.done.append("killed")


class Stage:
    """A board, a run that obeys it, and a gate to a venue in memory. Is also the sink of the venue."""

    def __init__(self) -> None:
        self.now = 0
        self.board, self.run, self.facts, self.told = FreezeBoard(), Run(), list[Fact](), list[dict[str, Any]]()
        self.freezing = Freezing(
            self.board, strategy="maker", account="7", markets=[BTC, ETH], clock=self.clock, told=self.told.append
        )
        self.gate = OrderGate(self, self.clock)
        self.venue = FakeVenue([_terms("BTCUSDT"), _terms("ETHUSDT")], self.gate, self.clock)
        self.gate.attach(self.venue)
        self.gate.frozen = lambda request: self.freezing.blocks(request, self.run)
        self.freezing.cancelling = Cancelling(self.gate, [BTC, ETH], self.clock, told=self.told.append)

    def clock(self) -> int:
        """The loop's time, so that waits and looks agree."""
        return round(asyncio.get_running_loop().time() * 1e9)

    def on_facts(self, facts: Any, ts_recv: int) -> None:
        """Keep them."""
        self.facts.extend(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Not looked at."""

    def ask(self, level: FreezeLevel, scope: Scope = FIRM) -> None:
        """Freeze."""
        self.freezing.ask(FreezeAsked(level, scope, "drift", "3 ≠ 4", self.clock()))

    async def until(self, found: Any) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(10):
            while not found():
                await asyncio.sleep(0)


def _play(scenario: Any) -> None:
    async def whole() -> None:
        stage = Stage()
        await stage.venue.start()
        for symbol in ("BTCUSDT", "ETHUSDT"):
            stage.venue.touch(symbol, "100.0", "100.2")
        watch = asyncio.create_task(stage.freezing.watch(stage.run))
        await scenario(stage)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(whole())


@pytest.mark.parametrize("level", list(FreezeLevel)[1:])
def test_nothing_new_passes_from_the_moment_of_asking(level: FreezeLevel) -> None:
    """Places and amends are refused as held back, in the same turn; a cancel passes."""

    async def scenario(stage: Stage) -> None:
        stage.gate.send([_order(name="before")])
        stage.ask(level)
        stage.gate.send(
            [
                _order(name="after"),
                AmendOrder(client_id="before", category="linear", symbol="BTCUSDT", price="98.0"),
                CancelOrder(client_id="before", category="linear", symbol="BTCUSDT"),
            ]
        )
        assert await stage.venue.open_orders(*BTC) == []
        await stage.until(lambda: len(stage.facts) >= 2)
        refused = [one for one in stage.facts if isinstance(one, Refused)]
        assert [(one.client_id, one.reason, one.held_back) for one in refused] == [
            ("after", "frozen", True),
            ("before", "frozen", True),
        ]
        assert level.name in refused[0].message

    _play(scenario)


def test_reduce_only_lets_pass_what_shrinks_the_position() -> None:
    """What the run says to shrink passes there, and at no higher level."""

    async def scenario(stage: Stage) -> None:
        stage.run.reduces = True
        stage.ask(FreezeLevel.REDUCE_ONLY)
        assert stage.freezing.blocks(_order(), stage.run) == ""
        stage.run.reduces = False
        assert stage.freezing.blocks(_order(), stage.run)
        stage.run.reduces = True
        stage.ask(FreezeLevel.NO_NEW)
        assert stage.freezing.blocks(_order(), stage.run)

    _play(scenario)


def test_a_symbol_is_stopped_alone() -> None:
    """Its quotes are pulled and its orders refused; the other instrument goes on."""

    async def scenario(stage: Stage) -> None:
        stage.ask(FreezeLevel.NO_NEW, Scope("symbol", "linear BTCUSDT"))
        await stage.until(lambda: stage.run.done)
        assert stage.run.done == ["pull BTCUSDT"]
        assert stage.freezing.blocks(_order("BTCUSDT"))
        assert stage.freezing.blocks(_order("ETHUSDT")) == ""

    _play(scenario)


def test_freeze_triggers_cancel_all() -> None:
    """Everything open leaves, also what the run does not know of, and zero is proven by asking."""

    async def scenario(stage: Stage) -> None:
        stage.gate.send([_order("BTCUSDT", "mm-1"), _order("ETHUSDT", "mm-2")])
        stage.run.open = {"BTCUSDT": ["mm-1"], "ETHUSDT": ["mm-2"]}
        stage.ask(FreezeLevel.CANCEL_ALL)
        await stage.until(lambda: stage.freezing.last_result)
        assert stage.run.done[0] == "hold"
        assert await stage.venue.open_orders(*BTC) == await stage.venue.open_orders(*ETH) == []
        done = next(one for one in stage.told if one["event"] == "cancel_all_done")
        assert (done["trigger"], done["canceled"], done["proof"]) == ("freeze CANCEL_ALL", 2, "asked")
        assert (done["failed"], done["method"]) == ([], "bulk")
        assert stage.run.marked == [("mm-1", "freeze CANCEL_ALL"), ("mm-2", "freeze CANCEL_ALL")]

    _play(scenario)


def test_cancel_all_with_exchange_failure() -> None:
    """A refused bulk cancel and an open breaker hold nothing up: the orders leave one by one."""

    async def scenario(stage: Stage) -> None:
        stage.gate.send([_order("BTCUSDT", "mm-1")])
        stage.gate.on_facts(
            [Refused(client_id="x", request="place", reason="overloaded", code=10429, message="", ts_venue=0)], 0
        )
        assert stage.gate.circuit_breaker_state == 1
        stage.venue.refuse("cancel", "other")
        stage.ask(FreezeLevel.CANCEL_ALL)
        await stage.until(lambda: stage.freezing.last_result)
        result = stage.freezing.last_result
        assert result is not None
        assert result.as_dict() == {"canceled_count": 1, "failed": [], "method": "per_order_fallback"}
        assert "bulk_cancel_failed" in [event["event"] for event in stage.told]

    _play(scenario)


def test_kill_ends_the_run_once_nothing_is_open() -> None:
    """First the venue, then the process."""

    async def scenario(stage: Stage) -> None:
        stage.gate.send([_order()])
        stage.ask(FreezeLevel.KILL)
        await stage.until(lambda: "killed" in stage.run.done)
        assert await stage.venue.open_orders(*BTC) == []
        assert stage.run.done == ["hold", "killed"]

    _play(scenario)


def test_an_error_in_the_board_lets_nothing_out() -> None:
    """Whatever breaks while the board is asked, the answer is no; cancels do not ask it."""

    async def scenario(stage: Stage) -> None:
        def broken(*_: str) -> FreezeLevel:
            raise KeyError("gone")

        stage.board.level_of = broken  # type: ignore[method-assign]
        assert "cannot be asked" in stage.freezing.blocks(_order())
        assert stage.freezing.blocks(CancelOrder(client_id="x", category="linear", symbol="BTCUSDT")) == ""
        stage.board.level_of = lambda *_: FreezeLevel.NORMAL  # type: ignore[method-assign]

    _play(scenario)


def test_flatten_begins_once_nothing_is_open() -> None:
    """At FLATTEN everything is cancelled and proven first; of orders only reduce-only ones that rest nowhere pass."""

    async def scenario(stage: Stage) -> None:
        stage.gate.send([_order()])
        stage.ask(FreezeLevel.FLATTEN)
        assert stage.run.done == []
        await stage.until(lambda: "flatten BTCUSDT" in stage.run.done)
        assert [one["event"] for one in stage.told].index("cancel_all_done") > 0
        assert stage.run.done[0] == "hold"
        way_out = {"reduce_only": True, "tif": "ioc"}
        for more, passes in (({}, False), ({"reduce_only": True}, False), ({"tif": "ioc"}, False), (way_out, True)):
            assert bool(stage.freezing.blocks(_order(**more), stage.run)) is not passes

    _play(scenario)


def test_who_was_stopped_looks_before_it_lets_an_order_out() -> None:
    """Another process froze while this one stood still: its next order is refused before its watch has looked."""

    async def whole() -> None:
        stage = Stage()
        asked = FreezeAsked(FreezeLevel.NO_NEW, FIRM, "operator", "by hand", 1)
        stage.board.refresh = lambda now: stage.board.ask(asked)  # type: ignore[method-assign]
        await stage.venue.start()
        stage.gate.send([_order()])
        assert await stage.venue.open_orders(*BTC) == []
        assert stage.told == []  # the watch tells of it, once, when it comes to look
        watch = asyncio.create_task(stage.freezing.watch(stage.run))
        await stage.until(lambda: "hold" in stage.run.done)
        assert [event["change"] for event in stage.told if event["event"] == "freeze"] == ["raised"]
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(whole())


async def _resting(stage: Stage, count: int) -> None:
    stage.gate.send([_order(name=f"mm-{n}") for n in range(count)])
    stage.venue.deliver()
    stage.run.open["BTCUSDT"] = [f"mm-{n}" for n in range(count)]


def test_force_skips_the_bulk_cancel() -> None:
    """As after a cancel-all that proved nothing: one by one, at once."""

    async def scenario(stage: Stage) -> None:
        await _resting(stage, 2)
        assert stage.freezing.cancelling is not None
        done = await stage.freezing._cancel_all_open_orders(
            "edge", "force", markets=[BTC], run=stage.run, on=stage.freezing.cancelling
        )
        assert done == {"canceled_count": 2, "failed": [], "method": "per_order_fallback"}
        assert stage.run.marked == [("mm-0", "edge"), ("mm-1", "edge")]

    _play(scenario)


def test_a_cancel_all_that_breaks_is_told_and_begun_again() -> None:
    """A journal that takes no note, for one: what was open is gone, the error is told, and zero is proven after it."""

    async def scenario(stage: Stage) -> None:
        await _resting(stage, 1)
        mark, broken = stage.run.mark_canceled, [True]

        def full(order: str, *, trigger: str) -> None:
            if broken:
                broken.clear()
                raise OSError("No space left on device")
            mark(order, trigger=trigger)

        stage.run.mark_canceled = full  # type: ignore[method-assign]
        stage.ask(FreezeLevel.CANCEL_ALL, Scope("symbol", "linear BTCUSDT"))
        await stage.until(lambda: stage.freezing.proven)
        [told] = [event for event in stage.told if event["event"] == "cancel_all_broken"]
        assert "No space left" in told["why"]

    _play(scenario)


def test_a_run_that_begins_frozen_says_why() -> None:
    """Each standing freeze is told, and the gravest is the reason that the run is held for."""

    async def scenario() -> None:
        board, run, told = FreezeBoard(), Run(), list[dict[str, Any]]()
        for level, scope, control in (
            (FreezeLevel.CANCEL_ALL, FIRM, "crash_loop"),
            (FreezeLevel.NO_NEW, Scope("symbol", "linear BTCUSDT"), "drift"),
        ):
            board.ask(FreezeAsked(level, scope, control, "it was so", 0))
        freezing = Freezing(
            board,
            strategy="maker",
            account="7",
            markets=[BTC],
            clock=lambda: 0,
            told=told.append,
            stands=board.frozen,
        )
        held = list[str]()
        run.hold = held.append  # type: ignore[method-assign]
        watch = asyncio.create_task(freezing.watch(run))
        while not held:
            await asyncio.sleep(0)
        watch.cancel()
        said = [(one["level"], one["scope"], one["control"]) for one in told if one["event"] == "frozen"]
        assert said == [("NO_NEW", "symbol linear BTCUSDT", "drift"), ("CANCEL_ALL", "firm", "crash_loop")]
        assert held == ["CANCEL_ALL of firm by crash_loop: it was so"]

    asyncio.run(scenario())
