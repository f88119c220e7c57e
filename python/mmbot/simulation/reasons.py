"""L1: nothing stops for nothing. What each control may have seen, by the faults that show it something.

A freeze without a reason is no breach of a limit, and all the same a bot that does not trade; and an end that "said
why" would excuse whatever comes after it. So every freeze, and every end by itself, is held against what went wrong
until then. A control that is not named here has nothing to see in this world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.risk.controls import CONTROLS
from mmbot.risk.levels import FreezeLevel, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmbot.simulation.faults import Fault
    from mmbot.simulation.scene import Scene

__all__ = ["FROZE", "REASONS", "Reasons"]

FROZE = "stopped by: "
"""So begins the mark of each control that stopped something."""

WAYS = frozenset(
    {
        *("requests lost", "answers lost", "requests parked", "requests doubled", "answers late", "requests late"),
        *("trade link down", "private link down", "rest dark", "deaf", "lossy", "fills late", "private late"),
        *("overloaded", "maintenance", "venue lag", "venue restart", "slow disk", "pause"),
        *("frozen with an order under way", "power lost", "asked to end in the dark"),
    }
)
"""Requests, answers or news come late or not at all."""
DEATHS = frozenset(
    {
        *("kill", "kill at place", "kill at replace", "kill at ack", "kill at fill", "kill in recovery"),
        *("lying disk", "disk error", "disk full", "power lost", "engine lies", "asked to end", "killed by a person"),
    }
)
"""A process ends, and another one takes over."""
GUARDS = frozenset(
    {
        *("guardian killed", "guardian paused", "guardian cut from the venue", "beats lost", "engine lies"),
        "power lost",
    }
)
FORGETS = frozenset({"lying disk", "power lost"})
"""A journal loses its end."""
UNPRICED = frozenset({"public link down", "venue restart", "frozen feed", "book gap", "lossy", "pause"})

REASONS: Mapping[str, frozenset[str]] = {
    "unknown_order": WAYS | DEATHS,
    "reconcile": FORGETS | {"venue lag", "books apart"},
    "foreign_order": frozenset({"foreign order"}),
    "position_moved": FORGETS | {"deleveraged", "foreign order"},
    "risen_order": FORGETS,
    "journal_differs": FORGETS,
    "guardian_lost": GUARDS | {"pause", "slow disk"},
    "guardian_acting": GUARDS | WAYS | DEATHS | {"books apart"},
    "guardian_blind": frozenset({"guardian cut from the venue", "maintenance"}),
    "latch": frozenset({"half a line in the freeze log"}),
    "alarm": frozenset({"nobody looks at alarms"}),
    "equity": UNPRICED,
    "rejects_in_a_row": WAYS | {"rate limited", "clock step"},
    "unknowns_in_a_row": WAYS | DEATHS,
}
"""By control: faults that justify what it stops. Others: see `Reasons.froze`."""
LIVES_MIN = 5
"""So many starts are a crash loop."""


class Reasons:
    """What went wrong so far in one scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._struck: set[str] = set()
        self._people: dict[Scope, FreezeLevel] = {}
        """The highest that people wanted of each scope."""

    def struck(self, fault: Fault) -> None:
        """A fault begins."""
        self._struck.add(fault.kind)

    def wanted(self, scope: Scope, level: FreezeLevel) -> None:
        """A person stops a scope."""
        self._people[scope] = max(level, self._people.get(scope, level))

    def froze(self, control: str, scope: Scope, level: FreezeLevel, why: str, *, noted: bool = False) -> None:
        """A board is raised to a level or, at this level already, has noted one more reason."""
        self._scene.mark(f"{FROZE}{control}")
        if control == "operator":
            wanted = self._people.get(scope, FreezeLevel.NORMAL)
            good = wanted > FreezeLevel.NORMAL if noted else wanted >= level
        elif control == "crash_loop":
            good = self._scene.engine.lives >= LIVES_MIN
        else:
            good = not self._struck.isdisjoint(REASONS.get(control, ())) or self._by_the_market(control)
        if not good:
            self._fail(f"{scope} is frozen at {level.name} by {control} for nothing: {why}")

    def ended(self, how: str) -> None:
        """A process has ended by itself, and not in order."""
        if not self._struck:
            self._fail(f"the engine ended for nothing: {how}")

    def _by_the_market(self, control: str) -> bool:
        """What the market does to a position needs no fault, where there is a control that looks for it."""
        own = self._scene.cast.risk is not None and control in CONTROLS
        return own or (control == "one_sided" and self._scene.profile == "operators")

    def _fail(self, said: str) -> None:
        self._scene.checks.fail("L1", f"{said}; went wrong so far: {', '.join(sorted(self._struck)) or 'nothing'}")
