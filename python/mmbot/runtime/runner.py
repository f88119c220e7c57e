"""The loop of a run: hear, decide, write down, send.

    frame ─▶ tape ─▶ engine.step ─▶ journal ─▶ socket          all in one turn of the loop, nothing awaited
    fact  ─▶ engine          ─▶ journal ─▶ socket
    timer ─▶ engine.step     ─▶ journal ─▶ socket

The loop quotes only while it can see and be heard: a lost book, a silent link or an order that the venue will not speak
of takes the quotes out first (`pauses`), and they come back when the reason is gone and the books agree. It never
assumes an answer: what is unanswered stays exposure in the engine, and `Chaser` asks the venue about it until it says.
A run that takes over from an earlier one (`Recovering`) quotes once its books and the venue's agree. The end of a run
(`Leaving`) is the same whatever ended it. A venue that is gone itself (`lose`) has no order of ours and is not asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from msgspec import structs

from mmbot.execution.custody import Custody
from mmbot.execution.reconcile import Depth, ReconTerms, Remedy
from mmbot.execution.recovery import Chain
from mmbot.execution.resolve import Resolver, ResolveTerms
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope
from mmbot.risk.override import Reconciled
from mmbot.runtime.bridge import Bridge
from mmbot.runtime.chasing import Chaser
from mmbot.runtime.latency import Latencies
from mmbot.runtime.leaving import Leaving
from mmbot.runtime.obedience import Obedience
from mmbot.runtime.reconciling import Reconciler, clean_account, signed_lots
from mmbot.runtime.recovering import Recovering
from mmbot.runtime.restrictions import Restrictions
from mmbot.runtime.status import FillShown
from mmbot.runtime.worth import value
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import (
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    KeyRefusedError,
    LinkEvent,
    PlaceOrder,
    Refused,
    TermsChanged,
    Unanswered,
    VenueError,
)
from mmbot.venues.records import BookLost, BookUpdate, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from mmbot import _core
    from mmbot.execution.client_ids import ClientIds
    from mmbot.execution.reconcile import Break, ReconReport
    from mmbot.execution.recovery import Estate, Owner
    from mmbot.execution.resolve import Aged
    from mmbot.risk.freeze import FreezeChange
    from mmbot.runtime.bridge import Doubt, Listed
    from mmbot.runtime.clock import RunClock
    from mmbot.runtime.flattening import Flattening
    from mmbot.runtime.freezing import Freezing
    from mmbot.runtime.market import RunMarket
    from mmbot.runtime.risk import RiskDesk
    from mmbot.strategy import Strategy, View
    from mmbot.venues.port import Fact, Heard, InstrumentTerms, OrderEntry, OrderRequest, OrderSeen, PublicFeed

__all__ = ["RunFailedError", "Runner"]

LOOK_AGAIN_S = 2.0
"""After a look at which the venue did not answer."""
BOOK_S = 20.0
"""How long a start waits for the first whole book of every instrument."""
RING_NS = 2_000_000_000
"""A timer that is later than this is not made up for."""
HELD_BACK_NS = 1_000_000_000
"""That requests were held back is told so often, not each time."""
FILLS_KEPT = 50
KINDS: dict[type, str] = {PlaceOrder: "place", AmendOrder: "amend", CancelOrder: "cancel"}
VENUE_TIME_NS = 1_000_000
"""Step of the venue's times."""


class RunFailedError(Exception):
    """The run ended by itself. The message says why; orders were cancelled as at any end."""


class Runner:
    """One strategy on one account: listens to the market and to the account, and speaks for the strategy.

    sync: False leaves the journal to the system's own time; the orders then leave before it is on the disk. account:
    its name, for who is told to freeze it. estate: what an earlier run left; the core was opened with its snapshot.
    adopt_position: the reason for which a position without a journal is taken into the books; "" refuses it.
    """

    def __init__(  # noqa: PLR0915  its parts, one after the other
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
        account: str = "",
        estate: Estate | None = None,
        adopt_position: str = "",
        recon: ReconTerms | None = None,
    ) -> None:
        self.freezing = freezing
        self._restrictions: Restrictions | None = None
        self._cancelling: Cancelling | None = None
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
        self.resolver = Resolver(ResolveTerms(), account)
        self._estate = estate
        chain = Chain.of(ids) if estate is None else estate.chain.then(estate.next_number, ids)
        self.chain = chain
        """The runs whose orders this one knows, itself the last."""
        self.bridge = Bridge(
            core,
            listed,
            chain,
            self,
            self.resolver.lag,
        )
        self.risk: RiskDesk | None = None
        """The controls above the core's own; none: the core's own alone."""
        self.begins: Callable[[], None] = lambda: None
        """Called once the account was found fit, before anything leaves: the next run takes over from this one."""
        self.lifted: Callable[[], None] = lambda: None
        """Hears that people lowered a freeze, before anything leaves: whoever has a reason that stands asks again."""
        self.flattening: Flattening | None = None
        """Works positions off at FLATTEN; none: that is left to a person."""
        self._chaser = Chaser(self.bridge, self.resolver, clock.peek, self)
        self._decide, self._windows = strategy.decide, windows
        self._syncing = False
        self._sync, self.settle_s = sync, settle_s
        self.told = told
        self._held_back = 0
        self._priced = False
        self._feed: PublicFeed | None = None
        self._orders: OrderEntry | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._due: int | None = None
        self._framed = 0
        self.flat = asyncio.Event()
        self.gone = asyncio.Event()
        self._account, self._adopt_position = account, adopt_position
        self._serious: tuple[Break, ...] = ()
        self._frozen: tuple[Break, ...] = ()
        self._held: list[Fact] | None = None
        """Facts of the stream that wait until the books of an earlier run were compared; None while nothing waits."""
        terms = recon or ReconTerms(interval_s=reconcile_s)
        self.reconciler = Reconciler(self.bridge, core, listed, clock.peek, terms)
        if estate is not None:
            self.bridge.restore(estate.orders, clock.peek())
            self._held = []
            self.pauses["recovery"] = "comparing with the venue after a restart"
        self.strangers_until = 0
        """Until then orders may arrive that an earlier run sent and its journal has lost; 0 where it ended in order."""
        self.reconciled: Reconciled | None = None
        """What the last comparison with the venue found."""

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
        if self.risk is not None:
            self.risk.market(category, record, ts_recv)
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
        if self._held is not None:
            self._held += facts
            return
        try:
            now = self.clock.peek()
            self._ring(now)
            if not all(map(_is_our_own, facts)):
                self.heard_at = now
            self.hear(facts)
            self._watch()
            if self._cancelling is not None:
                self._cancelling.heard(facts)
            self._step(self.clock())
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    def hear(self, facts: Sequence[Fact]) -> None:
        """Let the engine hear, without the strategy."""
        facts = [fact for fact in facts if not self._is_history(fact)]
        self.bridge.hear(facts, self.clock)
        if self.risk is not None:
            self.risk.hear(facts, self.clock.peek())
        for fact in facts:
            if isinstance(fact, Refused):
                self._show_refusal(fact)
        if not self.flat.is_set() and not self.bridge.open():
            self.flat.set()

    def _show_refusal(self, fact: Refused) -> None:
        """Keep the venue's own words, of which the engine hears the reason alone.

        What we held back ourselves is counted, and told once in a second: a fast strategy does it many times.
        """
        if fact.held_back:
            self.counters["held back"] += 1
            now = self.clock.peek()
            if now - self._held_back >= HELD_BACK_NS:
                self._held_back = now
                self.told({"event": "held back", "why": fact.message, "times": self.counters["held back"]})
            return
        if fact.reason == "credentials":
            self._lose_key(f"{fact.request}: {fact.code} {fact.message}")
        self.counters[f"{fact.request} refused"] += 1
        words = {"request": fact.request, "reason": fact.reason, "code": fact.code, "message": fact.message}
        self.note("refused", {"client_id": fact.client_id, **words})
        self.told({"event": "refused", "correlation_id": fact.client_id, **words})

    def _lose_key(self, said: str) -> None:
        """End the run: nothing can be ordered or cancelled with this key any more. The guardian has another one."""
        if self.failure is None:
            why = (
                f"the venue does not take the run's key any more ({said}): was it revoked, or is this another address? "
                "The guardian cancels with its own; make a new key, then start again"
            )
            self.told({"event": "key refused", "why": why})
            self.fail(KeyRefusedError(why))

    def _is_history(self, fact: Fact) -> bool:
        """Tell executions from before the books began: the position that they began with holds them.

        An execution of an order of this run is none of them, whatever the venue's clock says.
        """
        if not isinstance(fact, ExecutionSeen) or fact.ts_venue >= self.reconciler.began or self.bridge.knows(fact):
            return False
        self.counters["before the run"] += 1
        return True

    def on_booked(self, fact: ExecutionSeen) -> None:
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
        self.told({"event": "fill", **words})

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
        if self.left or self.gone.is_set():
            return  # closed by ourselves, after everything was said, or told already
        self.told({"event": "link", "link": name, "state": event.state, "why": event.why})
        self.note("link", {"link": name, "state": event.state, "why": event.why})
        try:
            if event.state == "up":
                self.resume(name)
                if event.link != "public" and self._orders is not None:
                    self.reconciler.hurry()
            else:
                self.counters["links lost"] += 1
                self.pause(name, f"{name} {event.state}: {event.why}")
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    def note(self, topic: str, words: Mapping[str, object]) -> None:
        """Write something down that is worth knowing afterwards."""
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
            self.told({"event": "paused", "why": why})
            for number in self.bridge.open():
                self.send(self.core.cancel(self.clock(), number))

    def resume(self, name: str) -> None:
        """One reason to pause is gone; with the last one the quotes come back."""
        if self.pauses.pop(name, None) is not None and not self.pauses:
            self.told({"event": "quoting"})
            self._arm()

    def _watch(self) -> None:
        """Let the controls look."""
        if self.risk is not None and not self.stopping and self._is_priced():
            self.risk.tick(self.clock)

    def hold(self, why: str) -> None:
        """Take the quotes out for a while, as the guards want it; "" lets them back."""
        if why:
            self.pause("guards", why)
        else:
            self.resume("guards")

    def _is_priced(self) -> bool:
        """Whether the engine has heard a price of everything. Before, a position that was taken over has no value, and
        no quote is out that a control could stop.
        """
        if not self._priced:
            books = [self.core.books(0, index) for index in range(len(self.listed))]
            self._priced = all(None not in (one["bid"], one["ask"]) for one in books)
        return self._priced

    # ---- deciding and sending

    def _step(self, now: int, decoded: int | None = None) -> None:
        if self.failure is not None:
            return
        if self.pauses or self.stopping:
            self.core.look(now)  # nobody is asked; who watches or flattens still goes by the market as it is
            return
        before = time.perf_counter_ns() if decoded is None else decoded
        commands = self.core.step(now, self._decide, self._windows)
        if commands:
            self.latencies.add("decide", time.perf_counter_ns() - before)
            sent = self.send(commands)
            if decoded is not None:
                self.latencies.add("wire_to_wire", sent - self._framed)
        self._arm()

    def send(self, commands: Sequence[tuple[Any, ...]]) -> int:
        """Write down, then send; returns when the bytes were handed to the socket."""
        if not commands or self._orders is None:
            return time.perf_counter_ns()
        requests = self.bridge.requests(commands, self.clock.peek())
        worded = time.perf_counter_ns()
        cancels: list[OrderRequest] = [request for request in requests if isinstance(request, CancelOrder)]
        orders = [request for request in requests if not isinstance(request, CancelOrder)]
        if cancels:  # they leave first: a disk that takes its time must not keep an order in the market
            self._written(synced=False)
            self._orders.send(cancels)
            self._sync_soon()
        if not orders or not self._written(synced=self._sync):  # nothing new leaves that is not written down
            requests, orders = cancels, []
        written = time.perf_counter_ns()
        if orders:
            self._orders.send(orders)
        sent = time.perf_counter_ns()
        self.latencies.add("journal", written - worded)
        self.latencies.add("send", sent - written)
        if orders:
            self.bridge.crowded()
        self.counters["requests"] += len(requests)
        for request in requests:
            self.told(_asked(request))
        return sent

    def _written(self, *, synced: bool) -> bool:
        """Write down what was decided; False, and the run ends, where the disk refuses."""
        try:
            if synced:
                self.journal.sync()
            else:
                self.journal.flush()
        except OSError as error:
            self.fail(error)
            return False
        return True

    def _sync_soon(self) -> None:
        """Sync once every cancel of this turn has left."""
        if self._sync and not self._syncing:
            self._syncing = True
            asyncio.get_running_loop().call_soon(self._synced_late)

    def _synced_late(self) -> None:
        self._syncing = False
        if self.journal.dead is None:
            self._written(synced=True)

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
        """Set the alarm for the next timer. None while nobody is asked: one that is due would ring for ever."""
        due = None if self.pauses or self.stopping or self.failure is not None else self.core.next_timer()
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

    def freeze(self, asked: FreezeAsked) -> bool:
        """Take a freeze of a control, the guardian or a person: nothing new leaves from here on. False: it is known."""
        if self.freezing is not None:
            return self.freezing.ask(asked)
        name = f"freeze {asked.scope} {asked.control}"  # a run without a board has one way to obey
        known = name in self.pauses
        self.pause(name, asked.reason)
        return not known

    def _board_looked(self, changes: Sequence[FreezeChange]) -> None:
        """Let core, journal and controls know what the board says now."""
        try:
            for change in changes:
                self.note("freeze", change.as_event())
                if change.kind == "lowered":
                    self._lowered(change.scope)
            if self._restrictions is not None and self.freezing is not None:
                self._restrictions.follow(self.freezing.state, self.clock.peek())
            if any(change.kind == "lowered" for change in changes):
                self._watch()  # the first quotes after a lift know of its smaller sizes already
        except Exception as error:  # noqa: BLE001  a freeze holds at the gate; a core that cannot hear it has to end
            self.fail(error)

    def _lowered(self, scope: Scope) -> None:
        if self.risk is not None:
            self.risk.lifted(scope)
        self.lifted()

    def frozen(self, request: OrderRequest) -> str:
        """Say why a request may not leave now, "" where it may: for the gate."""
        return "" if self.freezing is None else self.freezing.blocks(request, Obedience(self))

    def pull(self, index: int) -> None:
        """Cancel what is open of one instrument."""
        for order in self.core.orders(index):
            self.send(self.core.cancel(self.clock(), order[0]))

    def pull_all(self) -> None:
        """Cancel what is open."""
        for index in range(len(self.listed)):
            self.pull(index)

    def _obeying(self, orders: OrderEntry) -> list[asyncio.Task[None]]:
        freezing = self.freezing
        if freezing is None:
            return []
        self._restrictions = Restrictions(
            self.core,
            self.listed,
            self.clock,
            strategy=freezing.strategy,
            account=freezing.account,
            taken_over=self._estate is not None,
        )
        freezing.looked = self._board_looked
        freezing.show([])
        freezing.cancelling = self.cancelling_on(orders)
        obedience = Obedience(self)
        return [asyncio.create_task(self._guarded(lambda: freezing.watch(obedience)))]

    def cancelling_on(self, orders: OrderEntry) -> Cancelling:
        """Return the run's one way to cancel everything; it hears what the stream tells."""
        if self._cancelling is None:
            markets = [(each.category, each.symbol) for each in self.listed]
            self._cancelling = Cancelling(orders, markets, self.clock.peek, told=self._cancelled_told)
        return self._cancelling

    def _cancelled_told(self, event: dict[str, object]) -> None:
        self.told(event)
        self.note("cancel-all", event)

    # ---- trouble

    def fail(self, error: BaseException) -> None:
        """End the run because of an error: of the strategy, the journal, the engine or the venue."""
        if self.failure is None:
            self.failure = error
            self.ended.set()

    def lose(self, error: VenueError) -> None:
        """End the run because the venue itself is gone: nothing is left there, and there is nobody to ask."""
        self.gone.set()
        self.fail(error)

    def on_answered(self, request: Doubt, ns: int) -> None:
        """Measure an answer."""
        self.latencies.add("answer", ns)
        if self.risk is not None:
            self.risk.answered(ns, self.clock.peek())

    def on_stray(self, fact: Fact, why: str) -> None:
        """Tell what the books cannot hold; an execution among it takes the quotes out."""
        self.counters["stray facts"] += 1
        self.note("stray", {"why": why, "fact": repr(fact)})
        name = "" if isinstance(fact, TermsChanged) else getattr(fact, "client_id", "")
        self.told({"event": "stray", "why": why, "correlation_id": name, "fact": repr(fact)})
        if isinstance(fact, ExecutionSeen):
            self.pause("stray execution", f"{fact.symbol}: {why}; reconcile by hand, then start again")
        if isinstance(fact, TermsChanged):
            self._follow(fact, why)

    def _follow(self, changed: TermsChanged, why: str) -> None:
        """No quotes while an instrument is halted; cancels go on. Another grid ends the run: its prices lie on the old.

        Other rules (least and largest quantity) are the venue's to enforce: it refuses, and refusals are counted.
        """
        before, after = changed.before, changed.after
        if _grid(before) != _grid(after):
            self.fail(VenueError(f"{why}: tick and lot were {_grid(before)}, are {_grid(after)}; start again"))
        name = f"halted {after.category} {after.symbol}"
        if after.tradable:
            self.resume(name)
        else:
            self.pause(name, f"{after.symbol} is not traded now, by the venue's listing")

    def on_adopted(self, number: int, seen: OrderSeen, owner: Owner) -> None:
        """An order that nobody here sent counts from now on. One of ours is taken out, which is the first moment at
        which its going cannot free what it never counted for; somebody else's is left to a person.
        """
        self.counters["adopted"] += 1
        words = {"owner": owner, "client_id": seen.client_id, "venue_id": seen.venue_id, "symbol": seen.symbol}
        self.told({"event": "adopted", "order": number, **words, "side": seen.side, "qty": seen.qty})
        if owner == "orphan":
            self.send(self.core.cancel(self.clock(), number))
            return
        scope = Scope("symbol", f"{seen.category} {seen.symbol}")
        why = f"{seen.side} {seen.qty} at {seen.price} ({seen.venue_id}) is no order of ours; find out whose it is"
        self.on_freeze(FreezeAsked(FreezeLevel.NO_NEW, scope, "foreign_order", why, self.clock.peek()))

    def on_risen(self, number: int) -> None:
        """An order is there that we had concluded not to exist: count it, take it out, call a person."""
        category, symbol, name = self.bridge.place_of(number)
        why = f"order {number} ({name}) is at the venue, although it was refused or proven away"
        self.pause("risen order", f"{why}; reconcile by hand, then start again")
        self.on_freeze(
            FreezeAsked(
                FreezeLevel.NO_NEW, Scope("symbol", f"{category} {symbol}"), "risen_order", why, self.clock.peek()
            )
        )
        self.send(self.core.cancel(self.clock(), number))

    def on_freeze(self, asked: FreezeAsked) -> None:
        """Something found a reason to stop: whoever decides about freezes is told; if it is news, quotes leave."""
        if not self.freeze(asked):
            return
        words = {"level": asked.level.name, "scope": str(asked.scope), "control": asked.control, "reason": asked.reason}
        self.counters["freezes asked"] += 1
        self.note("freeze asked", words)
        self.told({"event": "freeze asked", **words})
        self.pull_all()

    def let_in(self) -> None:
        """Hear what the stream told meanwhile, and everything from now on."""
        held, self._held = self._held, None
        self.resume("recovery")
        if held:
            self.on_facts(held, self.clock.peek())

    def disarm(self) -> None:
        """The strategy's timer rings no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    # ---- the whole of a run

    async def run(self, feed: PublicFeed, orders: OrderEntry) -> None:
        """Trade on a session that was started, until `ended`, and leave the venue without an order of ours.

        Raises VenueError where the account is not fit to begin with or orders of ours stay there, RunFailedError from
        what made the run end by itself.
        """
        self._feed, self._orders = feed, orders
        leaving = Leaving(self, orders)
        if self._estate is None:
            await self._begin(orders)
        else:
            self.reconciler.begin(self._estate.began, self._estate.since, _custody(self._estate))
        self.begins()
        tasks = [asyncio.create_task(self._guarded(each)) for each in (self._chase, self._compare)]
        tasks += self._obeying(orders)
        try:
            if self._estate is not None:
                await Recovering(self, self._estate).run()
            await self._until_ended(feed)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await leaving.run()
            finally:
                await feed.stop()
        if self.failure is not None:
            raise RunFailedError(f"{type(self.failure).__name__}: {self.failure}") from self.failure

    async def _until_ended(self, feed: PublicFeed) -> None:
        """Hear the market; a whole book has to come within `BOOK_S` of its start."""
        alarm = asyncio.get_running_loop().call_later(BOOK_S, self._check_started)
        try:
            await feed.start()
            await self.ended.wait()
        finally:
            alarm.cancel()

    async def _begin(self, orders: OrderEntry) -> None:
        """Begin with nothing, or with a position that a person has vouched for. Raises VenueError for anything else."""
        for remark in await clean_account(orders, self.listed, may_hold=bool(self._adopt_position)):
            self.told({"event": "cleaned", "what": remark})
        began = self.clock.peek() // VENUE_TIME_NS * VENUE_TIME_NS
        self.reconciler.begin(began, began)
        if not self._adopt_position:
            return
        for index, each in enumerate(self.listed):
            held = await orders.position(each.category, each.symbol)
            lots = signed_lots(each.instrument, held.qty)
            if not lots or each.category == "spot":
                continue
            tick = round(float(held.entry_price) / each.instrument.tick_size)
            side = "buy" if lots > 0 else "sell"
            self.core.moved(self.clock(), index, f"adopted-{began}", "adopted", side, tick, abs(lots), 0, began)
            words = {"symbol": each.symbol, "qty": held.qty, "entry_price": held.entry_price}
            self.note("adopted position", {**words, "reason": self._adopt_position})
            self.told({"event": "adopted position", **words, "reason": self._adopt_position})

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
        """Ask the venue about orders in doubt until nothing is in doubt."""
        await self._chaser.run(self.session())

    async def _compare(self) -> None:
        """Compare with the venue, at its times and after each lost link."""
        while True:
            depth = await self.reconciler.wait()
            if await self.look(depth) is None:
                await asyncio.sleep(LOOK_AGAIN_S)
                self.reconciler.hurry()

    async def look(self, depth: Depth | None, *, wide: bool = False) -> ReconReport | None:
        """Look at the venue once and judge what was found; None where it could not be asked."""
        began = self.clock.peek()
        try:
            pulled = await self.reconciler.pull(self.session(), depth, wide=wide)
        except VenueError as error:
            self.told({"event": "reconcile", "error": str(error)})
            if isinstance(error, KeyRefusedError):
                self._lose_key(str(error))
            return None
        self.on_pulled(pulled.facts)
        report = self.reconciler.compare(pulled, self.clock.peek())
        self.counters["breaks"] += len(report.breaks)
        said = [one.said for one in report.breaks]
        if report.breaks or depth is None or depth is Depth.CASH:
            self.note("reconcile", asdict(report))
            self.told({"event": "reconcile", "compared": report.compared, "breaks": said})
        if pulled.depth is Depth.CASH:
            self._tell_coins(report)
        if self.reconciler.drifts(report) and not wide:
            return await self.look(None, wide=True)  # what was not booked may be older than what was asked for
        self._judge(report, pulled.depth, began)
        return report

    def _tell_coins(self, report: ReconReport) -> None:
        for moved in self.reconciler.transfers:
            self.told({"event": "transfer", "coin": moved.coin, "change_units": moved.change, "said": moved.said})
        self.reconciler.transfers.clear()
        if report.clean:
            self.note_custody()

    def note_custody(self) -> None:
        """Write down what is known of the account's coins, for a run that takes over."""
        if self.reconciler.custody is not None:
            self.note("custody", self.reconciler.custody.words())

    def _judge(self, report: ReconReport, depth: Depth, began: int) -> None:
        """Ask about orders that the venue sees otherwise, which stay exposure. Any other break takes the quotes out,
        and one that is still there at the next look as deep stops trading until a person has looked.

        began: when the venue was asked first. A freeze is lifted on a whole look after it that put nothing off.
        """
        serious = [one for one in report.breaks if one.kind.remedy is not Remedy.RESOLVE]
        for one in report.breaks:
            if one.kind.remedy is Remedy.RESOLVE:
                self.bridge.doubt(one.name)
        unseen = [one for one in self._serious if _says_nothing_of(one, report, depth)]
        stands = [*unseen, *serious]
        self._conclude([*unseen, *report.breaks], report, depth, began)
        if stands:
            self.pause("reconcile", "; ".join(one.said for one in stands))
        elif not report.deferred:
            self.resume("reconcile")
        self._freeze_what_stays(serious, stands)

    def _conclude(self, differs: Sequence[Break], report: ReconReport, depth: Depth, began: int) -> None:
        if differs or (depth is Depth.CASH and report.clean):
            found = "; ".join(one.said for one in differs) or f"{report.compared} compared"
            self.reconciled = Reconciled(not differs, began, found)

    def compare_soon(self) -> None:
        """Compare with the venue now, not at the next time."""
        self.reconciler.hurry()

    def _freeze_what_stays(self, serious: Sequence[Break], stands: Sequence[Break]) -> None:
        """Freeze for what was there at the last look that saw as deep; what is new is looked at again soon."""
        fresh = [one for one in serious if not any(one.repeats(before) for before in self._serious)]
        for one in serious:
            if one not in fresh and not any(one.repeats(before) for before in self._frozen):
                self._frozen += (one,)
                scope = Scope("symbol", one.symbol) if one.symbol else Scope("account", self._account)
                self.on_freeze(FreezeAsked(FreezeLevel.NO_NEW, scope, "reconcile", one.said, self.clock.peek()))
        if fresh:
            self.reconciler.look_again(fresh, self.clock.peek())
        self._serious = tuple(stands)
        self._frozen = tuple(one for one in self._frozen if any(one.repeats(now) for now in stands))

    # ---- what asking came to (ChaseListener)

    def on_pulled(self, facts: Sequence[Fact]) -> None:
        """Hear what was asked for, as any fact, also while the stream is kept waiting.

        Lists overlap by minutes: what is booked already is not heard again.
        """
        try:
            booked = self.bridge.is_booked
            self.hear([one for one in facts if not (isinstance(one, ExecutionSeen) and booked(one.execution_id))])
            self._step(self.clock())
        except Exception as error:  # noqa: BLE001  as above
            self.fail(error)

    def on_looked(self) -> None:
        """The venue answered: that it does not find an order is an answer too."""
        self.heard_at = self.clock.peek()
        self.counters["in doubt"] = len(self.bridge.doubts)

    def on_never_placed(self, number: int) -> None:
        """Free what an order counted for that is nowhere and can no longer arrive."""
        self.core.never_placed(self.clock(), number)
        self.counters["never placed"] += 1
        self.told({"event": "never placed", "order": number, "correlation_id": self.bridge.name(number)})

    def on_unanswered(self, number: int, why: str) -> None:
        """Tell that the venue did not answer about an order."""
        self.told({"event": "unanswered", "order": number, "why": why})

    def on_aged(self, aged: Aged) -> None:
        """Tell of a doubt that lasts, and stop trading where its age says so."""
        name = self.bridge.name(aged.number)
        words = {"order": aged.number, "correlation_id": name, "age_s": aged.age_s, "why": aged.said}
        self.told({"event": "in doubt", **words})
        if aged.freeze is not None:
            self.on_freeze(aged.freeze)

    @property
    def estate(self) -> Estate | None:
        """What an earlier run left."""
        return self._estate

    def linked(self) -> bool:
        """Whether every private link is up."""
        return not any(name in self.pauses for name in self.links if not name.startswith("public"))

    def session(self) -> OrderEntry:
        """Return the order session. Raises VenueError before the run has one."""
        if self._orders is None:
            raise VenueError("the order session has not been started")
        return self._orders


def _says_nothing_of(known: Break, report: ReconReport, depth: Depth) -> bool:
    """Whether a look leaves open what became of a break: it did not look as deep, or found it moved a moment ago."""
    moved = any((one.kind, one.name) == (known.kind, known.name) for one in report.deferred)
    return moved or known.kind.seen_at > depth


def _custody(estate: Estate) -> Custody | None:
    return None if estate.custody is None else Custody.read(estate.custody)


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
