"""The loop of a run: hear, decide, write down, send.

    frame ─▶ tape ─▶ engine.step ─▶ journal ─▶ socket          all in one turn of the loop, nothing awaited
    fact  ─▶ engine          ─▶ journal ─▶ socket
    timer ─▶ engine.step     ─▶ journal ─▶ socket

The loop quotes only while it can see and be heard: a lost book, a silent link or an order that the venue will not speak
of takes the quotes out first (`pauses`), and they come back when the reason is gone and the books agree. It never
assumes an answer: what is unanswered stays exposure in the engine, and `_chase` asks the venue about it until it says.
The end of a run is the same whatever ended it: no new orders, cancels, asking until the venue knows no order of ours.
A venue that is gone itself (`lose`) has no order of ours and is not asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import structs

from mmbot.execution.backoff import ORDER_CALLS, READS, UNKNOWN_ORDERS
from mmbot.execution.reconcile import Remedy
from mmbot.risk.levels import FreezeLevel
from mmbot.risk.override import Reconciled
from mmbot.runtime.bridge import Bridge
from mmbot.runtime.cancelling import Cancelling
from mmbot.runtime.latency import Latencies
from mmbot.runtime.obedience import Obedience
from mmbot.runtime.reconciling import Reconciler, clean_account
from mmbot.runtime.status import FillShown
from mmbot.runtime.worth import value
from mmbot.venues.port import (
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    LinkEvent,
    PlaceOrder,
    Refused,
    TermsChanged,
    Unanswered,
    VenueError,
)
from mmbot.venues.records import BookLost, BookUpdate, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from mmbot import _core
    from mmbot.execution.client_ids import ClientIds
    from mmbot.execution.reconcile import ReconReport
    from mmbot.risk.levels import FreezeAsked
    from mmbot.runtime.bridge import Doubt, Listed
    from mmbot.runtime.clock import RunClock
    from mmbot.runtime.freezing import Freezing
    from mmbot.runtime.market import RunMarket
    from mmbot.runtime.risk import RiskDesk
    from mmbot.strategy import Strategy, View
    from mmbot.venues.port import Fact, Heard, InstrumentTerms, OrderEntry, OrderRequest, OrderSeen, PublicFeed

__all__ = ["RunFailedError", "Runner"]

Answer = TypeVar("Answer")

CHASE_S = 0.25
"""How often to look whether it is time to ask the venue about an order in doubt."""
CONFIRM_NS = 2_000_000_000
"""An order that was taken in and not shown for so long is in doubt."""
BOOK_S = 20.0
"""How long a start waits for the first whole book of every instrument."""
ARRIVES_NS = 5_000_000_000
"""After this long no create can arrive: the venue's window of 2 s for a request's age, our clock's error, and the time
in which the venue shows what it took in."""
RING_NS = 2_000_000_000
"""A timer that is later than this is not made up for."""
HELD_BACK_NS = 1_000_000_000
"""That requests were held back is told so often, not each time."""
FILLS_KEPT = 50
NEVER = 2**63
KINDS: dict[type, str] = {PlaceOrder: "place", AmendOrder: "amend", CancelOrder: "cancel"}
VENUE_TIME_NS = 1_000_000
"""Step of the venue's times."""


class RunFailedError(Exception):
    """The run ended by itself. The message says why; orders were cancelled as at any end."""


class Runner:
    """One strategy on one account: listens to the market and to the account, and speaks for the strategy.

    sync: False leaves the journal to the system's own time; the orders then leave before it is on the disk.
    """

    def __init__(
        self,
        *,
        core: _core.Live,
        journal: _core.Journal,
        market: RunMarket,
        listed: Sequence[Listed],
        ids: ClientIds,
        clock: RunClock,
        strategy: Strategy,
        windows: Sequence[View],
        sync: bool,
        reconcile_s: float,
        settle_s: float,
        told: Callable[[dict[str, object]], None],
        freezing: Freezing | None = None,
    ) -> None:
        self.freezing = freezing
        self.core, self.journal, self.market, self.listed = core, journal, market, listed
        self.clock, self.latencies = clock, Latencies()
        self.links: dict[str, str] = {}
        self.heard_at = 0
        """When the venue last said something of our account, whatever it was; ns."""
        self.fills: deque[FillShown] = deque(maxlen=FILLS_KEPT)
        self.counters: Counter[str] = Counter()
        self.captured = [0.0] * len(listed)
        """For each instrument, what the fills earned against the mid they met, before fees; settlement currency."""
        self.left = False
        """The venue has no order of ours, and said so."""
        self.pauses: dict[str, str] = {"start": "waiting for the first book"}
        self.stopping = False
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()
        """Set when the run has to end: somebody asked, or it failed."""
        self.bridge = Bridge(
            core,
            listed,
            ids,
            answered=self._answered,
            booked=self._show_fill,
            stray=self._stray,
            risen=self._risen,
        )
        self.risk: RiskDesk | None = None
        """The controls above the core's own; none: the core's own alone."""
        self._decide, self._windows = strategy.decide, windows
        self._sync, self._settle_s = sync, settle_s
        self._told = told
        self._held_back = 0
        self._feed: PublicFeed | None = None
        self._orders: OrderEntry | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._due: int | None = None
        self._framed = 0
        self._began = NEVER
        self.reconciled: Reconciled | None = None
        """What the last comparison with the venue found."""
        self._flat = asyncio.Event()
        self._gone = asyncio.Event()
        self._reconciler = Reconciler(self.bridge, core, listed, every_s=reconcile_s)

    # ---- what the market says (PublicSink)

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Note when a frame came: the start of what is measured."""
        self._framed = time.perf_counter_ns()

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Put what the market said on the tape, and let the strategy look."""
        decoded = time.perf_counter_ns()
        if records and not isinstance(records[0], BookLost):  # which also comes without a frame, when a link goes
            self.latencies.add("decode", decoded - self._framed)
        try:
            self._ring(ts_recv - 1)  # what is decided at a time has heard everything of that time
            for record in records:
                self._record(category, record, ts_recv)
            self.clock.at_least(self.market.last_recv)
            self._watch()
            self._step(self.clock(), decoded)
        except Exception as error:  # noqa: BLE001  the feed's loop must live on to hear the cancels through
            self.fail(error)

    def _record(self, category: str, record: Heard, ts_recv: int) -> None:
        if isinstance(record, Skipped):
            return
        why = self.market.take(category, record, ts_recv)
        if why:
            self.counters["unusable"] += 1
        match record:
            case BookUpdate() if why:
                self.pause(f"book {category} {record.symbol}", f"a message that cannot be used: {why}")
                if record.kind == "delta" and self._feed is not None:  # another snapshot would be off the same grid
                    self._feed.resync(category, record.symbol, why)
            case BookUpdate(kind="snapshot"):
                self.resume(f"book {category} {record.symbol}")
                if self.market.complete:
                    self.resume("start")
            case BookLost():
                self.counters["books lost"] += 1
                self.pause(f"book {category} {record.symbol}", "book lost, waiting for a whole one")

    # ---- what the venue says of us (OrderSink)

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Let the engine hear, and the strategy look."""
        try:
            self._ring(self.clock.peek())
            if not all(_is_our_own(fact) for fact in facts):
                self.heard_at = self.clock.peek()
            self._hear(facts)
            self._watch()
            if self.freezing is not None and self.freezing.cancelling is not None:
                self.freezing.cancelling.heard(facts)
            self._step(self.clock())
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    def _hear(self, facts: Sequence[Fact]) -> None:
        facts = [fact for fact in facts if not self._is_history(fact)]
        self.bridge.hear(facts, self.clock)
        if self.risk is not None:
            self.risk.hear(facts, self.clock.peek())
        for fact in facts:
            if isinstance(fact, Refused):
                self._show_refusal(fact)
        if not self.bridge.open():
            self._flat.set()

    def _show_refusal(self, fact: Refused) -> None:
        """Keep the venue's own words, of which the engine hears the reason alone.

        What we held back ourselves is counted, and told once in a second: a fast strategy does it many times.
        """
        if fact.held_back:
            self.counters["held back"] += 1
            now = self.clock.peek()
            if now - self._held_back >= HELD_BACK_NS:
                self._held_back = now
                self._told({"event": "held back", "why": fact.message, "times": self.counters["held back"]})
            return
        self.counters[f"{fact.request} refused"] += 1
        words = {"request": fact.request, "reason": fact.reason, "code": fact.code, "message": fact.message}
        self._note("refused", {"client_id": fact.client_id, **words})
        self._told({"event": "refused", "correlation_id": fact.client_id, **words})

    def _is_history(self, fact: Fact) -> bool:
        """Tell executions from before the run: the position that it began with, which is none, holds them.

        An execution of an order of this run is none of them, whatever the venue's clock says.
        """
        if not isinstance(fact, ExecutionSeen) or fact.ts_venue >= self._began or self.bridge.knows(fact):
            return False
        self.counters["before the run"] += 1
        return True

    def _show_fill(self, fact: ExecutionSeen) -> None:
        """Show what was booked, once."""
        fill = FillShown(
            ts_venue=fact.ts_venue,
            symbol=fact.symbol,
            side=fact.side,
            price=fact.price,
            qty=fact.qty,
            maker=fact.maker,
            fee=fact.fee,
            fee_currency=fact.fee_currency,
        )
        self.fills.append(fill)
        self._capture(fact)
        if self.risk is not None:
            self.risk.filled(fact, self.clock.peek())
        words = {"correlation_id": fact.client_id, "execution_id": fact.execution_id, **_plain(fill)}
        self._told({"event": "fill", **words})

    def _capture(self, fact: ExecutionSeen) -> None:
        for index, each in enumerate(self.listed):
            books = self.core.books(0, index)
            if (each.category, each.symbol) == (fact.category, fact.symbol) and None not in (
                books["bid"],
                books["ask"],
            ):
                lots = each.instrument.lots(fact.qty) * (1 if fact.side == "buy" else -1)
                mid = (books["bid"] + books["ask"]) / 2 * each.instrument.tick_size
                self.captured[index] += value(each.instrument, lots, mid) - value(
                    each.instrument, lots, float(fact.price)
                )

    def on_link(self, event: LinkEvent) -> None:
        """Quote only while every link is up."""
        name = f"{event.link} {event.conn}".strip()
        self.links[name] = event.state
        if self.left or self._gone.is_set():
            return  # closed by ourselves, after everything was said, or told already
        self._told({"event": "link", "link": name, "state": event.state, "why": event.why})
        self._note("link", {"link": name, "state": event.state, "why": event.why})
        try:
            if event.state == "up":
                self.resume(name)
                if event.link != "public" and self._orders is not None:
                    self._reconciler.hurry()
            else:
                self.counters["links lost"] += 1
                self.pause(name, f"{name} {event.state}: {event.why}")
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    def _note(self, topic: str, words: dict[str, object]) -> None:
        if self.journal.dead is None:
            self.journal.note(self.clock(), topic, json.dumps(words))

    # ---- pausing

    def pause(self, name: str, why: str) -> None:
        """Take the quotes out and leave them out until `name` is well again."""
        if self.stopping:
            return
        fresh = not self.pauses
        self.pauses[name] = why
        if fresh:
            self._told({"event": "paused", "why": why})
            for number in self.bridge.open():
                self._send(self.core.cancel(self.clock(), number))

    def resume(self, name: str) -> None:
        """One reason less; quote again after the last."""
        if self.pauses.pop(name, None) is not None and not self.pauses:
            self._told({"event": "quoting"})
            self._arm()

    def _watch(self) -> None:
        """Let the controls look. Where they forbid what is new, the quotes leave and stay out."""
        if self.risk is not None and not self.stopping:
            level = self.risk.tick(self.clock)
            if level >= FreezeLevel.NO_NEW:
                self.pause("risk", f"controls ask for {level.name}: {self.risk.why}")

    # ---- deciding and sending

    def _step(self, now: int, decoded: int | None = None) -> None:
        if self.pauses or self.stopping or self.failure is not None:
            return
        before = time.perf_counter_ns() if decoded is None else decoded
        commands = self.core.step(now, self._decide, self._windows)
        if commands:
            self.latencies.add("decide", time.perf_counter_ns() - before)
            sent = self._send(commands)
            if decoded is not None:
                self.latencies.add("wire_to_wire", sent - self._framed)
        self._arm()

    def _send(self, commands: Sequence[tuple[Any, ...]]) -> int:
        """Write down, then send; returns when the bytes were handed to the socket."""
        if not commands or self._orders is None:
            return time.perf_counter_ns()
        requests = self.bridge.requests(commands, self.clock.peek())
        worded = time.perf_counter_ns()
        try:
            if self._sync:
                self.journal.sync()
            else:
                self.journal.flush()
        except OSError as error:  # nothing new leaves that is not written down; a cancel leaves all the same
            self.fail(error)
            requests = [request for request in requests if isinstance(request, CancelOrder)]
        written = time.perf_counter_ns()
        self._orders.send(requests)
        sent = time.perf_counter_ns()
        self.latencies.add("journal", written - worded)
        self.latencies.add("send", sent - written)
        self.counters["requests"] += len(requests)
        for request in requests:
            self._told(_asked(request))
        return sent

    def _ring(self, until: int) -> None:
        """Ask the strategy at every time that its timer was due by then, with what had been heard by that time.

        A busy loop comes to a timer late; what came in the meantime is not let in before it. So a backtest of the tape
        asks at the same times and shows the same market, and the delay is part of the way to the venue.
        """
        while not (self.pauses or self.stopping or self.failure):
            due = self.core.next_timer()
            if due is None or due > until:
                return
            if due < until - RING_NS:
                due = until  # so late that what was to be decided then is of no use now
            due = max(due, self.core.now + 1)
            if due > until:
                return
            self._step(due)
            self.clock.at_least(self.core.now)

    def _arm(self) -> None:
        """Set the alarm for the strategy's next timer. None while paused: one that is due would ring for ever."""
        due = None if self.pauses or self.stopping else self.core.next_timer()
        if due == self._due:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._due = due
        if due is not None:
            delay = max(due - self.clock.peek(), 0) / 1e9
            self._alarm = asyncio.get_running_loop().call_later(delay, self._rang)

    def _rang(self) -> None:
        try:
            self._due = None
            self._ring(self.clock())
            self._arm()
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    # ---- freezing

    def freeze(self, asked: FreezeAsked) -> None:
        """Take a freeze of a control, the guardian or a person: nothing new leaves from here on."""
        if self.freezing is not None:
            self.freezing.ask(asked)
        else:  # a run without a board has one way to obey
            self.pause("freeze", f"{asked.level.name} by {asked.control}: {asked.reason}")

    def frozen(self, request: OrderRequest) -> str:
        """Say why a request may not leave now, "" where it may: for the gate."""
        return "" if self.freezing is None else self.freezing.blocks(request, Obedience(self))

    def pull(self, index: int) -> None:
        """Cancel what is open of one instrument."""
        for order in self.core.orders(index):
            self._send(self.core.cancel(self.clock(), order[0]))

    def pull_all(self) -> None:
        """Cancel what is open."""
        for index in range(len(self.listed)):
            self.pull(index)

    def _obeying(self, orders: OrderEntry) -> list[asyncio.Task[None]]:
        freezing = self.freezing
        if freezing is None:
            return []
        markets = [(each.category, each.symbol) for each in self.listed]
        freezing.cancelling = Cancelling(orders, markets, self.clock.peek, told=self._cancelled_told)
        obedience = Obedience(self)
        return [asyncio.create_task(self._guarded(lambda: freezing.watch(obedience)))]

    def _cancelled_told(self, event: dict[str, object]) -> None:
        self._told(event)
        self._note("cancel-all", event)

    # ---- trouble

    def fail(self, error: BaseException) -> None:
        """End the run because of an error: of the strategy, the journal, the engine or the venue."""
        if self.failure is None:
            self.failure = error
            self.ended.set()

    def lose(self, error: VenueError) -> None:
        """End the run because the venue itself is gone: nothing is left there, and there is nobody to ask."""
        self._gone.set()
        self.fail(error)

    def _answered(self, request: Doubt, ns: int) -> None:
        self.latencies.add("answer", ns)

    def _stray(self, fact: Fact, why: str) -> None:
        self.counters["stray facts"] += 1
        self._note("stray", {"why": why, "fact": repr(fact)})
        name = "" if isinstance(fact, TermsChanged) else getattr(fact, "client_id", "")
        self._told({"event": "stray", "why": why, "correlation_id": name, "fact": repr(fact)})
        if isinstance(fact, ExecutionSeen):
            self.pause("stray execution", f"{fact.symbol}: {why}; reconcile by hand, then start again")
        if isinstance(fact, TermsChanged) and _grid(fact.before) != _grid(fact.after):
            self.fail(
                VenueError(f"{why}: tick and lot were {_grid(fact.before)}, are {_grid(fact.after)}; start again")
            )

    def _risen(self, number: int, fact: Fact) -> None:
        """An order that the venue refused, and that rests or trades there all the same: take it out, call a person."""
        self._stray(fact, "the venue had refused this order, and has it")
        self.pause("risen order", f"order {number} was refused and is there; reconcile by hand, then start again")
        self._session().send([self.bridge.cancel(number)])

    # ---- the whole of a run

    async def run(self, feed: PublicFeed, orders: OrderEntry) -> None:
        """Trade on a session that was started, until `ended`, and leave the venue without an order of ours.

        Raises VenueError where the account is not fit to begin with or orders of ours stay there, RunFailedError from
        what made the run end by itself.
        """
        self._feed, self._orders = feed, orders
        for remark in await clean_account(orders, self.listed):
            self._told({"event": "cleaned", "what": remark})
        self._began = self.clock.peek() // VENUE_TIME_NS * VENUE_TIME_NS
        self._reconciler.begin(self._began)
        alarm = asyncio.get_running_loop().call_later(BOOK_S, self._check_started)
        tasks = [asyncio.create_task(self._guarded(each)) for each in (self._chase, self._compare)]
        tasks += self._obeying(orders)
        try:
            await feed.start()
            await self.ended.wait()
        finally:
            alarm.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await self._leave_if_there(orders)
            finally:
                await feed.stop()
        if self.failure is not None:
            raise RunFailedError(f"{type(self.failure).__name__}: {self.failure}") from self.failure

    def _check_started(self) -> None:
        if "start" in self.pauses:
            missing = ", ".join(self.market.missing())
            self.fail(VenueError(f"no whole book of {missing} within {BOOK_S:g} s; is it traded there now?"))

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """End the run if one of its tasks does: nobody would ask for what is in doubt any more."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001  whatever it was, the orders have to leave
            self.fail(error)

    async def _chase(self) -> None:
        """Ask the venue about orders in doubt, and cancel again what should be gone, until nothing is in doubt."""
        asked: dict[int, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(CHASE_S)
            for number in self.bridge.unconfirmed(self.clock.peek() - CONFIRM_NS):
                self.bridge.doubts.setdefault(number, "place")
            now = self.clock.peek()
            self.bridge.settle_doubts()
            for number, doubt in list(self.bridge.doubts.items()):
                times, due = asked.get(number, (0, now))
                if due <= now:
                    asked[number] = (times + 1, UNKNOWN_ORDERS.next_ns("read", times + 1, now) or now)
                    await self._ask(number, doubt)
            asked = {number: one for number, one in asked.items() if number in self.bridge.doubts}
            self._expose_doubts()

    async def _ask(self, number: int, doubt: Doubt) -> None:
        orders = self._session()
        try:
            seen = (await orders.find(*self.bridge.place_of(number))).order
        except VenueError as error:
            self._told({"event": "unanswered", "order": number, "why": str(error)})
            return
        self.heard_at = self.clock.peek()  # that it does not find the order is an answer too
        if seen is not None:
            self.on_facts([seen], self.clock())
            if doubt == "cancel" and seen.status in ("live", "partial"):
                orders.send([self.bridge.cancel(number)])

    def _expose_doubts(self) -> None:
        """Say how many orders nobody knows about; new quotes go on beside them, inside the limits that count them."""
        self.counters["in doubt"] = len(self.bridge.doubts)

    async def _compare(self) -> None:
        """Compare with the venue, at its time and after each lost link."""
        failures = 0
        while True:
            await self._reconciler.wait()
            try:
                pulled = await self._reconciler.pull(self._session())
            except VenueError as error:
                failures += 1
                now = self.clock.peek()
                again = READS.next_ns("read", failures, now)
                if again is not None:
                    asyncio.get_running_loop().call_later((again - now) / 1e9, self._reconciler.hurry)
                self._told({"event": "reconcile", "error": str(error)})
                continue
            failures = 0
            self.on_facts(pulled.facts, self.clock())
            report = self._reconciler.compare(pulled, self.clock.peek())
            self.counters["breaks"] += len(report.breaks)
            self._note("reconcile", asdict(report))
            self._told(
                {"event": "reconcile", "compared": report.compared, "breaks": [one.said for one in report.breaks]}
            )
            self._judge(report)

    def _judge(self, report: ReconReport) -> None:
        """Ask about orders that the venue sees otherwise, which stay exposure; any other break takes the quotes out."""
        serious = []
        for one in report.breaks:
            if one.kind.remedy is Remedy.RESOLVE:
                self.bridge.doubt(one.name)
                continue
            serious.append(one.said)
            if one.kind.remedy is Remedy.ADOPT_AND_CANCEL:
                category, _, symbol = one.symbol.partition(" ")
                self._session().send([CancelOrder(client_id=one.name, category=category, symbol=symbol)])
        found = "; ".join(one.said for one in report.breaks) or f"{report.compared} compared"
        self.reconciled = Reconciled(not report.breaks, self.clock.peek(), found)
        if serious:
            self.pause("reconcile", "; ".join(serious))
        else:
            self.resume("reconcile")

    def compare_soon(self) -> None:
        """Compare with the venue now, not at the next time."""
        self._reconciler.hurry()

    def _session(self) -> OrderEntry:
        if self._orders is None:
            raise VenueError("the order session has not been started")
        return self._orders

    async def _leave_if_there(self, orders: OrderEntry) -> None:
        """Leave in order, unless the venue is gone or goes meanwhile."""
        self.stopping = True
        self.pauses.clear()
        gone = asyncio.create_task(self._gone.wait())
        leaving = None if self._gone.is_set() else asyncio.create_task(self._leave(orders))
        try:
            await asyncio.wait({gone} if leaving is None else {gone, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.is_set():
                self._told({"event": "stopping", "why": "the venue is gone, and every order with it"})
            elif leaving is not None:
                leaving.result()
        finally:
            await _cancelled(gone, leaving)

    async def _leave(self, orders: OrderEntry) -> None:
        """No new orders; cancel; ask until the venue knows none of ours; hear the last fills."""
        self._told({"event": "stopping"})
        if self._alarm is not None:
            self._alarm.cancel()
        try:
            self._flat.clear()
            self._send(self.core.halt(self.clock()))
            if self.bridge.open():
                await asyncio.wait_for(self._flat.wait(), self._settle_s / 2)
        except TimeoutError:
            self._told({"event": "stopping", "why": "some cancels are unanswered; cancelling all at the venue"})
        except Exception as error:  # noqa: BLE001  the venue's own cancel-all needs neither engine nor journal
            self.fail(error)
        await self._cancel_everywhere(orders)
        if await self._outlive_unanswered():
            await self._cancel_everywhere(orders)
        troubles = [trouble for each in self.listed if (trouble := await self._last_word(orders, each))]
        if troubles:
            raise VenueError("; ".join(troubles))
        self.left = True

    async def _cancel_everywhere(self, orders: OrderEntry) -> None:
        """Cancel all of every instrument; trouble with one keeps none of the others from being cancelled."""
        for each in self.listed:
            try:
                await self._in_time(self._cancel_all(orders, each))
            except VenueError as error:  # what is left is asked for below, and ends the run with an error
                self._told({"event": "stopping", "why": f"{each.symbol}: {error}"})

    async def _outlive_unanswered(self) -> bool:
        """Wait until no create without an answer can reach the venue any more; False if there is none.

        A request is refused by the venue once it is older than its window, so zero open orders mean something only
        after that.
        """
        last = self.bridge.last_unanswered_place()
        if last is None:
            return False
        wait_s = max(0.0, (last + ARRIVES_NS - self.clock.peek()) / 1e9)
        self._told({"event": "stopping", "why": f"a create had no answer; asking again in {wait_s:.1f} s"})
        await asyncio.sleep(wait_s)
        return True

    async def _last_word(self, orders: OrderEntry, each: Listed) -> str:
        """Hear the last facts of one instrument. Returns "" or, where orders of ours may be left, what to do."""
        try:
            left, facts = await self._in_time(self._facts_at_the_end(orders, each))
        except VenueError as error:
            return f"{each.symbol}: the venue did not say whether orders of ours are left ({error}); look there"
        try:
            self._hear(facts)
        except Exception as error:  # noqa: BLE001  a dead journal takes no fact; the question comes all the same
            self.fail(error)
        ours = [one.client_id for one in left if self.bridge.is_ours(one.client_id)]
        self._told({"event": "left", "symbol": each.symbol, "open_orders": len(ours)})
        if not ours:
            return ""
        return f"{each.symbol}: the venue still has {len(ours)} orders of ours: {ours[:5]}; cancel them there"

    async def _in_time(self, step: Coroutine[None, None, Answer]) -> Answer:
        """Await a step of the end no longer than `settle_s`. Raises VenueError where the venue was silent."""
        try:
            async with asyncio.timeout(self._settle_s):
                return await step
        except TimeoutError:
            raise VenueError(f"no answer within {self._settle_s:g} s") from None

    async def _facts_at_the_end(self, orders: OrderEntry, each: Listed) -> tuple[list[OrderSeen], list[Fact]]:
        left = await orders.open_orders(each.category, each.symbol)
        facts: list[Fact] = [*await orders.executions(each.category, each.symbol, self._reconciler.since)]
        for number in self.bridge.open():
            if self.bridge.place_of(number)[:2] == (each.category, each.symbol):
                found = (await orders.find(*self.bridge.place_of(number))).order
                facts += [found] if found is not None else []
        facts.append(await orders.position(each.category, each.symbol))
        return left, facts

    async def _cancel_all(self, orders: OrderEntry, each: Listed) -> None:
        """Cancel at the venue, again after 4, 8 and 16 s where it fails, as long as the end may take."""
        failures, until = 0, self.clock.peek() + round(self._settle_s * 1e9)
        while True:
            try:
                await orders.cancel_all(each.category, each.symbol)
                return
            except VenueError as error:
                failures += 1
                now = self.clock.peek()
                again = ORDER_CALLS.next_ns("cancel_all", failures, now)
                if again is None or again > until:
                    raise
                self._told(
                    {"event": "stopping", "why": f"cancel-all failed, again in {(again - now) / 1e9:g} s: {error}"}
                )
                await asyncio.sleep((again - now) / 1e9)


async def _cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks whose results nobody needs any more."""
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _asked(request: OrderRequest) -> dict[str, object]:
    """What was asked for, under the name that follows the order through everything that is told of it."""
    words = structs.asdict(request)
    kind = KINDS[type(request)]
    return {"event": "request", "request": kind, "correlation_id": words.pop("client_id"), **words}


def _is_our_own(fact: Fact) -> bool:
    """Tell what we say ourselves, because nobody answered or nothing left, from what the venue said."""
    return isinstance(fact, Unanswered) or (isinstance(fact, Refused) and fact.code == 0)


def _grid(terms: InstrumentTerms) -> tuple[str, str]:
    return terms.tick, terms.lot


def _plain(fill: FillShown) -> dict[str, object]:
    return {name: getattr(fill, name) for name in FillShown.__dataclass_fields__}
