"""Bugs planted into how a run takes over, gives up and stops by itself: see `mmbot.simulation.planted`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mmbot.execution.reconcile import Depth
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope
from mmbot.simulation.stops import ACCOUNT
from mmbot.venues.port import CancelOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mmbot.execution.reconcile import ReconReport
    from mmbot.simulation.engine import Life
    from mmbot.venues.port import ExecutionSeen, LinkEvent, OrderRequest, OrderSeen

__all__ = ["LIFE_BUGS"]


def _cancelled_unadopted(life: Life) -> None:
    """It counts for nothing when it is cancelled, and what it did by then is booked as a stranger's."""
    bridge = life.runner.bridge
    adopt = bridge.adopt

    def hasty(seen: OrderSeen, clock: Callable[[], int]) -> None:
        if bridge.is_ours(seen.client_id) and not bridge.holds(seen.client_id):
            cancel = CancelOrder(client_id=seen.client_id, category=seen.category, symbol=seen.symbol)
            life.orders.send([cancel])
        else:
            adopt(seen, clock)

    bridge.adopt = hasty  # type: ignore[method-assign]


def _cancels_are_said_once(life: Life) -> None:
    said: set[str] = set()
    send = life.orders.send

    def once(requests: Sequence[OrderRequest]) -> None:
        fresh = [each for each in requests if not isinstance(each, CancelOrder) or each.client_id not in said]
        said.update(each.client_id for each in fresh if isinstance(each, CancelOrder))
        send(fresh)

    life.orders.send = once  # type: ignore[method-assign]


def _nobody_looks_at_the_end(life: Life) -> None:
    listed = life.orders.open_orders

    async def open_orders(category: str, symbol: str) -> list[OrderSeen]:
        return [] if life.runner.stopping else await listed(category, symbol)

    life.orders.open_orders = open_orders  # type: ignore[method-assign]


def _asks_for_nothing(life: Life) -> None:
    if life.number == 1:
        return
    every, of_one = life.orders.executions, life.orders.executions_of

    async def executions(category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        return [each for each in await every(category, symbol, since_ns) if each.ts_venue >= life.born]

    async def executions_of(category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        return [each for each in await of_one(category, symbol, client_id) if each.ts_venue >= life.born]

    life.orders.executions, life.orders.executions_of = executions, executions_of  # type: ignore[method-assign]


def _in_flight_is_dead(life: Life) -> None:
    if life.left is None:
        return
    for held in life.left.estate.orders:
        if not held.exists:
            life.core.never_placed(life.clock(), held.number)


def _stops_quoting(life: Life) -> None:
    life.loop.call_later(60.0, life.runner.pause, "planted", "never mind")


def _freeze(life: Life, control: str, level: FreezeLevel) -> None:
    asked = FreezeAsked(level, Scope("account", ACCOUNT), control, "a shadow", life.clock.peek())
    life.runner.freeze(asked)


def _starts_at_shadows(life: Life) -> None:
    rng = life.scene.dice.of("planted")
    control = rng.choice(("reconcile", "unknown_order", "position_moved", "rejects_in_a_row", "equity", "operator"))
    level = rng.choice((FreezeLevel.REDUCE_ONLY, FreezeLevel.NO_NEW, FreezeLevel.CANCEL_ALL))
    life.loop.call_later(rng.uniform(5.0, 400.0), partial(_freeze, life, control, level))


def _freezes_at_a_reconnect(life: Life) -> None:
    hear, lost = life.runner.on_link, set[str]()

    def on_link(event: LinkEvent) -> None:
        hear(event)
        if event.state != "up":
            lost.add(event.link)
        elif event.link in lost:
            lost.clear()
            _freeze(life, "reconcile", FreezeLevel.NO_NEW)

    life.runner.on_link = on_link  # type: ignore[method-assign]


def _forgets_at_every_look(life: Life) -> None:
    """A look that saw no position and no coin takes back what one that did had found, which is not looked at soon."""
    runner, judge = life.runner, life.runner._judge
    runner.reconciler.look_again = lambda found, now: None  # type: ignore[method-assign]

    def forgetful(report: ReconReport, depth: Depth, began: int) -> None:
        if depth is Depth.ORDERS:
            runner._serious = ()
        judge(report, depth, began)

    runner._judge = forgetful  # type: ignore[method-assign]


LIFE_BUGS: Mapping[str, tuple[str, str, int, Callable[[Life], None]]] = {
    "cancelled before adopted": ("an orphan is cancelled before it counts", "disk", 200, _cancelled_unadopted),
    "cancels are said once": ("a cancel is not said again", "network", 200, _cancels_are_said_once),
    "end not looked at": ("at the end nobody looks what is open", "network", 200, _nobody_looks_at_the_end),
    "missed executions": ("nobody asks what was executed while a run was down", "process", 200, _asks_for_nothing),
    "in flight is dead": ("what was under way at a death is taken for dead", "process", 200, _in_flight_is_dead),
    "stops quoting": ("a run stops quoting after a minute, for ever", "network", 200, _stops_quoting),
    "looks forget": ("a look at orders takes back what one at coins found", "people", 200, _forgets_at_every_look),
    "starts at shadows": ("a run freezes for nothing, some time", "venue", 200, _starts_at_shadows),
    "freezes at a reconnect": ("a run freezes when a link comes back", "network", 200, _freezes_at_a_reconnect),
}
"""What it is, the profile, the seeds in which it has to be caught there, and how it is planted."""
