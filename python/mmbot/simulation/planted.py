"""Bugs planted on purpose: each one a mistake that somebody has made, and that the simulator has to catch.

A harness that finds nothing proves nothing until it is shown what it finds. Each bug is planted into one life of an
engine by replacing one thing it does; the number of seeds until it is caught is in docs/simulation-testing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from mmbot.execution.client_ids import ClientIds
from mmbot.execution.recovery import Chain
from mmbot.venues.port import Acked, ExecutionSeen, OrderSeen, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.simulation.engine import Life
    from mmbot.venues.port import Fact, LinkEvent, Reason, RequestKind

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
    """Let the run hear something else than what was said."""

    def plant(life: Life) -> None:
        hear = life.runner.on_facts

        def on_facts(facts: Sequence[Fact], ts_recv: int) -> None:
            hear([heard for fact in facts for heard in change(life, fact)], ts_recv)

        life.runner.on_facts = on_facts  # type: ignore[method-assign]

    return plant


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


def _only_trades(_life: Life, fact: Fact) -> list[Fact]:
    return [] if isinstance(fact, ExecutionSeen) and fact.kind not in ("trade", "funding") else [fact]


def _fees_forgotten(_life: Life, fact: Fact) -> list[Fact]:
    return [structs.replace(fact, fee="0")] if isinstance(fact, ExecutionSeen) else [fact]


def _sends_before_writing(life: Life) -> None:
    life.watched.sync = life.journal.flush  # type: ignore[method-assign]


def _same_names_after_restart(life: Life) -> None:
    life.runner.bridge._chain = Chain.of(ClientIds(env="s", epoch_s=1_700_000_001, strategy="sim"))


def _deaf_to_links(life: Life) -> None:
    def on_link(event: LinkEvent) -> None:
        life.scene.mark(f"not noticed: {event.state}")

    life.runner.on_link = on_link  # type: ignore[method-assign]


BUGS: Mapping[str, Bug] = {
    "silence is a no": Bug("an order without an answer is taken for refused", _changed(_silence_is_no)),
    "overload is a no": Bug("a 5xx is taken for a refusal", _changed(_overload_is_no), "venue"),
    "no dedupe": Bug("an execution is booked each time it is told", _changed(_no_dedupe)),
    "funding is a fill": Bug("funding moves the position", _changed(_funding_is_fill)),
    "ends forget executions": Bug(
        "an order's end frees what was executed and not booked yet", _changed(_ends_forget_executions)
    ),
    "cancel ack is the end": Bug("a cancel that was taken in counts as done", _changed(_cancel_ack_is_the_end)),
    "unknown cancel is the end": Bug("110001 counts as the order's end", _changed(_unknown_cancel_is_the_end)),
    "late executions dropped": Bug(
        "executions of orders that are done are dropped", _changed(_late_executions_dropped)
    ),
    "only trades": Bug("auto-deleveraging is not booked", _changed(_only_trades), "people"),
    "fees forgotten": Bug("fees are not booked", _changed(_fees_forgotten)),
    "sends before writing": Bug("orders leave before they are on the disk", _sends_before_writing),
    "same names after restart": Bug("names of orders are used again", _same_names_after_restart, "process"),
    "deaf to links": Bug("a lost link is not noticed", _deaf_to_links, "network"),
}
"""Every planted bug, by name."""
