"""Bugs planted on purpose: each one a mistake that somebody has made, and that the simulator has to catch.

A harness that finds nothing proves nothing until it is shown what it finds. Each bug is planted into one life of an
engine by replacing one thing it does; the number of seeds until it is caught is in docs/simulation-testing.md.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from msgspec import structs

from mmbot.execution.resolve import Finding
from mmbot.simulation.guard import GUARD_BUGS
from mmbot.simulation.lease import LEASE_BUGS
from mmbot.simulation.planted_lives import LIFE_BUGS
from mmbot.simulation.planted_stops import STOP_BUGS
from mmbot.venues.port import Acked, ExecutionSeen, OrderSeen, PlaceOrder, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mmbot import _core
    from mmbot.execution.resolve import Resolver
    from mmbot.simulation.engine import Life
    from mmbot.venues.port import Fact, OrderRequest, Reason, RequestKind

__all__ = ["BUGS", "Bug"]


@dataclass(frozen=True, slots=True)
class Bug:
    """One mistake."""

    said: str
    plant: Callable[[Life], None]
    profile: str = "mixed"
    """The faults that show it soonest."""
    within: int = 200
    """Seeds of that profile in which it has to be caught."""


def _changed(change: Callable[[Life, Fact], Sequence[Fact]]) -> Callable[[Life], None]:
    """Let the engine hear something else than what was said."""

    def plant(life: Life) -> None:
        hear = life.runner.bridge.hear

        def changed(facts: Iterable[Fact], clock: Callable[[], int]) -> None:
            hear([heard for fact in facts for heard in change(life, fact)], clock)

        life.runner.bridge.hear = changed  # type: ignore[method-assign]

    return plant


def _misheard(change: Callable[[Life, Fact], Sequence[Fact]]) -> Callable[[Life], None]:
    """Let the run hear something else on its streams; what it asks for is as it is."""

    def plant(life: Life) -> None:
        hear = life.runner.on_facts

        def on_facts(facts: Sequence[Fact], ts_recv: int) -> None:
            hear([heard for fact in facts for heard in change(life, fact)], ts_recv)

        life.runner.on_facts = on_facts  # type: ignore[method-assign]

    return plant


def _told_otherwise(**methods: Callable[..., object]) -> Callable[[Life], None]:
    """Let the bridge tell the core something else: each method gets the core, then what the core would have got."""

    def plant(life: Life) -> None:
        life.runner.bridge._core = cast("_core.Live", _Otherwise(life.core, methods))

    return plant


class _Otherwise:
    """A thing, but for some of its methods."""

    def __init__(self, thing: object, methods: Mapping[str, Callable[..., object]]) -> None:
        self._thing, self._methods = thing, methods

    def __getattr__(self, name: str) -> object:
        method = self._methods.get(name)
        return getattr(self._thing, name) if method is None else partial(method, self._thing)

    def __len__(self) -> int:  # a special method is looked for on the class alone
        return len(self._thing)  # type: ignore[arg-type]


def _silence_is_no(_life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, Unanswered) and fact.request == "place":
        return [_refused(fact.client_id, "place", "other")]
    return [fact]


def _overload_is_no(_life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, Unanswered) and fact.reason == "overloaded":
        return [_refused(fact.client_id, fact.request, "overloaded")]
    return [fact]


def _refused(client_id: str, request: RequestKind, reason: Reason) -> Refused:
    return Refused(client_id=client_id, request=request, reason=reason, code=1, message="planted", ts_venue=0)


def _no_dedupe(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, ExecutionSeen):
        life.planted += 1
        return [structs.replace(fact, execution_id=f"{fact.execution_id}-{life.planted}")]
    return [fact]


def _funding_is_fill(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, ExecutionSeen) and fact.kind == "funding":
        open_now = life.runner.bridge.open()
        name = life.runner.bridge.name(open_now[0]) if open_now else ""
        return [structs.replace(fact, kind="trade", client_id=name)]
    return [fact]


def _cancel_ack_is_the_end(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, Acked) and fact.request == "cancel":
        return [fact, _ended(life, fact.client_id, fact.ts_venue)]
    return [fact]


def _unknown_cancel_is_the_end(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, Refused) and fact.request == "cancel" and fact.reason == "unknown_order":
        return [_ended(life, fact.client_id, fact.ts_venue)]
    return [fact]


def _ended(life: Life, client_id: str, ts_venue: int) -> OrderSeen:
    return OrderSeen(
        client_id=client_id,
        venue_id="planted",
        category="linear",
        symbol=life.scene.symbols[0],
        side="buy",
        status="canceled",
        cum="0",
        price="1",
        qty="1",
        reason="requested",
        ts_venue=ts_venue,
    )


def _ends_forget_executions(_life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, OrderSeen) and fact.status not in ("live", "partial", "filled"):
        return [structs.replace(fact, cum="0")]
    return [fact]


def _late_executions_dropped(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, ExecutionSeen) and fact.kind == "trade":
        open_names = {life.runner.bridge.name(number) for number in life.runner.bridge.open()}
        return [fact] if fact.client_id in open_names else []
    return [fact]


def _fees_forgotten(_life: Life, fact: Fact) -> list[Fact]:
    return [structs.replace(fact, fee="0")] if isinstance(fact, ExecutionSeen) else [fact]


def _fees_too_high(life: Life) -> None:
    def filled(core: _core.Live, now: int, number: int, execution: str, *terms: int) -> bool:
        tick, lots, maker, fee, ts_venue = terms
        return core.filled(now, number, execution, tick, lots, bool(maker), fee + 5 * 10**12, ts_venue)

    _told_otherwise(filled=filled)(life)


def _funding_forgotten(_life: Life, fact: Fact) -> list[Fact]:
    return [] if isinstance(fact, ExecutionSeen) and fact.kind == "funding" else [fact]


def _restart_books_again(life: Life, fact: Fact) -> list[Fact]:
    if isinstance(fact, ExecutionSeen) and fact.ts_venue < life.born:
        return [structs.replace(fact, execution_id=f"{fact.execution_id}-{life.number}")]
    return [fact]


def _strangers_ignored(life: Life) -> None:
    """Dropped where they are told and where they are listed: of one of the two the reconciler makes a freeze."""

    def known(fact: Fact) -> bool:
        return not isinstance(fact, OrderSeen) or life.runner.bridge._named(fact.client_id) is not None

    listed = life.orders.open_orders

    async def open_orders(category: str, symbol: str) -> list[OrderSeen]:
        return [each for each in await listed(category, symbol) if known(each)]

    life.orders.open_orders = open_orders  # type: ignore[method-assign]
    _changed(lambda _, fact: [fact] if known(fact) else [])(life)


def _sends_before_writing(life: Life) -> None:
    life.watched.sync = life.journal.flush  # type: ignore[method-assign]


def _thrice_is_dead(life: Life) -> None:
    asked: Counter[int] = Counter()

    def hasty(resolver: Resolver, number: int, now: int, ts_venue: int, **found: bool) -> Finding:
        finding = resolver.looked(number, now, ts_venue, **found)
        asked[number] += 1
        if finding is Finding.ASK and asked[number] >= 3:
            resolver.forget(number)
            return Finding.NEVER_PLACED
        return finding

    life.runner._chaser._resolver = cast("Resolver", _Otherwise(life.runner.resolver, {"looked": hasty}))


def _retries_anew(life: Life) -> None:
    sent: dict[str, PlaceOrder] = {}
    send, hear = life.orders.send, life.runner.on_facts
    ids = life.ids

    def remembered(requests: Sequence[OrderRequest]) -> None:
        sent.update({request.client_id: request for request in requests if isinstance(request, PlaceOrder)})
        send(requests)

    def on_facts(facts: Sequence[Fact], ts_recv: int) -> None:
        for fact in facts:
            if isinstance(fact, Unanswered) and fact.client_id in sent and fact.request == "place":
                life.planted += 1
                again = structs.replace(sent[fact.client_id], client_id=ids.name(36**7 + life.planted))
                life.orders.send([again])
        hear(facts, ts_recv)

    life.orders.send, life.runner.on_facts = remembered, on_facts  # type: ignore[method-assign]


def _unknown_is_free(life: Life) -> None:
    def unknown(core: _core.Live, now: int, order_id: int) -> None:
        core.unknown(now, order_id)
        core.never_placed(life.clock(), order_id)

    _told_otherwise(unknown=unknown)(life)


def _amend_counts_at_once(life: Life) -> None:
    requests = life.runner.bridge.requests

    def hasty(commands: Iterable[tuple[Any, ...]], now: int) -> list[OrderRequest]:
        commands = list(commands)
        for command in commands:
            if command[0] == "amend":
                life.core.amended(life.clock(), command[1], command[3], command[4], life.scene.world.now)
        return requests(commands, now)

    life.runner.bridge.requests = hasty  # type: ignore[method-assign]


def _leaves_without_asking(life: Life) -> None:
    async def nothing(category: str, symbol: str) -> None:
        return

    async def nobody(path: str, orders: Sequence[OrderSeen]) -> list[Unanswered]:
        return [Unanswered(client_id=each.client_id, request="cancel", why="not asked") for each in orders]

    life.orders.cancel_bulk = nothing  # type: ignore[method-assign]
    life.orders.cancel_over = nobody  # type: ignore[method-assign,assignment]
    life.runner.core = cast("_core.Live", _Otherwise(life.core, {"halt": lambda core, now: core.halt(now) and []}))


def _any_age(life: Life) -> None:
    life.gate.decision_age_ns = 10**15


def _no_quarantine(life: Life) -> None:
    if life.left is not None:
        life.runner._estate = replace(life.left.estate, lost="")


BUGS: Mapping[str, Bug] = {
    "silence is a no": Bug("an order without an answer is taken for refused", _misheard(_silence_is_no)),
    "overload is a no": Bug("a 5xx is taken for a refusal", _misheard(_overload_is_no), "venue"),
    "no dedupe": Bug("an execution is booked each time it is told", _changed(_no_dedupe)),
    "funding is a fill": Bug("funding moves the position", _changed(_funding_is_fill)),
    "funding forgotten": Bug("funding is not booked", _changed(_funding_forgotten), "venue"),
    "fees too high": Bug("fees are booked 5 USDT too high", _fees_too_high, "quiet"),
    "fees forgotten": Bug("fees are not booked", _changed(_fees_forgotten)),
    "ends forget executions": Bug(
        "an order's end frees what was executed and not booked yet", _changed(_ends_forget_executions), "network"
    ),
    "cancel ack is the end": Bug(
        "a cancel that was taken in counts as done", _misheard(_cancel_ack_is_the_end), "stream"
    ),
    "unknown cancel is the end": Bug("110001 is the order's end", _changed(_unknown_cancel_is_the_end), "stream"),
    "late executions dropped": Bug("executions of ended orders are dropped", _changed(_late_executions_dropped)),
    "sends before writing": Bug("orders leave before they are on the disk", _sends_before_writing),
    "not found thrice is dead": Bug("three empty answers prove an order dead", _thrice_is_dead, "guardian"),
    "retries anew": Bug("a create without an answer is sent again under another name", _retries_anew, "network"),
    "unknown is free": Bug("an order without an answer counts for nothing", _unknown_is_free, "stream"),
    "restart books again": Bug("a restart forgets what was booked", _changed(_restart_books_again), "process"),
    "strangers ignored": Bug("orders that nobody here knows are ignored", _strangers_ignored, "disk"),
    "no quarantine": Bug("a journal that lost its end is trusted", _no_quarantine, "guardian"),
    "amend counts at once": Bug("an amend counts before the venue took it", _amend_counts_at_once, "stream"),
    "leaves without asking": Bug("a run ends without cancelling", _leaves_without_asking, "quiet"),
    "any age": Bug("decisions of any age leave", _any_age, "disk"),
    **{name: Bug(said, lambda _life: None, where, within) for name, (said, where, within, _) in GUARD_BUGS.items()},
    **{name: Bug(said, plant, where, within) for name, (said, where, within, plant) in LIFE_BUGS.items()},
    **{name: Bug(said, plant, where, within) for name, (said, where, within, plant) in STOP_BUGS.items()},
    **{name: Bug(said, lambda _life: None, "lease", within) for name, (said, within, _) in LEASE_BUGS.items()},
}
"""Every planted bug, by name."""
